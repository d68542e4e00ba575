//! Values that CloudFormation resolves when it deploys: parameters from Parameter Store, and dynamic references.
//!
//! A template and its parameters may be equal while such a value is another one. For a parameter from Parameter Store,
//! CloudFormation reads the value for each change set, so a change set shows the difference. It reads a dynamic reference
//! again only with another change of the resource:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>

use crate::model::late_values::LateValues;
use crate::stacks::template::Template;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Beginning of the types of parameters whose value is the name of a parameter in Parameter Store.
const INDIRECT: &str = "AWS::SSM::Parameter::Value<";

static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{resolve:([a-z-]+):([^{}]*)\}\}").expect("a literal pattern compiles"));

impl LateValues {
    /// Returns the late values of a template that is deployed with `values`.
    pub fn of(template: &Template, values: &BTreeMap<String, String>) -> Self {
        let indirect = template.parameters().iter().filter(|(name, parameter)| {
            let of = values.get(name.as_str()).or(parameter.default.as_ref());
            parameter.kind.starts_with(INDIRECT) && !of.is_some_and(|of| names_version(of))
        });
        let text = template.to_json().to_string();
        let texts = values.values().chain([&text]);
        Self {
            parameters: indirect.map(|(name, _)| name.to_string()).collect(),
            references: texts.flat_map(|text| references(text)).collect(),
        }
    }
}

/// Returns the dynamic references in a text that name no version.
fn references(text: &str) -> Vec<String> {
    let found = REFERENCE.captures_iter(text).filter(|found| match &found[1] {
        "ssm" | "ssm-secure" => !names_version(&found[2]),
        // secret-id:SecretString:json-key:version-stage:version-id, where the id may be an ARN.
        "secretsmanager" => {
            let id = found[2].split_once(":SecretString").map_or("", |(_, rest)| rest);
            id.split(':').nth(3).is_none_or(str::is_empty)
        }
        _ => true,
    });
    found.map(|found| found[0].to_owned()).collect()
}

/// Returns true if the name of a parameter ends in a version.
fn names_version(name: &str) -> bool {
    let version = name.rsplit_once(':').map(|(_, version)| version);
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(template: &str, values: &[(&str, &str)]) -> LateValues {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        LateValues::of(&Template::parse("t", template).unwrap(), &values)
    }

    const TEMPLATE: &str = "Parameters:
  Limit: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /shop/limit}
  Base: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /aws/service/ami}
  Name: {Type: String, Default: a}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: !Sub '${Limit} PLACE'
      TopicName: !Ref Name
";

    #[test]
    fn parameters_from_parameter_store_are_late_unless_a_version_is_named() {
        assert_eq!(late(TEMPLATE, &[]).parameters, ["Base", "Limit"].map(str::to_owned).into());
        let found = late(TEMPLATE, &[("Limit", "/shop/limit:3"), ("Base", "/aws/service/ami")]);
        assert_eq!(found.parameters, ["Base".to_owned()].into());
    }

    #[test]
    fn dynamic_references_are_late_unless_a_version_is_named() {
        for (reference, is_late) in [
            ("{{resolve:ssm:/shop/limit}}", true),
            ("{{resolve:ssm:/shop/limit:3}}", false),
            ("{{resolve:ssm-secure:key}}", true),
            ("{{resolve:ssm-secure:key:12}}", false),
            ("{{resolve:secretsmanager:db}}", true),
            ("{{resolve:secretsmanager:db:SecretString:password}}", true),
            ("{{resolve:secretsmanager:db:SecretString:password:AWSPREVIOUS}}", true),
            ("{{resolve:secretsmanager:db:SecretString:password::8a1c}}", false),
            (
                "{{resolve:secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:db:SecretString:a::8a1c}}",
                false,
            ),
            ("{{resolve:secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:db}}", true),
            ("{{resolve:of-later:x:1}}", true),
            ("{{resolve}}", false),
        ] {
            for found in
                [late(&TEMPLATE.replace("PLACE", reference), &[]), late(TEMPLATE, &[("Name", reference)])]
            {
                assert_eq!(found.references.contains(reference), is_late, "{reference}");
                assert_eq!(found.reservation().contains(reference), is_late, "{reference}");
            }
        }
        assert_eq!(late(TEMPLATE, &[]).reservation(), "");
    }
}
