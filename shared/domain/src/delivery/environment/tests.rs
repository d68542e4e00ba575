use super::*;
use crate::delivery::packaging::{BranchKind, next_version};
use crate::model::ids::Digest;
use crate::model::version::MajorMinor;
use crate::records::{FailedEvent, testing};
use proptest::prelude::*;

mod fields;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

/// Returns the body of a deploy that updated its stack.
fn deploy(version: &str) -> DeployBody {
    DeployBody {
        stack: StackRun { arn: Some("arn:stack".into()), ..testing::stack_run("logs", "ci-logs") },
        digest: digest(version),
        parameters_digest: Some(digest("parameters")),
        stack_changed: true,
        ..testing::deploy("logs", "ci-logs")
    }
}

fn run(execution: &str, version: &str, body: impl Into<DeploymentBody>) -> Deployment {
    Deployment::new(testing::start(execution, version, "ci"), body)
}

fn deployment(execution: &str, version: &str) -> Deployment {
    run(execution, version, deploy(version))
}

/// Changes the body of a deploy.
fn change(deployment: &mut Deployment, change: impl FnOnce(&mut DeployBody)) {
    change(deployment.deploy_mut().unwrap());
}

/// Returns an environment that `execution` acquired, and its deployment.
fn taken(execution: &str, version: &str, before: Option<&Environment>) -> Acquired {
    acquire(before, &deployment(execution, version), at(1)).unwrap()
}

fn completed(execution: &str, version: &str, before: Option<&Environment>) -> Environment {
    let taken = taken(execution, version, before);
    complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(2))
        .unwrap()
        .environment
        .unwrap()
}

fn caught(error: &str, sentence: &str) -> CaughtError {
    CaughtError { error: error.into(), cause: sentence.into() }
}

#[test]
fn an_environment_is_named_after_its_component_by_default() {
    let component: ComponentName = "logs".parse().unwrap();
    assert_eq!(name(&component, None).unwrap(), "logs");
    assert_eq!(name(&component, Some("logs-2")).unwrap(), "logs-2");
    for bad in ["", "Logs", "a b", "-a", "a-", "a--b", "1a", "a/b", &"x".repeat(101)] {
        assert_eq!(name(&component, Some(bad)).unwrap_err().kind, FailureKind::Rejected, "{bad}");
    }
}

#[test]
fn the_longest_environment_still_has_a_stack_name() {
    let stage = "averylongnameofstage".parse().unwrap();
    let stack = stack_name(&stage, &"x".repeat(NAME_CHARS)).unwrap();
    assert!(stack.as_str().starts_with("averylongnameofstage-x"));
}

#[test]
fn only_an_execution_that_certainly_ended_loses_its_lease() {
    let holder = taken("a", "1.0.0", None).environment.holder.unwrap();
    assert_eq!(ensure_holder_ended(&holder, Some(false)), Ok(()));
    for may_run in [Some(true), None] {
        let busy = ensure_holder_ended(&holder, may_run).unwrap_err();
        assert_eq!(busy.kind, FailureKind::EnvironmentBusy);
        assert!(busy.message.contains(holder.deployment.as_str()), "{busy}");
    }
}

#[test]
fn a_free_environment_and_an_own_one_have_no_rival() {
    let first = taken("a", "1.0.0", None);
    assert_eq!(competing_holder(None, &first.deployment), None);
    assert_eq!(competing_holder(Some(&first.environment), &first.deployment), None);
    let other = deployment("b", "1.0.0");
    assert_eq!(competing_holder(Some(&first.environment), &other), first.environment.holder.as_ref());
    assert_eq!(competing_holder(Some(&release_lease(&first.environment, &first.deployment)), &other), None);
}

#[test]
fn an_environment_of_another_component_is_not_taken() {
    let existing = completed("a", "1.0.0", None);
    let mut stranger = deployment("b", "1.0.0");
    stranger.stack_mut().unwrap().component = "cache".parse().unwrap();
    let refused = acquire(Some(&existing), &stranger, at(3)).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("runs component logs, not cache"), "{refused}");
}

#[test]
fn a_former_holder_or_closed_deployment_writes_nothing() {
    let first = taken("a", "1.0.0", None);
    assert_eq!(still_holds(Some(&first.environment), &first.deployment), Ok(()));
    let second = taken("b", "1.0.1", Some(&first.environment));
    let closed = Deployment { state: DeploymentState::Failed, ..first.deployment.clone() };
    let stale_epoch = Deployment { epoch: 0, ..first.deployment.clone() };
    for (environment, deployment) in [
        (Some(&second.environment), &first.deployment),
        (Some(&first.environment), &closed),
        (Some(&first.environment), &stale_epoch),
        (Some(&release_lease(&first.environment, &first.deployment)), &first.deployment),
        (None, &first.deployment),
    ] {
        assert_eq!(still_holds(environment, deployment).unwrap_err().kind, FailureKind::Superseded);
    }
    assert_eq!(
        complete(&second.environment, &first.deployment, &ImageLock::default(), at(2)).unwrap_err().kind,
        FailureKind::Superseded
    );
}

#[test]
fn releasing_never_removes_another_holder() {
    let first = taken("a", "1.0.0", None);
    let second = taken("b", "1.0.1", Some(&first.environment));
    assert_eq!(release_lease(&second.environment, &first.deployment), second.environment);
}

#[test]
fn success_moves_deployed_to_history_and_frees_the_environment() {
    let first = completed("a", "1.0.0", None);
    let second = completed("b", "1.0.1", Some(&first));
    let versions = |e: &Environment| {
        let version = |d: &Option<Deployed>| d.as_ref().map(|d| d.version.to_string());
        (version(&e.deployed), version(&e.history.last().cloned()))
    };
    assert_eq!(versions(&first), (Some("1.0.0".into()), None));
    assert_eq!(versions(&second), (Some("1.0.1".into()), Some("1.0.0".into())));
    assert_eq!((second.holder, second.ever_stable, second.epoch), (None, true, 2));
    assert_eq!(second.stack_arn.as_deref(), Some("arn:stack"));
    assert!(second.deployed.unwrap().checked);
}

#[test]
fn the_stack_keeps_the_version_of_the_release_that_last_changed_it() {
    let first = completed("a", "1.0.0", None);
    let mut unchanged = taken("b", "1.0.1", Some(&first));
    change(&mut unchanged.deployment, |deploy| deploy.stack_changed = false);
    let done = complete(&unchanged.environment, &unchanged.deployment, &ImageLock::default(), at(2)).unwrap();
    assert_eq!(done.deployment.state, DeploymentState::NoChanges);
    let deployed = done.environment.unwrap().deployed.unwrap();
    assert_eq!(
        (deployed.version.to_string(), deployed.stack_version.to_string()),
        ("1.0.1".into(), "1.0.0".into())
    );
}

#[test]
fn deploying_the_same_release_again_keeps_the_history() {
    let first = completed("a", "1.0.0", None);
    let second = completed("b", "1.0.1", Some(&first));
    let again = completed("c", "1.0.1", Some(&second));
    assert_eq!(again.history, second.history);
}

#[test]
fn a_completed_deployment_without_parameters_is_a_bug() {
    let mut odd = taken("a", "1.0.0", None);
    change(&mut odd.deployment, |deploy| deploy.parameters_digest = None);
    assert_eq!(
        complete(&odd.environment, &odd.deployment, &ImageLock::default(), at(2)).unwrap_err().kind,
        FailureKind::Bug
    );
}

#[test]
fn a_failure_before_the_stack_changed_keeps_the_running_release() {
    let first = completed("a", "1.0.0", None);
    let mut second = taken("b", "1.0.1", Some(&first));
    change(&mut second.deployment, |deploy| deploy.stack_changed = false);
    let failed =
        fail(Some(&second.environment), &second.deployment, &caught("StackFailed", "it broke"), at(3));
    let environment = failed.environment.unwrap();
    assert_eq!(environment.deployed, first.deployed);
    assert_eq!(environment.holder, None);
    assert_eq!(failed.deployment.unwrap().state, DeploymentState::Failed);
    assert_eq!(failed.failure.error, "StackFailed");
    assert_eq!(failed.failure.message, "logs 1.0.1 was not deployed to ci: it broke. ci runs 1.0.0.");
}

#[test]
fn a_failed_check_leaves_the_new_release_running_unchecked() {
    let first = completed("a", "1.0.0", None);
    let second = taken("b", "1.0.1", Some(&first));
    let failed =
        fail(Some(&second.environment), &second.deployment, &caught("CheckFailed", "no host."), at(3));
    let environment = failed.environment.unwrap();
    let deployed = environment.deployed.unwrap();
    assert_eq!((deployed.version.to_string(), deployed.checked), ("1.0.1".into(), false));
    assert_eq!(environment.history.last().cloned(), first.deployed);
    assert_eq!(failed.failure.message, "logs 1.0.1 runs in ci and fails its checks: no host.");
}

#[test]
fn a_failure_names_the_first_true_cause_once() {
    let mut first = taken("a", "1.0.0", None);
    let cause = FailedEvent {
        logical_id: "Queue".into(),
        resource_type: "AWS::SQS::Queue".into(),
        status: "CREATE_FAILED".into(),
        reason: "queue exists".into(),
        denied: None,
        line: Some(12),
        at: at(0),
    };
    change(&mut first.deployment, |deploy| {
        deploy.stack_changed = false;
        deploy.diagnosis.push(cause);
    });
    let tell = |sentence: &str| {
        fail(Some(&first.environment), &first.deployment, &caught("StackFailed", sentence), at(3))
            .failure
            .message
    };
    assert_eq!(
        tell("the stack rolled back"),
        "logs 1.0.0 was not deployed to ci: the stack rolled back. First cause: Queue (AWS::SQS::Queue, \
         template:12) failed to create: queue exists. No release of it runs in ci."
    );
    assert_eq!(tell("Queue: queue exists").matches("queue exists").count(), 1);
}

#[test]
fn a_refused_approval_closes_as_refused_and_releases_the_environment() {
    let first = taken("a", "1.0.0", Some(&completed("z", "0.9.0", None)));
    let mut waiting = first.deployment.clone();
    waiting.state = DeploymentState::AwaitingApproval;
    change(&mut waiting, |deploy| deploy.stack_changed = false);
    let failed =
        fail(Some(&first.environment), &waiting, &caught("ApprovalRefused", "ada refused it"), at(3));
    let released = failed.environment.unwrap();
    assert_eq!((released.holder, released.deployed), (None, first.environment.deployed));
    assert_eq!(failed.deployment.unwrap().state, DeploymentState::Refused);
}

#[test]
fn failing_twice_changes_nothing_and_repeats_the_failure() {
    let first = taken("a", "1.0.0", None);
    let once = fail(Some(&first.environment), &first.deployment, &caught("StackFailed", "it broke"), at(3));
    let again =
        fail(once.environment.as_ref(), once.deployment.as_ref().unwrap(), &caught("X", "other"), at(4));
    assert_eq!((again.environment, again.deployment), (None, None));
    assert_eq!(again.failure, once.failure);
}

#[test]
fn a_late_failure_of_a_former_holder_changes_no_environment() {
    let first = taken("a", "1.0.0", None);
    let second = taken("b", "1.0.1", Some(&first.environment));
    let failed = fail(Some(&second.environment), &first.deployment, &caught("Superseded", "lost"), at(3));
    assert_eq!(failed.environment, None);
    assert_eq!(failed.deployment.unwrap().state, DeploymentState::Failed);
}

#[test]
fn only_an_open_deployment_is_abandoned() {
    let open = deployment("a", "1.0.0");
    assert_eq!(abandon(&open, "ada freed it", at(3)).unwrap().state, DeploymentState::Abandoned);
    let closed = Deployment { state: DeploymentState::Succeeded, ..open };
    assert_eq!(abandon(&closed, "ada freed it", at(3)), None);
}

#[test]
fn an_image_has_no_environment() {
    let image = run("a", "1.0.0", testing::promotion());
    assert_eq!(acquire(None, &image, at(1)).unwrap_err().kind, FailureKind::Bug);
}

fn teardown(execution: &str, version: &str) -> Deployment {
    run(execution, version, testing::teardown("logs", "ci-logs"))
}

#[test]
fn only_an_existing_environment_is_torn_down_and_removed() {
    assert_eq!(acquire(None, &teardown("b", "1.0.0"), at(3)).unwrap_err().kind, FailureKind::NotFound);
    let runs = completed("a", "1.0.0", None);
    let taken = acquire(Some(&runs), &teardown("b", "1.0.0"), at(3)).unwrap();
    let gone = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(4)).unwrap();
    assert_eq!((gone.environment, gone.deployment.state), (None, DeploymentState::Succeeded));
    let again = complete(&taken.environment, &gone.deployment, &ImageLock::default(), at(5)).unwrap_err();
    assert_eq!(again.kind, FailureKind::Superseded);
}

#[test]
fn the_running_release_names_its_overridden_parameters() {
    let mut overriding = deployment("a", "1.0.0");
    change(&mut overriding, |deploy| drop(deploy.overrides.insert("MaxSize".into(), "9".into())));
    let taken = acquire(None, &overriding, at(1)).unwrap();
    let done = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(2)).unwrap();
    let runs = done.environment.and_then(|environment| environment.deployed).unwrap();
    assert_eq!(runs.overridden, ["MaxSize".to_owned()].into());
    let plain = completed("b", "1.0.1", None).deployed.unwrap();
    assert!(plain.overridden.is_empty());
}

#[test]
fn a_plan_leaves_the_environment_as_it_was() {
    let runs = completed("a", "1.0.0", None);
    let mut plan = deployment("b", "1.0.1");
    change(&mut plan, |deploy| {
        deploy.plan_only = true;
        deploy.stack.arn = Some("arn:other".into());
    });
    let taken = acquire(Some(&runs), &plan, at(3)).unwrap();
    let planned = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(4)).unwrap();
    assert_eq!(planned.deployment.state, DeploymentState::Planned);
    let expected = Environment { epoch: 2, last_deployment: Some(plan.id.clone()), ..runs };
    assert_eq!(planned.environment, Some(expected));
}

#[test]
fn a_plan_or_a_teardown_that_fails_leaves_the_environment_as_it_was() {
    let runs = completed("a", "1.0.0", None);
    // Such a deployment never changes the release, whatever it reports about its stack.
    let plan = run("b", "1.0.1", DeployBody { plan_only: true, ..deploy("1.0.1") });
    let gone = teardown("b", "1.0.0");
    for (deployment, reported) in [
        (plan, "logs 1.0.1 was not planned for ci: it broke. ci runs 1.0.0."),
        (gone, "logs 1.0.0 was not removed from ci: it broke. ci runs 1.0.0."),
    ] {
        let taken = acquire(Some(&runs), &deployment, at(3)).unwrap();
        let failed =
            fail(Some(&taken.environment), &taken.deployment, &caught("StackFailed", "it broke"), at(4));
        let expected = Environment { epoch: 2, last_deployment: Some(deployment.id.clone()), ..runs.clone() };
        assert_eq!(failed.environment, Some(expected));
        assert_eq!(failed.failure.message, reported);
    }
}

#[test]
fn releasing_a_dead_holder_raises_the_epoch_and_refuses_its_writes() {
    // FAILURES 62.
    let dead = taken("a", "1.0.0", None);
    let freed = release_dead_holder(&dead.environment, &dead.deployment, at(5));
    assert_eq!((freed.holder.as_ref(), freed.epoch), (None, 2));
    // The dead execution is known to have updated its stack to the release; its checks never ran.
    assert!(!freed.deployed.as_ref().unwrap().checked);
    assert_eq!(still_holds(Some(&freed), &dead.deployment).unwrap_err().kind, FailureKind::Superseded);
    let abandoned = abandon(&dead.deployment, "ada freed its environment", at(5)).unwrap();
    assert_eq!(
        abandoned.failure.unwrap().message,
        "logs 1.0.0 runs in ci, and its checks gave no result: its execution ended without closing it; ada freed its \
         environment"
    );
}

proptest! {
    /// Runs deployments that succeed, fail, or die and lose their lease, in any order.
    #[test]
    fn epochs_only_rise_and_at_most_one_deployment_can_write(ends in proptest::collection::vec(0u8..4, 1..30)) {
        let mut environment: Option<Environment> = None;
        let mut all: Vec<Deployment> = Vec::new();
        for (n, end) in ends.into_iter().enumerate() {
            let before = environment.as_ref().map_or(0, |e| e.epoch);
            let next = taken(&n.to_string(), &format!("1.0.{n}"), environment.as_ref());
            prop_assert_eq!(next.environment.epoch, before + 1);
            all.push(next.deployment.clone());
            let writers = all.iter().filter(|d| still_holds(Some(&next.environment), d).is_ok()).count();
            prop_assert_eq!(writers, 1);
            environment = Some(match end {
                0 => complete(&next.environment, &next.deployment, &ImageLock::default(), at(2)).unwrap().environment.unwrap(),
                1 => fail(Some(&next.environment), &next.deployment, &caught("E", "x"), at(2)).environment.unwrap(),
                2 => release_lease(&next.environment, &next.deployment),
                _ => next.environment,
            });
            let held = environment.as_ref().unwrap().holder.is_some();
            prop_assert_eq!(held, end == 3);
        }
    }
}

/// Returns a lock of one image, and the deployment on `path` of a release with it.
fn imaged(execution: &str, path: DeploymentPath, version: &str, ami: &str) -> (ImageLock, Deployment) {
    let locked = LockedImage {
        parameter: "ImageId".parse().unwrap(),
        name: "logstash".parse().unwrap(),
        version: version.parse().unwrap(),
        commit: None,
        source_ami: "ami-00000001".parse().unwrap(),
    };
    let mut deployment = Deployment { path, ..deployment(execution, version) };
    change(&mut deployment, |deploy| drop(deploy.parameters.insert("ImageId".into(), ami.into())));
    (ImageLock([(locked.parameter.clone(), locked)].into()), deployment)
}

fn proven(environment: &Environment) -> Option<Vec<(String, String)>> {
    let images = &environment.proven_images.as_ref()?.images;
    Some(images.iter().map(|image| (image.version.to_string(), image.ami.to_string())).collect())
}

#[test]
fn an_environment_in_production_keeps_the_images_of_its_last_success() {
    let (lock, first) = imaged("a", DeploymentPath::Promotion, "2.1.3", "ami-00000003");
    let taken = acquire(None, &first, at(1)).unwrap();
    let done = complete(&taken.environment, &taken.deployment, &lock, at(2)).unwrap().environment.unwrap();
    let pair = |version: &str, ami: &str| Some(vec![(version.to_owned(), ami.to_owned())]);
    assert_eq!(proven(&done), pair("2.1.3", "ami-00000003"));
    assert_eq!(done.proven_images.as_ref().unwrap().at, at(2));
    // A failure keeps them, although the stack runs the newer release.
    let (_, second) = imaged("b", DeploymentPath::Promotion, "2.1.4", "ami-00000004");
    let taken = acquire(Some(&done), &second, at(3)).unwrap();
    let failed = fail(Some(&taken.environment), &taken.deployment, &caught("CheckFailed", "no"), at(4));
    let failed = failed.environment.unwrap();
    assert_eq!(proven(&failed), pair("2.1.3", "ami-00000003"));
    // A rollback goes back to its own.
    let (lock, back) = imaged("c", DeploymentPath::Promotion, "2.1.2", "ami-00000002");
    let taken = acquire(Some(&failed), &back, at(5)).unwrap();
    let done = complete(&taken.environment, &taken.deployment, &lock, at(6)).unwrap().environment.unwrap();
    assert_eq!(proven(&done), pair("2.1.2", "ami-00000002"));
    // A release without images proves none.
    let next = Deployment { path: DeploymentPath::Promotion, ..deployment("d", "1.0.0") };
    let taken = acquire(Some(&done), &next, at(7)).unwrap();
    let done = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(8)).unwrap();
    assert_eq!(proven(&done.environment.unwrap()), Some(Vec::new()));
}

#[test]
fn an_environment_of_the_delivery_path_keeps_no_images() {
    let (lock, deployment) = imaged("a", DeploymentPath::Delivery, "2.1.3", "ami-00000003");
    let taken = acquire(None, &deployment, at(1)).unwrap();
    let done = complete(&taken.environment, &taken.deployment, &lock, at(2)).unwrap();
    assert_eq!(proven(&done.environment.unwrap()), None);
}

#[test]
fn a_success_without_the_id_of_a_locked_image_is_a_bug() {
    let (lock, mut deployment) = imaged("a", DeploymentPath::Promotion, "2.1.3", "ami-00000003");
    change(&mut deployment, |deploy| deploy.parameters.clear());
    let taken = acquire(None, &deployment, at(1)).unwrap();
    let failure = complete(&taken.environment, &taken.deployment, &lock, at(2)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Bug);
}

#[test]
fn a_test_environment_is_named_after_component_version_and_branch() {
    let component: ComponentName = "logs-broker".parse().unwrap();
    let named = |version: &str| test_name(&component, &version.parse().unwrap());
    assert_eq!(named("2.1.37"), "logs-broker-2-1-37");
    assert_eq!(named("2.1.37-Fix-It.1"), "logs-broker-2-1-37-fix-it-1");
    assert_eq!(
        named("2.1.37-release-please--branches--main.1"),
        "logs-broker-2-1-37-release-please-branches-main-1"
    );
    let long: ComponentName = "a".repeat(60).parse().unwrap();
    let made = test_name(&long, &format!("4000000000.1.2-{}.1", "b-".repeat(20)).parse().unwrap());
    assert!(made.len() <= 90 && made.contains("-4000000000-1-2-"), "{made}");
}

proptest! {
    #[test]
    fn each_branch_that_git_allows_gives_a_good_name_of_its_own(
        branches in proptest::collection::vec("([a-zA-Z0-9_./#@()+=,%\u{a0}-]|\\PC){1,60}|--|[0-9]{1,9}|-", 2..5),
        component in "[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,9}){0,3}",
    ) {
        let component: ComponentName = component.parse().unwrap();
        let of = MajorMinor { major: 1, minor: 0 };
        let names: Vec<String> = (0..).zip(&branches)
            .map(|(count, branch)| test_name(&component, &next_version(of, BranchKind::Other(branch), count)))
            .collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        prop_assert_eq!(distinct.len(), names.len(), "{:?}", names);
        for (asked, branch) in names.iter().zip(&branches) {
            let begin = format!("{component}-1-0-");
            prop_assert!(asked.starts_with(&begin), "{}", asked);
            prop_assert_eq!(name(&component, Some(asked)).unwrap(), asked.clone());
            prop_assert!(stack_name(&"test".parse().unwrap(), asked).is_ok());
            // The first word of the branch can be read in the name.
            let words = branch.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
            let first: String = words.into_iter().find(|word| !word.is_empty()).unwrap_or_default();
            prop_assert!(asked.contains(first.get(..10).unwrap_or(&first)), "{} in {}", branch, asked);
        }
    }
}
