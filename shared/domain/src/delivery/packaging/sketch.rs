//! What a component refers to outside of its folder. A caller reads this before it plans the release.

use super::public::named;
use super::{PackagingInput, ParsedFolder, Planner};
use crate::delivery::archive::Files;
use crate::delivery::parameters::{Layers, OrganisationParameters, references};
use crate::delivery::stages::Stages;
use crate::model::ids::{ComponentName, ImageName, Region};
use std::collections::BTreeSet;

/// Names that a component refers to, and those that others may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    /// The component.
    pub name: ComponentName,
    /// The images that its template needs.
    pub images: BTreeSet<ImageName>,
    /// The components whose outputs its parameters read, in any stage.
    pub producers: BTreeSet<ComponentName>,
    /// The outputs of its template.
    pub outputs: BTreeSet<String>,
    /// The public parameters that its template names, with the region of the stage.
    pub public: BTreeSet<(Region, String)>,
}

/// Returns the names that a component refers to; `None` if a part of it is unreadable, which [`super::plan`] reports.
pub fn sketch(files: &Files, stages: &Stages, organisation: &OrganisationParameters) -> Option<Sketch> {
    let input =
        PackagingInput { stages: Some(stages), organisation: Some(organisation), ..Default::default() };
    let mut planner = Planner::new(files, &input);
    let ParsedFolder { manifest, reading, layers, .. } = planner.source()?;
    let (reading, component) = (reading?, layers?);
    let template = &reading.template;
    let layers = Layers { organisation: Some(organisation), component: &component, overrides: None };
    let referred = stages.iter().flat_map(|stage| references(template.parameters(), &layers, &stage.name));
    Some(Sketch {
        images: manifest.images.values().map(|constraint| constraint.name().clone()).collect(),
        producers: referred.map(|output| output.component).collect(),
        outputs: template.outputs().keys().cloned().collect(),
        public: named(&reading, &planner.values_by_stage(&manifest, template, &component)),
        name: manifest.component.name,
    })
}
