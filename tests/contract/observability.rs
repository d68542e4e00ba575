//! Metrics, alarms, the dashboard and `docs/logging.md` name the same things.

use crate::components;
use crate::installed::stacks;
use crate::operations::read_below;
use crate::stack::{REGION, Stack, repository};
use lockstep_domain::model::metric::{CONTROL_PLANE, Definition, Dimension, ELB_LOGS, LOG_INTAKE, Metric};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;

const DOCUMENT: &str = "docs/logging.md";

/// A metric as CloudWatch identifies it, without the values of its dimensions.
type Series = (String, String, BTreeSet<String>);

fn series(namespace: &str, name: &str, dimensions: impl IntoIterator<Item = String>) -> Series {
    (namespace.to_owned(), name.to_owned(), dimensions.into_iter().collect())
}

/// Every series that functions emit, and those of the metric filters of `stacks`.
fn emitted(stacks: &[Stack]) -> BTreeSet<Series> {
    let of_functions = Metric::ALL.iter().flat_map(|metric| {
        let Definition { namespace, name, dimensions, .. } = metric.definition();
        dimensions.iter().map(move |set| series(namespace, name, set.iter().map(|d| d.as_str().to_owned())))
    });
    let filters = stacks.iter().flat_map(|stack| stack.resources("AWS::Logs::MetricFilter"));
    let of_filters = filters.map(|(_, filter)| {
        let made = &filter["MetricTransformations"][0];
        series(made["MetricNamespace"].as_str().unwrap(), made["MetricName"].as_str().unwrap(), [])
    });
    of_functions.chain(of_filters).collect()
}

fn watched(alarm: &Value) -> Series {
    let dimensions = alarm["Dimensions"].as_array().into_iter().flatten();
    series(
        alarm["Namespace"].as_str().unwrap(),
        alarm["MetricName"].as_str().unwrap(),
        dimensions.map(|dimension| dimension["Name"].as_str().unwrap().to_owned()),
    )
}

fn is_ours(series: &Series) -> bool {
    [CONTROL_PLANE, ELB_LOGS, LOG_INTAKE].contains(&series.0.as_str())
}

fn dashboard() -> Value {
    let boards: Vec<Value> = stacks()
        .iter()
        .flat_map(|stack| stack.resources("AWS::CloudWatch::Dashboard"))
        .map(|b| b.1)
        .collect();
    let [board] = boards.as_slice() else { panic!("{boards:?}") };
    assert_eq!(board["DashboardName"], "lockstep");
    serde_json::from_str(board["DashboardBody"].as_str().unwrap()).unwrap()
}

fn widgets(board: &Value, kind: &str) -> Vec<Value> {
    let widgets = board["widgets"].as_array().unwrap().iter();
    widgets.filter(|widget| widget["type"] == kind).map(|widget| widget["properties"].clone()).collect()
}

/// Every series that a widget names or searches.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>
fn shown(board: &Value) -> BTreeSet<Series> {
    let search = Regex::new(r#"^SEARCH\('\{([^}]+)\} MetricName="(\w+)""#).unwrap();
    let metrics = widgets(board, "metric");
    let metrics = metrics.iter().flat_map(|widget| widget["metrics"].as_array().unwrap());
    metrics
        .map(|metric| match metric[0].as_str() {
            Some(namespace) => {
                let rest = metric.as_array().unwrap().iter().skip(2).step_by(2);
                let names = rest.map(|name| name.as_str().unwrap().to_owned());
                series(namespace, metric[1].as_str().unwrap(), names)
            }
            None => {
                let expression = metric[0]["expression"].as_str().unwrap();
                let found = search.captures(expression).unwrap_or_else(|| panic!("{expression}"));
                let mut schema = found[1].split(',').map(str::to_owned);
                series(&schema.next().unwrap(), &found[2], schema)
            }
        })
        .collect()
}

/// The cells of each row of the table that starts with `head`.
fn table(head: &str) -> Vec<Vec<String>> {
    let text = read_to_string(repository().join(DOCUMENT)).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect();
    let found: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!found.is_empty(), "{DOCUMENT} has no table {head}");
    found
}

fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn each_alarm_on_a_metric_of_ours_watches_an_emitted_series() {
    let components = ["elb-logs", "log-intake"].map(|folder| components::stack(folder, "production", &[]));
    let stacks: Vec<Stack> = stacks().into_iter().chain(components).collect();
    let emitted = emitted(&stacks);
    let alarms = stacks.iter().flat_map(|stack| stack.resources("AWS::CloudWatch::Alarm"));
    let ours: Vec<(String, Series)> =
        alarms.map(|(id, alarm)| (id, watched(&alarm))).filter(|(_, series)| is_ours(series)).collect();
    assert!(ours.len() > 12, "only {} alarms were found", ours.len());
    for (id, series) in ours {
        assert!(emitted.contains(&series), "{id} watches {series:?}");
    }
}

#[test]
fn the_dashboard_shows_each_metric_of_the_control_plane_as_emitted() {
    let emitted = emitted(&stacks());
    let shown: BTreeSet<Series> = shown(&dashboard()).into_iter().filter(is_ours).collect();
    for series in &shown {
        assert!(emitted.contains(series), "a widget shows {series:?}");
    }
    let names = |of: &BTreeSet<Series>| -> BTreeSet<String> {
        of.iter().filter(|series| series.0 == CONTROL_PLANE).map(|series| series.1.clone()).collect()
    };
    assert_eq!(names(&shown), names(&emitted));
}

#[test]
fn the_dashboard_names_each_alarm_of_the_tooling_account() {
    let stacks = stacks();
    let tooling = stacks.iter().filter(|stack| stack.account == crate::installed::TOOLING);
    let alarms = tooling.flat_map(|stack| stack.resources("AWS::CloudWatch::Alarm"));
    let alarms: BTreeSet<String> =
        alarms.map(|(_, alarm)| alarm["AlarmName"].as_str().unwrap().to_owned()).collect();
    let board = dashboard();
    let [widget] = &widgets(&board, "alarm")[..] else { panic!("{board}") };
    let named = widget["alarms"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap());
    let named: BTreeSet<String> = named.map(|arn| arn.rsplit(':').next().unwrap().to_owned()).collect();
    assert_eq!(named.len(), widget["alarms"].as_array().unwrap().len());
    assert_eq!(named, alarms);
}

#[test]
fn widgets_do_not_overlap_and_keep_to_the_grid() {
    let mut taken = BTreeSet::new();
    for widget in dashboard()["widgets"].as_array().unwrap() {
        let number = |name: &str| widget[name].as_u64().unwrap();
        assert!(number("x") + number("width") <= 24, "{widget}");
        for x in number("x")..number("x") + number("width") {
            for y in number("y")..number("y") + number("height") {
                assert!(taken.insert((x, y)), "{widget}");
            }
        }
    }
}

#[test]
fn each_metric_is_documented_with_its_unit_and_dimensions() {
    let row = |metric: Metric| {
        let Definition { namespace, name, unit, dimensions } = metric.definition();
        let set = |set: &&[Dimension]| match set {
            [] => "none".to_owned(),
            set => set.iter().map(|d| format!("`{}`", d.as_str())).collect::<Vec<_>>().join(", "),
        };
        let dimensions: Vec<String> = dimensions.iter().map(set).collect();
        vec![format!("`{namespace}`"), format!("`{name}`"), unit.as_str().to_owned(), dimensions.join("; ")]
    };
    let filters = stacks();
    let filters = filters.iter().flat_map(|stack| stack.resources("AWS::Logs::MetricFilter"));
    let of_filters = filters.map(|(_, filter)| {
        let name = filter["MetricTransformations"][0]["MetricName"].as_str().unwrap().to_owned();
        vec![format!("`{CONTROL_PLANE}`"), format!("`{name}`"), "Count".to_owned(), "none".to_owned()]
    });
    let emitted: BTreeSet<Vec<String>> = Metric::ALL.iter().copied().map(row).chain(of_filters).collect();
    let documented = table("| namespace | metric |").into_iter().map(|cells| cells[..4].to_vec());
    assert_eq!(documented.collect::<BTreeSet<_>>(), emitted);
}

#[test]
fn each_metric_of_the_table_is_emitted_by_code() {
    let mut sources = Vec::new();
    for folder in ["functions", "shared/aws/src", "shared/runtime/src", "shared/domain/src/logs"] {
        read_below(&repository().join(folder), &mut sources);
    }
    let text = sources.concat();
    for metric in Metric::ALL {
        let used = Regex::new(&format!(r"Metric::{metric:?}\b")).unwrap();
        assert!(used.is_match(&text), "no code emits {metric:?}");
    }
}

#[test]
fn each_alarm_is_documented_with_what_to_do() {
    let mut alarms = BTreeSet::new();
    for (_, alarm) in stacks().iter().flat_map(|stack| stack.resources("AWS::CloudWatch::Alarm")) {
        alarms.insert(alarm["AlarmName"].as_str().unwrap().to_owned());
    }
    let rows = table("| alarm | goes off |");
    let documented: BTreeSet<String> = rows.iter().flat_map(|cells| words(&cells[0])).collect();
    assert_eq!(documented, alarms);
    for cells in rows {
        assert!(cells[1..3].iter().all(|cell| !cell.is_empty()), "{cells:?}");
    }
}

#[test]
fn each_alarm_notifies_the_topic_of_its_account() {
    let mut alarms = 0;
    for stack in stacks() {
        let topic = format!("arn:aws:sns:{REGION}:{}:lockstep-alarms", stack.account);
        for (id, alarm) in stack.resources("AWS::CloudWatch::Alarm") {
            assert_eq!(alarm["AlarmActions"], json!([topic]), "{}: {id}", stack.name);
            alarms += 1;
        }
    }
    assert!(alarms > 30, "only {alarms} alarms were found");
}

#[test]
fn each_state_machine_has_alarms_on_failures_and_timeouts() {
    let stacks = stacks();
    let alarms = stacks.iter().flat_map(|stack| stack.resources("AWS::CloudWatch::Alarm"));
    let watched: BTreeSet<(String, String)> = alarms
        .filter(|(_, alarm)| alarm["Namespace"] == "AWS/States")
        .map(|(_, alarm)| (alarm["MetricName"].to_string(), alarm["Dimensions"][0]["Value"].to_string()))
        .collect();
    let machines = stacks.iter().flat_map(|stack| {
        let here = format!("arn:aws:states:{REGION}:{}:stateMachine", stack.account);
        let machines = stack.resources("AWS::StepFunctions::StateMachine").into_iter();
        machines.map(move |(_, machine)| format!("{here}:{}", machine["StateMachineName"].as_str().unwrap()))
    });
    let wanted: BTreeSet<(String, String)> = machines
        .flat_map(|arn| {
            ["ExecutionsFailed", "ExecutionsTimedOut"]
                .map(|metric| (json!(metric).to_string(), json!(arn).to_string()))
        })
        .collect();
    assert_eq!(watched, wanted);
}

/// CloudWatch needs the key as well: <https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html>.
#[test]
fn only_alarms_of_its_account_publish_to_a_topic() {
    let mut topics = 0;
    for stack in stacks() {
        let Some((_, topic)) = stack.resources("AWS::SNS::Topic").pop() else { continue };
        let key = topic["KmsMasterKeyId"].as_str().unwrap().to_owned();
        let [(_, policy)] = &stack.resources("AWS::SNS::TopicPolicy")[..] else { panic!("{}", stack.name) };
        let [statement] = &policy["PolicyDocument"]["Statement"].as_array().unwrap()[..] else {
            panic!("{policy}")
        };
        let keys = stack.resources("AWS::KMS::Key");
        let (_, key) = keys.iter().find(|(id, _)| *id == key).unwrap();
        let use_of_key = &key["KeyPolicy"]["Statement"][1];
        for statement in [statement, use_of_key] {
            assert_eq!(
                statement["Principal"],
                json!({"Service": "cloudwatch.amazonaws.com"}),
                "{}",
                stack.name
            );
            let condition = json!({"StringEquals": {"aws:SourceAccount": stack.account}});
            assert_eq!(statement["Condition"], condition, "{}", stack.name);
        }
        assert_eq!(statement["Action"], "sns:Publish");
        assert_eq!(use_of_key["Action"], json!(["kms:Decrypt", "kms:GenerateDataKey*"]));
        topics += 1;
    }
    assert_eq!(topics, 3);
}

#[test]
fn each_log_group_of_the_control_plane_is_documented_and_expires() {
    let mut groups = BTreeMap::new();
    for stack in stacks() {
        for (_, group) in stack.resources("AWS::Logs::LogGroup") {
            let name = group["LogGroupName"].as_str().unwrap().to_owned();
            if stack.account == crate::installed::TOOLING && name.starts_with("/aws/lambda/") {
                groups.insert(name, group["RetentionInDays"].clone());
            }
        }
    }
    let documented: BTreeSet<String> =
        table("| log group | of |").iter().flat_map(|cells| words(&cells[0])).collect();
    assert_eq!(documented, groups.keys().cloned().collect());
    assert!(groups.values().all(|days| *days == json!(90)), "{groups:?}");
}
