//! The deadlines of checks, the function that runs them, and the state that waits for it.

use crate::installed::{PATHS, TOOLING, stacks};
use crate::machine::states;
use crate::stack::REGION;
use lockstep_domain::delivery::checks::{Check, Deadline};
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::Table;

/// The seconds that the check function needs besides the checks: to start, to read the artifact of the release, to
/// record and to report.
const BESIDE_SECONDS: u64 = 45;

/// The seconds for which an invocation looks: its patience, and a call that began at its end.
const LOOK_SECONDS: u64 = 20 + 60;

/// Returns the delays of the retries of a pending check, in seconds.
fn delays() -> Vec<f64> {
    let policy = lockstep_tests::state_machines().policies()["lambda_check"].clone();
    let pending = FailureKind::ChecksPending.error_type();
    let retrier =
        policy.as_array().unwrap().iter().find(|retrier| retrier["ErrorEquals"][0] == pending).unwrap();
    let number = |field: &str| retrier[field].as_f64().unwrap();
    let attempts = retrier["MaxAttempts"].as_i64().unwrap();
    let of = |n| number("IntervalSeconds") * number("BackoffRate").powi(i32::try_from(n).unwrap());
    (0..attempts).map(|n| of(n).min(number("MaxDelaySeconds"))).collect()
}

#[test]
fn retries_of_a_pending_check_last_longer_than_any_deadline() {
    let delays = delays();
    let whole: f64 = delays.iter().sum();
    assert!(whole > Deadline::MAX.duration().as_secs_f64() + 60.0, "{whole}");
    let mut past = 0.0;
    let within_an_hour = delays.iter().take_while(|delay| {
        past += **delay;
        past < 3600.0
    });
    // Each look is a transition: the state, or a retry of it.
    assert!(within_an_hour.count() < 100);
    assert_eq!(delays.last(), Some(&60.0), "the pauses grow to a minute");
}

#[test]
fn an_invocation_that_looks_as_long_as_it_may_is_still_reported() {
    let longest = LOOK_SECONDS;
    let stacks = stacks();
    let functions: Vec<_> = stacks.iter().flat_map(|s| s.resources("AWS::Lambda::Function")).collect();
    for path in PATHS {
        let name = format!("lockstep-{path}-verify");
        let found = functions.iter().find(|(_, function)| function["FunctionName"] == name.as_str());
        let timeout = found.unwrap().1["Timeout"].as_u64().unwrap();
        assert!(
            timeout >= longest + BESIDE_SECONDS,
            "{name} may run for {timeout} s, its checks for {longest}"
        );
    }
    let waiting: Vec<_> =
        states("deploy").into_iter().filter(|s| s.function() == Some("VerifyFunction")).collect();
    assert_eq!(waiting.len(), 1);
    let limit = waiting[0].value["TimeoutSeconds"].as_u64().unwrap();
    assert!(limit >= longest + BESIDE_SECONDS, "{} waits {limit} s", waiting[0].at());
}

#[test]
fn the_check_function_may_read_what_a_stage_permits_and_write_nothing() {
    let roles = crate::policy::roles(&stacks());
    for path in PATHS {
        let role = &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-{path}-verify-role")];
        for table in [Table::Authority, Table::of(path.parse().unwrap())] {
            let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
            assert!(role.resources_for("dynamodb:Query").contains(&arn), "{path}");
        }
        assert_eq!(crate::iam::keys_for(role, "dynamodb:Query"), ["COMPONENT#*", "CONFIG", "DEPLOYMENT#*"]);
    }
}

#[test]
fn every_kind_of_check_is_documented() {
    let operations = crate::stack::repository().join("docs/operations.md");
    let text = std::fs::read_to_string(operations).unwrap();
    let chapter = text.split("\n## ").find(|chapter| chapter.starts_with("Checks\n")).unwrap();
    for kind in Check::KINDS {
        assert!(chapter.contains(&format!("\n| `{kind}` |")), "{kind}");
    }
}
