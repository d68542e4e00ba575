//! Judges the manifest against the template, and the images against the baked versions.

use super::Planner;
use crate::delivery::manifest::{self, Lines, Manifest};
use crate::images::constraint::resolve;
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::Problem;
use crate::model::ids::LogicalId;
use crate::model::image_lock::ImageLock;
use crate::model::toml_file::suggestion;
use crate::stacks::resource_rules::has_fixed_tags;
use crate::stacks::resource_types::{UnknownNames, unknown_names};
use crate::stacks::template::Template;

impl Planner<'_> {
    pub(super) fn judge_manifest(&mut self, manifest: &Manifest, lines: &Lines, template: &Template) {
        // Names that the template lacks are reported below, at their line in the manifest.
        let protect =
            manifest.protect.logical_ids.iter().filter(|id| template.line_of(id.as_str()).is_some());
        self.problems.extend(template.lint(&protect.cloned().collect::<Vec<_>>()));
        for id in manifest.images.keys() {
            self.must_exist("parameter", id, template.parameters().keys(), lines.of(&format!("images.{id}")));
        }
        for (n, check) in manifest.checks.iter().enumerate() {
            let line = lines.of(&format!("checks[{n}]"));
            for output in check.outputs() {
                self.must_exist("output", output, template.outputs().keys(), line);
            }
        }
        for id in &manifest.protect.logical_ids {
            self.must_exist("resource", id, template.resources().keys(), lines.of(&format!("protect.{id}")));
        }
        for (n, ignored) in manifest.drift.ignore.iter().enumerate() {
            let line = lines.of(&format!("drift.ignore[{n}]"));
            self.must_exist("resource", &ignored.logical_id, template.resources().keys(), line);
        }
        self.judge_outputs_from(manifest, lines);
        self.judge_tags(manifest, template);
    }

    /// Warns of resources that the tag with the version replaces in each release.
    fn judge_tags(&mut self, manifest: &Manifest, template: &Template) {
        if !manifest.tags.version {
            return;
        }
        for (id, resource) in template.resources() {
            if has_fixed_tags(&resource.kind) {
                let message = format!(
                    "{id}: a change of the tags of {} replaces the resource, interrupts it or fails, and the tag \
                     `environment:version` changes in each release; write version = false in the table [tags] of \
                     lockstep.toml",
                    resource.kind
                );
                let file = manifest.component.template.as_str();
                self.hints.push(Problem::at(file, resource.line, message));
            }
        }
    }

    /// Checks the names of types, properties and attributes against AWS's schemas.
    pub(super) fn judge_names(&mut self, manifest: &Manifest, template: &Template) {
        let Some(table) = self.input.permissions else { return };
        let UnknownNames { problems, hints } = unknown_names(template, table, &manifest.check.accept);
        self.problems.extend(problems);
        self.hints.extend(hints);
    }

    fn must_exist<'n>(
        &mut self,
        what: &str,
        id: &LogicalId,
        names: impl Iterator<Item = &'n String> + Clone,
        line: Option<u32>,
    ) {
        if !declares(names.clone(), id) {
            let message = format!("the template has no {what} `{id}`{}", suggestion(id.as_str(), names));
            self.problems.push(Problem::at(manifest::FILE, line, message));
        }
    }

    /// Checks the stage of `test.outputs_from`: the delivery path creates the test stack, and reads only stages of its
    /// own path.
    fn judge_outputs_from(&mut self, manifest: &Manifest, lines: &Lines) {
        let (Some(name), Some(stages)) = (&manifest.test.outputs_from, self.input.stages) else { return };
        let message = match stages.get(name) {
            None => {
                let known = stages.iter().skip(1).map(|stage| stage.name.as_str());
                format!("there is no stage `{name}`{}", suggestion(name.as_str(), known))
            }
            Some(stage) if stage.is_test() => {
                "no other component lives in `test`; name the stage after it".to_owned()
            }
            Some(stage) if stage.path() == DeploymentPath::Promotion => {
                format!(
                    "`{name}` is reached only by promotion, so a test cannot read its outputs; name a stage that propagates"
                )
            }
            Some(_) => return,
        };
        self.problems.push(Problem::at(manifest::FILE, lines.of("test.outputs_from"), message));
    }

    pub(super) fn image_lock(&mut self, manifest: &Manifest, lines: &Lines) -> ImageLock {
        let mut lock = ImageLock::default();
        for (parameter, constraint) in &manifest.images {
            let Some(versions) = self.input.images else {
                let sentence =
                    format!("image {constraint} for {parameter}: the versions that exist are not known here");
                self.unchecked.push(sentence);
                continue;
            };
            match resolve(parameter, constraint, versions) {
                Ok(locked) => drop(lock.0.insert(parameter.clone(), locked)),
                Err(why) => {
                    let line = lines.of(&format!("images.{parameter}"));
                    self.problems.push(Problem::at(manifest::FILE, line, why));
                }
            }
        }
        lock
    }
}

/// Returns true if `names` contain `id`. An output of a `Fn::ForEach` has a pattern as its name, `Host${Zone}`.
/// CloudFormation checks that the loop makes this name.
pub(super) fn declares<'n>(mut names: impl Iterator<Item = &'n String>, id: &LogicalId) -> bool {
    let id = id.as_str();
    names.any(|name| match (name.find("${"), name.rfind('}')) {
        (Some(start), Some(end)) => {
            let (before, after) = (&name[..start], &name[end + 1..]);
            id.len() > before.len() + after.len() && id.starts_with(before) && id.ends_with(after)
        }
        _ => name == id,
    })
}
