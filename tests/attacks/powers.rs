//! The strongest that each function can do with its credentials, derived from the templates: what an attacker gains who
//! controls its code. `powers.txt` holds the list, so that a change of the templates that gives a function a new power
//! must write it down. `cargo test --test attacks powers -- --nocapture` prints it; with `LOCKSTEP_WRITE_POWERS=1` the
//! test writes it.

use crate::{every_role, folder};
use lockstep_tests::installed::TOOLING;
use lockstep_tests::policy::{Role, Statement, texts};
use std::collections::{BTreeMap, BTreeSet};

/// Heading of a kind of powers, and the test of an action that belongs to it.
type Kind = (&'static str, fn(&str) -> bool);

/// The kinds of powers, in the order of the list.
const KINDS: [Kind; 6] = [
    ("writes", |action| {
        ["DeleteItem", "PutItem", "UpdateItem"].iter().any(|verb| action == format!("dynamodb:{verb}"))
    }),
    ("assumes", |action| action == "sts:AssumeRole"),
    ("starts", |action| action == "states:StartExecution"),
    ("invokes", |action| action == "lambda:InvokeFunction"),
    ("reads secrets", |action| action == "secretsmanager:GetSecretValue"),
    ("does", |action| !is_read(action) && !action.starts_with("logs:")),
];

/// Returns true if an action changes nothing. Reads of records are not listed: every decision reads.
fn is_read(action: &str) -> bool {
    let verb = action.split(':').nth(1).unwrap_or_default();
    ["BatchGet", "ConditionCheck", "Describe", "Get", "Head", "List", "Query"]
        .iter()
        .any(|read| verb.starts_with(read))
}

/// Returns what an action may be done to: items by table and key, roles by account, anything else by its name.
fn objects(action: &str, statement: &Statement) -> BTreeSet<String> {
    let keys = texts(&statement.condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
    let accounts = texts(&statement.condition["StringEquals"]["aws:ResourceAccount"]);
    let named = |arn: &String| {
        let name = arn.splitn(6, ':').nth(5).unwrap_or(arn);
        let name = arn.strip_prefix("arn:aws:s3:::").unwrap_or(name);
        match action.split(':').next() {
            // An index holds no items of its own.
            Some("dynamodb") if name.contains("/index/") => Vec::new(),
            Some("dynamodb") if keys.is_empty() => vec![format!("{name}: every item")],
            Some("dynamodb") => keys.iter().map(|key| format!("{name}: {key}")).collect(),
            Some("sts") => accounts.iter().map(|account| format!("{name} in {account}")).collect(),
            _ => vec![name.to_owned()],
        }
    };
    statement.resources.iter().flat_map(named).collect()
}

/// Returns the powers of a role by kind.
fn powers(role: &Role) -> BTreeMap<usize, BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for statement in role.statements.iter().filter(|statement| statement.allows) {
        for action in &statement.actions {
            let Some(kind) = KINDS.iter().position(|(_, is_of)| is_of(action)) else { continue };
            let of_kind = found.entry(kind).or_default();
            for object in objects(action, statement) {
                of_kind.insert(if KINDS[kind].0 == "does" {
                    format!("{action} on {object}")
                } else {
                    object
                });
            }
        }
    }
    found
}

fn listed() -> String {
    let mut text = String::new();
    let is_function = |role: &&Role| role.trust.iter().any(|s| s.principals == ["lambda.amazonaws.com"]);
    for role in every_role().values().filter(|role| role.account == TOOLING).filter(is_function) {
        text.push_str(&format!("{}\n", role.name.trim_end_matches("-role")));
        for (kind, objects) in powers(role) {
            for object in objects {
                text.push_str(&format!("    {} {object}\n", KINDS[kind].0));
            }
        }
    }
    text
}

#[test]
fn every_power_of_a_function_is_written_down() {
    let (found, path) = (listed(), folder().join("powers.txt"));
    println!("{found}");
    if std::env::var_os("LOCKSTEP_WRITE_POWERS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (found, written) = (lines(&found), lines(&written));
    let difference = found.iter().zip(&written).position(|(found, written)| found != written);
    let at = difference.unwrap_or_else(|| found.len().min(written.len()));
    assert!(
        found == written,
        "powers.txt differs from line {}: the templates give {:?}, the list has {:?}; read the change, then run this test \
         with LOCKSTEP_WRITE_POWERS=1",
        at + 1,
        found.get(at),
        written.get(at)
    );
    assert!(found.len() > 100, "only {} lines", found.len());
}
