//! Finds the values that CloudFormation reads when it deploys: parameters from Parameter Store, and dynamic references.
//!
//! A template and its parameters may be equal while such a value is another one. For a parameter from Parameter Store,
//! CloudFormation reads the value for each change set, so a change set shows the difference. It reads a dynamic reference
//! again only with another change of the resource, and one in `Outputs` with each update of the stack:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>

use crate::model::late_values::{LateSource, LateValue, LateValues};
use crate::stacks::names::render::{Renderer, is_known, stored};
use crate::stacks::names::{StageValues, declared};
use crate::stacks::template::Template;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Beginning of the types of parameters whose value is the name of a parameter in Parameter Store.
pub(crate) const INDIRECT: &str = "AWS::SSM::Parameter::Value<";

static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{resolve:([a-z-]+):([^{}]*)\}\}").expect("a literal pattern compiles"));

impl LateValues {
    /// Adds the late values of a template that is deployed with `values`. `path` stands before the logical ids of a nested
    /// template.
    pub(crate) fn add(&mut self, path: &str, template: &Template, values: &StageValues) {
        let root = template.root();
        let renderer = Renderer::new(root, template.parameters(), values).with_every_branch();
        for (name, parameter) in template.parameters() {
            let source = values.parameters.get(name).or(parameter.default.as_ref());
            let Some(source) = source.filter(|_| parameter.kind.starts_with(INDIRECT)) else { continue };
            if !names_version(source) {
                let value = LateValue {
                    source: readable(source).unwrap_or_else(|| LateSource::Parameter(source.clone())),
                    is_hidden: parameter.no_echo,
                    resources: BTreeSet::new(),
                };
                self.0.insert(format!("{path}{name} ({})", shown(source)), value);
            }
        }
        for (section, is_resource) in [("Resources", true), ("Outputs", false)] {
            for entry in declared(root, section).into_iter().filter(|entry| renderer.exists(&entry.node)) {
                let text = renderer.text(&entry.node).unwrap_or_default();
                for (reference, value) in references(&text) {
                    let found = self.0.entry(reference).or_insert(value);
                    let user = if is_resource { &entry.key } else { section };
                    found.resources.insert(format!("{path}{user}"));
                }
            }
        }
        self.hide_given(template, values);
    }

    /// Hides the values that reach a parameter with `NoEcho` of the template.
    ///
    /// What a nested stack gets was found in the template above it.
    fn hide_given(&mut self, template: &Template, values: &StageValues) {
        for (name, parameter) in template.parameters().iter().filter(|(_, parameter)| parameter.no_echo) {
            let given = values.parameters.get(name).or(parameter.default.as_ref());
            let given = given.map(String::as_str).unwrap_or_default();
            for (reference, value) in references(given) {
                // A reference that no resource uses is kept too: its source may be visible under another name.
                self.0.entry(reference).or_insert(value).is_hidden = true;
            }
            for value in self.0.values_mut() {
                let LateSource::Parameter(source) = &value.source else { continue };
                value.is_hidden |= given.contains(&stored(source));
            }
        }
    }

    /// Returns true if a value depends on what only the stack knows, such as the name of one of its resources.
    pub fn depends_on_the_stack(&self) -> bool {
        self.0.values().any(|value| matches!(value.source, LateSource::Unreadable(_)))
    }
}

/// Returns the dynamic references in a rendered text that name no version, as values of no resource yet.
fn references(text: &str) -> Vec<(String, LateValue)> {
    let found = REFERENCE.captures_iter(text).filter_map(|found| {
        let source = source(&found[1], &found[2])?;
        let value = LateValue {
            source: readable(&found[2]).unwrap_or(source),
            is_hidden: &found[1] == "ssm-secure",
            resources: BTreeSet::new(),
        };
        Some((shown(&found[0]), value))
    });
    found.collect()
}

/// Returns the source of a dynamic reference; `None` if it names a version.
fn source(service: &str, key: &str) -> Option<LateSource> {
    match service {
        "ssm" | "ssm-secure" => (!names_version(key)).then(|| LateSource::Parameter(key.to_owned())),
        // secret-id:SecretString:json-key:version-stage:version-id, where the id may be an ARN of seven parts.
        "secretsmanager" => {
            let parts: Vec<&str> = key.split(':').collect();
            let length = if key.starts_with("arn:") { 7 } else { 1 };
            let (id, rest) = parts.split_at(length.min(parts.len()));
            let part = |at: usize| rest.get(at).copied().filter(|part| !part.is_empty());
            let stage = part(2).unwrap_or("AWSCURRENT");
            part(3).is_none().then(|| LateSource::Secret { id: id.join(":"), stage: stage.to_owned() })
        }
        _ => Some(LateSource::Unreadable(format!("Lockstep does not know the service {service}"))),
    }
}

/// Returns the reason for which the name of a source is not known before the deployment; `None` if it is.
fn readable(name: &str) -> Option<LateSource> {
    let why = "its name depends on what only the stack knows";
    (!is_known(name)).then(|| LateSource::Unreadable(why.to_owned()))
}

/// Returns a rendered text for people: an unknown part is an ellipsis.
fn shown(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "…")
}

/// Returns true if the name of a parameter ends in a version.
fn names_version(name: &str) -> bool {
    let version = name.rsplit_once(':').map(|(_, version)| version);
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::location::Location;

    fn late(template: &str, values: &[(&str, &str)], known: &[(&str, &str)]) -> LateValues {
        let mut found = LateValues::default();
        add(&mut found, "", template, values, known);
        found
    }

    fn add(
        found: &mut LateValues,
        path: &str,
        template: &str,
        values: &[(&str, &str)],
        known: &[(&str, &str)],
    ) {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let values = StageValues {
            stage: "ci".parse().unwrap(),
            location: Location {
                account: "111111111111".parse().unwrap(),
                region: "eu-west-1".parse().unwrap(),
            },
            parameters: map(values),
            references: map(known),
        };
        found.add(path, &Template::parse("t", template).unwrap(), &values);
    }

    fn names(found: &LateValues) -> Vec<&str> {
        found.0.keys().map(String::as_str).collect()
    }

    const TEMPLATE: &str = "Parameters:
  Limit: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /shop/limit}
  Base: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /shop/ami, NoEcho: true}
  Name: {Type: String, Default: a}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: PLACE
      TopicName: !Ref Name
";

    #[test]
    fn parameters_from_parameter_store_are_late_unless_a_version_is_named() {
        let found = late(TEMPLATE, &[("Name", "a")], &[]);
        assert_eq!(names(&found), ["Base (/shop/ami)", "Limit (/shop/limit)"]);
        assert!(found.0["Base (/shop/ami)"].is_hidden && !found.0["Limit (/shop/limit)"].is_hidden);
        let found = late(TEMPLATE, &[("Limit", "/shop/limit:3"), ("Base", "/other/ami")], &[]);
        assert_eq!(names(&found), ["Base (/other/ami)"]);
        assert_eq!(found.0["Base (/other/ami)"].source, LateSource::Parameter("/other/ami".into()));
    }

    fn only(of: &str, place: &str) -> Option<LateValue> {
        let found = late(&TEMPLATE.replace("PLACE", place), &[("Name", "a")], &[]);
        found.0.get(of).cloned()
    }

    #[test]
    fn dynamic_references_are_late_unless_a_version_is_named() {
        let secret = |id: &str, stage: &str| LateSource::Secret { id: id.into(), stage: stage.into() };
        let parameter = |name: &str| LateSource::Parameter(name.into());
        let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf";
        for (key, source) in [
            ("ssm:/shop/limit", Some(parameter("/shop/limit"))),
            ("ssm:/shop/limit:3", None),
            ("ssm-secure:key", Some(parameter("key"))),
            ("ssm-secure:key:12", None),
            ("secretsmanager:db", Some(secret("db", "AWSCURRENT"))),
            ("secretsmanager:db:SecretString:password", Some(secret("db", "AWSCURRENT"))),
            ("secretsmanager:db:SecretString:password:AWSPREVIOUS", Some(secret("db", "AWSPREVIOUS"))),
            ("secretsmanager:db:SecretString:password::8a1c", None),
            (&format!("secretsmanager:{arn}:SecretString:a::8a1c"), None),
            (&format!("secretsmanager:{arn}"), Some(secret(arn, "AWSCURRENT"))),
            (&format!("secretsmanager:{arn}:SecretString:a:AWSPENDING"), Some(secret(arn, "AWSPENDING"))),
        ] {
            let reference = format!("{{{{resolve:{key}}}}}");
            for place in [format!("'a {reference} b'"), format!("!Join ['', ['{reference}', !Ref Name]]")] {
                let found = only(&reference, &place);
                assert_eq!(found.as_ref().map(|found| &found.source), source.as_ref(), "{place}");
                assert!(found.is_none_or(|found| found.resources == ["Topic".to_owned()].into()));
            }
            let by_value = late(TEMPLATE, &[("Name", reference.as_str())], &[]);
            assert_eq!(by_value.0.contains_key(&reference), source.is_some(), "{reference}");
        }
        assert!(only("{{resolve}}", "'{{resolve}}'").is_none());
        let other = only("{{resolve:of-later:x:1}}", "'{{resolve:of-later:x:1}}'").unwrap();
        assert!(matches!(other.source, LateSource::Unreadable(_)), "{other:?}");
    }

    #[test]
    fn the_name_of_a_reference_may_be_made_by_functions() {
        let place = |text: &str| TEMPLATE.replace("PLACE", text);
        for (text, name) in [
            ("!Sub '{{resolve:ssm:/${Name}/limit}}'", "{{resolve:ssm:/shop/limit}}"),
            ("!Join ['', ['{{resolve:ssm:/', !Ref Name, '/limit}}']]", "{{resolve:ssm:/shop/limit}}"),
            ("!Sub '{{resolve:ssm:/${AWS::StackName}}}'", "{{resolve:ssm:/ci-shop}}"),
            ("!Sub ['{{resolve:ssm:${N}}}', {N: !Ref Name}]", "{{resolve:ssm:shop}}"),
        ] {
            let found = late(&place(text), &[("Name", "shop")], &[("AWS::StackName", "ci-shop")]);
            assert!(matches!(&found.0[name].source, LateSource::Parameter(_)), "{text}: {found:?}");
            assert!(!found.depends_on_the_stack());
        }
        let own = place("!Sub '{{resolve:secretsmanager:${Db}:SecretString:a}}'");
        let own = format!("{own}  Db: {{Type: AWS::SecretsManager::Secret}}\n");
        let before = late(&own, &[("Name", "shop")], &[]);
        assert!(before.depends_on_the_stack(), "{before:?}");
        assert_eq!(names(&before)[2], "{{resolve:secretsmanager:…:SecretString:a}}");
        let after = late(&own, &[("Name", "shop")], &[("Db", "shop-db")]);
        let source = &after.0["{{resolve:secretsmanager:shop-db:SecretString:a}}"].source;
        assert_eq!(*source, LateSource::Secret { id: "shop-db".into(), stage: "AWSCURRENT".into() });
    }

    #[test]
    fn what_a_stage_does_not_have_is_not_read() {
        let template = "Parameters:\n  Stage: {Type: String}\nConditions:\n  Live: !Equals [!Ref Stage, production]\nResources:\n  \
                        Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      \
                        DisplayName: !If [Live, '{{resolve:ssm:/live}}', '{{resolve:ssm:/trial}}']\n  \
                        Other:\n    Type: AWS::SNS::Topic\n    Condition: Live\n    Properties: {DisplayName: '{{resolve:ssm:/other}}'}\n";
        assert_eq!(names(&late(template, &[("Stage", "ci")], &[])), ["{{resolve:ssm:/trial}}"]);
        let live = late(template, &[("Stage", "production")], &[]);
        assert_eq!(names(&live), ["{{resolve:ssm:/live}}", "{{resolve:ssm:/other}}"]);
    }

    #[test]
    fn what_a_stage_may_have_is_read_in_every_branch() {
        let template = "Parameters:\n  Kind: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /kind}\n\
                        Conditions:\n  Live: !Equals [!Ref Kind, live]\n\
                        Mappings:\n  Limits:\n    live: {limit: '{{resolve:ssm:/mapped}}'}\n\
                        Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: {DisplayName: PLACE}\n";
        for (place, expected) in [
            ("!If [Live, '{{resolve:ssm:/live}}', '{{resolve:ssm:/trial}}']", ["/live", "/trial"].as_slice()),
            ("!If [Live, fixed, !Ref 'AWS::NoValue']", &[]),
            ("!If [Live, fixed, !If [Live, other, '{{resolve:ssm:/trial}}']]", &["/trial"]),
            ("!Join ['', [a, !If [Live, '{{resolve:ssm:/live}}', '']]]", &["/live"]),
            ("!FindInMap [Limits, !Ref Kind, limit]", &["/mapped"]),
            (
                "!Select [!Ref Kind, ['{{resolve:ssm:/live}}', '{{resolve:ssm:/trial}}']]",
                &["/live", "/trial"],
            ),
        ] {
            let found = late(&template.replace("PLACE", place), &[("Kind", "/kind")], &[]);
            let named = |name: &String| {
                name.strip_prefix("{{resolve:ssm:").map(|it| it.trim_end_matches('}').to_owned())
            };
            let references: Vec<String> = found.0.keys().filter_map(named).collect();
            assert_eq!(references, expected, "{place}");
        }
        // A name that the choice decides is not known before the deployment.
        let chosen =
            template.replace("PLACE", "!Sub ['{{resolve:ssm:/${N}}}', {N: !If [Live, live, trial]}]");
        assert!(late(&chosen, &[("Kind", "/kind")], &[]).depends_on_the_stack());
    }

    const CHILD: &str = "Parameters:
  Password: {Type: String, NoEcho: true}
  Name: {Type: String, Default: a}
Resources:
  Queue: {Type: AWS::SQS::Queue}
";

    #[test]
    fn what_a_template_hides_is_hidden() {
        let (secret, plain) = ("{{resolve:ssm:/db/pw}}", "{{resolve:ssm:/db/name}}");
        let own = "Parameters:\n  Password: {Type: String, NoEcho: true, Default: DEFAULT}\nResources:\n  Topic:\n    \
                   Type: AWS::SNS::Topic\n    Properties: {DisplayName: !Ref Password, TopicName: '{{resolve:ssm:/db/name}}'}\n";
        let by_value = late(own, &[("Password", secret)], &[]);
        let by_default = late(&own.replace("DEFAULT", &format!("'{secret}'")), &[], &[]);
        let secure =
            late(&TEMPLATE.replace("PLACE", "'{{resolve:ssm-secure:/db/pw}}'"), &[("Name", plain)], &[]);
        let parent = format!(
            "Resources:\n  Child:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: https://b/c\n      \
             Parameters: {{Password: '{secret}', Name: '{plain}'}}\n"
        );
        let mut nested = late(&parent, &[], &[]);
        assert!(!nested.0[secret].is_hidden, "the template above does not hide it");
        add(&mut nested, "Child.", CHILD, &[("Password", secret), ("Name", plain)], &[]);
        assert_eq!(nested.0[secret].resources, ["Child".to_owned()].into());
        for (found, hidden) in [
            (by_value, secret),
            (by_default, secret),
            (secure, "{{resolve:ssm-secure:/db/pw}}"),
            (nested, secret),
        ] {
            assert!(found.0[hidden].is_hidden, "{found:?}");
            assert!(!found.0[plain].is_hidden, "{found:?}");
        }
    }

    #[test]
    fn a_stored_parameter_that_a_nested_stack_hides_is_hidden() {
        let mut found = late(TEMPLATE, &[("Name", "a")], &[]);
        assert!(!found.0["Limit (/shop/limit)"].is_hidden);
        add(&mut found, "Child.", CHILD, &[("Password", &stored("/shop/limit"))], &[]);
        assert!(found.0["Limit (/shop/limit)"].is_hidden, "{found:?}");
    }
}
