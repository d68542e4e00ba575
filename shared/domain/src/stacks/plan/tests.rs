use super::*;
use crate::model::ids::DeploymentId;
use crate::model::token::client_token;
use crate::records::ProposedAction;
use crate::stacks::identity::InstallationId;
use jiff::Timestamp;
use proptest::prelude::*;

const ARN: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/ci-logs/0";

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

struct StackFixture {
    identity: StackIdentity,
    known_stack: bool,
    ever_stable: bool,
    deployed: bool,
    change_sets: Vec<String>,
    operations: Vec<Operation>,
    allowed: Vec<Proposal>,
    waited_seconds: i64,
    protect: BTreeSet<LogicalId>,
    a: Digest,
    b: Digest,
}

impl StackFixture {
    fn ours() -> Self {
        Self {
            identity: identity(),
            known_stack: true,
            ever_stable: false,
            deployed: false,
            change_sets: vec![],
            operations: vec![],
            allowed: vec![],
            waited_seconds: 0,
            protect: BTreeSet::new(),
            a: digest("a"),
            b: digest("b"),
        }
    }

    fn known(&self) -> PlanInput<'_> {
        PlanInput {
            identity: &self.identity,
            environment_stack: self.known_stack.then_some(ARN),
            has_release: self.deployed,
            ever_stable: self.ever_stable,
            deployment_stack: None,
            change_sets: &self.change_sets,
            operations: &self.operations,
            allowed: &self.allowed,
            waited_seconds: self.waited_seconds,
            protect: &self.protect,
            deployed: self.deployed.then_some((&self.a, &self.b)),
            wanted: Some((&self.a, &self.b)),
        }
    }

    /// Returns the input and the snapshot after `recovery` was started.
    fn after(mut self, found: &StackSnapshot, plan: &Plan) -> (Self, StackSnapshot) {
        let Plan::Recover(recovery) = plan else { panic!("{plan:?}") };
        let operation = intend(&id(), recovery, found, &self.operations, Timestamp::UNIX_EPOCH);
        let newest = LatestOperation::Named(operation.token.clone());
        self.operations.push(operation);
        (self, StackSnapshot { newest, ..found.clone() })
    }
}

impl StackFixture {
    /// Returns the input and the snapshot after the first plan for `found` ran and failed.
    fn known_after_plain(self, found: &StackSnapshot) -> (Self, StackSnapshot) {
        let first = plan(Some(found), &self.known());
        self.after(found, &first)
    }
}

fn identity() -> StackIdentity {
    StackIdentity {
        stage: "ci".parse().unwrap(),
        environment: "logs".into(),
        component: Some("logs".parse().unwrap()),
        installation: InstallationId::of_external_id("this one"),
    }
}

fn tags(identity: &StackIdentity) -> Tags {
    identity.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn id() -> DeploymentId {
    DeploymentId::of_execution("e")
}

/// Returns a token of one of Lockstep's own operations.
fn ours() -> String {
    client_token("some deployment", "execute", 1)
}

fn clears(plan: &Plan) -> bool {
    matches!(plan, Plan::Recover(recovery)
        if recovery.arn == ARN && recovery.operation == OperationKind::Clear && recovery.without().is_empty())
}

fn begins(plan: &Plan, kind: OperationKind, without: &[&str]) -> bool {
    matches!(plan, Plan::Recover(recovery) if recovery.operation == kind && recovery.without() == without)
}

fn stack(status: StackStatus) -> StackSnapshot {
    StackSnapshot {
        arn: ARN.into(),
        status,
        tags: Tags::new(),
        parent: None,
        newest: LatestOperation::Named(ours()),
        remains: Some(Remains::default()),
        was_stable: None,
        termination_protection: false,
        is_express: false,
    }
}

fn resource(logical_id: &str, resource_type: &str, status: &str) -> LiveResource {
    LiveResource {
        logical_id: logical_id.into(),
        physical_id: "p".into(),
        resource_type: resource_type.into(),
        status: status.into(),
    }
}

fn with(status: StackStatus, resources: Vec<LiveResource>) -> StackSnapshot {
    StackSnapshot { remains: Some(Remains { resources, ..Remains::default() }), ..stack(status) }
}

fn holding(status: StackStatus, resource_type: &str, resource_status: &str) -> StackSnapshot {
    with(status, vec![resource("Thing", resource_type, resource_status)])
}

fn why(plan: Plan) -> String {
    match plan {
        Plan::NeedsHuman { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_or_deleted_stack_is_created() {
    let create = Plan::CreateChangeSet(ChangeSetKind::Create);
    assert_eq!(plan(None, &StackFixture::ours().known()), create);
    assert_eq!(plan(Some(&stack(StackStatus::DeleteComplete)), &StackFixture::ours().known()), create);
}

#[test]
fn a_stable_stack_is_updated() {
    for status in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"] {
        let found = stack(StackStatus::parse(status));
        assert_eq!(
            plan(Some(&found), &StackFixture::ours().known()),
            Plan::CreateChangeSet(ChangeSetKind::Update),
            "{status}"
        );
    }
}

#[test]
fn a_stack_with_the_wanted_digests_is_left_unchanged() {
    let fixture = StackFixture { deployed: true, ..StackFixture::ours() };
    assert_eq!(plan(Some(&stack(StackStatus::UpdateComplete)), &fixture.known()), Plan::NoChanges);
    let other = digest("other");
    let differs = PlanInput { wanted: Some((&fixture.a, &other)), ..fixture.known() };
    assert_eq!(
        plan(Some(&stack(StackStatus::UpdateComplete)), &differs),
        Plan::CreateChangeSet(ChangeSetKind::Update)
    );
}

#[test]
fn digests_of_a_deleted_stack_do_not_count_for_its_successor() {
    let fixture = StackFixture { deployed: true, ..StackFixture::ours() };
    let known =
        PlanInput { environment_stack: Some("arn:another"), deployment_stack: Some(ARN), ..fixture.known() };
    assert_eq!(
        plan(Some(&stack(StackStatus::CreateComplete)), &known),
        Plan::CreateChangeSet(ChangeSetKind::Update)
    );
}

#[test]
fn own_operation_is_adopted_and_another_callers_is_awaited_with_a_limit() {
    let fixture = StackFixture::ours();
    let mut found = stack(StackStatus::UpdateInProgress);
    assert_eq!(plan(Some(&found), &fixture.known()), Plan::Adopt { key: format!("{ARN}#{}", ours()) });
    found.newest = LatestOperation::Unseen;
    assert_eq!(plan(Some(&found), &fixture.known()), Plan::Wait);
    for stranger in [LatestOperation::Nameless, LatestOperation::Named("Console-UpdateStack-1".into())] {
        found.newest = stranger;
        assert!(matches!(plan(Some(&found), &fixture.known()), Plan::AwaitOther { .. }));
        let impatient = PlanInput { waited_seconds: 3 * 60 * 60, ..fixture.known() };
        assert!(why(plan(Some(&found), &impatient)).contains("another caller"));
    }
}

#[test]
fn an_event_of_the_previous_operation_does_not_identify_the_running_one() {
    let event = |status: &str, token: Option<&str>| StackEvent {
        stack_arn: ARN.into(),
        logical_id: "ci-logs".into(),
        physical_id: ARN.into(),
        resource_type: String::new(),
        status: status.into(),
        reason: String::new(),
        token: token.map(str::to_owned),
        at: Timestamp::UNIX_EPOCH,
    };
    let newest = |now, event: Option<&StackEvent>| LatestOperation::of(&now, event);
    let running = StackStatus::UpdateInProgress;
    assert_eq!(newest(running.clone(), None), LatestOperation::Unseen);
    assert_eq!(newest(running.clone(), Some(&event("CREATE_COMPLETE", Some("t")))), LatestOperation::Unseen);
    assert_eq!(newest(running.clone(), Some(&event("UPDATE_IN_PROGRESS", None))), LatestOperation::Nameless);
    assert_eq!(
        newest(running, Some(&event("UPDATE_IN_PROGRESS", Some("t")))),
        LatestOperation::Named("t".into())
    );
    let ended = StackStatus::UpdateComplete;
    assert_eq!(newest(ended, Some(&event("UPDATE_COMPLETE", Some("t")))), LatestOperation::Named("t".into()));
}

#[test]
fn an_own_empty_placeholder_is_cleared() {
    let found = stack(StackStatus::ReviewInProgress);
    assert!(clears(&plan(Some(&found), &StackFixture::ours().known())));
}

fn placeholder(change_sets: Vec<HeldChangeSet>) -> StackSnapshot {
    StackSnapshot {
        newest: LatestOperation::Unseen,
        remains: Some(Remains { change_sets, ..Remains::default() }),
        ..stack(StackStatus::ReviewInProgress)
    }
}

#[test]
fn tags_of_change_sets_identify_the_placeholder_of_a_dead_deployment() {
    let fixture = StackFixture { known_stack: false, ..StackFixture::ours() };
    let held = |tags| HeldChangeSet { name: client_token("dead", "change-set", 1), tags };
    let ours = || held(tags(&identity()));
    assert!(clears(&plan(Some(&placeholder(vec![ours()])), &fixture.known())));
    let clone = held(tags(&StackIdentity { environment: "logs-2".into(), ..identity() }));
    for foreign in [vec![], vec![held(Tags::new())], vec![clone], vec![ours(), held(Tags::new())]] {
        let found = placeholder(foreign);
        assert!(why(plan(Some(&found), &fixture.known())).contains("did not make it"), "{found:?}");
    }
}

#[test]
fn the_placeholder_of_this_deployments_change_set_is_kept() {
    let name = client_token("this deployment", "change-set", 1);
    let fixture =
        StackFixture { known_stack: false, change_sets: vec![name.clone()], ..StackFixture::ours() };
    for tags in [tags(&identity()), Tags::new()] {
        let found = placeholder(vec![HeldChangeSet { name: name.clone(), tags }]);
        assert_eq!(plan(Some(&found), &fixture.known()), Plan::CreateChangeSet(ChangeSetKind::Create));
    }
    let found = placeholder(vec![HeldChangeSet { name, tags: tags(&identity()) }]);
    let dead = StackFixture { known_stack: false, ..StackFixture::ours() };
    assert!(clears(&plan(Some(&found), &dead.known())));
}

#[test]
fn a_placeholder_with_resources_or_unread_contents_needs_an_operator() {
    let known = StackFixture::ours();
    let found = holding(StackStatus::ReviewInProgress, "AWS::SNS::Topic", "CREATE_COMPLETE");
    assert!(why(plan(Some(&found), &known.known())).contains("holds Thing"));
    let unread = StackSnapshot { remains: None, ..stack(StackStatus::ReviewInProgress) };
    assert!(why(plan(Some(&unread), &known.known())).contains("could not be read"));
}

#[test]
fn a_failed_creation_is_cleared_unless_a_protected_resource_survives() {
    for status in [StackStatus::RollbackComplete, StackStatus::CreateFailed] {
        let clear = |found: &StackSnapshot| plan(Some(found), &StackFixture::ours().known());
        assert!(clears(&clear(&stack(status.clone()))));
        assert!(clears(&clear(&holding(status.clone(), "AWS::SNS::Topic", "CREATE_COMPLETE"))));
        assert!(clears(&clear(&holding(status.clone(), "AWS::S3::Bucket", "DELETE_COMPLETE"))));
        assert!(why(clear(&holding(status.clone(), "AWS::S3::Bucket", "DELETE_SKIPPED"))).contains("Thing"));
        let unread = StackSnapshot { remains: None, ..stack(status.clone()) };
        assert!(why(clear(&unread)).contains("could not be read"));
    }
}

#[test]
fn a_stack_that_was_ever_stable_is_never_cleared() {
    let fixture = StackFixture { ever_stable: true, ..StackFixture::ours() };
    assert!(why(plan(Some(&stack(StackStatus::RollbackComplete)), &fixture.known())).contains("stable once"));
}

/// A token of Lockstep's form proves nothing: another installation has such tokens too.
#[test]
fn a_foreign_stack_is_never_touched_in_any_status() {
    let unknown = StackFixture { known_stack: false, ..StackFixture::ours() };
    let clone = tags(&StackIdentity { environment: "logs-2".into(), ..identity() });
    let component = tags(&StackIdentity { component: Some("eu-logs".parse().unwrap()), ..identity() });
    let installation =
        tags(&StackIdentity { installation: InstallationId::of_external_id("another"), ..identity() });
    let known = StackFixture::ours();
    for (fixture, tags, words) in [
        (&unknown, Tags::new(), "it has no tags of Lockstep, and the ledger does not name it"),
        (&unknown, installation, "its tag lockstep:installation is"),
        (&unknown, component.clone(), "its tag lockstep:component is `eu-logs`, not `logs`"),
        (&known, clone, "its tag lockstep:environment is `ci/logs-2`, not `ci/logs`"),
        (&known, component, "its tag lockstep:component is `eu-logs`, not `logs`"),
    ] {
        for status in StackStatus::ALL.iter().filter(|s| **s != StackStatus::DeleteComplete) {
            let found = StackSnapshot { tags: tags.clone(), ..stack(status.clone()) };
            for refusal in [
                why(plan(Some(&found), &fixture.known())),
                why(teardown(Some(&found), &fixture.known(), true)),
                match destroy(Some(&found), &fixture.known()) {
                    Destroy::NeedsHuman { why } => why,
                    other => panic!("{other:?}"),
                },
            ] {
                assert!(refusal.contains("did not make it") && refusal.contains(words), "{refusal}");
                assert!(refusal.contains("another name, delete the stack, or import"), "{refusal}");
            }
        }
    }
}

#[test]
fn tags_identify_a_stack_that_the_ledger_does_not_name() {
    let fixture = StackFixture { known_stack: false, ..StackFixture::ours() };
    for newest in [LatestOperation::Nameless, LatestOperation::Named("by-hand".into())] {
        let found = StackSnapshot { tags: tags(&identity()), newest, ..stack(StackStatus::CreateComplete) };
        assert_eq!(plan(Some(&found), &fixture.known()), Plan::CreateChangeSet(ChangeSetKind::Update));
        assert!(matches!(destroy(Some(&found), &fixture.known()), Destroy::Delete { .. }));
    }
}

#[test]
fn a_nested_stack_of_the_same_name_is_not_touched() {
    let found = StackSnapshot { parent: Some("arn:root".into()), ..stack(StackStatus::UpdateComplete) };
    assert!(why(plan(Some(&found), &StackFixture::ours().known())).contains("nested in arn:root"));
}

/// Row 2 of the failure modes, and row 21.
#[test]
fn failed_creation_is_deleted_once_then_retains_undeletables_if_approved() {
    for status in [StackStatus::RollbackFailed, StackStatus::DeleteFailed] {
        let fixture = StackFixture::ours();
        let found = holding(status, "AWS::EC2::VPC", "DELETE_FAILED");
        let first = plan(Some(&found), &fixture.known());
        assert!(clears(&first), "{first:?}");
        let (mut fixture, found) = fixture.after(&found, &first);
        let found = StackSnapshot { status: StackStatus::DeleteFailed, ..found };
        let Plan::Ask(proposal) = plan(Some(&found), &fixture.known()) else {
            panic!("no approval is asked for")
        };
        assert_eq!(
            (proposal.action, proposal.key()),
            (ProposedAction::Retain, format!("retain {ARN}: Thing"))
        );
        fixture.allowed.push(proposal);
        let second = plan(Some(&found), &fixture.known());
        assert!(begins(&second, OperationKind::Clear, &["Thing"]), "{second:?}");
        let (fixture, found) = fixture.after(&found, &second);
        assert!(why(plan(Some(&found), &fixture.known())).contains("even without Thing"));
    }
}

/// Row 2: a protected resource is never deleted, in whatever state the stack is.
#[test]
fn failed_creation_is_kept_while_it_holds_a_protected_resource() {
    let found = holding(StackStatus::RollbackFailed, "AWS::S3::Bucket", "DELETE_FAILED");
    assert!(why(plan(Some(&found), &StackFixture::ours().known())).contains("Thing"));
    let mut fixture = StackFixture::ours();
    fixture.protect.insert("Thing".parse().unwrap());
    let named = holding(StackStatus::RollbackFailed, "AWS::SNS::Topic", "DELETE_FAILED");
    assert!(why(plan(Some(&named), &fixture.known())).contains("Thing"));
}

/// Rows 6 and 9: the stack is never deleted and never recreated.
#[test]
fn failed_rollback_is_continued_once_then_skips_resources_if_approved() {
    let fixture = StackFixture { ever_stable: true, ..StackFixture::ours() };
    let found = holding(StackStatus::UpdateRollbackFailed, "AWS::SQS::Queue", "UPDATE_FAILED");
    let first = plan(Some(&found), &fixture.known());
    assert!(begins(&first, OperationKind::ContinueRollback, &[]), "{first:?}");
    let (mut fixture, found) = fixture.after(&found, &first);
    let Plan::Ask(proposal) = plan(Some(&found), &fixture.known()) else {
        panic!("no approval is asked for")
    };
    assert_eq!((proposal.action, proposal.resources[0].name.as_str()), (ProposedAction::Skip, "Thing"));
    fixture.allowed.push(proposal);
    let second = plan(Some(&found), &fixture.known());
    assert!(begins(&second, OperationKind::ContinueRollback, &["Thing"]), "{second:?}");
    let (fixture, found) = fixture.after(&found, &second);
    assert!(why(plan(Some(&found), &fixture.known())).contains("even without Thing"));
}

/// Row 7: the fewest resources are skipped, nested ones by the name of their stack.
#[test]
fn only_resources_that_failed_themselves_are_skipped() {
    let mut child = resource("Child", crate::model::resource_change::NESTED_STACK, "UPDATE_FAILED");
    child.physical_id = "arn:aws:cloudformation:eu-west-1:111111111111:stack/ci-logs-Child-ABC/1".into();
    let resources = vec![
        child,
        resource("Child.Queue", "AWS::SQS::Queue", "UPDATE_FAILED"),
        resource("Child.Topic", "AWS::SNS::Topic", "UPDATE_ROLLBACK_COMPLETE"),
        resource("Role", "AWS::IAM::Role", "UPDATE_FAILED"),
    ];
    let fixture = StackFixture::ours();
    let found = with(StackStatus::UpdateRollbackFailed, resources);
    let (fixture, found) = fixture.known_after_plain(&found);
    let Plan::Ask(proposal) = plan(Some(&found), &fixture.known()) else {
        panic!("no approval is asked for")
    };
    let names: Vec<&str> = proposal.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["Role", "ci-logs-Child-ABC.Queue"]);
}

/// An approval for more resources covers fewer; an approval for fewer does not cover more.
#[test]
fn an_approval_covers_exactly_the_resources_it_names() {
    let name = |name: &str| resource(name, "AWS::SQS::Queue", "UPDATE_FAILED").named();
    let both = Proposal {
        stack: ARN.into(),
        action: ProposedAction::Skip,
        resources: vec![name("A"), name("B")],
        policies: None,
    };
    let one = Proposal { resources: vec![name("A")], ..both.clone() };
    assert!(both.covers(&one) && both.covers(&both) && !one.covers(&both));
    assert!(!both.covers(&Proposal { action: ProposedAction::Retain, ..one.clone() }));
    assert!(!both.covers(&Proposal { stack: "arn:another".into(), ..one.clone() }));
    let retained = Proposal { policies: Some([("A".into(), "Retain".into())].into()), ..one.clone() };
    assert!(!retained.covers(&one) && !one.covers(&retained), "what was to stay would go");
    let beside = [("A".into(), "Retain".into()), ("Topic".into(), "Retain".into())];
    assert!(retained.covers(&Proposal { policies: Some(beside.into()), ..one }));
}

/// Row 10: RollbackStack deletes a stack that has no stable state.
#[test]
fn a_failed_update_is_rolled_back_only_to_an_existing_stable_state() {
    let found = stack(StackStatus::UpdateFailed);
    let stable = StackFixture { ever_stable: true, ..StackFixture::ours() };
    assert!(begins(&plan(Some(&found), &stable.known()), OperationKind::Rollback, &[]));
    let seen = StackSnapshot { was_stable: Some(true), ..found.clone() };
    assert!(begins(&plan(Some(&seen), &StackFixture::ours().known()), OperationKind::Rollback, &[]));
    let never = StackSnapshot { was_stable: Some(false), ..found.clone() };
    assert!(clears(&plan(Some(&never), &StackFixture::ours().known())));
    assert!(
        why(plan(Some(&found), &StackFixture::ours().known())).contains("do not show if it was ever stable")
    );
}

/// Row 10: an express operation of another caller failed.
#[test]
fn a_failed_express_update_is_replayed_once_in_its_mode() {
    let found = StackSnapshot { is_express: true, ..stack(StackStatus::UpdateFailed) };
    let of = |known_stack, ever_stable, deployed| StackFixture {
        known_stack,
        ever_stable,
        deployed,
        ..StackFixture::ours()
    };
    assert!(begins(&plan(Some(&found), &of(true, true, true).known()), OperationKind::Replay, &[]));
    let unknown = why(plan(Some(&found), &of(true, true, false).known()));
    assert!(unknown.contains("update-stack") && unknown.contains("Mode=EXPRESS"), "{unknown}");
    let (tried, found) = of(true, true, true).known_after_plain(&found);
    let again = why(plan(Some(&found), &tried.known()));
    assert!(again.contains("express mode") && again.contains("failed again"), "{again}");
    let never =
        StackSnapshot { was_stable: Some(false), is_express: true, ..stack(StackStatus::UpdateFailed) };
    assert!(
        clears(&plan(Some(&never), &of(true, false, false).known())),
        "a stack that never worked is deleted"
    );
    for status in [StackStatus::UpdateComplete, StackStatus::UpdateRollbackComplete] {
        let complete = StackSnapshot { is_express: true, ..stack(status) };
        let next = plan(Some(&complete), &of(true, true, false).known());
        assert_eq!(next, Plan::CreateChangeSet(ChangeSetKind::Update), "a complete stack takes each mode");
    }
}

#[test]
fn a_state_without_a_rule_is_reported_with_its_next_step() {
    for (status, step) in
        [("IMPORT_ROLLBACK_FAILED", "describe-stack-events"), ("SOMETHING_NEW", "inspect the stack")]
    {
        let sentence = why(plan(Some(&stack(StackStatus::parse(status))), &StackFixture::ours().known()));
        assert!(sentence.contains(status) && sentence.contains(step), "{sentence}");
    }
}

/// Rows 16 and 61: the token changes only after CloudFormation showed the previous one.
#[test]
fn a_recovery_without_a_trace_is_repeated_with_its_token() {
    let fixture = StackFixture::ours();
    let found = stack(StackStatus::RollbackComplete);
    let first = plan(Some(&found), &fixture.known());
    let (fixture, reached) = fixture.after(&found, &first);
    let Plan::Recover(recovery) = first else { unreachable!() };
    let again =
        |found: &StackSnapshot| intend(&id(), &recovery, found, &fixture.operations, Timestamp::UNIX_EPOCH);
    assert_eq!(again(&found), fixture.operations[0], "it never reached CloudFormation");
    assert_eq!(again(&reached).attempt, 2);
    let foreign = StackSnapshot { newest: LatestOperation::Nameless, ..found };
    assert_eq!(again(&foreign).attempt, 2, "another operation followed, so it has ended");
}

#[test]
fn recovery_attempts_are_limited() {
    let mut fixture = StackFixture { ever_stable: true, ..StackFixture::ours() };
    let found =
        StackSnapshot { newest: LatestOperation::Nameless, ..stack(StackStatus::UpdateRollbackFailed) };
    for _ in 0..3 {
        let next = plan(Some(&found), &fixture.known());
        (fixture, _) = fixture.after(&found, &next);
    }
    assert!(matches!(plan(Some(&found), &fixture.known()),
        Plan::LookAgain { why } if why.contains("continue-update-rollback")));
}

/// CloudFormation lists the resources a moment after it reports the stack's status.
#[test]
fn a_failure_that_no_resource_shows_yet_is_read_again() {
    let fixture = StackFixture::ours();
    let found = stack(StackStatus::RollbackFailed);
    let delete = teardown(Some(&found), &fixture.known(), false);
    let (fixture, found) = fixture.after(&found, &delete);
    let found = StackSnapshot { status: StackStatus::DeleteFailed, ..found };
    assert!(matches!(teardown(Some(&found), &fixture.known(), false), Plan::LookAgain { .. }));
}

#[test]
fn a_teardown_asks_for_every_protected_resource_before_it_deletes() {
    let mut fixture = StackFixture { ever_stable: true, ..StackFixture::ours() };
    let found = with(
        StackStatus::UpdateComplete,
        vec![
            resource("Bucket", "AWS::S3::Bucket", "CREATE_COMPLETE"),
            resource("Child.Table", "AWS::DynamoDB::Table", "UPDATE_COMPLETE"),
            resource("Topic", "AWS::SNS::Topic", "CREATE_COMPLETE"),
        ],
    );
    let Plan::Ask(proposal) = teardown(Some(&found), &fixture.known(), false) else {
        panic!("no approval is asked for")
    };
    assert_eq!(proposal.key(), format!("delete {ARN}: Bucket, Child.Table"));
    fixture.allowed.push(proposal);
    let delete = teardown(Some(&found), &fixture.known(), false);
    assert!(begins(&delete, OperationKind::Delete, &[]), "{delete:?}");
    assert_eq!(teardown(None, &fixture.known(), false), Plan::Gone);
}

/// Invariant 5: a stack that worked once is deleted only after an approval, whatever it holds.
#[test]
fn teardown_of_a_stack_that_was_stable_needs_approval_even_if_it_is_empty() {
    let found = stack(StackStatus::CreateComplete);
    assert!(matches!(teardown(Some(&found), &StackFixture::ours().known(), false), Plan::Ask(_)));
    let failed = stack(StackStatus::RollbackComplete);
    assert!(begins(
        &teardown(Some(&failed), &StackFixture::ours().known(), false),
        OperationKind::Delete,
        &[]
    ));
    assert!(begins(&teardown(Some(&found), &StackFixture::ours().known(), true), OperationKind::Delete, &[]));
}

/// Row 22.
#[test]
fn termination_protection_is_reported_and_never_lifted() {
    let found = StackSnapshot { termination_protection: true, ..stack(StackStatus::UpdateComplete) };
    for is_test_stack in [false, true] {
        let refusal = why(teardown(Some(&found), &StackFixture::ours().known(), is_test_stack));
        assert!(refusal.contains("termination protection"), "{refusal}");
    }
}

/// Row 21.
#[test]
fn a_failed_teardown_retains_resources_only_if_approved() {
    let fixture = StackFixture::ours();
    let found = holding(StackStatus::RollbackFailed, "AWS::EC2::VPC", "DELETE_FAILED");
    let delete = teardown(Some(&found), &fixture.known(), false);
    let (mut fixture, found) = fixture.after(&found, &delete);
    let found = StackSnapshot { status: StackStatus::DeleteFailed, ..found };
    assert!(why(teardown(Some(&found), &fixture.known(), true)).contains("because of Thing"));
    let Plan::Ask(proposal) = teardown(Some(&found), &fixture.known(), false) else {
        panic!("no approval is asked for")
    };
    assert_eq!(proposal.action, ProposedAction::Retain);
    fixture.allowed.push(proposal);
    let second = teardown(Some(&found), &fixture.known(), false);
    assert!(begins(&second, OperationKind::Delete, &["Thing"]), "{second:?}");
}

/// A full bucket does not block the deletion of a test stack. Lockstep must not empty a bucket with a name of its own,
/// or a bucket of another stage.
#[test]
fn full_buckets_of_a_test_stack_are_emptied_before_the_next_deletion() {
    let bucket = |name: &str| LiveResource {
        physical_id: name.into(),
        ..resource("Archive", "AWS::S3::Bucket", "DELETE_FAILED")
    };
    let found = |name: &str, attempt| StackSnapshot {
        newest: LatestOperation::Named(client_token(ARN, "destroy", attempt)),
        ..with(StackStatus::DeleteFailed, vec![bucket(name)])
    };
    let known = StackFixture::ours();
    let full = found("test-logs-archive-1abc", 1);
    assert_eq!(destroyed(Some(&full)), Destroy::LookAgain);
    assert!(matches!(destroy(Some(&full), &known.known()),
        Destroy::Delete { empty, .. } if empty == ["test-logs-archive-1abc"]));
    assert!(matches!(destroyed(Some(&found("test-logs-archive-1abc", 3))), Destroy::NeedsHuman { .. }));
    assert!(matches!(destroyed(Some(&found("company-archive", 1))), Destroy::NeedsHuman { .. }));

    let delete = teardown(Some(&with(StackStatus::CreateComplete, vec![])), &known.known(), true);
    let (known, full) = known.after(&full, &delete);
    assert!(matches!(teardown(Some(&full), &known.known(), true),
        Plan::Recover(recovery) if recovery.empty == ["test-logs-archive-1abc"]));
}

#[test]
fn resources_that_block_the_deletion_of_a_test_stack_are_named() {
    let found = holding(StackStatus::DeleteFailed, "AWS::EC2::VPC", "DELETE_FAILED");
    assert!(
        matches!(destroyed(Some(&found)), Destroy::NeedsHuman { why } if why.contains("because of Thing"))
    );
}

#[test]
fn statuses_survive_a_round_trip() {
    for status in StackStatus::ALL {
        assert_eq!(StackStatus::parse(status.as_str()), *status);
    }
    assert_eq!(StackStatus::ALL.len(), 23);
}

#[test]
fn a_test_stack_is_deleted_by_arn_and_its_token_changes_after_a_failure() {
    let known = StackFixture::ours();
    let first = Destroy::Delete { arn: ARN.into(), token: client_token(ARN, "destroy", 1), empty: vec![] };
    assert_eq!(destroy(Some(&stack(StackStatus::CreateComplete)), &known.known()), first);
    assert_eq!(destroy(Some(&stack(StackStatus::RollbackComplete)), &known.known()), first);
    let running = StackSnapshot {
        newest: LatestOperation::Named(client_token(ARN, "destroy", 1)),
        ..stack(StackStatus::DeleteInProgress)
    };
    let key = operation_key(ARN, &client_token(ARN, "destroy", 1));
    assert_eq!(destroy(Some(&running), &known.known()), Destroy::Wait { key });
    let failed = StackSnapshot { status: StackStatus::DeleteFailed, ..running };
    let second = Destroy::Delete { arn: ARN.into(), token: client_token(ARN, "destroy", 2), empty: vec![] };
    assert_eq!(destroy(Some(&failed), &known.known()), second);
}

#[test]
fn a_foreign_test_stack_is_not_deleted() {
    let fixture = StackFixture { known_stack: false, ..StackFixture::ours() };
    let found = StackSnapshot {
        newest: LatestOperation::Named("by-hand".into()),
        ..stack(StackStatus::CreateComplete)
    };
    assert!(matches!(destroy(Some(&found), &fixture.known()), Destroy::NeedsHuman { .. }));
}

#[test]
fn a_test_stack_is_gone_only_if_it_is_missing_or_deleted() {
    let known = StackFixture::ours();
    assert_eq!(destroy(None, &known.known()), Destroy::Gone);
    for status in StackStatus::ALL {
        let found = stack(status.clone());
        let gone = *status == StackStatus::DeleteComplete;
        assert_eq!(destroy(Some(&found), &known.known()) == Destroy::Gone, gone, "{status}");
        assert_eq!(destroyed(Some(&found)) == Destroy::Gone, gone, "{status}");
    }
}

fn progress(of_operation: Option<&str>, is_newest: bool, now: &str) -> Progress {
    Progress {
        of_operation: of_operation.map(StackStatus::parse),
        is_newest,
        now: Some(StackStatus::parse(now)),
    }
}

#[test]
fn an_operation_without_a_trace_is_not_started_in_any_stack_status() {
    assert_eq!(operation_state(&progress(None, false, "UPDATE_COMPLETE")), OperationState::NotStarted);
}

#[test]
fn an_operation_ends_when_its_events_and_the_stack_agree() {
    assert_eq!(
        operation_state(&progress(Some("UPDATE_COMPLETE"), true, "UPDATE_COMPLETE")),
        OperationState::Succeeded
    );
    assert_eq!(
        operation_state(&progress(Some("UPDATE_COMPLETE"), true, "UPDATE_IN_PROGRESS")),
        OperationState::Running
    );
    // Row 5: the stack's status is the one before its creation.
    assert_eq!(
        operation_state(&progress(Some("CREATE_COMPLETE"), true, "REVIEW_IN_PROGRESS")),
        OperationState::Running
    );
    assert_eq!(
        operation_state(&progress(Some("CREATE_IN_PROGRESS"), true, "REVIEW_IN_PROGRESS")),
        OperationState::Running
    );
    assert_eq!(
        operation_state(&progress(Some("UPDATE_IN_PROGRESS"), true, "UPDATE_COMPLETE")),
        OperationState::Running
    );
    assert_eq!(
        operation_state(&progress(Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), true, "UPDATE_COMPLETE")),
        OperationState::Running
    );
}

#[test]
fn an_operation_keeps_its_outcome_when_another_follows() {
    assert_eq!(
        operation_state(&progress(Some("CREATE_COMPLETE"), false, "UPDATE_IN_PROGRESS")),
        OperationState::Succeeded
    );
}

#[test]
fn a_completed_rollback_is_a_failure() {
    for status in ["UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_COMPLETE", "ODD"]
    {
        assert_eq!(
            operation_state(&progress(Some(status), true, status)),
            OperationState::Failed { status: StackStatus::parse(status) }
        );
    }
}

fn any_status() -> impl Strategy<Value = StackStatus> {
    prop_oneof![
        (0..StackStatus::ALL.len()).prop_map(|n| StackStatus::ALL[n].clone()),
        Just(StackStatus::parse("SOMETHING_NEW")),
    ]
}

fn any_newest() -> impl Strategy<Value = LatestOperation> {
    prop_oneof![
        Just(LatestOperation::Unseen),
        Just(LatestOperation::Nameless),
        Just(LatestOperation::Named(ours())),
        Just(LatestOperation::Named("by-hand".into())),
    ]
}

proptest! {
    /// Invariants 5 and 6 of the design, and rows 9 and 30 of the failure modes. Without an approval, Lockstep deletes
    /// only what never worked and holds no protected resource, and it retains or skips nothing.
    #[test]
    fn nothing_is_lost_without_an_approval(
        status in any_status(), known_stack: bool, ever_stable: bool, read: bool, newest in any_newest(),
        was_stable: Option<bool>, is_express: bool, deployed: bool, kind in "AWS::S3::Bucket|AWS::SNS::Topic",
        resource_status in "CREATE_COMPLETE|DELETE_COMPLETE|DELETE_FAILED|UPDATE_FAILED",
    ) {
        let fixture = StackFixture { known_stack, ever_stable, deployed, ..StackFixture::ours() };
        let mut found = holding(status.clone(), &kind, &resource_status);
        found.is_express = is_express;
        (found.newest, found.was_stable) = (newest, was_stable);
        if !read {
            found.remains = None;
        }
        let gone = kind != "AWS::S3::Bucket" || resource_status == "DELETE_COMPLETE";
        let stable = (ever_stable && known_stack) || status.proves_stability();
        for plan in [plan(Some(&found), &fixture.known()), teardown(Some(&found), &fixture.known(), false)] {
            let Plan::Recover(recovery) = plan else { continue };
            prop_assert_eq!(recovery.arn.as_str(), ARN);
            prop_assert!(recovery.without().is_empty());
            match recovery.operation {
                OperationKind::Clear | OperationKind::Delete => {
                    prop_assert!(read && gone);
                    prop_assert!(!stable || status == StackStatus::ReviewInProgress);
                }
                OperationKind::Rollback => {
                    prop_assert!(!is_express && (stable || was_stable == Some(true)));
                }
                OperationKind::Replay => prop_assert!(is_express && stable && deployed),
                OperationKind::ContinueRollback => {
                    prop_assert_eq!(&status, &StackStatus::UpdateRollbackFailed);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
