//! Local files of a component: a function from a folder, and a nested template.

use crate::test_cloud::TestCloud;
use lockstep_aws::cloudformation::Stack;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::operator::control_plane::code_sha256;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use serde_json::{Value, json};
use std::time::Duration;

const MANIFEST: &str = r#"[component]
name = "greeter"
version = "1.0"
template = "template.yaml"
team = "platform"
function = "greeting"

[[checks]]
kind = "lambda"
name = "Function"
"#;

const TEMPLATE: &str = "Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {Service: lambda.amazonaws.com}
            Action: sts:AssumeRole
      Policies:
        - PolicyName: logs
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: [logs:CreateLogStream, logs:PutLogEvents]
                Resource: !Sub arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/*
  Greeter:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      Role: !GetAtt Role.Arn
      Code: src/
  Queues:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: stacks/queues.yaml
Outputs:
  Function: {Value: !Ref Greeter}
  Queue: {Value: !GetAtt Queues.Outputs.Name}
";

const NESTED: &str = "Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
Outputs:
  Name: {Value: !GetAtt Queue.QueueName}
";

const CODE: &str = "import words

def handler(event, context):
    return words.GREETING
";

/// The function answers with the text of a second file, so the whole folder is in its zip.
pub async fn local_files_run_in_ci_and_in_production(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    for (path, text) in [
        ("lockstep.toml", MANIFEST),
        ("template.yaml", TEMPLATE),
        ("stacks/queues.yaml", NESTED),
        ("src/app.py", CODE),
        ("src/words.py", "GREETING = 'hello from a folder'\n"),
    ] {
        repository.write(&format!("greeter/{path}"), text)?;
    }
    cloud.push("A function from a folder, and a nested stack", Exit::Done).await?;
    let version = cloud.demo.version_of("greeter", "ci").await?;
    let version = version.ok_or_else(|| Failure::new("ci runs no release of greeter"))?;
    let release = format!("greeter@{version}");
    let asked = cloud.demo.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
    cloud.demo.approve(&asked, Exit::Done).await?;

    let in_ci = digest_of_code(cloud, "development", "ci-greeter").await?;
    let in_production = digest_of_code(cloud, "production", "production-greeter").await?;
    ensure(in_ci == in_production, format!("both stages run one zip: {in_ci} and {in_production}"))
}

/// Calls the function of a stack and returns the digest of its code.
async fn digest_of_code(cloud: &TestCloud, account: &str, stack: &str) -> Result<String, Failure> {
    let found = cloud.demo.stacks(account)?.find(stack).await?;
    let found = found.ok_or_else(|| Failure::new(format!("{stack} does not exist")))?;
    let (function, queue) = (output(&found, "Function")?, output(&found, "Queue")?);
    ensure(queue.contains("Queue"), format!("the nested stack made the queue: {queue}"))?;
    let root = cloud.demo.session()?.root(account)?;
    let called = Functions::new(&root).call(&function, &json!({}), Duration::from_secs(60)).await?;
    let Called::Answered { error: None, payload, .. } = called else {
        return Err(Failure::new(format!("{function} in {account} fails")));
    };
    let answer: Value = serde_json::from_slice(&payload).map_err(at("the answer of the function"))?;
    ensure(answer == "hello from a folder", format!("{function} runs the code of the folder: {answer}"))?;
    let digest = code_sha256(&root, &function).await?;
    digest.ok_or_else(|| Failure::new(format!("{function} has no code in {account}")))
}

fn output(stack: &Stack, name: &str) -> Result<String, Failure> {
    let found = stack.outputs.get(name).cloned();
    found.ok_or_else(|| Failure::new(format!("the stack has no output {name}")))
}
