//! From a component's folder to a release: what `package` plans, and what `lockstep check` says without an AWS account.
//!
//! Everything that could go wrong later for a reason that is known now is refused here: a parameter without a value in
//! production, an output that its producer does not have, an image nobody baked, a key in a file.

mod judge;
mod needs;
mod values;
mod versions;

use crate::delivery::archive::{Files, Limits, pack, unpack};
use crate::delivery::credentials::find_credentials;
use crate::delivery::function_code::FunctionLock;
use crate::delivery::manifest::{self, Lines, Manifest};
use crate::delivery::parameters::{ComponentParameters, OrganisationParameters};
use crate::delivery::stages::Stages;
use crate::model::error::{Failure, Problem};
use crate::model::ids::{ComponentName, Digest};
use crate::model::image_lock::ImageLock;
use crate::records::ImageVersion;
use crate::records::Release;
use crate::stacks::permissions::Table;
use crate::stacks::template::{TEMPLATE_BYTES_MAX, Template};
use std::collections::{BTreeMap, BTreeSet};

pub use needs::{Scope, StageNeeds, needs_by_stage};
pub use versions::{BranchKind, next_version};

/// The image lock's name in an artifact; no component may have a file of this name at its top.
pub const IMAGE_LOCK_FILE: &str = "image-lock.json";

/// The function lock's name in an artifact, which only a release that uses functions of Lockstep has; reserved like the
/// image lock's.
pub const FUNCTION_LOCK_FILE: &str = "function-lock.json";

/// The most bytes a component's files may have together. A component is text; binaries belong into images and
/// registries.
pub const MAX_COMPONENT_BYTES: usize = 50 << 20;

/// What is known of everything outside the folder. What is `None` is unknown, as it is offline: nothing that depends
/// on it is judged, and [`Package::unchecked`] says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackagingInput<'a> {
    /// The organisation's stages.
    pub stages: Option<&'a Stages>,
    /// The organisation's parameters; an organisation without any has an empty set, which is known.
    pub organisation: Option<&'a OrganisationParameters>,
    /// Every version of every image.
    pub images: Option<&'a [ImageVersion]>,
    /// The outputs that other components declare in their newest release, or in the same commit.
    pub producers: Option<&'a BTreeMap<ComponentName, BTreeSet<String>>>,
    /// The functions that the installation ships for components.
    pub functions: Option<&'a FunctionLock>,
    /// The table of the permissions that resource types need.
    pub permissions: Option<&'a Table>,
}

/// A release in the making: all of it but its version.
#[derive(Clone, Debug)]
pub struct Package {
    /// The component's manifest.
    pub manifest: Manifest,
    /// Its template.
    pub template: Template,
    /// Every image, pinned; empty if the image versions are unknown.
    pub image_lock: ImageLock,
    /// Every function of Lockstep that a value refers to, pinned; empty if what is shipped is unknown.
    pub function_lock: FunctionLock,
    /// The zip of the folder and of the locks: equal content, equal bytes.
    pub artifact: Vec<u8>,
    /// The digest of the artifact, which evidence names.
    pub digest: Digest,
    /// The digest of the folder's files alone.
    pub source_digest: Digest,
    /// The digest of the template.
    pub template_digest: Digest,
    /// The template that the throw-away stack runs.
    pub test_template: String,
    /// Its digest.
    pub test_template_digest: Digest,
    /// The rows of the table of permissions for its resource types, compressed; `None` if the table is unknown.
    pub permissions: Option<Vec<u8>>,
    /// The outputs the template declares; other components may refer to them.
    pub outputs: BTreeSet<String>,
    /// The component's parameter files.
    pub layers: ComponentParameters,
    /// What could not be judged here and why, one sentence each.
    pub unchecked: Vec<String>,
}

/// What an artifact holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The component's manifest.
    pub manifest: Manifest,
    /// Its template.
    pub template: Template,
    /// The component's parameter files.
    pub layers: ComponentParameters,
    /// Every image, pinned.
    pub image_lock: ImageLock,
    /// Every function of Lockstep that a value refers to, pinned.
    pub function_lock: FunctionLock,
}

/// The folders of a repository's `files` that hold a component, by path; `""` is the repository itself. A component
/// inside another one is left out, and [`plan`] refuses the outer one for it.
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

/// Plans the release of the component in `folder`, whose `files` have paths relative to it.
///
/// All problems are told at once, their files relative to the repository.
pub fn plan(folder: &str, files: &Files, world: &PackagingInput<'_>) -> Result<Package, Vec<Problem>> {
    let mut planner = Planner { files, world, problems: Vec::new(), unchecked: Vec::new() };
    let package = planner.package();
    let mut problems = planner.problems;
    match package {
        Some(package) if problems.is_empty() => Ok(package),
        _ => {
            problems.iter_mut().for_each(|problem| place(problem, folder, files));
            problems.sort();
            problems.dedup();
            Err(problems)
        }
    }
}

/// Opens the artifact of `release`: `Rejected` if these are not the bytes that were packaged, `Bug` if they cannot be
/// read.
pub fn open_release(release: &Release, artifact: &[u8]) -> Result<Contents, Failure> {
    let label = format!("the artifact of {}@{}", release.component, release.version);
    if Digest::of(artifact) != release.digest {
        return Err(Failure::rejected(format!(
            "{label} is not the one that was packaged: its digest differs"
        )));
    }
    open(artifact).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::bug(format!("{label} cannot be opened: {}", told.join("; ")))
    })
}

/// Reads an artifact that [`plan`] made.
///
/// The problems, should there be any, mean that it was damaged or made by a version of Lockstep that allowed more.
pub fn open(artifact: &[u8]) -> Result<Contents, Vec<Problem>> {
    let mut files = unpack(artifact, &Limits::DEFAULT)
        .map_err(|error| vec![Problem::at("", None, format!("the artifact cannot be read: {error}"))])?;
    let unreadable = |file: &str, error: serde_json::Error| {
        vec![Problem::at(file, None, format!("cannot be read: {error}"))]
    };
    let lock = files.remove(IMAGE_LOCK_FILE).unwrap_or_default();
    let image_lock = serde_json::from_slice(&lock).map_err(|error| unreadable(IMAGE_LOCK_FILE, error))?;
    let function_lock = match files.remove(FUNCTION_LOCK_FILE) {
        Some(lock) => serde_json::from_slice(&lock).map_err(|error| unreadable(FUNCTION_LOCK_FILE, error))?,
        None => FunctionLock::default(),
    };
    let world = PackagingInput::default();
    let mut planner = Planner { files: &files, world: &world, problems: Vec::new(), unchecked: Vec::new() };
    match planner.source() {
        Some(Source { manifest, template: Some(template), layers: Some(layers), .. }) => {
            Ok(Contents { manifest, template, layers, image_lock, function_lock })
        }
        _ => Err(planner.problems),
    }
}

/// Gathers problems while it reads and judges.
struct Planner<'a> {
    files: &'a Files,
    world: &'a PackagingInput<'a>,
    problems: Vec<Problem>,
    unchecked: Vec<String>,
}

/// What was read of the folder. The manifest says where the rest is, so without it there is nothing.
struct Source {
    manifest: Manifest,
    lines: Lines,
    template: Option<Template>,
    layers: Option<ComponentParameters>,
}

impl<'a> Planner<'a> {
    fn package(&mut self) -> Option<Package> {
        self.judge_files();
        let Source { manifest, lines, template, layers } = self.source()?;
        let template = template?;
        self.judge_manifest(&manifest, &lines, &template);
        let image_lock = self.image_lock(&manifest, &lines);
        let layers = layers?;
        self.judge_values(&manifest, &template, &layers);
        let function_lock = self.function_lock(&template, &layers);
        self.build(manifest, template, layers, image_lock, function_lock)
    }

    fn source(&mut self) -> Option<Source> {
        let layers = ComponentParameters::read(self.files).map_err(|found| self.problems.extend(found)).ok();
        let text = self.text(manifest::FILE)?;
        let parsed = manifest::parse_with_lines(manifest::FILE, text);
        let (manifest, lines) = parsed.map_err(|found| self.problems.extend(found)).ok()?;
        let path = manifest.component.template.as_str();
        let template = self
            .text(path)
            .and_then(|text| Template::parse(path, text).map_err(|found| self.problems.extend(found)).ok());
        Some(Source { manifest, lines, template, layers })
    }

    /// The text of a file that must be there.
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
        for reserved in [IMAGE_LOCK_FILE, FUNCTION_LOCK_FILE] {
            if self.files.contains_key(reserved) {
                let message = "is a name that Lockstep uses in the release; rename this file";
                self.problems.push(Problem::at(reserved, None, message));
            }
        }
    }

    fn build(
        &mut self,
        manifest: Manifest,
        template: Template,
        layers: ComponentParameters,
        image_lock: ImageLock,
        function_lock: FunctionLock,
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
        let artifact = self.packed(&files)?;
        let test_template = template.throw_away();
        if test_template.len() > TEMPLATE_BYTES_MAX {
            let message = format!(
                "written out as JSON it has more than {TEMPLATE_BYTES_MAX} bytes, CloudFormation's limit"
            );
            self.problems.push(Problem::at(manifest.component.template.as_str(), None, message));
            return None;
        }
        let kinds = template.resources().values().map(|resource| resource.kind.as_str());
        let permissions = self.world.permissions.map(|table| table.excerpt(kinds).pack());
        Some(Package {
            permissions,
            outputs: template.outputs().keys().cloned().collect(),
            digest: Digest::of(&artifact),
            source_digest: Digest::of(&source),
            template_digest: template.digest().clone(),
            test_template_digest: Digest::of(test_template.as_bytes()),
            unchecked: std::mem::take(&mut self.unchecked),
            manifest,
            template,
            image_lock,
            function_lock,
            artifact,
            test_template,
            layers,
        })
    }

    fn packed(&mut self, files: &Files) -> Option<Vec<u8>> {
        pack(files).map_err(|error| self.problems.push(Problem::at("", None, error.to_string()))).ok()
    }
}

/// Makes a problem's file relative to the repository; those of the organisation's files stay as they are.
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
