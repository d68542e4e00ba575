//! Resolves the values of every stage, for the names that two stacks would both have.

use super::Planner;
use crate::delivery::local_files::Reading;
use crate::delivery::manifest::{self, Manifest};
use crate::delivery::parameters::{self, ComponentParameters, Layers, OutputName, Request, rehearse};
use crate::delivery::stages::{Stage, Stages};
use crate::model::ids::{AmiId, CommitSha, FunctionName, LogicalId};
use crate::model::version::Version;
use crate::stacks::names::{self, FixedNames, StageValues, VARYING};
use crate::stacks::template::Template;
use std::collections::BTreeMap;

/// Two stand-ins for a commit: a value that differs between them differs from release to release.
const COMMITS: [&str; 2] =
    ["0000000000000000000000000000000000000000", "1111111111111111111111111111111111111111"];
const SOME_AMI: &str = "ami-00000000";

impl Planner<'_> {
    /// Returns the values of each stage; none if the stages are unknown.
    pub(super) fn values_by_stage(
        &self,
        manifest: &Manifest,
        template: &Template,
        layers: &ComponentParameters,
    ) -> Vec<StageValues> {
        let Some(stages) = self.input.stages else { return Vec::new() };
        stages.iter().map(|stage| self.stage_values(stages, stage, manifest, template, layers)).collect()
    }

    /// Finds the names that the test stack leaves out. Reports those that it cannot have.
    pub(super) fn fixed_names(
        &mut self,
        manifest: &Manifest,
        Reading { template, local, .. }: &Reading,
        values: &[StageValues],
    ) -> FixedNames {
        if self.input.stages.is_none() {
            return FixedNames::default();
        }
        let file = manifest.component.template.as_str();
        let mut found = names::judge(file, template, values, &self.other_texts(manifest));
        let nested: Vec<_> = values.iter().map(|stage| local.stacks(template, stage)).collect();
        let theirs = names::judge_nested(&nested);
        found.problems.extend(theirs.problems);
        found.serial_tests |= theirs.serial_tests;
        self.problems.extend(found.problems.iter().cloned());
        self.hints.extend(found.hints.iter().cloned());
        found
    }

    fn stage_values(
        &self,
        stages: &Stages,
        stage: &Stage,
        manifest: &Manifest,
        template: &Template,
        layers: &ComponentParameters,
    ) -> StageValues {
        let resolved = |build: usize| {
            let version = Version::release(manifest.component.version, build as u32);
            let commit: CommitSha = COMMITS[build].parse().ok()?;
            let producers =
                manifest.test.outputs_from.as_ref().filter(|_| stage.is_test()).unwrap_or(&stage.name);
            // The same text in two stages means the same output, function or image.
            let request = Request {
                template_file: manifest.component.template.as_str(),
                parameters: template.parameters(),
                layers: Layers { organisation: self.input.organisation, component: layers, overrides: None },
                stage,
                layers_of: &stage.name,
                stages,
                version: &version,
                commit: &commit,
                outputs: &|output: &OutputName| Ok(format!("{output} in {producers}")),
                functions: &|function: &FunctionName| Ok(format!("functions/{function}")),
                images: &images(manifest),
                stored: &|_, _| None,
            };
            Some(rehearse(&request, true).resolved.values)
        };
        let first = resolved(0).unwrap_or_default();
        let second = resolved(1).unwrap_or_default();
        let settled = |(name, value): (String, String)| match second.get(&name) {
            Some(again) if *again == value => (name, value),
            _ => (name, VARYING.to_owned()),
        };
        StageValues {
            stage: stage.name.clone(),
            location: stage.location(),
            parameters: first.into_iter().map(settled).collect(),
            references: BTreeMap::new(),
        }
    }

    /// Returns the texts of the component that may mention a name of the template: its checks and its other files.
    fn other_texts(&self, manifest: &Manifest) -> BTreeMap<String, String> {
        let template = manifest.component.template.as_str();
        let is_other = |path: &str| {
            path != template
                && path != manifest::FILE
                && !path.ends_with(".md")
                && !path.starts_with(&format!("{}/", parameters::FOLDER))
        };
        let others = self.files.iter().filter(|(path, _)| is_other(path));
        let mut texts: BTreeMap<String, String> =
            others.map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned())).collect();
        let checks = serde_json::to_string(&manifest.checks).unwrap_or_default();
        texts.insert(manifest::FILE.to_owned(), checks);
        texts
    }
}

fn images(manifest: &Manifest) -> BTreeMap<LogicalId, AmiId> {
    let Ok(ami) = SOME_AMI.parse::<AmiId>() else { return BTreeMap::new() };
    manifest.images.keys().map(|id| (id.clone(), ami.clone())).collect()
}
