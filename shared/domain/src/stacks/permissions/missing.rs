//! Missing permissions of a role, from AWS's own simulation.
//!
//! [`questions`] returns the calls of `SimulatePrincipalPolicy`, [`judge`] evaluates the results. Three cases are
//! *unknown*, neither missing nor allowed: no result, a condition that the simulation could not evaluate, and a denial
//! for a resource with an unknown name.

use super::values::ANY;
use super::{Condition, Level, Need, Needs};
use crate::model::missing_permissions::{MissingPermission, MissingPermissions, ResourceNeeds};
use crate::model::permission::Certainty;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of actions in one request.
const ACTIONS_MAX: usize = 50;

/// Maximum number of resources whose needs a record lists.
const RESOURCES_MAX: usize = 100;

/// Maximum number of permissions of one kind that a record lists.
const LISTED_MAX: usize = 40;

/// One call of `SimulatePrincipalPolicy`: each of the actions on the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationRequest {
    /// Actions to simulate.
    pub actions: Vec<String>,
    /// ARN that the actions apply to.
    pub resource: String,
    /// Condition key for which the call has a value.
    pub condition: Option<Condition>,
}

/// Decision of AWS for one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationResult {
    /// Simulated action.
    pub action: String,
    /// Simulated ARN.
    pub resource: String,
    /// Decision of AWS.
    pub decision: Decision,
    /// Condition keys that the policies use and for which the request had no value.
    pub missing_context: Vec<String>,
}

/// Decision of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows the action and none denies it.
    Allowed,
    /// No statement allows the action.
    NotAllowed,
    /// A statement denies the action.
    Denied,
    /// The permissions boundary of the role does not allow the action.
    BeyondBoundary,
    /// A policy of the organization does not allow the action.
    BeyondOrganization,
    /// A decision with another name.
    Other,
}

/// Returns the needs of each resource, in line order; only the first resources of a very large template.
pub fn by_resource(needs: &Needs) -> Vec<ResourceNeeds> {
    let mut resources: Vec<ResourceNeeds> = Vec::new();
    for need in &needs.needs {
        if resources.last().is_none_or(|last| last.resource != need.resource) {
            resources.push(ResourceNeeds {
                line: need.line,
                resource: need.resource.clone(),
                kind: need.kind.clone(),
                required: BTreeSet::new(),
                conditional: BTreeSet::new(),
            });
        }
        if let Some(last) = resources.last_mut() {
            match need.level {
                Level::Required => last.required.insert(need.action.clone()),
                Level::Conditional => last.conditional.insert(need.action.clone()),
            };
        }
    }
    for resource in &mut resources {
        let required = std::mem::take(&mut resource.required);
        resource.conditional.retain(|action| !required.contains(action));
        resource.required = required;
    }
    resources.truncate(RESOURCES_MAX);
    resources
}

impl MissingPermissions {
    /// Returns the result if AWS did not answer: every need is unknown.
    pub fn without_answer(needs: &Needs, why: &str) -> Self {
        let asked = needs.needs.len();
        let mut lack = Self { asked, unknown: BTreeMap::from([(why.to_owned(), asked)]), ..Self::default() };
        lack.unknown.retain(|_, count| *count > 0);
        lack.note_unknown_types(needs);
        lack
    }

    /// Returns the result if the needs of the deployment cannot be determined.
    pub fn without_table(why: &str) -> Self {
        Self { unknown: BTreeMap::from([(why.to_owned(), 1)]), ..Self::default() }
    }

    /// Returns true if there is nothing to warn about.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.conditional == 0 && self.unknown.is_empty()
    }

    fn note_unknown_types(&mut self, needs: &Needs) {
        for unknown in &needs.unknown {
            let what = if unknown.kind.is_empty() { "the template" } else { &unknown.kind };
            *self.unknown.entry(format!("{what}: {}", unknown.because)).or_default() += 1;
        }
    }
}

/// Minimum number of parts of an ARN: `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

/// Returns the simulation requests for these needs and a stack of this name.
pub fn questions(needs: &Needs, stack: &str) -> Vec<SimulationRequest> {
    let mut asked: BTreeMap<(String, Option<Condition>), BTreeSet<String>> = BTreeMap::new();
    for need in &needs.needs {
        let resource = example(need, stack);
        let condition = need.condition.clone().or_else(|| boundary_of(&need.action, &resource));
        let key = (resource, condition);
        asked.entry(key).or_default().insert(need.action.clone());
    }
    let mut questions = Vec::new();
    for ((resource, condition), actions) in asked {
        let actions: Vec<String> = actions.into_iter().collect();
        for actions in actions.chunks(ACTIONS_MAX) {
            let (resource, condition) = (resource.clone(), condition.clone());
            questions.push(SimulationRequest { actions: actions.to_vec(), resource, condition });
        }
    }
    questions
}

/// The actions that CloudFormation's role may do only to roles and users with Lockstep's permissions boundary, which each
/// deployed template sets.
const BOUNDED: [&str; 8] = [
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
];

/// Returns the boundary that the role or user at `arn` has when CloudFormation does `action` to it.
fn boundary_of(action: &str, arn: &str) -> Option<Condition> {
    let parts: Vec<&str> = arn.splitn(ARN_PARTS, ':').collect();
    let [_, partition, _, _, account, _] = parts.as_slice() else { return None };
    let value = format!("arn:{partition}:iam::{account}:policy/lockstep-boundary");
    BOUNDED.contains(&action).then(|| Condition { key: "iam:PermissionsBoundary".to_owned(), value })
}

/// Returns an ARN for the resource of a need: its own, or one as CloudFormation generates it. A pattern that covers a
/// whole service has no part for a name, so its request is about any resource.
fn example(need: &Need, stack: &str) -> String {
    if need.arn == ANY || need.arn.split(':').count() < ARN_PARTS {
        return ANY.to_owned();
    }
    // The path of a resource in a nested stack has dots.
    let name = format!("{stack}-{}-EXAMPLE12345", need.resource.replace('.', "-"));
    let name = if need.arn.contains(":s3:::") { name.to_lowercase() } else { name };
    made_by_stack(&need.arn, stack).replace('*', &name)
}

/// Replaces the pattern of [`made_name`](super::arn::made_name) by a name for a stack.
fn made_by_stack(arn: &str, stack: &str) -> String {
    let parts = || {
        let (start, rest) = arn.split_once("*-")?;
        let (id, end) = rest.split_once('*')?;
        let is_id = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_alphanumeric());
        is_id.then(|| format!("{start}{stack}-{id}-EXAMPLE12345{end}"))
    };
    parts().unwrap_or_else(|| arn.to_owned())
}

/// Evaluates the results. A need without a result is unknown.
pub fn judge(needs: &Needs, stack: &str, answers: &[SimulationResult]) -> MissingPermissions {
    let answers: BTreeMap<(&str, &str), &SimulationResult> =
        answers.iter().map(|answer| ((answer.action.as_str(), answer.resource.as_str()), answer)).collect();
    let mut lack = MissingPermissions { asked: needs.needs.len(), ..MissingPermissions::default() };
    for need in &needs.needs {
        let asked = example(need, stack);
        match verdict(need, answers.get(&(need.action.as_str(), asked.as_str())).copied()) {
            Verdict::Allowed => lack.allowed += 1,
            Verdict::Unknown(why) => *lack.unknown.entry(why).or_default() += 1,
            Verdict::Missing(_) if need.level == Level::Conditional => lack.conditional += 1,
            Verdict::Missing(_) if lack.missing.len() == LISTED_MAX => lack.missing_more += 1,
            Verdict::Missing(obstacle) => {
                lack.missing.push(MissingPermission { need: need.clone(), obstacle })
            }
        }
    }
    lack.note_unknown_types(needs);
    lack
}

enum Verdict {
    Allowed,
    Missing(Option<String>),
    Unknown(String),
}

fn verdict(need: &Need, answer: Option<&SimulationResult>) -> Verdict {
    let Some(answer) = answer else { return Verdict::Unknown("AWS gave no answer".to_owned()) };
    if !answer.missing_context.is_empty() {
        let keys = answer.missing_context.join(", ");
        return Verdict::Unknown(format!("a policy asks for {keys}, which only the call itself has"));
    }
    let obstacle = match answer.decision {
        Decision::Allowed => return Verdict::Allowed,
        Decision::Other => return Verdict::Unknown("AWS gave a decision that is not known here".to_owned()),
        Decision::NotAllowed => None,
        Decision::Denied => Some("a statement denies it"),
        Decision::BeyondBoundary => Some("the permissions boundary of the role does not allow it"),
        Decision::BeyondOrganization => Some("a policy of the organization does not allow it"),
    };
    if need.certainty == Certainty::Open {
        return Verdict::Unknown("the name of the resource is not known".to_owned());
    }
    Verdict::Missing(obstacle.map(str::to_owned))
}
