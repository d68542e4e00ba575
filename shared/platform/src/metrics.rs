//! Metrics as log lines, which CloudWatch extracts.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The unit of a metric, in CloudWatch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of objects.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// Reports metrics, each with its unit and value, under one dimension. It writes one line to standard output: no call,
/// no permission.
pub fn tell(namespace: &str, dimension: (&str, &str), metrics: &[(&str, Unit, u64)], now: Timestamp) {
    println!("{}", line(namespace, dimension, metrics, now));
}

fn line(
    namespace: &str,
    (dimension, of): (&str, &str),
    metrics: &[(&str, Unit, u64)],
    now: Timestamp,
) -> Value {
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")})).collect();
    let mut line = Map::new();
    let directive = json!({"Namespace": namespace, "Dimensions": [[dimension]], "Metrics": definitions});
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}),
    );
    line.insert(dimension.to_owned(), json!(of));
    line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_each_metric_and_holds_its_value_and_dimension() {
        let metrics = [("Lines", Unit::Count, 7), ("Lag", Unit::Seconds, 3)];
        let line = line("Lockstep/X", ("function", "x"), &metrics, Timestamp::UNIX_EPOCH);
        let expected = json!({
            "_aws": {"Timestamp": 0, "CloudWatchMetrics": [{
                "Namespace": "Lockstep/X", "Dimensions": [["function"]],
                "Metrics": [{"Name": "Lines", "Unit": "Count"}, {"Name": "Lag", "Unit": "Seconds"}],
            }]},
            "function": "x", "Lines": 7, "Lag": 3,
        });
        assert_eq!(line, expected);
    }
}
