//! The payloads and answers between state machines and functions: each side can read and branch on the values of the
//! other.

use crate::expressions::render;
use crate::machine::{MACHINES, State, all_states};
use lockstep_domain::messages::{bake, drift, image, inputs, ledger, package, stack, verify};
use lockstep_domain::model::outcome::Outcome;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ID: &str = "9f0d2a3c-5b1e-5c1d-8f7a-0123456789ab";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn component() -> Value {
    json!({
        "component": "logs-broker",
        "outcome": "packaged",
        "version": "2.1.0",
        "environment": "logs-broker-2-1-0",
        "pre_release": false,
        "test_execution": "t0",
        "deployments": [{"stage": "ci", "execution": "t1"}],
    })
}

/// Returns the input of a state machine, as an operator would type it.
fn input(machine: &str) -> Value {
    match machine {
        "release" => {
            json!({"repository": "github.acme.logs", "ref": "refs/heads/main", "commit": COMMIT, "delivery": "d-1"})
        }
        "deploy" => json!({"component": "logs-broker", "version": "2.1.0", "stage": "ci"}),
        "teardown" => json!({"component": "logs-broker", "stage": "ci"}),
        "promote" => json!({"component": "logs-broker", "version": "2.1.0", "to": "production"}),
        "promote-image" => json!({"image": "logstash", "version": "2.1.37", "to": "production"}),
        "bake-image" => {
            json!({"image": "logstash", "repository": "github.acme.logs", "ref": "refs/heads/main", "commit": COMMIT,
                "overrides": {"volume_gib": "40"}})
        }
        "build-image" => json!({"image": "logstash", "version": "2.1.37", "stage": "test"}),
        "drift" => json!({}),
        other => panic!("no sample input for {other}"),
    }
}

/// Returns the input of a state: the machine's, unless an earlier state made another one.
fn input_of(state: &State) -> Value {
    match (state.machine, state.name.as_str()) {
        ("release", "FinishRelease") => json!({}),
        ("release", "Recipes") => {
            json!({"result": "bake_first", "components": [], "recipes": [{"image": "logstash", "execution": "t4"}]})
        }
        ("release", "ChangedRecipe") => json!({"image": "logstash", "execution": "t4"}),
        ("release", "Baked") => json!({"image": "logstash", "version": "2.1.37"}),
        ("bake-image", "Claim") => recipe(),
        ("bake-image", "Build") => {
            json!({"version": "2.1.37", "next": "build", "stage": "test", "execution": "t5"})
        }
        ("bake-image", "Complete") => {
            json!([{"stage": "ci"}, {"stage": "production", "Error": "States.TaskFailed", "Cause": "{}"}])
        }
        ("bake-image", "DiscardInDelivery" | "DiscardInPromotion") => {
            json!({"stage": "ci", "path": "delivery"})
        }
        ("release", "Deploy") => json!({"stage": "ci", "execution": "t1"}),
        ("deploy", "PromoteImage") => json!({"image": "logstash", "version": "2.1.37", "execution": "t2"}),
        ("drift", "Collect") => json!({"look": look()}),
        (_, "RecordFailure") => caught(),
        (machine, _) => input(machine),
    }
}

fn look() -> Value {
    json!({
        "stage": "ci",
        "environment": "logs-broker",
        "at": "2026-11-20T10:00:00Z",
        "noted": {"epoch": 3, "version": "2.1.0", "stack": "arn", "status": "UPDATE_COMPLETE"},
        "detections": [{"path": "", "stack": "arn", "id": "d1"}],
    })
}

fn recipe() -> Value {
    json!({
        "folder": "images/logstash",
        "of": "2.1",
        "branch": "fix",
        "artifact": "recipes/logstash/x.zip",
        "digest": "0".repeat(64),
        "base": {"parameter": "/aws/service/x"},
        "ttl_days": 14,
    })
}

fn caught() -> Value {
    json!({"Error": "StackFailed", "Cause": "{\"errorMessage\": \"the queue exists\"}"})
}

/// Returns every variable that an expression may name.
fn variables(state: &State) -> BTreeMap<&'static str, Value> {
    let context = json!({
        "Execution": {"Id": "arn:aws:states:eu-west-1:111111111111:execution:lockstep-deploy:x", "Name": "x"},
        "State": {"EnteredTime": "2026-11-20T10:00:00.000Z", "RetryCount": 0},
        "Task": {"Token": "a-token"},
    });
    BTreeMap::from([
        ("states", json!({"input": input_of(state), "context": context, "errorOutput": caught()})),
        ("input", input(state.machine)),
        ("component", component()),
        ("components", json!([component()])),
        ("results", json!([{"component": "logs-broker", "version": "2.1.0", "outcome": "deployed"}])),
        ("deployment", json!(ID)),
        ("promotion", json!(ID)),
        ("build", json!(ID)),
        ("version", json!("2.1.37")),
        ("place", json!({"stage": "ci", "path": "delivery", "promotion": "t6", "build": "t7"})),
        ("recipe", json!({"image": "logstash", "execution": "t4"})),
        ("bakes", json!([])),
        ("baked", json!(true)),
        ("deploy_execution", json!("t3")),
        ("subject", json!({"stage": "ci", "environment": "logs-broker"})),
        ("failure", caught()),
        ("place_failure", caught()),
    ])
}

/// Returns the payload of a state, as its receiver gets it.
fn sent(state: &State, field: &str) -> Value {
    let text = state.value["Arguments"][field].to_string().replace("${Path}", "delivery");
    let written: Value = serde_json::from_str(&text).unwrap();
    render(&written, &variables(state)).unwrap_or_else(|error| panic!("{}: {error}", state.at()))
}

fn read<T: DeserializeOwned>(state: &State, value: &Value) -> T {
    serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{} sends {value}: {error}", state.at()))
}

/// Returns the payload that a state sends, as its function reads it.
pub fn payload<T: DeserializeOwned>(state: &State) -> T {
    read(state, &sent(state, "Payload"))
}

/// Returns the names that an enum accepts, from the error message for an unknown name.
fn names<T: DeserializeOwned>(nonsense: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(nonsense).err().expect("nonsense is refused").to_string();
    let (_, list) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    let names: BTreeSet<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{error}");
    names
}

fn actions<T: DeserializeOwned>() -> BTreeSet<String> {
    names::<T>(json!({"action": "nonsense"}))
}

#[test]
fn every_function_can_read_the_payload_it_receives() {
    for state in all_states().iter().filter(|s| s.invokes()) {
        let payload = sent(state, "Payload");
        match state.function().unwrap() {
            "PackageFunction" => drop(read::<package::Request>(state, &payload)),
            "LedgerFunction" => drop(read::<ledger::Request>(state, &payload)),
            "StackFunction" => drop(read::<stack::Request>(state, &payload)),
            name if name.ends_with("ImageFunction") => drop(read::<image::Request>(state, &payload)),
            name if name.ends_with("BakeFunction") => drop(read::<bake::Request>(state, &payload)),
            "VerifyFunction" => drop(read::<verify::Request>(state, &payload)),
            "DriftFunction" => drop(read::<drift::Request>(state, &payload)),
            other => panic!("{} invokes {other}, which has no payload", state.at()),
        }
    }
}

#[test]
fn every_field_that_is_sent_is_read() {
    for state in all_states().iter().filter(|s| s.invokes()) {
        let payload = sent(state, "Payload");
        let again = match state.function().unwrap() {
            "PackageFunction" => serde_json::to_value(read::<package::Request>(state, &payload)),
            name if name.ends_with("BakeFunction") => {
                serde_json::to_value(read::<bake::Request>(state, &payload))
            }
            "LedgerFunction" => serde_json::to_value(read::<ledger::Request>(state, &payload)),
            "StackFunction" => serde_json::to_value(read::<stack::Request>(state, &payload)),
            name if name.ends_with("ImageFunction") => {
                serde_json::to_value(read::<image::Request>(state, &payload))
            }
            "DriftFunction" => serde_json::to_value(read::<drift::Request>(state, &payload)),
            _ => serde_json::to_value(read::<verify::Request>(state, &payload)),
        };
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let (sent, read) = (fields(&payload), fields(&again.unwrap()));
        assert!(sent.is_subset(&read), "{}: {:?} are not read", state.at(), sent.difference(&read));
    }
}

#[test]
fn a_nested_state_machine_gets_an_input_it_can_read() {
    let mut nested = 0;
    for state in all_states().iter().filter(|s| s.nests()) {
        let input = sent(state, "Input");
        match state.value["Arguments"]["StateMachineArn"].as_str().unwrap() {
            "${DeployStateMachine}" => drop(read::<inputs::Deploy>(state, &input)),
            "${PromoteImageStateMachine}" => drop(read::<inputs::PromoteImage>(state, &input)),
            "${BakeImageStateMachine}" => drop(read::<inputs::BakeImage>(state, &input)),
            "${DeliveryBuildStateMachine}" | "${PromotionBuildStateMachine}" => {
                drop(read::<inputs::BuildImage>(state, &input));
            }
            other => panic!("{} starts {other}", state.at()),
        }
        assert!(!sent(state, "Name").as_str().unwrap().is_empty(), "{}", state.at());
        let parent = &input["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"];
        assert!(parent.is_string(), "{} does not say who starts it", state.at());
        nested += 1;
    }
    assert_eq!(nested, 9);
}

#[test]
fn every_sample_input_is_one_that_an_operator_may_type() {
    for machine in MACHINES {
        let sample = input(machine);
        let read = match machine {
            "release" => serde_json::from_value::<inputs::Release>(sample).is_ok(),
            "deploy" => serde_json::from_value::<inputs::Deploy>(sample).is_ok(),
            "teardown" => serde_json::from_value::<inputs::Teardown>(sample).is_ok(),
            "promote" => serde_json::from_value::<inputs::Promote>(sample).is_ok(),
            "bake-image" => serde_json::from_value::<inputs::BakeImage>(sample).is_ok(),
            "build-image" => serde_json::from_value::<inputs::BuildImage>(sample).is_ok(),
            "drift" => serde_json::from_value::<inputs::Drift>(sample).is_ok(),
            _ => serde_json::from_value::<inputs::PromoteImage>(sample).is_ok(),
        };
        assert!(read, "{machine}");
    }
}

#[test]
fn every_action_of_a_function_is_asked_for_by_some_state() {
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for state in all_states().iter().filter(|s| s.invokes()) {
        if let Some(action) = state.value["Arguments"]["Payload"]["action"].as_str() {
            let function = state.function().unwrap();
            // One function has a name on each path.
            let own = ["BakeFunction", "ImageFunction"].into_iter().find(|own| function.ends_with(own));
            let function = own.unwrap_or(function);
            asked.entry(function.to_owned()).or_default().insert(action.to_owned());
        }
    }
    let mut images = actions::<image::Request>();
    assert!(images.remove("import"), "images are imported by the command, not by a state machine");
    assert!(images.remove("abandon"), "promotions are abandoned by the sweep, not by a state machine");
    for proposed in ["retain", "forget"] {
        assert!(images.remove(proposed), "the sweep proposes to {proposed}, and no state machine");
    }
    let mut ledger = actions::<ledger::Request>();
    assert!(ledger.remove("free_environment"), "the sweep proposes what to free, and no state machine");
    assert!(ledger.remove("close_unanswered"), "the sweep proposes what to close, and no state machine");
    assert!(ledger.remove("settle_configuration"), "a schedule asks for it, and no state machine");
    let known = BTreeMap::from([
        ("LedgerFunction".to_owned(), ledger),
        ("StackFunction".to_owned(), actions::<stack::Request>()),
        ("ImageFunction".to_owned(), images),
        ("PackageFunction".to_owned(), actions::<package::Request>()),
        ("BakeFunction".to_owned(), actions::<bake::Request>()),
        ("DriftFunction".to_owned(), actions::<drift::Request>()),
    ]);
    assert_eq!(asked, known);
}

/// Returns the values with which the Choices of some machines compare `field` of their input.
fn compared(machines: &[&str], field: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(&format!(r"\$states\.input\.{field} = '([a-z_]+)'")).unwrap();
    let states = all_states();
    let texts = states.iter().filter(|s| machines.contains(&s.machine)).map(|s| s.value.to_string());
    texts.flat_map(|text| pattern.captures_iter(&text).map(|c| c[1].to_owned()).collect::<Vec<_>>()).collect()
}

#[test]
fn every_answer_of_a_function_is_a_branch_and_every_branch_an_answer() {
    assert_eq!(
        compared(&["deploy", "release", "teardown"], "next"),
        names::<stack::NextStep>(json!("nonsense"))
    );
    assert_eq!(compared(&["promote-image"], "next"), names::<image::NextStep>(json!("nonsense")));
    assert_eq!(compared(&["bake-image", "build-image"], "next"), names::<bake::NextStep>(json!("nonsense")));
    let mut results = names::<package::Response>(json!({"result": "nonsense"}));
    assert!(results.remove("recipe"), "`bake-image` asks for one recipe and reads it by its field");
    assert_eq!(compared(&["release"], "result"), results);
}

#[test]
fn every_choice_treats_an_unknown_value_as_a_failure() {
    let tagged = |state: &&State| {
        let text = state.value.to_string();
        state.text("Type") == "Choice" && (text.contains("input.next") || text.contains("input.result"))
    };
    for state in all_states().iter().filter(tagged) {
        // A Map has a state of its own for this.
        assert!(state.text("Default").starts_with("Unexpected"), "{}", state.at());
    }
}

/// Returns the words that a state machine writes as an `outcome`, or compares an `outcome` with.
fn outcomes(value: &Value) -> BTreeSet<String> {
    let quoted = |text: &str| -> Vec<String> {
        let word = regex::Regex::new("'([a-z_]+)'").unwrap();
        word.captures_iter(text).map(|found| found[1].to_owned()).collect()
    };
    match value {
        Value::Object(fields) => {
            let mut found: BTreeSet<String> = fields.values().flat_map(outcomes).collect();
            match fields.get("outcome").and_then(Value::as_str) {
                Some(expression) if expression.starts_with("{%") => found.extend(quoted(expression)),
                Some(word) => drop(found.insert(word.to_owned())),
                None => {}
            }
            found
        }
        Value::Array(items) => items.iter().flat_map(outcomes).collect(),
        Value::String(text) => {
            let compared = regex::Regex::new(r"outcome\s*(?:!?=|in)\s*('[^']*'|\[[^\]]*\])").unwrap();
            compared.captures_iter(text).flat_map(|found| quoted(&found[1])).collect()
        }
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_outcome_in_a_state_machine_is_one_of_the_enum() {
    let known: BTreeSet<String> = Outcome::ALL.iter().map(ToString::to_string).collect();
    let packaged = names::<package::PackagedComponent>(json!({"outcome": "nonsense"}));
    assert!(packaged.len() == 3 && packaged.is_subset(&known), "{packaged:?}");
    let mut all = BTreeSet::new();
    for state in all_states() {
        let found = outcomes(&state.value);
        assert!(found.is_subset(&known), "{}: {found:?}", state.at());
        all.extend(found);
    }
    let used = ["baked", "deployed", "done", "failed", "published", "superseded"];
    assert_eq!(all, used.map(str::to_owned).into());
}

#[test]
fn a_failed_execution_reports_the_answer_of_the_ledger() {
    let failed: ledger::Failed =
        serde_json::from_value(json!({"error": "StackFailed", "cause": "why"})).unwrap();
    for state in all_states().iter().filter(|s| s.text("Type") == "Fail") {
        let said = json!({"Error": state.value["Error"], "Cause": state.value["Cause"]});
        let states = json!({"input": failed});
        let said = render(&said, &BTreeMap::from([("states", states)])).unwrap();
        assert_eq!(said, json!({"Error": failed.error, "Cause": failed.cause}), "{}", state.at());
    }
}
