//! The kinds of callers of the authority: the policies of people, and the roles of its functions.

use crate::iam::keys_for;
use crate::installed::{TOOLING, stacks};
use crate::policy::{Role, Statement, all_statements, glob, roles, texts};
use crate::stack::REGION;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::records::Table;
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
    use Table::{Approvals, Authority, Delivery, Intake, Promotion};
    let written = |callers: Callers| -> Vec<(Table, Vec<String>)> {
        let role = role_of(callers);
        let by_table = |table: &Table| {
            let keys: BTreeSet<String> = writes(&role)
                .filter(|s| reaches(s, *table))
                .flat_map(|s| patterns(s).unwrap_or_else(|| vec!["*".to_owned()]))
                .collect();
            (!keys.is_empty()).then(|| (*table, keys.into_iter().collect()))
        };
        Table::OF_CONTROL_PLANE.iter().filter_map(by_table).collect()
    };
    let runs = "DEPLOYMENT#*";
    for (callers, expected) in [
        (
            Callers::Operators,
            vec![(Authority, vec!["STAGE#*", "START#*"]), (Delivery, vec![runs]), (Promotion, vec![runs])],
        ),
        (Callers::Approvers, vec![(Approvals, vec!["APPROVAL#*"])]),
        (
            Callers::Administrators,
            vec![(Authority, vec!["CONFIG", "EVIDENCE#*", "IMAGE#*", "OWNER#*", "REPOSITORY#*"])],
        ),
        (
            Callers::Delivery,
            vec![
                (Authority, vec!["COMPONENT#*", runs, "EVIDENCE#*", "OWNER#*", "STAGE#*"]),
                (Delivery, vec![runs]),
                (Intake, vec!["COMPONENT#*", "EVENT#*"]),
            ],
        ),
        (Callers::Promotion, vec![(Authority, vec![runs, "EVIDENCE#*", "STAGE#*"]), (Promotion, vec![runs])]),
        (Callers::Sweep, vec![(Authority, vec!["STAGE#*"]), (Delivery, vec![runs]), (Promotion, vec![runs])]),
    ] {
        let expected: Vec<(Table, Vec<String>)> = expected
            .into_iter()
            .map(|(table, keys)| (table, keys.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(written(callers), expected, "{callers:?}");
    }
}

#[test]
fn only_administrators_write_the_configuration() {
    assert_eq!(writers_of(Table::Authority, "CONFIG"), ["lockstep-ledger-administrators-role"]);
}

/// A push claims a name by way of the authority's machines, and administrators move it.
#[test]
fn only_the_authority_writes_the_owners_of_names() {
    let expected = ["lockstep-ledger-administrators-role", "lockstep-ledger-delivery-role"];
    for name in ["OWNER#component#logs", "OWNER#image#logstash"] {
        assert_eq!(writers_of(Table::Authority, name), expected);
    }
}

/// No function that acts on a deployment may answer its question.
#[test]
fn only_approvers_write_answers() {
    assert_eq!(writers_of(Table::Approvals, "APPROVAL#d1"), ["lockstep-ledger-approvers-role"]);
}

/// Who started a deployment decides who may approve it. No machine and no other function may say so.
#[test]
fn only_the_function_of_operators_writes_starters() {
    assert_eq!(writers_of(Table::Authority, "START#d1"), ["lockstep-ledger-operators-role"]);
}

#[test]
fn operators_start_only_runs_whose_starter_is_recorded() {
    let started = role_of(Callers::Operators).resources_for("states:StartExecution");
    let machine = |name| format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-{name}");
    let expected =
        ["delivery-deploy", "delivery-teardown", "promote", "promotion-deploy", "promotion-teardown"];
    assert_eq!(started, expected.map(machine).into());
}

/// The charter is what a deployment was allowed to be. The functions that act on a deployment must not change it.
#[test]
fn only_the_machines_of_the_authority_write_charters() {
    let expected = ["lockstep-ledger-delivery-role", "lockstep-ledger-promotion-role"];
    assert_eq!(writers_of(Table::Authority, "DEPLOYMENT#d1"), expected);
}

#[test]
fn no_function_of_one_path_writes_the_table_of_the_other() {
    for path in [DeploymentPath::Delivery, DeploymentPath::Promotion] {
        let word = path.as_str();
        let writers = writers_of(Table::of(path), "DEPLOYMENT#d1");
        let shared = ["lockstep-ledger-operators-role", "lockstep-ledger-sweep-role"];
        let own = |role: &&String| !shared.contains(&role.as_str());
        for role in writers.iter().filter(own) {
            assert!(role.contains(&format!("-{word}-")), "{role} writes the table of the path {word}");
        }
        assert!(writers.contains(&format!("lockstep-ledger-{word}-role")), "{writers:?}");
    }
}

/// Returns the role of the function of a kind of callers.
fn role_of(callers: Callers) -> Role {
    let name = format!("arn:aws:iam::{TOOLING}:role/{}-role", callers.function());
    roles(&stacks()).remove(&name).unwrap()
}

/// Returns the statements that allow to write items, other than to delete them.
fn writes(role: &Role) -> impl Iterator<Item = &Statement> {
    const WRITES: [&str; 5] = [
        "dynamodb:BatchWriteItem",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];
    role.statements.iter().filter(|s| s.allows && s.actions.iter().any(|a| WRITES.contains(&a.as_str())))
}

/// Returns true if the statement names `table` of the control plane.
fn reaches(statement: &Statement, table: Table) -> bool {
    let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
    statement.resources.iter().any(|pattern| glob(pattern, &arn))
}

/// Returns the patterns of the partition keys that a statement is limited to. `None` for a statement without a limit.
fn patterns(statement: &Statement) -> Option<Vec<String>> {
    let keys = texts(&statement.condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
    (!keys.is_empty()).then_some(keys)
}

/// Returns the roles that may write, or delete, the partition `key` of `table`.
fn writers_of(table: Table, key: &str) -> Vec<String> {
    let deletes = |s: &Statement| s.allows && s.actions.iter().any(|a| a == "dynamodb:DeleteItem");
    let may = |role: &&Role| {
        let statements = writes(role).chain(role.statements.iter().filter(|s| deletes(s)));
        statements
            .filter(|s| reaches(s, table))
            .any(|s| patterns(s).is_none_or(|patterns| patterns.iter().any(|pattern| glob(pattern, key))))
    };
    let roles = roles(&stacks());
    roles.values().filter(|role| role.account == TOOLING).filter(may).map(|role| role.name.clone()).collect()
}

#[test]
fn the_ledger_deletes_environments_and_no_other_record() {
    for callers in Callers::ALL {
        let expected: &[&str] = match callers {
            // The drafts of published releases are in the table of the intake.
            Callers::Delivery => &["STAGE#*", "COMPONENT#*"],
            Callers::Promotion => &["STAGE#*"],
            Callers::Administrators => &["REPOSITORY#*"],
            Callers::Operators | Callers::Approvers | Callers::Sweep => &[],
        };
        assert_eq!(keys_for(&role_of(*callers), "dynamodb:DeleteItem"), expected, "{callers:?}");
    }
}
