//! Each transition as a whole record: every field that it sets, and none that it does not.

use super::*;
use crate::model::image_lock::ImageLock;
use crate::records::StackClaim;

fn failure(error: &str, message: &str) -> FailureRecord {
    FailureRecord { error: error.into(), message: message.into() }
}

/// Returns an acquired environment whose deployment reported its stack.
fn with_claim(arn: &str, stable: bool, taint: Option<&str>) -> Acquired {
    let mut taken = taken("a", "1.0.0", None);
    let run = taken.deployment.stack_mut().unwrap();
    run.claim = Some(StackClaim { arn: arn.into(), stable });
    run.taint = taint.map(str::to_owned);
    taken
}

#[test]
fn acquiring_records_the_holder_and_starts_the_deployment() {
    let waiting = Deployment { state: DeploymentState::AwaitingApproval, ..deployment("a", "1.0.0") };
    let taken = acquire(None, &waiting, at(7)).unwrap();
    let expected = Environment {
        epoch: 1,
        holder: Some(LeaseHolder {
            deployment: waiting.id.clone(),
            execution: waiting.execution.clone(),
            since: at(7),
        }),
        last_deployment: Some(waiting.id.clone()),
        ..Environment::new("ci".parse().unwrap(), "logs", "logs".parse().unwrap())
    };
    assert_eq!(taken.environment, expected);
    assert_eq!(taken.deployment, Deployment { epoch: 1, state: DeploymentState::Running, ..waiting });
}

#[test]
fn acquiring_again_changes_holder_epoch_and_last_deployment_only() {
    let before = Environment { taint: Some("Queue was skipped".into()), ..completed("a", "1.0.0", None) };
    let next = deployment("b", "1.0.1");
    let taken = acquire(Some(&before), &next, at(7)).unwrap();
    let holder = LeaseHolder { deployment: next.id.clone(), execution: next.execution.clone(), since: at(7) };
    let expected =
        Environment { epoch: 2, holder: Some(holder), last_deployment: Some(next.id.clone()), ..before };
    assert_eq!(taken.environment, expected);
}

#[test]
fn success_closes_the_deployment_and_forgets_an_earlier_failure() {
    let mut taken = taken("a", "1.0.0", None);
    taken.deployment.failure = Some(failure("StackFailed", "it broke"));
    let done = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(9)).unwrap();
    let closed = Deployment {
        state: DeploymentState::Succeeded,
        failure: None,
        finished_at: Some(at(9)),
        ..taken.deployment.clone()
    };
    assert_eq!(done.deployment, closed);
    let runs = Deployed {
        version: "1.0.0".parse().unwrap(),
        digest: digest("1.0.0"),
        template_digest: digest("template"),
        parameters_digest: digest("parameters"),
        late_digest: None,
        stack_version: "1.0.0".parse().unwrap(),
        deployment: taken.deployment.id.clone(),
        checked: true,
        overridden: Default::default(),
        since: at(9),
    };
    let expected = Environment {
        holder: None,
        deployed: Some(runs),
        stack_arn: Some("arn:stack".into()),
        ever_stable: true,
        ..taken.environment
    };
    assert_eq!(done.environment, Some(expected));
}

#[test]
fn success_without_a_reported_stack_keeps_the_known_stack() {
    let first = completed("a", "1.0.0", None);
    let mut second = taken("b", "1.0.1", Some(&first));
    change(&mut second.deployment, |deploy| deploy.stack.arn = None);
    let done = complete(&second.environment, &second.deployment, &ImageLock::default(), at(9))
        .unwrap()
        .environment
        .unwrap();
    assert_eq!(done.stack_arn.as_deref(), Some("arn:stack"));
}

#[test]
fn an_image_completes_in_no_environment() {
    let taken = taken("a", "1.0.0", None);
    let image = Deployment { body: testing::promotion().into(), ..taken.deployment };
    let refused = complete(&taken.environment, &image, &ImageLock::default(), at(9)).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Bug);
    assert!(refused.message.contains("holds no environment"), "{refused}");
}

#[test]
fn failure_closes_the_deployment_with_its_time_and_its_reason() {
    let mut taken = taken("a", "1.0.0", None);
    change(&mut taken.deployment, |deploy| deploy.stack_changed = false);
    let failed = fail(Some(&taken.environment), &taken.deployment, &caught("StackFailed", "it broke"), at(9));
    let why =
        failure("StackFailed", "logs 1.0.0 was not deployed to ci: it broke. No release of it runs in ci.");
    assert_eq!(failed.failure, why);
    let closed = Deployment {
        state: DeploymentState::Failed,
        failure: Some(why),
        finished_at: Some(at(9)),
        ..taken.deployment.clone()
    };
    assert_eq!(failed.deployment, Some(closed));
    // The stack exists and is named, although no release runs in it.
    let expected =
        Environment { holder: None, stack_arn: Some("arn:stack".into()), ..taken.environment.clone() };
    assert_eq!(failed.environment, Some(expected));
}

#[test]
fn failure_without_a_reported_stack_keeps_the_known_stack() {
    let first = completed("a", "1.0.0", None);
    let mut second = taken("b", "1.0.1", Some(&first));
    change(&mut second.deployment, |deploy| (deploy.stack_changed, deploy.stack.arn) = (false, None));
    let left = after(&second.environment, &second.deployment, Fate::NotDone, at(9));
    assert_eq!(left, second.environment);
}

#[test]
fn a_refusal_closes_the_deployment_with_its_time_and_its_reason() {
    let waiting = Deployment { state: DeploymentState::AwaitingApproval, ..deployment("a", "1.0.0") };
    let failed = fail(None, &waiting, &caught("ApprovalRefused", "ada refused it"), at(9));
    assert_eq!(failed.failure.error, "ApprovalRefused");
    let closed = Deployment {
        state: DeploymentState::Refused,
        failure: Some(failed.failure),
        finished_at: Some(at(9)),
        ..waiting
    };
    assert_eq!((failed.environment, failed.deployment), (None, Some(closed)));
}

#[test]
fn abandoning_closes_the_deployment_with_its_time_and_its_reason() {
    let open = deployment("a", "1.0.0");
    let message = "logs 1.0.0 runs in ci, and its checks gave no result: its execution ended without closing it; ada freed it";
    let why = failure("Superseded", message);
    let closed = Deployment {
        state: DeploymentState::Abandoned,
        failure: Some(why),
        finished_at: Some(at(9)),
        ..open.clone()
    };
    assert_eq!(abandon(&open, "ada freed it", at(9)), Some(closed));
}

#[test]
fn a_changed_record_fails_and_taints_the_environment_it_holds() {
    let mut taken = with_claim("arn:forged", true, None);
    let charter = Charter::of(&taken.deployment).unwrap();
    taken.deployment.version = "9.0.0".parse().unwrap();
    let why = charter.check(&taken.deployment).unwrap_err();
    let failed = distrust(Some(&taken.environment), &charter, &taken.deployment, &why, at(9));
    let recorded = failure("Rejected", &why.message);
    let closed = Deployment {
        state: DeploymentState::Failed,
        failure: Some(recorded.clone()),
        finished_at: Some(at(9)),
        ..taken.deployment.clone()
    };
    // Nothing that the changed record reports is believed: the stack's ARN remains unknown.
    let tainted = Environment { holder: None, taint: Some(why.message), ..taken.environment };
    let expected = Failed { environment: Some(tainted), deployment: Some(closed), failure: recorded };
    assert_eq!(failed, expected);
}

#[test]
fn a_changed_record_taints_no_environment_of_another_holder() {
    let first = taken("a", "1.0.0", None);
    let charter = Charter::of(&first.deployment).unwrap();
    let second = taken("b", "1.0.1", Some(&first.environment));
    let why = Failure::rejected("the record was changed");
    let released = release_lease(&first.environment, &first.deployment);
    for environment in [Some(&second.environment), Some(&released), None] {
        assert_eq!(distrust(environment, &charter, &first.deployment, &why, at(9)).environment, None);
    }
}

#[test]
fn reports_of_a_deployment_move_into_its_environment() {
    let free = taken("a", "1.0.0", None).environment;
    let known = |arn: &str, ever_stable| Environment {
        stack_arn: Some(arn.into()),
        ever_stable,
        taint: Some("old".into()),
        ..free.clone()
    };
    for (before, stable, ever_stable) in [
        (free.clone(), false, false),
        (free.clone(), true, true),
        (known("arn:new", true), false, true),
        (known("arn:new", false), false, false),
        // Another stack under the same name was never stable.
        (known("arn:old", true), false, false),
        (known("arn:old", false), true, true),
    ] {
        for (reported, taint) in [(None, before.taint.clone()), (Some("new"), Some("new".to_owned()))] {
            let deployment = with_claim("arn:new", stable, reported).deployment;
            let expected =
                Environment { stack_arn: Some("arn:new".into()), ever_stable, taint, ..before.clone() };
            assert_eq!(with_claims(&before, &deployment), expected, "{before:?} {stable}");
        }
    }
}

#[test]
fn a_deployment_without_a_claim_reports_only_its_taint() {
    let before = completed("a", "1.0.0", None);
    let mut deployment = deployment("b", "1.0.1");
    assert_eq!(with_claims(&before, &deployment), before);
    deployment.stack_mut().unwrap().taint = Some("Queue was skipped".into());
    let tainted = Environment { taint: Some("Queue was skipped".into()), ..before.clone() };
    assert_eq!(with_claims(&before, &deployment), tainted);
    assert_eq!(with_claims(&before, &run("c", "1.0.0", testing::promotion())), before);
}

#[test]
fn a_dead_holder_leaves_what_its_deployment_reported() {
    let mut dead = with_claim("arn:new", true, None);
    change(&mut dead.deployment, |deploy| (deploy.stack_changed, deploy.stack.arn) = (false, None));
    let expected = Environment {
        epoch: 2,
        holder: None,
        stack_arn: Some("arn:new".into()),
        ever_stable: true,
        ..dead.environment.clone()
    };
    assert_eq!(release_dead_holder(&dead.environment, &dead.deployment, at(9)), expected);
}

#[test]
fn a_lost_lease_and_a_closed_deployment_have_their_own_messages() {
    let first = taken("a", "1.0.0", None);
    let closed = Deployment { state: DeploymentState::Failed, ..first.deployment.clone() };
    for (environment, deployment, wanted) in [
        (Some(&first.environment), &closed, "is closed already"),
        (None, &closed, "is closed already"),
        (None, &first.deployment, "no longer holds its environment"),
    ] {
        let refused = still_holds(environment, deployment).unwrap_err();
        assert!(refused.message.contains(wanted), "{refused}");
    }
}

#[test]
fn the_longest_name_is_accepted_and_a_longer_one_is_cut_in_the_message() {
    let component: ComponentName = "logs".parse().unwrap();
    let longest = "x".repeat(NAME_CHARS);
    assert_eq!(name(&component, Some(&longest)).unwrap(), longest);
    let refused = name(&component, Some(&format!("{longest}y"))).unwrap_err();
    assert!(refused.message.starts_with(&format!("'{longest}' is not")), "{refused}");
}

#[test]
fn a_failure_names_the_kind_of_the_deployment_and_its_environment() {
    for (body, wanted) in [
        (
            testing::deploy("logs-2", "ci-logs-2").into(),
            "logs 1.0.0 was not deployed to ci as logs-2: it broke.",
        ),
        (testing::promotion().into(), "1.0.0 was not copied to ci: it broke."),
        (testing::build().into(), "1.0.0 was not built in ci: it broke."),
    ] {
        let body: DeploymentBody = body;
        let failed = fail(None, &run("a", "1.0.0", body), &caught("E", " it broke.. "), at(9));
        assert_eq!(failed.failure.message, format!("{wanted} No release of it runs in ci."));
    }
}

#[test]
fn a_failure_repeats_the_beginning_of_a_long_sentence() {
    let long = "x".repeat(SENTENCE_CHARS + 1);
    let failed = fail(None, &deployment("a", "1.0.0"), &caught("E", &long), at(9));
    assert_eq!(failed.failure.message.matches('x').count(), SENTENCE_CHARS);
}

#[test]
fn a_first_cause_without_a_reason_is_still_named() {
    let mut first = taken("a", "1.0.0", None);
    let cause = FailedEvent {
        logical_id: "Queue".into(),
        resource_type: "AWS::SQS::Queue".into(),
        status: "CREATE_FAILED".into(),
        reason: String::new(),
        denied: None,
        line: None,
        at: at(0),
    };
    change(&mut first.deployment, |deploy| deploy.diagnosis.push(cause));
    let failed = fail(None, &first.deployment, &caught("StackFailed", "it broke"), at(9));
    assert!(failed.failure.message.contains("First cause: Queue"), "{}", failed.failure.message);
}
