use super::*;
use proptest::prelude::*;

const ARN: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/ci-logs/0";

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

struct World {
    known_stack: bool,
    ever_stable: bool,
    deployed: bool,
    change_sets: Vec<String>,
    a: Digest,
    b: Digest,
}

impl World {
    fn ours() -> Self {
        Self {
            known_stack: true,
            ever_stable: false,
            deployed: false,
            change_sets: vec![],
            a: digest("a"),
            b: digest("b"),
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            environment_stack: self.known_stack.then_some(ARN),
            ever_stable: self.ever_stable,
            deployment_stack: None,
            change_sets: &self.change_sets,
            operation_token: Some("ours"),
            deployed: self.deployed.then_some((&self.a, &self.b)),
            wanted: (&self.a, &self.b),
        }
    }
}

fn stack(status: StackStatus) -> Observed {
    Observed {
        arn: ARN.into(),
        status,
        parent: None,
        token: Some("ours".into()),
        remains: Some(Remains::default()),
    }
}

fn holding(status: StackStatus, resource_type: &str, resource_status: &str) -> Observed {
    let resource = LiveResource {
        logical_id: "Thing".into(),
        physical_id: "p".into(),
        resource_type: resource_type.into(),
        status: resource_status.into(),
    };
    Observed { remains: Some(Remains { resources: vec![resource], change_sets: vec![] }), ..stack(status) }
}

fn why(plan: Plan) -> String {
    match plan {
        Plan::NeedsHuman { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_stack_or_a_deleted_one_is_created() {
    let create = Plan::CreateChangeSet(ChangeSetKind::Create);
    assert_eq!(plan(None, &World::ours().known()), create);
    assert_eq!(plan(Some(&stack(StackStatus::DeleteComplete)), &World::ours().known()), create);
}

#[test]
fn a_stable_stack_is_updated() {
    for status in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"] {
        let found = stack(StackStatus::parse(status));
        assert_eq!(
            plan(Some(&found), &World::ours().known()),
            Plan::CreateChangeSet(ChangeSetKind::Update),
            "{status}"
        );
    }
}

#[test]
fn a_stack_that_runs_what_is_wanted_is_not_touched() {
    let world = World { deployed: true, ..World::ours() };
    assert_eq!(plan(Some(&stack(StackStatus::UpdateComplete)), &world.known()), Plan::NoChanges);
    let other = digest("other");
    let differs = Known { wanted: (&world.a, &other), ..world.known() };
    assert_eq!(
        plan(Some(&stack(StackStatus::UpdateComplete)), &differs),
        Plan::CreateChangeSet(ChangeSetKind::Update)
    );
}

#[test]
fn what_ran_in_a_stack_that_is_gone_does_not_count_for_its_successor() {
    let world = World { deployed: true, ..World::ours() };
    let known =
        Known { environment_stack: Some("arn:another"), deployment_stack: Some(ARN), ..world.known() };
    assert_eq!(
        plan(Some(&stack(StackStatus::CreateComplete)), &known),
        Plan::CreateChangeSet(ChangeSetKind::Update)
    );
}

#[test]
fn a_running_operation_of_ours_is_adopted_and_a_strangers_is_not() {
    let world = World::ours();
    let mut found = stack(StackStatus::UpdateInProgress);
    assert_eq!(plan(Some(&found), &world.known()), Plan::Adopt { key: format!("{ARN}#ours") });
    let dead = client_token("a deployment that died", "execute", 1);
    found.token = Some(dead.clone());
    assert_eq!(plan(Some(&found), &world.known()), Plan::Adopt { key: format!("{ARN}#{dead}") });
    found.token = Some("Console-UpdateStack-1".into());
    assert!(why(plan(Some(&found), &world.known())).contains("somebody else"));
    found.token = None;
    assert_eq!(plan(Some(&found), &world.known()), Plan::Wait);
}

#[test]
fn a_placeholder_that_is_ours_and_empty_is_cleared() {
    let found = stack(StackStatus::ReviewInProgress);
    assert!(matches!(plan(Some(&found), &World::ours().known()), Plan::Clear { arn, .. } if arn == ARN));
}

#[test]
fn a_placeholder_of_a_deployment_that_died_is_known_by_the_names_of_its_change_sets() {
    let world = World { known_stack: false, ..World::ours() };
    let with = |names: &[&str]| Observed {
        token: None,
        remains: Some(Remains {
            resources: vec![],
            change_sets: names.iter().map(|n| (*n).to_owned()).collect(),
        }),
        ..stack(StackStatus::ReviewInProgress)
    };
    let ours = client_token("dead", "change-set", 1);
    assert!(matches!(plan(Some(&with(&[&ours])), &world.known()), Plan::Clear { .. }));
    for names in [vec![], vec!["by-hand"], vec![ours.as_str(), "by-hand"]] {
        assert!(why(plan(Some(&with(&names)), &world.known())).contains("did not make it"), "{names:?}");
    }
}

#[test]
fn the_placeholder_of_this_deployments_own_change_set_is_kept() {
    let ours = client_token("this deployment", "change-set", 1);
    let world = World { known_stack: false, change_sets: vec![ours.clone()], ..World::ours() };
    let found = Observed {
        token: None,
        remains: Some(Remains { resources: vec![], change_sets: vec![ours] }),
        ..stack(StackStatus::ReviewInProgress)
    };
    assert_eq!(plan(Some(&found), &world.known()), Plan::CreateChangeSet(ChangeSetKind::Create));
    let dead = World { known_stack: false, ..World::ours() };
    assert!(matches!(plan(Some(&found), &dead.known()), Plan::Clear { .. }));
}

#[test]
fn a_placeholder_that_holds_something_or_could_not_be_read_needs_a_person() {
    let known = World::ours();
    let found = holding(StackStatus::ReviewInProgress, "AWS::SNS::Topic", "CREATE_COMPLETE");
    assert!(why(plan(Some(&found), &known.known())).contains("holds Thing"));
    let unread = Observed { remains: None, ..stack(StackStatus::ReviewInProgress) };
    assert!(why(plan(Some(&unread), &known.known())).contains("could not be read"));
}

#[test]
fn what_is_left_of_a_failed_creation_is_cleared_unless_something_protected_survives() {
    for status in [StackStatus::RollbackComplete, StackStatus::CreateFailed] {
        let clear = |found: &Observed| plan(Some(found), &World::ours().known());
        assert!(matches!(clear(&stack(status.clone())), Plan::Clear { .. }));
        assert!(matches!(
            clear(&holding(status.clone(), "AWS::SNS::Topic", "CREATE_COMPLETE")),
            Plan::Clear { .. }
        ));
        assert!(matches!(
            clear(&holding(status.clone(), "AWS::S3::Bucket", "DELETE_COMPLETE")),
            Plan::Clear { .. }
        ));
        assert!(why(clear(&holding(status.clone(), "AWS::S3::Bucket", "DELETE_SKIPPED"))).contains("Thing"));
        let unread = Observed { remains: None, ..stack(status.clone()) };
        assert!(why(clear(&unread)).contains("could not be read"));
    }
}

#[test]
fn a_stack_that_was_ever_stable_is_never_cleared() {
    let world = World { ever_stable: true, ..World::ours() };
    assert!(why(plan(Some(&stack(StackStatus::RollbackComplete)), &world.known())).contains("stable once"));
}

#[test]
fn a_stack_that_is_not_ours_is_not_touched_whatever_its_status() {
    let world = World { known_stack: false, ..World::ours() };
    for status in StackStatus::ALL.iter().filter(|s| **s != StackStatus::DeleteComplete) {
        let found = Observed { token: Some("by-hand".into()), ..stack(status.clone()) };
        assert!(why(plan(Some(&found), &world.known())).contains("did not make it"), "{status}");
    }
}

#[test]
fn a_nested_stack_of_the_same_name_is_not_touched() {
    let found = Observed { parent: Some("arn:root".into()), ..stack(StackStatus::UpdateComplete) };
    assert!(why(plan(Some(&found), &World::ours().known())).contains("nested in arn:root"));
}

#[test]
fn every_broken_state_is_named_with_its_next_step() {
    for (status, step) in [
        ("ROLLBACK_FAILED", "delete-stack"),
        ("DELETE_FAILED", "delete-stack"),
        ("UPDATE_FAILED", "rollback-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("IMPORT_ROLLBACK_FAILED", "describe-stack-events"),
        ("SOMETHING_NEW", "look at the stack"),
    ] {
        let sentence = why(plan(Some(&stack(StackStatus::parse(status))), &World::ours().known()));
        assert!(sentence.contains(status) && sentence.contains(step), "{sentence}");
    }
}

#[test]
fn a_deletion_that_failed_names_what_blocks_it() {
    let found = holding(StackStatus::DeleteFailed, "AWS::EC2::VPC", "DELETE_FAILED");
    assert!(why(plan(Some(&found), &World::ours().known())).contains("because of Thing"));
    assert!(
        matches!(destroyed(Some(&found)), Destroy::NeedsHuman { why } if why.contains("because of Thing"))
    );
}

#[test]
fn statuses_are_written_as_they_are_read() {
    for status in StackStatus::ALL {
        assert_eq!(StackStatus::parse(status.as_str()), *status);
    }
    assert_eq!(StackStatus::ALL.len(), 23);
}

#[test]
fn a_throw_away_stack_is_deleted_by_arn_with_a_token_that_rises_only_after_a_failure() {
    let known = World::ours();
    let first = Destroy::Delete { arn: ARN.into(), token: client_token(ARN, "destroy", 1) };
    assert_eq!(destroy(Some(&stack(StackStatus::CreateComplete)), &known.known()), first);
    assert_eq!(destroy(Some(&stack(StackStatus::RollbackComplete)), &known.known()), first);
    let running =
        Observed { token: Some(client_token(ARN, "destroy", 1)), ..stack(StackStatus::DeleteInProgress) };
    let key = operation_key(ARN, &client_token(ARN, "destroy", 1));
    assert_eq!(destroy(Some(&running), &known.known()), Destroy::Wait { key });
    let failed = Observed { status: StackStatus::DeleteFailed, ..running };
    let second = Destroy::Delete { arn: ARN.into(), token: client_token(ARN, "destroy", 2) };
    assert_eq!(destroy(Some(&failed), &known.known()), second);
}

#[test]
fn a_throw_away_stack_that_is_not_ours_is_not_deleted() {
    let world = World { known_stack: false, ..World::ours() };
    let found = Observed { token: Some("by-hand".into()), ..stack(StackStatus::CreateComplete) };
    assert!(matches!(destroy(Some(&found), &world.known()), Destroy::NeedsHuman { .. }));
}

#[test]
fn a_throw_away_stack_is_gone_only_when_it_is_not_there_or_deleted() {
    let known = World::ours();
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
fn an_operation_without_a_trace_never_began_whatever_the_stack_says() {
    assert_eq!(outcome(&progress(None, false, "UPDATE_COMPLETE")), Outcome::NotStarted);
}

#[test]
fn an_operation_is_over_when_its_events_and_the_stack_agree() {
    assert_eq!(outcome(&progress(Some("UPDATE_COMPLETE"), true, "UPDATE_COMPLETE")), Outcome::Succeeded);
    assert_eq!(outcome(&progress(Some("UPDATE_COMPLETE"), true, "UPDATE_IN_PROGRESS")), Outcome::Running);
    assert_eq!(outcome(&progress(Some("UPDATE_IN_PROGRESS"), true, "UPDATE_COMPLETE")), Outcome::Running);
    assert_eq!(
        outcome(&progress(Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), true, "UPDATE_COMPLETE")),
        Outcome::Running
    );
}

#[test]
fn an_operation_keeps_its_outcome_when_another_one_follows() {
    assert_eq!(outcome(&progress(Some("CREATE_COMPLETE"), false, "UPDATE_IN_PROGRESS")), Outcome::Succeeded);
}

#[test]
fn a_completed_rollback_is_a_failure() {
    for status in ["UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_COMPLETE", "ODD"]
    {
        assert_eq!(
            outcome(&progress(Some(status), true, status)),
            Outcome::Failed { status: StackStatus::parse(status) }
        );
    }
}

fn any_status() -> impl Strategy<Value = StackStatus> {
    prop_oneof![
        (0..StackStatus::ALL.len()).prop_map(|n| StackStatus::ALL[n].clone()),
        Just(StackStatus::parse("SOMETHING_NEW")),
    ]
}

proptest! {
    /// Invariant 5 of the design, and rows 9 and 30 of the failure modes.
    #[test]
    fn only_what_never_worked_and_holds_nothing_protected_is_cleared(
        status in any_status(), known_stack: bool, ever_stable: bool, read: bool,
        token in proptest::option::of("ours|by-hand"), kind in "AWS::S3::Bucket|AWS::SNS::Topic",
        resource_status in "CREATE_COMPLETE|DELETE_COMPLETE|DELETE_FAILED",
    ) {
        let world = World { known_stack, ever_stable, ..World::ours() };
        let mut found = holding(status.clone(), &kind, &resource_status);
        found.token = token;
        if !read {
            found.remains = None;
        }
        if let Plan::Clear { arn, .. } = plan(Some(&found), &world.known()) {
            prop_assert_eq!(arn, ARN);
            prop_assert!(read && !status.proves_stability());
            prop_assert!(!(ever_stable && known_stack) || status == StackStatus::ReviewInProgress);
            prop_assert!(kind != "AWS::S3::Bucket" || resource_status == "DELETE_COMPLETE");
        }
    }
}
