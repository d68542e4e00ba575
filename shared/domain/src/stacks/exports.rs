//! Exports that a template withdraws. CloudFormation refuses the withdrawal in the middle of the update while another
//! stack imports the export.

use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the names of those `exports` (keyed by their output) that the template no longer creates.
///
/// Returns an empty list for a template whose outputs come from a loop or a macro, because the template text does not
/// show them. CloudFormation decides about those.
pub fn withdrawn<'a>(exports: &'a BTreeMap<String, String>, template: &Value) -> Vec<&'a str> {
    let is_generated = |outputs: &Value| {
        outputs.as_object().is_some_and(|map| map.keys().any(|key| key.starts_with("Fn::")))
    };
    if template.get("Transform").is_some() || template.get("Outputs").is_some_and(is_generated) {
        return Vec::new();
    }
    let still = |key: &str| template.pointer(&format!("/Outputs/{key}/Export")).is_some();
    exports.iter().filter(|(key, _)| !still(key)).map(|(_, name)| name.as_str()).collect()
}

/// Returns the message for an update that withdraws `export`: the importing stacks, and the next step.
pub fn refusal(export: &str, importers: &[String]) -> String {
    format!(
        "the export {export} is still imported by {}; deploy a version of that first which no longer imports it, then \
         this one",
        importers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exports() -> BTreeMap<String, String> {
        [("Endpoint".to_owned(), "ci-endpoint".to_owned()), ("Port".to_owned(), "ci-port".to_owned())].into()
    }

    /// Row 24 of the failure modes.
    #[test]
    fn an_export_is_withdrawn_with_its_output_or_alone() {
        let template = json!({"Outputs": {"Endpoint": {"Value": "x"}, "Port": {"Value": "1", "Export": {"Name": "ci-port"}}}});
        assert_eq!(withdrawn(&exports(), &template), ["ci-endpoint"]);
        assert_eq!(withdrawn(&exports(), &json!({})).len(), 2);
    }

    #[test]
    fn generated_outputs_are_skipped() {
        assert!(withdrawn(&exports(), &json!({"Outputs": {"Fn::ForEach::All": []}})).is_empty());
        assert!(withdrawn(&exports(), &json!({"Transform": "AWS::LanguageExtensions"})).is_empty());
    }

    #[test]
    fn the_refusal_names_the_importers_to_deploy_first() {
        assert!(refusal("e", &["ci-web".into()]).contains("imported by ci-web"));
    }
}
