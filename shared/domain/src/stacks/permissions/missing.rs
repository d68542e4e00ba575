//! What a role lacks, by AWS's own answers.
//!
//! [`questions`] says what to ask `SimulatePrincipalPolicy`, [`judge`] reads the answers. No answer, a condition that
//! the simulation could not evaluate, and a denial for a resource whose name is not known are *unknown*: never missing
//! and never allowed.

use super::values::ANY;
use super::{Condition, Level, Need, Needs};
use crate::model::missing_permissions::{MissingPermission, MissingPermissions, ResourceNeeds};
use crate::model::permission::Certainty;
use std::collections::{BTreeMap, BTreeSet};

/// The most actions of one question.
const ACTIONS_MAX: usize = 50;

/// The most resources whose needs a record lists.
const RESOURCES_MAX: usize = 100;

/// The most permissions of one kind that a record lists.
const LISTED_MAX: usize = 40;

/// One call of `SimulatePrincipalPolicy`: each of the actions on each of the resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationRequest {
    /// The actions.
    pub actions: Vec<String>,
    /// The ARN they apply to.
    pub resource: String,
    /// The condition key that the call has a value for.
    pub condition: Option<Condition>,
}

/// What AWS decides for one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationResult {
    /// The action.
    pub action: String,
    /// The ARN that was asked about.
    pub resource: String,
    /// The decision.
    pub decision: Decision,
    /// The condition keys that the policies use and the question had no value for.
    pub missing_context: Vec<String>,
}

/// The decision of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement allows it.
    NotAllowed,
    /// A statement denies it.
    Denied,
    /// The permissions boundary of the role does not allow it.
    BeyondBoundary,
    /// A policy of the organization does not allow it.
    BeyondOrganization,
    /// AWS gave a decision of another name.
    Other,
}

/// Returns what each resource needs, in the order of the lines; the first ones of a very large template.
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
    /// Returns what is known if AWS gave no answer at all.
    pub fn without_answer(needs: &Needs, why: &str) -> Self {
        let asked = needs.needs.len();
        let mut lack = Self { asked, unknown: BTreeMap::from([(why.to_owned(), asked)]), ..Self::default() };
        lack.unknown.retain(|_, count| *count > 0);
        lack.note_unknown_types(needs);
        lack
    }

    /// Returns what is known if nobody can say what the deployment needs.
    pub fn without_table(why: &str) -> Self {
        Self { unknown: BTreeMap::from([(why.to_owned(), 1)]), ..Self::default() }
    }

    /// Returns whether there is nothing to warn of.
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

/// How many parts an ARN has at least: `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

/// Returns what to ask about these needs for a stack of this name.
pub fn questions(needs: &Needs, stack: &str) -> Vec<SimulationRequest> {
    let mut asked: BTreeMap<(String, Option<Condition>), BTreeSet<String>> = BTreeMap::new();
    for need in &needs.needs {
        let key = (example(need, stack), need.condition.clone());
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

/// Returns an ARN that stands for the resource of a need: that of the resource, or one as CloudFormation makes it. A pattern
/// that covers a whole service has no part for a name, so the question is about any resource.
fn example(need: &Need, stack: &str) -> String {
    if need.arn == ANY || need.arn.split(':').count() < ARN_PARTS {
        return ANY.to_owned();
    }
    let name = format!("{stack}-{}-EXAMPLE12345", need.resource);
    let name = if need.arn.contains(":s3:::") { name.to_lowercase() } else { name };
    made_by_stack(&need.arn, stack).replace('*', &name)
}

/// Replaces the pattern that [`made_name`](super::arn::made_name) gives by a name for a stack.
fn made_by_stack(arn: &str, stack: &str) -> String {
    let parts = || {
        let (start, rest) = arn.split_once("*-")?;
        let (id, end) = rest.split_once('*')?;
        let is_id = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_alphanumeric());
        is_id.then(|| format!("{start}{stack}-{id}-EXAMPLE12345{end}"))
    };
    parts().unwrap_or_else(|| arn.to_owned())
}

/// Judges the answers; a need without an answer is unknown.
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
