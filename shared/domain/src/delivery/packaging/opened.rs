//! Reads the artifact of a release.

use super::contents::{Contents, PackedContents};
use super::{
    DEPLOYED_TEMPLATE_FILE, FUNCTION_LOCK_FILE, IMAGE_LOCK_FILE, PUBLIC_LOCK_FILE, PackagingInput, Planner,
    TEST_TEMPLATE_FILE,
};
use crate::delivery::archive::{Files, Limits, unpack};
use crate::delivery::function_code::FunctionLock;
use crate::delivery::local_files;
use crate::delivery::manifest;
use crate::delivery::parameters::ComponentParameters;
use crate::model::error::{Failure, Problem, chain};
use crate::model::ids::Digest;
use crate::model::public_parameters::PublicParameterLock;
use crate::records::Release;
use crate::stacks::template::Template;

/// Opens the artifact of `release`. Returns `Rejected` if the bytes differ from the packaged ones, and `Bug` if they
/// cannot be read.
pub fn open_release(release: &Release, artifact: &[u8]) -> Result<Contents, Failure> {
    read_release(release, artifact).map(|(contents, _)| contents)
}

/// Opens the artifact of `release` as [`open_release`], and packs the files that its templates name.
///
/// Returns `Rejected` if the deployed template in the artifact is not the one that its files give: the digest of the release
/// says only that nothing changed the artifact since it was packaged.
pub fn open_packed(release: &Release, artifact: &[u8]) -> Result<PackedContents, Failure> {
    let (contents, files) = read_release(release, artifact)?;
    let path = contents.manifest.component.template.as_str();
    let reading = local_files::read(path, &files).map_err(|problems| unreadable(release, &problems))?;
    if reading.template.deployed_text() != contents.deployed {
        return Err(Failure::rejected(format!(
            "{} holds a deployed template that its files do not give; package the commit again",
            label(release)
        )));
    }
    if reading.stored != contents.public_lock.parameters {
        return Err(Failure::rejected(format!(
            "{} names other stored parameters than its files do; package the commit again",
            label(release)
        )));
    }
    Ok(PackedContents { contents, template: reading.template, local: reading.local })
}

fn read_release(release: &Release, artifact: &[u8]) -> Result<(Contents, Files), Failure> {
    if Digest::of(artifact) != release.digest {
        return Err(Failure::rejected(format!(
            "{} is not the one that was packaged: its digest differs",
            label(release)
        )));
    }
    read(artifact).map_err(|problems| unreadable(release, &problems))
}

fn label(release: &Release) -> String {
    format!("the artifact of {}@{}", release.component, release.version)
}

fn unreadable(release: &Release, problems: &[Problem]) -> Failure {
    let reported: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::bug(format!("{} cannot be opened: {}", label(release), reported.join("; ")))
}

/// Reads an artifact that [`super::plan`] made.
///
/// Problems mean that the artifact is damaged, or that a version of Lockstep with other rules made it.
pub fn open(artifact: &[u8]) -> Result<Contents, Vec<Problem>> {
    read(artifact).map(|(contents, _)| contents)
}

/// Returns the contents of an artifact, and the files of the component.
fn read(artifact: &[u8]) -> Result<(Contents, Files), Vec<Problem>> {
    let mut files = unpack(artifact, &Limits::DEFAULT).map_err(|error| {
        vec![Problem::at("", None, format!("the artifact cannot be read: {}", chain(&error)))]
    })?;
    let unreadable = |file: &str, error: serde_json::Error| {
        vec![Problem::at(file, None, format!("cannot be read: {}", chain(&error)))]
    };
    let lock = files.remove(IMAGE_LOCK_FILE).unwrap_or_default();
    let image_lock = serde_json::from_slice(&lock).map_err(|error| unreadable(IMAGE_LOCK_FILE, error))?;
    let function_lock = match files.remove(FUNCTION_LOCK_FILE) {
        Some(lock) => serde_json::from_slice(&lock).map_err(|error| unreadable(FUNCTION_LOCK_FILE, error))?,
        None => FunctionLock::default(),
    };
    let public_lock = match files.remove(PUBLIC_LOCK_FILE) {
        Some(lock) => serde_json::from_slice(&lock).map_err(|error| unreadable(PUBLIC_LOCK_FILE, error))?,
        None => PublicParameterLock::default(),
    };
    let deployed = text(&mut files, DEPLOYED_TEMPLATE_FILE)?;
    let test_template = text(&mut files, TEST_TEMPLATE_FILE)?;
    let layers = ComponentParameters::read(&files)?;
    let input = PackagingInput::default();
    let mut planner = Planner::new(&files, &input);
    let Some(written) = planner.text(manifest::FILE) else { return Err(planner.problems) };
    let (manifest, _) = manifest::parse_with_lines(manifest::FILE, written)?;
    let template = Template::parse(manifest.component.template.as_str(), &deployed)?;
    let contents = Contents {
        manifest,
        template,
        deployed,
        test_template,
        layers,
        image_lock,
        function_lock,
        public_lock,
    };
    Ok((contents, files))
}

/// Takes a text of Lockstep out of the files.
fn text(files: &mut Files, name: &str) -> Result<String, Vec<Problem>> {
    files.remove(name).and_then(|text| String::from_utf8(text).ok()).ok_or_else(|| {
        let message =
            "is missing or no text: another version of Lockstep packaged this release; package it again";
        vec![Problem::at(name, None, message)]
    })
}
