//! The retry policies, which states name.

use crate::node::{Entry, Node, Position, Value};
use crate::problem::{Problem, Source};
use crate::source;
use std::collections::BTreeMap;

/// One policy: a list of retriers, as ASL has them.
struct Policy {
    name: String,
    retriers: Node,
    at: Position,
    used: bool,
}

/// Every policy of the file `retries.yaml`.
pub(crate) struct Policies {
    file: String,
    policies: Vec<Policy>,
}

impl Policy {
    fn new(Entry { key, at, node }: Entry) -> Self {
        Self { name: key, retriers: node, at, used: false }
    }
}

impl Policies {
    pub fn read(source: &Source) -> Result<Self, Vec<Problem>> {
        let root = source::read(source)?;
        let problem = |at, message: &str| Problem::new(&source.file, at, message);
        let Value::Map(entries) = root.value else {
            return Err(vec![problem(root.at, "the file is a map of policies by name")]);
        };
        let wrong: Vec<Problem> = (entries.iter().filter(|entry| !is_policy(&entry.node)))
            .map(|entry| problem(entry.at, "a policy is a list of retriers, each with ErrorEquals"))
            .collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let policies = entries.into_iter().map(Policy::new).collect();
        Ok(Self { file: source.file.clone(), policies })
    }

    /// Returns the policies by name, each as the list that a state gets.
    pub fn into_values(self) -> BTreeMap<String, serde_json::Value> {
        self.policies.into_iter().map(|policy| (policy.name, policy.retriers.to_json())).collect()
    }

    /// Replaces the name of a policy by the policy, in each state of a definition.
    pub fn apply(&mut self, file: &str, definition: &mut Node, problems: &mut Vec<Problem>) {
        for state in definition.get_mut("States").map(Node::entries_mut).unwrap_or_default() {
            self.apply_to_state(file, &mut state.node, problems);
        }
    }

    fn apply_to_state(&mut self, file: &str, state: &mut Node, problems: &mut Vec<Problem>) {
        if let Some(retry) = state.get_mut("Retry") {
            match self.named(retry.text()) {
                Some(retriers) => retry.value = retriers,
                None => problems.push(Problem::new(file, retry.at, self.unknown(retry.text()))),
            }
        }
        if let Some(processor) = state.get_mut("ItemProcessor") {
            self.apply(file, processor, problems);
        }
        for branch in state.get_mut("Branches").map(Node::items_mut).unwrap_or_default() {
            self.apply(file, branch, problems);
        }
    }

    fn named(&mut self, name: Option<&str>) -> Option<Value> {
        let policy = self.policies.iter_mut().find(|policy| Some(policy.name.as_str()) == name)?;
        policy.used = true;
        Some(policy.retriers.value.clone())
    }

    fn unknown(&self, name: Option<&str>) -> String {
        let names: Vec<&str> = self.policies.iter().map(|policy| policy.name.as_str()).collect();
        let subject = match name {
            Some(name) => format!("there is no retry policy {name}"),
            None => "Retry is the name of a retry policy".to_owned(),
        };
        format!("{subject}; {} has {}", self.file, names.join(", "))
    }

    /// Returns a problem for each policy that no state names.
    pub fn unused(&self) -> impl Iterator<Item = Problem> {
        self.policies.iter().filter(|policy| !policy.used).map(|policy| {
            Problem::new(&self.file, policy.at, format!("no state names the retry policy {}", policy.name))
        })
    }
}

fn is_policy(node: &Node) -> bool {
    !node.items().is_empty() && node.items().iter().all(|retrier| retrier.get("ErrorEquals").is_some())
}
