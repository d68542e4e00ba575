//! Roles and the statements of their policies, read from the installed stacks.

use crate::stack::Stack;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One statement of a policy.
#[derive(Clone, Debug)]
pub struct Statement {
    /// True if the statement allows, false if it denies.
    pub allows: bool,
    /// The principals, in a trust policy.
    pub principals: Vec<String>,
    /// The actions.
    pub actions: Vec<String>,
    /// The ARNs of the resources, as patterns.
    pub resources: Vec<String>,
    /// The conditions; null if there is none.
    pub condition: Value,
}

impl Statement {
    fn read(value: &Value) -> Self {
        for key in value.as_object().unwrap().keys() {
            let known =
                ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"].contains(&key.as_str());
            assert!(known, "a statement uses {key}, which these tests do not judge");
        }
        let principal = &value["Principal"];
        Self {
            allows: value["Effect"] == "Allow",
            principals: match principal {
                Value::String(anyone) => vec![anyone.clone()],
                named => ["AWS", "Service"].iter().flat_map(|kind| texts(&named[kind])).collect(),
            },
            actions: texts(&value["Action"]),
            resources: texts(&value["Resource"]),
            condition: value["Condition"].clone(),
        }
    }
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// The account of the role.
    pub account: String,
    /// The name of the role.
    pub name: String,
    /// The statements of the trust policy.
    pub trust: Vec<Statement>,
    /// The statements of all identity policies.
    pub statements: Vec<Statement>,
}

impl Role {
    /// Returns the ARN of the role.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }

    /// Returns everything that the role is allowed to do, as (action, resource).
    pub fn allowed(&self) -> BTreeSet<(String, String)> {
        let pairs = |s: &Statement| {
            let resources = s.resources.clone();
            s.actions
                .iter()
                .flat_map(|a| resources.iter().map(|r| (a.clone(), r.clone())).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        self.statements.iter().filter(|s| s.allows).flat_map(pairs).collect()
    }

    /// Returns the resources on which the role is allowed to do `action`.
    pub fn resources_for(&self, action: &str) -> BTreeSet<String> {
        self.allowed().into_iter().filter(|(a, _)| a == action).map(|(_, resource)| resource).collect()
    }
}

/// Returns every role by its ARN, with the policies that other stacks add to it.
pub fn roles(stacks: &[Stack]) -> BTreeMap<String, Role> {
    let mut roles = BTreeMap::new();
    for stack in stacks {
        for (id, properties) in stack.resources("AWS::IAM::Role") {
            let role = Role {
                account: stack.account.clone(),
                name: properties["RoleName"].as_str().map_or(format!("{}-{id}", stack.name), str::to_owned),
                trust: statements(&properties["AssumeRolePolicyDocument"]),
                statements: properties["Policies"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .flat_map(|p| statements(&p["PolicyDocument"]))
                    .collect(),
            };
            assert!(roles.insert(role.arn(), role).is_none(), "two roles have one name");
        }
    }
    for stack in stacks {
        for (id, properties) in stack.resources("AWS::IAM::Policy") {
            for name in texts(&properties["Roles"]) {
                let arn = format!("arn:aws:iam::{}:role/{name}", stack.account);
                let role =
                    roles.get_mut(&arn).unwrap_or_else(|| panic!("{id} is for {arn}, which does not exist"));
                role.statements.extend(statements(&properties["PolicyDocument"]));
            }
        }
    }
    roles
}

/// Returns every statement of every policy, with the name of its owner, but not those of trust policies and of the
/// boundary, which grants nothing.
pub fn all_statements(stacks: &[Stack]) -> Vec<(String, Statement)> {
    let of_roles = roles(stacks).into_values().flat_map(|role| {
        let arn = role.arn();
        role.statements.into_iter().map(move |s| (arn.clone(), s))
    });
    let managed = stacks.iter().flat_map(|stack| {
        let policies = stack.resources("AWS::IAM::ManagedPolicy").into_iter();
        policies.filter(|(id, _)| id != "Boundary").flat_map(|(id, policy)| {
            let owner = format!("arn:aws:iam::{}:policy/{id}", stack.account);
            statements(&policy["PolicyDocument"]).into_iter().map(move |s| (owner.clone(), s))
        })
    });
    let buses = stacks.iter().flat_map(|stack| {
        let policies = stack.resources("AWS::Events::EventBusPolicy").into_iter();
        policies.map(|(id, p)| (format!("{} {id}", stack.name), Statement::read(&p["Statement"])))
    });
    of_roles.chain(managed).chain(buses).collect()
}

/// Returns the statements of a policy document.
pub fn statements(document: &Value) -> Vec<Statement> {
    assert_eq!(document["Version"], "2012-10-17");
    document["Statement"].as_array().expect("a list of statements").iter().map(Statement::read).collect()
}

/// Returns the texts of one text or of a list.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().map(|item| item.as_str().expect("text").to_owned()).collect(),
        Value::Null => Vec::new(),
        other => panic!("{other} is neither text nor a list of it"),
    }
}

/// Returns true if `text` matches `pattern`, with IAM's `*` and `?`.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    match (pattern.next(), text.clone().next()) {
        (None, end) => end.is_none(),
        (Some('*'), end) => {
            glob(pattern.as_str(), text.as_str())
                || end.is_some() && {
                    text.next();
                    glob(&format!("*{}", pattern.as_str()), text.as_str())
                }
        }
        (Some('?'), Some(_)) => {
            text.next();
            glob(pattern.as_str(), text.as_str())
        }
        (Some(wanted), Some(found)) if wanted == found => {
            text.next();
            glob(pattern.as_str(), text.as_str())
        }
        _ => false,
    }
}

/// The facts of a request besides its action and resource: condition keys in lower case, each with one value.
pub type Context<'a> = BTreeMap<&'a str, &'a str>;

impl Role {
    /// Returns true if the role's identity policies allow a request.
    pub fn may(&self, action: &str, resource: &str, context: &Context<'_>) -> bool {
        allowed(&self.statements, action, resource, context)
    }
}

/// Returns true if a statement allows the request, and none denies it.
pub fn allowed(statements: &[Statement], action: &str, resource: &str, context: &Context<'_>) -> bool {
    let mut found =
        statements.iter().filter(|statement| statement.matches(action, resource, context)).peekable();
    found.peek().is_some() && found.all(|statement| statement.allows)
}

/// Returns true if a statement denies the request, whatever another policy allows.
pub fn denied(statements: &[Statement], action: &str, resource: &str, context: &Context<'_>) -> bool {
    statements.iter().any(|statement| !statement.allows && statement.matches(action, resource, context))
}

impl Statement {
    /// Returns true if the statement is about the request.
    fn matches(&self, action: &str, resource: &str, context: &Context<'_>) -> bool {
        self.actions.iter().any(|pattern| glob(pattern, action))
            && self.resources.iter().any(|pattern| glob(pattern, resource))
            && holds(&self.condition, context)
    }
}

/// Returns the value of a condition that is one policy variable, such as `${aws:userid}`; `None` if the request lacks it.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>
fn resolved(wanted: String, context: &Context<'_>) -> Option<String> {
    match wanted.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => context.get(variable.to_lowercase().as_str()).map(|value| (*value).to_owned()),
        None => Some(wanted),
    }
}

/// Returns true if every condition of a statement is true.
fn holds(condition: &Value, context: &Context<'_>) -> bool {
    condition.as_object().into_iter().flatten().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let found = context.get(key.to_lowercase().as_str()).copied();
            let any = |same: fn(&str, &str) -> bool| {
                let wanted = texts(wanted).into_iter().filter_map(|wanted| resolved(wanted, context));
                found.is_some_and(|found| wanted.into_iter().any(|wanted| same(&wanted, found)))
            };
            let equal = |wanted: &str, found: &str| wanted == found;
            match operator.as_str() {
                "Null" => (wanted == "true") == found.is_none(),
                "Bool" | "StringEquals" | "ForAnyValue:StringEquals" => any(equal),
                "StringNotEquals" => !any(equal),
                "StringLike" | "ForAnyValue:StringLike" | "ArnLike" | "ArnEquals" => any(glob),
                "ArnNotEquals" => !any(glob),
                "ForAllValues:StringLike" => found.is_none() || any(glob),
                other => panic!("these tests do not know the operator {other}"),
            }
        })
    })
}

#[cfg(test)]
#[test]
fn a_pattern_matches_as_iam_matches_it() {
    assert!(glob("arn:*:role/a-*", "arn:aws:iam::1:role/a-b"));
    assert!(glob("a?c", "abc") && glob("*", "") && glob("a*", "a"));
    assert!(!glob("a?c", "ac") && !glob("arn:aws:iam::*:role/a", "arn:aws:iam::1:role/ab"));
}
