//! Policies for many accounts: the parts that grow with their number, the parts that do not, and the limit.

use crate::installed::TOOLING;
use crate::policy::{roles, texts};
use crate::stack::Stack;
use lockstep_domain::installation::accounts::{ACCOUNTS_MAX, Registered, parameters};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::OrganizationId;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most characters in all inline policies of a role, and in the policy of a bus
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>,
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>).
const POLICY_MAX: usize = 10_240;

/// The most characters of a parameter's value
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const PARAMETER_MAX: usize = 4_096;

/// The partition and the region with the longest names.
const PARTITION: &str = "aws-us-gov";
const REGION_CHARS: usize = "ap-southeast-1".len();

/// The numbers of accounts to compute: one, the former limit of policies, and many.
const COUNTS: [usize; 5] = [1, 43, 44, 200, ACCOUNTS_MAX];

/// Returns `count` accounts, all on one path or on both in turn.
fn registered(count: usize, only: Option<DeploymentPath>) -> Registered {
    let path = |n: usize| only.unwrap_or([DeploymentPath::Delivery, DeploymentPath::Promotion][n % 2]);
    (0..count).map(|n| (format!("{:012}", 100_000_000_000 + n).parse().unwrap(), path(n))).collect()
}

/// Returns the accounts stack, and the control plane whose roles it adds policies to.
fn stacks(registered: &Registered, organization: Option<&str>) -> Vec<Stack> {
    let organization: Option<OrganizationId> = organization.map(|id| id.parse().unwrap());
    let given = parameters(registered, organization.as_ref());
    for (name, value) in &given {
        assert!(value.len() <= PARAMETER_MAX, "{name} holds {} characters", value.len());
    }
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut stacks = crate::installed::stacks();
    stacks.retain(|stack| stack.account == TOOLING && !stack.name.starts_with("lockstep-account"));
    stacks.push(Stack::new("lockstep-accounts", TOOLING, "infra/control-plane/accounts.yaml", &given));
    stacks
}

/// Returns the size of each policy that CloudFormation would create: the sum for each role, and the bus.
fn sizes(stacks: &[Stack]) -> BTreeMap<String, usize> {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for stack in stacks {
        for (_, role) in stack.resources("AWS::IAM::Role") {
            let inline = role["Policies"].as_array().into_iter().flatten();
            let size: usize = inline.map(|policy| longest(&policy["PolicyDocument"])).sum();
            *sizes.entry(role["RoleName"].as_str().unwrap().to_owned()).or_default() += size;
        }
        for (_, policy) in stack.resources("AWS::IAM::Policy") {
            for role in texts(&policy["Roles"]) {
                *sizes.entry(role).or_default() += longest(&policy["PolicyDocument"]);
            }
        }
        for (_, policy) in stack.resources("AWS::Events::EventBusPolicy") {
            let mut statement = policy["Statement"].clone();
            // EventBridge expands an account to the ARN of its root.
            if let Some(accounts) = statement.pointer_mut("/Principal/AWS").and_then(Value::as_array_mut) {
                for account in accounts {
                    let number = account.as_str().unwrap();
                    *account = format!("arn:{PARTITION}:iam::{number}:root").into();
                }
            }
            let sid = policy["StatementId"].as_str().unwrap().len();
            *sizes.entry("bus".to_owned()).or_insert(r#"{"Version":"2012-10-17","Statement":[]}"#.len()) +=
                longest(&statement) + sid + r#""Sid":"","#.len();
        }
    }
    sizes
}

/// Returns the length of a document in the partition and region with the longest names.
fn longest(document: &Value) -> usize {
    let text = document.to_string();
    let region = crate::stack::REGION;
    text.len()
        + text.matches("arn:aws:").count() * (PARTITION.len() - "aws".len())
        + text.matches(region).count() * (REGION_CHARS - region.len())
}

#[test]
fn every_policy_fits_for_each_accepted_number_of_accounts() {
    for count in COUNTS {
        for only in [None, Some(DeploymentPath::Delivery), Some(DeploymentPath::Promotion)] {
            let sizes = sizes(&stacks(&registered(count, only), None));
            assert!(sizes.contains_key("bus") && sizes.len() > 10, "{sizes:?}");
            for (whose, size) in sizes {
                assert!(size <= POLICY_MAX, "{whose} holds {size} characters for {count} accounts");
            }
        }
    }
}

/// The limit of accounts is close to the number at which AWS would reject the policy.
#[test]
fn the_limit_on_accounts_is_close_to_the_limit_of_aws() {
    let one_more = sizes(&stacks(&registered(ACCOUNTS_MAX, None), None))["bus"];
    let each = (one_more - sizes(&stacks(&registered(1, None), None))["bus"]) / (ACCOUNTS_MAX - 1);
    assert!(one_more + 15 * each > POLICY_MAX, "room for {} more", (POLICY_MAX - one_more) / each);
}

#[test]
fn with_an_organization_no_policy_grows_with_the_accounts() {
    let of = |count| {
        let stacks = stacks(&registered(count, None), Some("o-a1b2c3d4e5"));
        (sizes(&stacks), roles(&stacks).into_values().map(|role| role.allowed()).collect::<Vec<_>>())
    };
    let none = of(0);
    for count in COUNTS {
        assert_eq!(of(count), none, "{count} accounts");
    }
}

/// A condition on the organization or on the list of accounts narrows each wildcard account. AWS must support these
/// keys for the action (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html> lists
/// the exceptions).
#[test]
fn account_conditions_use_keys_that_aws_supports_for_the_action() {
    const KEYS: [&str; 3] = ["aws:ResourceAccount", "aws:ResourceOrgID", "aws:ResourceOrgPaths"];
    const UNSUPPORTED: [&str; 6] = [
        "ec2:CopyFpgaImage",
        "ec2:CopyImage",
        "ec2:CopySnapshot",
        "ec2:CreateTransitGatewayPeeringAttachment",
        "ec2:CreateVolume",
        "ec2:CreateVpcPeeringConnection",
    ];
    for organization in [None, Some("o-a1b2c3d4e5")] {
        let mut installed = stacks(&registered(3, None), organization);
        installed.extend(crate::installed::stacks().into_iter().filter(|s| s.name == "lockstep-target"));
        let mut narrowed = 0;
        for (owner, statement) in crate::policy::all_statements(&installed) {
            let conditions = statement.condition.as_object().into_iter().flatten();
            let keys: Vec<&String> =
                conditions.flat_map(|(_, keys)| keys.as_object().unwrap().keys()).collect();
            if keys.iter().any(|key| KEYS.contains(&key.as_str())) {
                for action in &statement.actions {
                    let service = action.split(':').next().unwrap();
                    let supported =
                        !["ebs", "events"].contains(&service) && !UNSUPPORTED.contains(&action.as_str());
                    assert!(supported, "{owner}: AWS fills in none of {keys:?} for {action}");
                }
            }
            if statement.actions == ["sts:AssumeRole"] {
                let expected = if organization.is_some() { KEYS[1] } else { KEYS[0] };
                assert_eq!(keys, [expected], "{owner}");
                narrowed += 1;
            }
        }
        assert_eq!(narrowed, 13);
    }
}
