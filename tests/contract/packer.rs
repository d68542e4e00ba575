//! The calls of Packer for the options that our recipes use, against the role of a build.
//!
//! The table comes from the source of Packer's Amazon plugin (1.8, folders `common` and `builder/ebs` of
//! <https://github.com/hashicorp/packer-plugin-amazon>). A recipe with an option that the table lacks fails here.

use crate::installed::{DEVELOPMENT, TOOLING, stacks};
use crate::policy::{Context, Role, roles};
use crate::stack::{REGION, Stack, repository};
use lockstep_domain::images::promotion::BUILD_ACCEPTED;
use lockstep_domain::images::recipe::allowed::{Position, names};
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
    /// This build opened the session.
    Opened,
    /// A call that creates the resource also tags it.
    TaggedBy(&'static str),
    /// A call tags a resource that a build created.
    TaggedAgain,
}
use Of::{Asked, Free, Made, Opened, TaggedAgain, TaggedBy};

/// An action, its resource, and the facts about the resource.
type Call = (&'static str, &'static str, Of);

/// The calls of every build.
const ALWAYS: [Call; 24] = [
    ("ec2:RunInstances", "instance/i-1", Asked),
    ("ec2:RunInstances", "volume/vol-1", Asked),
    ("ec2:RunInstances", "network-interface/eni-1", Asked),
    ("ec2:RunInstances", "image/ami-1", Free),
    ("ec2:RunInstances", "subnet/subnet-1", Free),
    ("ec2:RunInstances", "security-group/sg-1", Made),
    ("ec2:RunInstances", "key-pair/packer_1", Made),
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
const OPTIONS: [(&str, &[Call]); 24] = [
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
    ("ami_description", &[("ec2:ModifyImageAttribute", "image/ami-1", Made)]),
    ("availability_zone", &[("ec2:DescribeSubnets", "*", Free)]),
    // Packer decrypts the password of the user with the key pair of the build.
    ("winrm_username", &[("ec2:GetPasswordData", "instance/i-1", Made)]),
    ("subnet_id", &[("ec2:DescribeSubnets", "*", Free), ("ec2:DescribeVpcs", "*", Free)]),
    ("security_group_id", &[("ec2:DescribeSecurityGroups", "*", Free)]),
    ("communicator", &[]),
    // Packer connects through a session of Systems Manager.
    (
        "ssh_interface",
        &[
            ("ssm:StartSession", "instance/i-1", Made),
            ("ssm:StartSession", "document/AWS-StartPortForwardingSession", Free),
            ("ssm:TerminateSession", "session/s-1", Opened),
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

/// Options of the recipe planner's table that only change the content of a call, or that call no service.
const WITHOUT_CALLS: [&str; 32] = [
    "ami_virtualization_type",
    "disable_stop_instance",
    "ebs_optimized",
    "enable_nitro_enclave",
    "enable_unlimited_credits",
    "max_retries",
    "no_ephemeral",
    "pause_before_connecting",
    "shutdown_behavior",
    "skip_profile_validation",
    "skip_region_validation",
    "ssh_ciphers",
    "ssh_clear_authorized_keys",
    "ssh_disable_agent_forwarding",
    "ssh_file_transfer_method",
    "ssh_handshake_attempts",
    "ssh_keep_alive_interval",
    "ssh_key_exchange_algorithms",
    "ssh_port",
    "ssh_pty",
    "ssh_read_write_timeout",
    "ssh_wait_timeout",
    "temporary_key_pair_bits",
    "tenancy",
    "user_data",
    "windows_password_timeout",
    "winrm_insecure",
    "winrm_port",
    "winrm_timeout",
    "winrm_use_ntlm",
    "winrm_use_ssl",
    "ami_block_device_mappings",
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

/// ARN of the build, which CodeBuild puts into the context of each call of its role.
const BUILD: &str = "arn:aws:codebuild:eu-west-1:222222222222:build/lockstep-image-build:1";

/// ARN of a build that runs at the same time.
const OTHER_BUILD: &str = "arn:aws:codebuild:eu-west-1:222222222222:build/lockstep-image-build:2";

const REQUEST: &str = "aws:requesttag/lockstep:build";
const RESOURCE: &str = "aws:resourcetag/lockstep:build";
const USER: &str = "AROA0123:AWSCodeBuild-1";

/// Returns the context of a call by the build [`BUILD`].
fn by_build<'a>(facts: &[(&'a str, &'a str)]) -> Context<'a> {
    let caller = [("codebuild:buildarn", BUILD), ("aws:userid", USER)];
    caller.into_iter().chain(facts.iter().copied()).collect()
}

fn context(of: Of) -> Context<'static> {
    match of {
        Asked => by_build(&[(REQUEST, BUILD)]),
        Made => by_build(&[(RESOURCE, BUILD)]),
        Free => by_build(&[("iam:passedtoservice", "ec2.amazonaws.com")]),
        Opened => by_build(&[("ssm:resourcetag/aws:ssmmessages:session-id", USER)]),
        TaggedBy(action) => by_build(&[(REQUEST, BUILD), ("ec2:createaction", action)]),
        TaggedAgain => by_build(&[(REQUEST, BUILD), (RESOURCE, BUILD)]),
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

/// Whatever the planner lets a recipe write, its build may call what Packer then calls.
#[test]
fn a_build_may_call_what_packer_calls_for_every_allowed_option() {
    let builder = builder();
    for option in names(Position::Source).map(|name| name.trim_end_matches(" {}")) {
        let calls = OPTIONS.iter().find(|(name, _)| *name == option).map(|(_, calls)| *calls);
        if calls.is_none() && WITHOUT_CALLS.contains(&option) {
            continue;
        }
        for (action, resource, of) in calls.unwrap_or_else(|| panic!("what does Packer call for {option}?")) {
            let arn = arn(action, resource);
            assert!(
                builder.may(action, &arn, &context(*of)),
                "a build may not {action} on {arn}, for {option}"
            );
        }
    }
}

#[test]
fn network_of_builds_is_that_of_the_account() {
    let bus = format!("arn:aws:events:{REGION}:{TOOLING}:event-bus/lockstep-events");
    let set = [
        ("EventBusArn", bus.as_str()),
        ("BuildSubnet", "subnet-0123456789abcdef0"),
        ("BuildSecurityGroup", "sg-0123456789abcdef0"),
        ("BuildInstanceProfile", "team-image-instance"),
    ];
    let stack = Stack::new("lockstep-target", DEVELOPMENT, "infra/target-account/template.yaml", &set);
    let (_, project) = stack.resources("AWS::CodeBuild::Project").remove(0);
    let variables = project["Environment"]["EnvironmentVariables"].as_array().unwrap().clone();
    for (name, value) in [
        ("LOCKSTEP_SUBNET", "subnet-0123456789abcdef0"),
        ("LOCKSTEP_SECURITY_GROUP", "sg-0123456789abcdef0"),
        ("LOCKSTEP_INSTANCE_PROFILE", "team-image-instance"),
    ] {
        assert!(variables.iter().any(|v| v["Name"] == name && v["Value"] == value), "{name}: {variables:?}");
    }
    let name = format!("arn:aws:iam::{DEVELOPMENT}:role/lockstep-image-build");
    let builder = roles(std::slice::from_ref(&stack)).remove(&name).unwrap();
    let may = |action: &str, resource: &str| {
        builder.may(
            action,
            &arn(action, resource),
            &by_build(&[("iam:passedtoservice", "ec2.amazonaws.com")]),
        )
    };
    assert!(may("ec2:RunInstances", "subnet/subnet-0123456789abcdef0"));
    assert!(may("ec2:RunInstances", "security-group/sg-0123456789abcdef0"));
    assert!(may("iam:PassRole", "role/team-image-instance"));
    assert!(!may("ec2:RunInstances", "subnet/subnet-00000000000000000"));
    assert!(!may("ec2:RunInstances", "security-group/sg-00000000000000000"));
    assert!(!may("iam:PassRole", "role/lockstep-image-instance"));
}

/// The boundary of builds: a build cannot change a resource that it did not make, whatever the tags of the resource say.
/// It cannot mark a resource as its own either.
#[test]
fn a_build_touches_only_resources_that_it_made() {
    let builder = builder();
    let refused = |action: &str, resource: &str, facts: &[(&str, &str)]| {
        let arn = arn(action, resource);
        let context = by_build(facts);
        assert!(!builder.may(action, &arn, &context), "a build may {action} on {arn} with {context:?}");
    };
    let of_lockstep = ("aws:resourcetag/lockstep:image", "logstash");
    let foreign = [OTHER_BUILD, BUILD_ACCEPTED, "", "${codebuild:buildArn}"];
    for (action, resource, of) in ALWAYS.iter().chain(OPTIONS.iter().flat_map(|(_, calls)| calls.iter())) {
        match of {
            Asked => {
                refused(action, resource, &[]);
                for value in foreign {
                    refused(action, resource, &[(REQUEST, value)]);
                }
            }
            Made => {
                refused(action, resource, &[]);
                refused(action, resource, &[of_lockstep]);
                for value in foreign {
                    refused(action, resource, &[of_lockstep, (RESOURCE, value)]);
                }
            }
            TaggedBy(_) | TaggedAgain => {
                refused(action, resource, &[(REQUEST, BUILD)]);
                refused(action, resource, &[(REQUEST, BUILD), of_lockstep]);
                refused(action, resource, &[(REQUEST, BUILD), ("ec2:createaction", "CopyImage")]);
                for value in foreign {
                    refused(action, resource, &[(REQUEST, BUILD), (RESOURCE, value)]);
                    refused(action, resource, &[(REQUEST, value), (RESOURCE, BUILD)]);
                }
            }
            Opened => {
                refused(action, resource, &[]);
                let of_other = ("ssm:resourcetag/aws:ssmmessages:session-id", "AROA0123:AWSCodeBuild-2");
                refused(action, resource, &[of_other]);
            }
            Free => {}
        }
    }
}

/// The calls by which a builder once took over an account, each in the strongest context that an attacker can choose.
#[test]
fn a_build_cannot_steal_disks_delete_images_or_end_the_fleet() {
    let builder = builder();
    type Attack = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let attacks: [Attack; 22] = [
        ("ec2:CreateImage", "instance/i-foreign", &[(REQUEST, BUILD)]),
        ("ec2:CreateSnapshot", "volume/vol-foreign", &[(REQUEST, BUILD)]),
        ("ec2:CreateVolume", "snapshot/snap-foreign", &[(REQUEST, BUILD)]),
        ("ec2:RunInstances", "snapshot/snap-foreign", &[(REQUEST, BUILD)]),
        ("ec2:RunInstances", "security-group/sg-foreign", &[(REQUEST, BUILD)]),
        ("ec2:RunInstances", "key-pair/operator", &[(RESOURCE, BUILD)]),
        ("ec2:CreateTags", "instance/i-foreign", &[(REQUEST, BUILD)]),
        ("ec2:CreateTags", "instance/i-foreign", &[(REQUEST, BUILD), (RESOURCE, BUILD)]),
        ("ec2:CreateTags", "image/ami-ours", &[(REQUEST, BUILD), (RESOURCE, BUILD_ACCEPTED)]),
        ("ec2:CreateTags", "image/ami-own", &[(REQUEST, BUILD_ACCEPTED), (RESOURCE, BUILD)]),
        ("ec2:DeleteTags", "image/ami-own", &[(RESOURCE, BUILD)]),
        ("ec2:DeregisterImage", "image/ami-ours", &[(RESOURCE, BUILD_ACCEPTED)]),
        ("ec2:DeregisterImage", "image/ami-copy", &[("aws:resourcetag/lockstep:image", "logstash")]),
        ("ec2:DeleteSnapshot", "snapshot/snap-ours", &[(RESOURCE, BUILD_ACCEPTED)]),
        ("ec2:TerminateInstances", "instance/i-fleet", &[]),
        ("ec2:GetPasswordData", "instance/i-fleet", &[(RESOURCE, OTHER_BUILD)]),
        ("ec2:ModifyImageAttribute", "image/ami-ours", &[(RESOURCE, BUILD_ACCEPTED)]),
        ("ec2:ModifyInstanceAttribute", "instance/i-own", &[(RESOURCE, BUILD)]),
        ("ec2:AuthorizeSecurityGroupIngress", "security-group/sg-own", &[(RESOURCE, BUILD)]),
        ("ssm:StartSession", "instance/i-fleet", &[]),
        ("ssm:StartSession", "document/AWS-StartInteractiveCommand", &[(RESOURCE, BUILD)]),
        ("iam:PassRole", "role/Administrator", &[("iam:passedtoservice", "ec2.amazonaws.com")]),
    ];
    for (action, resource, facts) in attacks {
        let arn = arn(action, resource);
        assert!(!builder.may(action, &arn, &by_build(facts)), "a build may {action} on {arn} with {facts:?}");
    }
    for action in ["sts:AssumeRole", "sts:TagSession", "codebuild:StartBuild", "codebuild:UpdateProject"] {
        assert!(!builder.allowed().iter().any(|(allowed, _)| allowed == action), "{action}");
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
    let secrets = [
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:GetParameterHistory",
        "ssm:GetParametersByPath",
        "secretsmanager:GetSecretValue",
        "secretsmanager:BatchGetSecretValue",
        "sts:AssumeRole",
    ];
    for action in secrets {
        assert!(denied.iter().any(|denied| *denied == action), "{action}");
    }
}
