//! State machines as written, and as a stack installs them.

use crate::policy::texts;
use crate::stack::Stack;
use lockstep_statemachines::StateMachine;
use lockstep_tests::state_machines;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The files below `statemachines/`, without `.asl.yaml`.
pub const MACHINES: [&str; 8] =
    ["release", "deploy", "promote", "promote-image", "bake-image", "build-image", "teardown", "drift"];

/// One state, at any depth.
pub struct State {
    /// The state machine of the state.
    pub machine: &'static str,
    pub name: String,
    /// The definition of the state.
    pub value: Value,
    /// True if an enclosing Map catches the errors that the state does not catch.
    pub caught_outside: bool,
}

impl State {
    /// Returns machine and state, for messages.
    pub fn at(&self) -> String {
        format!("{}: {}", self.machine, self.name)
    }

    /// Returns the text of a field; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }

    /// Returns true if the state invokes a function.
    pub fn invokes(&self) -> bool {
        self.text("Resource").starts_with("arn:${Partition}:states:::lambda:invoke")
    }

    /// Returns true if the state waits for its task token.
    pub fn waits(&self) -> bool {
        self.text("Resource").ends_with(".waitForTaskToken")
    }

    /// Returns true if the state runs another state machine to its end.
    pub fn nests(&self) -> bool {
        self.text("Resource") == "arn:${Partition}:states:::states:startExecution.sync:2"
    }

    /// Returns the placeholder of the function that the state invokes, such as `LedgerFunction`.
    pub fn function(&self) -> Option<&str> {
        self.value["Arguments"]["FunctionName"].as_str().map(|name| placeholder(name).expect("a placeholder"))
    }

    /// Returns the error names in one of the state's lists (`Retry`, `Catch`).
    pub fn errors(&self, field: &str) -> Vec<String> {
        self.value[field]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|entry| texts(&entry["ErrorEquals"]))
            .collect()
    }

    /// Returns the possible successors of the state.
    pub fn next(&self) -> BTreeSet<String> {
        let list = |field: &str| self.value[field].as_array().cloned().unwrap_or_default();
        let mut next: BTreeSet<String> = list("Choices")
            .iter()
            .chain(list("Catch").iter())
            .filter_map(|e| e["Next"].as_str().map(str::to_owned))
            .collect();
        next.extend(
            ["Next", "Default"].iter().filter_map(|field| self.value[*field].as_str().map(str::to_owned)),
        );
        next
    }
}

/// Returns `${Name}` as `Name`.
pub fn placeholder(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

fn rendered(machine: &str) -> &'static StateMachine {
    state_machines().get(machine).unwrap_or_else(|| panic!("no state machine {machine}"))
}

/// Returns the JSON of a state machine.
pub fn text(machine: &str) -> String {
    rendered(machine).json()
}

/// Returns a state machine as AWS receives it.
pub fn definition(machine: &str) -> Value {
    rendered(machine).definition()
}

/// Returns every state of every machine.
pub fn all_states() -> Vec<State> {
    MACHINES.iter().flat_map(|machine| states(machine)).collect()
}

/// Returns every state of a machine, including those inside Maps.
pub fn states(machine: &'static str) -> Vec<State> {
    let mut found = Vec::new();
    collect(machine, &definition(machine)["States"], false, &mut found);
    found
}

fn collect(machine: &'static str, states: &Value, caught_outside: bool, found: &mut Vec<State>) {
    for (name, value) in states.as_object().unwrap() {
        found.push(State { machine, name: name.clone(), value: value.clone(), caught_outside });
        assert!(
            value.get("Branches").is_none(),
            "{machine}: {name} is a Parallel, which these tests do not follow"
        );
        if let Some(inner) = value.get("ItemProcessor") {
            collect(machine, &inner["States"], caught_outside || value.get("Catch").is_some(), found);
        }
    }
}

/// A state machine as a stack installs it.
pub struct Installed {
    pub name: String,
    /// The source file, without its extension.
    pub machine: &'static str,
    /// The values of the placeholders.
    pub substitutions: BTreeMap<String, String>,
    /// The ARN of the role.
    pub role: String,
}

/// Returns every state machine that the stacks install.
pub fn installed(stacks: &[Stack]) -> Vec<Installed> {
    let machines = stacks.iter().flat_map(|stack| stack.resources("AWS::StepFunctions::StateMachine"));
    machines.map(|(_, properties)| read(&properties)).collect()
}

fn read(properties: &Value) -> Installed {
    // A parameter without a value is its own name in angle brackets: <PromoteImageDefinitionKey>.
    let key = properties["DefinitionS3Location"]["Key"].as_str().unwrap();
    let file = |machine: &&str| key == format!("<{}DefinitionKey>", pascal(machine));
    let machine =
        MACHINES.into_iter().find(|m| file(m)).unwrap_or_else(|| panic!("{key} is no state machine's"));
    let substitutions = properties["DefinitionSubstitutions"].as_object().unwrap();
    Installed {
        name: properties["StateMachineName"].as_str().unwrap().to_owned(),
        machine,
        substitutions: substitutions
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect(),
        role: properties["RoleArn"].as_str().unwrap().to_owned(),
    }
}

fn pascal(kebab: &str) -> String {
    let word = |w: &str| w[..1].to_uppercase() + &w[1..];
    kebab.split('-').map(word).collect()
}
