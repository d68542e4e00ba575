//! Permitted actions of a recipe on the machine that builds it: start one instance, send files and scripts to it, and
//! record the result.
//!
//! Packer runs beside the role of the build. [`super::allowed`] is the allowlist of everything that a recipe may write.
//! The role itself is restricted too (`infra/target-account/template.yaml`): the list is not the only protection.

use super::allowed::{Position, is_allowed, known_reason, names, refusal};
use super::expressions::{judge_type, judge_value};
use super::template::{File, MANIFEST, is_read_by_packer};
use super::{COMMON_FOLDER, VARIABLES};
use crate::delivery::archive::Files;
use crate::model::error::Problem;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Body};

/// The only plugin of a recipe; the build installs it from the account's own copy.
pub const PLUGIN: (&str, &str, &str) = ("amazon", "github.com/hashicorp/amazon", "= 1.8.4");

/// Beginnings of the names of programs that Packer takes for its plugins.
const PROGRAMS: [&str; 5] = [
    "packer-plugin-",
    "packer-builder-",
    "packer-provisioner-",
    "packer-post-processor-",
    "packer-datasource-",
];

/// Attributes whose value is the path of a file on the builder.
const PATHS: [&str; 4] = ["script", "scripts", "source", "sources"];

/// Returns problems with the names of a recipe's files: those that Packer loads, runs or writes automatically, and
/// templates that it would not read.
pub(super) fn judge_files(files: &Files) -> Vec<Problem> {
    let wrong = files.keys().filter_map(|path| Some(Problem::at(path.clone(), None, why_no_file(path)?)));
    wrong.collect()
}

fn why_no_file(path: &str) -> Option<String> {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let fixed = if name.ends_with(".pkr.json") {
        "is a template in JSON, which is not judged; write it as *.pkr.hcl"
    } else if name.ends_with(".pkrvars.hcl") || name.ends_with(".pkrvars.json") {
        return Some(format!("holds values outside of the layers; write them into {VARIABLES}"));
    } else if PROGRAMS.iter().any(|program| name.starts_with(program)) {
        "is a plugin of Packer; a recipe may not contain one"
    } else if lower.split('/').any(|part| part.trim_start_matches('.') == "packer.d")
        || matches!(name.trim_start_matches('.'), "packerconfig" | "packer.config")
    {
        "is configuration of Packer; a recipe may not contain any"
    } else if lower == MANIFEST {
        "is the file into which the build writes its result; rename it"
    } else if name.ends_with(".pkr.hcl") && !is_read_by_packer(path) && !is_replaced(path) {
        "is a template that Packer does not read here; move it into the recipe's own folder"
    } else {
        return None;
    };
    Some(fixed.to_owned())
}

/// Returns true for a template of the shared folder itself: the recipe replaces it by its own.
fn is_replaced(path: &str) -> bool {
    path.strip_prefix(COMMON_FOLDER).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_read_by_packer)
}

/// Returns what a template writes that [`super::allowed`] lacks.
pub(super) fn judge(file: &File<'_>) -> Vec<Problem> {
    let mut judge = Judge { file, problems: Vec::new() };
    judge.blocks(&file.body, &[Position::Template]);
    for block in file.body.blocks() {
        judge.top(block);
    }
    judge.problems
}

/// Collector for the problems of one file.
struct Judge<'a, 'f> {
    file: &'a File<'f>,
    problems: Vec<Problem>,
}

impl Judge<'_, '_> {
    fn problem(&mut self, node: &impl hcl_edit::Span, message: impl Into<String>) {
        self.problems.push(self.file.problem(node, message));
    }

    /// Judges a block outside of every other one. An unknown block is refused as a whole.
    fn top(&mut self, block: &Block) {
        let labels = match block.ident.as_str() {
            "packer" => {
                self.body(&block.body, &[Position::Packer]);
                0
            }
            "variable" => {
                self.variable(&block.body);
                1
            }
            "variables" | "locals" => {
                self.values(&block.body);
                0
            }
            "local" => {
                self.names(&block.body, &[Position::Local]);
                self.values(&block.body);
                1
            }
            "source" => {
                self.source(&block.body);
                2
            }
            "build" => {
                self.build(&block.body);
                0
            }
            _ => return,
        };
        if block.labels.len() != labels {
            let message = format!("`{}` has {labels} labels in Packer's language", block.ident.as_str());
            self.problem(block, message);
        }
    }

    fn variable(&mut self, body: &Body) {
        self.names(body, &[Position::Variable]);
        for attribute in body.attributes() {
            match attribute.key.as_str() {
                "type" => self.problems.extend(judge_type(self.file, &attribute.value)),
                "description" => self.value(attribute, true),
                _ => self.value(attribute, false),
            }
        }
        for validation in body.get_blocks("validation") {
            self.body(&validation.body, &[Position::Validation]);
        }
    }

    /// Judges attributes that each declare a value, by whatever name.
    fn values(&mut self, body: &Body) {
        for attribute in body.attributes() {
            self.value(attribute, false);
        }
        for block in body.blocks() {
            self.problem(block, "is no value; write `name = value`");
        }
    }

    fn source(&mut self, body: &Body) {
        self.body(body, &[Position::Source]);
        for block in body.blocks() {
            match block.ident.as_str() {
                "launch_block_device_mappings" | "ami_block_device_mappings" => {
                    self.body(&block.body, &[Position::Device]);
                }
                "metadata_options" => self.body(&block.body, &[Position::Metadata]),
                "aws_polling" => self.body(&block.body, &[Position::Polling]),
                _ => {}
            }
        }
        if let Some(communicator) = body.get_attribute("communicator")
            && !matches!(communicator.value.as_str(), Some("ssh" | "winrm"))
        {
            self.problem(communicator, "the communicator must be \"ssh\" or \"winrm\", written out");
        }
    }

    fn build(&mut self, body: &Body) {
        self.body(body, &[Position::Build]);
        for block in body.blocks() {
            match block.ident.as_str() {
                "provisioner" => self.provisioner(block),
                "post-processor" => self.post_processor(block),
                "post-processors" => {
                    self.body(&block.body, &[Position::PostProcessors]);
                    for inner in block.body.get_blocks("post-processor") {
                        self.post_processor(inner);
                    }
                }
                _ => {}
            }
        }
    }

    fn provisioner(&mut self, block: &Block) {
        let Some(kind) = self.kind(block, Position::ProvisionerKind) else {
            let listed = names(Position::ProvisionerKind).collect::<Vec<_>>().join(", ");
            let label = block.labels.first().map(|label| label.as_str()).unwrap_or_default();
            let why = known_reason(Position::ProvisionerKind, label)
                .unwrap_or("it runs on the builder, beside its role");
            let message = format!(
                "`{label}` is not allowed: {why}; use one of these, which act in the image: {listed}"
            );
            return self.problem(block, message);
        };
        let places: &[Position] = match kind {
            "shell" => &[Position::Provisioner, Position::Script, Position::Shell],
            "powershell" => &[Position::Provisioner, Position::Script, Position::PowerShell],
            "windows-shell" => &[Position::Provisioner, Position::Script],
            "file" => &[Position::Provisioner, Position::File],
            "windows-restart" => &[Position::Provisioner, Position::WindowsRestart],
            "sleep" => &[Position::Provisioner, Position::Sleep],
            _ => &[Position::Provisioner],
        };
        self.body(&block.body, places);
        if let Some(direction) = block.body.get_attribute("direction")
            && direction.value.as_str() != Some("upload")
        {
            self.problem(direction, "writes files of the builder; send files to the image only");
        }
    }

    fn post_processor(&mut self, block: &Block) {
        if self.kind(block, Position::PostProcessorKind).is_none() {
            let listed = names(Position::PostProcessorKind).collect::<Vec<_>>().join(", ");
            let message = format!("runs on the builder, beside its role; the only one is {listed}");
            return self.problem(block, message);
        }
        self.body(&block.body, &[Position::Manifest]);
        let output = block.body.get_attribute("output");
        if let Some(output) = output.filter(|output| output.value.as_str() != Some(MANIFEST)) {
            let message = format!("writes a file of the builder; write `output = \"{MANIFEST}\"`");
            self.problem(output, message);
        }
    }

    /// Returns the one label of a block if `place` allows it.
    fn kind<'b>(&self, block: &'b Block, place: Position) -> Option<&'b str> {
        let [label] = &block.labels[..] else { return None };
        is_allowed(place, label.as_str()).then_some(label.as_str())
    }

    /// Judges the names in a body that is a configuration, and its values.
    fn body(&mut self, body: &Body, places: &[Position]) {
        self.names(body, places);
        let sends_files = places.contains(&Position::Provisioner);
        for attribute in body.attributes() {
            if sends_files && PATHS.contains(&attribute.key.as_str()) {
                self.paths(attribute);
            } else {
                self.value(attribute, true);
            }
        }
    }

    fn names(&mut self, body: &Body, places: &[Position]) {
        for attribute in body.attributes() {
            let name = attribute.key.as_str();
            if !places.iter().any(|place| is_allowed(*place, name)) {
                self.problem(attribute, refusal(places, name));
            }
        }
        self.blocks(body, places);
    }

    fn blocks(&mut self, body: &Body, places: &[Position]) {
        for block in body.blocks() {
            let name = format!("{} {{}}", block.ident.as_str());
            if block.ident.as_str() == "dynamic" {
                self.problem(block, "makes blocks that cannot be judged; write each out");
            } else if !places.iter().any(|place| is_allowed(*place, &name)) && places != [Position::Template]
            {
                self.problem(block, refusal(places, &name));
            }
        }
    }

    fn value(&mut self, attribute: &Attribute, whole: bool) {
        self.problems.extend(judge_value(self.file, attribute, whole));
    }

    /// Judges the files that an attribute names.
    fn paths(&mut self, node: &Attribute) {
        let many = node.value.as_array().map(|list| list.iter().collect::<Vec<_>>());
        for value in many.unwrap_or_else(|| vec![&node.value]) {
            if !within(self.file.source(value)) {
                let message =
                    "must be the path of a file of the recipe, written out: \"${path.root}/<file>\"";
                self.problem(node, message);
            }
        }
    }
}

/// Returns true if the text of an expression is a path that cannot leave the recipe.
pub(super) fn within(written: &str) -> bool {
    let Some(text) = written.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return false };
    let path = text.strip_prefix("${path.root}/").unwrap_or(text);
    !path.is_empty()
        && !path.starts_with(['/', '~', '\\'])
        && !path.contains(['$', '%', '{', '\\', '"'])
        && path.split('/').all(|part| part != "..")
}

/// Returns problems with the plugins that a recipe requires: it must be [`PLUGIN`], once.
pub(super) fn judge_plugins(parsed: &[File<'_>]) -> Vec<Problem> {
    let (name, source, version) = PLUGIN;
    let wanted = format!(
        "write `packer {{ required_plugins {{ {name} = {{ source = \"{source}\", version = \"{version}\" }} }} }}` once: \
         the build has this plugin and no other"
    );
    let mut blocks = parsed.iter().flat_map(|file| {
        let packer = file.body.get_blocks("packer");
        packer.flat_map(|packer| packer.body.get_blocks("required_plugins")).map(move |block| (file, block))
    });
    let (first, second) = (blocks.next(), blocks.next());
    let Some((file, block)) = first else {
        return vec![Problem::at("", None, format!("has no required_plugins; {wanted}"))];
    };
    if let Some((file, second)) = second {
        return vec![file.problem(second, format!("is a second required_plugins; {wanted}"))];
    }
    let mut attributes = block.body.attributes();
    let right = match (attributes.next(), attributes.next(), block.body.blocks().next()) {
        (Some(attribute), None, None) => {
            block.labels.is_empty() && attribute.key.as_str() == name && is_plugin(attribute)
        }
        _ => false,
    };
    if right { Vec::new() } else { vec![file.problem(block, wanted)] }
}

fn is_plugin(attribute: &Attribute) -> bool {
    let (_, source, version) = PLUGIN;
    let Some(object) = attribute.value.as_object() else { return false };
    let text = |wanted: &str| {
        let mut found = object.iter().filter(|(key, _)| {
            key.as_ident().is_some_and(|ident| ident.as_str() == wanted)
                || key.as_expr().and_then(Expression::as_str) == Some(wanted)
        });
        let value = found.next().and_then(|(_, value)| value.expr().as_str());
        found.next().is_none().then_some(value).flatten()
    };
    object.len() == 2 && text("source") == Some(source) && text("version") == Some(version)
}
