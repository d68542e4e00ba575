//! Rules about resource types that decide if a second stack of a template can exist beside the first, and if it can be
//! deleted: names that must be unique, protections against deletion, and tags that cannot change.
//!
//! `tests/referee/make resource-rules` generates the table. Its head explains the lines.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const TABLE: &str = include_str!("resource_rules/table.txt");

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::parse(TABLE));

/// Extent in which a name is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One region of one account.
    Region,
    /// One account.
    Account,
    /// All accounts.
    World,
}

/// A name that no two resources of a type share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameRule {
    pub(crate) scope: Scope,
    /// Path of the name below the properties.
    pub(crate) name: &'static str,
    /// Paths of the properties within whose values the name is unique.
    pub(crate) within: Vec<&'static str>,
    /// True if CloudFormation generates a name where the template has none.
    pub(crate) generated: bool,
}

/// A property that prevents the deletion of a resource, or keeps something after it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProtectionRule {
    /// Path below the properties, with `*` for each item and `[Key=..]` for the items with this key.
    pub(crate) property: &'static str,
    /// Value that lets the resource be deleted; `None` if the property must be absent.
    pub(crate) off: Option<Value>,
    /// True if AWS protects a resource without the property.
    pub(crate) on_by_default: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Rules {
    names: BTreeMap<&'static str, Vec<NameRule>>,
    protections: BTreeMap<&'static str, Vec<ProtectionRule>>,
    fixed_tags: BTreeSet<&'static str>,
}

impl Rules {
    fn parse(table: &'static str) -> Self {
        let mut rules = Self::default();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            rules.add(line);
        }
        rules
    }

    fn add(&mut self, line: &'static str) {
        let words: Vec<&'static str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["name", kind, scope, rest] => {
                let (properties, origin) = rest.split_once(' ').unwrap_or((rest, ""));
                let mut properties = properties.split('+');
                let rule = NameRule {
                    scope: match *scope {
                        "world" => Scope::World,
                        "account" => Scope::Account,
                        _ => Scope::Region,
                    },
                    name: properties.next().unwrap_or_default(),
                    within: properties.collect(),
                    generated: origin == "generated",
                };
                self.names.entry(kind).or_default().push(rule);
            }
            ["off", kind, property, value] => {
                let off = Some(serde_json::from_str(value).unwrap_or(Value::Null));
                self.protect(kind, ProtectionRule { property, off, on_by_default: false });
            }
            ["drop", kind, property] => {
                self.protect(kind, ProtectionRule { property, off: None, on_by_default: false });
            }
            ["default", kind, property] => {
                let rules = self.protections.entry(kind).or_default();
                rules
                    .iter_mut()
                    .filter(|rule| rule.property == *property)
                    .for_each(|rule| rule.on_by_default = true);
            }
            ["tags", kind] => drop(self.fixed_tags.insert(kind)),
            _ => {}
        }
    }

    fn protect(&mut self, kind: &'static str, rule: ProtectionRule) {
        self.protections.entry(kind).or_default().push(rule);
    }
}

/// Returns the unique names of a type.
pub(crate) fn names(kind: &str) -> &'static [NameRule] {
    RULES.names.get(kind).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the properties of a type that protect a resource from deletion, or keep something after it.
pub(crate) fn protections(kind: &str) -> &'static [ProtectionRule] {
    RULES.protections.get(kind).map(Vec::as_slice).unwrap_or_default()
}

/// Returns true if a change of its tags replaces a resource of the type, or fails.
pub(crate) fn has_fixed_tags(kind: &str) -> bool {
    RULES.fixed_tags.contains(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_of_the_table_is_a_rule() {
        let lines = |word: &str| TABLE.lines().filter(|line| line.starts_with(&format!("{word} "))).count();
        let known: usize =
            ["name", "off", "drop", "default", "tags", "#"].iter().map(|word| lines(word)).sum();
        assert_eq!(known + TABLE.lines().filter(|line| *line == "#").count(), TABLE.lines().count());
        assert_eq!(RULES.names.values().map(Vec::len).sum::<usize>(), lines("name"));
        assert_eq!(RULES.protections.values().map(Vec::len).sum::<usize>(), lines("off") + lines("drop"));
        assert_eq!(RULES.fixed_tags.len(), lines("tags"));
        let by_default = RULES.protections.values().flatten().filter(|rule| rule.on_by_default).count();
        assert_eq!(by_default, lines("default"));
        assert!(RULES.names.values().flatten().all(|rule| !rule.name.is_empty()));
        assert!(RULES.protections.values().flatten().all(|rule| rule.off != Some(Value::Null)));
    }

    #[test]
    fn names_have_the_scope_in_which_aws_keeps_them_unique() {
        let first = |kind: &str| names(kind).first().map(|rule| (rule.name, rule.scope, rule.generated));
        for (kind, name, scope, generated) in [
            ("AWS::IAM::Role", "RoleName", Scope::Account, true),
            ("AWS::SQS::Queue", "QueueName", Scope::Region, true),
            ("AWS::S3::Bucket", "BucketName", Scope::World, true),
            ("AWS::KMS::Alias", "AliasName", Scope::Region, false),
            ("AWS::Logs::LogGroup", "LogGroupName", Scope::Region, true),
            ("AWS::Glue::Database", "DatabaseInput/Name", Scope::Region, true),
            ("AWS::Serverless::Function", "FunctionName", Scope::Region, true),
            ("AWS::CloudFront::CachePolicy", "CachePolicyConfig/Name", Scope::Account, false),
        ] {
            assert_eq!(first(kind), Some((name, scope, generated)), "{kind}");
        }
        assert_eq!(names("AWS::Events::Rule")[0].within, ["EventBusName"]);
        for kind in
            ["AWS::ApiGateway::RestApi", "AWS::Cognito::UserPool", "AWS::ECS::TaskDefinition", "Custom::X"]
        {
            assert_eq!(names(kind), [], "{kind}");
        }
    }

    #[test]
    fn protections_have_the_value_that_switches_them_off() {
        let off = |kind: &str, property: &str| {
            protections(kind).iter().find(|rule| rule.property == property).map(|rule| rule.off.clone())
        };
        assert_eq!(off("AWS::RDS::DBCluster", "DeletionProtection"), Some(Some(json!(false))));
        assert_eq!(off("AWS::Cognito::UserPool", "DeletionProtection"), Some(Some(json!("INACTIVE"))));
        assert_eq!(off("AWS::S3::Bucket", "ObjectLockEnabled"), Some(None));
        assert!(has_fixed_tags("AWS::Batch::ComputeEnvironment"));
        assert!(!has_fixed_tags("AWS::S3::Bucket"));
    }
}
