//! Fixed names: names that a template gives to its resources and exports, whatever the stack is called.
//!
//! A second stack of the template, such as the test stack beside `ci`, cannot have them where they must be unique. The test
//! stack leaves such a name out if CloudFormation generates one and no other part of the component mentions it.

mod mention;
pub(crate) mod render;
#[cfg(test)]
mod tests;

use crate::model::error::Problem;
use crate::model::ids::StageName;
use crate::model::location::Location;
use crate::stacks::resource_rules::{NameRule, Scope, names};
use crate::stacks::template::node::{Entry, Node};
use crate::stacks::template::sections::loop_body;
use crate::stacks::template::{LeftOutName, Template};
use mention::Mentions;
use render::{Renderer, VARIES};
use std::collections::{BTreeMap, BTreeSet};

/// Text in a value that differs from stack to stack.
pub(crate) const VARYING: &str = VARIES;

/// Values of a template in one stage.
#[derive(Clone, Debug)]
pub(crate) struct StageValues {
    pub(crate) stage: StageName,
    pub(crate) location: Location,
    /// Parameters with a value. A value that depends on the release or the stack contains [`VARYING`].
    pub(crate) parameters: BTreeMap<String, String>,
    /// Values of `Ref` to pseudo parameters and resources, as far as the stack is known.
    pub(crate) references: BTreeMap<String, String>,
}

/// Names of a component that its stacks share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FixedNames {
    /// Names that the test stack leaves out.
    pub(crate) left_out: BTreeSet<LeftOutName>,
    /// Names that the test stack cannot have, and cannot leave out.
    pub(crate) problems: Vec<Problem>,
    /// What happens to the other names.
    pub(crate) hints: Vec<Problem>,
    /// True if two test stacks of the component cannot exist at once.
    pub(crate) serial_tests: bool,
}

/// A name that a stack claims.
#[derive(Clone, Debug)]
struct Claim<'n> {
    logical_id: &'n str,
    kind: &'n str,
    /// Path of the property; `None` for an export.
    property: Option<&'static str>,
    generated: bool,
    scope: Scope,
    line: u32,
    /// The name.
    name: String,
    /// The name with the values within which it is unique.
    key: String,
    node: &'n Node,
}

impl Claim<'_> {
    fn what(&self) -> String {
        match self.property {
            Some(property) => format!("{} '{}'", property.replace('/', "."), shown(&self.name)),
            None => format!("export '{}'", shown(&self.name)),
        }
    }

    fn is_same(&self, other: &Claim<'_>) -> bool {
        (self.kind, self.property, &self.key) == (other.kind, other.property, &other.key)
    }
}

/// Finds the fixed names of a template. `stages` begins with `test`. `files` are the other texts of the component that may
/// mention a name, by path.
pub(crate) fn judge(
    file: &str,
    template: &Template,
    stages: &[StageValues],
    files: &BTreeMap<String, String>,
) -> FixedNames {
    let mut found = FixedNames::default();
    let Some((test, others)) = stages.split_first() else { return found };
    let root = template.root();
    let renderer = Renderer::new(root, template.parameters(), test);
    let claims = claims(root, &renderer);
    let elsewhere: Vec<_> = others.iter().map(|stage| (stage, claims_in(root, template, stage))).collect();
    let shared = shared(&claims, test, &elsewhere);
    found.serial_tests = shared.len() < claims.len();
    let omitted: Vec<&Node> =
        shared.iter().filter(|(claim, _)| claim.generated).map(|(c, _)| c.node).collect();
    let mentions = Mentions::new(root, &renderer, &omitted, files);
    for (claim, stages) in shared {
        let place = place(claim.scope, &stages);
        let needed = match claim.generated {
            false => Some(format!("{} cannot be without this name", claim.kind)),
            true => mentions.of(&claim.name).map(|place| format!("{place} mentions it")),
        };
        match needed {
            None => {
                let message = format!(
                    "{}: the test stack leaves out the {}, which {place}",
                    claim.logical_id,
                    claim.what()
                );
                found.hints.push(Problem::at(file, claim.line, message));
                found.left_out.insert(LeftOutName {
                    logical_id: claim.logical_id.to_owned(),
                    property: claim.property.map(str::to_owned),
                });
            }
            Some(why) => found.problems.push(Problem::at(file, claim.line, refusal(claim, &place, &why))),
        }
    }
    found.hints.extend(later_clashes(file, &elsewhere));
    found
}

/// A template as one nested stack runs it in one stage.
#[derive(Clone, Debug)]
pub(crate) struct NestedStack<'a> {
    /// Logical ids of the nested stacks down to this one, each with a dot behind it.
    pub(crate) path: String,
    pub(crate) template: &'a Template,
    pub(crate) values: StageValues,
}

/// Finds the fixed names of nested stacks, with the values that their parents pass. The test stack cannot leave them out.
/// `stages` begins with the nested stacks of `test`.
pub(crate) fn judge_nested(stages: &[Vec<NestedStack<'_>>]) -> FixedNames {
    let mut found = FixedNames::default();
    let Some((test, others)) = stages.split_first() else { return found };
    for stack in test {
        let (template, values) = (stack.template, &stack.values);
        let claims = claims_in(template.root(), template, values);
        let same = others.iter().flatten().filter(|other| other.path == stack.path);
        let elsewhere: Vec<_> = same
            .map(|other| (&other.values, claims_in(other.template.root(), other.template, &other.values)))
            .collect();
        let shared = shared(&claims, values, &elsewhere);
        found.serial_tests |= shared.len() < claims.len();
        found.problems.extend(shared.iter().map(|(claim, stages)| {
            let message = refusal(claim, &place(claim.scope, stages), "the template is a nested one");
            Problem::at(template.file(), claim.line, message)
        }));
    }
    found.problems.sort();
    found.problems.dedup();
    found
}

/// Returns the claims of `test` that later stages have too, with these stages.
fn shared<'c, 's>(
    claims: &'c [Claim<'c>],
    test: &StageValues,
    elsewhere: &[(&'s StageValues, Vec<Claim<'_>>)],
) -> Vec<(&'c Claim<'c>, Vec<&'s StageValues>)> {
    let with_stages = claims.iter().map(|claim| {
        let has_it = elsewhere.iter().filter(|(stage, theirs)| {
            meets(claim, test, stage) && theirs.iter().any(|other| claim.is_same(other))
        });
        (claim, has_it.map(|(stage, _)| *stage).collect::<Vec<_>>())
    });
    with_stages.filter(|(_, stages)| !stages.is_empty()).collect()
}

fn refusal(claim: &Claim<'_>, place: &str, why: &str) -> String {
    format!(
        "{}: the {} {place}, so no test stack can be made beside it; {why}, so the test stack cannot leave it out; make it \
         differ with ${{AWS::StackName}} or a parameter that holds ${{stage}}, or give `test` an account of its own in \
         stages.toml",
        claim.logical_id,
        claim.what()
    )
}

fn place(scope: Scope, stages: &[&StageValues]) -> String {
    let names: Vec<&str> = stages.iter().map(|stage| stage.stage.as_str()).collect();
    let names = names.join(", ");
    match scope {
        Scope::World => format!("{names} has too: it is unique in all accounts"),
        Scope::Account => format!("{names} has in the same account"),
        Scope::Region => format!("{names} has in the same account and region"),
    }
}

/// Returns a hint for each name that two stages after `test` share. One of them can be deployed.
fn later_clashes(file: &str, stages: &[(&StageValues, Vec<Claim<'_>>)]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (at, (stage, claims)) in stages.iter().enumerate() {
        for claim in claims {
            let earlier = stages[..at].iter().find(|(other, theirs)| {
                meets(claim, stage, other) && theirs.iter().any(|other| claim.is_same(other))
            });
            if let Some((other, _)) = earlier {
                let message = format!(
                    "{}: `{}` and `{}` would both have the {}, which is unique; whichever is deployed second fails",
                    claim.logical_id,
                    other.stage,
                    stage.stage,
                    claim.what()
                );
                found.push(Problem::at(file, claim.line, message));
            }
        }
    }
    found
}

/// Returns true if a name of the claim's scope must differ between two stages.
fn meets(claim: &Claim<'_>, one: &StageValues, other: &StageValues) -> bool {
    match claim.scope {
        Scope::Region => one.location == other.location,
        Scope::Account => one.location.account == other.location.account,
        Scope::World => true,
    }
}

fn claims_in<'n>(root: &'n Node, template: &'n Template, stage: &StageValues) -> Vec<Claim<'n>> {
    claims(root, &Renderer::new(root, template.parameters(), stage))
}

/// Returns the fixed names of the resources and exports that a stage has.
fn claims<'n>(root: &'n Node, renderer: &Renderer<'_>) -> Vec<Claim<'n>> {
    let mut found = Vec::new();
    for resource in declared(root, "Resources") {
        let kind = resource.node.get("Type").and_then(Node::as_text).unwrap_or_default();
        if renderer.exists(&resource.node) {
            found.extend(names(kind).iter().filter_map(|rule| of_resource(resource, kind, rule, renderer)));
        }
    }
    for output in declared(root, "Outputs").into_iter().filter(|output| renderer.exists(&output.node)) {
        found.extend(of_export(output, renderer));
    }
    found
}

fn of_resource<'n>(
    resource: &'n Entry,
    kind: &'n str,
    rule: &NameRule,
    renderer: &Renderer<'_>,
) -> Option<Claim<'n>> {
    let properties = resource.node.get("Properties")?;
    let (line, node) = property(properties, rule.name)?;
    let name = renderer.text(node)?;
    let within = rule
        .within
        .iter()
        .map(|path| property(properties, path).and_then(|(_, node)| renderer.text(node)).unwrap_or_default());
    let key = std::iter::once(name.clone()).chain(within).collect::<Vec<_>>().join("\u{2}");
    (!key.contains(VARIES)).then_some(Claim {
        logical_id: &resource.key,
        kind,
        property: Some(rule.name),
        generated: rule.generated,
        scope: rule.scope,
        line,
        name,
        key,
        node,
    })
}

fn of_export<'n>(output: &'n Entry, renderer: &Renderer<'_>) -> Option<Claim<'n>> {
    let entry = output.node.get("Export")?.entry("Name")?;
    let name = renderer.text(&entry.node)?;
    (!name.contains(VARIES)).then(|| Claim {
        logical_id: &output.key,
        kind: "an export",
        property: None,
        generated: true,
        scope: Scope::Region,
        line: entry.line,
        key: name.clone(),
        name,
        node: &entry.node,
    })
}

/// Returns the property at `path` with the line of its key.
fn property<'n>(properties: &'n Node, path: &str) -> Option<(u32, &'n Node)> {
    let mut found = (properties.line, properties);
    for part in path.split('/') {
        let entry = found.1.entry(part)?;
        found = (entry.line, &entry.node);
    }
    Some(found)
}

/// Returns the declarations of a section, those in loops included.
pub(crate) fn declared<'n>(root: &'n Node, section: &str) -> Vec<&'n Entry> {
    fn collect<'n>(entries: &'n [Entry], into: &mut Vec<&'n Entry>) {
        for entry in entries {
            match loop_body(entry) {
                Some(body) => collect(body, into),
                None => into.push(entry),
            }
        }
    }
    let mut found = Vec::new();
    collect(root.get(section).and_then(Node::entries).unwrap_or_default(), &mut found);
    found
}

/// Returns a name for a message.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}
