//! What there is of images, and who uses it: the ledger's records put together.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::names::ImageVersionName;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::references::{Reference, ReferenceGraph, ReferenceSources, reference_graph};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::model::ids::{AmiId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployed, Environment, Image, ImageVersion, Release};
use std::collections::BTreeSet;

/// Everything that is known of images.
pub struct ImageInventory {
    /// Every version, by name and then newest first.
    pub versions: Vec<ImageVersion>,
    /// Each of them in each account and region.
    pub places: Vec<Image>,
    /// What needs which version.
    pub references: ReferenceGraph,
    /// Every release, newest first.
    pub releases: Vec<Release>,
    /// Every environment of every stage.
    pub environments: Vec<Environment>,
    /// The stages.
    pub stages: Stages,
    /// What the organisation says about images.
    pub settings: ImageSettings,
}

/// An environment that a version of an image runs in, or ran in before.
pub struct ImageUse<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The release that pins it, as it runs or ran there.
    pub deployed: &'a Deployed,
    /// Whether that is what runs now.
    pub now: bool,
    /// Where its stack is.
    pub location: Option<Location>,
}

impl ImageInventory {
    /// Reads it.
    pub async fn read(plane: &ControlPlane) -> Result<Self, Failure> {
        let stages = plane.stages().await?;
        let (mut versions, mut places) = (plane.image_versions().await?, plane.images().await?);
        versions.sort_by(|a, b| (&a.name, &b.version).cmp(&(&b.name, &a.version)));
        places.sort_by(|a, b| a.location.cmp(&b.location));
        let (releases, environments) = (plane.releases(None).await?, plane.environments(&stages).await?);
        let mut unfinished = plane.deployments().await?;
        unfinished.retain(|deployment| !deployment.state.is_final());
        let needs =
            ReferenceSources { environments: &environments, unfinished: &unfinished, releases: &releases };
        let references = reference_graph(&needs);
        let settings = plane.image_settings().await?;
        Ok(Self { versions, places, references, releases, environments, stages, settings })
    }

    /// A version, or what to do if there is none.
    pub fn version(&self, name: &ImageVersionName) -> Result<&ImageVersion, Failure> {
        let found = self.versions.iter().find(|v| v.name == name.image && v.version == name.version);
        found.ok_or_else(|| {
            Failure::new(format!("there is no image {}@{}", name.image, name.version)).next("lockstep images")
        })
    }

    /// The version that an AMI is, and where it is.
    pub fn of_ami(&self, ami: &AmiId) -> Option<(&ImageVersion, &Image)> {
        let image = self.places.iter().find(|image| image.ami.as_ref() == Some(ami))?;
        let version = self.versions.iter().find(|v| v.name == image.name && v.version == image.version)?;
        Some((version, image))
    }

    /// Where a version is.
    pub fn places_of(&self, version: &ImageVersion) -> Vec<&Image> {
        let is_it = |image: &&Image| image.name == version.name && image.version == version.version;
        self.places.iter().filter(is_it).collect()
    }

    /// What needs a version.
    pub fn references_of(&self, version: &ImageVersion) -> BTreeSet<Reference> {
        self.references.get(&(version.name.clone(), version.version.clone())).cloned().unwrap_or_default()
    }

    /// The releases that pin a version, newest first.
    pub fn releases_of(&self, version: &ImageVersion) -> Vec<&Release> {
        self.releases.iter().filter(|release| pins(release, &version.name, &version.version)).collect()
    }

    /// The environments that run a version or ran it before, in the order of stages.
    pub fn runs_of(&self, version: &ImageVersion) -> Vec<ImageUse<'_>> {
        let pinning = self.releases_of(version);
        let is_pinned = |environment: &Environment, deployed: &&Deployed| {
            pinning.iter().any(|r| r.component == environment.component && r.version == deployed.version)
        };
        let mut runs = Vec::new();
        for environment in &self.environments {
            let stage = self.stages.get(&environment.stage);
            let location = stage.map(|stage| stage.location());
            for (deployed, now) in [(&environment.deployed, true), (&environment.previous, false)] {
                if let Some(deployed) = deployed.as_ref().filter(|deployed| is_pinned(environment, deployed))
                {
                    runs.push(ImageUse { environment, deployed, now, location: location.clone() });
                }
            }
        }
        runs
    }
}

fn pins(release: &Release, image: &ImageName, version: &Version) -> bool {
    release.image_lock.0.values().any(|locked| locked.name == *image && locked.version == *version)
}
