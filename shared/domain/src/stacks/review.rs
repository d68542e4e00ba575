//! The content of a change set that a question shows: the values of parameters before and after, and the access that
//! changes.

use crate::model::resource_change::Change;
use crate::records::{ParameterChange, Review, ShownValue};
use crate::stacks::access::{self, Side};
use crate::stacks::template::Template;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Beginnings of references to secrets.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>
const SECRETS: [&str; 2] = ["{{resolve:secretsmanager:", "{{resolve:ssm-secure:"];

/// The stack before the change.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Its template; `None` if it cannot be read.
    pub template: Option<&'a Template>,
    /// Its parameters, as CloudFormation shows them: a hidden value is masked.
    pub parameters: &'a BTreeMap<String, String>,
    /// The parameters that the last deployment recorded. They tell if a hidden value changes.
    pub recorded: Option<&'a BTreeMap<String, String>>,
    /// Its nested stacks that are compared: those whose templates the release has, and those that are removed.
    pub nested: &'a [NestedBefore],
}

/// A nested stack before the change.
#[derive(Clone, Debug)]
pub struct NestedBefore {
    /// Its logical id, with those of the nested stacks around it.
    pub logical_id: String,
    /// Its template; `None` if it cannot be read.
    pub template: Option<Template>,
    /// Its parameters, as CloudFormation shows them.
    pub parameters: BTreeMap<String, String>,
}

impl NestedBefore {
    /// Returns the logical ids down to this stack, each with a dot behind it.
    fn path(&self) -> String {
        format!("{}.", self.logical_id)
    }
}

/// A nested stack after the change, whose template is in the release.
#[derive(Clone, Debug)]
pub struct NestedAfter<'a> {
    /// Logical ids of the nested stacks down to this one, each with a dot behind it.
    pub path: String,
    /// Its template.
    pub template: &'a Template,
    /// Its parameters; `None` is a value that is hidden, or not known before the deployment.
    pub parameters: BTreeMap<String, Option<String>>,
}

/// The stack after the change.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// Its template.
    pub template: &'a Template,
    /// Its parameters.
    pub parameters: &'a BTreeMap<String, String>,
    /// Parameters of this deployment only.
    pub overrides: &'a BTreeMap<String, String>,
    /// The changes of the change set.
    pub changes: &'a [Change],
    /// Its nested stacks whose templates are in the release.
    pub nested: &'a [NestedAfter<'a>],
}

impl After<'_> {
    /// Returns true if the access of a nested stack that runs is compared: the release has its template, or it is removed.
    /// Without its new template, its access would be shown as gone.
    pub fn compares(&self, logical_id: &str) -> bool {
        let path = format!("{logical_id}.");
        let removed = access::changed_nested(self.changes).filter(|change| change.action == "Remove");
        self.nested.iter().any(|nested| nested.path == path)
            || removed.into_iter().any(|change| path.starts_with(&format!("{}.", change.logical_id)))
    }
}

/// Returns the review of a change. `before` is `None` for a new stack.
pub fn review(before: Option<Before<'_>>, after: After<'_>) -> Review {
    let hides = |template: Option<&Template>, name: &str| {
        template.and_then(|template| template.parameters().get(name)).is_some_and(|it| it.no_echo)
    };
    let hidden = |name: &str| {
        hides(Some(after.template), name) || hides(before.and_then(|before| before.template), name)
    };
    let show = |name: &str, value: &String| match hidden(name) || refers_to_a_secret(value) {
        true => ShownValue::Hidden,
        false => ShownValue::Text(value.clone()),
    };
    let shown = |values: &BTreeMap<String, String>| -> BTreeMap<String, ShownValue> {
        values.iter().map(|(name, value)| (name.clone(), show(name, value))).collect()
    };
    let old = before.map(|before| shown(before.parameters)).unwrap_or_default();
    let new = shown(after.parameters);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let parameters = names.into_iter().filter_map(|name| {
        let (old, new) = (old.get(name).cloned(), new.get(name).cloned());
        let overridden = after.overrides.contains_key(name);
        let changes = match (&old, &new) {
            (Some(ShownValue::Hidden), Some(ShownValue::Hidden)) => {
                let recorded = before.and_then(|before| before.recorded).and_then(|values| values.get(name));
                recorded != after.parameters.get(name)
            }
            (old, new) => old != new,
        };
        (changes || overridden).then(|| ParameterChange { name: name.clone(), old, new, overridden })
    });
    let parameters = parameters.collect();
    let nested = Nested::of(before, after.nested);
    let side = before.and_then(|before| before.template);
    let mut sides: Vec<Side<'_>> =
        side.into_iter().map(|template| Side { path: "", template, parameters: &old }).collect();
    sides.extend(nested.before());
    let mut after_sides = vec![Side { path: "", template: after.template, parameters: &new }];
    after_sides.extend(nested.after());
    let found = access::review(&sides, &after_sides, after.changes);
    let mut unseen = found.unseen;
    unseen.extend(nested.unseen);
    if before.is_some_and(|before| before.template.is_none()) {
        unseen.push("the template that runs cannot be read: all access is shown as new".to_owned());
    }
    Review { parameters, late: Vec::new(), access: found.changes, warnings: Vec::new(), unseen }
}

/// The nested stacks of both sides with the values that may be shown.
struct Nested<'a> {
    before: Vec<(String, &'a Template, BTreeMap<String, ShownValue>)>,
    after: Vec<(String, &'a Template, BTreeMap<String, ShownValue>)>,
    unseen: Vec<String>,
}

impl<'a> Nested<'a> {
    /// Hides a value on both sides if it is hidden, or unknown, on one of them: it then has the same text on both.
    fn of(before: Option<Before<'a>>, after: &'a [NestedAfter<'a>]) -> Self {
        let mut found = Self { before: Vec::new(), after: Vec::new(), unseen: Vec::new() };
        let mut unshown = before.map(unshown_before).unwrap_or_default();
        for nested in after {
            let path = nested.path.as_str();
            unshown.extend(hidden_by(nested.template).map(|name| (path.to_owned(), name.clone())));
            let unknown = nested.parameters.iter().filter(|(_, value)| value.is_none());
            unshown.extend(unknown.map(|(name, _)| (path.to_owned(), name.clone())));
        }
        let show = |path: &str, name: &str, value: &str| {
            let is_hidden =
                unshown.contains(&(path.to_owned(), name.to_owned())) || refers_to_a_secret(value);
            if is_hidden { ShownValue::Hidden } else { ShownValue::Text(value.to_owned()) }
        };
        for nested in before.map_or(&[][..], |before| before.nested) {
            let path = nested.path();
            let Some(template) = &nested.template else {
                found.unseen.push(format!(
                    "the template that {} runs cannot be read: all access in it is shown as new",
                    nested.logical_id
                ));
                continue;
            };
            let values = nested.parameters.iter();
            let values = values.map(|(name, value)| (name.clone(), show(&path, name, value))).collect();
            found.before.push((path, template, values));
        }
        for nested in after {
            let values = nested.parameters.iter().map(|(name, value)| {
                let value =
                    value.as_ref().map_or(ShownValue::Hidden, |value| show(&nested.path, name, value));
                (name.clone(), value)
            });
            found.after.push((nested.path.clone(), nested.template, values.collect()));
        }
        found
    }

    fn before(&self) -> impl Iterator<Item = Side<'_>> {
        sides(&self.before)
    }

    fn after(&self) -> impl Iterator<Item = Side<'_>> {
        sides(&self.after)
    }
}

fn sides<'a>(
    nested: &'a [(String, &'a Template, BTreeMap<String, ShownValue>)],
) -> impl Iterator<Item = Side<'a>> {
    nested.iter().map(|(path, template, parameters)| Side { path, template, parameters })
}

/// Returns the names of the parameters that a template hides.
fn hidden_by(template: &Template) -> impl Iterator<Item = &String> {
    template.parameters().iter().filter(|(_, parameter)| parameter.no_echo).map(|(name, _)| name)
}

/// Returns the parameters of the nested stacks before the change that may not be shown, each with the path of its stack.
///
/// CloudFormation shows a hidden value of the root as plain text in a nested stack that does not hide it. So a value is
/// hidden unless the expression that passes it is known to hold no hidden one.
fn unshown_before(before: Before<'_>) -> BTreeSet<(String, String)> {
    let mut stacks: BTreeMap<String, (&Template, BTreeSet<String>)> = BTreeMap::new();
    if let Some(root) = before.template {
        stacks.insert(String::new(), (root, hidden_by(root).cloned().collect()));
    }
    let mut nested: Vec<&NestedBefore> = before.nested.iter().collect();
    nested.sort_by_key(|nested| nested.logical_id.matches('.').count());
    for stack in nested {
        let (parent, id) = stack.logical_id.rsplit_once('.').map_or_else(
            || (String::new(), stack.logical_id.as_str()),
            |(parent, id)| (format!("{parent}."), id),
        );
        let Some(template) = &stack.template else { continue };
        let around = stacks.get(&parent);
        let is_hidden =
            |name: &&String| around.is_none_or(|(parent, hidden)| passes_hidden(parent, id, name, hidden));
        let passed = stack.parameters.keys().filter(is_hidden).cloned();
        let hidden = passed.chain(hidden_by(template).cloned()).collect();
        stacks.insert(stack.path(), (template, hidden));
    }
    let of_stack = |(path, (_, hidden)): (String, (&Template, BTreeSet<String>))| {
        hidden.into_iter().map(move |name| (path.clone(), name))
    };
    stacks.into_iter().flat_map(of_stack).collect()
}

/// Returns true if the template may pass a hidden value to the parameter `name` of its nested stack `id`.
fn passes_hidden(parent: &Template, id: &str, name: &str, hidden: &BTreeSet<String>) -> bool {
    let template = parent.to_json();
    let resource = &template["Resources"][id];
    let Some(passed) = resource["Properties"]["Parameters"].get(name) else {
        // Without a value of its own, the nested template's default holds.
        return !resource.is_object();
    };
    mentions(passed, hidden)
}

/// Returns true if an expression mentions a hidden parameter, or an attribute, which may be an output of another stack.
fn mentions(expression: &Value, hidden: &BTreeSet<String>) -> bool {
    match expression {
        Value::String(text) => {
            let references = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
            hidden.contains(text)
                || references.into_iter().any(|name| name.contains('.') || hidden.contains(name))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, hidden)),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name == "Fn::GetAtt" || mentions(value, hidden))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn refers_to_a_secret(value: &str) -> bool {
    SECRETS.iter().any(|secret| value.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "Parameters:
  Size: {Type: String}
  Cidr: {Type: String}
  Password: {Type: String, NoEcho: true}
Resources:
  Rule: {Type: AWS::EC2::SecurityGroupIngress, Properties: {CidrIp: !Ref Cidr, IpProtocol: tcp}}
";
    const SECRET: &str = "{{resolve:secretsmanager:db}}";

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn text(value: &str) -> Option<ShownValue> {
        Some(ShownValue::Text(value.to_owned()))
    }

    /// Returns the review of an update of a stack with these parameters.
    fn updated(new: &[(&str, &str)], overrides: &[(&str, &str)], recorded: Option<&str>) -> Review {
        let template = Template::parse("t", TEMPLATE).unwrap();
        let old = values(&[("Size", "1"), ("Cidr", "10.0.0.0/8"), ("Password", "****"), ("Gone", "x")]);
        let recorded = recorded.map(|value| values(&[("Password", value)]));
        let (new, overrides) = (values(new), values(overrides));
        let before =
            Before { template: Some(&template), parameters: &old, recorded: recorded.as_ref(), nested: &[] };
        let after =
            After { template: &template, parameters: &new, overrides: &overrides, changes: &[], nested: &[] };
        review(Some(before), after)
    }

    fn change(name: &str, old: Option<ShownValue>, new: Option<ShownValue>) -> ParameterChange {
        ParameterChange { name: name.into(), old, new, overridden: false }
    }

    #[test]
    fn values_are_shown_before_and_after_with_the_range_that_they_open() {
        let found = updated(
            &[("Size", "1"), ("Cidr", "0.0.0.0/0"), ("Password", SECRET), ("Gone", "x")],
            &[],
            Some(SECRET),
        );
        assert_eq!(found.parameters, [change("Cidr", text("10.0.0.0/8"), text("0.0.0.0/0"))]);
        let lines: Vec<&str> = found.access.iter().map(|it| it.line.as_str()).collect();
        assert_eq!(lines, ["{CidrIp: 10.0.0.0/8, IpProtocol: tcp}", "{CidrIp: 0.0.0.0/0, IpProtocol: tcp}"]);
    }

    #[test]
    fn a_secret_is_never_shown_and_its_change_is() {
        let new = [("Size", SECRET), ("Cidr", "10.0.0.0/8"), ("Password", SECRET), ("Gone", "x")];
        let hidden = || Some(ShownValue::Hidden);
        let size = change("Size", text("1"), hidden());
        assert_eq!(updated(&new, &[], Some(SECRET)).parameters, std::slice::from_ref(&size));
        for other in [Some("{{resolve:secretsmanager:other}}"), None] {
            let found = updated(&new, &[], other);
            assert_eq!(found.parameters, [change("Password", hidden(), hidden()), size.clone()]);
            let stored = serde_json::to_string(&found).unwrap();
            assert!(!stored.contains("resolve") && !stored.contains("****"), "{stored}");
        }
    }

    #[test]
    fn an_override_is_shown_even_if_it_changes_nothing() {
        let new = [("Size", "1"), ("Cidr", "10.0.0.0/8"), ("Password", SECRET)];
        let found = updated(&new, &[("Size", "1")], Some(SECRET));
        let size = ParameterChange { overridden: true, ..change("Size", text("1"), text("1")) };
        assert_eq!(found.parameters, [change("Gone", text("x"), None), size]);
    }

    #[test]
    fn a_new_stack_shows_all_and_an_unreadable_template_says_so() {
        let template = Template::parse("t", TEMPLATE).unwrap();
        let (new, none) = (values(&[("Size", "1"), ("Cidr", "::/0")]), BTreeMap::new());
        let after =
            After { template: &template, parameters: &new, overrides: &none, changes: &[], nested: &[] };
        let found = review(None, after);
        assert_eq!(found.parameters.len(), 2);
        assert!(found.access[0].is_new && found.unseen.is_empty());
        let before = Before { template: None, parameters: &new, recorded: None, nested: &[] };
        let found = review(Some(before), after);
        assert!(found.parameters.is_empty() && found.access[0].is_new);
        assert_eq!(found.unseen, ["the template that runs cannot be read: all access is shown as new"]);
    }

    const CHILD: &str = "Parameters:
  Cidr: {Type: String}
  Group: {Type: String}
  Token: {Type: String, NoEcho: true}
Resources:
  Rule: {Type: AWS::EC2::SecurityGroupIngress, Properties: {CidrIp: !Ref Cidr, GroupId: !Ref Group, Description: !Ref Token}}
";

    /// Returns the lines of access of a nested stack whose parameters change like this.
    fn nested(old: Option<&str>, old_values: &[(&str, &str)], new_values: &[(&str, Option<&str>)]) -> Review {
        nested_in(ROOT, old, old_values, new_values)
    }

    /// A root that passes the range as a literal.
    const ROOT: &str = "Parameters: {Password: {Type: String, NoEcho: true}}\nResources: {Net: {Type: \
                        AWS::CloudFormation::Stack, Properties: {Parameters: {Cidr: 10.0.0.0/8}}}}";

    fn nested_in(
        root: &str,
        old: Option<&str>,
        old_values: &[(&str, &str)],
        new_values: &[(&str, Option<&str>)],
    ) -> Review {
        let (root, child) = (Template::parse("t", root).unwrap(), Template::parse("c", CHILD).unwrap());
        let none = BTreeMap::new();
        let before = [NestedBefore {
            logical_id: "Net".into(),
            template: old.map(|text| Template::parse("c", text).unwrap()),
            parameters: values(old_values),
        }];
        let parameters =
            new_values.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
        let after = [NestedAfter { path: "Net.".into(), template: &child, parameters: parameters.collect() }];
        let before = Before { template: Some(&root), parameters: &none, recorded: None, nested: &before };
        let after =
            After { template: &root, parameters: &none, overrides: &none, changes: &[], nested: &after };
        review(Some(before), after)
    }

    #[test]
    fn a_nested_range_is_shown_before_and_after() {
        let old = [("Cidr", "10.0.0.0/8"), ("Group", "sg-1"), ("Token", "****")];
        let new = [("Cidr", Some("0.0.0.0/0")), ("Group", None), ("Token", Some("s3cr3t"))];
        let found = nested(Some(CHILD), &old, &new);
        let lines: Vec<String> = found
            .access
            .iter()
            .map(|it| format!("{}{} {}", if it.is_new { '+' } else { '-' }, it.resource, it.line))
            .collect();
        assert_eq!(
            lines,
            [
                "-Net.Rule {CidrIp: 10.0.0.0/8, GroupId: ${Group}}",
                "+Net.Rule {CidrIp: 0.0.0.0/0, GroupId: ${Group}}"
            ],
            "a value that is not known before the deployment is no difference"
        );
        assert!(found.unseen.is_empty() && !format!("{found:?}").contains("s3cr3t"), "{found:?}");
        let same = [("Cidr", Some("10.0.0.0/8")), ("Group", Some("sg-1"))];
        assert!(nested(Some(CHILD), &old, &same).access.is_empty());
    }

    #[test]
    fn a_hidden_value_of_the_root_is_hidden_in_a_nested_stack() {
        let root = |passed: &str| {
            format!(
                "Parameters: {{Password: {{Type: String, NoEcho: true}}, Open: {{Type: String}}}}\nResources: {{Other: {{Type: \
                 AWS::CloudFormation::Stack, Properties: {{TemplateURL: x}}}}, Net: {{Type: \
                 AWS::CloudFormation::Stack, Properties: {{Parameters: {{Cidr: {passed}}}}}}}}}"
            )
        };
        for (passed, is_shown) in [
            ("{Ref: Open}", true),
            ("'x${Open}'", true),
            ("{Ref: Password}", false),
            ("{'Fn::Sub': 'x${Password}'}", false),
            ("{'Fn::Join': ['-', [a, {Ref: Password}]]}", false),
            ("{'Fn::Select': [0, [{Ref: Password}, b]]}", false),
            ("{'Fn::GetAtt': [Other, Outputs.Password]}", false),
            ("{'Fn::Sub': '${Other.Outputs.Password}'}", false),
        ] {
            let found =
                nested_in(&root(passed), Some(CHILD), &[("Cidr", "s3cr3t")], &[("Cidr", Some("::/0"))]);
            assert_eq!(format!("{found:?}").contains("s3cr3t"), is_shown, "{passed}");
        }
        // The root has no such stack: it comes from a macro.
        let found = nested_in(TEMPLATE, Some(CHILD), &[("Cidr", "s3cr3t")], &[("Cidr", Some("::/0"))]);
        assert!(!format!("{found:?}").contains("s3cr3t"), "{found:?}");
    }

    #[test]
    fn a_nested_template_that_cannot_be_read_is_told() {
        let found = nested(None, &[], &[("Cidr", Some("::/0"))]);
        assert!(found.access[0].is_new);
        assert_eq!(
            found.unseen,
            ["the template that Net runs cannot be read: all access in it is shown as new"]
        );
    }
}
