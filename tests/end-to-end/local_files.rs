//! Local files of a component: a function from a folder, and a nested template. Public parameters in both templates.

use crate::test_cloud::TestCloud;
use lockstep_aws::cloudformation::Stack;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::operator::control_plane::code_sha256;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_local::Controls;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

/// The role of the function in both templates. It stands at the end of their resources.
const ROLE: &str = "  Role:
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
";

const TEMPLATE: &str = "Parameters:
  Base: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /aws/service/lockstep/base}
Resources:
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
  Images: {Value: !Sub '${Base} {{resolve:ssm:/aws/service/lockstep/base}} ${Queues.Outputs.Base}'}
";

/// The same function as the serverless transform makes it. Its component has the same code, and so the same digest.
const SERVERLESS: &str = "Transform: AWS::Serverless-2016-10-31
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      Role: !GetAtt Role.Arn
      CodeUri: src/
Outputs:
  Function: {Value: !Ref Greeter}
";

const NESTED: &str = "Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
Outputs:
  Name: {Value: !GetAtt Queue.QueueName}
  Base: {Value: '{{resolve:ssm:/aws/service/lockstep/base}}'}
";

const CODE: &str = "import words

def handler(event, context):
    return words.GREETING
";

const WORDS: &str = "GREETING = 'hello from a folder'\n";

/// The public parameter that the templates name.
const BASE: &str = "/aws/service/lockstep/base";

/// Ids that the public parameter has before and after the push.
const IMAGES: [&str; 2] = ["ami-0123456789abcdef0", "ami-0fedcba9876543210"];

/// The function answers with the text of a second file, so the whole folder is in its zip. The public parameter names
/// another image before the promotion.
pub async fn local_files_run_in_ci_and_in_production(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    let serverless = MANIFEST.replace("greeter", "waver");
    for (path, text) in [
        ("greeter/lockstep.toml", MANIFEST),
        ("greeter/template.yaml", &with_role(TEMPLATE)),
        ("greeter/stacks/queues.yaml", NESTED),
        ("greeter/src/app.py", CODE),
        ("greeter/src/words.py", WORDS),
        ("waver/lockstep.toml", &serverless),
        ("waver/template.yaml", &with_role(SERVERLESS)),
        ("waver/src/app.py", CODE),
        ("waver/src/words.py", WORDS),
    ] {
        repository.write(path, text)?;
    }
    publish(cloud, IMAGES[0]).await?;
    cloud.push("A function from a folder, and a nested stack", Exit::Done).await?;
    publish(cloud, IMAGES[1]).await?;
    let mut digests = BTreeSet::new();
    for component in ["greeter", "waver"] {
        let version = cloud.demo.version_of(component, "ci").await?;
        let version = version.ok_or_else(|| Failure::new(format!("ci runs no release of {component}")))?;
        let release = format!("{component}@{version}");
        let asked =
            cloud.demo.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
        cloud.demo.approve(&asked, Exit::Done).await?;
        for (account, stage) in [("development", "ci"), ("production", "production")] {
            digests.insert(digest_of_code(cloud, account, &format!("{stage}-{component}")).await?);
        }
    }
    for (account, stage) in [("development", "ci"), ("production", "production")] {
        follows_the_release(cloud, account, &format!("{stage}-greeter")).await?;
    }
    // With another image, the next push would bring a release of these components, too.
    publish(cloud, IMAGES[0]).await?;
    ensure(digests.len() == 1, format!("both stages and both templates run one zip: {digests:?}"))
}

/// Compares what the nested stack made, and the image that the release pins.
async fn follows_the_release(cloud: &TestCloud, account: &str, stack: &str) -> Result<(), Failure> {
    let found = cloud.demo.stacks(account)?.find(stack).await?;
    let found = found.ok_or_else(|| Failure::new(format!("{stack} does not exist")))?;
    let queue = output(&found, "Queue")?;
    ensure(queue.contains("Queue"), format!("the nested stack made the queue: {queue}"))?;
    let (images, pinned) = (output(&found, "Images")?, [IMAGES[0]; 3].join(" "));
    ensure(images == pinned, format!("{stack} has the image that the release pins: {images}"))
}

/// Returns a template with the role of its function.
fn with_role(template: &str) -> String {
    template.replace("Outputs:\n", &format!("{ROLE}Outputs:\n"))
}

/// Lets the public parameter name an image.
async fn publish(cloud: &TestCloud, ami: &str) -> Result<(), Failure> {
    let controls = Controls::new(&cloud.demo.session()?.endpoint);
    controls.publish_parameter(BASE, ami).await.map_err(at("a public parameter"))
}

/// Calls the function of a stack and returns the digest of its code.
async fn digest_of_code(cloud: &TestCloud, account: &str, stack: &str) -> Result<String, Failure> {
    let found = cloud.demo.stacks(account)?.find(stack).await?;
    let found = found.ok_or_else(|| Failure::new(format!("{stack} does not exist")))?;
    let function = output(&found, "Function")?;
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
