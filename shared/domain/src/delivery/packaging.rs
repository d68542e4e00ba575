//! From a component's folder to a release: the plan of `package`, and the verdict of `lockstep check` without an AWS
//! account.
//!
//! Packaging refuses every mistake that it can detect before a deployment: a parameter without a value in production,
//! an output that its producer lacks, an image that was never baked, a key in a file.

mod contents;
mod judge;
mod names;
mod needs;
mod opened;
mod public;
mod sketch;
mod sources;
mod values;
mod versions;

use crate::delivery::archive::{Files, pack};
use crate::delivery::credentials::find_credentials;
use crate::delivery::function_code::FunctionLock;
use crate::delivery::local_files::{self, LocalFiles, Reading};
use crate::delivery::manifest::{self, Lines, Manifest};
use crate::delivery::parameters::{ComponentParameters, OrganisationParameters, OutputUse};
use crate::delivery::stages::Stages;
use crate::model::error::{Problem, chain};
use crate::model::ids::{ComponentName, Digest};
use crate::model::image_lock::ImageLock;
use crate::model::public_parameters::{PublicParameterLock, PublicParameters};
use crate::model::test_difference::TestDifference;
use crate::records::ImageVersion;
use crate::stacks::names::FixedNames;
use crate::stacks::permissions::Table;
use crate::stacks::template::{TEMPLATE_BYTES_MAX, Template};
use std::collections::{BTreeMap, BTreeSet};

pub use contents::{Contents, PackedContents};
pub use needs::{Scope, StageNeeds, needs_by_stage};
pub use opened::{open, open_packed, open_release};
pub use sketch::{Sketch, sketch};
pub use sources::{Source, sources};
pub use versions::{BranchKind, next_version};

/// Name of the image lock in an artifact; reserved, so that no component may have a file of this name at its top.
pub const IMAGE_LOCK_FILE: &str = "image-lock.json";

/// Name of the function lock in an artifact, which only a release with functions of Lockstep has; reserved like the
/// image lock's name.
pub const FUNCTION_LOCK_FILE: &str = "function-lock.json";

/// Name of the lock of public parameters in an artifact, which only a release with such parameters has; reserved like
/// the image lock's name.
pub const PUBLIC_LOCK_FILE: &str = "public-parameter-lock.json";

/// Name of the deployed template in an artifact, with addresses in the place of local paths; reserved like the image lock's
/// name. It is the text that stacks run, so only the function that writes the files behind the addresses packs them again.
pub const DEPLOYED_TEMPLATE_FILE: &str = "deployed-template.yaml";

/// Name of the template of the test stack in an artifact; reserved like the image lock's name.
pub const TEST_TEMPLATE_FILE: &str = "test-template.json";

/// Names in an artifact that no file of a component may have.
const RESERVED: [&str; 5] =
    [IMAGE_LOCK_FILE, FUNCTION_LOCK_FILE, PUBLIC_LOCK_FILE, DEPLOYED_TEMPLATE_FILE, TEST_TEMPLATE_FILE];

/// Maximum bytes of a component's files together. A component is text; binaries belong into images and registries.
pub const MAX_COMPONENT_BYTES: usize = 50 << 20;

/// The known state outside the folder. `None` means unknown, as when offline: nothing that depends on it is judged, and
/// [`Package::unchecked`] lists the omission.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackagingInput<'a> {
    /// The organisation's stages.
    pub stages: Option<&'a Stages>,
    /// The organisation's parameters. An organisation without any has an empty set, which differs from an unknown one.
    pub organisation: Option<&'a OrganisationParameters>,
    /// Every version of every image.
    pub images: Option<&'a [ImageVersion]>,
    /// The outputs of other components in their newest release, or in the same commit.
    pub producers: Option<&'a BTreeMap<ComponentName, BTreeSet<String>>>,
    /// The functions that the installation ships for components.
    pub functions: Option<&'a FunctionLock>,
    /// The public parameters that the components name, in the regions of their stages.
    pub public: Option<&'a PublicParameters>,
    /// The permissions that resource types need, and their properties and attributes.
    pub permissions: Option<&'a Table>,
}

/// A planned release without its version.
#[derive(Clone, Debug)]
pub struct Package {
    /// The component's manifest.
    pub manifest: Manifest,
    /// Its template, with addresses in the place of local paths.
    pub template: Template,
    /// The files that the template names.
    pub local: LocalFiles,
    /// Every image, pinned; empty if the image versions are unknown.
    pub image_lock: ImageLock,
    /// Every referenced function of Lockstep, pinned; empty if the shipped functions are unknown.
    pub function_lock: FunctionLock,
    /// Every public parameter that the template names, pinned; without pins if their values are unknown.
    pub public_lock: PublicParameterLock,
    /// The zip of the folder and the locks; equal content gives equal bytes.
    pub artifact: Vec<u8>,
    /// The digest of the artifact, which evidence names.
    pub digest: Digest,
    /// The digest of the folder's files alone.
    pub source_digest: Digest,
    /// The digest of the template.
    pub template_digest: Digest,
    /// The template of the test stack.
    pub test_template: String,
    /// The digest of the test stack's template.
    pub test_template_digest: Digest,
    /// The differences between the template of the test stack and the deployed one.
    pub test_differences: Vec<TestDifference>,
    /// True if two test stacks of the component cannot exist at once, because they have a name in common.
    pub serial_tests: bool,
    /// The rows of the permission table for the template's resource types, compressed; `None` if the table is unknown.
    pub permissions: Option<Vec<u8>>,
    /// The outputs of the template, which other components may refer to.
    pub outputs: BTreeSet<String>,
    /// The references of its parameters to outputs of other components, in any stage.
    pub uses: Vec<OutputUse>,
    /// The component's parameter files.
    pub layers: ComponentParameters,
    /// Judgements that were not possible, with the reason, one sentence each.
    pub unchecked: Vec<String>,
    /// Signs of a mistake, which refuse nothing.
    pub hints: Vec<Problem>,
}

impl Package {
    /// Returns the components whose outputs the parameters read, in any stage.
    pub fn producers(&self) -> BTreeSet<ComponentName> {
        self.uses.iter().map(|used| used.output.component.clone()).collect()
    }
}

/// Returns the folders of a repository's `files` that hold a component; `""` is the top of the repository. Leaves out a
/// component inside another one, for which [`plan`] refuses the outer one.
pub fn find_components(files: &Files) -> Vec<String> {
    let folders: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| match path.rsplit_once('/') {
            Some((folder, manifest::FILE)) => Some(folder),
            None if path == manifest::FILE => Some(""),
            _ => None,
        })
        .collect();
    let nested = |folder: &str| {
        !folder.is_empty()
            && (folders.contains("")
                || folder.match_indices('/').any(|(at, _)| folders.contains(&folder[..at])))
    };
    folders.iter().filter(|folder| !nested(folder)).map(|folder| (*folder).to_owned()).collect()
}

/// Plans the release of the component in `folder`; the paths of `files` are relative to it.
///
/// Reports all problems at once, with files relative to the repository.
pub fn plan(folder: &str, files: &Files, input: &PackagingInput<'_>) -> Result<Package, Vec<Problem>> {
    let mut planner = Planner::new(files, input);
    let package = planner.package();
    let mut problems = planner.problems;
    match package {
        Some(mut package) if problems.is_empty() => {
            package.hints.iter_mut().for_each(|hint| place(hint, folder, files));
            for used in &mut package.uses {
                if !folder.is_empty() && files.contains_key(&used.file) {
                    used.file = format!("{folder}/{}", used.file);
                }
            }
            Ok(package)
        }
        _ => {
            problems.iter_mut().for_each(|problem| place(problem, folder, files));
            problems.sort();
            problems.dedup();
            Err(problems)
        }
    }
}

/// Collects problems while it reads and judges.
struct Planner<'a> {
    files: &'a Files,
    input: &'a PackagingInput<'a>,
    problems: Vec<Problem>,
    unchecked: Vec<String>,
    hints: Vec<Problem>,
}

/// Parsed content of the folder. The manifest names the other files, so there is no source without it.
struct ParsedFolder {
    manifest: Manifest,
    lines: Lines,
    reading: Option<Reading>,
    layers: Option<ComponentParameters>,
}

/// What a release pins.
struct Locks {
    image_lock: ImageLock,
    function_lock: FunctionLock,
    public_lock: PublicParameterLock,
}

impl<'a> Planner<'a> {
    fn new(files: &'a Files, input: &'a PackagingInput<'a>) -> Self {
        Self { files, input, problems: Vec::new(), unchecked: Vec::new(), hints: Vec::new() }
    }

    fn package(&mut self) -> Option<Package> {
        self.judge_files();
        let ParsedFolder { manifest, lines, reading, layers } = self.source()?;
        let reading = reading?;
        let template = &reading.template;
        self.problems.extend_from_slice(&reading.refusals);
        self.hints.extend_from_slice(&reading.hints);
        self.judge_manifest(&manifest, &lines, template);
        self.judge_names(&manifest, template);
        for nested in reading.local.nested() {
            self.problems.extend(nested.lint(&[]));
            self.judge_names(&manifest, nested);
        }
        let image_lock = self.image_lock(&manifest, &lines);
        let layers = layers?;
        self.judge_values(&manifest, template, &layers);
        let function_lock = self.function_lock(template, &layers);
        let values = self.values_by_stage(&manifest, template, &layers);
        let public_lock = self.public_lock(&manifest, &reading, &values);
        let names = self.fixed_names(&manifest, &reading, &values);
        self.build(manifest, reading, layers, Locks { image_lock, function_lock, public_lock }, &names)
    }

    fn source(&mut self) -> Option<ParsedFolder> {
        let layers = ComponentParameters::read(self.files).map_err(|found| self.problems.extend(found)).ok();
        let text = self.text(manifest::FILE)?;
        let parsed = manifest::parse_with_lines(manifest::FILE, text);
        let (manifest, lines) = parsed.map_err(|found| self.problems.extend(found)).ok()?;
        let path = manifest.component.template.as_str();
        let reading = self.text(path).and_then(|_| {
            local_files::read(path, self.files).map_err(|found| self.problems.extend(found)).ok()
        });
        Some(ParsedFolder { manifest, lines, reading, layers })
    }

    /// Returns the text of a required file.
    fn text(&mut self, path: &str) -> Option<&'a str> {
        let files: &'a Files = self.files;
        let why = match files.get(path).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) => return Some(text),
            Some(Err(_)) => "is not UTF-8 text",
            None if path == manifest::FILE => "is missing; `lockstep init` writes one",
            None => "is missing, but lockstep.toml names it as the template",
        };
        self.problems.push(Problem::at(path, None, why));
        None
    }

    fn judge_files(&mut self) {
        if self.files.values().map(Vec::len).sum::<usize>() > MAX_COMPONENT_BYTES {
            let limit = MAX_COMPONENT_BYTES >> 20;
            let message =
                format!("the component is larger than {limit} MiB; keep binaries in images or registries");
            self.problems.push(Problem::at("", None, message));
            return;
        }
        for (path, bytes) in self.files {
            self.problems.extend(find_credentials(path, bytes));
            if path.ends_with(&format!("/{}", manifest::FILE)) {
                let message = "is a component inside a component; move one of them elsewhere";
                self.problems.push(Problem::at(path.clone(), None, message));
            }
        }
        for reserved in RESERVED {
            if self.files.contains_key(reserved) {
                let message = "is a name that Lockstep uses in the release; rename this file";
                self.problems.push(Problem::at(reserved, None, message));
            }
        }
    }

    fn build(
        &mut self,
        manifest: Manifest,
        Reading { template, local, .. }: Reading,
        layers: ComponentParameters,
        Locks { image_lock, function_lock, public_lock }: Locks,
        names: &FixedNames,
    ) -> Option<Package> {
        if !self.problems.is_empty() {
            return None;
        }
        let source = self.packed(self.files)?;
        let mut files = self.files.clone();
        files.insert(IMAGE_LOCK_FILE.to_owned(), image_lock.to_json().into_bytes());
        if !function_lock.is_empty() {
            files.insert(FUNCTION_LOCK_FILE.to_owned(), function_lock.to_json().into_bytes());
        }
        if !public_lock.is_empty() {
            files.insert(PUBLIC_LOCK_FILE.to_owned(), public_lock.to_json().into_bytes());
        }
        let deployed = template.deployed_text();
        files.insert(DEPLOYED_TEMPLATE_FILE.to_owned(), deployed.clone().into_bytes());
        let (test_template, test_differences) = local.test_template(&template, &names.left_out);
        files.insert(TEST_TEMPLATE_FILE.to_owned(), test_template.clone().into_bytes());
        let artifact = self.packed(&files)?;
        let own = (manifest.component.template.as_str(), deployed.len().max(test_template.len()));
        let too_long = local.longest_nested_text().into_iter().chain([own]);
        if let Some((file, _)) = too_long.into_iter().find(|(_, length)| *length > TEMPLATE_BYTES_MAX) {
            let message = format!(
                "written out as JSON it has more than {TEMPLATE_BYTES_MAX} bytes, CloudFormation's limit"
            );
            self.problems.push(Problem::at(file, None, message));
            return None;
        }
        let templates = local.nested().chain([&template]);
        let kinds: Vec<&str> = templates
            .flat_map(|template| template.resources().values().map(|resource| resource.kind.as_str()))
            .collect();
        let permissions = self.input.permissions.map(|table| table.excerpt(kinds.iter().copied()).pack());
        Some(Package {
            permissions,
            outputs: template.outputs().keys().cloned().collect(),
            uses: self.uses(&template, &layers),
            digest: Digest::of(&artifact),
            source_digest: Digest::of(&source),
            template_digest: Digest::of(deployed.as_bytes()),
            test_template_digest: Digest::of(test_template.as_bytes()),
            test_differences,
            serial_tests: names.serial_tests,
            hints: std::mem::take(&mut self.hints),
            unchecked: std::mem::take(&mut self.unchecked),
            manifest,
            template,
            local,
            image_lock,
            function_lock,
            public_lock,
            artifact,
            test_template,
            layers,
        })
    }

    fn packed(&mut self, files: &Files) -> Option<Vec<u8>> {
        pack(files).map_err(|error| self.problems.push(Problem::at("", None, chain(&error)))).ok()
    }
}

/// Makes a problem's file relative to the repository; files of the organisation remain unchanged.
fn place(problem: &mut Problem, folder: &str, files: &Files) {
    let ours = problem.file.is_empty() || problem.file == manifest::FILE || files.contains_key(&problem.file);
    let missing_template = !problem.file.is_empty() && problem.line.is_none();
    if folder.is_empty() || !(ours || missing_template) {
        return;
    }
    problem.file =
        if problem.file.is_empty() { folder.to_owned() } else { format!("{folder}/{}", problem.file) };
}

#[cfg(test)]
mod tests;
