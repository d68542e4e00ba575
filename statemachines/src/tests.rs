//! Sources as they are written, and what becomes of them.

use super::*;
use serde_json::json;

const RETRIES_FILE: &str = "statemachines/retries.yaml";

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

fn rendered(machine: &str, retries: &str) -> Result<StateMachines, Vec<String>> {
    let machines = [source("statemachines/deploy.asl.yaml", machine)];
    StateMachines::render(&machines, &source(RETRIES_FILE, retries))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn refused(machine: &str, retries: &str) -> Vec<String> {
    rendered(machine, retries).expect_err("it is refused")
}

const LAMBDA: &str = "lambda:\n  - ErrorEquals: [Throttled]\n    MaxAttempts: 8\n";

const MACHINE: &str = "\
# A comment is for the reader of the source.
StartAt: Begin
States:
  Begin:
    Type: Task
    Arguments:
      # No state: this is the function's.
      Retry: lambda
    Retry: lambda
    End: true
";

#[test]
fn the_name_of_a_policy_becomes_the_policy_in_a_state_and_nowhere_else() {
    let machines = rendered(MACHINE, LAMBDA).unwrap();
    let machine = machines.get("deploy").unwrap();
    let retry = json!([{"ErrorEquals": ["Throttled"], "MaxAttempts": 8}]);
    assert_eq!(machines.policies()["lambda"], retry);
    assert_eq!(
        machine.definition(),
        json!({"StartAt": "Begin", "States": {
            "Begin": {"Type": "Task", "Arguments": {"Retry": "lambda"}, "Retry": retry, "End": true},
        }})
    );
}

#[test]
fn states_within_maps_and_branches_get_their_policies() {
    let inner = "{StartAt: A, States: {A: {Retry: lambda}}}";
    let text = format!("States:\n  Each:\n    ItemProcessor: {inner}\n  Both:\n    Branches: [{inner}]\n");
    let definition = rendered(&text, LAMBDA).unwrap().get("deploy").unwrap().definition();
    let states = &definition["States"];
    assert!(states["Each"]["ItemProcessor"]["States"]["A"]["Retry"].is_array());
    assert!(states["Both"]["Branches"][0]["States"]["A"]["Retry"].is_array());
}

#[test]
fn a_state_may_have_the_name_retry() {
    let text = "States:\n  Retry:\n    Retry: lambda\n";
    let definition = rendered(text, LAMBDA).unwrap().get("deploy").unwrap().definition();
    assert!(definition["States"]["Retry"]["Retry"].is_array());
}

#[test]
fn json_keeps_the_order_of_the_source() {
    let json = rendered(MACHINE, LAMBDA).unwrap().get("deploy").unwrap().json();
    let place = |key: &str| json.find(key).unwrap();
    assert!(place("StartAt") < place("States") && place("\"Type\"") < place("Arguments"), "{json}");
    assert!(json.ends_with("}\n") && !json.contains("reader of the source"), "{json}");
}

#[test]
fn an_unknown_policy_is_refused_where_it_is_named() {
    let text = "States:\n  Begin:\n    Retry: lamda\n";
    assert_eq!(
        refused(text, LAMBDA),
        [
            "statemachines/deploy.asl.yaml:3:12: there is no retry policy lamda; statemachines/retries.yaml has lambda"
        ]
    );
}

#[test]
fn a_policy_that_is_written_out_is_refused() {
    let text = "States:\n  Begin:\n    Retry:\n      - ErrorEquals: [States.ALL]\n";
    let problems = refused(text, LAMBDA);
    assert!(problems[0].starts_with("statemachines/deploy.asl.yaml:4:7: Retry is the name"), "{problems:?}");
}

#[test]
fn a_policy_that_no_state_names_is_refused() {
    let retries = format!("{LAMBDA}nested:\n  - ErrorEquals: [Throttled]\n");
    assert_eq!(
        refused(MACHINE, &retries),
        ["statemachines/retries.yaml:4:1: no state names the retry policy nested"]
    );
}

#[test]
fn a_policy_that_is_no_list_of_retriers_is_refused() {
    for retries in ["lambda: []\n", "lambda: {}\n", "lambda: text\n", "lambda:\n  - MaxAttempts: 1\n"] {
        let problems = refused(MACHINE, retries);
        assert_eq!(
            problems,
            ["statemachines/retries.yaml:1:1: a policy is a list of retriers, each with ErrorEquals"]
        );
    }
    assert!(refused(MACHINE, "- ErrorEquals: [Throttled]\n")[0].contains("a map of policies"));
}

#[test]
fn a_machine_without_states_is_refused() {
    for text in ["StartAt: Begin\n", "States: {}\n", "[]\n"] {
        assert!(refused(text, LAMBDA)[0].ends_with("a state machine is a map with States"), "{text}");
    }
}

#[test]
fn problems_of_every_file_are_named_at_once() {
    let problems = refused("States: {A: 1, A: 2}\n", "lambda: yes\n");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with(RETRIES_FILE)), "{problems:?}");
}

#[test]
fn the_graph_shows_each_state_and_each_way_out_of_it() {
    let text = "\
StartAt: Ask
States:
  Ask:
    Type: Task
    Resource: arn:${Partition}:states:::lambda:invoke.waitForTaskToken
    Arguments: {FunctionName: '${LedgerFunction}', Payload: {action: ask}}
    Retry: lambda
    Catch:
      - {ErrorEquals: [States.Timeout], Next: Read}
      - {ErrorEquals: [States.ALL], Next: Failed}
    Next: Read
  Read:
    Type: Choice
    Choices:
      - {Condition: '{% $states.input.next = \"go\" and $n > 1 %}', Next: Each}
    Default: Failed
  Each:
    Type: Map
    ItemProcessor:
      StartAt: Run
      States:
        Run:
          Type: Task
          Resource: arn:${Partition}:states:::states:startExecution.sync:2
          Arguments: {StateMachineArn: '${DeployStateMachine}'}
          Next: Ran
        Ran:
          Type: Pass
          End: true
    Next: Ask
  Failed:
    Type: Fail
";
    let expected = r##"flowchart TD
    start(( )) --> Ask
    Ask{{"Ask<br>LedgerFunction: ask"}}
    Ask --> Read
    Ask -.->|"States.Timeout"| Read
    Ask -.->|"any error"| Failed
    Read{"Read"}
    Read -->|"next = #quot;go#quot; and $n #gt; 1"| Each
    Read -->|otherwise| Failed
    subgraph Each ["Each: for each item"]
        Each_start(( )) --> Run
        Run[["Run<br>DeployStateMachine"]]
        Run --> Ran
        Ran(["Ran"])
    end
    Each --> Ask
    Failed(["Failed"])
"##;
    let machines = rendered(text, LAMBDA).unwrap();
    assert_eq!(machines.get("deploy").unwrap().flowchart(), expected);
}

#[test]
fn graphs_replace_what_follows_the_mark_of_the_readme() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("deploy.asl.yaml"), format!("Comment: One run.\n{MACHINE}")).unwrap();
    std::fs::write(folder.path().join("retries.yaml"), LAMBDA).unwrap();
    let readme = folder.path().join("README.md");
    std::fs::write(&readme, "# Written by hand\n").unwrap();
    let first = with_graphs(folder.path()).unwrap();
    assert!(
        first.starts_with("# Written by hand\n<!--") && first.contains("\n### deploy\n\nOne run.\n"),
        "{first}"
    );
    std::fs::write(&readme, first.replace("start(( ))", "old(( ))")).unwrap();
    assert_eq!(with_graphs(folder.path()).unwrap(), first);
}

#[test]
fn a_folder_is_read_and_its_json_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("deploy.asl.yaml"), MACHINE).unwrap();
    let missing = StateMachines::read(folder.path()).unwrap_err().chain();
    assert!(missing.contains("retries.yaml cannot be read or written: "), "{missing}");

    std::fs::write(folder.path().join("retries.yaml"), LAMBDA).unwrap();
    let machines = StateMachines::read(folder.path()).unwrap();
    assert_eq!(machines.iter().map(StateMachine::name).collect::<Vec<_>>(), ["deploy"]);
    machines.write(&folder.path().join("json")).unwrap();
    let written = std::fs::read_to_string(folder.path().join("json/deploy.asl.json")).unwrap();
    assert_eq!(written, machines.get("deploy").unwrap().json());
}
