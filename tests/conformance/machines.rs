//! Runs every state machine in the interpreter and in the emulator's Step Functions. Both must enter the same states in
//! the same order, make the same calls with the same payloads, and end in the same way.

use crate::cloud::{Emulator, MACHINES, machine, substitutions, text};
use crate::script::Said::{Error, Ok as Answer};
use crate::script::{ID, Said, Script, Scripted};
use lockstep_aws::operator::executions::Status;
use lockstep_tests::asl::{End, Machines, run};
use serde_json::{Value, json};

/// The input of a state machine, and the answers of functions that differ from the usual ones.
struct Scenario {
    machine: &'static str,
    name: &'static str,
    answers: Vec<(&'static str, Vec<Said>)>,
}

fn next(step: &str) -> Said {
    Answer(json!({ "next": step }))
}

/// An acquisition that fails for lack of an image. An execution of this name must copy the image first.
fn lacks_an_image(execution: &str) -> Said {
    let image = json!({"image": "logstash", "version": "2.1.37", "execution": execution});
    Answer(json!({"deployment": "d", "images": true, "missing": [image]}))
}

/// An acquisition that has to wait for the environment.
fn queued() -> Said {
    Answer(json!({"deployment": ID, "images": false, "missing": [], "queued": true}))
}

/// The end of a deployment that the parameters of its account follow.
fn followed() -> Said {
    Answer(json!({"deployment": ID, "outcome": "succeeded", "stage": "production", "channels": true}))
}

/// The answer of `inspect` for a promotion.
fn image(step: &str) -> Said {
    Answer(json!({"promotion": ID, "next": step}))
}

/// The answer for an image that must not be copied.
fn stays() -> Said {
    Error("ImageStays", "it is licensed")
}

/// The answer while another execution holds the resource.
fn busy() -> Said {
    Error("EnvironmentBusy", "another execution bakes it")
}

/// The answer that claims this version for the recipe, with the next step.
fn claimed(step: &str) -> Said {
    Answer(json!({"version": "2.1.38", "next": step, "stage": "test", "execution": "never"}))
}

/// The answer that begins the build, with the next step.
fn build_started(step: &str) -> Said {
    Answer(json!({"build": ID, "next": step}))
}

/// The answer for a version that an account on the delivery path lacks. Executions of these names promote and build it.
fn delivered(promotion: &str, build: &str) -> Said {
    let place = json!({"stage": "staging", "path": "delivery", "promotion": promotion, "build": build});
    Answer(json!({ "places": [place] }))
}

/// The answer for a version that must be removed from an account on the delivery path.
fn given_up_in_delivery() -> Said {
    Answer(json!({"places": [{"stage": "test", "path": "delivery"}]}))
}

/// The answer for a changed recipe of the push. An execution of this name bakes it first.
fn changed_recipe(execution: &str) -> Said {
    let recipes = json!([{"image": "logstash", "execution": execution}]);
    Answer(json!({"result": "bake_first", "components": [], "recipes": recipes}))
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
        of("deploy", "waits-for-its-turn", &[("ledger begin", &[queued()])]),
        of("teardown", "waits-for-its-turn", &[("ledger begin_teardown", &[queued()])]),
        of("deploy", "brings-an-image", &[("ledger begin", &[lacks_an_image("brought")])]),
        of(
            "deploy",
            "cannot-bring-an-image",
            &[("ledger begin", &[lacks_an_image("missed")]), ("image inspect", &[refused()])],
        ),
        of("deploy", "moves-parameters", &[("ledger complete", &[followed()])]),
        of(
            "deploy",
            "cannot-move-parameters",
            &[("ledger complete", &[followed()]), ("image channels", &[refused(), refused()])],
        ),
        of("bake-image", "has-a-foreign-name", &[("ledger claim_image", &[refused()])]),
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
        of("promote-image", "cannot-name-the-newest", &[("delivery-image channels", &[refused()])]),
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
        of("release", "bakes-first", &[("package commit", &[changed_recipe("baked")])]),
        of(
            "release",
            "cannot-bake",
            &[("package commit", &[changed_recipe("unbaked")]), ("bake claim", &[refused()])],
        ),
        of(
            "release",
            "cannot-package-what-it-baked",
            &[("package commit", &[changed_recipe("baked-in-vain"), refused()])],
        ),
        of("build-image", "builds", &[]),
        of("build-image", "finds-it", &[("bake begin_build", &[build_started("present")])]),
        of("build-image", "waits-for-another", &[("bake begin_build", &[busy(), busy()])]),
        of("build-image", "is-refused", &[("bake begin_build", &[refused()])]),
        of("build-image", "waits-longer", &[("bake observe_build", &[next("wait"), next("wait")])]),
        of("build-image", "tries-again", &[("bake build", &[transient(), transient()])]),
        of("build-image", "fails", &[("bake observe_build", &[failed()])]),
        of("build-image", "makes-what-is-not-taken", &[("bake register", &[failed()])]),
        of(
            "build-image",
            "fails-and-cannot-say-so",
            &[("bake build", &[failed()]), ("bake fail_build", &[refused()])],
        ),
        of("build-image", "is-surprised", &[("bake observe_build", &[next("dance")])]),
        of("bake-image", "bakes", &[]),
        of("bake-image", "cannot-name-the-newest", &[("delivery-image channels", &[refused(), refused()])]),
        of("bake-image", "finds-it", &[("bake claim", &[claimed("present")])]),
        of("bake-image", "has-no-recipe", &[("package recipe", &[refused()])]),
        of("bake-image", "is-refused", &[("bake claim", &[refused()])]),
        of("bake-image", "waits-for-another", &[("bake claim", &[busy(), busy()])]),
        of("bake-image", "goes-nowhere", &[("bake distribute", &[Answer(json!({"places": []}))])]),
        of("bake-image", "cannot-be-built", &[("bake observe_build", &[failed()])]),
        of("bake-image", "cannot-distribute", &[("bake distribute", &[refused()])]),
        of(
            "bake-image",
            "is-built-there",
            &[("image inspect", &[stays()]), ("bake copy_failed", &[next("build")])],
        ),
        of(
            "bake-image",
            "is-built-in-delivery",
            &[
                ("bake distribute", &[delivered("copied", "built-in-delivery")]),
                ("image inspect", &[stays()]),
                ("bake copy_failed", &[next("build")]),
            ],
        ),
        of(
            "bake-image",
            "cannot-be-built-there",
            &[
                ("image inspect", &[stays()]),
                ("bake copy_failed", &[next("build")]),
                ("bake begin_build", &[build_started("build"), refused()]),
                ("bake complete", &[failed()]),
            ],
        ),
        of("bake-image", "cannot-be-copied", &[("image copy", &[failed()]), ("bake complete", &[failed()])]),
        of(
            "bake-image",
            "cannot-be-removed",
            &[
                ("bake complete", &[failed()]),
                ("bake fail_version", &[given_up_in_delivery()]),
                ("bake discard_version", &[busy(), refused()]),
            ],
        ),
        of(
            "bake-image",
            "cannot-fail-version",
            &[("bake complete", &[failed()]), ("bake fail_version", &[refused()])],
        ),
        of(
            "bake-image",
            "cannot-say-so",
            &[
                ("bake complete", &[failed()]),
                ("promotion-bake discard_version", &[refused()]),
                ("bake record_discarded", &[refused()]),
            ],
        ),
        of("bake-image", "is-surprised", &[("bake claim", &[claimed("dance")])]),
        of(
            "bake-image",
            "is-surprised-there",
            &[("image inspect", &[stays()]), ("bake copy_failed", &[next("dance")])],
        ),
        of(
            "release",
            "is-surprised",
            &[("package commit", &[Answer(json!({"result": "dance", "components": []}))])],
        ),
        of("release", "is-rejected", &[("package commit", &[refused()])]),
        of("release", "fails-its-test", &[("verify", &[failed()])]),
        of("release", "fails-in-ci", &[("stack plan", &[next("change_set"), failed()])]),
        of("release", "cannot-be-cleaned-up", &[("stack destroy", &[failed()])]),
    ]
}

fn input(machine: &str) -> Value {
    match machine {
        "deploy" | "teardown" => json!({"component": "logs", "version": "2.1.0", "stage": "ci"}),
        "bake-image" => json!({
            "image": "logstash", "repository": "github.acme.images", "ref": "refs/heads/main", "commit": "1".repeat(40),
        }),
        "build-image" => json!({"image": "logstash", "version": "2.1.38", "stage": "test"}),
        "promote-image" => json!({"image": "logstash", "version": "2.1.37", "to": "production"}),
        "promote" => json!({"component": "logs", "version": "2.1.0", "to": "production"}),
        _ => json!({"repository": "github.acme.logs", "ref": "refs/heads/main", "commit": "0".repeat(40)}),
    }
}

/// Returns true if a state belongs to the machine itself and not to a Map.
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

/// Returns an end without the ids and dates of executions, which always differ.
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
async fn the_interpreter_and_step_functions_run_every_state_machine_alike() {
    let emulator = Emulator::start().await;
    emulator.install().await;
    let machines = machines();
    let mut differences = Vec::new();
    for (number, scenario) in scenarios().into_iter().enumerate() {
        let answers: Vec<(&'static str, &[Said])> =
            scenario.answers.iter().map(|(key, said)| (*key, said.as_slice())).collect();
        // The name of a nested execution can be used only once.
        let mut script = Script::of(&answers);
        script.name_executions(number);
        let input = input(scenario.machine);
        let (path, status) = emulator.run(scenario.machine, scenario.name, &input, &script).await;
        let scripted = Scripted::new(&script);
        let here = run(&scripted, &machines, &machine(scenario.machine), scenario.name, &input).await;
        // The emulator's history omits states inside a Map, so the calls are compared there.
        let outside: Vec<String> =
            here.path.into_iter().filter(|state| is_outside(scenario.machine, state)).collect();
        let here = (outside, plain(&status_of(here.end)), scripted.calls());
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
