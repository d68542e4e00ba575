//! The kinds of callers of the authority: the policies of people, and the roles of its functions.

use crate::iam::keys_for;
use crate::installed::{TOOLING, stacks};
use crate::policy::{Role, Statement, all_statements, glob, roles, texts};
use crate::stack::REGION;
use lockstep_domain::messages::callers::Callers;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn people_call_their_own_ledger_by_its_url_only() {
    let function = |name: &str| format!("arn:aws:lambda:{REGION}:{TOOLING}:function:{name}");
    // Beside their ledger by its URL: the functions that people invoke directly.
    let further = BTreeMap::from([
        (Callers::Operators, vec!["lockstep-sweep"]),
        (Callers::Approvers, vec![]),
        (Callers::Administrators, vec!["lockstep-delivery-image", "lockstep-sweep"]),
    ]);
    for people in Callers::PEOPLE {
        let statements = of_people(people);
        let ledger = function(&people.function());
        let on_ledger = |action: &str| {
            let found = statements.iter().find(|s| s.actions == [action] && s.resources == [ledger.clone()]);
            found.unwrap_or_else(|| panic!("{people:?} lack {action}")).condition.clone()
        };
        assert_eq!(
            on_ledger("lambda:InvokeFunctionUrl"),
            json!({"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}})
        );
        let by_url_only = json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}});
        assert_eq!(on_ledger("lambda:InvokeFunction"), by_url_only);
        let invoked: BTreeSet<String> = statements
            .iter()
            .filter(|s| s.actions.iter().any(|action| action.starts_with("lambda:Invoke")))
            .flat_map(|s| s.resources.clone())
            .collect();
        let expected = further[&people].iter().map(|name| function(name)).chain([ledger]).collect();
        assert_eq!(invoked, expected, "{people:?}");
    }
}

/// Returns the statements of the managed policy of a kind of people.
fn of_people(people: Callers) -> Vec<Statement> {
    let policy = people.policy().unwrap();
    let id = format!(":policy/{}{}Policy", policy[..1].to_uppercase(), &policy[1..]);
    let all = all_statements(&stacks()).into_iter().filter(|(owner, _)| owner.ends_with(&id));
    let found: Vec<Statement> = all.map(|(_, statement)| statement).collect();
    assert!(!found.is_empty(), "there is no policy {id}");
    found
}

/// A repository's secrets let their holder sign pushes and read code, so only those who register repositories have them.
#[test]
fn only_administrators_read_the_secrets_of_repositories() {
    for people in Callers::PEOPLE {
        let reads =
            of_people(people).iter().any(|s| s.actions.iter().any(|a| a.starts_with("secretsmanager:")));
        assert_eq!(reads, people == Callers::Administrators, "{people:?}");
    }
}

#[test]
fn people_cannot_write_the_ledger_directly_or_assume_a_role() {
    for people in Callers::PEOPLE {
        let actions: BTreeSet<String> = of_people(people).into_iter().flat_map(|s| s.actions).collect();
        let tables: Vec<&str> =
            actions.iter().map(String::as_str).filter(|a| a.starts_with("dynamodb:")).collect();
        assert_eq!(tables, ["dynamodb:GetItem", "dynamodb:Query"], "{people:?}");
        assert!(actions.iter().all(|a| !a.starts_with("sts:") && !a.starts_with("iam:")), "{people:?}");
    }
}

/// IAM cannot read a request, so the roles are the boundary between the kinds of callers.
#[test]
fn each_ledger_writes_only_what_its_callers_decide() {
    let roles = roles(&stacks());
    let of = |callers: Callers| &roles[&format!("arn:aws:iam::{TOOLING}:role/{}-role", callers.function())];
    for (callers, written) in [
        (Callers::Operators, &["DEPLOYMENT#*", "STAGE#*"][..]),
        (Callers::Approvers, &["APPROVAL#*"]),
        (Callers::Administrators, &["CONFIG", "EVIDENCE#*", "IMAGE#*", "REPOSITORY#*"]),
        (Callers::Delivery, &["COMPONENT#*", "DEPLOYMENT#*", "EVENT#*", "EVIDENCE#*", "STAGE#*", "WAIT#*"]),
        (Callers::Promotion, &["DEPLOYMENT#*", "EVIDENCE#*", "STAGE#*", "WAIT#*"]),
        (Callers::Sweep, &["DEPLOYMENT#*", "STAGE#*"]),
    ] {
        assert_eq!(keys_for(of(callers), "dynamodb:PutItem"), written, "{callers:?}");
    }
}

#[test]
fn only_administrators_write_the_configuration() {
    assert_eq!(writers_of("CONFIG"), ["lockstep-ledger-administrators-role"]);
}

/// No function that acts on a deployment may answer its question.
#[test]
fn only_approvers_write_answers() {
    assert_eq!(writers_of("APPROVAL#d1"), ["lockstep-ledger-approvers-role"]);
}

/// Returns the roles that may write the partition `key` of the ledger.
fn writers_of(key: &str) -> Vec<String> {
    const WRITES: [&str; 6] = [
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];
    let may = |role: &&Role| {
        let writes = |s: &&Statement| s.allows && s.actions.iter().any(|a| WRITES.contains(&a.as_str()));
        role.statements.iter().filter(writes).any(|statement| {
            let keys = texts(&statement.condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
            keys.is_empty() || keys.iter().any(|pattern| glob(pattern, key))
        })
    };
    let roles = roles(&stacks());
    roles.values().filter(|role| role.account == TOOLING).filter(may).map(|role| role.name.clone()).collect()
}

#[test]
fn the_ledger_deletes_environments_and_no_other_record() {
    let roles = roles(&stacks());
    for callers in Callers::ALL {
        let ledger = &roles[&format!("arn:aws:iam::{TOOLING}:role/{}-role", callers.function())];
        let expected: &[&str] = if callers.path().is_ok() { &["STAGE#*"] } else { &[] };
        assert_eq!(keys_for(ledger, "dynamodb:DeleteItem"), expected, "{callers:?}");
    }
}
