//! The components of the log stack: what their templates promise each other, the functions and AWS.

use crate::operations::linked;
use crate::policy::{all_statements, roles};
use crate::stack::{REGION, Stack, repository};
use jiff::Timestamp;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::packaging::{self, PackagingInput};
use lockstep_domain::delivery::parameters::{ComponentParameters, Layers, OrganisationParameters};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::installation::doctor::{QuotaPlace, WANTED_QUOTAS};
use lockstep_domain::model::ids::{ComponentName, Digest, LogicalId, StageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{ImageOrigin, ImageVersion};
use lockstep_domain::stacks::template::Template;
use lockstep_platform::config::Setting;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The components, by their folder in `infra/log-stack`.
pub const FOLDERS: [&str; 6] = ["elasticsearch", "cache", "broker", "indexer", "elb-logs", "log-intake"];

/// Where each of them is deployed.
const ACCOUNT: &str = "222222222222";

/// The actions for which the service authorization reference leaves no resource but `*`.
const WITHOUT_RESOURCE: [&str; 8] = [
    "cloudwatch:PutMetricData",
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// The most bytes of user data that EC2 takes
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
const USER_DATA_BYTES_MAX: usize = 16 << 10;

const STAGES: &str = r#"
[[stages]]
name = "test"
account = "222222222222"
region = "eu-west-1"

[[stages]]
name = "ci"
account = "222222222222"
region = "eu-west-1"
propagates = true

[[stages]]
name = "staging"
account = "222222222222"
region = "eu-west-1"
propagates = true

[[stages]]
name = "production"
account = "333333333333"
region = "eu-west-1"
approval = true
"#;

const ORGANISATION: &str = r#"
[default]
VpcId = "vpc-0123456789abcdef0"
SubnetIds = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
AvailabilityZones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
ClientCidr = "10.0.0.0/8"
ReaderCidr = "10.0.0.0/8"
AlarmTopicArn = "arn:aws:sns:eu-west-1:222222222222:alarms"
"#;

/// What an installation ships, each with code of its own.
fn shipped() -> FunctionLock {
    let keys: Vec<String> = lockstep_cli::functions::SHIPPED
        .iter()
        .map(|name| format!("functions/{name}/{}.zip", Digest::of(name.as_bytes())))
        .collect();
    FunctionLock::of_keys(&keys.join(",")).unwrap()
}

fn stages() -> Stages {
    Stages::parse("stages.toml", STAGES).unwrap()
}

fn organisation() -> OrganisationParameters {
    OrganisationParameters::parse("parameters.toml", ORGANISATION).unwrap()
}

fn path(folder: &str) -> String {
    format!("infra/log-stack/{folder}/template.yaml")
}

pub fn template(folder: &str) -> Template {
    let path = path(folder);
    Template::parse(&path, &std::fs::read_to_string(repository().join(&path)).unwrap()).unwrap()
}

/// Every file of a component, by its path in it.
pub fn files(folder: &str) -> Files {
    files_below(&repository().join("infra/log-stack").join(folder))
}

/// Every file below a folder, by its path in it.
pub fn files_below(folder: &Path) -> Files {
    fn below(folder: &Path, prefix: &str, found: &mut Files) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                below(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = Files::new();
    below(folder, "", &mut found);
    found
}

/// The stack of a component in a stage, as its parameter files make it; what other components give has a stand-in.
pub fn stack(folder: &str, stage: &str, overrides: &[(&str, &str)]) -> Stack {
    let (organisation, component) = (organisation(), ComponentParameters::read(&files(folder)).unwrap());
    let layers = Layers { organisation: Some(&organisation), component: &component, overrides: None };
    let stage: StageName = stage.parse().unwrap();
    let mut values = BTreeMap::new();
    for name in template(folder).parameters().keys() {
        if let Some((_, _, value)) = layers.value(&name.parse().unwrap(), &stage) {
            values.insert(name.clone(), value.text.replace("${stage}", stage.as_str()));
        }
    }
    values.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    // What decides which resources there are has to be a value, not a reference.
    if folder == "indexer" {
        values.entry("Engine".into()).and_modify(|engine| {
            *engine = engine.replace("${outputs.logs-elasticsearch.Engine}", "elasticsearch")
        });
    }
    for name in ["CacheSecretArn", "StoreSecretArn", "StoreCaSecretArn"] {
        if let Some(value) = values.get_mut(name) {
            *value = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}");
        }
    }
    let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    Stack::new(&format!("{stage}-{folder}"), ACCOUNT, &path(folder), &values)
}

/// Every component in the shapes that it has.
fn components() -> Vec<Stack> {
    let mut stacks: Vec<Stack> = FOLDERS
        .iter()
        .flat_map(|folder| ["ci", "production"].map(|stage| stack(folder, stage, &[])))
        .collect();
    stacks.push(stack("elasticsearch", "opensearch", &[("Engine", "opensearch"), ("Nodes", "3")]));
    stacks.push(stack("indexer", "opensearch", &[("Engine", "opensearch")]));
    stacks.push(stack("elb-logs", "buckets", &[("BucketArns", "arn:aws:s3:::one,arn:aws:s3:::two")]));
    stacks
}

/// The boot scripts of a stack's instances.
pub fn boot_scripts(stack: &Stack) -> Vec<String> {
    let templates = stack.resources("AWS::EC2::LaunchTemplate").into_iter();
    templates
        .map(|(_, t)| t["LaunchTemplateData"]["UserData"]["Fn::Base64"].as_str().unwrap().to_owned())
        .collect()
}

/// A version that may be used.
fn image(name: &str) -> ImageVersion {
    ImageVersion {
        name: name.parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: Some("ami-0123456789abcdef0".parse().unwrap()),
        required: BTreeSet::new(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "arn".to_owned(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn every_component_is_packaged_with_nothing_left_open() {
    let (stages, organisation) = (stages(), organisation());
    let functions = shipped();
    let images = ["logstash", "elasticsearch"].map(image);
    let producers: BTreeMap<ComponentName, BTreeSet<String>> = FOLDERS
        .iter()
        .map(|folder| {
            let manifest = String::from_utf8(files(folder)["lockstep.toml"].clone()).unwrap();
            let name = manifest.lines().find_map(|l| l.strip_prefix("name = ")).unwrap().trim_matches('"');
            (name.parse().unwrap(), template(folder).outputs().keys().cloned().collect())
        })
        .collect();
    let world = PackagingInput {
        stages: Some(&stages),
        organisation: Some(&organisation),
        images: Some(&images),
        producers: Some(&producers),
        functions: Some(&functions),
        permissions: None,
    };
    for folder in FOLDERS {
        let package = packaging::plan(folder, &files(folder), &world).unwrap_or_else(|problems| {
            panic!("{folder}: {}", problems.iter().map(|p| format!("\n{p}")).collect::<String>())
        });
        assert_eq!(package.unchecked, Vec::<String>::new(), "{folder}");
        let ships = lockstep_cli::functions::SHIPPED.contains(&folder);
        assert_eq!(package.function_lock.is_empty(), !ships, "{folder}");
    }
}

#[test]
fn every_action_of_a_component_is_named_exactly_and_on_something() {
    for (owner, statement) in all_statements(&components()) {
        for action in &statement.actions {
            let (service, operation) = action.split_once(':').unwrap();
            let exact = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
            assert!(exact(service) && exact(operation), "{owner} names {action}");
        }
        for resource in &statement.resources {
            if resource == "*" {
                let excused = statement.actions.iter().all(|a| WITHOUT_RESOURCE.contains(&a.as_str()));
                assert!(excused, "{owner} may {:?} on everything", statement.actions);
            } else {
                let parts: Vec<&str> = resource.splitn(6, ':').collect();
                assert!(resource.starts_with("arn:aws:") && parts.len() == 6, "{owner} names {resource}");
                assert!(!resource.contains('<'), "{owner} names {resource}");
                assert!(
                    !parts[..5].concat().contains('*') && !parts[5].starts_with('*'),
                    "{owner}: {resource}"
                );
            }
        }
    }
}

#[test]
fn metrics_go_into_one_namespace_and_an_instance_attaches_volumes_to_its_own_kind_alone() {
    let mut seen = BTreeSet::new();
    for (owner, statement) in all_statements(&components()) {
        for action in &statement.actions {
            let condition = &statement.condition["StringEquals"];
            match action.as_str() {
                "cloudwatch:PutMetricData" => {
                    assert_eq!(condition["cloudwatch:namespace"], "Lockstep/LogStack", "{owner}");
                    seen.insert(action.clone());
                }
                "ec2:AttachVolume" if statement.resources.iter().any(|r| r.contains(":instance/")) => {
                    assert!(condition["aws:ResourceTag/log-stack"].is_string(), "{owner}");
                    seen.insert(action.clone());
                }
                _ => {}
            }
        }
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn the_shipper_may_read_the_buckets_that_it_is_told_of_and_no_others() {
    let stack = stack("elb-logs", "production", &[("BucketArns", "arn:aws:s3:::one,arn:aws:s3:::two")]);
    let read: BTreeSet<String> = all_statements(&[stack])
        .into_iter()
        .filter(|(_, s)| s.actions.contains(&"s3:GetObject".to_owned()))
        .flat_map(|(_, s)| s.resources)
        .collect();
    let expected = ["arn:aws:s3:::LogBucket/*", "arn:aws:s3:::one/*", "arn:aws:s3:::two/*"];
    assert_eq!(read, expected.map(str::to_owned).into());
}

#[test]
fn a_further_bucket_is_one_entry_that_rule_and_role_follow() {
    let with = stack("elb-logs", "production", &[("BucketArns", "arn:aws:s3:::one,arn:aws:s3:::two")]);
    let rules = with.resources("AWS::Events::Rule");
    let named = serde_json::json!(["arn:aws:s3:::one", "arn:aws:s3:::two"]);
    assert_eq!(rules[0].1["EventPattern"]["resources"], named);
    assert!(stack("elb-logs", "ci", &[]).resources("AWS::Events::Rule").is_empty());
}

#[test]
fn nobody_takes_a_message_while_it_is_worked_on_and_what_fails_goes_back_alone() {
    let stack = stack("elb-logs", "production", &[]);
    let queues: BTreeMap<String, Value> = stack.resources("AWS::SQS::Queue").into_iter().collect();
    let longest =
        template("elb-logs").to_json()["Parameters"]["TimeoutSeconds"]["MaxValue"].as_u64().unwrap();
    assert!(queues["Queue"]["VisibilityTimeout"].as_u64().unwrap() >= 6 * longest);
    assert_eq!(queues["Queue"]["RedrivePolicy"]["maxReceiveCount"], 5);
    assert_eq!(queues["DeadLetters"]["MessageRetentionPeriod"], 14 * 86400);
    let (_, subscription) = &stack.resources("AWS::Lambda::EventSourceMapping")[0];
    assert_eq!(subscription["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    let (_, function) = &stack.resources("AWS::Lambda::Function")[0];
    assert_eq!(function["RecursiveLoop"], "Allow");
}

#[test]
fn a_component_takes_its_functions_code_from_where_lockstep_puts_it() {
    for name in lockstep_cli::functions::SHIPPED {
        assert!(FOLDERS.contains(&name), "{name} is shipped for no component of the log stack");
        let (_, function) = &stack(name, "ci", &[]).resources("AWS::Lambda::Function")[0];
        assert_eq!(function["Code"]["S3Bucket"], format!("lockstep-artifacts-{ACCOUNT}-{REGION}"));
        assert_eq!(function["Code"]["S3Key"], format!("${{functions.{name}}}"));
    }
}

/// The settings of each function that a component has.
const SETTINGS: [(&str, &[Setting]); 2] =
    [("elb-logs", &Setting::OF_LOGS), ("log-intake", &Setting::OF_INTAKE)];

#[test]
fn a_components_function_is_given_every_setting_that_it_has_and_no_others() {
    assert_eq!(SETTINGS.map(|(name, _)| name), lockstep_cli::functions::SHIPPED);
    for (name, settings) in SETTINGS {
        let given = |overrides: &[(&str, &str)]| {
            let (_, function) = &stack(name, "ci", overrides).resources("AWS::Lambda::Function")[0];
            let variables = function["Environment"]["Variables"].as_object().unwrap();
            variables.keys().cloned().collect::<BTreeSet<String>>()
        };
        let names = |settings: &mut dyn Iterator<Item = &Setting>| {
            settings.map(|s| s.variable().to_owned()).collect()
        };
        let optional = |setting: &&Setting| **setting == Setting::OutputAuthority;
        assert_eq!(given(&[]), names(&mut settings.iter().filter(|s| !optional(s))), "{name}");
        assert_eq!(given(&[("BrokerAuthority", "PEM")]), names(&mut settings.iter()), "{name}");
    }
}

#[test]
fn a_components_function_may_do_what_its_binary_can_do_and_what_lambda_does_for_it() {
    // The network interfaces and the log stream are Lambda's doing, with the function's role.
    const BY_LAMBDA: [&str; 8] = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ];
    // So is the event source mapping, where there is one.
    const BY_A_MAPPING: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
    for name in lockstep_cli::functions::SHIPPED {
        let stack = stack(name, "ci", &[]);
        let mut possible: BTreeSet<String> = linked(name);
        // The SDK's own, for S3 Express buckets, of which there are none.
        possible.remove("s3:CreateSession");
        // Reading a version is an action of its own.
        if possible.contains("s3:GetObject") {
            possible.insert("s3:GetObjectVersion".to_owned());
        }
        possible.extend(BY_LAMBDA.map(str::to_owned));
        if !stack.resources("AWS::Lambda::EventSourceMapping").is_empty() {
            possible.extend(BY_A_MAPPING.map(str::to_owned));
        }
        let allowed: BTreeSet<String> =
            roles(&[stack]).values().flat_map(|role| role.allowed()).map(|(action, _)| action).collect();
        assert_eq!(allowed, possible, "{name}");
    }
}

#[test]
fn every_boot_script_is_bash_and_small_enough() {
    let mut count = 0;
    for stack in components() {
        for script in boot_scripts(&stack) {
            assert!(script.len() <= USER_DATA_BYTES_MAX, "{}: {} bytes", stack.name, script.len());
            assert!(script.starts_with("#!/bin/bash\n"), "{}", stack.name);
            let file =
                std::env::temp_dir().join(format!("lockstep-{}-{}.sh", std::process::id(), stack.name));
            std::fs::write(&file, &script).unwrap();
            let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
            std::fs::remove_file(&file).unwrap();
            let said = String::from_utf8_lossy(&checked.stderr);
            // bash only warns of a text that is not closed.
            assert!(checked.status.success() && said.is_empty(), "{}: {said}\n{script}", stack.name);
            count += 1;
        }
    }
    assert_eq!(
        count,
        2 + 2 + 2 + 1,
        "broker, indexer and elasticsearch in two stages, and an indexer for OpenSearch"
    );
}

#[test]
fn what_logstash_acknowledges_stands_on_its_disk_when_it_is_acknowledged() {
    for folder in ["broker", "indexer"] {
        for script in boot_scripts(&stack(folder, "production", &[])) {
            for setting in ["queue.type: persisted\n", "queue.checkpoint.writes: 1\n", "queue.drain: true\n"]
            {
                assert!(script.contains(setting), "{folder} lacks {setting}");
            }
        }
    }
}

#[test]
fn an_event_leaves_a_queue_once_the_next_place_has_it_and_few_are_nowhere_else() {
    let broker = &boot_scripts(&stack("broker", "production", &[]))[0];
    // With `batch`, the output returns before the cache has the event.
    assert!(!broker.contains("batch => true") && !broker.contains("batch_events"), "{broker}");
    let number = |script: &str, pattern: &str| -> u32 {
        let found = regex::Regex::new(pattern).unwrap().captures(script).unwrap();
        found[1].parse().unwrap()
    };
    // As many connections as there are workers that wait for one.
    assert_eq!(
        number(broker, r"(?m)^ +workers => (\d+)$"),
        number(broker, r"(?m)^pipeline\.workers: (\d+)$")
    );
    let indexer = &boot_scripts(&stack("indexer", "production", &[]))[0];
    let taken = number(indexer, r"batch_count => (\d+)") * number(indexer, r"threads => (\d+)");
    let told = std::fs::read_to_string(repository().join("docs/log-stack.md")).unwrap();
    assert!(told.contains(&format!("up to {taken} events")), "docs/log-stack.md says how many: {taken}");
}

#[test]
fn reserving_no_concurrency_leaves_the_function_the_accounts() {
    let reserved = |at_once: &str| {
        let stack = stack("log-intake", "production", &[("AtOnce", at_once)]);
        let (_, function) = &stack.resources("AWS::Lambda::Function")[0];
        function.get("ReservedConcurrentExecutions").cloned()
    };
    // Zero would stop the function altogether.
    assert_eq!(reserved("0"), None);
    assert_eq!(reserved("100"), Some("100".into()));
    assert_eq!(
        stack("log-intake", "ci", &[]).parameter("AtOnce"),
        "0",
        "a new account has ten for everything"
    );
}

#[test]
fn every_quota_that_the_doctor_reads_in_a_target_is_explained_to_operators_of_the_log_stack() {
    let told = std::fs::read_to_string(repository().join("infra/log-stack/README.md")).unwrap();
    for quota in WANTED_QUOTAS.iter().filter(|quota| quota.place == QuotaPlace::Target) {
        assert!(told.contains(quota.name), "{}", quota.name);
    }
    assert!(told.contains("Lambda: Concurrent executions"));
}

#[test]
fn no_component_is_made_for_one_partition() {
    let endpoint = regex::Regex::new(r"\$\{AWS::Region\}\.amazonaws|arn:aws:").unwrap();
    for folder in FOLDERS {
        let text = std::fs::read_to_string(repository().join(path(folder))).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            assert!(!endpoint.is_match(line), "{folder}: {line}");
        }
    }
}

#[test]
fn no_parameter_is_of_a_type_that_cloudformation_checks_with_the_callers_rights() {
    for folder in FOLDERS {
        for (name, parameter) in template(folder).parameters() {
            let plain = ["String", "Number", "CommaDelimitedList"].contains(&parameter.kind.as_str());
            assert!(plain, "{folder}: {name} is a {}", parameter.kind);
        }
    }
}

#[test]
fn no_password_is_written_into_a_template() {
    for stack in components() {
        for script in boot_scripts(&stack) {
            assert!(script.contains("secretsmanager get-secret-value"), "{}", stack.name);
        }
        for (id, group) in stack.resources("AWS::ElastiCache::ReplicationGroup") {
            let token = group["AuthToken"].as_str().unwrap();
            assert!(token.starts_with("{{resolve:secretsmanager:") && token.ends_with("}}"), "{id}");
            assert_eq!(group["TransitEncryptionEnabled"], true);
        }
        for (id, domain) in stack.resources("AWS::OpenSearchService::Domain") {
            let password =
                domain["AdvancedSecurityOptions"]["MasterUserOptions"]["MasterUserPassword"].as_str();
            assert!(password.unwrap().starts_with("{{resolve:secretsmanager:"), "{id}");
        }
    }
}

#[test]
fn a_full_cache_makes_the_broker_wait_and_throws_nothing_away() {
    let stack = stack("cache", "production", &[]);
    let (_, settings) = &stack.resources("AWS::ElastiCache::ParameterGroup")[0];
    assert_eq!(settings["Properties"]["maxmemory-policy"], "noeviction");
}

#[test]
fn three_nodes_or_one_each_with_a_volume_of_its_own_in_a_zone_of_its_own() {
    for (stage, nodes) in [("ci", 1), ("production", 3)] {
        let stack = stack("elasticsearch", stage, &[]);
        let groups = stack.resources("AWS::AutoScaling::AutoScalingGroup");
        assert_eq!(groups.len(), nodes, "{stage}");
        let tag = |group: &Value, key: &str| {
            let tags = group["Tags"].as_array().unwrap();
            tags.iter().find(|t| t["Key"] == key).unwrap()["Value"].as_str().unwrap().to_owned()
        };
        let volumes: BTreeSet<String> = groups.iter().map(|(_, group)| tag(group, "volume")).collect();
        assert_eq!(volumes.len(), nodes, "{stage}");
        for (id, group) in &groups {
            // The instance's script signals the resource called after its tag.
            assert_eq!(*id, format!("Node{}", tag(group, "node")));
            assert_eq!((&group["MinSize"], &group["MaxSize"]), (&1.into(), &1.into()));
        }
        assert_eq!(stack.resources("AWS::EC2::Volume").len(), nodes, "{stage}");
    }
}

#[test]
fn only_one_node_ever_founds_a_cluster() {
    let scripts = boot_scripts(&stack("elasticsearch", "production", &[]));
    let founding: Vec<&str> = scripts[0].lines().filter(|l| l.contains("initial_master_nodes")).collect();
    assert_eq!(founding.len(), 2, "{founding:?}");
    assert!(founding[0].contains("founds='cluster.initial_master_nodes: [A]'"));
    assert!(founding[1].contains("sed -i"), "what founded is taken out again");
}

#[test]
fn whichever_engine_stores_logs_others_see_the_same_outputs() {
    let own = stack("elasticsearch", "production", &[]).outputs();
    assert_eq!(own, stack("elasticsearch", "opensearch", &[("Engine", "opensearch")]).outputs());
    for output in ["Engine", "Url", "SecretArn", "CaSecretArn", "ClientSecurityGroup"] {
        assert!(own.contains(output), "{output}");
    }
}

#[test]
fn logs_are_deleted_after_fourteen_days_and_their_fields_have_types() {
    let indexer = stack("indexer", "production", &[]);
    assert_eq!(indexer.parameter("RetentionDays"), "14");
    for (engine, policy) in [("elasticsearch", "_ilm/policy/"), ("opensearch", "_plugins/_ism/policies/")] {
        let script = &boot_scripts(&stack("indexer", "production", &[("Engine", engine)]))[0];
        assert!(script.contains(policy) && script.contains("\"14d\""), "{engine}");
        assert!(script.contains("put _index_template/"), "{engine}");
    }
}

#[test]
fn the_mapping_and_the_policies_are_json() {
    let script = &boot_scripts(&stack("indexer", "production", &[]))[0];
    let documents: Vec<&str> = script
        .split("<<'END'\n")
        .chain(script.split("<<END\n"))
        .filter_map(|text| text.split("\nEND\n").next())
        .filter(|text| text.starts_with("{\""))
        .collect();
    assert!(documents.len() >= 4, "{}", documents.len());
    for document in documents {
        let document = document.replace("$retention", "").replace("$flat", "{}");
        assert!(serde_json::from_str::<Value>(&document).is_ok(), "{document}");
    }
}

/// What a person must hear of, by component: the metric of an alarm each.
const ALARMS: [(&str, &[&str]); 6] = [
    ("elasticsearch", &["DiskUsedPercent", "HeapUsedPercent", "Nodes", "UnassignedShards"]),
    ("cache", &["DatabaseMemoryUsagePercentage", "EngineCPUUtilization"]),
    ("broker", &["DiskUsedPercent", "HealthyHostCount", "HeapUsedPercent", "QueueUsedPercent"]),
    (
        "indexer",
        &["DeadLetterBytes", "DeliveryLagSeconds", "DiskUsedPercent", "HeapUsedPercent", "QueueUsedPercent"],
    ),
    (
        "elb-logs",
        &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "LinesQuarantined"],
    ),
    (
        "log-intake",
        &["Errors", "RefusedByBroker", "RefusedByFailure", "RefusedByKey", "RefusedByRate", "Throttles"],
    ),
];

#[test]
fn whatever_fills_up_or_falls_behind_has_an_alarm_that_tells_somebody() {
    for (folder, metrics) in ALARMS {
        let stack = stack(folder, "production", &[]);
        let alarms = stack.resources("AWS::CloudWatch::Alarm");
        let found: BTreeSet<&str> = alarms.iter().map(|(_, a)| a["MetricName"].as_str().unwrap()).collect();
        assert_eq!(found, metrics.iter().copied().collect(), "{folder}");
        for (id, alarm) in &alarms {
            assert_eq!(
                alarm["AlarmActions"][0], "arn:aws:sns:eu-west-1:222222222222:alarms",
                "{folder} {id}"
            );
        }
    }
}

#[test]
fn every_metric_of_our_own_that_an_alarm_watches_is_sent_by_the_same_template() {
    for stack in components() {
        let scripts = boot_scripts(&stack).concat();
        for (id, alarm) in stack.resources("AWS::CloudWatch::Alarm") {
            if alarm["Namespace"] == "Lockstep/LogStack" {
                let metric = alarm["MetricName"].as_str().unwrap();
                assert!(
                    scripts.contains(&format!("\"{metric}\"")),
                    "{} {id}: nobody sends {metric}",
                    stack.name
                );
                assert_eq!(alarm["Dimensions"][0]["Value"], stack.name, "{id}");
            }
        }
    }
}

#[test]
fn no_log_group_keeps_logs_for_ever() {
    for stack in components() {
        for (id, group) in stack.resources("AWS::Logs::LogGroup") {
            assert!(
                group["RetentionInDays"].as_str().is_some_and(|days| !days.starts_with('<')),
                "{} {id}",
                stack.name
            );
        }
    }
}

#[test]
fn state_outlives_a_deletion_by_mistake() {
    for folder in FOLDERS {
        let protect: Vec<LogicalId> = Vec::new();
        let problems = template(folder).lint(&protect);
        assert!(problems.is_empty(), "{folder}: {problems:?}");
    }
}
