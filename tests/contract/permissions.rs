//! The permissions of the execution role: the policy that the log stack ships, and the table that only the command
//! embeds.

use crate::stack::repository;
use lockstep_cli::context::CommandContext;
use lockstep_cli::failure::Exit;
use lockstep_cli::output::Output;
use lockstep_cli::permissions_table;
use lockstep_domain::stacks::permissions::policy::{POLICIES_PER_ROLE, POLICY_CHARS_MAX};
use serde_json::Value;
use std::path::Path;

/// The policy of the log stack's execution role, and the command that writes it.
const SHIPPED: &str = "infra/log-stack/execution-policy.json";
const COMMAND: [&str; 4] = ["permissions", "infra/log-stack", "--format", "cloudformation"];

#[tokio::test]
async fn the_log_stack_ships_the_policy_that_the_command_writes() {
    let output = Output::memory(false);
    let arguments: Vec<String> = COMMAND.map(str::to_owned).into();
    let report = lockstep_cli::run(&arguments, &CommandContext::bare(&repository(), output.clone())).await;
    assert_eq!(report.exit, Exit::Done, "{}", output.captured());
    let shipped = std::fs::read_to_string(repository().join(SHIPPED)).unwrap_or_default();
    let shipped: Value = serde_json::from_str(&shipped).unwrap_or_default();
    let again = format!("run: lockstep {} >{SHIPPED}", COMMAND.join(" "));
    assert!(shipped == report.document["template"], "{SHIPPED} is out of date; {again}");
    assert_eq!(report.document["unknown"], Value::Array(Vec::new()));
}

#[test]
fn the_policies_of_the_log_stack_fit_a_role_and_have_no_wildcard_action() {
    let text = std::fs::read_to_string(repository().join(SHIPPED)).unwrap();
    let template: Value = serde_json::from_str(&text).unwrap();
    let policies = template["Resources"].as_object().unwrap();
    assert!(policies.len() <= POLICIES_PER_ROLE);
    for (name, policy) in policies {
        let document = &policy["Properties"]["PolicyDocument"];
        let written = document.to_string().replace(r#"{"Fn::Sub":"#, "").replace("\"}", "\"");
        assert!(written.chars().count() <= POLICY_CHARS_MAX, "{name}");
        for statement in document["Statement"].as_array().unwrap() {
            assert!(!statement["Action"].to_string().contains('*'), "{name}: {statement}");
            let passes = statement["Action"] == "iam:PassRole";
            assert!(!passes || statement["Resource"] != "*", "{name}: {statement}");
        }
    }
}

#[test]
fn no_function_embeds_the_permission_table() {
    fn mentions(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => mentions(&path, found),
                Some("rs" | "toml") => {
                    let text = std::fs::read_to_string(&path).unwrap();
                    if text.contains("cloudformation.json.gz") {
                        found.push(path.display().to_string());
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["functions", "shared", "local/src"] {
        mentions(&repository().join(folder), &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(permissions_table::COMPRESSED.len() < 1 << 20, "the command grows by the whole table");
}
