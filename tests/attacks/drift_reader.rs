//! S9 S11: the credentials of the reader of drift are stolen, to read a secret or to change what runs.
//!
//! Fails without the exact actions of `lockstep-<path>-drift-reader`, or without the leading keys of the function's role.

use crate::{every_role, role_of};
use lockstep_tests::policy::{Context, Role, allowed};
use std::collections::BTreeSet;

/// Returns the readers of every account.
fn readers() -> Vec<&'static Role> {
    let found: Vec<&Role> =
        every_role().values().filter(|role| role.name.ends_with("-drift-reader")).collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn a_stolen_reader_of_drift_reads_no_secret() {
    for reader in readers() {
        let account = &reader.account;
        for (action, resource) in [
            (
                "secretsmanager:GetSecretValue",
                format!("arn:aws:secretsmanager:eu-west-1:{account}:secret:logs-AbCdEf"),
            ),
            ("ssm:GetParameter", format!("arn:aws:ssm:eu-west-1:{account}:parameter/team/secret")),
            ("ssm:GetParametersByPath", format!("arn:aws:ssm:eu-west-1:{account}:parameter/team")),
            ("kms:Decrypt", format!("arn:aws:kms:eu-west-1:{account}:key/0123")),
            ("s3:GetObject", "arn:aws:s3:::data/customers.csv".to_owned()),
            ("dynamodb:GetItem", format!("arn:aws:dynamodb:eu-west-1:{account}:table/orders")),
            ("logs:GetLogEvents", format!("arn:aws:logs:eu-west-1:{account}:log-group:orders:*")),
        ] {
            assert!(
                !allowed(&reader.statements, action, &resource, &Context::new()),
                "{}: {action}",
                reader.name
            );
        }
    }
}

#[test]
fn a_stolen_reader_of_drift_changes_nothing_and_goes_no_further() {
    for reader in readers() {
        let account = &reader.account;
        for (action, resource) in [
            ("cloudformation:UpdateStack", format!("arn:aws:cloudformation:eu-west-1:{account}:stack/any/1")),
            (
                "cloudformation:ExecuteChangeSet",
                format!("arn:aws:cloudformation:eu-west-1:{account}:stack/any/1"),
            ),
            ("cloudformation:UpdateResource", "*".to_owned()),
            ("cloudformation:DeleteResource", "*".to_owned()),
            ("sqs:SetQueueAttributes", format!("arn:aws:sqs:eu-west-1:{account}:any")),
            ("sts:AssumeRole", format!("arn:aws:iam::{account}:role/Administrator")),
            ("iam:PassRole", format!("arn:aws:iam::{account}:role/Administrator")),
        ] {
            assert!(
                !allowed(&reader.statements, action, &resource, &Context::new()),
                "{}: {action}",
                reader.name
            );
        }
    }
}

/// A report is a claim. The function that writes it writes no record that permits a deployment.
#[test]
fn a_function_of_drift_in_the_hands_of_an_attacker_lies_in_reports_alone() {
    for path in ["delivery", "promotion"] {
        let role = role_of(&format!("{path}-drift"));
        let writes: BTreeSet<String> = role.resources_for("dynamodb:PutItem");
        assert_eq!(writes.len(), 1, "{writes:?}");
        assert!(writes.iter().all(|arn| arn.ends_with(&format!("table/lockstep-{path}"))), "{writes:?}");
        let table = writes.first().unwrap();
        for (keys, may) in [("DRIFT#staging", true), ("DEPLOYMENT#d1", false), ("TRAFFIC#t", false)] {
            let context = Context::from([("dynamodb:leadingkeys", keys)]);
            assert_eq!(allowed(&role.statements, "dynamodb:PutItem", table, &context), may, "{keys}");
        }
    }
}
