//! Storage key and capabilities of the deployed template.

use lockstep_domain::stacks::template::Template;

/// Returns the key of a template in the target account's bucket.
pub fn key(digest: &lockstep_domain::model::ids::Digest) -> String {
    format!("templates/{digest}")
}

/// Returns the capabilities that the template needs, by
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html>.
///
/// Nested stacks, modules and macros may add any resource, so a template with one of them gets every capability.
pub fn capabilities(template: &Template) -> Vec<&'static str> {
    let kinds: Vec<&str> = template.resources().values().map(|resource| resource.kind.as_str()).collect();
    let json = template.to_json();
    let expands = kinds.contains(&lockstep_domain::model::resource_change::NESTED_STACK)
        || template.has_modules()
        || has_key(&json, &["Transform", "Fn::Transform"]);
    let iam = kinds.iter().any(|kind| kind.starts_with("AWS::IAM::"));
    match (expands, iam) {
        (true, _) => vec!["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        (false, true) => vec!["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        (false, false) => Vec::new(),
    }
}

fn has_key(value: &serde_json::Value, keys: &[&str]) -> bool {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().any(|(key, value)| keys.contains(&key.as_str()) || has_key(value, keys))
        }
        serde_json::Value::Array(items) => items.iter().any(|item| has_key(item, keys)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> Vec<&'static str> {
        capabilities(&Template::parse("template.yaml", text).unwrap())
    }

    #[test]
    fn a_template_gets_the_capabilities_it_needs_and_no_others() {
        assert!(needs("Resources:\n  A:\n    Type: AWS::SNS::Topic\n").is_empty());
        assert_eq!(
            needs("Resources:\n  A:\n    Type: AWS::IAM::Role\n"),
            ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
        );
    }

    #[test]
    fn nested_stacks_modules_and_macros_may_expand() {
        for text in [
            "Resources:\n  A:\n    Type: AWS::CloudFormation::Stack\n",
            "Resources:\n  A:\n    Type: Acme::Network::Vpc::MODULE\n",
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  A:\n    Type: AWS::SNS::Topic\n",
        ] {
            let all = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];
            assert_eq!(needs(text), all, "{text}");
        }
    }
}
