//! Replaces the paths in templates by addresses, and gathers the objects behind them.

use super::code::{CodeFacts, CodeFiles, CodeJudgement, judge_function, judge_layer};
use super::facts::{FUNCTION, code_of_globals, facts};
use super::nodes::{address, become_stack, below, beside, child_mut, declare_bucket, each_value, visit};
use super::outputs::{self, NestedOutputs};
use super::paths::{is_local, resolve};
use super::properties::{Content, Form, GLOBALS, LocalProperty, PROPERTIES};
use super::stored::{self, Passed, Position, indirect, value_of};
use super::{ARTIFACT_BUCKET, LocalFiles, NestedTemplate, Reading, Text};
use crate::delivery::archive::{Files, pack_code, zip_entries};
use crate::model::error::{Problem, chain};
use crate::model::ids::Digest;
use crate::model::toml_file::suggestion;
use crate::stacks::template::node::{Entry, Node, Value};
use crate::stacks::template::{Parameter, Template, read_node};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum bytes of all objects of a component. Folders may overlap, so the objects can be larger than the component.
const MAX_OBJECT_BYTES: usize = 50 << 20;

const APPLICATION: &str = "AWS::Serverless::Application";

/// Packages the local files of one component.
pub(super) struct Packager<'f> {
    files: &'f Files,
    /// The files that are being read, the outermost first.
    open: Vec<String>,
    local: LocalFiles,
    /// Nested templates by path and by the names of stored parameters that they get; `None` for one with problems.
    children: BTreeMap<(String, Passed), Option<Child>>,
    /// The parameters of the template that was read last that get values of stored parameters, with the names that they
    /// hold.
    stored: BTreeMap<String, String>,
    /// Objects by path and kind of content.
    packed: BTreeMap<(String, Content), Digest>,
    bytes: usize,
    /// Number of inclusions so far.
    pub(super) includes: usize,
    problems: Vec<Problem>,
    refusals: Vec<Problem>,
    hints: Vec<Problem>,
}

/// A nested template, as its parent sees it.
#[derive(Clone)]
struct Child {
    digest: Digest,
    /// The names of the parameters; true for one that needs a value.
    parameters: BTreeMap<String, bool>,
    outputs: BTreeSet<String>,
    /// The parameters that get values of public parameters, with their names.
    stored: BTreeMap<String, String>,
}

/// One template while it is rewritten.
struct Scan<'s> {
    file: &'s str,
    /// The template before it is rewritten.
    original: Node,
    nested: NestedOutputs,
    /// The public parameters whose values nested templates get.
    stored: BTreeSet<String>,
    uses_bucket: bool,
    is_changed: bool,
}

/// A packaged path.
enum Packaged {
    Object(Digest),
    Inline(String),
}

/// The files behind a path.
enum Source<'f> {
    File { name: &'f str, bytes: &'f [u8] },
    Folder(BTreeMap<&'f str, &'f [u8]>),
}

impl<'f> Packager<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        Self {
            files,
            open: Vec::new(),
            local: LocalFiles::default(),
            children: BTreeMap::new(),
            stored: BTreeMap::new(),
            packed: BTreeMap::new(),
            bytes: 0,
            includes: 0,
            problems: Vec::new(),
            refusals: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Reads the template at `path` and rewrites it. Problems are collected.
    pub(super) fn template(&mut self, path: &str, position: Position<'_>) -> Option<Template> {
        let text = self.text(path, path, None)?;
        self.open.push(path.to_owned());
        let read = Template::parse_rewritten(path, text, |root| self.rewrite(path, root, position));
        self.leave();
        read.map_err(|found| self.problems.extend(found)).ok()
    }

    /// Returns the template with its objects, or every problem.
    pub(super) fn finish(mut self, template: Option<Template>) -> Result<Reading, Vec<Problem>> {
        match template {
            Some(template) if self.problems.is_empty() => Ok(Reading {
                template,
                local: self.local,
                stored: self.stored.keys().filter_map(|name| name.parse().ok()).collect(),
                refusals: self.refusals,
                hints: self.hints,
            }),
            _ => {
                self.problems.extend(self.refusals);
                Err(self.problems)
            }
        }
    }

    pub(super) fn problem(&mut self, file: &str, line: impl Into<Option<u32>>, message: String) {
        self.problems.push(Problem::at(file, line, message));
    }

    /// Notes that the file at `path` is being read, or reports a cycle.
    pub(super) fn enter(&mut self, file: &str, path: &str, line: u32) -> Option<()> {
        if self.open.iter().any(|open| open == path) {
            let way = self.open.iter().map(String::as_str).chain([path]).collect::<Vec<_>>().join(" -> ");
            self.problem(
                file,
                line,
                format!("the files name each other in a circle: {way}; remove one of the references"),
            );
            return None;
        }
        self.open.push(path.to_owned());
        Some(())
    }

    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    /// Returns the path below the component that `text` names.
    pub(super) fn resolved(&mut self, file: &str, text: &str, line: u32) -> Option<String> {
        match resolve(file, text) {
            Ok(path) => Some(path),
            Err(why) => {
                self.problem(file, line, format!("'{}' {why}", shown(text)));
                None
            }
        }
    }

    /// Returns the text of the file at `path`, which `file` names at `line`.
    pub(super) fn text(&mut self, file: &str, path: &str, line: impl Into<Option<u32>>) -> Option<&'f str> {
        let files: &'f Files = self.files;
        match files.get(path).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) => return Some(text),
            Some(Err(_)) => self.problem(path, None, "is not UTF-8 text".to_owned()),
            None => {
                let message = self.missing(path, "file");
                self.problem(file, line, message);
            }
        }
        None
    }

    fn missing(&self, path: &str, what: &str) -> String {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside: BTreeSet<&str> = self.files.keys().filter_map(|known| beside(known, folder)).collect();
        format!(
            "there is no {what} '{}' in this component{}; a release holds what git tracks, so build before the push and \
             commit the result",
            shown(path),
            suggestion(path, &beside)
        )
    }

    fn rewrite(&mut self, file: &str, root: &mut Node, position: Position<'_>) -> bool {
        let is_changed = self.include(file, root);
        let mut scan = Scan {
            file,
            original: root.clone(),
            nested: NestedOutputs::new(),
            stored: BTreeSet::new(),
            uses_bucket: false,
            is_changed,
        };
        for property in &GLOBALS {
            if let Some(globals) = child_mut(root, "Globals") {
                visit(globals, property.path, &mut |entry| self.property(&mut scan, property, None, entry));
            }
        }
        if let Some(resources) = child_mut(root, "Resources") {
            self.resources(&mut scan, resources);
        }
        for fault in outputs::unknown(root, &scan.nested) {
            self.problem(file, fault.line, fault.message);
        }
        if scan.uses_bucket {
            declare_bucket(root);
        }
        self.stored = stored::replace(root, position, &scan.stored);
        scan.is_changed || !self.stored.is_empty()
    }

    fn resources(&mut self, scan: &mut Scan<'_>, section: &mut Node) {
        let Value::Map(entries) = &mut section.value else { return };
        for entry in entries {
            if entry.key.starts_with("Fn::ForEach::") {
                if let Value::List(items) = &mut entry.node.value
                    && let Some(body) = items.get_mut(2)
                {
                    self.resources(scan, body);
                }
            } else {
                self.resource(scan, entry);
            }
        }
    }

    fn resource(&mut self, scan: &mut Scan<'_>, resource: &mut Entry) {
        let Some(kind) = resource.node.get("Type").and_then(Node::as_text).map(str::to_owned) else { return };
        if kind == FUNCTION {
            code_of_globals(&scan.original, resource);
        }
        let facts = facts(&scan.original, &kind, &resource.node);
        for property in PROPERTIES.iter().filter(|property| property.kind == kind) {
            if property.content == Content::Template {
                self.nested_stack(scan, property, resource);
            } else {
                visit(&mut resource.node, property.path, &mut |entry| {
                    self.property(scan, property, Some((&resource.key, &facts)), entry);
                });
            }
        }
    }

    /// Replaces the path in one property; both paths of `Fn::If`.
    fn property(
        &mut self,
        scan: &mut Scan<'_>,
        property: &LocalProperty,
        code: Option<(&str, &CodeFacts)>,
        entry: &mut Entry,
    ) {
        let mut inline = None;
        each_value(&mut entry.node, &mut |node| {
            let Some(text) = node.as_text().filter(|text| is_local(text)).map(str::to_owned) else { return };
            match self.packaged(scan.file, property, code, &text, node.line) {
                Some(Packaged::Object(digest)) => {
                    *node = address(property.form, &digest, node.line);
                    scan.uses_bucket = true;
                    scan.is_changed = true;
                }
                Some(Packaged::Inline(text)) => {
                    *node = Node::text(node.line, text);
                    scan.is_changed = true;
                    inline = Some(property.form);
                }
                None => {}
            }
        });
        if let Some(Form::Inline(name)) = inline {
            name.clone_into(&mut entry.key);
        }
    }

    fn packaged(
        &mut self,
        file: &str,
        property: &LocalProperty,
        code: Option<(&str, &CodeFacts)>,
        text: &str,
        line: u32,
    ) -> Option<Packaged> {
        let path = self.resolved(file, text, line)?;
        if let Form::Inline(_) = property.form {
            return self.text(file, &path, line).map(|text| Packaged::Inline(text.to_owned()));
        }
        let Some(source) = self.source(&path) else {
            let message = self.missing(&path, "file or folder");
            self.problem(file, line, message);
            return None;
        };
        if let Some((name, facts)) = code {
            self.judge(file, line, property.content, (name, facts), &source);
        }
        self.object(file, line, (path, property.content), &source).map(Packaged::Object)
    }

    fn source(&self, path: &str) -> Option<Source<'f>> {
        if let Some((known, bytes)) = self.files.get_key_value(path) {
            return Some(Source::File { name: known.rsplit('/').next().unwrap_or(known), bytes });
        }
        let folder: BTreeMap<&'f str, &'f [u8]> = self
            .files
            .iter()
            .filter_map(|(known, bytes)| Some((below(known, path)?, bytes.as_slice())))
            .collect();
        (!folder.is_empty()).then_some(Source::Folder(folder))
    }

    /// Returns the digest of the object that a source becomes, and stores the object.
    fn object(
        &mut self,
        file: &str,
        line: u32,
        (path, content): (String, Content),
        source: &Source<'_>,
    ) -> Option<Digest> {
        if let Some(digest) = self.packed.get(&(path.clone(), content)) {
            return Some(digest.clone());
        }
        let is_zipped = matches!(content, Content::Function | Content::Layer | Content::Zip);
        let bytes = match source {
            Source::Folder(files) => pack_code(files),
            Source::File { name, bytes } if is_zipped && zip_entries(bytes).is_none() => {
                pack_code(&[(*name, *bytes)].into())
            }
            Source::File { bytes, .. } => Ok(bytes.to_vec()),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(file, line, chain(&error));
                return None;
            }
        };
        let digest = Digest::of(&bytes);
        if !self.local.objects.contains_key(&digest) {
            self.bytes += bytes.len();
            if self.bytes > MAX_OBJECT_BYTES {
                let message = format!(
                    "with this one, the files that templates name have more than {} MiB; point at smaller folders",
                    MAX_OBJECT_BYTES >> 20
                );
                self.problem(file, line, message);
                return None;
            }
            self.local.objects.insert(digest.clone(), bytes);
        }
        self.packed.insert((path, content), digest.clone());
        Some(digest)
    }

    fn judge(
        &mut self,
        file: &str,
        line: u32,
        content: Content,
        (name, facts): (&str, &CodeFacts),
        source: &Source<'_>,
    ) {
        let judge = match content {
            Content::Function => judge_function,
            Content::Layer => judge_layer,
            Content::Zip | Content::AsIs | Content::Template => return,
        };
        let judgement = match source {
            Source::Folder(files) => judge_files(judge, facts, files),
            Source::File { name, bytes } => match zip_entries(bytes) {
                None => judge_files(judge, facts, &[(*name, *bytes)].into()),
                Some(entries) => judge(
                    facts,
                    &CodeFiles {
                        names: entries.iter().map(|(name, _)| name.as_str()).collect(),
                        bytes: entries.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes)),
                        read: &|_| None,
                    },
                ),
            },
        };
        let at = |message: String| Problem::at(file, line, format!("{name}: {message}"));
        self.refusals.extend(judgement.refusals.into_iter().map(at));
        self.hints.extend(judgement.hints.into_iter().map(at));
    }

    /// Replaces the template of a nested stack, and passes it the bucket and the values of public parameters.
    fn nested_stack(&mut self, scan: &mut Scan<'_>, property: &LocalProperty, resource: &mut Entry) {
        let passed = passed(&resource.node);
        let mut found = None;
        visit(&mut resource.node, property.path, &mut |entry| {
            let Some(text) = entry.node.as_text().filter(|text| is_local(text)).map(str::to_owned) else {
                return;
            };
            let line = entry.node.line;
            let path = self.resolved(scan.file, &text, line);
            if let Some(child) = path.and_then(|path| self.child(scan.file, &path, line, &passed)) {
                entry.node = address(property.form, &child.digest, entry.node.line);
                "TemplateURL".clone_into(&mut entry.key);
                found = Some(child);
            }
        });
        let Some(child) = found else { return };
        scan.uses_bucket = true;
        scan.is_changed = true;
        scan.nested.insert(resource.key.clone(), child.outputs.clone());
        if property.kind == APPLICATION {
            become_stack(&mut resource.node);
        }
        scan.stored.extend(child.stored.values().cloned());
        self.pass_parameters(scan.file, resource, &child);
    }

    /// Passes the bucket and the values of public parameters to a nested stack, and compares the passed parameters with
    /// those of its template.
    fn pass_parameters(&mut self, file: &str, resource: &mut Entry, child: &Child) {
        let line = resource.line;
        let Some(Value::Map(properties)) =
            child_mut(&mut resource.node, "Properties").map(|node| &mut node.value)
        else {
            return;
        };
        if !properties.iter().any(|entry| entry.key == "Parameters") {
            let node = Node::new(line, Value::Map(Vec::new()));
            properties.push(Entry { key: "Parameters".to_owned(), line, node });
        }
        let Some(passed) = properties.iter_mut().find(|entry| entry.key == "Parameters") else { return };
        let Value::Map(values) = &mut passed.node.value else {
            let message = format!("{}: Parameters must be a mapping of names to values", resource.key);
            return self.problem(file, passed.line, message);
        };
        if child.parameters.contains_key(ARTIFACT_BUCKET)
            && !values.iter().any(|entry| entry.key == ARTIFACT_BUCKET)
        {
            let node = Node::function(line, "Ref".to_owned(), Node::text(line, ARTIFACT_BUCKET));
            values.push(Entry { key: ARTIFACT_BUCKET.to_owned(), line, node });
        }
        for (parameter, name) in &child.stored {
            values.retain(|entry| entry.key != *parameter);
            values.push(Entry { key: parameter.clone(), line, node: value_of(line, name) });
        }
        // A function in the place of a name, such as Fn::If, decides about names that are not visible here.
        if values.iter().any(|entry| entry.key.starts_with("Fn::")) {
            return;
        }
        let unknown = values.iter().find(|entry| !child.parameters.contains_key(&entry.key));
        let lacking = child
            .parameters
            .iter()
            .find(|(name, needed)| **needed && !values.iter().any(|entry| entry.key == **name));
        let fault = match (unknown, lacking) {
            (Some(entry), _) => Some((
                entry.line,
                format!(
                    "the nested template has no parameter `{}`{}",
                    entry.key,
                    suggestion(&entry.key, child.parameters.keys())
                ),
            )),
            (None, Some((name, _))) => Some((
                line,
                format!("the nested template needs a value for its parameter `{name}`; add it to Parameters"),
            )),
            (None, None) => None,
        };
        if values.is_empty() {
            properties.retain(|entry| entry.key != "Parameters");
        }
        if let Some((line, message)) = fault {
            self.problem(file, line, format!("{}: {message}", resource.key));
        }
    }

    /// Reads a nested template once for the names of stored parameters that it gets.
    fn child(&mut self, file: &str, path: &str, line: u32, passed: &Passed) -> Option<Child> {
        let text = self.text(file, path, line)?;
        let names = read_node(text).map(|root| indirect(&root)).unwrap_or_default();
        let relevant = passed.iter().filter(|(name, _)| names.contains(*name));
        let relevant: Passed = relevant.map(|(name, value)| (name.clone(), value.clone())).collect();
        let key = (path.to_owned(), relevant);
        if let Some(known) = self.children.get(&key) {
            return known.clone();
        }
        self.enter(file, path, line)?;
        self.leave();
        let child = self.template(path, Position::Nested(&key.1)).map(|template| self.nest(template));
        self.children.insert(key, child.clone());
        child
    }

    fn nest(&mut self, template: Template) -> Child {
        let needed = |parameter: &Parameter| parameter.default.is_none();
        let parameters =
            template.parameters().iter().map(|(name, parameter)| (name.clone(), needed(parameter))).collect();
        let deployed = Text::of(template.deployed_text());
        let test = Text::of(self.local.test_template(&template, &BTreeSet::new()).0);
        let (digest, outputs) = (deployed.digest.clone(), template.outputs().keys().cloned().collect());
        self.local.nested.push(NestedTemplate { template, deployed, test });
        Child { digest, parameters, outputs, stored: std::mem::take(&mut self.stored) }
    }
}

/// Returns the parameters that a nested stack gets from its resource.
fn passed(resource: &Node) -> Passed {
    let values = resource.get("Properties").and_then(|node| node.get("Parameters"));
    let values = values.and_then(Node::entries).unwrap_or_default();
    values.iter().map(|entry| (entry.key.clone(), entry.node.scalar())).collect()
}

fn judge_files(
    judge: fn(&CodeFacts, &CodeFiles<'_>) -> CodeJudgement,
    facts: &CodeFacts,
    files: &BTreeMap<&str, &[u8]>,
) -> CodeJudgement {
    judge(
        facts,
        &CodeFiles {
            names: files.keys().copied().collect(),
            bytes: files.values().map(|bytes| bytes.len() as u64).sum(),
            read: &|name| files.get(name).copied(),
        },
    )
}

fn shown(path: &str) -> String {
    path.chars().take(200).flat_map(char::escape_debug).collect()
}
