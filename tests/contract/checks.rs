//! The deadlines of checks, the function that runs them, and the state that waits for it.

use crate::installed::{PATHS, TOOLING, stacks};
use crate::machine::states;
use crate::stack::REGION;
use lockstep_domain::delivery::checks::{Check, Deadline};
use lockstep_domain::records::Table;

/// The seconds that the check function needs besides the checks: to start, to read the artifact of the release, to
/// record and to report.
const BESIDE_SECONDS: u64 = 45;

#[test]
fn a_check_that_uses_its_longest_deadline_is_still_reported() {
    let longest = Deadline::MAX.duration().as_secs();
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
        for table in [Table::Authority, Table::Operations] {
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
