//! S3 S4 C1 C2: the code of a recipe copies foreign disks, removes images, ends the fleet and reads secrets.
//!
//! Fails without the conditions on `lockstep:build` of the role `lockstep-image-build`, and without the policy of its
//! own that the role `lockstep-image-instance` has in place of AWS's.

use crate::in_development;
use lockstep_tests::installed::DEVELOPMENT;
use lockstep_tests::policy::Context;

const BUILD: &str = "arn:aws:codebuild:eu-west-1:222222222222:build/lockstep-image-build:1";

/// Returns the strongest facts that a build can give a request about a foreign resource.
fn of_build() -> Context<'static> {
    [
        ("codebuild:buildarn", BUILD),
        ("aws:requesttag/lockstep:build", BUILD),
        ("aws:requesttag/lockstep:image", "logstash"),
        ("aws:resourcetag/lockstep:image", "logstash"),
        ("ec2:createaction", "CopyImage"),
    ]
    .into()
}

#[test]
fn a_build_gains_nothing_from_its_role() {
    let builder = in_development("lockstep-image-build");
    for (action, resource) in [
        ("ec2:CreateImage", "instance/i-1"),
        ("ec2:CreateTags", "instance/i-1"),
        ("ec2:CreateTags", "image/ami-1"),
        ("ec2:DeregisterImage", "image/ami-1"),
        ("ec2:DeleteSnapshot", "snapshot/snap-1"),
        ("ec2:TerminateInstances", "instance/i-1"),
        ("ec2:DeleteVolume", "volume/vol-1"),
        ("ec2:GetPasswordData", "instance/i-1"),
    ] {
        let owner = if resource.starts_with("image/") || resource.starts_with("snapshot/") {
            ""
        } else {
            DEVELOPMENT
        };
        let arn = format!("arn:aws:ec2:eu-west-1:{owner}:{resource}");
        assert!(!builder.may(action, &arn, &of_build()), "{action} on {arn}");
    }
}

#[test]
fn a_build_instance_reads_no_secret() {
    let instance = in_development("lockstep-image-instance");
    let parameter = format!("arn:aws:ssm:eu-west-1:{DEVELOPMENT}:parameter/prod/db/password");
    for action in ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"] {
        assert!(!instance.may(action, &parameter, &[].into()), "{action}");
    }
    let secret = format!("arn:aws:secretsmanager:eu-west-1:{DEVELOPMENT}:secret:db");
    assert!(!instance.may("secretsmanager:GetSecretValue", &secret, &[].into()));
    assert!(!instance.may("sts:AssumeRole", "arn:aws:iam::222222222222:role/Administrator", &[].into()));
}
