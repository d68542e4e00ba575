use super::*;
use lockstep_aws::cloudformation::{Execution, NewChangeSet, Stacks, TemplateSource};
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::stacks::plan::ChangeSetKind;

/// Returns a template with a retained log group of a fixed name, and a topic.
fn template(display_name: &str, more: &str) -> String {
    format!(
        "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: {{DisplayName: {display_name}}}\n{more}"
    )
}

const LOGS: &str = "  Logs:\n    Type: AWS::Logs::LogGroup\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n    \
                    Properties: {LogGroupName: logs}\n";

struct Here {
    clock: VirtualClock,
    cloud: SimCloudFormation,
    stacks: SimStacks,
    attempt: u32,
    /// True if change sets examine nested stacks.
    with_nested: bool,
}

impl Here {
    fn new() -> Self {
        let clock = VirtualClock::at(Timestamp::UNIX_EPOCH);
        let cloud = SimCloudFormation::new(&clock);
        let stacks = cloud.stacks();
        Self { clock, cloud, stacks, attempt: 0, with_nested: true }
    }

    /// Creates the change set from the current state to `template`.
    async fn change_set(
        &mut self,
        kind: ChangeSetKind,
        template: &str,
        revert_drift: bool,
    ) -> lockstep_aws::cloudformation::ChangeSetView {
        self.attempt += 1;
        self.cloud.put_template("t", template);
        let name = format!("change-{}", self.attempt);
        let wanted = NewChangeSet {
            stack: "logs".into(),
            name: name.clone(),
            token: name.clone(),
            kind,
            template: TemplateSource::Url("t".into()),
            parameters: BTreeMap::new(),
            tags: Vec::new(),
            capabilities: Vec::new(),
            role: String::new(),
            imports_existing: false,
            revert_drift,
            with_nested: self.with_nested,
            description: String::new(),
        };
        self.stacks.create_change_set(&wanted).await.unwrap();
        self.clock.advance(Duration::from_secs(10));
        self.stacks.describe_change_set("logs", &name).await.unwrap().unwrap()
    }

    /// Executes the change set and returns the stack's final status.
    async fn execute(&mut self, change_set: &str) -> StackStatus {
        let token = format!("execute-{}", self.attempt);
        let accepted = self.stacks.execute_change_set(change_set, &token).await.unwrap();
        assert_eq!(accepted, Execution::Accepted);
        self.clock.advance(Duration::from_secs(300));
        self.stacks.describe("logs").await.unwrap().unwrap().status
    }

    async fn bring(&mut self, kind: ChangeSetKind, template: &str) -> StackStatus {
        let change_set = self.change_set(kind, template, false).await.arn;
        self.execute(&change_set).await
    }

    /// Deletes the remains of a failed creation.
    async fn clear(&mut self) {
        let arn = self.cloud.arn("logs").unwrap();
        self.stacks.delete_stack(&arn, &format!("clear-{}", self.attempt), "", &[]).await.unwrap();
        self.clock.advance(Duration::from_secs(300));
        assert!(self.stacks.describe("logs").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_failed_creation_keeps_nothing_new_and_does_not_block_the_next_one() {
    // FAILURES 19.
    let whole = template("one", LOGS);
    let mut here = Here::new();
    here.cloud.trouble("Topic", Trouble::Create);
    assert_eq!(here.bring(ChangeSetKind::Create, &whole).await, StackStatus::RollbackComplete);
    let left = here.stacks.resources("logs").await.unwrap();
    assert!(left.iter().all(|resource| !resource.survives() || resource.logical_id == "Topic"), "{left:?}");
    here.clear().await;
    here.cloud.end_trouble();
    assert_eq!(here.bring(ChangeSetKind::Create, &whole).await, StackStatus::CreateComplete);
}

#[tokio::test]
async fn without_retain_except_on_create_the_name_would_be_taken() {
    let whole = template("one", LOGS);
    let mut here = Here::new();
    here.cloud.retain_on_create();
    here.cloud.trouble("Topic", Trouble::Create);
    assert_eq!(here.bring(ChangeSetKind::Create, &whole).await, StackStatus::RollbackComplete);
    here.clear().await;
    here.cloud.end_trouble();
    assert_eq!(here.bring(ChangeSetKind::Create, &whole).await, StackStatus::RollbackComplete);
}

#[tokio::test]
async fn a_failed_update_keeps_nothing_new_and_does_not_block_the_next_one() {
    // FAILURES 19.
    for retains in [false, true] {
        let mut here = Here::new();
        assert_eq!(
            here.bring(ChangeSetKind::Create, &template("one", "")).await,
            StackStatus::CreateComplete
        );
        if retains {
            here.cloud.retain_on_create();
        }
        here.cloud.trouble("Topic", Trouble::Update);
        let with_logs = template("two", LOGS);
        assert_eq!(here.bring(ChangeSetKind::Update, &with_logs).await, StackStatus::UpdateRollbackComplete);
        here.cloud.end_trouble();
        let expected =
            if retains { StackStatus::UpdateRollbackComplete } else { StackStatus::UpdateComplete };
        assert_eq!(here.bring(ChangeSetKind::Update, &with_logs).await, expected);
    }
}

#[tokio::test]
async fn a_retained_resource_keeps_its_name() {
    let mut here = Here::new();
    here.bring(ChangeSetKind::Create, &template("one", LOGS)).await;
    here.clear().await;
    assert_eq!(
        here.bring(ChangeSetKind::Create, &template("one", LOGS)).await,
        StackStatus::RollbackComplete
    );
}

#[tokio::test]
async fn only_a_change_set_that_reverts_drift_finds_and_reverts_it() {
    // FAILURES 25.
    let mut here = Here::new();
    let same = template("one", "");
    here.bring(ChangeSetKind::Create, &same).await;
    let arn = here.cloud.arn("logs").unwrap();
    here.cloud.drift(&arn, "Topic", "DisplayName", "typed by hand".into());
    let blind = here.change_set(ChangeSetKind::Update, &same, false).await;
    assert_eq!(blind.state, ChangeSetState::Empty);
    let seeing = here.change_set(ChangeSetKind::Update, &same, true).await;
    let [change] = seeing.changes.clone().unwrap().try_into().unwrap();
    assert_eq!((change.action.as_str(), change.drift), ("Modify", Some(DriftStatus::Modified)));
    assert_eq!(change.properties, ["DisplayName"]);
    assert_eq!(here.execute(&seeing.arn).await, StackStatus::UpdateComplete);
    assert!(here.cloud.drifted("logs").is_empty());
}

#[tokio::test]
async fn a_drift_that_matches_the_template_is_only_recorded() {
    let mut here = Here::new();
    here.bring(ChangeSetKind::Create, &template("one", "")).await;
    let arn = here.cloud.arn("logs").unwrap();
    here.cloud.drift(&arn, "Topic", "DisplayName", "two".into());
    let seeing = here.change_set(ChangeSetKind::Update, &template("two", ""), true).await;
    let [change] = seeing.changes.clone().unwrap().try_into().unwrap();
    assert_eq!((change.action.as_str(), change.drift), ("SyncWithActual", Some(DriftStatus::Modified)));
    here.execute(&seeing.arn).await;
    assert!(here.cloud.drifted("logs").is_empty());
}

/// Adds a stable stack that another writer made.
fn add(cloud: &SimCloudFormation, name: &str, template: &str) -> String {
    cloud.add_stack(
        name,
        StackStatus::CreateComplete,
        template,
        (&BTreeMap::new(), &[]),
        Some("another-caller"),
    )
}

#[tokio::test]
async fn an_export_has_a_name_and_its_importers() {
    let here = Here::new();
    let exporting =
        template("one", "Outputs:\n  Host:\n    Value: h\n    Export: {Name: !Sub '${AWS::Region}-host'}\n");
    let importing = template("!ImportValue eu-west-1-host", "");
    let arn = add(&here.cloud, "logs", &exporting);
    assert!(here.stacks.importers("eu-west-1-host").await.unwrap().is_empty());
    let web = add(&here.cloud, "web", &importing);
    let exports = here.stacks.describe(&arn).await.unwrap().unwrap().exports;
    assert_eq!(exports, BTreeMap::from([("Host".to_owned(), "eu-west-1-host".to_owned())]));
    assert_eq!(here.stacks.importers("eu-west-1-host").await.unwrap(), ["web"]);
    here.cloud.set_status(&web, StackStatus::DeleteComplete);
    assert!(here.stacks.importers("eu-west-1-host").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_change_set_has_findings_and_the_next_one_has_none() {
    let mut here = Here::new();
    here.cloud.refuse_change_set("validation failed", &["Topic: no such property"]);
    let refused = here.change_set(ChangeSetKind::Create, &template("one", ""), false).await;
    assert_eq!(refused.state, ChangeSetState::Failed("validation failed".into()));
    assert_eq!(here.stacks.validation_failures(&refused.arn).await.unwrap(), ["Topic: no such property"]);
    let next = here.change_set(ChangeSetKind::Create, &template("one", ""), false).await;
    assert_eq!(next.state, ChangeSetState::Ready);
    assert!(here.stacks.validation_failures(&next.arn).await.unwrap().is_empty());
    let requests: Vec<String> = here.cloud.change_set_requests().into_iter().map(|set| set.name).collect();
    assert_eq!(requests, ["change-1", "change-2"]);
}

#[tokio::test]
async fn a_change_set_fails_and_names_that_of_its_nested_stack() {
    let mut here = Here::new();
    here.cloud.refuse_nested_change_set("Child", "no such subnet");
    let parent = template("one", "  Child: {Type: AWS::CloudFormation::Stack}\n");
    let refused = here.change_set(ChangeSetKind::Create, &parent, false).await;
    let ChangeSetState::Failed(why) = refused.state else { panic!("{refused:?}") };
    let nested = why.split(' ').find(|word| word.starts_with("arn:")).unwrap();
    let nested = here.stacks.describe_change_set("logs", nested).await.unwrap().unwrap();
    assert_eq!(nested.state, ChangeSetState::Failed("no such subnet".into()));
    assert!(nested.stack_arn.contains("stack/logs-Child/"), "{}", nested.stack_arn);
    // A template without this nested stack has no part in it.
    let alone = here.change_set(ChangeSetKind::Create, &template("one", ""), false).await;
    assert_eq!(alone.state, ChangeSetState::Ready);
}

#[tokio::test]
async fn a_change_set_can_leave_its_nested_stacks_unexamined() {
    let mut here = Here::new();
    here.with_nested = false;
    here.cloud.refuse_nested_change_set("Child", "no such subnet");
    let parent = template("one", "  Child: {Type: AWS::CloudFormation::Stack}\n");
    let made = here.change_set(ChangeSetKind::Create, &parent, false).await;
    assert_eq!(made.state, ChangeSetState::Ready);
    here.cloud.refuse_change_set_without_nested("no such bucket");
    let refused = here.change_set(ChangeSetKind::Create, &parent, false).await;
    assert_eq!(refused.state, ChangeSetState::Failed("no such bucket".into()));
    assert!(!here.cloud.change_set_requests()[0].with_nested);
}

#[tokio::test]
async fn an_update_of_another_caller_makes_change_sets_obsolete() {
    let mut here = Here::new();
    let arn = add(&here.cloud, "logs", &template("one", ""));
    let made = here.change_set(ChangeSetKind::Update, &template("two", ""), false).await;
    here.cloud.update_as_other_caller(&arn, "another-caller");
    assert_eq!(here.stacks.describe(&arn).await.unwrap().unwrap().status, StackStatus::UpdateInProgress);
    let refused = here.stacks.execute_change_set(&made.arn, "execute-1").await.unwrap();
    assert_eq!(refused, Execution::Refused);
    let events = here.stacks.events(&arn, &|_| true).await.unwrap();
    assert_eq!(events[0].token.as_deref(), Some("another-caller"));
}

#[tokio::test]
async fn a_nested_stack_is_a_resource_of_its_parent() {
    let here = Here::new();
    let arn = add(&here.cloud, "logs", &template("one", "  Child: {Type: AWS::CloudFormation::Stack}\n"));
    let child = add(&here.cloud, "logs-child", &template("two", ""));
    here.cloud.nest(&arn, "Child", &child);
    let resources = here.stacks.resources("logs").await.unwrap();
    assert_eq!(resources[0].physical_id, child);
    assert_eq!(here.stacks.describe(&child).await.unwrap().unwrap().parent, Some(arn));
}

#[tokio::test]
async fn a_forgotten_stack_is_unknown_under_its_arn_too() {
    let here = Here::new();
    let arn = add(&here.cloud, "logs", &template("one", ""));
    here.cloud.set_status(&arn, StackStatus::DeleteComplete);
    assert!(here.stacks.describe(&arn).await.unwrap().is_some());
    here.cloud.forget(&arn);
    assert_eq!(here.stacks.describe(&arn).await.unwrap(), None);
    assert!(here.stacks.events(&arn, &|_| true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stack_runs_the_template_that_a_test_sets() {
    let here = Here::new();
    let arn = add(&here.cloud, "logs", &template("one", ""));
    let topic = here.cloud.physical_ids("logs")["Topic"].clone();
    here.cloud.set_template(&arn, &template("one", LOGS));
    let held = here.cloud.physical_ids("logs");
    assert_eq!(held["Topic"], topic);
    assert!(held.contains_key("Logs"));
}
