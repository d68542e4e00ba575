//! The AWS operations that each function's binary can call, against the policies of its roles.
//!
//! The symbol table of a debug binary names every linked operation: `aws_sdk_<service>::operation::<name>::...`. The
//! linker removes uncalled operations, so each remaining one can occur.

use crate::iam::assumable;
use crate::installed::{PATHS, TOOLING, stacks};
use crate::policy::{Role, roles};
use crate::stack::repository;
pub use lockstep_cli::functions::NAMES as FUNCTIONS;
use lockstep_cli::functions::{self, Profile};
use lockstep_domain::messages::callers::Callers;
use object::{Object, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The actions of Lambda itself with a function's role.
const BY_LAMBDA: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

/// Returns true if the installed function called `installed` runs the binary of `function`. One binary runs for each kind
/// of callers of the authority, and one on each path.
pub fn runs(installed: &str, function: &str) -> bool {
    let per_path = PATHS.iter().any(|path| installed == format!("lockstep-{path}-{function}"));
    let per_callers = Callers::ALL.iter().any(|callers| installed == callers.function());
    per_path || installed == format!("lockstep-{function}") || (function == "ledger" && per_callers)
}

/// Returns the text of every Rust file of a function.
pub fn sources(function: &str) -> Vec<String> {
    let folder = repository().join("functions").join(function).join("src");
    let mut found = Vec::new();
    read_below(&folder, &mut found);
    assert!(!found.is_empty(), "{} holds no source", folder.display());
    found
}

pub fn read_below(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Returns the binaries of the functions, built by the same code as for every other test.
pub fn binaries() -> &'static BTreeMap<String, PathBuf> {
    static BINARIES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(functions::build(
                &repository(),
                env!("CARGO"),
                Profile::Dev,
                &repository().join(".lockstep"),
                |_| (),
            ))
            .unwrap()
    })
}

/// Returns the operations linked into a binary, as `service:Operation` in IAM's spelling.
pub fn linked(function: &str) -> BTreeSet<String> {
    let path = binaries().get(function).unwrap_or_else(|| panic!("cargo built no lockstep-{function}"));
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let pattern =
        regex::Regex::new(r"aws_sdk_([a-z0-9]+)::operation::([a-z0-9_]+)::[A-Za-z0-9]+>?::orchestrate")
            .unwrap();
    let mut found = BTreeSet::new();
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    // Mangled names contain the words unchanged. Few of some hundred thousand names need demangling.
    for name in names.filter(|name| name.contains("aws_sdk_") && name.contains("orchestrate")) {
        let demangled = format!("{:#}", rustc_demangle::demangle(name));
        if let Some(captures) = pattern.captures(&demangled) {
            found.insert(iam_name(&captures[1], &captures[2]));
        }
    }
    found
}

/// Returns the name of an SDK operation in IAM's spelling.
fn iam_name(sdk: &str, operation: &str) -> String {
    let service = match sdk {
        "cloudcontrol" => "cloudformation",
        "sfn" => "states",
        same => same,
    };
    let operation: String = operation.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    format!("{service}:{operation}")
}

/// Returns the actions that an operation needs, if they are not the action of the same name.
fn must(operation: &str) -> Vec<&str> {
    match operation {
        "lambda:Invoke" => vec!["lambda:InvokeFunction"],
        // The SDK itself calls this for S3 Express buckets, and there are none.
        "s3:CreateSession" => vec![],
        "s3:HeadObject" => vec!["s3:GetObject"],
        "s3:DeleteObjects" => vec!["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "s3:ListObjectVersions" => vec!["s3:ListBucketVersions"],
        // The actions inside a transaction authorize it; see `may`.
        "dynamodb:TransactWriteItems" => vec!["dynamodb:PutItem"],
        // CloudFormation reads the template with the caller's permissions, and passes the role that the call names.
        "cloudformation:CreateChangeSet" => {
            let own = ["cloudformation:CreateChangeSet", "iam:PassRole", "s3:GetObject"];
            own.into_iter().chain(TYPES_OF_PARAMETERS).collect()
        }
        "cloudformation:ContinueUpdateRollback" => {
            vec!["cloudformation:ContinueUpdateRollback", "iam:PassRole"]
        }
        "cloudformation:DeleteStack" => vec!["cloudformation:DeleteStack", "iam:PassRole"],
        "cloudformation:RollbackStack" => vec!["cloudformation:RollbackStack", "iam:PassRole"],
        "cloudformation:UpdateStack" => vec!["cloudformation:UpdateStack", "iam:PassRole", "s3:GetObject"],
        // The call that makes the copy tags it. EC2 reads and writes encrypted data on behalf of its caller.
        "ec2:CopyImage" => vec![
            "ec2:CopyImage",
            "ec2:CreateTags",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        // EC2 calls these on behalf of its caller.
        "ec2:DescribeImageReferences" => vec![
            "ec2:DescribeImageReferences",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeLaunchTemplates",
            "imagebuilder:GetContainerRecipe",
            "imagebuilder:ListContainerRecipes",
            "imagebuilder:ListImageRecipes",
            "ssm:DescribeParameters",
            "ssm:GetParameters",
        ],
        same => vec![same],
    }
}

/// The actions that CloudFormation calls with its caller's permissions to validate the values of typed parameters
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html>).
const TYPES_OF_PARAMETERS: [&str; 11] = [
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "route53:GetHostedZone",
    "route53:ListHostedZones",
    "ssm:GetParameters",
];

/// The actions that are denied on the promotion path although the code is the same: only the delivery path has test
/// stacks.
const DELIVERY_ONLY: [&str; 3] = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"];

/// Returns the further actions that an operation can need, depending on its input.
fn may(operation: &str) -> &'static [&'static str] {
    match operation {
        // EC2 deletes the snapshots that no other image uses.
        "ec2:DeregisterImage" => &["ec2:DeleteSnapshot"],
        "dynamodb:TransactWriteItems" => {
            &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem"]
        }
        _ => &[],
    }
}

/// Returns the roles of a function: its own, and those that it assumes in other accounts.
fn roles_of(function: &str) -> Vec<(String, Vec<Role>)> {
    let roles = roles(&stacks());
    let own = roles.values().filter(|role| role.account == TOOLING);
    let own: Vec<&Role> =
        own.filter(|role| role.name.strip_suffix("-role").is_some_and(|name| runs(name, function))).collect();
    assert!(!own.is_empty(), "{function} has no role");
    own.into_iter()
        .map(|role| {
            let assumed = assumable(role).into_iter().map(|arn| roles[&arn].clone());
            (role.name.clone(), std::iter::once(role.clone()).chain(assumed).collect())
        })
        .collect()
}

fn actions(roles: &[Role]) -> BTreeSet<String> {
    roles.iter().flat_map(Role::allowed).map(|(action, _)| action).collect()
}

#[test]
fn the_operations_in_a_binary_are_exactly_the_allowed_ones() {
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        let operations = linked(function);
        assert!(!operations.is_empty(), "{function} calls nothing: is its symbol table stripped?");
        let required: BTreeSet<&str> = operations.iter().flat_map(|o| must(o)).collect();
        let possible: BTreeSet<&str> = operations
            .iter()
            .flat_map(|o| may(o))
            .copied()
            .chain(required.iter().copied())
            .chain(BY_LAMBDA)
            .collect();
        let own = roles_of(function);
        let together: BTreeSet<String> = own.iter().flat_map(|(_, roles)| actions(roles)).collect();
        for (name, roles) in own {
            let allowed = actions(&roles);
            // Each kind of callers of the authority needs a part of the binary's calls. Together they need all.
            let needed = if function == "ledger" { &together } else { &allowed };
            let here = |action: &&&str| name.contains("-delivery-") || !DELIVERY_ONLY.contains(*action);
            let missing: Vec<_> = required.iter().filter(here).filter(|a| !needed.contains(**a)).collect();
            // AWS reads resources on behalf of the function that looks for drift.
            let on_behalf =
                |action: &String| function == "drift" && crate::drift::on_behalf().contains(action);
            let useless: Vec<_> =
                allowed.iter().filter(|a| !possible.contains(a.as_str()) && !on_behalf(a)).collect();
            if !missing.is_empty() || !useless.is_empty() {
                wrong.push(format!(
                    "{name}: calls without permission {missing:?}, permissions without a call {useless:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_functions_that_handle_images_link_the_ec2_client() {
    for function in FUNCTIONS {
        let ec2 = linked(function).iter().any(|operation| operation.starts_with("ec2:"));
        assert_eq!(ec2, ["image", "bake", "sweep"].contains(&function), "{function}");
    }
}

#[test]
fn operations_are_spelled_as_iam_spells_them() {
    assert_eq!(iam_name("sfn", "send_task_success"), "states:SendTaskSuccess");
    assert_eq!(iam_name("dynamodb", "get_item"), "dynamodb:GetItem");
    assert_eq!(must(&iam_name("lambda", "invoke")), ["lambda:InvokeFunction"]);
}
