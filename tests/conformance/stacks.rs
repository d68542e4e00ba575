//! CloudFormation: one set of promises, checked on the simulation and on the adapter over the emulator.

use crate::cloud::Emulator;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::cloudformation::{
    ChangeSetState, ChangeSetView, CloudFormation, Creation, Execution, NewChangeSet, Stacks, TemplateSource,
};
use lockstep_aws::operator::stacks::{Installer, Wanted};
use lockstep_domain::model::token::client_token;
use lockstep_domain::stacks::plan::{ChangeSetKind, Phase, StackStatus};
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::cloudformation::SimCloudFormation;
use std::collections::BTreeMap;
use std::time::Duration;

const TOPIC: &str = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: one\n\
                     Outputs:\n  Topic:\n    Value: !Ref Topic\n";
const CHANGED: &str = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: two\n  \
                       Other:\n    Type: AWS::SNS::Topic\nOutputs:\n  Topic:\n    Value: !Ref Topic\n";

/// An implementation of CloudFormation under test.
trait StacksUnderTest {
    type Stacks: Stacks;

    fn stacks(&self) -> &Self::Stacks;

    /// Stores a template and returns the URL that CloudFormation reads it from.
    async fn put(&self, key: &str, text: &str) -> String;

    /// Lets time pass.
    async fn pass(&self);
}

struct Simulated {
    clock: VirtualClock,
    cloud: SimCloudFormation,
    stacks: lockstep_sim::cloudformation::SimStacks,
}

impl StacksUnderTest for Simulated {
    type Stacks = lockstep_sim::cloudformation::SimStacks;

    fn stacks(&self) -> &Self::Stacks {
        &self.stacks
    }

    async fn put(&self, key: &str, text: &str) -> String {
        self.cloud.put_template(key, text);
        key.to_owned()
    }

    async fn pass(&self) {
        self.clock.advance(Duration::from_secs(10));
    }
}

struct Emulated {
    bucket: Artifacts,
    stacks: CloudFormation,
}

impl StacksUnderTest for Emulated {
    type Stacks = CloudFormation;

    fn stacks(&self) -> &CloudFormation {
        &self.stacks
    }

    async fn put(&self, key: &str, text: &str) -> String {
        self.bucket.put(key, "application/octet-stream", text.into()).await.expect("it is stored");
        self.bucket.template_url(key)
    }

    async fn pass(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn wanted(stack: &str, attempt: u32, kind: ChangeSetKind, template_url: &str) -> NewChangeSet {
    let name = client_token(stack, "change-set", attempt);
    NewChangeSet {
        stack: stack.to_owned(),
        name: name.clone(),
        token: name,
        kind,
        template: TemplateSource::Url(template_url.to_owned()),
        parameters: BTreeMap::new(),
        tags: Vec::new(),
        capabilities: Vec::new(),
        role: "arn:aws:iam::111111111111:role/conformance".to_owned(),
        imports_existing: false,
        revert_drift: false,
        with_nested: true,
        description: "conformance".to_owned(),
    }
}

const LOOKS: usize = 200;

/// Creates a change set and waits until CloudFormation has computed it.
async fn made(place: &impl StacksUnderTest, wanted: &NewChangeSet) -> ChangeSetView {
    assert_eq!(place.stacks().create_change_set(wanted).await.expect("it begins"), Creation::Begun);
    for _ in 0..LOOKS {
        let view = place.stacks().describe_change_set(&wanted.stack, &wanted.name).await.expect("a look");
        let view = view.expect("it exists");
        if view.state != ChangeSetState::InProgress {
            return view;
        }
        place.pass().await;
    }
    panic!("{} is never made", wanted.name);
}

/// Waits until no operation runs. Returns the status of the stack, or `None` if it does not exist.
async fn ended(place: &impl StacksUnderTest, stack: &str) -> Option<StackStatus> {
    for _ in 0..LOOKS {
        let found = place.stacks().describe(stack).await.expect("a look");
        match found.map(|stack| stack.status) {
            Some(status) if status.phase() == Phase::Running => place.pass().await,
            other => return other,
        }
    }
    panic!("{stack} runs for ever");
}

/// Checks the behaviour that Lockstep relies on.
async fn check_promises(place: &impl StacksUnderTest) {
    let stacks = place.stacks();
    let (first, second) = (place.put("first", TOPIC).await, place.put("second", CHANGED).await);
    assert_eq!(stacks.describe("conformance-a").await.expect("a look"), None);

    // A change set that creates a stack leaves a placeholder. The same request creates it only once.
    let create = wanted("conformance-a", 1, ChangeSetKind::Create, &first);
    let view = made(place, &create).await;
    assert_eq!(view.state, ChangeSetState::Ready);
    let actions = |view: &ChangeSetView| {
        let changes = view.changes.iter().flatten();
        let mut named: Vec<_> = changes.map(|c| (c.logical_id.clone(), c.action.clone())).collect();
        named.sort();
        named
    };
    assert_eq!(actions(&view), [("Topic".to_owned(), "Add".to_owned())]);
    assert_eq!(ended(place, "conformance-a").await, Some(StackStatus::ReviewInProgress));
    assert_eq!(stacks.create_change_set(&create).await.expect("again"), Creation::Exists);
    assert_eq!(stacks.change_sets(&view.stack_arn).await.expect("a list"), vec![create.name.clone()]);

    // A change set executes once, whatever the token. The events carry the token.
    let token = client_token("conformance-a", "execute", 1);
    assert_eq!(stacks.execute_change_set(&view.arn, &token).await.expect("a call"), Execution::Accepted);
    assert_eq!(ended(place, "conformance-a").await, Some(StackStatus::CreateComplete));
    let other = client_token("conformance-a", "execute", 9);
    assert_eq!(stacks.execute_change_set(&view.arn, &other).await.expect("a call"), Execution::Refused);
    let events = stacks.events(&view.stack_arn, &|_| false).await.expect("events");
    let newest = events.iter().find(|event| event.is_about_the_stack()).expect("an event");
    assert_eq!((newest.status.as_str(), newest.token.as_deref()), ("CREATE_COMPLETE", Some(token.as_str())));
    let stack = stacks.describe(&view.stack_arn).await.expect("a look").expect("a stack");
    assert!(stack.outputs.contains_key("Topic"));

    // A change set without changes has a status of its own.
    let same = made(place, &wanted("conformance-a", 2, ChangeSetKind::Update, &first)).await;
    assert_eq!(same.state, ChangeSetState::Empty);
    stacks.delete_change_set("conformance-a", &same.arn).await.expect("a deletion");

    // Executing one change set makes the others obsolete.
    let update = made(place, &wanted("conformance-a", 3, ChangeSetKind::Update, &second)).await;
    let rival = made(place, &wanted("conformance-a", 4, ChangeSetKind::Update, &second)).await;
    let changed = [("Other".to_owned(), "Add".to_owned()), ("Topic".to_owned(), "Modify".to_owned())];
    assert_eq!(actions(&update), changed);
    let token = client_token("conformance-a", "execute", 3);
    assert_eq!(stacks.execute_change_set(&update.arn, &token).await.expect("a call"), Execution::Accepted);
    assert_eq!(ended(place, "conformance-a").await, Some(StackStatus::UpdateComplete));
    let late = client_token("conformance-a", "execute", 4);
    assert_eq!(stacks.execute_change_set(&rival.arn, &late).await.expect("a call"), Execution::Refused);
    let mut resources: Vec<String> = stacks
        .resources(&update.stack_arn)
        .await
        .expect("a list")
        .into_iter()
        .map(|resource| resource.logical_id)
        .collect();
    resources.sort();
    assert_eq!(resources, ["Other", "Topic"]);

    // A deleted stack is visible under its ARN only. Deleting it again is no error.
    let token = client_token("conformance-a", "delete", 1);
    stacks.delete_stack(&update.stack_arn, &token, "", &[]).await.expect("a deletion");
    assert_eq!(ended(place, &update.stack_arn).await, Some(StackStatus::DeleteComplete));
    assert_eq!(stacks.describe("conformance-a").await.expect("a look"), None);
    stacks.delete_stack(&update.stack_arn, &token, "", &[]).await.expect("a second deletion");
}

/// Checks that an export names its importers, which `stack` asks for before it withdraws the export.
async fn check_exports(place: &impl StacksUnderTest) {
    let stacks = place.stacks();
    let exporting = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\nOutputs:\n  Name:\n    Value: one\n    Export:\n      \
                     Name: conformance-name\n";
    let importing = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: !ImportValue \
                     conformance-name\n";
    let exporter = created(place, "conformance-b", exporting).await;
    let stack = stacks.describe(&exporter).await.expect("a look").expect("a stack");
    assert_eq!(stack.exports, BTreeMap::from([("Name".to_owned(), "conformance-name".to_owned())]));
    assert_eq!(stacks.importers("conformance-name").await.expect("a list"), Vec::<String>::new());
    created(place, "conformance-c", importing).await;
    assert_eq!(stacks.importers("conformance-name").await.expect("a list"), ["conformance-c"]);
}

/// Creates a stack and returns its ARN.
async fn created(place: &impl StacksUnderTest, stack: &str, template: &str) -> String {
    let url = place.put(stack, template).await;
    let view = made(place, &wanted(stack, 1, ChangeSetKind::Create, &url)).await;
    assert_eq!(view.state, ChangeSetState::Ready, "{stack}");
    let token = client_token(stack, "execute", 1);
    let begins = place.stacks().execute_change_set(&view.arn, &token).await.expect("a call");
    assert_eq!(begins, Execution::Accepted, "{stack}");
    assert_eq!(ended(place, stack).await, Some(StackStatus::CreateComplete), "{stack}");
    view.stack_arn
}

#[tokio::test]
async fn the_simulated_cloudformation_keeps_its_promises() {
    let clock = VirtualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let cloud = SimCloudFormation::new(&clock);
    let stacks = cloud.stacks();
    let simulated = Simulated { clock, cloud, stacks };
    check_promises(&simulated).await;
    check_exports(&simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_on_the_emulator_keeps_the_same_promises() {
    let emulator = Emulator::start().await;
    let store = Wanted {
        name: "store".into(),
        template: TemplateSource::Body(
            "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: conformance-templates\n"
                .into(),
        ),
        parameters: BTreeMap::new(),
    };
    Installer::new(&emulator.aws).apply(&store, Duration::from_secs(60)).await.expect("a bucket");
    let bucket = Artifacts::new(&emulator.aws, "conformance-templates");
    let emulated = Emulated { bucket, stacks: CloudFormation::new(&emulator.aws) };
    check_promises(&emulated).await;
    check_exports(&emulated).await;
}
