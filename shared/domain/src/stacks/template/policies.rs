//! Values of the deletion policies that a function returns, which the transform `AWS::LanguageExtensions` allows.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html>

use super::node::{Entry, Node, Value};
use super::shapes::function_of;

/// Returns every text that `node` may have as its value: of both branches of `Fn::If`, of each value of a mapping, of the
/// allowed values of a parameter. Returns `None` if one of them is unknown, and for a policy that is left out.
pub(super) fn values<'n>(root: &'n Node, node: &'n Node) -> Option<Vec<&'n Node>> {
    if let Value::Text(_) = &node.value {
        return Some(vec![node]);
    }
    let (entry, function) = function_of(node)?;
    match (function.name, entry.node.items().unwrap_or_default()) {
        ("Fn::If", [_, then, otherwise]) => all(root, [then, otherwise]),
        ("Fn::FindInMap", [name, top, second]) => found(root, name, top, second),
        ("Fn::FindInMap", [name, top, second, default]) => {
            let mut values = found(root, name, top, second)?;
            values.extend(self::values(root, default.get("DefaultValue")?)?);
            Some(values)
        }
        ("Ref", _) => {
            let parameter = root.get("Parameters")?.get(entry.node.as_text()?)?;
            all(root, parameter.get("AllowedValues")?.items()?)
        }
        _ => None,
    }
}

fn all<'n>(root: &'n Node, nodes: impl IntoIterator<Item = &'n Node>) -> Option<Vec<&'n Node>> {
    let lists: Option<Vec<_>> = nodes.into_iter().map(|node| values(root, node)).collect();
    lists.map(|lists| lists.concat()).filter(|values| !values.is_empty())
}

/// Returns the values that a lookup can reach.
fn found<'n>(root: &'n Node, name: &Node, top: &Node, second: &Node) -> Option<Vec<&'n Node>> {
    let mapping = root.get("Mappings")?.get(name.as_text()?)?;
    let reached = reached(mapping.entries()?, top).flat_map(|top| {
        let seconds = top.node.entries().unwrap_or_default();
        reached(seconds, second).map(|entry| &entry.node)
    });
    all(root, reached)
}

fn reached<'n, 'k>(entries: &'n [Entry], key: &'k Node) -> impl Iterator<Item = &'n Entry> + use<'n, 'k> {
    let key = key.as_text();
    entries.iter().filter(move |entry| key.is_none_or(|key| entry.key == key))
}
