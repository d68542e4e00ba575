//! The state machines against templates, policies and the errors of the functions.

use crate::installed::{PATHS, TOOLING, stacks};
use crate::machine::{Installed, MACHINES, State, all_states, definition, installed, states, text};
use crate::policy::roles;
use crate::stack::REGION;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger;
use lockstep_domain::model::error::{FailureKind, Policy};
use lockstep_statemachines::StateMachine;
use lockstep_tests::state_machines;
use std::collections::{BTreeMap, BTreeSet};

/// The errors of Step Functions and of the services it calls that `ErrorEquals` can name
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>).
const ERRORS_OF_AWS: [&str; 14] = [
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.ALL",
    "States.TaskFailed",
    "States.Timeout",
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.SdkClientException",
    "StepFunctions.SfnException",
];

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.into_iter().map(str::to_owned).collect()
}

fn placeholders(machine: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(r"\$\{([^}]*)\}").unwrap();
    pattern.captures_iter(&text(machine)).map(|c| c[1].to_owned()).collect()
}

#[test]
fn each_state_machine_is_installed_and_stack_changing_ones_on_each_path() {
    let installed = installed(&stacks());
    let mut names: Vec<_> = installed.iter().map(|m| (m.machine, m.name.as_str())).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            ("bake-image", "lockstep-bake-image"),
            ("build-image", "lockstep-delivery-build-image"),
            ("build-image", "lockstep-promotion-build-image"),
            ("deploy", "lockstep-delivery-deploy"),
            ("deploy", "lockstep-promotion-deploy"),
            ("drift", "lockstep-delivery-drift"),
            ("drift", "lockstep-promotion-drift"),
            ("promote", "lockstep-promote"),
            ("promote-image", "lockstep-promote-image"),
            ("release", "lockstep-release"),
            ("teardown", "lockstep-delivery-teardown"),
            ("teardown", "lockstep-promotion-teardown"),
        ]
    );
    let written: BTreeSet<&str> = state_machines().iter().map(StateMachine::name).collect();
    assert_eq!(written, BTreeSet::from(MACHINES));
}

/// Row 57 of the failure modes: an Express workflow can run a state more than once.
#[test]
fn every_state_machine_is_installed_as_a_standard_one() {
    for stack in stacks() {
        for (id, properties) in stack.resources("AWS::StepFunctions::StateMachine") {
            assert_eq!(properties["StateMachineType"], "STANDARD", "{id}");
        }
    }
}

/// Row 60: a wait looks every `TimeoutSeconds` until its execution ends. Each look takes eleven events for a task and
/// two for a choice (<https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>).
#[test]
fn the_longest_wait_fits_into_an_executions_history() {
    const EVENTS_MAX: u64 = 25_000;
    const EVENTS_OF_A_LOOK: u64 = 6 + 5 + 2;
    let mut waits = 0;
    for state in all_states().iter().filter(|state| state.waits()) {
        let whole = definition(state.machine)["TimeoutSeconds"].as_u64().unwrap();
        let wait = state.value["TimeoutSeconds"].as_u64().unwrap();
        assert!(whole / wait * EVENTS_OF_A_LOOK < EVENTS_MAX, "{}", state.at());
        waits += 1;
    }
    assert!(waits > 5);
}

/// `resume` frees a callback only if it can read that the execution which waits for it has ended.
#[test]
fn resume_may_look_at_exactly_the_executions_that_wait() {
    let stacks = stacks();
    let roles = roles(&stacks);
    let role = &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-resume-role")];
    let waiting = installed(&stacks).into_iter().filter(|it| states(it.machine).iter().any(State::waits));
    let expected: BTreeSet<String> =
        waiting.map(|it| format!("arn:aws:states:{REGION}:{TOOLING}:execution:{}:*", it.name)).collect();
    assert_eq!(role.resources_for("states:DescribeExecution"), expected);
}

#[test]
fn every_placeholder_is_substituted_and_every_substitution_is_used() {
    for Installed { name, machine, substitutions, .. } in installed(&stacks()) {
        let given: BTreeSet<String> = substitutions.keys().cloned().collect();
        assert_eq!(placeholders(machine), given, "{name}");
    }
}

#[test]
fn no_arn_of_an_account_stands_in_a_state_machine() {
    for state in all_states() {
        let text = state.value.to_string();
        let foreign = text.matches("arn:").count() - text.matches("arn:${Partition}:states:::").count();
        assert_eq!(foreign, 0, "{}", state.at());
    }
}

#[test]
fn a_state_machine_may_do_exactly_what_its_states_do() {
    let stacks = stacks();
    let roles = roles(&stacks);
    for machine in installed(&stacks) {
        let role = &roles[&machine.role];
        let expected = needed(&machine);
        assert_eq!(role.allowed(), expected, "{}", machine.name);
    }
}

/// Returns the calls of a machine's states, as (action, resource).
fn needed(machine: &Installed) -> BTreeSet<(String, String)> {
    let mut needed = BTreeSet::new();
    let mut add = |action: &str, resource: String| {
        needed.insert((action.to_owned(), resource));
    };
    let arn = |placeholder: &str| machine.substitutions[placeholder].clone();
    for state in states(machine.machine).iter().filter(|s| s.text("Type") == "Task") {
        if state.invokes() {
            add("lambda:InvokeFunction", arn(state.function().unwrap()));
        } else {
            assert!(state.nests(), "{} does something that these tests do not know", state.at());
            let started = state.value["Arguments"]["StateMachineArn"].as_str().unwrap();
            let started = arn(started.trim_start_matches("${").trim_end_matches('}'));
            let executions = started.replace(":stateMachine:", ":execution:") + ":*";
            add("states:StartExecution", started);
            add("states:DescribeExecution", executions.clone());
            add("states:StopExecution", executions);
            for action in ["events:DescribeRule", "events:PutRule", "events:PutTargets"] {
                let rule = "StepFunctionsGetEventsForStepFunctionsExecutionRule";
                add(action, format!("arn:aws:events:{REGION}:{TOOLING}:rule/{rule}"));
            }
        }
    }
    needed
}

#[test]
fn every_target_of_a_state_machine_exists() {
    let stacks = stacks();
    let mut existing: BTreeSet<String> = BTreeSet::new();
    for stack in &stacks {
        let name = |p: &serde_json::Value, field: &str| p[field].as_str().unwrap().to_owned();
        for (_, p) in stack.resources("AWS::Lambda::Function") {
            existing
                .insert(format!("arn:aws:lambda:{REGION}:{TOOLING}:function:{}", name(&p, "FunctionName")));
        }
        for (_, p) in stack.resources("AWS::StepFunctions::StateMachine") {
            existing.insert(format!(
                "arn:aws:states:{REGION}:{TOOLING}:stateMachine:{}",
                name(&p, "StateMachineName")
            ));
        }
    }
    for machine in installed(&stacks) {
        for (placeholder, arn) in machine.substitutions.iter().filter(|(_, value)| value.starts_with("arn:"))
        {
            assert!(existing.contains(arn), "{}: {placeholder} is {arn}", machine.name);
        }
    }
}

#[test]
fn a_path_calls_its_own_functions_only() {
    for machine in installed(&stacks()).iter().filter(|m| ["deploy", "teardown"].contains(&m.machine)) {
        let path = PATHS.iter().find(|path| machine.name.starts_with(&format!("lockstep-{path}-"))).unwrap();
        let functions = machine.substitutions.iter().filter(|(name, _)| name.ends_with("Function"));
        for (name, arn) in functions.filter(|(name, _)| *name != "LedgerFunction") {
            assert!(arn.contains(&format!(":lockstep-{path}-")), "{}: {name} is {arn}", machine.name);
        }
        let ledger = &machine.substitutions["LedgerFunction"];
        assert!(ledger.ends_with(&format!(":lockstep-ledger-{path}")), "{}: {ledger}", machine.name);
    }
}

/// A push reaches the authority by the function of the delivery path only, and a promotion by that of its own.
#[test]
fn each_machine_calls_the_ledger_of_its_path() {
    let mut found: Vec<(String, String)> = installed(&stacks())
        .into_iter()
        .filter_map(|machine| {
            let arn = machine.substitutions.get("LedgerFunction")?;
            Some((machine.name, arn.rsplit(':').next()?.to_owned()))
        })
        .collect();
    found.sort();
    let of =
        |machine: &str, ledger: &str| (format!("lockstep-{machine}"), format!("lockstep-ledger-{ledger}"));
    assert_eq!(
        found,
        [
            of("bake-image", "delivery"),
            of("delivery-build-image", "delivery"),
            of("delivery-deploy", "delivery"),
            of("delivery-teardown", "delivery"),
            of("promote", "promotion"),
            of("promotion-build-image", "promotion"),
            of("promotion-deploy", "promotion"),
            of("promotion-teardown", "promotion"),
            of("release", "delivery"),
        ]
    );
}

/// A state asks for an action only of a function that takes it.
#[test]
fn every_action_of_a_machine_is_on_the_list_of_its_ledger() {
    let mut asked = 0;
    for machine in installed(&stacks()) {
        let Some(arn) = machine.substitutions.get("LedgerFunction") else { continue };
        let callers =
            Callers::ALL.iter().find(|callers| arn.ends_with(&format!(":{}", callers.function()))).unwrap();
        for state in
            states(machine.machine).iter().filter(|s| s.invokes() && s.function() == Some("LedgerFunction"))
        {
            let request: ledger::Request = crate::payloads::payload(state);
            assert!(request.callers().contains(callers), "{}: {request:?}", machine.name);
            asked += 1;
        }
    }
    assert!(asked > 15, "only {asked} requests were read");
}

#[test]
fn every_error_name_is_one_that_can_occur() {
    let ours: BTreeSet<&str> = FailureKind::ALL.iter().map(|kind| kind.error_type()).collect();
    for state in all_states() {
        for name in ["Retry", "Catch"].iter().flat_map(|field| state.errors(field)) {
            let known = ours.contains(name.as_str()) || ERRORS_OF_AWS.contains(&name.as_str());
            assert!(known, "{} names {name}", state.at());
        }
    }
}

#[test]
fn only_what_may_succeed_later_is_retried() {
    for state in all_states() {
        for kind in FailureKind::ALL {
            if state.errors("Retry").iter().any(|name| name == kind.error_type()) {
                assert_eq!(kind.policy(), Policy::Retryable, "{} retries {kind:?}", state.at());
            }
        }
    }
}

#[test]
fn every_function_is_retried_when_it_was_throttled_or_hit_a_fault() {
    let busy = [FailureKind::EnvironmentBusy, FailureKind::TestBusy, FailureKind::ChecksPending];
    let passing =
        FailureKind::ALL.iter().filter(|kind| kind.policy() == Policy::Retryable && !busy.contains(kind));
    let passing: Vec<&str> = passing.map(|kind| kind.error_type()).collect();
    for state in all_states().iter().filter(|s| s.invokes()) {
        let retried = state.errors("Retry");
        let wanted = passing.iter().chain(ERRORS_OF_AWS.iter().filter(|name| name.starts_with("Lambda.")));
        for name in wanted {
            assert!(retried.iter().any(|r| r == name), "{} does not retry {name}", state.at());
        }
    }
}

#[test]
fn every_acquisition_of_an_image_waits_for_a_busy_one() {
    for state in all_states() {
        let takes = ["inspect", "claim", "begin_build", "discard_version"]
            .contains(&state.value["Arguments"]["Payload"]["action"].as_str().unwrap_or_default());
        let waits =
            state.errors("Retry").iter().any(|name| name == FailureKind::EnvironmentBusy.error_type());
        assert_eq!(takes, waits, "{}", state.at());
    }
}

#[test]
fn every_acquisition_of_an_environment_waits_for_its_turn() {
    let action =
        |state: &State| state.value["Arguments"]["Payload"]["action"].as_str().unwrap_or_default().to_owned();
    let states = all_states();
    for state in states.iter().filter(|state| ["begin", "begin_teardown"].contains(&action(state).as_str())) {
        let waits = states.iter().filter(|other| {
            other.machine == state.machine
                && action(other) == "await_turn"
                && other.value["Next"] == state.name.as_str()
                && other.value["Catch"][0]["ErrorEquals"][0] == "States.Timeout"
                && other.value["Catch"][0]["Next"] == state.name.as_str()
        });
        assert_eq!(waits.count(), 1, "{}", state.at());
    }
}

#[test]
fn a_deployment_that_begins_waits_for_another_test_stack() {
    for state in all_states() {
        let begins = state.value["Arguments"]["Payload"]["action"].as_str() == Some("begin");
        let waits = state.errors("Retry").iter().any(|name| name == FailureKind::TestBusy.error_type());
        assert!(waits || !begins, "{}", state.at());
    }
}

#[test]
fn every_task_has_a_time_limit_retries_and_a_catch() {
    for state in all_states().iter().filter(|s| s.text("Type") == "Task") {
        assert!(state.value["TimeoutSeconds"].is_u64(), "{} has no literal time limit", state.at());
        assert!(!state.errors("Retry").is_empty(), "{} retries nothing", state.at());
        let catches_all = state.errors("Catch").last().is_some_and(|name| name == "States.ALL");
        assert!(catches_all || state.caught_outside, "{} lets errors through", state.at());
        assert!(
            state.value.get("HeartbeatSeconds").is_none(),
            "{}: no function sends heartbeats",
            state.at()
        );
    }
}

/// The renderer inserts a policy of `retries.yaml` where a state names one, so no state has a policy of its own.
#[test]
fn every_task_is_retried_by_the_named_policy_of_its_kind() {
    let policies = state_machines().policies();
    for state in all_states() {
        let retry = state.value.get("Retry");
        assert_eq!(retry.is_some(), state.text("Type") == "Task", "{}", state.at());
        let Some(retry) = retry else { continue };
        let names: Vec<&str> =
            policies.iter().filter(|(_, policy)| *policy == retry).map(|(name, _)| name.as_str()).collect();
        let [name] = names[..] else { panic!("{} has {} policies: {names:?}", state.at(), names.len()) };
        assert_eq!(name == "nested", state.nests(), "{} retries by {name}", state.at());
        assert_eq!(name == "lambda_callback", state.waits(), "{} retries by {name}", state.at());
    }
}

#[test]
fn every_retry_is_bounded() {
    for state in all_states() {
        for retry in state.value["Retry"].as_array().into_iter().flatten() {
            let attempts =
                retry["MaxAttempts"].as_u64().unwrap_or_else(|| panic!("{} relies on a default", state.at()));
            assert!((1..=80).contains(&attempts), "{}", state.at());
        }
    }
}

#[test]
fn a_wait_that_times_out_leads_to_a_check_and_never_to_failure() {
    for state in all_states().iter().filter(|s| s.waits()) {
        assert!(
            !state.errors("Retry").iter().any(|name| name == "States.Timeout"),
            "{} starts again",
            state.at()
        );
        let first = &state.value["Catch"][0];
        assert_eq!(first["ErrorEquals"], serde_json::json!(["States.Timeout"]), "{}", state.at());
        // The state that looks also follows after the answer to the token.
        assert_eq!(first["Next"], state.value["Next"], "{}", state.at());
    }
}

#[test]
fn a_waiting_state_sends_its_name_to_its_function() {
    for state in all_states().iter().filter(|s| s.waits()) {
        let task = &state.value["Arguments"]["Payload"]["task"];
        let expected = serde_json::json!({
            "token": "{% $states.context.Task.Token %}",
            "execution": "{% $states.context.Execution.Id %}",
            "entered_at": "{% $states.context.State.EnteredTime %}",
            "retry": "{% $states.context.State.RetryCount %}",
        });
        assert_eq!(*task, expected, "{}", state.at());
    }
}

#[test]
fn a_function_never_runs_longer_than_the_longest_task_that_invokes_it() {
    let stacks = stacks();
    let mut limits: BTreeMap<String, u64> = BTreeMap::new();
    for machine in installed(&stacks) {
        for state in states(machine.machine).iter().filter(|s| s.invokes()) {
            let limit = state.value["TimeoutSeconds"].as_u64().unwrap();
            let known = limits.entry(machine.substitutions[state.function().unwrap()].clone()).or_default();
            *known = (*known).max(if state.waits() { 0 } else { limit });
        }
    }
    for stack in &stacks {
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            let name = function["FunctionName"].as_str().unwrap();
            if let Some(limit) = limits.get(&format!("arn:aws:lambda:{REGION}:{TOOLING}:function:{name}")) {
                let timeout = function["Timeout"].as_u64().unwrap();
                assert!(timeout <= *limit, "{name} may run for {timeout} seconds, its task only {limit}");
            }
        }
    }
}

#[test]
fn every_state_has_a_successor_and_can_be_reached() {
    for machine in MACHINES {
        let states = states(machine);
        let names: BTreeSet<String> = states.iter().map(|s| s.name.clone()).collect();
        assert_eq!(names.len(), states.len(), "{machine}: two states have one name");
        let mut led_to: BTreeSet<String> = states.iter().flat_map(State::next).collect();
        assert!(led_to.is_subset(&names), "{machine}: {:?} do not exist", led_to.difference(&names));
        led_to.insert(definition(machine)["StartAt"].as_str().unwrap().to_owned());
        led_to.extend(
            states.iter().filter_map(|s| s.value["ItemProcessor"]["StartAt"].as_str().map(str::to_owned)),
        );
        assert_eq!(led_to, names, "{machine}: some state is never reached");
    }
}

#[test]
fn every_machine_speaks_jsonata_and_ends_portably() {
    for machine in MACHINES {
        assert_eq!(definition(machine)["QueryLanguage"], "JSONata", "{machine}");
        assert!(definition(machine)["TimeoutSeconds"].is_u64(), "{machine}");
    }
    for state in all_states() {
        // The local cloud ignores the output of a Succeed state.
        assert_ne!(state.text("Type"), "Succeed", "{}", state.at());
        for field in ["Parameters", "ResultPath", "ResultSelector", "InputPath", "OutputPath"] {
            assert!(
                state.value.get(field).is_none(),
                "{} has {field}, which JSONata machines lack",
                state.at()
            );
        }
    }
}

#[test]
fn every_state_has_a_type_that_these_tests_cover() {
    let types: BTreeSet<String> = all_states().iter().map(|s| s.text("Type").to_owned()).collect();
    assert_eq!(types, set(["Choice", "Fail", "Map", "Pass", "Task"]));
}
