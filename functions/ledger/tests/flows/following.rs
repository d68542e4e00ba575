//! Redeployments of consumers after their producers changed.

use super::fixture::{Fixture, at, deploy, execution, id};
use lockstep_domain::delivery::gate::deploy_execution;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::{ComponentResult, Request, Started};
use lockstep_domain::messages::package::PackagedComponent;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::person::Starter;
use lockstep_domain::records::{Deployed, Deployment, Environment, Evidence, Input, Release, ReleaseState};
use serde_json::{Value, json};

/// Stores the component `report`, which runs in ci with the value 60 of an output of logs. Returns its release.
async fn consumer(fixture: &Fixture) -> Release {
    let release = Release {
        component: "report".parse().unwrap(),
        producers: ["logs".parse().unwrap()].into(),
        ..fixture.published("1.0.0", &["test"]).await
    };
    let evidence = Evidence {
        component: release.component.clone(),
        digest: release.digest.clone(),
        stage: "test".parse().unwrap(),
        version: release.version.clone(),
        deployment: id("earlier"),
        passed_at: at(0),
    };
    let earlier = deployment(fixture, &release).await;
    let deployed = Deployed {
        version: release.version.clone(),
        digest: release.digest.clone(),
        template_digest: release.template_digest.clone(),
        parameters_digest: Digest::of(b"parameters"),
        late_digest: None,
        stack_version: release.version.clone(),
        deployment: earlier.id.clone(),
        checked: true,
        overridden: Default::default(),
        since: at(0),
    };
    let environment = Environment {
        deployed: Some(deployed),
        inputs: [("logs.Host".parse().unwrap(), Digest::of(b"60"))].into(),
        ever_stable: true,
        ..Environment::new("ci".parse().unwrap(), "report", release.component.clone())
    };
    fixture.ledger.insert(&release).await.unwrap();
    fixture.ledger.insert(&evidence).await.unwrap();
    fixture.ledger.insert(&earlier).await.unwrap();
    fixture.ledger.insert(&environment).await.unwrap();
    release
}

/// Returns the deployment that brought the consumer: one of logs with other names.
async fn deployment(fixture: &Fixture, release: &Release) -> Deployment {
    fixture.deployed("first", "1.0.0", true).await;
    let mut earlier = fixture.deployment("first").await;
    fixture.complete("first").await.unwrap();
    earlier.id = DeploymentId::of_execution(&execution("brought"));
    earlier.execution = execution("brought");
    let deploy = earlier.deploy_mut().unwrap();
    deploy.stack.component = release.component.clone();
    deploy.stack.environment = "report".into();
    deploy.inputs = [("logs.Host".parse().unwrap(), Input::new("60", false))].into();
    earlier
}

/// Lets a deployment of logs, which has begun, end with this output. Returns the reply.
async fn change(fixture: &Fixture, name: &str, output: &str) -> Result<Value, Failure> {
    fixture.plan(name, true).await;
    fixture
        .change(name, |deployment| {
            deployment.deploy_mut().unwrap().outputs = [("Host".to_owned(), output.to_owned())].into();
        })
        .await;
    fixture.complete(name).await
}

async fn begin(fixture: &Fixture, name: &str) {
    fixture.begin(name, DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
}

/// Returns the executions that deploy the consumer again: name and input.
fn redeployments(fixture: &Fixture) -> Vec<(String, inputs::Deploy)> {
    let started = fixture.cloud.started().into_iter();
    let known = started.filter_map(|(arn, input)| Some((arn, serde_json::from_value(input).ok()?)));
    known.filter(|(_, input): &(String, inputs::Deploy)| input.follows.is_some()).collect()
}

async fn of_consumer(fixture: &Fixture) -> Environment {
    let key = Environment::key_of(&"ci".parse().unwrap(), "report");
    fixture.versioned::<Environment>(&key).await.record
}

async fn begin_again(fixture: &Fixture, (arn, input): &(String, inputs::Deploy)) -> Result<Value, Failure> {
    let request = Request::Begin { execution: arn.clone(), input: input.clone() };
    fixture.invoke_as(Callers::Delivery, request).await
}

#[tokio::test]
async fn stale_consumer_is_deployed_again_once_and_by_its_producer() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    begin(&fixture, "a").await;
    change(&fixture, "a", "90").await.unwrap();
    fixture.complete("a").await.unwrap();
    let started = redeployments(&fixture);
    assert_eq!(started.len(), 1, "a repeated request starts nothing");
    let (arn, input) = &started[0];
    assert_eq!((input.component.as_str(), input.version.to_string().as_str()), ("report", "1.0.0"));
    let begun: Started = serde_json::from_value(begin_again(&fixture, &started[0]).await.unwrap()).unwrap();
    let deployment = fixture.versioned::<Deployment>(&Deployment::key_of(&begun.deployment)).await.record;
    assert_eq!(deployment.starter, Starter::Deployment(id("a")));
    assert_eq!(deployment.execution, *arn);
    assert!(of_consumer(&fixture).await.followed.is_some());
    // It fails: the consumer remains stale, and nothing is started again.
    let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
    fixture.invoke(Request::Fail { deployment: begun.deployment, error }).await.unwrap();
    assert_eq!(redeployments(&fixture).len(), 1);
    let late = begin_again(&fixture, &started[0]).await.unwrap_err();
    assert_eq!(late.kind, FailureKind::Superseded);
}

#[tokio::test]
async fn unchanged_output_starts_no_redeployment() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    begin(&fixture, "a").await;
    change(&fixture, "a", "60").await.unwrap();
    assert_eq!(redeployments(&fixture), []);
}

#[tokio::test]
async fn held_consumer_is_deployed_again_after_its_hold() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    let mut hold = json!({"action": "hold", "stage": "ci", "environment": "report", "reason": "bad night"});
    assert_eq!(fixture.ask(hold.clone()).await.0, 200);
    begin(&fixture, "a").await;
    change(&fixture, "a", "90").await.unwrap();
    assert_eq!(redeployments(&fixture), []);
    hold["action"] = json!("resume");
    drop(hold.as_object_mut().unwrap().remove("reason"));
    assert_eq!(fixture.ask(hold).await.0, 200);
    assert_eq!(redeployments(&fixture).len(), 1);
}

#[tokio::test]
async fn redeployment_gives_way_to_a_deployment_that_came_first() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    begin(&fixture, "a").await;
    change(&fixture, "a", "90").await.unwrap();
    let started = redeployments(&fixture);
    let plain = inputs::Deploy { follows: None, ..started[0].1.clone() };
    fixture.begin("rival", DeploymentPath::Delivery, plain).await.unwrap();
    let refused = begin_again(&fixture, &started[0]).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Superseded);
    // The rival fails before it brings the new value, so its end has the consumer deployed again.
    let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
    fixture.invoke(Request::Fail { deployment: id("rival"), error }).await.unwrap();
    let again = redeployments(&fixture);
    assert_eq!(again.len(), 2);
    begin_again(&fixture, &again[1]).await.unwrap();
}

#[tokio::test]
async fn execution_by_hand_is_no_redeployment() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    begin(&fixture, "a").await;
    change(&fixture, "a", "90").await.unwrap();
    let (_, input) = redeployments(&fixture).remove(0);
    let by_hand = begin_again(&fixture, &(execution("by-hand"), input)).await.unwrap_err();
    assert_eq!(by_hand.kind, FailureKind::Rejected);
}

#[tokio::test]
async fn consumer_of_the_same_push_is_left_to_the_push() {
    let fixture = Fixture::new().await;
    let release = consumer(&fixture).await;
    let draft = Release {
        version: "1.0.1".parse().unwrap(),
        state: ReleaseState::Packaged,
        execution: "e".into(),
        ..release
    };
    fixture.ledger.insert(&draft).await.unwrap();
    let name = deploy_execution("e", &"ci".parse().unwrap(), &"logs".parse().unwrap());
    begin(&fixture, &name).await;
    change(&fixture, &name, "90").await.unwrap();
    assert_eq!(redeployments(&fixture), []);
    // The consumer of the push failed, so the one that runs is deployed again.
    let finish = Request::FinishRelease {
        input: inputs::Release {
            repository: "github.acme.logs".parse().unwrap(),
            reference: "refs/heads/main".into(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            delivery: None,
        },
        components: Vec::<PackagedComponent>::new(),
        results: vec![ComponentResult {
            component: "report".into(),
            version: "1.0.1".into(),
            outcome: Outcome::Failed,
            cause: "no".into(),
        }],
        error: None,
    };
    let summary = fixture.invoke(finish).await.unwrap();
    assert_eq!(summary["outcome"], "rejected");
    assert_eq!(redeployments(&fixture).len(), 1);
}

#[tokio::test]
async fn sweep_has_a_stale_consumer_deployed_again() {
    let fixture = Fixture::new().await;
    consumer(&fixture).await;
    let key = Environment::key_of(&"ci".parse().unwrap(), "logs");
    let logs = fixture.versioned::<Environment>(&key).await;
    let outputs = [("Host".to_owned(), Digest::of(b"90"))].into();
    fixture.ledger.replace(&logs, Environment { outputs, ..logs.record.clone() }).await.unwrap();
    let request = Request::FreeEnvironment { stage: "ci".parse().unwrap(), environment: "report".into() };
    fixture.invoke(request).await.unwrap();
    assert_eq!(redeployments(&fixture).len(), 1);
}
