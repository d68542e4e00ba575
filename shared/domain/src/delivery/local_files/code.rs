//! Judges the code of a function before it is deployed: a missing build step, and Lambda's limits.
//!
//! Lockstep builds nothing. A function without its handler, its compiled artifact or its dependencies deploys, and fails at
//! its first invocation.

mod handler;

use crate::delivery::function_code::MAX_ZIP_BYTES;
use std::collections::BTreeSet;

/// Maximum number of packages that a message names.
const NAMES_MAX: usize = 5;

/// The properties of a function or a layer that say what its code must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct CodeFacts {
    /// `Runtime`, or the compatible runtimes of a layer.
    pub(super) runtimes: Vec<String>,
    /// `Handler`.
    pub(super) handler: Option<String>,
    /// True if a runtime or the handler is the default of a parameter, which a stage may replace.
    pub(super) is_uncertain: bool,
    /// True if the function has layers, which may hold the handler and the dependencies.
    pub(super) has_layers: bool,
    /// True if `Metadata` asks the SAM command for a build.
    pub(super) asks_for_build: bool,
}

/// The files of a zip, by name.
pub(super) struct CodeFiles<'f> {
    /// The names, with `/` between folders.
    pub(super) names: BTreeSet<&'f str>,
    /// The bytes of all files, unpacked.
    pub(super) bytes: u64,
    /// Returns the content of a file; `None` also inside a zip that the author made.
    pub(super) read: &'f dyn Fn(&str) -> Option<&'f [u8]>,
}

impl CodeFiles<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn has_below(&self, folder: &str) -> bool {
        let from = format!("{folder}/");
        self.names.range(from.as_str()..).next().is_some_and(|name| name.starts_with(&from))
    }
}

/// Reasons to refuse the code, and hints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CodeJudgement {
    pub(super) refusals: Vec<String>,
    pub(super) hints: Vec<String>,
}

impl CodeJudgement {
    /// Adds a refusal, or a hint where the finding is not certain.
    fn add(&mut self, certain: bool, message: String) {
        if certain { self.refusals.push(message) } else { self.hints.push(message) }
    }
}

/// Judges the code of a function.
pub(super) fn judge_function(facts: &CodeFacts, files: &CodeFiles<'_>) -> CodeJudgement {
    let mut judgement = CodeJudgement::default();
    within_limit(files, &mut judgement);
    build_hint(facts, &mut judgement);
    let certain = !facts.is_uncertain && !facts.has_layers;
    for runtime in &facts.runtimes {
        if let Some(message) = handler::missing(runtime, facts.handler.as_deref(), files) {
            let from_layer = if facts.has_layers { ", unless a layer holds it" } else { "" };
            judgement.add(certain, format!("{message}{from_layer}"));
        }
        dependencies(runtime, certain, facts.has_layers, files, &mut judgement);
    }
    judgement
}

/// Judges the content of a layer.
pub(super) fn judge_layer(facts: &CodeFacts, files: &CodeFiles<'_>) -> CodeJudgement {
    let mut judgement = CodeJudgement::default();
    within_limit(files, &mut judgement);
    build_hint(facts, &mut judgement);
    // https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    let folders = [("python", "python"), ("nodejs", "nodejs"), ("ruby", "ruby"), ("java", "java")];
    for (family, folder) in folders {
        let concerned = facts.runtimes.iter().any(|runtime| runtime.starts_with(family));
        if concerned && !files.has_below(folder) && !files.has_below("lib") && !files.has_below("bin") {
            judgement.hints.push(format!(
                "the layer has no folder {folder}/, where a {family} runtime searches its packages"
            ));
        }
    }
    judgement
}

fn within_limit(files: &CodeFiles<'_>, judgement: &mut CodeJudgement) {
    if files.bytes > MAX_ZIP_BYTES as u64 {
        judgement.refusals.push(format!(
            "the code has more than {} MiB unpacked, Lambda's limit; leave out what the function does not need, or use a \
             container image",
            MAX_ZIP_BYTES >> 20
        ));
    }
}

fn build_hint(facts: &CodeFacts, judgement: &mut CodeJudgement) {
    if facts.asks_for_build {
        judgement.hints.push(
            "Metadata asks `sam build` for a build, which Lockstep does not run; build before the push, and commit the \
             result"
                .to_owned(),
        );
    }
}

fn dependencies(
    runtime: &str,
    certain: bool,
    has_layers: bool,
    files: &CodeFiles<'_>,
    judgement: &mut CodeJudgement,
) {
    if runtime.starts_with("nodejs") {
        let missing = missing_node_modules(runtime, files);
        if !missing.is_empty() {
            judgement.add(
                certain,
                format!(
                    "package.json names {}, but the folder has no node_modules for it; commit the installed packages (`npm \
                     ci --omit=dev`), or point at a bundle without package.json",
                    missing.join(", ")
                ),
            );
        }
    }
    if has_layers {
        return;
    }
    if runtime.starts_with("python") && lacks_requirements(files) {
        judgement.hints.push(
            "requirements.txt names packages, but the folder holds none; install them beside the code (`pip install \
             --target`) if the function imports them"
                .to_owned(),
        );
    }
    if runtime.starts_with("ruby") && files.has("Gemfile") && !files.has_below("vendor") {
        judgement.hints.push(
            "Gemfile names gems, but the folder has no vendor/; run `bundle install` into it if the function needs them"
                .to_owned(),
        );
    }
}

/// Returns the dependencies of package.json without a folder below node_modules. The runtime brings the AWS SDK.
fn missing_node_modules(runtime: &str, files: &CodeFiles<'_>) -> Vec<String> {
    let Some(text) = (files.read)("package.json") else { return Vec::new() };
    // Plug'n'Play has no node_modules: https://yarnpkg.com/features/pnp
    if files.has(".pnp.cjs") {
        return Vec::new();
    }
    let package: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let named = package.get("dependencies").and_then(serde_json::Value::as_object);
    let of_runtime = |name: &str| match runtime {
        "nodejs16.x" | "nodejs14.x" | "nodejs12.x" | "nodejs10.x" | "nodejs8.10" => name == "aws-sdk",
        _ => name.starts_with("@aws-sdk/") || name.starts_with("@smithy/"),
    };
    let names = named.into_iter().flat_map(|named| named.keys());
    let missing: BTreeSet<&String> =
        names.filter(|name| !of_runtime(name) && !files.has_below(&format!("node_modules/{name}"))).collect();
    missing.into_iter().take(NAMES_MAX).cloned().collect()
}

/// Returns true if requirements.txt names packages, and no installed package is in the folder.
fn lacks_requirements(files: &CodeFiles<'_>) -> bool {
    let Some(text) = (files.read)("requirements.txt") else { return false };
    let text = String::from_utf8_lossy(text);
    let needed = text.lines().map(str::trim).any(|line| {
        let name = line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next();
        !line.starts_with(['#', '-'])
            && name.is_some_and(|name| {
                !name.is_empty() && !["boto3", "botocore"].contains(&name.to_lowercase().as_str())
            })
    });
    let installed = files
        .names
        .iter()
        .any(|name| name.split('/').any(|part| part.ends_with(".dist-info") || part.ends_with(".egg-info")));
    needed && !installed
}

#[cfg(test)]
mod tests;
