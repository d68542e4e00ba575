//! The emulator with every state machine, and with functions that answer from a script.

use crate::script::{Said, Script};
use aws_credential_types::Credentials;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::executions::{Executions, Started};
use lockstep_aws::operator::executions::{Follow, Status, What};
use lockstep_aws::operator::stacks::{Installer, Wanted};
use lockstep_cli::functions::{Destination, Package, Profile};
use lockstep_local::{CloudOptions, Controls, LocalCloud};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The account of every resource.
pub const ACCOUNT: &str = "111111111111";
pub const REGION: &str = "eu-west-1";
/// The functions that state machines invoke.
pub const FUNCTIONS: [&str; 8] =
    ["ledger", "stack", "verify", "image", "delivery-image", "package", "bake", "promotion-bake"];
/// The state machines.
pub const MACHINES: [&str; 7] =
    ["deploy", "teardown", "promote-image", "promote", "release", "bake-image", "build-image"];

const PATIENCE: Duration = Duration::from_secs(120);

/// A function that requests its answers from the test: a shell script that polls Lambda's runtime API
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html>).
const BOOTSTRAP: &str = r#"#!/bin/sh
work=$(mktemp -d)
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while curl -sf -D "$work/headers" -o "$work/event" "$api/next"; do
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *//Ip' "$work/headers" | tr -d '\r')
  status=$(curl -s -o "$work/answer" -w '%{http_code}' -H 'content-type: application/json' \
    --data-binary "@$work/event" "$ANSWERS")
  if [ "$status" = 200 ]; then end=response; else end=error; fi
  curl -s -o "$work/done" --data-binary "@$work/answer" "$api/$id/$end"
done
"#;

/// Returns the ARN of a state machine.
pub fn machine(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:conformance-{name}")
}

/// Returns the ARN of a function.
pub fn function(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:conformance-{name}")
}

/// Returns the values of the placeholders in the state machines.
pub fn substitutions() -> Vec<(&'static str, String)> {
    let functions = [
        ("LedgerFunction", "ledger"),
        ("StackFunction", "stack"),
        ("VerifyFunction", "verify"),
        ("ImageFunction", "image"),
        ("PackageFunction", "package"),
        ("DeliveryImageFunction", "delivery-image"),
        ("BakeFunction", "bake"),
        ("DeliveryBakeFunction", "bake"),
        ("PromotionBakeFunction", "promotion-bake"),
    ];
    let machines = [
        ("DeployStateMachine", "deploy"),
        ("PromoteImageStateMachine", "promote-image"),
        ("BakeImageStateMachine", "bake-image"),
        ("DeliveryBuildStateMachine", "build-image"),
        ("PromotionBuildStateMachine", "build-image"),
    ];
    let mut all: Vec<_> = functions.map(|(placeholder, name)| (placeholder, function(name))).into();
    all.extend(machines.map(|(placeholder, name)| (placeholder, machine(name))));
    all.push(("Partition", "aws".to_owned()));
    all
}

/// Returns the JSON of a state machine.
pub fn text(name: &str) -> String {
    lockstep_tests::state_machines().get(name).expect("a state machine").json()
}

type Shared = (Arc<Mutex<Script>>, Aws);

/// The emulator.
pub struct Emulator {
    pub aws: Aws,
    script: Arc<Mutex<Script>>,
    cloud: LocalCloud,
}

impl Emulator {
    /// Starts an emulator without stacks.
    pub async fn start() -> Self {
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("local");
        let mut options = CloudOptions::new(state);
        options.wait_scale = 0.0;
        let cloud = LocalCloud::start(options, |step| eprintln!("{step}")).await.expect("the cloud starts");
        let aws = account(&cloud, ACCOUNT);
        Self { aws, script: Arc::default(), cloud }
    }

    /// Returns a connection to another account, as its root.
    pub fn account(&self, id: &str) -> Aws {
        account(&self.cloud, id)
    }

    /// Returns the controls of the emulator that no AWS API has.
    pub fn controls(&self) -> Controls {
        self.cloud.controls()
    }

    /// Installs every state machine, and functions that follow the script.
    pub async fn install(&self) {
        let answers = self.serve().await;
        let installer = Installer::new(&self.aws);
        let bucket = format!("conformance-{ACCOUNT}");
        let store = json!({"Resources": {"Bucket": {
            "Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket},
        }}});
        apply(&installer, "conformance-store", &store).await;
        let artifacts = Artifacts::new(&self.aws, &bucket);
        let folder = tempfile::tempdir().expect("a folder");
        let bootstrap = folder.path().join("bootstrap");
        std::fs::write(&bootstrap, BOOTSTRAP).expect("a file");
        let package = Package::of(&bootstrap, Profile::Dev, Destination::ThisMachine).expect("a package");
        artifacts.put("code.zip", "application/zip", package.zip).await.expect("the code is stored");
        for name in MACHINES {
            artifacts.put(name, "application/json", text(name).into()).await.expect("it is stored");
        }
        apply(&installer, "conformance", &template(&bucket, &answers)).await;
    }

    /// Serves the answers to the functions, and returns the address.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let shared: Shared = (Arc::clone(&self.script), self.aws.clone());
        let router = Router::new().route("/{function}", post(answer)).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Returns the calls since the last run began.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.script.lock().expect("no thread panics there").calls().to_vec()
    }

    /// Runs a state machine with this script. Returns the states that it entered, and its end.
    pub async fn run(
        &self,
        name: &str,
        execution: &str,
        input: &Value,
        script: &Script,
    ) -> (Vec<String>, Status) {
        *self.script.lock().expect("no thread panics there") = script.clone();
        let started = Executions::new(&self.aws).start(&machine(name), execution, input).await;
        let Ok(Started::New(arn)) = started else { panic!("{name}: {started:?}") };
        let (follow, began) = (Follow::new(&self.aws), Instant::now());
        let status = loop {
            let found = follow.describe(&arn).await.expect("it is described").expect("it exists");
            match found.status {
                Status::Running => {
                    assert!(began.elapsed() < PATIENCE, "{name} {execution} does not end");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                status => break status,
            }
        };
        let happened = follow.happenings(&arn, 0).await.expect("a history");
        let entered = happened.into_iter().filter_map(|happening| match happening.what {
            What::Entered { state } => Some(state),
            _ => None,
        });
        (entered.collect(), status)
    }
}

/// Returns a connection to the account `id` of `cloud`, as its root.
fn account(cloud: &LocalCloud, id: &str) -> Aws {
    let secret = cloud.root_secrets().of(id).expect("an account of the cloud");
    let credentials = Credentials::new(id, secret, None, None, "test");
    Aws::at(REGION, cloud.endpoint(), credentials).expect("an account")
}

/// Creates or updates a stack from a template.
pub async fn apply(installer: &Installer, name: &str, template: &Value) {
    let wanted = Wanted {
        name: name.to_owned(),
        template: TemplateSource::Body(template.to_string()),
        parameters: BTreeMap::new(),
    };
    installer.apply(&wanted, PATIENCE).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

fn template(bucket: &str, answers: &str) -> Value {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
    }]});
    let all = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["lambda:InvokeFunction", "states:*", "events:*"], "Resource": "*"},
    ]});
    let mut resources = json!({"Role": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "conformance-role", "AssumeRolePolicyDocument": trust,
        "Policies": [{"PolicyName": "it", "PolicyDocument": all}],
    }}});
    let role = json!({"Fn::GetAtt": ["Role", "Arn"]});
    for name in FUNCTIONS {
        let id: String = name.split('-').collect();
        resources[id] = json!({"Type": "AWS::Lambda::Function", "Properties": {
            "FunctionName": format!("conformance-{name}"), "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Role": role, "Timeout": 20, "Code": {"S3Bucket": bucket, "S3Key": "code.zip"},
            "Environment": {"Variables": {"ANSWERS": format!("{answers}/{name}")}},
        }});
    }
    let substitutions: BTreeMap<&str, String> = substitutions().into_iter().collect();
    for name in MACHINES {
        let id: String = name.split('-').collect();
        let used = text(name);
        let given = substitutions.iter().filter(|(name, _)| used.contains(&format!("${{{name}}}")));
        resources[format!("{id}Machine")] = json!({
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": format!("conformance-{name}"), "RoleArn": role,
                "DefinitionS3Location": {"Bucket": bucket, "Key": name},
                "DefinitionSubstitutions": given.collect::<BTreeMap<_, _>>(),
            },
        });
    }
    json!({ "Resources": resources })
}

/// Answers an invocation. If the state waits for its token, the token gets its answer a moment later.
async fn answer(
    State((script, aws)): State<Shared>,
    Path(function): Path<String>,
    Json(payload): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let said = script.lock().expect("no thread panics there").answer(&function, &payload);
    match said {
        Said::Error(error, message) => {
            (StatusCode::BAD_REQUEST, Json(json!({"errorType": error, "errorMessage": message})))
        }
        Said::Ok(value) => {
            if let Some(token) = payload["task"]["token"].as_str() {
                let answered = Executions::new(&aws).answer(token).await;
                answered.expect("a token is answered");
            }
            (StatusCode::OK, Json(value))
        }
    }
}
