//! ARNs that an action applies to, as narrow as the template allows.

use super::policy::covers;
use super::table::{Action, ResourceType};
use super::values::{ANY, Presence, Values, collapsed, is_exact, segments};
use super::{MADE_BY_STACK, ResourceUse};
use crate::model::permission::Certainty;
use std::collections::BTreeSet;

/// Maximum number of resource formats of an action; an action with more gets one pattern for each service.
const FORMATS_MAX: usize = 8;

/// Number of characters of a logical id that CloudFormation keeps in a generated role name.
///
/// CloudFormation truncates the stack's name and the logical id, each at its end, if a name would be too long.
const LOGICAL_ID_KEPT: usize = 16;

/// An ARN and its certainty.
pub(super) type On = (String, Certainty);

/// Resolver for the ARNs of one resource.
pub(super) struct Arns<'a> {
    pub(super) values: &'a Values<'a>,
    pub(super) place: &'a ResourceUse<'a>,
    pub(super) row: &'a ResourceType,
}

impl Arns<'_> {
    /// Returns the ARNs that `action` needs. An action that tags applies to the resource alone.
    pub(super) fn of(&self, name: &str, action: Option<&Action>, tagging: bool) -> Vec<On> {
        let Some(action) = action else { return vec![(ANY.to_owned(), Certainty::Open)] };
        if action.resources.is_empty() {
            return vec![(ANY.to_owned(), Certainty::Exact)];
        }
        let own = self.own(&action.resources);
        let is_own = |format: &String| self.row.arn.as_deref().is_some_and(|arn| same_shape(arn, format));
        let mut others = Vec::new();
        let mut found = own.clone();
        for format in &action.resources {
            match self.touched(name, format) {
                Some(touched) => found.extend(touched),
                None if !own.is_empty() && (tagging || is_own(format)) => {}
                None => others.push(format),
            }
        }
        if found.is_empty() && others.is_empty() {
            // The template does not say which resource it is.
            others.extend(&action.resources);
        }
        if others.len() > FORMATS_MAX {
            found.extend(others.iter().map(|format| (of_service(format), Certainty::Open)));
        } else {
            found.extend(others.iter().map(|format| self.by_properties(format)));
        }
        found = found.into_iter().flat_map(with_streams).collect();
        found.sort();
        found.dedup_by(|one, other| one.0 == other.0);
        found
    }

    /// Returns the ARNs of the resource itself that are of one of these formats.
    fn own(&self, formats: &[String]) -> Vec<On> {
        let Some(template) = self.row.arn.as_deref() else { return Vec::new() };
        let name = self.row.name.as_deref().map(|pointer| self.texts(pointer)).unwrap_or_default();
        let certainty = |arn: &String| match is_known(arn) {
            true => Certainty::Exact,
            false if name.iter().all(|name| is_exact_name(name)) => Certainty::Made,
            false => Certainty::Open,
        };
        let mut arns = self.filled(template);
        arns.retain(|arn| formats.iter().any(|format| covers(&shape(format), arn)));
        arns.into_iter().map(|arn| (arn.clone(), certainty(&arn))).collect()
    }

    /// Returns the ARNs of another resource that a property names; `None` if the table does not name the property.
    fn touched(&self, action: &str, format: &str) -> Option<Vec<On>> {
        let touches = |touch: &&super::Touch| {
            touch.actions.iter().any(|name| name == action) && same_shape(&touch.arn, format)
        };
        let mut known = self.row.touches.iter().filter(touches).peekable();
        known.peek()?;
        let set = known.filter(|touch| self.place.presence(self.values, &touch.property) != Presence::Unset);
        let arns = set.flat_map(|touch| self.filled(&touch.arn));
        Some(arns.map(|arn| (arn.clone(), certainty(&arn))).collect())
    }

    /// Returns a format of AWS, filled with the values of the properties that have the names of its variables.
    fn by_properties(&self, format: &str) -> On {
        let arn = fill(format, |variable| match self.texts(&format!("/{variable}")).as_slice() {
            [text] if !text.is_empty() => last_part(text).to_owned(),
            _ => ANY.to_owned(),
        });
        let certainty = certainty(&arn);
        (arn, certainty)
    }

    /// Returns the ARNs of a pattern of the table, in which `${/Pointer}` stands for a property.
    fn filled(&self, template: &str) -> Vec<String> {
        let several = variables(template).find(|variable| self.texts(pointer(variable).0).len() > 1);
        let alternatives = match several {
            Some(variable) => self.texts(pointer(variable).0),
            None => vec![String::new()],
        };
        let of = |alternative: &String| {
            fill(template, |variable| match Some(variable) == several {
                true => last_part(alternative).to_owned(),
                false => self.variable(variable),
            })
        };
        alternatives.iter().map(of).collect()
    }

    fn variable(&self, variable: &str) -> String {
        let (pointer, otherwise) = pointer(variable);
        match (self.texts(pointer).pop(), otherwise) {
            (Some(text), Otherwise::NothingOrSlash) => format!("{}/", last_part(&text)),
            (Some(text), _) => last_part(&text).to_owned(),
            (None, Otherwise::NothingOrSlash) => String::new(),
            (None, Otherwise::Text(text)) => text.to_owned(),
            (None, Otherwise::Any) if Some(pointer) == self.row.name.as_deref() => {
                made_name(self.place.kind, &self.place.entry.key)
            }
            (None, Otherwise::Any) => ANY.to_owned(),
        }
    }

    fn texts(&self, pointer: &str) -> Vec<String> {
        let nodes = self.values.nodes(self.place.properties, &segments(pointer));
        nodes.into_iter().flat_map(|node| self.values.texts(node)).collect()
    }
}

/// Value of a variable whose property is not set.
enum Otherwise<'t> {
    /// Any value that AWS generates.
    Any,
    /// A fixed text.
    Text(&'t str),
    /// An empty text; a property that is set is followed by a slash.
    NothingOrSlash,
}

fn pointer(variable: &str) -> (&str, Otherwise<'_>) {
    if let Some(pointer) = variable.strip_suffix('?') {
        return (pointer, Otherwise::NothingOrSlash);
    }
    match variable.split_once(':') {
        Some((pointer, text)) => (pointer, Otherwise::Text(text)),
        None => (variable, Otherwise::Any),
    }
}

/// Returns the name that CloudFormation generates for a resource, as far as it is the same for every stack.
pub(super) fn made_name(kind: &str, logical_id: &str) -> String {
    if !MADE_BY_STACK.contains(&kind) {
        return ANY.to_owned();
    }
    // The result of a loop's variable is unknown.
    let id = logical_id.split(['$', '&']).next().unwrap_or_default();
    format!("*-{}*", id.chars().take(LOGICAL_ID_KEPT).collect::<String>())
}

/// Returns the ARN of a role of this account.
pub(super) fn role(name: &str) -> String {
    collapsed(
        &format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{name}").replace("role//", "role/"),
    )
}

/// Returns the certainty of an ARN that the stack does not create.
pub(super) fn certainty(arn: &str) -> Certainty {
    if is_known(arn) { Certainty::Exact } else { Certainty::Open }
}

fn is_exact_name(name: &str) -> bool {
    is_exact(&without_pseudo(name))
}

fn is_known(arn: &str) -> bool {
    is_exact(&without_pseudo(arn))
}

/// Returns a text without the pseudo parameters, which are known once the stack exists.
fn without_pseudo(text: &str) -> String {
    PSEUDO.iter().fold(text.to_owned(), |text, (_, pseudo)| text.replace(pseudo, ""))
}

/// Variables of AWS's formats for which CloudFormation has pseudo parameters.
const PSEUDO: [(&str, &str); 3] =
    [("Partition", "${AWS::Partition}"), ("Region", "${AWS::Region}"), ("Account", "${AWS::AccountId}")];

/// Returns a format with `*` for its variables.
fn shape(format: &str) -> String {
    fill(format, |_| ANY.to_owned())
}

/// Returns true if two formats are equal apart from the names of their variables.
fn same_shape(one: &str, other: &str) -> bool {
    let (one, other) = (shape(one), shape(other));
    let kinds = |arn: &str| arn.split(':').nth(2).map(str::to_owned);
    kinds(&one) == kinds(&other) && (covers(&one, &other) || covers(&other, &one))
}

/// Returns a pattern for all resources of the format's service in the region.
fn of_service(format: &str) -> String {
    let start: Vec<&str> = format.splitn(5, ':').take(4).collect();
    fill(&format!("{}:*", start.join(":")), |_| ANY.to_owned())
}

/// Returns both ARNs of a log group, because actions differ in which of the two they check.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html>
fn with_streams((arn, certainty): On) -> impl Iterator<Item = On> {
    let is_group = arn.contains(":logs:") && arn.contains(":log-group:") && !arn.contains(":log-stream:");
    let streams = (is_group && !arn.ends_with('*')).then(|| (format!("{arn}:*"), certainty));
    std::iter::once((arn, certainty)).chain(streams)
}

/// Replaces the variables of a format.
fn fill(format: &str, value: impl Fn(&str) -> String) -> String {
    let mut made = String::new();
    let mut rest = format;
    while let Some(at) = rest.find("${") {
        made.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else { break };
        let variable = &rest[at + 2..at + end];
        match PSEUDO.iter().find(|(name, _)| *name == variable) {
            Some((_, pseudo)) => made.push_str(pseudo),
            None => made.push_str(&value(variable)),
        }
        rest = &rest[at + end + 1..];
    }
    made.push_str(rest);
    collapsed(&made.replace("//", "/"))
}

/// Returns the variables of a format that name a resource.
fn variables(format: &str) -> impl Iterator<Item = &str> {
    let found = format.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    found.filter(|variable| PSEUDO.iter().all(|(pseudo, _)| pseudo != variable))
}

fn last_part(text: &str) -> &str {
    if text.starts_with("arn:") { text.rsplit([':', '/']).next().unwrap_or(text) } else { text }
}

/// Returns the services that a role is passed to; `None` stands for any service.
pub(super) fn passed_to(row: &ResourceType) -> BTreeSet<Option<&String>> {
    match row.passed_to.is_empty() {
        true => [None].into(),
        false => row.passed_to.iter().map(Some).collect(),
    }
}
