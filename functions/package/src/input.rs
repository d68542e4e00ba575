//! Input of packaging from outside the component folders, loaded for one commit.

use crate::commit::Source;
use crate::context::PackageContext;
use crate::records::{find, newest};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::order::Graph;
use lockstep_domain::delivery::packaging::{self, Sketch};
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, Region};
use lockstep_domain::model::public_parameters::PublicParameters;
use lockstep_domain::records::{ImageVersion, OwnedName, Ownership, Release, ReleaseState};
use lockstep_domain::stacks::permissions::Table;
use lockstep_runtime::stages::{parameters, stages};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Number of releases that are read to find the newest published one.
const RELEASES_MAX: usize = 500;

/// Number of the newest versions of an image that are read.
const VERSIONS_MAX: usize = 1000;

/// Input of packaging from outside the component folders.
#[derive(Clone, Debug)]
pub struct CommitInput {
    /// The organisation's stages.
    pub stages: Stages,
    /// The organisation's parameters.
    pub organisation: OrganisationParameters,
    /// Every version of the images that the commit's components require.
    pub images: Vec<ImageVersion>,
    /// The outputs of this commit's components and of those they need, directly or not.
    pub producers: BTreeMap<ComponentName, BTreeSet<String>>,
    /// The newest release that was published from the default branch, of this commit's components and of those they need,
    /// directly or not.
    pub published: BTreeMap<ComponentName, Release>,
    /// The producers of this commit's components, and of the published releases that those need, directly or not.
    pub order: Graph,
    /// The claims to the names of this commit's components.
    pub owners: BTreeMap<ComponentName, Ownership>,
    /// The functions that this installation ships for components.
    pub functions: FunctionLock,
    /// The public parameters that the commit's components name, in the regions of the stages.
    pub public: PublicParameters,
    /// The table of the permissions that resource types need.
    pub permissions: Arc<Table>,
}

impl CommitInput {
    /// Returns the input of the planner.
    pub fn planner_input(&self) -> packaging::PackagingInput<'_> {
        packaging::PackagingInput {
            stages: Some(&self.stages),
            organisation: Some(&self.organisation),
            images: Some(&self.images),
            producers: Some(&self.producers),
            functions: Some(&self.functions),
            public: Some(&self.public),
            permissions: Some(&self.permissions),
        }
    }
}

/// Loads the input for the components of a commit.
pub async fn load(context: &impl PackageContext, sources: &[Source]) -> Result<CommitInput, Failure> {
    let stages = stages(context.ledger()).await?;
    let organisation = parameters(context.ledger()).await?;
    let readable = sources.iter().filter_map(|source| source.files.as_ref().ok());
    let sketches: Vec<Sketch> =
        readable.filter_map(|files| packaging::sketch(files, &stages, &organisation)).collect();
    let mut images = Vec::new();
    for name in sketches.iter().flat_map(|s| &s.images).collect::<BTreeSet<_>>() {
        images.extend(lockstep_runtime::images::versions(context.ledger(), name, VERSIONS_MAX).await?);
    }
    let mut order: Graph = sketches.iter().map(|s| (s.name.clone(), s.producers.clone())).collect();
    let mut published = BTreeMap::new();
    let mut wanted: BTreeSet<ComponentName> = order.keys().chain(order.values().flatten()).cloned().collect();
    let mut known = BTreeSet::new();
    while let Some(name) = wanted.pop_first() {
        let releases = newest(context.ledger(), &Release::all_of(&name), RELEASES_MAX).await?;
        if let Some(release) = newest_published(releases) {
            let producers = order.entry(name.clone()).or_insert_with(|| release.producers.clone());
            wanted.extend(producers.iter().filter(|name| !known.contains(*name)).cloned());
            published.insert(name.clone(), release);
        }
        known.insert(name);
    }
    let mut owners = BTreeMap::new();
    for sketch in &sketches {
        let key = Ownership::key_of(&OwnedName::Component(sketch.name.clone()));
        owners.extend(
            find::<Ownership>(context.ledger(), &key).await?.map(|claim| (sketch.name.clone(), claim)),
        );
    }
    let public = public(context, &sketches).await?;
    let producers = producers(&sketches, &published);
    let functions = context.shipped_functions().clone();
    let permissions = context.permission_table().await?;
    Ok(CommitInput {
        stages,
        organisation,
        images,
        producers,
        published,
        order,
        owners,
        functions,
        public,
        permissions,
    })
}

/// Reads the public parameters that the components name, in the regions of their stages.
async fn public(context: &impl PackageContext, sketches: &[Sketch]) -> Result<PublicParameters, Failure> {
    let mut names: BTreeMap<Region, BTreeSet<String>> = BTreeMap::new();
    for (region, name) in sketches.iter().flat_map(|sketch| &sketch.public) {
        names.entry(region.clone()).or_default().insert(name.clone());
    }
    let mut found = PublicParameters::new();
    for (region, names) in names {
        let answers = context.public_parameters(&region, &Vec::from_iter(names)).await?;
        found.insert(region, answers);
    }
    Ok(found)
}

fn newest_published(newest_first: Vec<Release>) -> Option<Release> {
    let is_it =
        |release: &Release| release.state == ReleaseState::Published && !release.version.is_pre_release();
    newest_first.into_iter().find(is_it)
}

/// Returns the outputs of each component: those of this commit, or of the newest published release.
fn producers(
    sketches: &[Sketch],
    published: &BTreeMap<ComponentName, Release>,
) -> BTreeMap<ComponentName, BTreeSet<String>> {
    let released = published.iter().map(|(name, release)| (name.clone(), release.outputs.clone()));
    let own = sketches.iter().map(|sketch| (sketch.name.clone(), sketch.outputs.clone()));
    released.chain(own).collect()
}
