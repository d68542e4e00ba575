//! Permissions of nested stacks whose templates are in the release.

use super::values::{Values, one};
use super::{Needs, ResourceUse, Table, TemplateContext, Unknown, needs_with_nested};
use crate::model::permission::{Level, Need};
use crate::stacks::template::node::Node;
use crate::stacks::template::{Parameter, Template};

/// Returns the templates that the address of a nested stack names: more than one if a condition decides.
pub type NestedTemplates<'t> = dyn Fn(&str) -> Vec<&'t Template> + 't;

/// Returns the needs of a nested stack, with the path of each resource and the line of the nested stack; `None` if its
/// template is not in the release.
pub(super) fn needs_of_nested(
    place: &ResourceUse<'_>,
    values: &Values<'_>,
    table: &Table,
    known: &TemplateContext,
    nested: &NestedTemplates<'_>,
) -> Option<Needs> {
    let address = place.properties.get("TemplateURL")?.to_json().to_string();
    let templates = nested(&address);
    let is_one = templates.len() == 1;
    let mut all = Needs::default();
    for template in &templates {
        let context = context(place, values, known, template);
        let theirs = needs_with_nested(template, table, &context, nested);
        all.needs.extend(theirs.needs.into_iter().map(|need| below(place, need, is_one)));
        all.unknown.extend(theirs.unknown.into_iter().map(|unknown| unknown_below(place, unknown)));
    }
    (!templates.is_empty()).then_some(all)
}

/// Returns what is known of a nested stack: its name up to a random part, the parameters that its parent passes, and the
/// defaults of the others.
fn context(
    place: &ResourceUse<'_>,
    values: &Values<'_>,
    known: &TemplateContext,
    template: &Template,
) -> TemplateContext {
    let given = place.properties.get("Parameters").and_then(Node::entries).unwrap_or_default();
    let value = |(name, parameter): (&String, &Parameter)| {
        let passed = given.iter().find(|entry| entry.key == *name);
        let text = match passed {
            Some(entry) => one(values.texts(&entry.node)),
            None => parameter.default.clone()?,
        };
        Some((name.clone(), text))
    };
    TemplateContext {
        parameters: template.parameters().iter().filter_map(value).collect(),
        stack: known.stack.as_ref().map(|stack| format!("{stack}-{}-*", place.entry.key)),
        ..known.clone()
    }
}

fn below(place: &ResourceUse<'_>, need: Need, is_one: bool) -> Need {
    let (level, because) = match is_one {
        true => (need.level, need.because),
        false => (Level::Conditional, format!("one of several templates needs it; {}", need.because)),
    };
    Need {
        line: place.entry.line,
        resource: format!("{}.{}", place.entry.key, need.resource),
        level,
        because,
        ..need
    }
}

fn unknown_below(place: &ResourceUse<'_>, unknown: Unknown) -> Unknown {
    let resource = match unknown.resource.as_str() {
        "" => place.entry.key.clone(),
        id => format!("{}.{id}", place.entry.key),
    };
    Unknown { line: place.entry.line, resource, ..unknown }
}
