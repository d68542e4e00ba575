//! The components of the log stack: the contracts of their templates with each other, with the functions and with AWS.

use crate::operations::linked;
use crate::policy::{all_statements, roles};
use crate::stack::{REGION, Stack, repository};
use jiff::Timestamp;
use lockstep_aws::config::Setting;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::packaging::{self, PackagingInput};
use lockstep_domain::delivery::parameters::{ComponentParameters, Layers, OrganisationParameters};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::installation::doctor::{QuotaScope, WANTED_QUOTAS};
use lockstep_domain::model::ids::{ComponentName, Digest, LogicalId, StageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{ImageOrigin, ImageVersion};
use lockstep_domain::stacks::template::Template;
use lockstep_sim::stages::{stage_text, text_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The components, by their folder in `infra/log-stack`.
pub const FOLDERS: [&str; 6] = ["elasticsearch", "cache", "broker", "indexer", "elb-logs", "log-intake"];

/// The account of every component.
const ACCOUNT: &str = "222222222222";

/// The actions for which the service authorization reference knows no resource but `*`.
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

/// The most bytes of user data that EC2 accepts
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
const USER_DATA_BYTES_MAX: usize = 16 << 10;

fn stages_text() -> String {
    let account = "222222222222";
    let staging = stage_text("staging", account).propagating();
    let production = stage_text("production", "333333333333").with_approval();
    text_of([stage_text("test", account), stage_text("ci", account).propagating(), staging, production])
}

const ORGANISATION: &str = r#"
[default]
VpcId = "vpc-0123456789abcdef0"
SubnetIds = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
AvailabilityZones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
ClientCidr = "10.0.0.0/8"
ReaderCidr = "10.0.0.0/8"
AlarmTopicArn = "arn:aws:sns:eu-west-1:222222222222:alarms"
"#;

/// Returns the function code that an installation ships.
fn shipped() -> FunctionLock {
    let keys: Vec<String> = lockstep_cli::functions::SHIPPED
        .iter()
        .map(|name| format!("functions/{name}/{}.zip", Digest::of(name.as_bytes())))
        .collect();
    FunctionLock::of_keys(&keys.join(",")).unwrap()
}

fn stages() -> Stages {
    Stages::parse("stages.toml", &stages_text()).unwrap()
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

/// Returns every file of a component, by its path in it.
pub fn files(folder: &str) -> Files {
    files_below(&repository().join("infra/log-stack").join(folder))
}

/// Returns every file below a folder, by its path in it.
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

/// Returns the stack of a component in a stage, with the values of its parameter files. Outputs of other components
/// have placeholder values.
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
    // A condition that selects resources needs a value, not a reference.
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

/// Returns every component in each of its shapes.
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

/// Returns the boot scripts of a stack's instances.
pub fn boot_scripts(stack: &Stack) -> Vec<String> {
    let templates = stack.resources("AWS::EC2::LaunchTemplate").into_iter();
    templates
        .map(|(_, t)| t["LaunchTemplateData"]["UserData"]["Fn::Base64"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns a usable version of an image.
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
fn every_component_is_packaged_without_an_open_reference() {
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
    let input = PackagingInput {
        stages: Some(&stages),
        organisation: Some(&organisation),
        images: Some(&images),
        producers: Some(&producers),
        functions: Some(&functions),
        public: None,
        permissions: None,
    };
    for folder in FOLDERS {
        let package = packaging::plan(folder, &files(folder), &input).unwrap_or_else(|problems| {
            panic!("{folder}: {}", problems.iter().map(|p| format!("\n{p}")).collect::<String>())
        });
        assert_eq!(package.unchecked, Vec::<String>::new(), "{folder}");
        let ships = lockstep_cli::functions::SHIPPED.contains(&folder);
        assert_eq!(package.function_lock.is_empty(), !ships, "{folder}");
    }
}

#[test]
fn every_action_of_a_component_is_exact_and_names_a_resource() {
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
fn an_instance_writes_one_namespace_and_attaches_volumes_of_its_own_kind() {
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
fn the_shipper_may_read_its_configured_buckets_and_no_others() {
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
fn a_message_in_work_is_hidden_and_a_failed_message_returns_alone() {
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
fn a_component_reads_its_function_code_where_lockstep_stores_it() {
    for name in lockstep_cli::functions::SHIPPED {
        assert!(FOLDERS.contains(&name), "{name} is shipped for no component of the log stack");
        let (_, function) = &stack(name, "ci", &[]).resources("AWS::Lambda::Function")[0];
        assert_eq!(function["Code"]["S3Bucket"], format!("lockstep-artifacts-{ACCOUNT}-{REGION}"));
        assert_eq!(function["Code"]["S3Key"], format!("${{functions.{name}}}"));
    }
}

/// The settings of each function of a component.
const SETTINGS: [(&str, &[Setting]); 2] =
    [("elb-logs", &Setting::OF_LOGS), ("log-intake", &Setting::OF_INTAKE)];

#[test]
fn a_components_function_gets_exactly_the_settings_it_declares() {
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
fn a_components_function_may_call_what_its_binary_and_lambda_call() {
    // Lambda manages the network interfaces and the log stream with the function's role.
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
    // Lambda also runs the event source mapping, if there is one.
    const BY_A_MAPPING: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
    for name in lockstep_cli::functions::SHIPPED {
        let stack = stack(name, "ci", &[]);
        let mut possible: BTreeSet<String> = linked(name);
        // The SDK itself calls this for S3 Express buckets, and there are none.
        possible.remove("s3:CreateSession");
        // A read of a version needs an action of its own.
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
            // Bash only warns of an unterminated here-document.
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
fn logstash_acknowledges_an_event_only_after_writing_it_to_disk() {
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
fn an_event_leaves_a_queue_only_after_the_next_store_has_it() {
    let broker = &boot_scripts(&stack("broker", "production", &[]))[0];
    // With `batch`, the output returns before the cache has the event.
    assert!(!broker.contains("batch => true") && !broker.contains("batch_events"), "{broker}");
    let number = |script: &str, pattern: &str| -> u32 {
        let found = regex::Regex::new(pattern).unwrap().captures(script).unwrap();
        found[1].parse().unwrap()
    };
    // There are as many connections as workers.
    assert_eq!(
        number(broker, r"(?m)^ +workers => (\d+)$"),
        number(broker, r"(?m)^pipeline\.workers: (\d+)$")
    );
    let indexer = &boot_scripts(&stack("indexer", "production", &[]))[0];
    let taken = number(indexer, r"batch_count => (\d+)") * number(indexer, r"threads => (\d+)");
    let documentation = std::fs::read_to_string(repository().join("docs/log-stack.md")).unwrap();
    assert!(
        documentation.contains(&format!("up to {taken} events")),
        "docs/log-stack.md says how many: {taken}"
    );
}

#[test]
fn without_reserved_concurrency_a_function_uses_the_accounts() {
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
fn the_log_stack_readme_explains_every_quota_that_the_doctor_reads() {
    let readme = std::fs::read_to_string(repository().join("infra/log-stack/README.md")).unwrap();
    for quota in WANTED_QUOTAS.iter().filter(|quota| quota.place == QuotaScope::Target) {
        assert!(readme.contains(quota.name), "{}", quota.name);
    }
    assert!(readme.contains("Lambda: Concurrent executions"));
}

#[test]
fn no_component_is_bound_to_one_partition() {
    let endpoint = regex::Regex::new(r"\$\{AWS::Region\}\.amazonaws|arn:aws:").unwrap();
    for folder in FOLDERS {
        let text = std::fs::read_to_string(repository().join(path(folder))).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            assert!(!endpoint.is_match(line), "{folder}: {line}");
        }
    }
}

#[test]
fn no_parameter_type_is_checked_with_the_callers_permissions() {
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
fn a_full_cache_blocks_the_broker_and_loses_no_event() {
    let stack = stack("cache", "production", &[]);
    let (_, settings) = &stack.resources("AWS::ElastiCache::ParameterGroup")[0];
    assert_eq!(settings["Properties"]["maxmemory-policy"], "noeviction");
}

#[test]
fn each_node_has_its_own_volume_and_zone_with_one_node_or_three() {
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
            // The script of an instance signals the resource that is named after its tag.
            assert_eq!(*id, format!("Node{}", tag(group, "node")));
            assert_eq!((&group["MinSize"], &group["MaxSize"]), (&1.into(), &1.into()));
        }
        assert_eq!(stack.resources("AWS::EC2::Volume").len(), nodes, "{stage}");
    }
}

#[test]
fn only_one_node_can_bootstrap_a_cluster() {
    let scripts = boot_scripts(&stack("elasticsearch", "production", &[]));
    let founding: Vec<&str> = scripts[0].lines().filter(|l| l.contains("initial_master_nodes")).collect();
    assert_eq!(founding.len(), 2, "{founding:?}");
    assert!(founding[0].contains("founds='cluster.initial_master_nodes: [A]'"));
    assert!(founding[1].contains("sed -i"), "what founded is taken out again");
}

#[test]
fn both_log_engines_have_the_same_outputs() {
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
fn the_mapping_and_the_policies_are_valid_json() {
    let script = &boot_scripts(&stack("indexer", "production", &[]))[0];
    let documents: Vec<&str> = script
        .split("<<'END'\n")
        .chain(script.split("<<END\n"))
        .filter_map(|text| text.split("\nEND\n").next())
        .filter(|text| text.starts_with("{\""))
        .collect();
    assert!(documents.len() >= 4, "{}", documents.len());
    for document in documents {
        let types = ["$flat", "$line", "$url"];
        let document = types
            .iter()
            .fold(document.replace("$retention", ""), |document, variable| document.replace(variable, "{}"));
        assert!(serde_json::from_str::<Value>(&document).is_ok(), "{document}");
    }
}

/// The metrics by component that need an alarm.
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
fn every_resource_that_fills_up_or_lags_has_an_alarm_with_a_receiver() {
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
fn a_custom_metric_of_an_alarm_is_sent_by_the_same_template() {
    for stack in components() {
        let scripts = boot_scripts(&stack).concat();
        for (id, alarm) in stack.resources("AWS::CloudWatch::Alarm") {
            if alarm["Namespace"] == "Lockstep/LogStack" {
                let metric = alarm["MetricName"].as_str().unwrap();
                assert!(
                    scripts.contains(&format!("\"{metric}\"")),
                    "{} {id}: the template does not send {metric}",
                    stack.name
                );
                assert_eq!(alarm["Dimensions"][0]["Value"], stack.name, "{id}");
            }
        }
    }
}

#[test]
fn every_log_group_has_a_retention_period() {
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
fn state_survives_an_accidental_deletion() {
    for folder in FOLDERS {
        let protect: Vec<LogicalId> = Vec::new();
        let problems = template(folder).lint(&protect);
        assert!(problems.is_empty(), "{folder}: {problems:?}");
    }
}
