//! The largest stack that CloudFormation allows.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>

use super::*;

const RESOURCES: usize = 500;
const PARAMETERS: usize = 200;
const OUTPUTS: usize = 200;
const PARAMETER_VALUE: usize = 4096;
const TEMPLATE_BYTES: usize = 1024 * 1024;

/// The largest answer. The input and output of a state may have 256 KiB.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const ANSWER_BYTES: usize = 16 * 1024;

/// Returns a template of at most [`TEMPLATE_BYTES`], with the largest number of everything.
fn largest_template() -> String {
    let parameter = |number: usize| format!("  P{number}:\n    Type: String\n");
    let display_name = "x".repeat(1850);
    let resource = |number: usize| {
        format!(
            "  Topic{number}:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Retain\n    Properties: {{DisplayName: {display_name}}}\n"
        )
    };
    let output = |number: usize| format!("  Out{number}:\n    Value: !Ref P{number}\n");
    let section = |lines: String, name: &str| format!("{name}:\n{lines}");
    let sections = [
        section((0..PARAMETERS).map(parameter).collect(), "Parameters"),
        section((0..RESOURCES).map(resource).collect(), "Resources"),
        section((1..OUTPUTS).map(output).collect(), "Outputs"),
        "  Host:\n    Value: !Ref Topic1\n".to_owned(),
    ];
    sections.concat()
}

/// Returns values that do not repeat, each as long as a value may be.
fn largest_values() -> String {
    let value = |number: usize| {
        let digits = (0..PARAMETER_VALUE / 8).map(|part| format!("{:08x}", part * 7919 + number));
        format!("P{number} = \"{}\"\n", digits.collect::<String>())
    };
    (0..PARAMETERS).map(value).collect()
}

/// Runs a step, and asserts that its answer is small.
async fn step(fixture: &Fixture, request: Request) -> Reply {
    let answer = handle(&fixture.context, request).await.unwrap();
    let bytes = serde_json::to_vec(&answer).unwrap().len();
    assert!(bytes < ANSWER_BYTES, "{bytes} bytes: {answer:?}");
    answer
}

#[tokio::test]
async fn the_largest_stack_is_created() {
    let template = largest_template();
    assert!((TEMPLATE_BYTES * 9 / 10..TEMPLATE_BYTES).contains(&template.len()), "{}", template.len());
    let fixture = Fixture::with_files("ci", &template, &[("parameters/default.toml", &largest_values())]);
    let id = fixture.id();
    for request in [plan(&id), change_set(&id), execute(&id)] {
        step(&fixture, request).await;
    }
    fixture.pass();
    step(&fixture, observe(&id)).await;
    let deploy = fixture.deploy();
    assert_eq!((deploy.parameters.len(), deploy.outputs.len()), (PARAMETERS, OUTPUTS));
    assert_eq!(deploy.change_set.unwrap().changes.len(), RESOURCES);
}
