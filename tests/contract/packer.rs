//! The calls of Packer for the options that our recipes use, against the role of a build.
//!
//! The table comes from the source of Packer's Amazon plugin (1.8, folders `common` and `builder/ebs` of
//! <https://github.com/hashicorp/packer-plugin-amazon>). A recipe with an option that the table lacks fails here.

use crate::installed::{DEVELOPMENT, stacks};
use crate::policy::{Context, Role, roles};
use crate::stack::{REGION, repository};
use std::collections::BTreeSet;

/// The facts about a resource that AWS uses to authorize a call.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// The call creates the resource, with the tags of the build.
    Asked,
    /// A build created the resource.
    Made,
    /// The resource existed before.
    Free,
    /// A call that creates the resource also tags it.
    TaggedBy(&'static str),
    /// A call tags a resource that a build created.
    TaggedAgain,
}
use Of::{Asked, Free, Made, TaggedAgain, TaggedBy};

/// An action, its resource, and the facts about the resource.
type Call = (&'static str, &'static str, Of);

/// The calls of every build.
const ALWAYS: [Call; 25] = [
    ("ec2:RunInstances", "instance/i-1", Asked),
    ("ec2:RunInstances", "volume/vol-1", Asked),
    ("ec2:RunInstances", "network-interface/eni-1", Asked),
    ("ec2:RunInstances", "image/ami-1", Free),
    ("ec2:RunInstances", "snapshot/snap-1", Free),
    ("ec2:RunInstances", "subnet/subnet-1", Free),
    ("ec2:RunInstances", "security-group/sg-1", Free),
    ("ec2:RunInstances", "key-pair/packer_1", Free),
    ("ec2:CreateKeyPair", "key-pair/packer_1", Asked),
    ("ec2:DeleteKeyPair", "key-pair/packer_1", Made),
    ("ec2:CreateSecurityGroup", "security-group/sg-1", Asked),
    ("ec2:CreateSecurityGroup", "vpc/vpc-1", Free),
    ("ec2:DeleteSecurityGroup", "security-group/sg-1", Made),
    ("ec2:StopInstances", "instance/i-1", Made),
    ("ec2:TerminateInstances", "instance/i-1", Made),
    ("ec2:DeleteVolume", "volume/vol-1", Made),
    ("ec2:CreateImage", "instance/i-1", Made),
    ("ec2:CreateImage", "image/ami-1", Asked),
    ("ec2:CreateImage", "snapshot/snap-1", Asked),
    ("ec2:DeregisterImage", "image/ami-1", Made),
    ("ec2:DeleteSnapshot", "snapshot/snap-1", Made),
    ("ec2:DescribeImages", "*", Free),
    ("ec2:DescribeInstances", "*", Free),
    ("ec2:DescribeVolumes", "*", Free),
    ("ec2:DescribeInstanceTypeOfferings", "*", Free),
];

/// The calls that each option of a recipe's source adds; none if the option only changes the content of a call.
const OPTIONS: [(&str, &[Call]); 21] = [
    ("region", &[("ec2:DescribeRegions", "*", Free)]),
    ("ami_name", &[]),
    ("source_ami", &[]),
    // Packer tags the image and its snapshots again at the end.
    (
        "tags",
        &[("ec2:CreateTags", "image/ami-1", TaggedAgain), ("ec2:CreateTags", "snapshot/snap-1", TaggedAgain)],
    ),
    ("snapshot_tags", &[("ec2:CreateTags", "snapshot/snap-1", TaggedAgain)]),
    (
        "run_tags",
        &[
            ("ec2:CreateTags", "instance/i-1", TaggedBy("RunInstances")),
            ("ec2:CreateTags", "network-interface/eni-1", TaggedBy("RunInstances")),
            ("ec2:CreateTags", "key-pair/packer_1", TaggedBy("CreateKeyPair")),
            ("ec2:CreateTags", "security-group/sg-1", TaggedBy("CreateSecurityGroup")),
            ("ec2:CreateTags", "image/ami-1", TaggedBy("CreateImage")),
            ("ec2:CreateTags", "snapshot/snap-1", TaggedBy("CreateImage")),
        ],
    ),
    ("run_volume_tags", &[("ec2:CreateTags", "volume/vol-1", TaggedBy("RunInstances"))]),
    ("instance_type", &[]),
    ("subnet_id", &[("ec2:DescribeSubnets", "*", Free), ("ec2:DescribeVpcs", "*", Free)]),
    ("security_group_id", &[("ec2:DescribeSecurityGroups", "*", Free)]),
    ("communicator", &[]),
    // Packer connects through a session of Systems Manager.
    (
        "ssh_interface",
        &[
            ("ssm:StartSession", "instance/i-1", Made),
            ("ssm:StartSession", "document/AWS-StartPortForwardingSession", Free),
            ("ssm:TerminateSession", "session/s-1", Free),
        ],
    ),
    ("ssh_username", &[]),
    (
        "iam_instance_profile",
        &[
            ("iam:GetInstanceProfile", "instance-profile/lockstep-image-instance", Free),
            ("iam:PassRole", "role/lockstep-image-instance", Free),
        ],
    ),
    ("imds_support", &[("ec2:ModifyImageAttribute", "image/ami-1", Made)]),
    ("metadata_options", &[]),
    ("launch_block_device_mappings", &[]),
    ("aws_polling", &[]),
    ("temporary_key_pair_type", &[]),
    ("ssh_timeout", &[]),
    ("pause_before_ssm", &[]),
];

/// Returns the build's role in the development account.
fn builder() -> Role {
    roles(&stacks()).remove(&format!("arn:aws:iam::{DEVELOPMENT}:role/lockstep-image-build")).unwrap()
}

/// Returns the ARN of a resource as the service authorization reference writes it.
fn arn(action: &str, resource: &str) -> String {
    let service = action.split(':').next().unwrap();
    match resource.split('/').next().unwrap() {
        "*" => "*".to_owned(),
        "role" | "instance-profile" => format!("arn:aws:iam::{DEVELOPMENT}:{resource}"),
        "image" | "snapshot" => format!("arn:aws:ec2:{REGION}::{resource}"),
        "document" => format!("arn:aws:ssm:{REGION}::{resource}"),
        "session" => format!("arn:aws:{service}:{REGION}:{DEVELOPMENT}:{resource}"),
        _ => format!("arn:aws:ec2:{REGION}:{DEVELOPMENT}:{resource}"),
    }
}

fn context(of: Of) -> Context<'static> {
    let asked = ("aws:requesttag/lockstep:build", "build-1");
    let made = ("aws:resourcetag/lockstep:build", "build-1");
    match of {
        Asked => [asked].into(),
        Made => [made].into(),
        Free => [("iam:passedtoservice", "ec2.amazonaws.com")].into(),
        TaggedBy(action) => [asked, ("ec2:createaction", action)].into(),
        TaggedAgain => [asked, made].into(),
    }
}

/// Returns the options that the sources of all recipes use.
fn used() -> BTreeSet<String> {
    let option = regex::Regex::new(r"(?m)^  ([a-z_]+)\s*(?:=|\{)").unwrap();
    let mut used = BTreeSet::new();
    for folder in std::fs::read_dir(repository().join("infra/images")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let Some(start) = text.find("\nsource \"amazon-ebs\"") else { continue };
            let source = &text[start..];
            let source = &source[..source[1..].find("\n}").expect("its end")];
            used.extend(option.captures_iter(source).map(|found| found[1].to_owned()));
        }
    }
    used
}

#[test]
fn a_build_may_call_what_packer_calls_for_the_options_of_our_recipes() {
    let (builder, used) = (builder(), used());
    assert!(used.len() > 10, "{used:?}");
    let mut calls: Vec<Call> = ALWAYS.to_vec();
    for option in &used {
        let known = OPTIONS.iter().find(|(name, _)| name == option);
        let (_, added) = known.unwrap_or_else(|| panic!("what does Packer call for the option {option}?"));
        calls.extend(*added);
    }
    for (action, resource, of) in calls {
        let arn = arn(action, resource);
        assert!(builder.may(action, &arn, &context(of)), "a build may not {action} on {arn} ({of:?})");
    }
}

/// The boundary of builds: a build cannot change a resource that no build made, or that belongs to an accepted build.
/// It cannot mark a resource as one either.
#[test]
fn a_build_touches_only_resources_that_builds_made() {
    let builder = builder();
    let refused = |action: &str, resource: &str, context: &Context<'_>| {
        let arn = arn(action, resource);
        assert!(!builder.may(action, &arn, context), "a build may {action} on {arn} with {context:?}");
    };
    let asked = ("aws:requesttag/lockstep:build", "build-1");
    let accepted = ("aws:resourcetag/lockstep:build", "accepted");
    let of_lockstep = ("aws:resourcetag/lockstep:image", "logstash");
    for (action, resource, of) in ALWAYS.iter().chain(OPTIONS.iter().flat_map(|(_, calls)| calls.iter())) {
        match of {
            Asked => {
                refused(action, resource, &Context::new());
                refused(action, resource, &[("aws:requesttag/lockstep:build", "accepted")].into());
            }
            Made => {
                refused(action, resource, &Context::new());
                refused(action, resource, &[of_lockstep].into());
                refused(action, resource, &[of_lockstep, accepted].into());
            }
            TaggedBy(_) | TaggedAgain => {
                refused(action, resource, &[asked].into());
                refused(action, resource, &[asked, of_lockstep].into());
                refused(action, resource, &[asked, accepted].into());
                refused(action, resource, &[asked, ("ec2:createaction", "CopyImage")].into());
            }
            Free => {}
        }
    }
}

/// The code of every recipe runs on the instance, so the instance's role reads nothing.
#[test]
fn a_build_instance_is_reachable_and_reads_no_parameter_or_secret() {
    let stacks = stacks();
    let instance =
        roles(&stacks).remove(&format!("arn:aws:iam::{DEVELOPMENT}:role/lockstep-image-instance")).unwrap();
    let allowed: BTreeSet<String> = instance.allowed().into_iter().map(|(action, _)| action).collect();
    let reachable = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ];
    assert_eq!(allowed, reachable.map(str::to_owned).into());
    for stack in stacks.iter().filter(|stack| stack.name == "lockstep-target") {
        let roles = stack.resources("AWS::IAM::Role");
        let (_, role) = roles.iter().find(|(id, _)| id == "ImageInstanceRole").unwrap();
        assert!(role.get("ManagedPolicyArns").is_none(), "AWS's own policy reads every parameter");
    }
    let denied: BTreeSet<&String> =
        instance.statements.iter().filter(|s| !s.allows).flat_map(|s| &s.actions).collect();
    for action in ["ssm:GetParameter", "ssm:GetParametersByPath", "secretsmanager:GetSecretValue"] {
        assert!(denied.iter().any(|denied| *denied == action), "{action}");
    }
}
