//! Policies that allow exactly the permissions that a template needs.

use super::{Condition, Level, Need};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of characters of a managed policy, without white space.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const POLICY_CHARS_MAX: usize = 6144;

/// Number of managed policies that a role accepts without a raised quota.
pub const POLICIES_PER_ROLE: usize = 10;

/// A statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// Level of the actions: required or conditional.
    pub level: Level,
    /// Id, unique among all statements that were made together.
    pub sid: String,
    /// Allowed actions.
    pub actions: BTreeSet<String>,
    /// ARNs, with account, region and partition as CloudFormation's pseudo parameters.
    pub resources: BTreeSet<String>,
    /// Condition that the call fulfils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// Format of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON for IAM: values that only CloudFormation knows are wildcards.
    Json,
    /// Resource of a template: account, region and partition are pseudo parameters.
    CloudFormation,
}

/// Returns the statements that allow these needs: one for all actions of a service with the same resources.
///
/// A conditional permission is omitted if a required one already allows it.
pub fn statements<'n>(needs: impl IntoIterator<Item = &'n Need>) -> Vec<Statement> {
    type Action = (String, Option<Condition>);
    type Group = (Level, String, Option<Condition>, BTreeSet<String>);
    let mut arns: BTreeMap<(Level, Action), BTreeSet<String>> = BTreeMap::new();
    for need in needs {
        let action = (need.action.clone(), need.condition.clone());
        arns.entry((need.level, action)).or_default().insert(need.arn.clone());
    }
    let required: BTreeMap<Action, BTreeSet<String>> = arns
        .iter()
        .filter(|((level, _), _)| *level == Level::Required)
        .map(|((_, action), arns)| (action.clone(), arns.clone()))
        .collect();
    let mut groups: BTreeMap<Group, BTreeSet<String>> = BTreeMap::new();
    for ((level, action), arns) in arns {
        let mut arns = narrowed(&arns);
        if level == Level::Conditional
            && let Some(wider) = required.get(&action)
        {
            arns.retain(|arn| !wider.iter().any(|wide| covers(wide, arn)));
        }
        let (name, condition) = action;
        if !arns.is_empty() {
            let prefix = name.split(':').next().unwrap_or_default().to_owned();
            groups.entry((level, prefix, condition, arns)).or_default().insert(name);
        }
    }
    let statements = groups.into_iter().map(|((level, prefix, condition, resources), actions)| Statement {
        level,
        sid: sid(level, &prefix),
        actions,
        resources,
        condition,
    });
    numbered(statements.collect())
}

/// Returns the ARNs without those that another ARN covers.
fn narrowed(arns: &BTreeSet<String>) -> BTreeSet<String> {
    let covered = |arn: &String| arns.iter().any(|other| other != arn && covers(other, arn));
    arns.iter().filter(|arn| !covered(arn)).cloned().collect()
}

/// Returns true if `wide` matches every ARN that `narrow` matches.
pub fn covers(wide: &str, narrow: &str) -> bool {
    fn matches(wide: &[u8], narrow: &[u8]) -> bool {
        let (mut w, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < narrow.len() {
            match wide.get(w) {
                Some(b'*') => {
                    star = Some((w, n));
                    w += 1;
                }
                Some(b'?') if narrow[n] != b'*' => (w, n) = (w + 1, n + 1),
                Some(&letter) if letter == narrow[n] && letter != b'?' => (w, n) = (w + 1, n + 1),
                _ => match star {
                    Some((at, from)) => {
                        star = Some((at, from + 1));
                        (w, n) = (at + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        wide[w..].iter().all(|&letter| letter == b'*')
    }
    matches(wide.as_bytes(), narrow.as_bytes())
}

/// Returns the id of a statement: level and service, such as `RequiredSqs`.
fn sid(level: Level, service: &str) -> String {
    let mut sid = level.to_string();
    let mut start = true;
    for letter in service.chars() {
        match letter.is_ascii_alphanumeric() {
            true if start => sid.push(letter.to_ascii_uppercase()),
            true => sid.push(letter),
            false => {}
        }
        start = !letter.is_ascii_alphanumeric();
    }
    sid
}

/// Numbers the ids that occur several times.
fn numbered(mut statements: Vec<Statement>) -> Vec<Statement> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for statement in &mut statements {
        let count = seen.entry(statement.sid.clone()).or_default();
        *count += 1;
        if *count > 1 {
            statement.sid = format!("{}{count}", statement.sid);
        }
    }
    statements
}

/// Distributes the statements, in order, to as few policies as possible. Divides a statement that is too long.
pub fn split(statements: Vec<Statement>) -> Vec<Vec<Statement>> {
    let fitting = numbered_parts(statements.into_iter().flat_map(parts).collect());
    let mut policies: Vec<(usize, Vec<Statement>)> = Vec::new();
    for statement in fitting {
        // A comma separates the statement from the one before.
        let chars = chars(&statement) + 1;
        match policies.iter_mut().find(|(used, _)| used + chars <= POLICY_CHARS_MAX) {
            Some((used, policy)) => {
                *used += chars;
                policy.push(statement);
            }
            None => policies.push((empty_chars() + chars, vec![statement])),
        }
    }
    policies.into_iter().map(|(_, policy)| policy).collect()
}

/// Number of characters that the number of a divided statement may add to its id.
const NUMBER_CHARS: usize = 6;

/// Divides a statement until each part fits into a policy of its own; one action on one resource is never divided.
fn parts(statement: Statement) -> Vec<Statement> {
    if empty_chars() + chars(&statement) + 1 + NUMBER_CHARS <= POLICY_CHARS_MAX {
        return vec![statement];
    }
    let by_action = statement.actions.len() > 1;
    if !by_action && statement.resources.len() < 2 {
        return vec![statement];
    }
    let halves = match by_action {
        true => halves(&statement.actions).map(|actions| Statement { actions, ..statement.clone() }),
        false => halves(&statement.resources).map(|resources| Statement { resources, ..statement.clone() }),
    };
    halves.into_iter().flat_map(parts).collect()
}

fn halves(set: &BTreeSet<String>) -> [BTreeSet<String>; 2] {
    let middle = set.len() / 2;
    [set.iter().take(middle).cloned().collect(), set.iter().skip(middle).cloned().collect()]
}

/// Numbers the parts of divided statements apart from each other.
fn numbered_parts(mut statements: Vec<Statement>) -> Vec<Statement> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for statement in &mut statements {
        let base = statement.sid.clone();
        let mut part = 0;
        while !taken.insert(statement.sid.clone()) {
            part += 1;
            statement.sid = format!("{base}Part{part}");
        }
    }
    statements
}

fn chars(statement: &Statement) -> usize {
    // Pseudo parameters have more characters than their values.
    written(statement, |arn| json!(arn)).to_string().chars().count()
}

fn empty_chars() -> usize {
    json!({"Version": VERSION, "Statement": []}).to_string().len()
}

const VERSION: &str = "2012-10-17";

/// Returns a policy document.
pub fn document(statements: &[Statement], form: Form) -> Value {
    let statements: Vec<Value> = statements
        .iter()
        .map(|statement| match form {
            Form::Json => written(statement, |arn| json!(without_pseudo_parameters(arn))),
            Form::CloudFormation => written(statement, substituted),
        })
        .collect();
    json!({"Version": VERSION, "Statement": statements})
}

/// Returns a template with one managed policy for each part, and an output that lists their ARNs.
pub fn template(policies: &[Vec<Statement>]) -> Value {
    let name = |n: usize| format!("ExecutionPolicy{}", n + 1);
    let resources: Map<String, Value> = policies
        .iter()
        .enumerate()
        .map(|(n, policy)| {
            let description = format!("What the stacks need, part {} of {}", n + 1, policies.len());
            let document = document(policy, Form::CloudFormation);
            let properties = json!({"Description": description, "PolicyDocument": document});
            (name(n), json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}))
        })
        .collect();
    let arns: Vec<Value> = (0..policies.len()).map(|n| json!({"Ref": name(n)})).collect();
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What CloudFormation needs for the stacks, by `lockstep permissions`",
        "Resources": resources,
        "Outputs": {"ExecutionPolicyArns": {"Value": {"Fn::Join": [",", arns]}}},
    })
}

fn written(statement: &Statement, arn: impl Fn(&str) -> Value) -> Value {
    let one_or_many = |mut values: Vec<Value>| match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    };
    let mut written = json!({
        "Sid": statement.sid,
        "Effect": "Allow",
        "Action": one_or_many(statement.actions.iter().map(|action| json!(action)).collect()),
        "Resource": one_or_many(statement.resources.iter().map(|resource| arn(resource)).collect()),
    });
    if let Some(Condition { key, value }) = &statement.condition {
        written["Condition"] = json!({"StringEquals": {key: value}});
    }
    written
}

fn substituted(arn: &str) -> Value {
    if arn.contains("${") { json!({"Fn::Sub": arn}) } else { json!(arn) }
}

fn without_pseudo_parameters(arn: &str) -> String {
    ["${AWS::AccountId}", "${AWS::Region}", "${AWS::Partition}"]
        .into_iter()
        .fold(arn.to_owned(), |arn, pseudo| arn.replace(pseudo, "*"))
}
