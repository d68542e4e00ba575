//! Every state machine, by the interpreter and by the emulator's Step Functions: the same states in the same order, the
//! same calls with the same payloads, and the same end.

use crate::cloud::{Emulator, MACHINES, machine, substitutions, text};
use crate::script::Said::{Error, Ok as Answer};
use crate::script::{ID, Said, Script, Scripted};
use lockstep_platform::operator::executions::Status;
use lockstep_tests::asl::{End, Machines, run};
use serde_json::{Value, json};

/// What a state machine is given, and what its functions answer that is not the usual.
struct Scenario {
    machine: &'static str,
    name: &'static str,
    answers: Vec<(&'static str, Vec<Said>)>,
}

fn next(step: &str) -> Said {
    Answer(json!({ "next": step }))
}

/// Nothing was taken: this image is to be brought first, by an execution of this name.
fn lacks_an_image(execution: &str) -> Said {
    let image = json!({"image": "logstash", "version": "2.1.37", "execution": execution});
    Answer(json!({"deployment": "d", "images": true, "missing": [image]}))
}

/// What `inspect` says of a promotion.
fn image(step: &str) -> Said {
    Answer(json!({"promotion": ID, "next": step}))
}

fn failed() -> Said {
    Error("StackFailed", "the queue exists")
}

fn scenarios() -> Vec<Scenario> {
    let of = |machine, name, answers: &[(&'static str, &[Said])]| Scenario {
        machine,
        name,
        answers: answers.iter().map(|(key, said)| (*key, said.to_vec())).collect(),
    };
    let transient = || Error("Transient", "later");
    let refused = || Error("Rejected", "there is no such release");
    vec![
        of("deploy", "goes-well", &[]),
        of("deploy", "changes-nothing", &[("stack plan", &[next("check")])]),
        of("deploy", "recovers-first", &[("stack plan", &[next("recover")])]),
        of("deploy", "asks", &[("stack change_set", &[next("approve"), next("execute")])]),
        of("deploy", "waits-longer", &[("stack observe", &[next("wait"), next("wait")])]),
        of("deploy", "finishes-a-rollback", &[("stack observe", &[next("finish_rollback"), failed()])]),
        of(
            "deploy",
            "has-images",
            &[("ledger begin", &[Answer(json!({"deployment": "d", "images": true, "missing": []}))])],
        ),
        of("deploy", "brings-an-image", &[("ledger begin", &[lacks_an_image("brought")])]),
        of(
            "deploy",
            "cannot-bring-an-image",
            &[("ledger begin", &[lacks_an_image("missed")]), ("image inspect", &[refused()])],
        ),
        of("deploy", "is-refused", &[("ledger begin", &[refused()])]),
        of("deploy", "fails", &[("stack execute", &[failed()])]),
        of("deploy", "fails-and-cannot-say-so", &[("verify", &[failed()]), ("ledger fail", &[refused()])]),
        of("deploy", "tries-again", &[("stack plan", &[transient(), transient()])]),
        of("deploy", "is-surprised", &[("stack plan", &[next("dance")])]),
        of("teardown", "finds-nothing", &[]),
        of("teardown", "deletes", &[("stack plan_teardown", &[next("delete")])]),
        of("teardown", "asks-and-deletes", &[("stack plan_teardown", &[next("approve"), next("delete")])]),
        of("teardown", "fails", &[("stack plan_teardown", &[next("delete")]), ("stack delete", &[failed()])]),
        of("promote-image", "copies", &[]),
        of("promote-image", "cannot-name-the-newest", &[("sweep channels", &[refused()])]),
        of("promote-image", "finds-it", &[("image inspect", &[image("present")])]),
        of("promote-image", "waits-to-begin", &[("image inspect", &[image("wait"), image("wait")])]),
        of(
            "promote-image",
            "cannot-wait-to-begin",
            &[("image inspect", &[image("wait")]), ("image wait", &[failed()])],
        ),
        of(
            "promote-image",
            "copies-again",
            &[("image observe", &[next("again"), next("wait"), next("again")])],
        ),
        of(
            "promote-image",
            "cannot-copy-again",
            &[("image observe", &[next("again")]), ("image retry", &[failed()])],
        ),
        of("promote-image", "tries-again", &[("image share", &[transient(), transient()])]),
        of("promote-image", "is-refused", &[("image inspect", &[Error("ImageStays", "it is licensed")])]),
        of(
            "promote-image",
            "is-refused-and-cannot-say-so",
            &[("image inspect", &[refused()]), ("image close", &[refused()])],
        ),
        of("promote-image", "is-surprised", &[("image observe", &[next("dance")])]),
        of("promote-image", "waits-longer", &[("image observe", &[next("wait")])]),
        of("promote-image", "fails-and-withdraws", &[("image compare", &[failed()])]),
        of(
            "promote-image",
            "cannot-even-withdraw",
            &[("image copy", &[failed()]), ("image discard", &[failed()]), ("image unshare", &[failed()])],
        ),
        of("promote", "brings-a-release", &[]),
        of("promote", "is-refused", &[("ledger gate", &[refused()])]),
        of("promote", "brings-a-release-that-fails", &[("stack plan", &[failed()])]),
        of("release", "reaches-ci", &[]),
        of("release", "is-rejected", &[("package", &[refused()])]),
        of("release", "fails-its-test", &[("verify", &[failed()])]),
        of("release", "fails-in-ci", &[("stack plan", &[next("change_set"), failed()])]),
        of("release", "cannot-be-cleaned-up", &[("stack destroy", &[failed()])]),
    ]
}

fn input(machine: &str) -> Value {
    match machine {
        "deploy" | "teardown" => json!({"component": "logs", "version": "2.1.0", "stage": "ci"}),
        "promote-image" => json!({"image": "logstash", "version": "2.1.37", "to": "production"}),
        "promote" => json!({"component": "logs", "version": "2.1.0", "to": "production"}),
        _ => json!({"repository": "github.acme.logs", "ref": "refs/heads/main", "commit": "0".repeat(40)}),
    }
}

/// Whether a state is one of the machine's own, and not inside a Map.
fn is_outside(machine: &str, state: &str) -> bool {
    let definition: Value = serde_json::from_str(&text(machine)).expect("a state machine");
    definition["States"].get(state).is_some()
}

fn machines() -> Machines {
    let mut machines = Machines::default();
    let substitutions = substitutions();
    let substitutions: Vec<(&str, &str)> =
        substitutions.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for name in MACHINES {
        machines.add(&machine(name), &text(name), &substitutions);
    }
    machines
}

/// An end without what differs by nature: the ids and dates of executions.
fn plain(status: &Status) -> (String, Value) {
    match status {
        Status::Running => ("RUNNING".to_owned(), Value::Null),
        Status::Succeeded { output } => ("SUCCEEDED".to_owned(), output.clone()),
        Status::Failed { error, .. } => (error.clone(), Value::Null),
    }
}

fn status_of(end: End) -> Status {
    match end {
        End::Succeeded(output) => Status::Succeeded { output },
        End::Failed(error) => Status::Failed { error: error.error, cause: error.cause },
        End::TimedOut => Status::Failed { error: "TIMED_OUT".to_owned(), cause: String::new() },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interpreter_and_step_functions_walk_every_state_machine_alike() {
    let emulator = Emulator::start().await;
    emulator.install().await;
    let machines = machines();
    let mut differences = Vec::new();
    for (number, scenario) in scenarios().into_iter().enumerate() {
        let answers: Vec<(&'static str, &[Said])> =
            scenario.answers.iter().map(|(key, said)| (*key, said.as_slice())).collect();
        // The names of nested executions can be used once.
        let mut script = Script::of(&answers);
        script.name_executions(number);
        let input = input(scenario.machine);
        let (path, status) = emulator.run(scenario.machine, scenario.name, &input, &script).await;
        let world = Scripted::new(&script);
        let here = run(&world, &machines, &machine(scenario.machine), scenario.name, &input).await;
        // The emulator's history leaves out what happens inside a Map: there the calls tell.
        let outside: Vec<String> =
            here.path.into_iter().filter(|state| is_outside(scenario.machine, state)).collect();
        let here = (outside, plain(&status_of(here.end)), world.calls());
        let there = (path, plain(&status), emulator.calls());
        if here != there {
            let name = format!("{} {}", scenario.machine, scenario.name);
            differences.push(format!("{name}\n  here:  {here:?}\n  there: {there:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_state_machine_has_scenarios() {
    for machine in MACHINES {
        assert!(scenarios().iter().filter(|scenario| scenario.machine == machine).count() > 2, "{machine}");
    }
}
