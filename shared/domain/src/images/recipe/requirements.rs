//! Requirements of Packer and its plugin, which every build would fail without.
//!
//! They are those of the `Prepare` functions of Packer 1.16 and of the Amazon plugin 1.8, which run before anything is
//! launched.

use super::template::{File, References};
use super::types;
use crate::model::error::Problem;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::visit::Visit;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that give a script to a provisioner. Packer takes exactly one.
const SCRIPTS: [&str; 3] = ["inline", "script", "scripts"];

/// Attributes that give a file to a provisioner.
const FILES: [&str; 3] = ["content", "source", "sources"];

/// Returns what every build with these templates would fail for.
pub(super) fn judge(parsed: &[File<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in parsed {
        for block in file.body.blocks() {
            match block.ident.as_str() {
                "source" => source(file, block, &mut problems),
                "build" => build(file, block, &mut problems),
                "variable" => default(file, &block.body, &mut problems),
                "variables" => {
                    block.body.attributes().for_each(|attribute| constant(file, attribute, &mut problems));
                }
                "local" => {
                    require(file, block, "local", &["expression"], &mut problems);
                }
                _ => {}
            }
        }
    }
    problems.extend(locals(parsed));
    problems
}

fn require(file: &File<'_>, block: &Block, what: &str, names: &[&str], problems: &mut Vec<Problem>) {
    for name in names {
        if !block.body.has_attribute(name) {
            problems.push(file.problem(block, format!("the {what} must have `{name}`: Packer requires it")));
        }
    }
}

fn source(file: &File<'_>, block: &Block, problems: &mut Vec<Problem>) {
    let communicator = block.body.get_attribute("communicator").and_then(|found| found.value.as_str());
    let user = if communicator == Some("winrm") { "winrm_username" } else { "ssh_username" };
    if !block.body.has_attribute(user) {
        let message = format!("the source must have `{user}`: Packer connects as that user");
        problems.push(file.problem(block, message));
    }
    require(file, block, "source", &["instance_type"], problems);
    for device in block.body.blocks().filter(|block| block.ident.ends_with("_block_device_mappings")) {
        require(file, device, "block device", &["device_name"], problems);
    }
}

fn build(file: &File<'_>, block: &Block, problems: &mut Vec<Problem>) {
    for provisioner in block.body.get_blocks("provisioner") {
        let kind = provisioner.labels.first().map(|label| label.as_str()).unwrap_or_default();
        let has = |names: &[&str]| names.iter().filter(|name| provisioner.body.has_attribute(name)).count();
        match kind {
            "shell" | "powershell" | "windows-shell" if has(&SCRIPTS) != 1 => {
                let message =
                    format!("the provisioner \"{kind}\" must have one of `inline`, `script` and `scripts`");
                problems.push(file.problem(provisioner, message));
            }
            "file" => {
                require(file, provisioner, "provisioner \"file\"", &["destination"], problems);
                let is_download = provisioner.body.get_attribute("direction").is_some();
                if has(&FILES) == 0 && !is_download {
                    let message = "the provisioner \"file\" must have `content`, `source` or `sources`";
                    problems.push(file.problem(provisioner, message));
                }
            }
            "sleep" => require(file, provisioner, "provisioner \"sleep\"", &["duration"], problems),
            _ => {}
        }
    }
}

/// Judges the default of a variable: a constant of its type.
fn default(file: &File<'_>, body: &Body, problems: &mut Vec<Problem>) {
    let Some(attribute) = body.get_attribute("default") else { return };
    constant(file, attribute, problems);
    let of_type = body.get_attribute("type").map(|of| file.source(&of.value));
    if let (Some(wanted), Some(value)) = (of_type, literal(&attribute.value))
        && !types::fits(&value, wanted)
    {
        problems.push(file.problem(attribute, format!("the variable is a {wanted}, but its default is not")));
    }
}

/// Returns the value of an expression that is written out; `None` for any other, and for `null` and maps.
fn literal(value: &Expression) -> Option<Value> {
    match value {
        Expression::String(text) => Some(Value::from(text.as_str())),
        Expression::Bool(flag) => Some(Value::from(*flag.value())),
        Expression::Number(number) => number.value().as_f64().map(Value::from),
        Expression::Array(items) => items.iter().map(literal).collect::<Option<Vec<_>>>().map(Value::from),
        _ => None,
    }
}

/// Refuses a reference in the default of a variable.
fn constant(file: &File<'_>, attribute: &Attribute, problems: &mut Vec<Problem>) {
    let mut uses = References::default();
    uses.visit_expr(&attribute.value);
    if let Some((root, name, _)) = uses.0.first() {
        let message = format!("the default of a variable cannot use `{root}.{name}`; write a local instead");
        problems.push(file.problem(attribute, message));
    }
}

/// Refuses locals that are declared twice or that need themselves.
fn locals(parsed: &[File<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut declared: BTreeMap<String, (BTreeSet<String>, Problem)> = BTreeMap::new();
    for file in parsed {
        for (name, attribute) in locals_of(file) {
            let mut uses = References::default();
            uses.visit_expr(&attribute.value);
            let needs =
                uses.0.into_iter().filter(|(root, ..)| root == "local").map(|(_, name, _)| name).collect();
            let circle =
                file.problem(attribute, format!("the local `{name}` needs itself; write its value out"));
            if declared.insert(name.clone(), (needs, circle)).is_some() {
                problems.push(file.problem(attribute, format!("the local `{name}` is declared already")));
            }
        }
    }
    for (name, (needs, circle)) in &declared {
        let (mut open, mut seen) = (needs.iter().collect::<Vec<_>>(), BTreeSet::new());
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(declared.get(next).into_iter().flat_map(|(needs, _)| needs));
            }
        }
        if seen.contains(name) {
            problems.push(circle.clone());
        }
    }
    problems
}

fn locals_of<'b>(file: &'b File<'_>) -> Vec<(String, &'b Attribute)> {
    let many = file.body.get_blocks("locals").flat_map(|block| block.body.attributes());
    let many = many.map(|attribute| (attribute.key.as_str().to_owned(), attribute));
    let single = file.body.get_blocks("local").filter_map(|block| {
        Some((block.labels.first()?.as_str().to_owned(), block.body.get_attribute("expression")?))
    });
    many.chain(single).collect()
}
