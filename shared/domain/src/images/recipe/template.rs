//! Packer's HCL, checked for problems that would fail a build, or that would make an image that Lockstep does not
//! accept.
//!
//! The language is that of <https://developer.hashicorp.com/packer/docs/templates/hcl_templates>, the source that of
//! <https://developer.hashicorp.com/packer/integrations/hashicorp/amazon/latest/components/builder/ebs>.

use super::allowed::{Position, REFUSED, names};
use super::expressions::BRACE;
use super::{builder, requirements, types};
use crate::delivery::archive::Files;
use crate::model::error::Problem;
use crate::model::ids::AccountId;
use crate::model::toml_file::suggestion;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::visit::{Visit, visit_attr, visit_traversal};
use hcl_edit::{Span, parser};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Variables whose values Lockstep provides. A recipe declares those that it uses, without a default. The last three are
/// settings of the account: its `lockstep accounts add` gives the network and the instance profile of builds.
pub const GIVEN: [&str; 7] =
    ["region", "ami_name", "source_ami", "tags", "subnet_id", "security_group_id", "iam_instance_profile"];

/// Attributes of the source that must have such a variable as their value.
const BOUND: [(&str, &str); 7] = [
    ("region", "region"),
    ("ami_name", "ami_name"),
    ("source_ami", "source_ami"),
    ("tags", "tags"),
    ("snapshot_tags", "tags"),
    ("run_tags", "tags"),
    ("run_volume_tags", "tags"),
];

/// Attributes of the source that may be left out, and otherwise must have the variable of the same name as their value.
const BOUND_IF_PRESENT: [&str; 3] = ["subnet_id", "security_group_id", "iam_instance_profile"];

/// File in which the build's last step finds the result.
pub(super) const MANIFEST: &str = "manifest.json";

/// The `*.pkr.hcl` files of a recipe.
#[derive(Clone, Debug, Default)]
pub struct HclTemplate {
    declared: BTreeMap<String, Declared>,
    problems: Vec<Problem>,
    hints: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Declared {
    file: String,
    line: u32,
    has_default: bool,
    of_type: Option<String>,
}

/// A file during the check.
pub(super) struct File<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) body: Body,
}

/// Returns true if Packer reads the file as a part of its template: it reads only the files of the folder itself.
pub(super) fn is_read_by_packer(name: &str) -> bool {
    name.ends_with(".pkr.hcl") && !name.contains('/')
}

impl HclTemplate {
    /// Parses the `*.pkr.hcl` among a recipe's files; returns the lines that are not HCL.
    pub fn parse(files: &Files) -> Result<Self, Vec<Problem>> {
        let (mut parsed, mut problems) = (Vec::new(), Vec::new());
        for (name, bytes) in files.iter().filter(|(name, _)| is_read_by_packer(name)) {
            let read =
                std::str::from_utf8(bytes).map_err(|_| Problem::at(name.clone(), None, "is not UTF-8 text"));
            match read.and_then(|text| File::parse(name, text)) {
                Ok(file) => parsed.push(file),
                Err(problem) => problems.push(problem),
            }
        }
        if parsed.is_empty() && problems.is_empty() {
            problems.push(Problem::at("", None, "has no *.pkr.hcl: Packer's template is missing"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(judge(&parsed, files))
    }

    /// Returns the problems of the template.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the hints about the template, which refuse nothing.
    pub fn hints(&self) -> &[Problem] {
        &self.hints
    }

    /// Returns true if the template declares the variable `name`.
    pub fn declares(&self, name: &str) -> bool {
        self.declared.contains_key(name)
    }

    fn declare(&mut self, file: &File<'_>, node: &impl Span, name: String, declared: Declared) {
        if GIVEN.contains(&name.as_str()) && declared.has_default {
            let message = format!("Lockstep gives `{name}` itself: leave its default out");
            self.problems.push(file.problem(node, message));
        }
        if let Some(first) = self.declared.get(&name) {
            let message =
                format!("the variable `{name}` is declared already, in {}:{}", first.file, first.line);
            self.problems.push(file.problem(node, message));
            return;
        }
        self.declared.insert(name, declared);
    }

    /// Returns those of the values for which the template declares a variable.
    pub(super) fn declared_of(&self, values: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        values.into_iter().filter(|(name, _)| self.declares(name)).collect()
    }

    /// Returns a problem for each override without a declared variable, and for each of Lockstep's own variables.
    pub(super) fn unknown_overrides(&self, overrides: Option<&BTreeMap<String, String>>) -> Vec<Problem> {
        let given = overrides.into_iter().flatten();
        let wrong =
            given.filter_map(|(name, text)| match (GIVEN.contains(&name.as_str()), self.declares(name)) {
                (true, _) => Some(format!("the override `{name}`: Lockstep gives `{name}` itself")),
                (false, true) if text.contains('{') => Some(format!("the override `{name}` {BRACE}")),
                (false, true) => None,
                (false, false) => {
                    let hint = suggestion(name, self.declared.keys());
                    Some(format!("the override `{name}`: no *.pkr.hcl declares such a variable{hint}"))
                }
            });
        wrong.map(|message| Problem::at("", None, message)).collect()
    }

    /// Returns the variables without a value in `account`, and those whose value has another type.
    pub(super) fn missing(&self, values: &BTreeMap<String, Value>, account: &AccountId) -> Vec<Problem> {
        self.judge_values(values, &format!(" for account {account}"), |_| false)
    }

    /// Returns the variables without a value in any layer, and those whose default value has another type. `elsewhere` is
    /// true for a variable that a layer of an account gives.
    pub(super) fn missing_by_default(
        &self,
        values: &BTreeMap<String, Value>,
        elsewhere: impl Fn(&str) -> bool,
    ) -> Vec<Problem> {
        self.judge_values(values, "", elsewhere)
    }

    fn judge_values(
        &self,
        values: &BTreeMap<String, Value>,
        place: &str,
        elsewhere: impl Fn(&str) -> bool,
    ) -> Vec<Problem> {
        let own = self.declared.iter().filter(|(name, _)| !GIVEN.contains(&name.as_str()));
        let wrong = own.filter_map(|(name, declared)| {
            let message = match values.get(name) {
                None if declared.has_default || elsewhere(name) => return None,
                None => format!(
                    "the variable `{name}` has no value{place}; give it a default, or a value in {}",
                    super::VARIABLES
                ),
                Some(value) => {
                    let wanted = declared.of_type.as_deref().filter(|wanted| !types::fits(value, wanted))?;
                    format!("the variable `{name}` is a {wanted}, but its value{place} is not")
                }
            };
            Some(Problem::at(declared.file.clone(), Some(declared.line), message))
        });
        wrong.collect()
    }
}

impl<'a> File<'a> {
    fn parse(name: &'a str, text: &'a str) -> Result<Self, Problem> {
        let body = parser::parse_body(text).map_err(|error| {
            let line = u32::try_from(error.location().line()).ok();
            Problem::at(name, line, format!("is no HCL: {}", error.message()))
        })?;
        Ok(Self { name, text, body })
    }

    /// Returns the line of a node.
    pub(super) fn line(&self, node: &impl Span) -> Option<u32> {
        let start = node.span()?.start;
        let lines = self.text.get(..start)?.bytes().filter(|byte| *byte == b'\n').count();
        u32::try_from(lines + 1).ok()
    }

    /// Returns the text of a node.
    pub(super) fn source(&self, node: &impl Span) -> &'a str {
        node.span().and_then(|span| self.text.get(span)).unwrap_or_default().trim()
    }

    /// Returns a problem at the line of a node.
    pub(super) fn problem(&self, node: &impl Span, message: impl Into<String>) -> Problem {
        Problem::at(self.name, self.line(node), message)
    }
}

fn judge(parsed: &[File<'_>], files: &Files) -> HclTemplate {
    let mut template = HclTemplate::default();
    for file in parsed {
        for attribute in file.body.attributes() {
            let message = format!("`{}` stands outside of every block", attribute.key.as_str());
            template.problems.push(file.problem(attribute, message));
        }
        for block in file.body.blocks() {
            if let Some(message) = why_no_block(block.ident.as_str()) {
                template.problems.push(file.problem(block, message));
            }
        }
        declare(file, &mut template);
        template.problems.extend(builder::judge(file));
    }
    template.problems.extend(builder::judge_plugins(parsed));
    judge_uses(parsed, &mut template);
    template.problems.extend(requirements::judge(parsed));
    judge_sources(parsed, &mut template);
    judge_build(parsed, files, &mut template);
    template
}

/// Returns the reason against a block outside of every other one, or `None` if a recipe may hold it.
fn why_no_block(name: &str) -> Option<String> {
    let allowed: Vec<&str> = names(Position::Template).map(|name| name.trim_end_matches(" {}")).collect();
    if allowed.contains(&name) {
        return None;
    }
    let refused = format!("{name} {{}}");
    let known =
        REFUSED.iter().find(|(place, names, _)| *place == Position::Template && names.contains(&&*refused));
    let hint = match known {
        Some((.., why)) => format!(": {why}"),
        None => suggestion(name, &allowed),
    };
    Some(format!("`{name}` is no block that a recipe may hold{hint}; these are: {}", allowed.join(", ")))
}

fn declare(file: &File<'_>, template: &mut HclTemplate) {
    declare_short(file, template);
    for block in file.body.get_blocks("variable") {
        let Some(name) = block.labels.first().map(|label| label.as_str().to_owned()) else {
            template.problems.push(file.problem(block, "a variable needs a name"));
            continue;
        };
        let declared = Declared {
            file: file.name.to_owned(),
            line: file.line(block).unwrap_or(1),
            has_default: block.body.has_attribute("default"),
            of_type: block.body.get_attribute("type").map(|of| file.source(&of.value).to_owned()),
        };
        template.declare(file, block, name, declared);
    }
}

/// Declares the variables of the blocks `variables`, each of which is `name = default`.
fn declare_short(file: &File<'_>, template: &mut HclTemplate) {
    for attribute in file.body.get_blocks("variables").flat_map(|block| block.body.attributes()) {
        let declared = Declared {
            file: file.name.to_owned(),
            line: file.line(attribute).unwrap_or(1),
            has_default: true,
            of_type: None,
        };
        template.declare(file, attribute, attribute.key.as_str().to_owned(), declared);
    }
}

/// Collector for every `var.<name>` and `local.<name>` of a file, with the place of the name.
#[derive(Default)]
pub(super) struct References(pub(super) Vec<(String, String, Option<std::ops::Range<usize>>)>);

impl Visit for References {
    fn visit_traversal(&mut self, node: &Traversal) {
        let root = node.expr.as_variable().map(|variable| variable.as_str());
        if let (Some(root @ ("var" | "local")), Some(TraversalOperator::GetAttr(name))) =
            (root, node.operators.first().map(hcl_edit::Decorated::value))
        {
            self.0.push((root.to_owned(), name.as_str().to_owned(), name.span()));
        }
        visit_traversal(self, node);
    }
}

fn judge_uses(parsed: &[File<'_>], template: &mut HclTemplate) {
    let locals: BTreeSet<String> = parsed.iter().flat_map(locals).collect();
    let mut used = BTreeSet::new();
    for file in parsed {
        let mut uses = References::default();
        uses.visit_body(&file.body);
        used.extend(uses.0.iter().filter(|(root, ..)| root == "var").map(|(_, name, _)| name.clone()));
        for (root, name, span) in uses.0 {
            let (what, hint) = match root.as_str() {
                "var" if !template.declares(&name) => {
                    ("variable", suggestion(&name, template.declared.keys()))
                }
                "local" if !locals.contains(&name) => ("local", suggestion(&name, &locals)),
                _ => continue,
            };
            let line = span.map(|span| file.text[..span.start].bytes().filter(|b| *b == b'\n').count() + 1);
            let message = format!("`{root}.{name}` is used, but no {what} `{name}` is declared{hint}");
            let line = line.and_then(|line| u32::try_from(line).ok());
            template.problems.push(Problem::at(file.name, line, message));
        }
    }
    let unused = template.declared.iter().filter(|(name, _)| !used.contains(*name));
    let hints = unused.map(|(name, declared)| {
        let message = format!("nothing uses the variable `{name}`; remove it, or use `var.{name}`");
        Problem::at(declared.file.clone(), Some(declared.line), message)
    });
    template.hints.extend(hints.collect::<Vec<_>>());
}

/// Returns the names of the locals that a file declares.
fn locals(file: &File<'_>) -> Vec<String> {
    let many = file.body.get_blocks("locals").flat_map(|block| block.body.attributes());
    let many = many.map(|attribute| attribute.key.as_str().to_owned());
    let single = file.body.get_blocks("local").filter_map(|block| block.labels.first());
    many.chain(single.map(|label| label.as_str().to_owned())).collect()
}

fn judge_sources(parsed: &[File<'_>], template: &mut HclTemplate) {
    let sources: Vec<(&File<'_>, &Block)> = parsed
        .iter()
        .flat_map(|file| file.body.get_blocks("source").map(move |block| (file, block)))
        .collect();
    if sources.is_empty() {
        let message = "has no source; write `source \"amazon-ebs\" \"image\" { ... }`";
        template.problems.push(Problem::at("", None, message));
    }
    for (file, further) in sources.iter().skip(1) {
        let message = "is a second source; a recipe makes one image";
        template.problems.push(file.problem(*further, message));
    }
    let Some((file, source)) = sources.first() else { return };
    if source.labels.first().map(|label| label.as_str()) != Some("amazon-ebs") {
        template.problems.push(file.problem(*source, "the source must be of the kind \"amazon-ebs\""));
    }
    for (name, variable) in BOUND {
        let wanted = format!("var.{variable}");
        let found = source.body.get_attribute(name);
        if found.map(|attribute| file.source(&attribute.value)) != Some(wanted.as_str()) {
            let message = format!("the source must have `{name} = {wanted}`: Lockstep gives the value");
            template.problems.push(match found {
                Some(attribute) => file.problem(attribute, message),
                None => file.problem(*source, message),
            });
        }
    }
    for name in BOUND_IF_PRESENT {
        let wanted = format!("var.{name}");
        let found = source.body.get_attribute(name);
        if let Some(other) = found.filter(|attribute| file.source(&attribute.value) != wanted) {
            let message = format!(
                "must be `{name} = {wanted}`: Lockstep gives what lockstep accounts add set for the account"
            );
            template.problems.push(file.problem(other, message));
        }
    }
    judge_metadata(file, source, template);
}

/// Requires IMDSv2 for the build's instance and for all instances launched from the image.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
fn judge_metadata(file: &File<'_>, source: &Block, template: &mut HclTemplate) {
    let text = |attribute: Option<&Attribute>| attribute.and_then(|a| a.value.as_str().map(str::to_owned));
    let mut options = source.body.get_blocks("metadata_options");
    if options.next().and_then(|block| text(block.body.get_attribute("http_tokens"))).as_deref()
        != Some("required")
    {
        let message = "the source must have `metadata_options { http_tokens = \"required\" ... }`: IMDSv2 while it is built";
        template.problems.push(file.problem(source, message));
    }
    if text(source.body.get_attribute("imds_support")).as_deref() != Some("v2.0") {
        let message =
            "the source must have `imds_support = \"v2.0\"`: IMDSv2 for whatever is launched from the image";
        template.problems.push(file.problem(source, message));
    }
}

fn judge_build(parsed: &[File<'_>], files: &Files, template: &mut HclTemplate) {
    let builds: Vec<(&File<'_>, &Block)> = parsed
        .iter()
        .flat_map(|file| file.body.get_blocks("build").map(move |block| (file, block)))
        .collect();
    let [(file, build)] = builds[..] else {
        let message = format!("has {} build blocks; write exactly one", builds.len());
        template.problems.push(Problem::at("", None, message));
        return;
    };
    let source = parsed.iter().flat_map(|file| file.body.get_blocks("source")).next();
    let named = source.map(|source| {
        let labels: Vec<&str> = source.labels.iter().map(|label| label.as_str()).collect();
        format!("source.{}", labels.join("."))
    });
    let listed = build.body.get_attribute("sources");
    let items: Vec<&str> = listed
        .and_then(|list| list.value.as_array())
        .into_iter()
        .flat_map(|list| list.iter().filter_map(Expression::as_str))
        .collect();
    let is_named = |named: &str| items == [named] || items == [named.trim_start_matches("source.")];
    if let Some(named) = named.filter(|named| !is_named(named)) {
        let message = format!("the build must have `sources = [\"{named}\"]`");
        template.problems.push(file.problem(build, message));
    }
    let manifest = blocks(build, "post-processor").into_iter().find(|block| block.has_labels(&["manifest"]));
    let output = manifest.and_then(|block| block.body.get_attribute("output")?.value.as_str());
    if output != Some(MANIFEST) {
        let message = format!(
            "the build must have `post-processor \"manifest\" {{ output = \"{MANIFEST}\" }}`: it says what was made"
        );
        template.problems.push(file.problem(build, message));
    }
    for provisioner in build.body.get_blocks("provisioner") {
        let mut paths = Paths { file, files, problems: &mut template.problems };
        paths.visit_body(&provisioner.body);
    }
}

/// Returns the blocks called `name` in `block`, and those in its `post-processors`.
fn blocks<'b>(block: &'b Block, name: &'b str) -> Vec<&'b Block> {
    let chained = block.body.get_blocks("post-processors").flat_map(|chain| chain.body.get_blocks(name));
    block.body.get_blocks(name).chain(chained).collect()
}

/// Visitor for the files that a provisioner sends: each must exist.
struct Paths<'a, 'f> {
    file: &'a File<'f>,
    files: &'a Files,
    problems: &'a mut Vec<Problem>,
}

impl Visit for Paths<'_, '_> {
    fn visit_attr(&mut self, node: &Attribute) {
        match node.key.as_str() {
            "script" | "source" => self.judge(&node.value),
            "scripts" | "sources" => {
                for item in node.value.as_array().into_iter().flat_map(hcl_edit::expr::Array::iter) {
                    self.judge(item);
                }
            }
            _ => {}
        }
        visit_attr(self, node);
    }
}

impl Paths<'_, '_> {
    fn judge(&mut self, value: &Expression) {
        let written = self.file.source(value);
        let Some(path) = written.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return };
        let path = path.strip_prefix("${path.root}/").unwrap_or(path);
        // A path that leaves the recipe is refused elsewhere.
        if !builder::within(written) {
            return;
        }
        let path = path.trim_start_matches("./");
        let folder = format!("{}/", path.trim_end_matches('/'));
        let there = self.files.contains_key(path) || self.files.keys().any(|name| name.starts_with(&folder));
        if !there {
            self.problems.push(self.file.problem(value, format!("the recipe has no file `{path}`")));
        }
    }
}
