//! Resolves every parameter in every stage for trial, so that a mistake appears before production.

use super::Planner;
use super::judge::declares;
use crate::delivery::function_code::FunctionLock;
use crate::delivery::local_files::{ARTIFACT_BUCKET, PINNED};
use crate::delivery::manifest::Manifest;
use crate::delivery::parameters::{
    ComponentParameters, Layers, OutputName, OutputUse, Request, functions, misplaced_in, missing,
    output_uses, rehearse,
};
use crate::delivery::stages::{Stage, Stages};
use crate::model::error::Problem;
use crate::model::ids::{AmiId, CommitSha, FunctionName, LogicalId, StageName, TEST};
use crate::model::toml_file::suggestion;
use crate::model::version::Version;
use crate::stacks::template::Template;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Stand-ins for a commit, an AMI, an output and a function's code, which are known only at deployment.
const SOME_COMMIT: &str = "0000000000000000000000000000000000000000";
const SOME_AMI: &str = "ami-00000000";
const SOME_OUTPUT: &str = "output";
const SOME_KEY: &str = "functions/some/0000000000000000000000000000000000000000000000000000000000000000.zip";

impl Planner<'_> {
    pub(super) fn judge_values(
        &mut self,
        manifest: &Manifest,
        template: &Template,
        layers: &ComponentParameters,
    ) {
        let bound: BTreeSet<&LogicalId> = manifest.images.keys().collect();
        for layer in layers.layers() {
            self.problems.extend(misplaced_in(layer, template.parameters(), &bound, true));
        }
        match self.input.stages {
            Some(stages) => {
                self.problems.extend(layers.check_stages(stages));
                self.judge_every_stage(stages, manifest, template, layers);
            }
            None => self.list_values_from_elsewhere(manifest, template, layers),
        }
    }

    fn judge_every_stage(
        &mut self,
        stages: &Stages,
        manifest: &Manifest,
        template: &Template,
        layers: &ComponentParameters,
    ) {
        let (Ok(commit), Ok(some_ami)) = (SOME_COMMIT.parse::<CommitSha>(), SOME_AMI.parse::<AmiId>()) else {
            return;
        };
        let images = manifest.images.keys().map(|id| (id.clone(), some_ami.clone())).collect();
        let unproven = RefCell::new(BTreeSet::new());
        let mut found: BTreeMap<Problem, Vec<&str>> = BTreeMap::new();
        let mut absent: BTreeMap<(LogicalId, u32), Vec<&str>> = BTreeMap::new();
        for stage in stages.iter() {
            let outputs = |output: &OutputName| self.prove(output, manifest, stage, &unproven);
            let functions = |name: &FunctionName| self.shipped(name, &unproven);
            let rehearsal = rehearse(
                &Request {
                    template_file: manifest.component.template.as_str(),
                    parameters: template.parameters(),
                    layers: Layers {
                        organisation: self.input.organisation,
                        component: layers,
                        overrides: None,
                    },
                    stage,
                    layers_of: &stage.name,
                    stages,
                    version: &Version::release(manifest.component.version, 0),
                    commit: &commit,
                    outputs: &outputs,
                    functions: &functions,
                    images: &images,
                    stored: &|_, _| None,
                },
                true,
            );
            for problem in rehearsal.problems {
                found.entry(problem).or_default().push(stage.name.as_str());
            }
            for (id, line) in rehearsal.missing {
                absent.entry((id, line)).or_default().push(stage.name.as_str());
            }
        }
        self.unchecked.extend(unproven.into_inner());
        let everywhere = stages.iter().count();
        for (mut problem, stages) in found {
            // The name of a stage's own file contains the stage already.
            let says_it = layers.stages.values().any(|layer| layer.file == problem.file);
            if stages.len() < everywhere && !says_it {
                problem.message = format!("{} (in {})", problem.message, stages.join(", "));
            }
            self.problems.push(problem);
        }
        for ((id, line), stages) in absent {
            self.absent(manifest, &id, line, &stages);
        }
    }

    fn absent(&mut self, manifest: &Manifest, id: &LogicalId, line: u32, stages: &[&str]) {
        if self.input.organisation.is_some() {
            self.problems.push(missing(manifest.component.template.as_str(), id, line, stages));
        } else {
            self.unchecked.push(from_organisation(id, &format!(" in {}", stages.join(", "))));
        }
    }

    /// Returns the references to outputs of other components, each once. If the stages are unknown, every stage that has
    /// values of its own counts.
    pub(super) fn uses(&self, template: &Template, layers: &ComponentParameters) -> Vec<OutputUse> {
        let organisation = self.input.organisation;
        let names: BTreeSet<StageName> = match self.input.stages {
            Some(stages) => stages.iter().map(|stage| stage.name.clone()).collect(),
            None => {
                let theirs = organisation.into_iter().flat_map(|it| it.stages.keys());
                layers.stages.keys().chain(theirs).cloned().chain(TEST.parse()).collect()
            }
        };
        let all = Layers { organisation, component: layers, overrides: None };
        let uses: BTreeSet<OutputUse> =
            names.iter().flat_map(|stage| output_uses(template.parameters(), &all, stage)).collect();
        uses.into_iter().collect()
    }

    /// Returns a stand-in for another component's output, or the reason for which that output will not exist.
    fn prove(
        &self,
        output: &OutputName,
        manifest: &Manifest,
        stage: &Stage,
        unproven: &RefCell<BTreeSet<String>>,
    ) -> Result<String, String> {
        if output.component == manifest.component.name {
            return Err(
                "a component cannot use its own output, which exists only after it is deployed".to_owned()
            );
        }
        if stage.is_test() && manifest.test.outputs_from.is_none() {
            return Err(
                "no other component lives in `test`; add outputs_from = \"<stage>\" to [test]".to_owned()
            );
        }
        let Some(producers) = self.input.producers else {
            unproven.borrow_mut().insert(format!(
                "{}: the outputs of other components are not known here",
                output.reference()
            ));
            return Ok(SOME_OUTPUT.to_owned());
        };
        let Some(outputs) = producers.get(&output.component) else {
            let known = producers.keys().map(|name| name.as_str());
            let hint = suggestion(output.component.as_str(), known);
            return Err(format!("no component `{}` has been released{hint}", output.component));
        };
        if declares(outputs.iter(), &output.output) {
            return Ok(SOME_OUTPUT.to_owned());
        }
        let hint = suggestion(output.output.as_str(), outputs);
        Err(format!("the template of `{}` has no output `{}`{hint}", output.component, output.output))
    }

    /// Returns the key of a function's code, or a stand-in if the shipped functions are unknown.
    fn shipped(&self, name: &FunctionName, unproven: &RefCell<BTreeSet<String>>) -> Result<String, String> {
        let Some(shipped) = self.input.functions else {
            let sentence = format!("${{functions.{name}}}: what Lockstep ships is not known here");
            unproven.borrow_mut().insert(sentence);
            return Ok(SOME_KEY.to_owned());
        };
        shipped.code(name).map(ToString::to_string)
    }

    /// Returns the functions that the values of any stage refer to, pinned. [`Planner::shipped`] reports the functions
    /// that are not shipped.
    pub(super) fn function_lock(&self, template: &Template, component: &ComponentParameters) -> FunctionLock {
        let (Some(stages), Some(shipped)) = (self.input.stages, self.input.functions) else {
            return FunctionLock::default();
        };
        let layers = Layers { organisation: self.input.organisation, component, overrides: None };
        let referred = stages.iter().flat_map(|stage| functions(template.parameters(), &layers, &stage.name));
        FunctionLock(
            referred.filter_map(|name| Some((name.clone(), shipped.code(&name).ok()?.clone()))).collect(),
        )
    }

    /// Reports the parameters that certainly need the organisation's values. Without stages, no value is resolved.
    fn list_values_from_elsewhere(
        &mut self,
        manifest: &Manifest,
        template: &Template,
        layers: &ComponentParameters,
    ) {
        self.unchecked.push("parameters: the stages are not known here, so no value was resolved".to_owned());
        for (name, parameter) in template.parameters() {
            let Ok(id) = name.parse::<LogicalId>() else { continue };
            let set = layers.layers().any(|layer| layer.values.contains_key(&id));
            let is_ours = name == ARTIFACT_BUCKET || name.starts_with(PINNED);
            let is_open = !is_ours && !set && !manifest.images.contains_key(&id);
            if parameter.default.is_none() && is_open {
                self.unchecked.push(from_organisation(&id, ""));
            }
        }
    }
}

fn from_organisation(id: &LogicalId, where_: &str) -> String {
    format!(
        "parameter {id}{where_}: no file of this component sets it, so it must come from the organisation's parameters"
    )
}
