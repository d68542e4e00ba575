//! Tests of public parameters: the stack gets the pinned value, or the one that the plan reads.

use super::*;
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::model::public_parameters::PublicParameters;

const NAME: &str = "/aws/service/ami-amazon-linux-latest/al2023";

fn template() -> String {
    let base = format!(
        "Parameters:\n  Base: {{Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: {NAME}}}\n"
    );
    with_resources("").replacen("Parameters:\n", &base, 1)
}

fn public(value: &str) -> PublicParameters {
    let answer = Answer::Found(StoredParameter { version: 1, value: Some(value.to_owned()) });
    let names = [(NAME.to_owned(), answer)];
    ["eu-west-1", "eu-central-1"].map(|region| (region.parse().unwrap(), names.clone().into())).into()
}

#[tokio::test]
async fn each_stage_runs_the_pinned_image_after_the_alias_moved() {
    for stage in ["ci", "production"] {
        let fixture = Fixture::with_public(stage, &template(), &public("ami-1"));
        fixture.stored.put_parameter(NAME, Some("ami-2"));
        let id = fixture.id();
        assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
        assert_eq!(fixture.deploy().parameters["Base"], "ami-1", "{stage}");
        assert!(fixture.deploy().late_values.is_empty(), "CloudFormation reads nothing by itself");
        go(&fixture, change_set(&id)).await;
        let [requested] = fixture.cloud.change_set_requests().try_into().unwrap();
        assert_eq!(requested.parameters["Base"], "ami-1");
    }
}

#[tokio::test]
async fn a_plan_reads_what_the_release_does_not_pin() {
    let fixture = Fixture::with_template("ci", &template());
    let refused = failure(&fixture, plan(&fixture.id())).await;
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("`Base`: /aws/service/"), "{refused}");
    assert!(refused.message.contains("there is no such parameter"), "{refused}");
    fixture.stored.put_parameter(NAME, Some("ami-2"));
    assert_eq!(go(&fixture, plan(&fixture.id())).await, NextStep::ChangeSet);
    assert_eq!(fixture.deploy().parameters["Base"], "ami-2");
}
