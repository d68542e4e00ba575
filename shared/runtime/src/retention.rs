//! The retirement steps that are due for image versions. The sweep looks for them, and the owner of the versions
//! looks again.

use crate::{images, stages};
use jiff::Timestamp;
use lockstep_aws::ledger::{Ledger, Versioned};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::promotion::places::of_its_path;
use lockstep_domain::images::references::{ReferenceSources, reference_graph};
use lockstep_domain::images::retention::{self, Planned, RetentionInput};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{
    Deployed, Deployment, Environment, Image, ImageShare, ImageVersion, Publication, Release,
};

/// The most releases that are read for their own sake: newer ones may be deployed at any time.
const RELEASES: usize = 10_000;

/// Records and settings of images in the ledger.
pub struct Inventory {
    /// Every version of every image.
    pub versions: Vec<ImageVersion>,
    /// Each copy of a version in an account and region.
    pub places: Vec<Image>,
    /// The shares of images.
    pub shares: Vec<ImageShare>,
    /// The stages.
    pub stages: Stages,
    settings: ImageSettings,
}

/// Returns the records from the index, or `None` if there are no images or no stages.
pub async fn inventory(ledger: &Ledger) -> Result<Option<Inventory>, Failure> {
    let versions = images::every_version(ledger).await?;
    if versions.is_empty() {
        return Ok(None);
    }
    let Some(stages) = stages::applied(ledger).await? else { return Ok(None) };
    let mut places = records(ledger.every_of_kind::<Image>().await?);
    places.retain(|image| of_its_path(image, image.path, &stages));
    Ok(Some(Inventory {
        versions,
        places,
        shares: records(ledger.every_of_kind::<ImageShare>().await?),
        stages,
        settings: stages::image_settings(ledger).await?,
    }))
}

/// Returns the step that is due for each version that changes.
pub async fn due(ledger: &Ledger, found: &Inventory, now: Timestamp) -> Result<Vec<Planned>, Failure> {
    let (mut environments, mut publications) = (Vec::new(), Vec::new());
    for stage in found.stages.iter() {
        let partition = Publication::all_of(&stage.name);
        publications.extend(records(ledger.every::<Publication>(&partition).await?));
        let partition = Environment::all_of(&stage.name);
        environments.extend(records(ledger.every::<Environment>(&partition).await?));
    }
    let mut unfinished = records(ledger.every_listed::<Deployment>(Deployment::UNFINISHED).await?);
    unfinished.retain(|deployment| !deployment.state.is_final());
    let releases = releases(ledger, &environments).await?;
    let needs = ReferenceSources {
        environments: &environments,
        unfinished: &unfinished,
        releases: &releases,
        publications: &publications,
    };
    let known = RetentionInput {
        versions: &found.versions,
        places: &found.places,
        shares: &found.shares,
        uses: &reference_graph(&needs),
        keep: found.settings.keep as usize,
        now,
    };
    Ok(retention::plan(&known))
}

/// Returns the newest releases, and the current release and the history of each environment whatever its age.
/// The latter are read from the table itself.
async fn releases(ledger: &Ledger, environments: &[Environment]) -> Result<Vec<Release>, Failure> {
    let mut all = records(ledger.list_kind::<Release>(RELEASES).await?);
    for environment in environments {
        for Deployed { version, .. } in environment.deployed.iter().chain(&environment.history) {
            let is_it =
                |release: &Release| release.component == environment.component && release.version == *version;
            if !all.iter().any(is_it) {
                let component = &environment.component;
                for key in Release::keys_of(component, version) {
                    all.extend(ledger.get::<Release>(&key).await?.map(|found| found.record));
                }
            }
        }
    }
    Ok(all)
}

fn records<T>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}
