//! The log intake for applications: its table, the principals that read and write it, and its metrics.

use crate::components::{stack, template};
use crate::iam::keys_for;
use crate::installed::stacks;
use crate::policy::roles;
use lockstep_domain::logs::ingest::Reason;
use lockstep_domain::records::Table;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn the_log_intake_cannot_create_keys_and_the_key_issuer_does_only_that() {
    let door = stack("log-intake", "production", &[]);
    let (_, policy) = &door.resources("AWS::IAM::ManagedPolicy")[0];
    for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
        let keys = &statement["Condition"];
        match statement["Sid"].as_str().unwrap() {
            "FindTheTable" => assert_eq!(statement["Action"], "cloudformation:DescribeStacks"),
            "Applications" => {
                assert_eq!(statement["Action"], json!(["dynamodb:GetItem", "dynamodb:PutItem"]));
                assert_eq!(keys["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], json!(["APPLICATION#*"]));
            }
            "AllOfThem" => {
                assert_eq!(statement["Action"], "dynamodb:Query");
                assert_eq!(keys["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"], json!(["APPLICATION"]));
            }
            other => panic!("{other}"),
        }
    }
    let roles = roles(&[door]);
    let role = roles.values().next().unwrap();
    assert_eq!(keys_for(role, "dynamodb:GetItem"), ["APPLICATION#*", "BUCKET#*"]);
    assert_eq!(keys_for(role, "dynamodb:PutItem"), ["BUCKET#*"]);
}

#[test]
fn every_table_of_records_has_the_same_keys_and_index() {
    let tables = |stack: &crate::stack::Stack| stack.resources("AWS::DynamoDB::Table");
    let all = stacks();
    let mut ledger = all.iter().find(|stack| stack.name == "lockstep-control-plane").map(tables).unwrap();
    let names: BTreeSet<_> = ledger.iter().map(|(_, table)| table["TableName"].as_str().unwrap()).collect();
    assert_eq!(names, Table::OF_CONTROL_PLANE.iter().map(|table| table.name()).collect());
    let own = stack("log-intake", "production", &[]);
    let (_, first) = ledger.remove(0);
    for (_, other) in ledger.iter().chain(&tables(&own)) {
        for property in [
            "AttributeDefinitions",
            "GlobalSecondaryIndexes",
            "KeySchema",
            "PointInTimeRecoverySpecification",
            "TimeToLiveSpecification",
        ] {
            assert_eq!(other[property], first[property], "{property}");
        }
    }
}

#[test]
fn the_work_that_all_callers_together_can_cause_is_bounded() {
    let (_, function) = &stack("log-intake", "production", &[]).resources("AWS::Lambda::Function")[0];
    assert_eq!(function["ReservedConcurrentExecutions"], "100");
}

#[test]
fn the_intake_sends_every_metric_that_its_alarms_watch() {
    let sent: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.metric().name()).collect();
    for (id, alarm) in stack("log-intake", "production", &[]).resources("AWS::CloudWatch::Alarm") {
        if alarm["Namespace"] == "Lockstep/LogIntake" {
            assert!(sent.contains(alarm["MetricName"].as_str().unwrap()), "{id}");
            assert_eq!(alarm["Dimensions"][0]["Name"], "function", "{id}");
        }
    }
}

#[test]
fn a_client_gets_an_answer_before_lambda_and_most_clients_time_out() {
    let timeout = &template("log-intake").to_json()["Parameters"]["TimeoutSeconds"];
    assert!(timeout["MaxValue"].as_u64().unwrap() <= 60);
}
