//! The images of the ledger, with the releases and environments that use them.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::known::no_image;
use crate::names::ImageVersionName;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::channels::{self, Channel, ChannelSources, image_of};
use lockstep_domain::images::references::{Reference, ReferenceGraph, ReferenceSources, reference_graph};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::model::ids::{AmiId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    Deployed, Environment, Image, ImageShare, ImageVersion, Publication, Release,
};
use std::collections::BTreeSet;

/// The image versions, their copies, and their references.
pub struct ImageInventory {
    /// Every version, by name and then newest first.
    pub versions: Vec<ImageVersion>,
    /// The copies of the versions, by account and region.
    pub places: Vec<Image>,
    /// The shares of images, of promotions that run.
    pub shares: Vec<ImageShare>,
    /// The references to each version.
    pub references: ReferenceGraph,
    /// Every release, newest first.
    pub releases: Vec<Release>,
    /// Every environment of every stage.
    pub environments: Vec<Environment>,
    /// Every publication of an image.
    pub publications: Vec<Publication>,
    /// The stages.
    pub stages: Stages,
    /// The organisation's settings of images.
    pub settings: ImageSettings,
}

/// An environment that runs a version of an image, or ran it before.
pub struct ImageUse<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The deployed release that pins the version.
    pub deployed: &'a Deployed,
    /// True if the release runs now; false if it is one of the history.
    pub now: bool,
    /// The account and region of its stack.
    pub location: Option<Location>,
}

impl ImageInventory {
    /// Reads the inventory from the ledger.
    pub async fn read(plane: &ControlPlane) -> Result<Self, Failure> {
        let stages = plane.stages().await?;
        let (mut versions, mut places) = (plane.image_versions().await?, plane.images().await?);
        versions.sort_by(|a, b| (&a.name, &b.version).cmp(&(&b.name, &a.version)));
        places.sort_by(|a, b| a.location.cmp(&b.location));
        let (releases, environments) = (plane.releases(None).await?, plane.environments(&stages).await?);
        let mut unfinished = plane.deployments().await?;
        unfinished.retain(|deployment| !deployment.state.is_final());
        let publications = plane.publications(&stages).await?;
        let needs = ReferenceSources {
            environments: &environments,
            unfinished: &unfinished,
            releases: &releases,
            publications: &publications,
        };
        let references = reference_graph(&needs);
        let settings = plane.image_settings().await?;
        let shares = plane.image_shares().await?;
        Ok(Self {
            versions,
            places,
            shares,
            references,
            releases,
            environments,
            publications,
            stages,
            settings,
        })
    }

    /// Returns a version. Refuses a name that the ledger does not have.
    pub fn version(&self, name: &ImageVersionName) -> Result<&ImageVersion, Failure> {
        let found = self.versions.iter().find(|v| v.name == name.image && v.version == name.version);
        found.ok_or_else(|| no_image(name, &self.versions))
    }

    /// Returns the version and the copy of an AMI.
    pub fn of_ami(&self, ami: &AmiId) -> Option<(&ImageVersion, &Image)> {
        let image = self.places.iter().find(|image| image.ami.as_ref() == Some(ami))?;
        let version = self.versions.iter().find(|v| v.name == image.name && v.version == image.version)?;
        Some((version, image))
    }

    /// Returns true if the image is shared with another account.
    pub fn is_shared(&self, image: &Image) -> bool {
        self.shares.iter().any(|it| it.is_of(&image.name, &image.version) && image.is_at(&it.source))
    }

    /// Returns the copies of a version.
    pub fn places_of(&self, version: &ImageVersion) -> Vec<&Image> {
        let is_it = |image: &&Image| image.name == version.name && image.version == version.version;
        self.places.iter().filter(is_it).collect()
    }

    /// Returns the parameters that name an image, with their accounts and regions.
    pub fn channels_of(&self, image: &ImageName) -> Vec<(Location, String, Channel)> {
        let sources = ChannelSources {
            stages: &self.stages,
            versions: &self.versions,
            places: &self.places,
            environments: &self.environments,
            publications: &self.publications,
        };
        let locations: BTreeSet<Location> = self.stages.iter().map(|stage| stage.location()).collect();
        let mut found = Vec::new();
        for location in locations {
            let wanted = channels::wanted(&sources, &location).unwrap_or_default();
            let own = wanted.into_iter().filter(|(name, _)| image_of(name).as_ref() == Some(image));
            found.extend(own.map(|(name, channel)| (location.clone(), name, channel)));
        }
        found
    }

    /// Returns the references to a version.
    pub fn references_of(&self, version: &ImageVersion) -> BTreeSet<Reference> {
        self.references.get(&(version.name.clone(), version.version.clone())).cloned().unwrap_or_default()
    }

    /// Returns the releases that pin a version, newest first.
    pub fn releases_of(&self, version: &ImageVersion) -> Vec<&Release> {
        self.releases.iter().filter(|release| pins(release, &version.name, &version.version)).collect()
    }

    /// Returns the environments that run a version or ran it before, in the order of stages.
    pub fn runs_of(&self, version: &ImageVersion) -> Vec<ImageUse<'_>> {
        let pinning = self.releases_of(version);
        let is_pinned = |environment: &Environment, deployed: &&Deployed| {
            pinning.iter().any(|r| r.component == environment.component && r.version == deployed.version)
        };
        let mut runs = Vec::new();
        for environment in &self.environments {
            let stage = self.stages.get(&environment.stage);
            let location = stage.map(|stage| stage.location());
            let now = environment.deployed.iter().map(|deployed| (deployed, true));
            let before = environment.history.iter().rev().map(|deployed| (deployed, false));
            for (deployed, now) in now.chain(before).filter(|(it, _)| is_pinned(environment, it)) {
                runs.push(ImageUse { environment, deployed, now, location: location.clone() });
            }
        }
        runs
    }
}

fn pins(release: &Release, image: &ImageName, version: &Version) -> bool {
    release.image_lock.0.values().any(|locked| locked.name == *image && locked.version == *version)
}
