//! Pins the public parameters that a template names, in the region of each stage.

use super::Planner;
use crate::delivery::local_files::Reading;
use crate::delivery::manifest::Manifest;
use crate::model::error::Problem;
use crate::model::ids::{LogicalId, Region};
use crate::model::public_parameters::{PinnedValue, PublicParameterLock, is_public};
use crate::stacks::names::StageValues;
use crate::stacks::template::Parameter;
use std::collections::BTreeSet;

/// Returns the public parameters that a template names, with the region, for the values of its stages.
pub(super) fn named(reading: &Reading, values: &[StageValues]) -> BTreeSet<(Region, String)> {
    let of = |stage: &StageValues, id: &LogicalId| {
        let name = stage.parameters.get(id.as_str()).filter(|name| is_public(name))?;
        Some((stage.location.region.clone(), name.clone()))
    };
    values.iter().flat_map(|stage| reading.stored.iter().filter_map(|id| of(stage, id))).collect()
}

impl Planner<'_> {
    /// Returns the lock of the public parameters. Reports those that a region lacks.
    pub(super) fn public_lock(
        &mut self,
        manifest: &Manifest,
        reading: &Reading,
        values: &[StageValues],
    ) -> PublicParameterLock {
        let mut lock = PublicParameterLock { parameters: reading.stored.clone(), ..Default::default() };
        self.list_unpinned(reading, values);
        let Some(public) = self.input.public else { return lock };
        for (region, name) in named(reading, values) {
            match PinnedValue::of(public.get(&region).and_then(|found| found.get(&name))) {
                Ok(pin) => drop(lock.regions.entry(region).or_default().insert(name, pin)),
                Err(why) => {
                    let file = manifest.component.template.as_str();
                    let message = format!(
                        "the public parameter {name} cannot be read in {region}, the region of a stage: {why}"
                    );
                    self.problems.push(Problem::at(file, line(reading, values, &name), message));
                }
            }
        }
        lock
    }

    /// Lists the stored parameters that no release can pin, and those that are not known here.
    fn list_unpinned(&mut self, reading: &Reading, values: &[StageValues]) {
        for id in &reading.stored {
            let Some(parameter) = reading.template.parameters().get(id.as_str()) else { continue };
            let names = names(id, parameter, values);
            if self.input.public.is_none() && names.iter().any(|name| is_public(name)) {
                let names = names.into_iter().filter(|name| is_public(name)).collect::<Vec<_>>().join(", ");
                self.unchecked.push(format!("{names}: the values that a release pins are not read here"));
            } else if !names.iter().all(|name| is_public(name)) {
                self.unchecked.push(format!(
                    "parameter {id} (line {}): Parameter Store names its image in each stage, so a stage may run an image that \
                     no stage before tested; name it under [images] to pin it",
                    parameter.line
                ));
            }
        }
    }
}

/// Returns the names that a parameter has in the stages; its default if the stages are unknown.
fn names<'a>(id: &LogicalId, parameter: &'a Parameter, values: &'a [StageValues]) -> BTreeSet<&'a str> {
    let of_stages = values.iter().filter_map(|stage| stage.parameters.get(id.as_str()));
    let default = parameter.default.iter().filter(|_| values.is_empty());
    of_stages.chain(default).map(String::as_str).collect()
}

fn line(reading: &Reading, values: &[StageValues], name: &str) -> Option<u32> {
    let is_it =
        |id: &&LogicalId| values.iter().any(|it| it.parameters.get(id.as_str()).is_some_and(|it| it == name));
    let id = reading.stored.iter().find(is_it)?;
    reading.template.parameters().get(id.as_str()).map(|parameter| parameter.line)
}
