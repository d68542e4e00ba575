//! Changes of the configuration that weaken a protection.

use super::fixture::{Fixture, stages_text};
use lockstep_aws::ledger::Order;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::records::PendingState;
use lockstep_domain::records::{ConfigKind, PendingConfig};
use serde_json::{Value, json};

fn stages(text: &str) -> Value {
    json!({"action": "apply_stages", "text": text})
}

/// Returns the stages with no approval for production, and another change.
fn weakened() -> String {
    let other = "[[stages]]\nname = \"eu\"\naccount = \"222222222222\"\nregion = \"eu-west-2\"\napproval = true\nbuilds = \"approved\"\n";
    format!("{}{other}", stages_text().replace("approval = true", "approval = false"))
}

fn decide(action: &str, number: u32) -> Value {
    json!({"action": action, "config": "stages", "number": number})
}

/// Returns the text of the stages that apply, and the state of the newest proposal.
async fn state(fixture: &Fixture) -> (String, Option<PendingState>) {
    let applied = fixture.ledger.config(ConfigKind::Stages).await.unwrap().unwrap();
    let partition = PendingConfig::all_of(ConfigKind::Stages);
    let newest = fixture.ledger.list::<PendingConfig>(&partition, Order::Newest, 1).await.unwrap().pop();
    (applied.text, newest.map(|found| found.record.change.state))
}

/// Lets the schedule run. Returns the parts that took effect.
async fn settle(fixture: &Fixture) -> Value {
    let settled = fixture.invoke_as(Callers::Administrators, Request::SettleConfiguration {}).await;
    settled.unwrap()["applied"].clone()
}

/// Returns an installation with one administrator.
async fn alone() -> Fixture {
    let fixture = Fixture::new().await;
    let one = json!({"action": "apply_administrators", "administrators": "one"});
    assert_eq!(fixture.ask(one).await.1["pending"]["number"], 1);
    let confirm = json!({"action": "confirm_change", "config": "administrators", "number": 1});
    assert_eq!(fixture.ask_as("grace", confirm).await.0, 200);
    fixture
}

#[tokio::test]
async fn a_weakening_waits_with_everything_else_for_another_person() {
    let fixture = Fixture::new().await;
    let (status, body) = fixture.ask(stages(&weakened())).await;
    assert_eq!((status, &body["changed"], &body["version"]), (200, &json!(false), &json!(1)), "{body}");
    assert_eq!(body["pending"]["number"], 1);
    let weakens: Vec<&Value> =
        body["differences"].as_array().unwrap().iter().map(|it| &it["weakens"]).collect();
    assert!(weakens.contains(&&json!(true)) && weakens.contains(&&json!(false)), "{body}");
    assert_eq!(state(&fixture).await, (stages_text(), Some(PendingState::Open)));
    let (status, body) = fixture.ask(decide("confirm_change", 1)).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(
        fixture.ask_as("grace", decide("confirm_change", 1)).await,
        (200, json!({"version": 2, "changed": true}))
    );
    assert_eq!(state(&fixture).await, (weakened(), Some(PendingState::Applied)));
    assert_eq!(fixture.ask_as("grace", decide("confirm_change", 1)).await.0, 409);
}

#[tokio::test]
async fn a_session_that_its_caller_named_confirms_nothing() {
    let fixture = Fixture::new().await;
    fixture.ask(stages(&weakened())).await;
    let iam = json!({
        "userArn": "arn:aws:sts::333333333333:assumed-role/shared-administrators/grace", "accountId": "333333333333",
        "userId": "AROAEXAMPLE000000000:grace",
    });
    let confirm = decide("confirm_change", 1).to_string();
    assert_eq!(fixture.http(&confirm, json!({ "iam": iam })).await.0, 400);
    assert_eq!(
        fixture.http(&stages(&weakened()).to_string(), json!({ "iam": iam })).await.0,
        200,
        "it is the same"
    );
    assert_eq!(state(&fixture).await.0, stages_text());
}

#[tokio::test]
async fn identities_that_were_joined_since_are_one_administrator() {
    let fixture = Fixture::new().await;
    fixture.ask(stages(&weakened())).await;
    let people = "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE00000ADA\", \"AIDAEXAMPLE00000ADMIN\"]\n";
    let (status, body) = fixture.ask(json!({"action": "apply_people", "text": people})).await;
    assert_eq!((status, &body["changed"]), (200, &json!(true)), "{body}");
    assert_eq!(fixture.ask_as("admin", decide("confirm_change", 1)).await.0, 400);
    assert_eq!(fixture.ask_as("grace", decide("confirm_change", 1)).await.0, 200);
}

#[tokio::test]
async fn people_that_weaken_wait_once_a_stage_asks() {
    let fixture = Fixture::new().await;
    let apply = |text: &str| json!({"action": "apply_people", "text": text});
    let author = "[[people]]\nname = \"ada\"\ngithub = \"ada-l\"\n";
    assert_eq!(fixture.ask(apply(author)).await.1["pending"]["number"], 1);
    let confirm = json!({"action": "confirm_change", "config": "people", "number": 1});
    assert_eq!(fixture.ask_as("grace", confirm).await.0, 200);
    assert_eq!(fixture.ask(apply("")).await.1["changed"], true, "an unknown author asks for more");
}

#[tokio::test]
async fn a_weakening_by_one_administrator_takes_effect_after_a_day() {
    let fixture = alone().await;
    assert_eq!(fixture.ask(stages(&weakened())).await.1["pending"]["number"], 1);
    fixture.let_pass(23);
    assert_eq!(settle(&fixture).await, json!([]));
    assert_eq!(state(&fixture).await, (stages_text(), Some(PendingState::Open)));
    fixture.let_pass(2);
    assert_eq!(settle(&fixture).await, json!(["stages"]));
    assert_eq!(state(&fixture).await, (weakened(), Some(PendingState::Applied)));
    assert_eq!(settle(&fixture).await, json!([]));
}

#[tokio::test]
async fn a_cancelled_weakening_takes_no_effect() {
    let fixture = alone().await;
    fixture.ask(stages(&weakened())).await;
    assert_eq!(fixture.ask(decide("cancel_change", 1)).await, (200, json!({"version": 1, "changed": true})));
    fixture.let_pass(48);
    assert_eq!(settle(&fixture).await, json!([]));
    assert_eq!(state(&fixture).await, (stages_text(), Some(PendingState::Cancelled)));
    assert_eq!(fixture.ask(stages(&weakened())).await.1["pending"]["number"], 2);
    assert_eq!(fixture.ask(decide("cancel_change", 1)).await.0, 400, "it is not the newest change");
}

#[tokio::test]
async fn a_weakening_among_several_administrators_ends_after_a_week() {
    let fixture = Fixture::new().await;
    fixture.ask(stages(&weakened())).await;
    fixture.let_pass(7 * 24 + 1);
    assert_eq!(fixture.ask_as("grace", decide("confirm_change", 1)).await.0, 409);
    assert_eq!(settle(&fixture).await, json!([]));
    assert_eq!(state(&fixture).await, (stages_text(), Some(PendingState::Expired)));
}

#[tokio::test]
async fn another_version_supersedes_a_weakening_and_a_second_one_is_refused() {
    let fixture = Fixture::new().await;
    fixture.ask(stages(&weakened())).await;
    let (status, body) = fixture.ask(stages(&format!("{}\n# later", weakened()))).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["message"].as_str().unwrap().contains("another weakening"), "{body}");
    let stronger = stages_text().replace("approval = true", "approval = { count = 2 }");
    assert_eq!(fixture.ask(stages(&stronger)).await.1["version"], 2);
    assert_eq!(fixture.ask_as("grace", decide("confirm_change", 1)).await.0, 409);
    settle(&fixture).await;
    assert_eq!(state(&fixture).await, (stronger, Some(PendingState::Superseded)));
}

#[tokio::test]
async fn going_from_many_administrators_to_one_waits_like_any_weakening() {
    let fixture = Fixture::new().await;
    let set = |word: &str| json!({"action": "apply_administrators", "administrators": word});
    assert_eq!(fixture.ask(set("many")).await.1, json!({"version": 1, "changed": false}));
    assert_eq!(fixture.ask(set("one")).await.1["changed"], false);
    fixture.let_pass(48);
    assert_eq!(settle(&fixture).await, json!([]), "a second administrator must confirm");
    let confirm = json!({"action": "confirm_change", "config": "administrators", "number": 1});
    assert_eq!(fixture.ask(confirm.clone()).await.0, 400);
    assert_eq!(fixture.ask_as("grace", confirm).await.0, 200);
    assert_eq!(fixture.ask(set("many")).await.1["changed"], true);
}

#[tokio::test]
async fn nothing_of_a_change_is_decided_before_one_is_pending() {
    let fixture = Fixture::new().await;
    for action in ["confirm_change", "cancel_change"] {
        assert_eq!(fixture.ask_as("grace", decide(action, 1)).await.0, 404);
    }
    assert_eq!(settle(&fixture).await, json!([]));
}
