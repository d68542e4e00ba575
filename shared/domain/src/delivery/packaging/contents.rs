//! Contents of an artifact.

use crate::delivery::function_code::FunctionLock;
use crate::delivery::local_files::LocalFiles;
use crate::delivery::manifest::Manifest;
use crate::delivery::parameters::{self, ComponentParameters, Layers};
use crate::delivery::stages::{Stage, Stages};
use crate::model::error::Failure;
use crate::model::ids::StageName;
use crate::model::image_lock::ImageLock;
use crate::model::late_values::LateValues;
use crate::model::location::Location;
use crate::model::public_parameters::PublicParameterLock;
use crate::records::Release;
use crate::stacks::names::render::is_known;
use crate::stacks::names::{StageValues, VARYING};
use crate::stacks::review::NestedAfter;
use crate::stacks::template::Template;
use std::collections::BTreeMap;
use std::ops::Deref;

/// Content of an artifact.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The component's manifest.
    pub manifest: Manifest,
    /// Its deployed template.
    pub template: Template,
    /// The text of its deployed template.
    pub deployed: String,
    /// The template of its test stack.
    pub test_template: String,
    /// The component's parameter files.
    pub layers: ComponentParameters,
    /// Every image, pinned.
    pub image_lock: ImageLock,
    /// Every referenced function of Lockstep, pinned.
    pub function_lock: FunctionLock,
    /// Every public parameter that the template names, pinned.
    pub public_lock: PublicParameterLock,
}

impl Contents {
    /// Returns the template text that the stack in `stage` runs. A test stack runs the template that packaging derived
    /// from the deployed one.
    pub fn template_in(&self, stage: &Stage) -> String {
        if stage.is_test() { self.test_template.clone() } else { self.deployed.clone() }
    }

    /// Returns the template that the stack in `stage` runs, as [`Contents::template_in`].
    ///
    /// # Errors
    /// `Bug` if it cannot be read. It is made from a template that was read.
    pub fn deployed_template(&self, stage: &Stage) -> Result<Template, Failure> {
        Template::parse(self.manifest.component.template.as_str(), &self.template_in(stage)).map_err(
            |problems| {
                let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Failure::bug(format!("the deployed template cannot be read: {}", found.join("; ")))
            },
        )
    }

    /// Returns the values of the parameters that are the same in every deployment to `stage` with the layers of
    /// `layers_of`, without masked ones. Values with outputs, versions or images are left out.
    pub fn settled_parameters(
        &self,
        stages: &Stages,
        stage: &Stage,
        layers_of: &StageName,
        release: &Release,
        layers: Layers<'_>,
    ) -> BTreeMap<String, String> {
        let unknown = || "it is not settled".to_owned();
        let request = parameters::Request {
            template_file: self.manifest.component.template.as_str(),
            parameters: self.template.parameters(),
            layers,
            stage,
            layers_of,
            stages,
            version: &release.version,
            commit: &release.commit,
            outputs: &|_| Err(unknown()),
            functions: &|_| Err(unknown()),
            images: &BTreeMap::new(),
            stored: &|id, name| self.public_lock.value(id, &stage.region, name),
        };
        let mut values = parameters::settled(&request);
        values.retain(|name, _| {
            let masked = self.template.parameters().get(name).is_some_and(|parameter| parameter.no_echo);
            !masked && !self.image_lock.0.keys().any(|bound| bound.as_str() == name)
        });
        values
    }
}

/// Content of an artifact with the files that its templates name.
#[derive(Clone, Debug)]
pub struct PackedContents {
    /// The content.
    pub contents: Contents,
    /// The author's template with its lines, and with addresses in the place of local paths.
    pub template: Template,
    /// The files that the template names.
    pub local: LocalFiles,
}

impl Deref for PackedContents {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl PackedContents {
    /// Returns the nested stacks whose templates are in the release, as they run with these `parameters` of the
    /// stack. Values that the template hides are passed on as unknown ones.
    pub fn nested_stacks(
        &self,
        stage: &StageName,
        location: &Location,
        parameters: &BTreeMap<String, String>,
    ) -> Vec<NestedAfter<'_>> {
        let declared = self.template.parameters();
        let visible = |name: &String| declared.get(name).is_none_or(|parameter| !parameter.no_echo);
        let passed = parameters.iter().map(|(name, value)| {
            (name.clone(), if visible(name) { value.clone() } else { VARYING.to_owned() })
        });
        let values = StageValues {
            stage: stage.clone(),
            location: location.clone(),
            parameters: passed.collect(),
            references: BTreeMap::new(),
        };
        let stacks = self.local.stacks_of_every_branch(&self.template, &values).into_iter();
        let known = |value: String| is_known(&value).then_some(value);
        let nested = stacks.map(|stack| NestedAfter {
            path: stack.path,
            template: stack.template,
            parameters: stack
                .values
                .parameters
                .into_iter()
                .map(|(name, value)| (name, known(value)))
                .collect(),
        });
        nested.collect()
    }

    /// Returns the values that CloudFormation reads when it deploys these `parameters` to a stage. `references` are known
    /// values of `Ref`: pseudo parameters, and physical ids of resources that exist.
    pub fn late_values(
        &self,
        stage: &StageName,
        location: &Location,
        parameters: &BTreeMap<String, String>,
        references: &BTreeMap<String, String>,
    ) -> LateValues {
        let values = StageValues {
            stage: stage.clone(),
            location: location.clone(),
            parameters: parameters.clone(),
            references: references.clone(),
        };
        let mut found = LateValues::default();
        found.add("", &self.template, &values);
        for nested in self.local.stacks_of_every_branch(&self.template, &values) {
            found.add(&nested.path, nested.template, &nested.values);
        }
        found
    }
}
