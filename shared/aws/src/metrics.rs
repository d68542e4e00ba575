//! Metrics as log lines in the embedded metric format, from which CloudWatch extracts them.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The table of metrics is [`lockstep_domain::model::metric`].

use crate::config;
use jiff::Timestamp;
use lockstep_domain::model::metric::{Definition, Dimension, Metric};
use serde_json::{Map, Value, json};

/// Emits `values` with the values of their `dimensions`. [`Dimension::Function`] is the running function, unless it is among
/// them. A line on standard output is enough: no call, no permission.
pub fn emit(dimensions: &[(Dimension, &str)], values: &[(Metric, u64)], now: Timestamp) {
    let function = config::function_name();
    match line(dimensions, function.as_deref(), values, now) {
        Ok(line) => println!("{line}"),
        Err(lacks) => tracing::error!("a metric is not emitted: {lacks}"),
    }
}

/// Returns the document, or a sentence about the dimension that is missing.
fn line(
    dimensions: &[(Dimension, &str)],
    function: Option<&str>,
    values: &[(Metric, u64)],
    now: Timestamp,
) -> Result<Value, String> {
    let running = function.map(|name| (Dimension::Function, name));
    let known: Vec<(Dimension, &str)> = dimensions.iter().copied().chain(running).collect();
    let mut line = Map::new();
    let mut directives = Vec::new();
    for (metric, value) in values {
        let definition = metric.definition();
        for dimension in definition.dimensions.iter().copied().flatten() {
            let found = known.iter().find(|(name, value)| name == dimension && !value.is_empty());
            let (_, value) =
                found.ok_or_else(|| format!("{} without {}", definition.name, dimension.as_str()))?;
            line.insert(dimension.as_str().to_owned(), json!(value));
        }
        directives.push(directive(&definition));
        line.insert(definition.name.to_owned(), json!(value));
    }
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives}),
    );
    Ok(Value::Object(line))
}

fn directive(definition: &Definition) -> Value {
    let names = |set: &&[Dimension]| set.iter().map(|dimension| dimension.as_str()).collect::<Vec<_>>();
    json!({
        "Namespace": definition.namespace,
        "Dimensions": definition.dimensions.iter().map(names).collect::<Vec<_>>(),
        "Metrics": [{"Name": definition.name, "Unit": definition.unit.as_str()}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_each_metric_with_its_value_unit_and_dimensions() {
        let values = [(Metric::EventsAccepted, 7), (Metric::EventLag, 3)];
        let line = line(&[], Some("intake"), &values, Timestamp::UNIX_EPOCH).unwrap();
        let directive = |name: &str, unit: &str| {
            json!({
                "Namespace": "Lockstep/LogIntake", "Dimensions": [["function"]],
                "Metrics": [{"Name": name, "Unit": unit}],
            })
        };
        let expected = json!({
            "_aws": {
                "Timestamp": 0,
                "CloudWatchMetrics": [directive("EventsAccepted", "Count"), directive("DeliveryLagSeconds", "Seconds")],
            },
            "function": "intake", "EventsAccepted": 7, "DeliveryLagSeconds": 3,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_given_function_has_precedence_over_the_running_one() {
        let named = [(Dimension::Function, "given"), (Dimension::Error, "Bug")];
        let line = line(&named, Some("running"), &[(Metric::Failures, 1)], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((&line["function"], &line["error"]), (&json!("given"), &json!("Bug")));
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["function", "error"], ["error"]])
        );
    }

    #[test]
    fn a_metric_without_one_of_its_dimensions_is_not_emitted() {
        for (dimensions, function) in [
            (&[][..], Some("f")),
            (&[(Dimension::Error, "Bug")][..], None),
            (&[(Dimension::Error, "")][..], Some("f")),
        ] {
            let lacks = line(dimensions, function, &[(Metric::Failures, 1)], Timestamp::UNIX_EPOCH);
            assert!(lacks.unwrap_err().starts_with("Failures without "));
        }
    }

    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
    #[test]
    fn each_metric_keeps_to_the_format() {
        let every =
            [Dimension::Error, Dimension::Reason, Dimension::Kind, Dimension::Outcome, Dimension::Finding]
                .map(|dimension| (dimension, "value"));
        for &metric in Metric::ALL {
            let line = line(&every, Some("f"), &[(metric, 1)], Timestamp::UNIX_EPOCH).unwrap();
            let [directive] = line["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
                panic!("{line}")
            };
            for set in directive["Dimensions"].as_array().unwrap() {
                for name in set.as_array().unwrap() {
                    assert!(line[name.as_str().unwrap()].is_string(), "{line}");
                }
            }
            assert_eq!(line[metric.name()], json!(1));
        }
    }
}
