//! Least privilege in the templates.

use crate::installed::{DEVELOPMENT, EXTERNAL_ID, PATHS, PRODUCTION, TOOLING, stacks};
use crate::policy::{Role, Statement, all_statements, glob, roles, texts};
use crate::stack::{REGION, Stack, repository};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The actions for which the service authorization reference knows no resource but `*`
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>).
const WITHOUT_RESOURCE: [&str; 35] = [
    "cloudformation:ListImports",
    "cloudformation:ListStacks",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImageReferences",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeRegions",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "ec2:GetAllowedImagesSettings",
    "ec2:GetEbsDefaultKmsKeyId",
    "ec2:GetEbsEncryptionByDefault",
    "imagebuilder:ListContainerRecipes",
    "imagebuilder:ListImageRecipes",
    "lambda:GetAccountSettings",
    "route53:ListHostedZones",
    "servicequotas:ListServiceQuotas",
    "ssm:DescribeParameters",
    // The action knows an instance, but AWS's own policy for Session Manager allows it on every resource.
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "states:SendTaskSuccess",
    "states:ValidateStateMachineDefinition",
];

#[test]
fn every_action_is_named_exactly() {
    for (owner, statement) in all_statements(&stacks()) {
        for action in &statement.actions {
            let (service, operation) = action.split_once(':').unwrap_or_else(|| panic!("{owner}: {action}"));
            let exact = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
            assert!(exact(service) && exact(operation), "{owner} names {action}");
        }
        assert!(!statement.actions.is_empty(), "{owner} has a statement without an action");
    }
}

/// Returns true for the reader of drift: the resources of components have any name. `drift.rs` holds its actions.
fn reads_any_resource(owner: &str) -> bool {
    owner.ends_with("-drift-reader")
}

#[test]
fn every_statement_names_its_resource_unless_the_action_has_none() {
    for (owner, statement) in all_statements(&stacks()) {
        assert!(!statement.resources.is_empty(), "{owner} has a statement without a resource");
        for resource in &statement.resources {
            if resource == "*" {
                // A denial may name every resource.
                let excused = !statement.allows
                    || reads_any_resource(&owner)
                    || statement.actions.iter().all(|a| WITHOUT_RESOURCE.contains(&a.as_str()));
                assert!(excused, "{owner} may {:?} on everything", statement.actions);
            } else {
                assert!(resource.starts_with("arn:aws:"), "{owner} names {resource}");
                assert!(!resource.contains('<'), "{owner} names {resource}");
            }
        }
    }
}

#[test]
fn actions_without_a_resource_have_statements_of_their_own() {
    let all = all_statements(&stacks());
    for (owner, statement) in all.into_iter().filter(|(owner, s)| s.allows && !reads_any_resource(owner)) {
        let without = statement.actions.iter().filter(|a| WITHOUT_RESOURCE.contains(&a.as_str())).count();
        let expected = if statement.resources == ["*"] { statement.actions.len() } else { 0 };
        assert_eq!(without, expected, "{owner}: {:?} on {:?}", statement.actions, statement.resources);
    }
}

#[test]
fn every_wildcard_in_an_arn_follows_a_fixed_prefix() {
    // The names of stacks, images, snapshots, keys, check functions, executions and objects are unknown beforehand. The
    // account is always known, except for the keys of the accounts that share images. The region is known in the
    // tooling account. The roles of other accounts, and what operators may read there, cover each of their regions. Public
    // parameters belong to no account, and a release pins them in each region.
    for (owner, statement) in all_statements(&stacks()) {
        for resource in statement.resources.iter().filter(|r| *r != "*") {
            let parts: Vec<&str> = resource.splitn(6, ':').collect();
            let of_who_shares = owner.ends_with("-image-target") && parts[2] == "kms";
            // A condition names the accounts, so the policy does not list each role of each account.
            let by_condition = statement.actions == ["sts:AssumeRole"] && !accounts_of(&statement).is_empty();
            assert!(of_who_shares || by_condition || !parts[4].contains('*'), "{owner}: {resource}");
            let is_public = parts[4].is_empty() && parts[5].starts_with("parameter/aws/service/");
            let serves_regions = !owner.contains(TOOLING) || is_public;
            assert!(serves_regions || !parts[3].contains('*'), "{owner}: {resource}");
            assert!(!parts[2].contains('*') && !parts[5].starts_with('*'), "{owner}: {resource}");
        }
    }
}

/// Only EC2 uses a key of any account, on behalf of a role that copies, and no other principal gets a grant.
#[test]
fn keys_are_used_through_ec2_and_granted_to_copying_roles_alone() {
    let roles = roles(&stacks());
    let condition_of = |role: &str, action: &str| {
        let role = &roles[&format!("arn:aws:iam::{DEVELOPMENT}:role/{role}")];
        let found: Vec<&Statement> =
            role.statements.iter().filter(|s| s.actions.iter().any(|a| a == action)).collect();
        assert_eq!(found.len(), 1, "{action}");
        found[0].condition.clone()
    };
    for path in PATHS {
        for action in ["kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"] {
            let through_ec2 = json!({"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}});
            assert_eq!(condition_of(&format!("lockstep-{path}-image-target"), action), through_ec2);
        }
        let to_whom_copies = json!({
            "StringLike": {"kms:GranteePrincipal": format!("arn:aws:iam::*:role/lockstep-{path}-image-target")}
        });
        let source = format!("lockstep-{path}-image-source");
        assert_eq!(condition_of(&source, "kms:CreateGrant"), to_whom_copies);
    }
}

#[test]
fn every_cross_account_trust_names_one_role_and_the_external_id() {
    let roles = roles(&stacks());
    let mut crossing = 0;
    for (arn, role) in &roles {
        for statement in &role.trust {
            assert_eq!(statement.actions, ["sts:AssumeRole"], "{arn}");
            assert!(statement.allows, "{arn}");
            for principal in statement.principals.iter().filter(|p| !p.ends_with(".amazonaws.com")) {
                // IAM stores a role principal by its id, so a recreated role would lose the trust.
                assert_eq!(*principal, format!("arn:aws:iam::{TOOLING}:root"), "{arn}");
                assert_ne!(role.account, TOOLING, "{arn} trusts its own account");
                let caller = trusted_role(statement);
                assert!(roles.contains_key(&caller), "{arn} trusts {caller}, which is no role of ours");
                let expected = json!({
                    "ArnEquals": {"aws:PrincipalArn": caller},
                    "StringEquals": {"sts:ExternalId": EXTERNAL_ID},
                });
                assert_eq!(statement.condition, expected, "{arn}");
                crossing += 1;
            }
            assert!(!statement.principals.is_empty(), "{arn} trusts no principal");
        }
    }
    // Per account: deployer, image builder, verifier, stack reader, drift reader, image keeper, image source and target. An
    // account on the delivery path has the last two twice.
    assert_eq!(crossing, 18);
}

/// Returns the one role that a trust statement admits; empty if it admits a service.
fn trusted_role(statement: &Statement) -> String {
    statement.condition["ArnEquals"]["aws:PrincipalArn"].as_str().unwrap_or_default().to_owned()
}

/// Returns the accounts that a condition names.
fn accounts_of(statement: &Statement) -> Vec<String> {
    texts(&statement.condition["StringEquals"]["aws:ResourceAccount"])
}

/// Returns the ARNs of the roles that a role may assume, in each account that its conditions name.
pub fn assumable(role: &Role) -> BTreeSet<String> {
    let assumes = |s: &&Statement| s.allows && s.actions.iter().any(|action| action == "sts:AssumeRole");
    let mut found = BTreeSet::new();
    for statement in role.statements.iter().filter(assumes) {
        for account in accounts_of(statement) {
            let named = statement.resources.iter().map(|r| r.replace("iam::*:", &format!("iam::{account}:")));
            found.extend(named);
        }
    }
    found
}

#[test]
fn a_role_is_trusted_exactly_where_its_policy_allows_assuming() {
    let roles = roles(&stacks());
    let trusted: BTreeSet<(String, String)> = roles
        .values()
        .flat_map(|role| role.trust.iter().map(|statement| (trusted_role(statement), role.arn())))
        .filter(|(caller, _)| !caller.is_empty())
        .collect();
    let may: BTreeSet<(String, String)> =
        roles.values().flat_map(|role| assumable(role).into_iter().map(|r| (role.arn(), r))).collect();
    assert_eq!(trusted, may);
}

#[test]
fn a_build_function_reaches_no_role_of_production() {
    let roles = roles(&stacks());
    // The sweep builds nothing. In production it releases unreferenced images. The ledger
    // builds nothing either, and reads stacks.
    let exceptions = [
        ("lockstep-sweep-role", "lockstep-image-keeper"),
        ("lockstep-ledger-promotion-role", "lockstep-promotion-stack-reader"),
    ]
    .map(|(role, there)| (role, format!("arn:aws:iam::{PRODUCTION}:role/{there}")));
    for role in
        roles.values().filter(|role| role.account == TOOLING && !role.name.starts_with("lockstep-promotion-"))
    {
        for resource in assumable(role) {
            let excepted = exceptions.iter().any(|(name, there)| role.name == *name && resource == *there);
            assert!(excepted || !resource.contains(PRODUCTION), "{} may assume {resource}", role.name);
        }
    }
    let promotion = roles.values().filter(|role| role.name.starts_with("lockstep-promotion-"));
    let reached: BTreeSet<String> = promotion.flat_map(assumable).collect();
    assert!(reached.iter().any(|r| r.contains(PRODUCTION)), "nothing reaches production at all");
    let in_development: Vec<_> = reached.iter().filter(|r| r.contains(DEVELOPMENT)).collect();
    let images = ["source", "target"]
        .map(|end| format!("arn:aws:iam::{DEVELOPMENT}:role/lockstep-promotion-image-{end}"));
    assert_eq!(in_development, images.iter().collect::<Vec<_>>());
}

#[test]
fn a_service_assumes_only_the_roles_made_for_it() {
    let stacks = stacks();
    let used = roles_of_services(&stacks);
    for (arn, role) in roles(&stacks) {
        let services: BTreeSet<&String> =
            role.trust.iter().flat_map(|s| &s.principals).filter(|p| !p.starts_with("arn:")).collect();
        let expected = used.get(&arn).map(|service| (*service).to_owned());
        assert_eq!(
            services.into_iter().cloned().collect::<Vec<_>>(),
            expected.into_iter().collect::<Vec<_>>(),
            "{arn}"
        );
    }
}

/// Returns the service that uses each role: by function, state machine, schedule and rule. CloudFormation uses the role
/// that the deployer passes.
fn roles_of_services(stacks: &[Stack]) -> BTreeMap<String, &'static str> {
    let mut used = BTreeMap::new();
    for stack in stacks {
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            used.insert(text(&function["Role"]), "lambda.amazonaws.com");
        }
        for (_, machine) in stack.resources("AWS::StepFunctions::StateMachine") {
            used.insert(text(&machine["RoleArn"]), "states.amazonaws.com");
        }
        for (_, project) in stack.resources("AWS::CodeBuild::Project") {
            used.insert(text(&project["ServiceRole"]), "codebuild.amazonaws.com");
        }
        for (_, schedule) in stack.resources("AWS::Scheduler::Schedule") {
            used.insert(text(&schedule["Target"]["RoleArn"]), "scheduler.amazonaws.com");
        }
        for (_, rule) in stack.resources("AWS::Events::Rule") {
            for target in
                rule["Targets"].as_array().into_iter().flatten().filter(|t| t.get("RoleArn").is_some())
            {
                used.insert(text(&target["RoleArn"]), "events.amazonaws.com");
            }
        }
    }
    for role in roles(stacks).values() {
        let passed = role.resources_for("iam:PassRole").into_iter();
        let is_packer = role.name == "lockstep-image-build";
        let service = if is_packer { "ec2.amazonaws.com" } else { "cloudformation.amazonaws.com" };
        used.extend(passed.map(|arn| (arn, service)));
    }
    used
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

#[test]
fn every_function_and_state_machine_has_a_role_of_its_own_named_after_it() {
    for stack in stacks() {
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            let expected = format!("arn:aws:iam::{TOOLING}:role/{}-role", text(&function["FunctionName"]));
            assert_eq!(text(&function["Role"]), expected);
        }
        for (_, machine) in stack.resources("AWS::StepFunctions::StateMachine") {
            let expected =
                format!("arn:aws:iam::{TOOLING}:role/{}-machine-role", text(&machine["StateMachineName"]));
            assert_eq!(text(&machine["RoleArn"]), expected);
        }
    }
}

#[test]
fn a_state_machine_and_a_schedule_are_assumed_for_their_own_account_only() {
    let of_services =
        |role: &Role| ["-machine-role", "-schedule-role"].iter().any(|s| role.name.ends_with(s));
    for role in roles(&stacks()).into_values().filter(of_services) {
        let condition = json!({"StringEquals": {"aws:SourceAccount": TOOLING}});
        assert!(role.trust.iter().all(|s| s.condition == condition), "{}", role.name);
    }
}

#[test]
fn a_function_writes_to_its_own_log_and_the_log_expires() {
    let stacks = stacks();
    let roles = roles(&stacks);
    for stack in &stacks {
        let groups: BTreeMap<String, Value> = stack
            .resources("AWS::Logs::LogGroup")
            .into_iter()
            .map(|(_, p)| (text(&p["LogGroupName"]), p))
            .collect();
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            let group = format!("/aws/lambda/{}", text(&function["FunctionName"]));
            assert!(groups[&group]["RetentionInDays"].is_number(), "{group} is kept for ever");
            let own = BTreeSet::from([format!("arn:aws:logs:{REGION}:{TOOLING}:log-group:{group}:*")]);
            let role = &roles[&text(&function["Role"])];
            for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
                assert_eq!(role.resources_for(action), own, "{}", role.name);
            }
            assert!(role.resources_for("logs:CreateLogGroup").is_empty(), "{}", role.name);
        }
    }
}

#[test]
fn a_role_that_passes_a_role_passes_one_to_one_service() {
    let stacks = stacks();
    for role in roles(&stacks).into_values() {
        let passes: Vec<&Statement> = role
            .statements
            .iter()
            .filter(|s| s.allows && s.actions.contains(&"iam:PassRole".to_owned()))
            .collect();
        // Packer gives the build instance the one role that makes it reachable.
        let (passed, service) = match role.name.as_str() {
            "lockstep-delivery-deployer" => {
                ("lockstep-delivery-cloudformation", "cloudformation.amazonaws.com")
            }
            "lockstep-promotion-deployer" => {
                ("lockstep-promotion-cloudformation", "cloudformation.amazonaws.com")
            }
            "lockstep-image-build" => ("lockstep-image-instance", "ec2.amazonaws.com"),
            other => {
                assert!(passes.is_empty(), "{other} may pass a role");
                continue;
            }
        };
        assert_eq!(passes.len(), 1);
        assert_eq!(passes[0].resources, [format!("arn:aws:iam::{}:role/{passed}", role.account)]);
        assert_eq!(passes[0].condition, json!({"StringEquals": {"iam:PassedToService": service}}));
    }
}

#[test]
fn cloudformation_is_bounded_and_cannot_change_lockstep() {
    let stacks = stacks();
    for stack in stacks.iter().filter(|s| s.name == "lockstep-target") {
        let all = stack.resources("AWS::IAM::Role");
        let (_, execution) = all.iter().find(|(id, _)| id == "StackExecution").unwrap();
        assert!(execution["PermissionsBoundary"].is_string());
        assert!(execution["ManagedPolicyArns"].is_array());
    }
    let roles = roles(&stacks);
    for (account, path) in [DEVELOPMENT, PRODUCTION].into_iter().zip(PATHS) {
        let role = &roles[&format!("arn:aws:iam::{account}:role/lockstep-{path}-cloudformation")];
        // The own policies of the role only deny, except for reading the code and the files that Lockstep uploads.
        let read = ["files", "functions"].map(|folder| {
            ("s3:GetObject".to_owned(), format!("arn:aws:s3:::lockstep-artifacts-{account}-*/{folder}/*"))
        });
        assert_eq!(role.allowed(), read.into());
        let denied = |action: &str| {
            let ours = format!("arn:aws:iam::{account}:role/lockstep-*");
            role.statements
                .iter()
                .any(|s| s.actions.contains(&action.to_owned()) && s.resources.contains(&ours))
        };
        for action in [
            "iam:UpdateAssumeRolePolicy",
            "iam:PutRolePolicy",
            "iam:AttachRolePolicy",
            "iam:DeleteRole",
            "iam:PassRole",
        ] {
            assert!(denied(action), "a component's template may {action} on the roles of Lockstep");
        }
    }
}

#[test]
fn the_deployer_cannot_touch_the_stack_it_comes_from() {
    for role in roles(&stacks()).into_values().filter(|r| r.name.ends_with("-deployer")) {
        let own = format!("arn:aws:cloudformation:*:{}:stack/lockstep-target/*", role.account);
        let denied: BTreeSet<&String> = role
            .statements
            .iter()
            .filter(|s| !s.allows && s.resources == [own.clone()])
            .flat_map(|s| &s.actions)
            .collect();
        let changes = ["Cancel", "Continue", "Create", "Delete", "Execute", "Rollback", "Update"];
        for (action, _) in role.allowed().iter().filter(|(a, _)| a.starts_with("cloudformation:")) {
            let changing = changes.iter().any(|verb| action.contains(&format!(":{verb}")));
            assert_eq!(changing, denied.contains(action), "{action}");
        }
    }
}

#[test]
fn only_the_rules_that_call_a_function_may_invoke_it() {
    for stack in stacks() {
        let mut wanted = BTreeSet::new();
        for (id, rule) in stack.resources("AWS::Events::Rule") {
            for target in rule["Targets"].as_array().into_iter().flatten() {
                let arn = text(&target["Arn"]);
                if let Some((_, function)) = arn.split_once(":function:") {
                    wanted.insert((
                        function.to_owned(),
                        rule_arn(&stack, &rule),
                        "events.amazonaws.com".to_owned(),
                    ));
                } else {
                    assert!(target["RoleArn"].is_string(), "{id} has no role for its target");
                }
            }
        }
        let granted: BTreeSet<_> = (stack.resources("AWS::Lambda::Permission").into_iter())
            .filter(|(_, p)| p["Principal"] != "*")
            .inspect(|(id, p)| assert_eq!(p["Action"], "lambda:InvokeFunction", "{id}"))
            .map(|(_, p)| (text(&p["FunctionName"]), text(&p["SourceArn"]), text(&p["Principal"])))
            .collect();
        assert_eq!(granted, wanted, "{}", stack.name);
    }
}

fn rule_arn(stack: &Stack, rule: &Value) -> String {
    format!(
        "arn:aws:events:{REGION}:{}:rule/{}/{}",
        stack.account,
        text(&rule["EventBusName"]),
        text(&rule["Name"])
    )
}

#[test]
fn an_open_url_has_both_permissions_and_a_closed_one_has_none() {
    let door = crate::components::stack("log-intake", "ci", &[]);
    for stack in stacks().into_iter().chain([door]) {
        let open: BTreeSet<String> = (stack.resources("AWS::Lambda::Url").into_iter())
            .filter(|(_, url)| url["AuthType"] == "NONE")
            .map(|(_, url)| text(&url["TargetFunctionArn"]).rsplit(':').next().unwrap().to_owned())
            .collect();
        let permissions: BTreeSet<_> = (stack.resources("AWS::Lambda::Permission").into_iter())
            .filter(|(_, p)| p["Principal"] == "*")
            .map(|(_, p)| {
                (
                    text(&p["FunctionName"]),
                    text(&p["Action"]),
                    p["FunctionUrlAuthType"] == "NONE",
                    p["InvokedViaFunctionUrl"] == true,
                )
            })
            .collect();
        let wanted = open.iter().flat_map(|function| {
            [
                (function.clone(), "lambda:InvokeFunctionUrl".to_owned(), true, false),
                (function.clone(), "lambda:InvokeFunction".to_owned(), false, true),
            ]
        });
        assert_eq!(permissions, wanted.collect(), "{}", stack.name);
    }
}

#[test]
fn a_public_function_touches_only_events_and_repositories() {
    let roles = roles(&stacks());
    let webhook = &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-webhook-role")];
    assert_eq!(keys_for(webhook, "dynamodb:PutItem"), ["EVENT#*"]);
    assert_eq!(keys_for(webhook, "dynamodb:GetItem"), ["EVENT#*", "REPOSITORY#*"]);
    let release = format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-release");
    assert_eq!(webhook.resources_for("states:StartExecution"), BTreeSet::from([release]));
}

#[test]
fn a_function_that_reads_foreign_files_cannot_write_environments() {
    let roles = roles(&stacks());
    let package = &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-package-role")];
    assert_eq!(keys_for(package, "dynamodb:PutItem"), ["COMPONENT#*", "REPOSITORY#*"]);
    assert!(package.resources_for("sts:AssumeRole").is_empty());
}

#[test]
fn a_function_that_acts_in_accounts_cannot_write_what_permits_it() {
    let roles = roles(&stacks());
    for path in PATHS {
        let of =
            |function: &str| &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-{path}-{function}-role")];
        let table = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/lockstep-{path}");
        assert_eq!(of("stack").resources_for("dynamodb:PutItem"), BTreeSet::from([table]));
        assert_eq!(of("stack").resources_for("dynamodb:DeleteItem"), BTreeSet::new());
        assert_eq!(keys_for(of("image"), "dynamodb:PutItem"), ["DEPLOYMENT#*", "IMAGE#*", "TRAFFIC#*"]);
        assert_eq!(keys_for(of("image"), "dynamodb:DeleteItem"), ["IMAGE#*"]);
        assert_eq!(keys_for(of("bake"), "dynamodb:PutItem"), ["DEPLOYMENT#*", "IMAGE#*"]);
        assert_eq!(keys_for(of("bake"), "dynamodb:DeleteItem"), ["IMAGE#*"]);
        assert_eq!(keys_for(of("verify"), "dynamodb:PutItem"), ["DEPLOYMENT#*"]);
        assert_eq!(keys_for(of("drift"), "dynamodb:PutItem"), ["DRIFT#*"]);
        assert_eq!(of("drift").resources_for("dynamodb:DeleteItem"), BTreeSet::new());
    }
}

#[test]
fn the_sweep_proposes_and_changes_no_record() {
    let roles = roles(&stacks());
    let sweep = &roles[&format!("arn:aws:iam::{TOOLING}:role/lockstep-sweep-role")];
    assert_eq!(keys_for(sweep, "dynamodb:PutItem"), ["SWEEP"]);
    assert_eq!(sweep.resources_for("dynamodb:DeleteItem"), BTreeSet::new());
    let token = format!("arn:aws:secretsmanager:{REGION}:{TOOLING}:secret:lockstep/repositories/*/token*");
    assert_eq!(sweep.resources_for("secretsmanager:GetSecretValue"), BTreeSet::from([token]));
    let machine = |name: &str| format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-{name}");
    assert_eq!(sweep.resources_for("states:StartExecution"), BTreeSet::from([machine("delivery-teardown")]));
    let function = |name: &str| format!("arn:aws:lambda:{REGION}:{TOOLING}:function:lockstep-{name}");
    assert_eq!(
        sweep.resources_for("lambda:InvokeFunction"),
        BTreeSet::from([
            function("resume"),
            function("webhook"),
            function("ledger-sweep"),
            function("delivery-image"),
            function("promotion-image")
        ])
    );
    let assumed = assumable(sweep);
    assert!(!assumed.is_empty() && assumed.iter().all(|role| role.ends_with(":role/lockstep-image-keeper")));
}

/// Row 50: DisableImage removes every launch permission and does not restore them.
#[test]
fn no_role_may_disable_an_image() {
    for (owner, statement) in all_statements(&stacks()).into_iter().filter(|(_, s)| s.allows) {
        assert!(!statement.actions.iter().any(|action| action == "ec2:DisableImage"), "{owner}");
    }
}

#[test]
fn a_schedule_calls_what_its_role_may_call_and_nothing_else() {
    let stacks = stacks();
    let roles = roles(&stacks);
    let schedules: Vec<Value> = stacks
        .iter()
        .flat_map(|stack| stack.resources("AWS::Scheduler::Schedule"))
        .map(|(_, schedule)| schedule)
        .collect();
    assert!(!schedules.is_empty());
    for schedule in schedules {
        let role = &roles[&text(&schedule["Target"]["RoleArn"])];
        let target = text(&schedule["Target"]["Arn"]);
        let action =
            if target.contains(":stateMachine:") { "states:StartExecution" } else { "lambda:InvokeFunction" };
        assert_eq!(role.allowed(), BTreeSet::from([(action.to_owned(), target)]), "{}", role.name);
    }
}

#[test]
fn a_break_glass_and_a_weakening_raise_an_alarm() {
    let stacks = stacks();
    let filters = stacks.iter().flat_map(|s| s.resources("AWS::Logs::MetricFilter")).map(|(_, f)| f);
    let alarms: Vec<Value> =
        stacks.iter().flat_map(|s| s.resources("AWS::CloudWatch::Alarm")).map(|(_, a)| a).collect();
    let source = crate::operations::sources("ledger").concat();
    let mut logged = Vec::new();
    for filter in filters {
        assert_eq!(filter["LogGroupName"], "/aws/lambda/lockstep-ledger-administrators");
        let pattern = text(&filter["FilterPattern"]);
        let said = pattern.split('"').nth(1).unwrap();
        let constant = said.to_uppercase();
        assert!(source.contains(&format!("const {constant}: &str = \"{said}\"")), "no code logs {pattern}");
        assert!(source.contains(&format!("alarm = {constant}")), "no code logs {pattern}");
        let metric = &filter["MetricTransformations"][0];
        let wanted = (&metric["MetricNamespace"], &metric["MetricName"]);
        assert!(alarms.iter().any(|alarm| (&alarm["Namespace"], &alarm["MetricName"]) == wanted));
        logged.push(said.to_owned());
    }
    logged.sort();
    assert_eq!(logged, ["break_glass", "weakening"]);
}

/// Any account can create a bucket with a predictable name, in a region that was not added yet.
#[test]
fn every_named_bucket_is_restricted_to_its_own_account() {
    let mut named = 0;
    for (owner, statement) in all_statements(&stacks()).into_iter().filter(|(_, s)| s.allows) {
        if statement.resources.iter().any(|resource| resource.starts_with("arn:aws:s3:::")) {
            let account = if owner.contains(TOOLING) {
                TOOLING
            } else if owner.contains(DEVELOPMENT) {
                DEVELOPMENT
            } else {
                PRODUCTION
            };
            let expected = json!({"StringEquals": {"aws:ResourceAccount": account}});
            assert_eq!(statement.condition, expected, "{owner}: {:?}", statement.resources);
            named += 1;
        }
    }
    assert!(named > 10, "only {named} statements name buckets");
}

/// `ForAllValues` is true for a request without the key, so each such condition also requires the key.
#[test]
fn every_for_all_values_condition_also_requires_a_key() {
    let intake = crate::components::stack("log-intake", "ci", &[]);
    let stacks: Vec<Stack> = stacks().into_iter().chain([intake]).collect();
    let mut kept = 0;
    for (owner, statement) in all_statements(&stacks) {
        for (operator, keys) in statement.condition.as_object().into_iter().flatten() {
            for key in keys.as_object().unwrap().keys().filter(|_| operator.starts_with("ForAllValues:")) {
                assert_eq!(statement.condition["Null"][key], "false", "{owner}: {key}");
                kept += 1;
            }
        }
    }
    assert!(kept > 15, "only {kept} conditions were found");
}

/// Returns the partitions of the table on which `action` is allowed.
pub fn keys_for(role: &Role, action: &str) -> Vec<String> {
    let statements = role.statements.iter().filter(|s| s.allows && s.actions.iter().any(|a| a == action));
    let keys = |s: &Statement| {
        let keys = texts(&s.condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
        assert!(!keys.is_empty(), "{} may {action} on every item", role.name);
        keys
    };
    statements.flat_map(keys).collect()
}

#[test]
fn each_account_sends_events_by_its_own_role_only() {
    let statements = all_statements(&stacks());
    let of_bus: Vec<&Statement> =
        statements.iter().filter(|(o, _)| o == "lockstep-accounts Events").map(|(_, s)| s).collect();
    assert_eq!(of_bus.len(), 1);
    assert_eq!(of_bus[0].principals, [DEVELOPMENT, PRODUCTION]);
    let forwarder = "arn:aws:iam::*:role/lockstep-forwarder";
    assert_eq!(of_bus[0].condition, json!({"ArnLike": {"aws:PrincipalArn": forwarder}}));
    assert_eq!(of_bus[0].actions, ["events:PutEvents"]);
    let bus = format!("arn:aws:events:{REGION}:{TOOLING}:event-bus/lockstep-events");
    for role in roles(&stacks()).values().filter(|r| r.name == "lockstep-forwarder") {
        assert_eq!(role.allowed(), BTreeSet::from([("events:PutEvents".to_owned(), bus.clone())]));
    }
}

#[test]
fn only_resume_answers_a_task_token() {
    for role in roles(&stacks()).values() {
        for (action, _) in role.allowed().iter().filter(|(a, _)| a.starts_with("states:SendTask")) {
            assert_eq!(
                (role.name.as_str(), action.as_str()),
                ("lockstep-resume-role", "states:SendTaskSuccess")
            );
        }
    }
}

#[test]
fn a_resource_that_holds_data_outlives_its_stack() {
    for stack in stacks() {
        let topics: Vec<_> = stack
            .written()
            .into_iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::SNS::Topic")
            .map(|(_, topic)| topic["Properties"]["KmsMasterKeyId"].to_string())
            .collect();
        for (id, resource) in stack.written() {
            // The key of a topic encrypts notifications on their way. No data outlives it.
            let is_of_topic = topics.iter().any(|key| key.contains(&format!("\"{id}\"")));
            if ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket"]
                .contains(&resource["Type"].as_str().unwrap())
                && !is_of_topic
            {
                assert_eq!(resource["DeletionPolicy"], "Retain", "{id}");
                assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{id}");
            }
        }
    }
}

/// A further region of an account gets the resources of its first region, without the global ones.
#[test]
fn regional_resources_are_the_same_in_every_region_of_an_account() {
    let bus = format!("arn:aws:events:{REGION}:{TOOLING}:event-bus/lockstep-events");
    let further = [("FurtherRegion", "true"), ("EventBusArn", bus.as_str()), ("CreateImageKey", "true")];
    let further = Stack::new("lockstep-target", PRODUCTION, "infra/target-account/template.yaml", &further);
    let stacks = stacks();
    let first = stacks.iter().find(|s| s.name == "lockstep-target" && s.account == PRODUCTION).unwrap();
    for kind in [
        "AWS::CloudWatch::Alarm",
        "AWS::Events::Rule",
        "AWS::S3::Bucket",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    ] {
        assert_eq!(further.resources(kind), first.resources(kind), "{kind}");
    }
    let keys: Vec<String> = further.resources("AWS::KMS::Key").into_iter().map(|(id, _)| id).collect();
    assert_eq!(keys, ["AlarmKey", "ImageKey"], "keys of its own");
    for kind in ["AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role"]
    {
        assert!(!first.resources(kind).is_empty(), "{kind}");
        assert!(further.resources(kind).is_empty(), "{kind} is global");
    }
}

/// The inspection accepts the permissions that the template gives Auto Scaling on the key of images.
#[test]
fn the_inspection_accepts_the_key_that_the_template_offers() {
    use lockstep_domain::images::promotion::keys::{ImageKey, Key, why_it_cannot_be_encrypted};
    let bus = "arn:aws:events:eu-west-1:111111111111:event-bus/lockstep-events";
    let stack = [("EventBusArn", bus), ("CreateImageKey", "true")];
    let stack = Stack::new("lockstep-target", PRODUCTION, "infra/target-account/template.yaml", &stack);
    let keys = stack.resources("AWS::KMS::Key");
    let (_, offered) = keys.iter().find(|(id, _)| id == "ImageKey").unwrap();
    let key = Key { arn: "arn:key".into(), managed_by_aws: false, state: "Enabled".into() };
    let key = ImageKey { key, policy: offered["KeyPolicy"].to_string(), grants: vec![] };
    let place = lockstep_domain::model::location::Location {
        account: PRODUCTION.parse().unwrap(),
        region: REGION.parse().unwrap(),
    };
    assert_eq!(why_it_cannot_be_encrypted(Some(&key), &place, "aws"), None);
    let aliases = stack.resources("AWS::KMS::Alias");
    assert_eq!(aliases[0].1["AliasName"], lockstep_domain::images::promotion::KEY_ALIAS);
}

/// A queue with an alarm keeps the events that a rule cannot deliver. It accepts events of these rules only.
#[test]
fn every_rule_that_forwards_has_a_dead_letter_queue_with_an_alarm() {
    let mut forwarding = 0;
    for stack in stacks().iter().filter(|stack| stack.name == "lockstep-target") {
        let queues = stack.resources("AWS::SQS::Queue");
        let [(_, queue)] = queues.as_slice() else { panic!("{queues:?}") };
        let arn = format!("arn:aws:sqs:{REGION}:{}:{}", stack.account, text(&queue["QueueName"]));
        for (id, rule) in stack.resources("AWS::Events::Rule") {
            for target in rule["Targets"].as_array().into_iter().flatten() {
                assert_eq!(target["DeadLetterConfig"]["Arn"], arn, "{id}");
                forwarding += 1;
            }
        }
        let policies = stack.resources("AWS::SQS::QueuePolicy");
        let statement = &policies[0].1["PolicyDocument"]["Statement"][0];
        assert_eq!((&statement["Resource"], &statement["Action"]), (&json!(arn), &json!("sqs:SendMessage")));
        assert_eq!(statement["Principal"], json!({"Service": "events.amazonaws.com"}));
        let rules = format!("arn:aws:events:{REGION}:{}:rule/lockstep-forward-*", stack.account);
        assert_eq!(statement["Condition"], json!({"ArnLike": {"aws:SourceArn": rules}}));
        let alarms = stack.resources("AWS::CloudWatch::Alarm");
        assert!(alarms.iter().any(|(_, alarm)| {
            alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
                && alarm["Dimensions"][0]["Name"] == "QueueName"
        }));
    }
    assert_eq!(forwarding, 6);
}

/// A role of one path can assume, pass, trust and grant to roles of its own path only, whatever the account number in
/// an ARN.
#[test]
fn no_policy_of_one_path_matches_a_role_of_the_other() {
    let stacks = stacks();
    let roles = roles(&stacks);
    let path_of = |name: &str| PATHS.into_iter().find(|path| name.starts_with(&format!("lockstep-{path}-")));
    let anywhere = |arn: &str| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        format!("arn:aws:iam::*:{}", parts[5])
    };
    let mut compared = 0;
    for role in roles.values() {
        let Some(path) = path_of(&role.name) else { continue };
        let speaks_of: Vec<String> = (role.statements.iter().filter(|s| s.allows))
            .flat_map(|s| {
                s.resources.iter().cloned().chain(texts(&s.condition["StringLike"]["kms:GranteePrincipal"]))
            })
            .chain(role.trust.iter().map(trusted_role))
            .filter(|arn| arn.contains(":role/"))
            .collect();
        for other in roles.values().filter(|other| path_of(&other.name).is_some_and(|of| of != path)) {
            for pattern in &speaks_of {
                let matches = glob(&anywhere(pattern), &other.arn());
                assert!(!matches, "{} mentions {pattern}, which matches {}", role.arn(), other.arn());
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} pairs were compared");
}

/// The installed resources work in every partition that `lockstep install` accepts.
#[test]
fn no_partition_is_written_into_what_is_installed() {
    let mut files = 0;
    let mut folders = vec![repository().join("infra"), repository().join("statemachines")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|e| ["yaml", "json", "hcl", "sh", "toml"].iter().any(|k| e == *k))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                for partition in ["arn:aws:", "arn:aws-cn:", "arn:aws-us-gov:", "arn:aws-eusc:"] {
                    assert!(!text.contains(partition), "{} holds {partition}", path.display());
                }
                files += 1;
            }
        }
    }
    assert!(files > 40, "only {files} files were read");
}

/// The sweep belongs to neither path. It can assume one role of each account, which neither path can assume.
#[test]
fn only_the_sweep_reaches_the_keeper_of_images() {
    for role in roles(&stacks()).values().filter(|role| role.name != "lockstep-sweep-role") {
        for resource in role.resources_for("sts:AssumeRole") {
            assert!(
                !resource.ends_with(lockstep_domain::installation::target_roles::IMAGE_KEEPER),
                "{}",
                role.arn()
            );
        }
    }
}

/// A parameter decides what the next instance starts from, so only the function of the account's path sets it.
#[test]
fn only_the_image_function_of_a_path_names_images() {
    let roles = roles(&stacks());
    for (account, path) in [DEVELOPMENT, PRODUCTION].into_iter().zip(PATHS) {
        let parameter = format!("arn:aws:ssm:*:{account}:parameter/lockstep/images/*");
        let writes = |role: &&Role| role.resources_for("ssm:PutParameter").contains(&parameter);
        let writers: Vec<&str> = roles.values().filter(writes).map(|role| role.name.as_str()).collect();
        assert_eq!(writers, [format!("lockstep-{path}-image-target")], "{account}");
    }
}

/// The names in the code equal those of the template, on each path.
#[test]
fn the_roles_that_functions_assume_exist() {
    use lockstep_domain::installation::target_roles::TargetRole;
    let roles = roles(&stacks());
    for (account, path) in [DEVELOPMENT, PRODUCTION].into_iter().zip(PATHS) {
        let path = path.parse().unwrap();
        for role in TargetRole::ALL {
            let arn = role.arn(path, "aws", &account.parse().unwrap());
            assert!(roles.contains_key(&arn), "{arn}");
        }
    }
}

#[test]
fn the_same_template_makes_both_paths_and_they_share_no_role() {
    let roles = roles(&stacks());
    let of = |path: &str| -> BTreeSet<String> {
        let prefix = format!("lockstep-{path}-");
        let ours = roles.values().filter(|role| role.account == TOOLING);
        ours.filter_map(|r| r.name.strip_prefix(&prefix).map(str::to_owned)).collect()
    };
    assert_eq!(of(PATHS[0]), of(PATHS[1]));
    assert_eq!(
        of(PATHS[0]),
        [
            "bake-role",
            "build-image-machine-role",
            "deploy-machine-role",
            "drift-machine-role",
            "drift-role",
            "drift-schedule-role",
            "image-role",
            "stack-role",
            "teardown-machine-role",
            "verify-role",
        ]
        .map(str::to_owned)
        .into()
    );
}
