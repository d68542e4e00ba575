//! The start and stop times of the log stack's instances, and the timeouts of their waiters.

use crate::components::{FOLDERS, boot_scripts, files, stack};
use lockstep_domain::stacks::plan::OTHERS_SECONDS_MAX;
use regex::Regex;

/// The longest `PauseTime` of a rolling update
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html>).
const PAUSE_SECONDS_MAX: i64 = 3600;

/// The longest heartbeat of a lifecycle hook
/// (<https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html>).
const HOOK_SECONDS_MAX: i64 = 7200;

/// The time that CloudFormation and Auto Scaling need besides the waits.
const BESIDE_SECONDS: i64 = 15 * 60;

const STAGES: [&str; 3] = ["test", "ci", "production"];

/// Returns the seconds of a duration in a template, such as `PT15M`.
fn seconds(duration: &serde_json::Value) -> i64 {
    let text = duration.as_str().unwrap();
    let minutes = text.strip_prefix("PT").and_then(|text| text.strip_suffix('M'));
    60 * minutes.unwrap_or_else(|| panic!("{text} is not in minutes")).parse::<i64>().unwrap()
}

/// Returns the number that `pattern` captures in each boot script of a stack.
fn numbers(pattern: &str, scripts: &[String]) -> Vec<i64> {
    let pattern = Regex::new(pattern).unwrap();
    scripts.iter().flat_map(|s| pattern.captures_iter(s).map(|c| c[1].parse().unwrap())).collect()
}

#[test]
fn the_stop_timeout_equals_the_hook_timeout_and_others_wait_longer() {
    let mut hooks = 0;
    for (folder, stage) in FOLDERS.iter().flat_map(|folder| STAGES.map(|stage| (*folder, stage))) {
        let stack = stack(folder, stage, &[]);
        let stops = numbers(r"TimeoutStopSec=(\d+)\b", &boot_scripts(&stack));
        for (_, group) in stack.resources("AWS::AutoScaling::AutoScalingGroup") {
            for hook in group["LifecycleHookSpecificationList"].as_array().into_iter().flatten() {
                let wait: i64 = hook["HeartbeatTimeout"].as_str().unwrap().parse().unwrap();
                assert_eq!(hook["DefaultResult"], "CONTINUE", "{folder} {stage}");
                assert!(wait <= HOOK_SECONDS_MAX, "{folder} {stage}");
                assert_eq!(stops, [wait], "{folder} {stage}: systemd kills what still empties its queue");
                // The next deployment of the environment waits this long for a stack that is busy.
                assert!(wait + BESIDE_SECONDS <= OTHERS_SECONDS_MAX, "{folder} {stage}");
                hooks += 1;
            }
        }
    }
    assert_eq!(hooks, 2 * STAGES.len());
}

#[test]
fn a_boot_script_times_out_before_cloudformation_does() {
    let mut groups = 0;
    for folder in FOLDERS {
        let stack = stack(folder, "production", &[]);
        // Waits of an hour or less are in seconds. The short waits only cover resources that are available at once.
        let waits: i64 = numbers(r"\btimeout (\d+)\b", &boot_scripts(&stack)).iter().sum();
        for (id, resource) in stack.written() {
            if resource["Type"] != "AWS::AutoScaling::AutoScalingGroup" {
                continue;
            }
            let created = seconds(&resource["CreationPolicy"]["ResourceSignal"]["Timeout"]);
            let updated = &resource["UpdatePolicy"]["AutoScalingRollingUpdate"];
            assert_eq!(updated["WaitOnResourceSignals"], true, "{folder} {id}");
            let updated = seconds(&updated["PauseTime"]);
            assert!(waits > 0 && waits < created.min(updated), "{folder} {id}: {waits} s of waiting");
            assert!(updated <= PAUSE_SECONDS_MAX, "{folder} {id}");
            // Auto Scaling replaces an instance that its load balancer reports unhealthy, even during boot.
            if resource["Properties"]["HealthCheckType"] == "ELB" {
                let grace = resource["Properties"]["HealthCheckGracePeriod"].as_i64().unwrap();
                assert!(grace > waits, "{folder} {id}: {grace} s of grace for {waits} s of waiting");
            }
            groups += 1;
        }
    }
    assert_eq!(groups, 1 + 1 + 3, "broker, indexer, three nodes");
}

#[test]
fn a_test_stack_outlives_the_start_and_stop_of_its_instances() {
    let ttl = Regex::new(r"(?m)^ttl_minutes = (\d+)$").unwrap();
    for folder in FOLDERS {
        let manifest = String::from_utf8(files(folder)["lockstep.toml"].clone()).unwrap();
        let minutes = ttl.captures(&manifest).unwrap();
        let lives = 60 * minutes[1].parse::<i64>().unwrap();
        let stack = stack(folder, "test", &[]);
        let groups = stack.written().values().filter(|r| r["Type"] == "AWS::AutoScaling::AutoScalingGroup");
        let conditions = groups.filter(|r| r.get("Condition").is_none_or(|name| name == "HasNodes"));
        let comes: i64 = conditions.map(|r| seconds(&r["CreationPolicy"]["ResourceSignal"]["Timeout"])).sum();
        let goes: i64 = numbers(r"TimeoutStopSec=(\d+)\b", &boot_scripts(&stack)).iter().sum();
        assert!(comes + goes + BESIDE_SECONDS <= lives, "{folder}: {comes} s, {goes} s of {lives} s");
    }
}

#[test]
fn a_function_in_a_network_has_its_security_group_from_a_lasting_stack() {
    let mut count = 0;
    for folder in FOLDERS {
        for (id, function) in stack(folder, "test", &[]).resources("AWS::Lambda::Function") {
            let groups = function["VpcConfig"]["SecurityGroupIds"].as_array().unwrap();
            let outputs = groups.iter().filter(|group| {
                group.as_str().is_some_and(|text| text.starts_with("${outputs.") && text.ends_with("Group}"))
            });
            assert_eq!(outputs.count(), groups.len(), "{folder} {id}: {groups:?}");
            count += 1;
        }
    }
    assert_eq!(count, lockstep_cli::functions::SHIPPED.len());
}
