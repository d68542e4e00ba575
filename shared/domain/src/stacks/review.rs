//! The content of a change set that a question shows: the values of parameters before and after, and the access that
//! changes.

use crate::model::resource_change::Change;
use crate::records::{ParameterChange, Review, ShownValue};
use crate::stacks::access::{self, Side};
use crate::stacks::template::Template;
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
    let side = before.and_then(|before| before.template).map(|template| Side { template, parameters: &old });
    let found = access::review(side, Side { template: after.template, parameters: &new }, after.changes);
    let mut unseen = found.unseen;
    if before.is_some_and(|before| before.template.is_none()) {
        unseen.push("the template that runs cannot be read: all access is shown as new".to_owned());
    }
    Review { parameters, late: Vec::new(), access: found.changes, unseen }
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
        let before = Before { template: Some(&template), parameters: &old, recorded: recorded.as_ref() };
        let after = After { template: &template, parameters: &new, overrides: &overrides, changes: &[] };
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
        let after = After { template: &template, parameters: &new, overrides: &none, changes: &[] };
        let found = review(None, after);
        assert_eq!(found.parameters.len(), 2);
        assert!(found.access[0].is_new && found.unseen.is_empty());
        let before = Before { template: None, parameters: &new, recorded: None };
        let found = review(Some(before), after);
        assert!(found.parameters.is_empty() && found.access[0].is_new);
        assert_eq!(found.unseen, ["the template that runs cannot be read: all access is shown as new"]);
    }
}
