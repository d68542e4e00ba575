//! Parameters of a template and the values that they accept.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html>

use super::node::{Entry, Fault, Node};
use crate::model::toml_file::distance;
use regex::Regex;

/// CloudFormation's limit for one value, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// A parameter: its declaration and the values that it accepts.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Line of the name.
    pub line: u32,
    /// `Type` of the parameter, such as `String` or `AWS::EC2::Image::Id`.
    pub kind: String,
    /// Default value, as text.
    pub default: Option<String>,
    /// True if CloudFormation hides the value.
    pub no_echo: bool,
    /// Accepted values; empty if any value is accepted.
    pub allowed_values: Vec<String>,
    /// Pattern that the whole value must match, a Java regular expression.
    pub allowed_pattern: Option<String>,
    /// Minimum number of characters.
    pub min_length: Option<u32>,
    /// Maximum number of characters.
    pub max_length: Option<u32>,
    /// Smallest accepted number.
    pub min_value: Option<f64>,
    /// Largest accepted number.
    pub max_value: Option<f64>,
}

impl Parameter {
    /// Returns true if `value` can be a secret. The name of an AWS resource or of a parameter in Parameter Store is none,
    /// and neither is the empty text that stands for a secret that is not set.
    pub fn may_hold_secret(&self, value: &str) -> bool {
        !value.is_empty() && !self.kind.starts_with("AWS::") && !self.kind.starts_with("List<AWS::")
    }

    /// Checks that CloudFormation would accept `value`, so that the problem is found before any stage.
    ///
    /// Some checks are left to CloudFormation: a pattern that only Java understands, the existence of a named AWS
    /// resource, and the value of an SSM parameter.
    ///
    /// # Errors
    /// Returns the rule that the value breaks, never the value itself.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!("must have at most {VALUE_BYTES_MAX} bytes"));
        }
        if self.kind.starts_with("AWS::SSM::Parameter::Value<") {
            return Ok(());
        }
        if self.kind == "CommaDelimitedList" || self.kind.starts_with("List<") {
            let listed_whole = self.allowed_values.iter().any(|allowed| allowed == value);
            return value.split(',').map(str::trim).try_for_each(|item| self.check_one(item, listed_whole));
        }
        self.check_one(value, false)
    }

    /// Checks a value or an item of a list; `allowed` is true if the allowed values are known to contain it.
    fn check_one(&self, value: &str, allowed: bool) -> Result<(), String> {
        if !allowed {
            self.check_allowed(value)?;
        }
        if self.kind == "Number" || self.kind == "List<Number>" {
            self.check_number(value)
        } else {
            self.check_text(value)
        }
    }

    fn check_allowed(&self, value: &str) -> Result<(), String> {
        if self.allowed_values.is_empty() || self.allowed_values.iter().any(|allowed| allowed == value) {
            return Ok(());
        }
        Err(format!("must be one of {}", self.allowed_values.join(", ")))
    }

    fn check_number(&self, value: &str) -> Result<(), String> {
        let number = value.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or("must be a number")?;
        match (self.min_value, self.max_value) {
            (Some(min), _) if number < min => Err(format!("must be at least {min}")),
            (_, Some(max)) if number > max => Err(format!("must be at most {max}")),
            _ => Ok(()),
        }
    }

    fn check_text(&self, value: &str) -> Result<(), String> {
        let length = value.chars().count();
        let beyond = |bound: Option<u32>, wrong: fn(usize, usize) -> bool| {
            bound.filter(|&bound| wrong(length, bound as usize))
        };
        if let Some(min) = beyond(self.min_length, |length, min| length < min) {
            return Err(format!("must have at least {min} characters"));
        }
        if let Some(max) = beyond(self.max_length, |length, max| length > max) {
            return Err(format!("must have at most {max} characters"));
        }
        match &self.allowed_pattern {
            Some(pattern) if refuted(pattern, value) => Err(format!("must match {pattern}")),
            _ => Ok(()),
        }
    }
}

/// Returns true if `pattern` certainly does not match the whole of `value`.
fn refuted(pattern: &str, value: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| !regex.is_match(value))
}

/// Parses one declaration.
pub(super) fn read(entry: &Entry) -> Result<Parameter, Fault> {
    let name = &entry.key;
    let fault = |message: String| Fault::new(entry.line, message);
    let node = &entry.node;
    let kind = node
        .get("Type")
        .and_then(Node::as_text)
        .ok_or_else(|| fault(format!("the parameter {name} has no Type")))?;
    if !is_known_type(kind) {
        return Err(fault(format!("the parameter {name} has the unknown type {kind}")));
    }
    let parameter = Parameter {
        line: entry.line,
        kind: kind.to_owned(),
        default: node.get("Default").and_then(Node::scalar),
        no_echo: node
            .get("NoEcho")
            .and_then(Node::scalar)
            .is_some_and(|truth| truth.eq_ignore_ascii_case("true")),
        allowed_values: node
            .get("AllowedValues")
            .and_then(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::scalar)
            .collect(),
        allowed_pattern: node.get("AllowedPattern").and_then(Node::scalar),
        min_length: number(node, "MinLength").map_err(&fault)?,
        max_length: number(node, "MaxLength").map_err(&fault)?,
        min_value: number(node, "MinValue").map_err(&fault)?,
        max_value: number(node, "MaxValue").map_err(&fault)?,
    };
    match parameter.default.as_deref().map(|default| parameter.check(default)) {
        Some(Err(why)) => Err(fault(format!("the default of the parameter {name} {why}"))),
        _ => Ok(parameter),
    }
}

/// Types whose values name or identify something of AWS, beside `String` and `Number`.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html>
const AWS_TYPES: [&str; 11] = [
    "AWS::EC2::AvailabilityZone::Name",
    "AWS::EC2::Image::Id",
    "AWS::EC2::Instance::Id",
    "AWS::EC2::KeyPair::KeyName",
    "AWS::EC2::SecurityGroup::GroupName",
    "AWS::EC2::SecurityGroup::Id",
    "AWS::EC2::Subnet::Id",
    "AWS::EC2::VPC::Id",
    "AWS::EC2::Volume::Id",
    "AWS::Route53::HostedZone::Id",
    "AWS::SSM::Parameter::Name",
];

/// Returns true for a type that CloudFormation may know: AWS adds types, but a type is wrong that differs from a known one
/// in two letters at most.
fn is_known_type(kind: &str) -> bool {
    if matches!(kind, "String" | "Number" | "CommaDelimitedList") {
        return true;
    }
    let inner = |wrapper: &str| kind.strip_prefix(wrapper).and_then(|rest| rest.strip_suffix('>'));
    if let Some(stored) = inner("AWS::SSM::Parameter::Value<") {
        return is_known_type(stored);
    }
    let item = inner("List<").unwrap_or(kind);
    let is_plain = item != kind && matches!(item, "String" | "Number");
    let is_near = || AWS_TYPES.iter().any(|known| distance(item, known) <= 2);
    is_plain || AWS_TYPES.contains(&item) || item.starts_with("AWS::") && !is_near()
}

/// Parses a bound, which may be written as a number or as text.
fn number<T: std::str::FromStr>(node: &Node, key: &str) -> Result<Option<T>, String> {
    let Some(bound) = node.get(key) else { return Ok(None) };
    let parsed = bound.scalar().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| format!("{key} must be a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(yaml: &str) -> Result<Parameter, Fault> {
        let node = super::super::source::read(&format!("---\n{yaml}")).unwrap();
        read(&Entry { key: "P".to_owned(), line: 7, node })
    }

    fn refusal(yaml: &str, value: &str) -> String {
        parameter(yaml).unwrap().check(value).unwrap_err()
    }

    #[test]
    fn a_declaration_is_parsed_completely() {
        let read = parameter("Type: Number\nDefault: 8080\nNoEcho: 'true'\nMinValue: '1'\nMaxValue: 65535\n")
            .unwrap();
        assert_eq!(
            (read.line, read.kind.as_str(), read.default.as_deref(), read.no_echo),
            (7, "Number", Some("8080"), true)
        );
        assert_eq!((read.min_value, read.max_value), (Some(1.0), Some(65535.0)));
    }

    #[test]
    fn values_outside_a_declaration_are_refused_with_the_rule() {
        assert_eq!(refusal("{Type: Number}", "many"), "must be a number");
        assert_eq!(refusal("{Type: Number, MinValue: 1}", "0"), "must be at least 1");
        assert_eq!(refusal("{Type: Number, MaxValue: 5}", "5.5"), "must be at most 5");
        assert_eq!(refusal("{Type: String, MinLength: 3}", "äö"), "must have at least 3 characters");
        assert_eq!(refusal("{Type: String, MaxLength: 2}", "abc"), "must have at most 2 characters");
        assert_eq!(
            refusal("{Type: String, AllowedValues: [yes, no]}", "maybe"),
            "must be one of true, false"
        );
        assert_eq!(refusal("{Type: String, AllowedPattern: '[a-z]+'}", "ab1"), "must match [a-z]+");
        assert_eq!(
            refusal("{Type: CommaDelimitedList, AllowedValues: [a, b]}", "a, c"),
            "must be one of a, b"
        );
        assert_eq!(refusal("{Type: String}", &"x".repeat(4097)), "must have at most 4096 bytes");
    }

    #[test]
    fn values_inside_a_declaration_are_accepted() {
        assert_eq!(parameter("{Type: String, AllowedPattern: 'a|b'}").unwrap().check("b"), Ok(()));
        assert_eq!(parameter("{Type: String, MinLength: 2, MaxLength: 2}").unwrap().check("äö"), Ok(()));
        assert_eq!(parameter("{Type: List<Number>, MaxValue: 3}").unwrap().check("1, 2,3"), Ok(()));
        assert_eq!(parameter("{Type: AWS::EC2::Image::Id}").unwrap().check("ami-12345678"), Ok(()));
    }

    #[test]
    fn checks_that_only_cloudformation_can_make_are_left_to_it() {
        assert_eq!(parameter("{Type: String, AllowedPattern: '(?<!a)b'}").unwrap().check("zzz"), Ok(()));
        let ssm = parameter("{Type: 'AWS::SSM::Parameter::Value<Number>', Default: /network/port}").unwrap();
        assert_eq!(ssm.default.as_deref(), Some("/network/port"));
    }

    #[test]
    fn a_wrong_declaration_is_a_fault_at_its_line() {
        for (yaml, message) in [
            ("{Default: x}", "the parameter P has no Type"),
            ("{Type: Strng}", "the parameter P has the unknown type Strng"),
            (
                "{Type: String, AllowedValues: [a], Default: b}",
                "the default of the parameter P must be one of a",
            ),
            ("{Type: String, MaxLength: long}", "MaxLength must be a number"),
        ] {
            assert_eq!(parameter(yaml), Err(Fault::new(7, message)), "{yaml}");
        }
    }
}
