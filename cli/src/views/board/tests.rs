use super::*;
use crate::views::testing::{at, deploy, deployment, deployment_of, environment, stack_run};
use console::strip_ansi_codes;
use lockstep_domain::delivery::queue::entry;
use lockstep_domain::records::{
    DeployBody, FailureRecord, Operation, PromoteImageBody, StackRun, TeardownBody,
};

/// Returns a deployment of `component` to `stage` that began at a second.
fn of(component: &str, stage: &str, state: DeploymentState, second: i64) -> Deployment {
    let stack =
        StackRun { component: component.parse().unwrap(), environment: component.to_owned(), ..stack_run() };
    Deployment {
        id: DeploymentId::of_execution(&format!("{component} {stage}")),
        stage: stage.parse().unwrap(),
        state,
        started_at: at(second),
        finished_at: state.is_final().then(|| at(second + 12)),
        ..deployment_of(DeployBody { stack, ..deploy() })
    }
}

fn working(deployment: Deployment, kind: OperationKind) -> Deployment {
    let operation = Operation {
        operation: kind,
        token: "t0489c20de4961a06".into(),
        target: "arn:stack".into(),
        attempt: 1,
        without: Vec::new(),
        at: deployment.started_at,
    };
    Deployment { operations: vec![operation], ..deployment }
}

/// Returns a board of six components in every state.
fn board() -> Board {
    use DeploymentState::{AwaitingApproval, Failed, Refused, Running, Succeeded};
    let failure = FailureRecord {
        error: "StackFailed".into(),
        message: "shop-web 2.1.3 was not deployed to ci: NobodyAnswers (AWS::CloudFormation::WaitCondition, \
                  template.yaml:52) failed to update: WaitCondition timed out. ci runs 2.1.2."
            .into(),
    };
    let mut checking = of("orders-queue", "ci", Running, 30);
    checking.deploy_mut().unwrap().stack_changed = true;
    let copy =
        PromoteImageBody { image: "logstash".parse().unwrap(), source: deployment().location, plan: None };
    let copying = Deployment { body: copy.into(), ..of("any", "production", Running, 40) };
    let all = [
        of("orders-queue", "test", Succeeded, 10),
        of("shop-web", "test", Succeeded, 11),
        working(of("orders-report", "test", Running, 25), OperationKind::Execute),
        Deployment { failure: Some(failure), ..of("shop-web", "ci", Failed, 26) },
        checking,
        of("payments", "production", AwaitingApproval, 27),
        of("search", "ci", Refused, 28),
        working(copying, OperationKind::Copy),
    ];
    let notes = BTreeMap::from([(
        all[2].id.clone(),
        "making the change set t0489c20de4961a0683f544268167f0c56c71e799 (attempt 1)".to_owned(),
    )]);
    let earlier = [of("orders-report", "test", Succeeded, 0)];
    let mut held = environment("ci", "notifications");
    held.component = "notifications".parse().unwrap();
    let queued = entry(&of("notifications", "ci", Running, 50), None, at(50));
    let id = queued.deployment.short();
    let sentence = format!("notifications 2.1.3 ({id}) waits for its turn in ci, behind another");
    let row = Row::queued(&held, &queued, sentence);
    Board::of(at(5), &all, &notes, &Expected::of(&earlier), Some(row))
}

fn shown(width: usize) -> String {
    screen(&board(), at(60), width, false).join("\n")
}

#[test]
fn the_screen_at_40_columns() {
    insta::assert_snapshot!(shown(40));
}

#[test]
fn the_screen_at_60_columns() {
    insta::assert_snapshot!(shown(60));
}

#[test]
fn the_screen_at_80_columns() {
    insta::assert_snapshot!(shown(80));
}

#[test]
fn the_screen_at_120_columns() {
    insta::assert_snapshot!(shown(120));
}

#[test]
fn the_screen_at_200_columns() {
    insta::assert_snapshot!(shown(200));
}

#[test]
fn no_line_of_a_screen_is_wider_than_the_terminal() {
    let mut wide = board();
    wide.rows[0].subject = "a-component-with-a-name-of-the-greatest-length-that-is-allowed".into();
    wide.rows[1].cause = Some("全角文字 are two columns wide each: 全角文字全角文字全角文字\nsecond".into());
    for board in [board(), wide, Board::default()] {
        for width in 20..=200 {
            for line in screen(&board, at(60), width, true) {
                assert!(measure_text_width(&line) <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn colours_change_no_text_of_a_screen() {
    let (plain, coloured) = (screen(&board(), at(60), 100, false), screen(&board(), at(60), 100, true));
    let stripped: Vec<String> = coloured.iter().map(|line| strip_ansi_codes(line).into_owned()).collect();
    assert_eq!(stripped, plain);
    assert!(coloured.iter().all(|line| line.contains('\u{1b}')), "{coloured:?}");
    assert!(!plain.iter().any(|line| line.contains('\u{1b}')), "{plain:?}");
}

#[test]
fn a_hostile_cause_controls_no_terminal() {
    let mut hostile = board();
    hostile.rows[0].cause = Some("\u{1b}[2J\u{202e}gone".into());
    let lines = screen(&hostile, at(60), 200, false);
    assert!(lines[0].contains("\\u{1b}[2J\\u{202e}gone"), "{}", lines[0]);
}

#[test]
fn each_change_of_state_is_said_once() {
    let after = board();
    let all = changes(&Board::default(), &after, false);
    assert_eq!(all.len(), after.rows.len());
    insta::assert_snapshot!(all.join("\n"));
    assert!(changes(&after, &after, false).is_empty());
    let mut before = after.clone();
    before.rows[0].state = RowState::Planning;
    before.rows[1].what = "another note".into();
    assert_eq!(changes(&before, &after, false).len(), 1, "a note is no change of state");
    assert_eq!(changes(&Board::default(), &after, true).len(), 1, "the queue alone");
}

#[test]
fn a_minute_without_a_change_says_what_runs() {
    let line = silence(&board(), at(100)).unwrap();
    assert!(
        line.starts_with("orders-queue 2.1.3 to ci (") && line.ends_with("1 min 10 s; and 4 more"),
        "{line}"
    );
    assert!(silence(&Board::default(), at(100)).unwrap().starts_with("no deployment has begun"));
}

#[test]
fn the_last_success_decides_how_long_a_deployment_takes() {
    use DeploymentState::{Failed, NoChanges, Succeeded};
    let took = |state, second, seconds| Deployment {
        finished_at: Some(at(second + seconds)),
        ..of("logs", "ci", state, second)
    };
    let earlier = [
        took(Succeeded, 10, 100),
        took(Succeeded, 300, 40),
        took(Failed, 500, 1),
        took(NoChanges, 600, 2),
        took(Succeeded, 200, 70),
    ];
    let expected = Expected::of(&earlier);
    assert_eq!(expected.get("logs", &"ci".parse().unwrap()), Some(40_000));
    assert_eq!(expected.get("logs", &"test".parse().unwrap()), None);
    assert_eq!(expected.get("other", &"ci".parse().unwrap()), None);
}

#[test]
fn each_operation_has_a_word() {
    let deployment = deployment();
    for (kind, word) in [
        (OperationKind::Execute, "deploying"),
        (OperationKind::Delete, "deleting"),
        (OperationKind::ContinueRollback, "rolling back"),
        (OperationKind::Copy, "copying"),
        (OperationKind::Build, "building"),
    ] {
        assert_eq!(RowState::of(&working(deployment.clone(), kind)).word(), word);
    }
    assert_eq!(RowState::of(&deployment), RowState::Planning);
    let teardown = deployment_of(TeardownBody { stack: stack_run(), digest: None });
    assert_eq!(subject(&teardown), "logs");
}
