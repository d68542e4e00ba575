//! Input of packaging from outside the component folders, loaded for one commit.

use crate::commit::Source;
use crate::context::PackageContext;
use crate::records::newest;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::manifest::{self, Manifest};
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::parameters::{
    ComponentParameters, Layers, OrganisationParameters, references,
};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, ImageName};
use lockstep_domain::records::{ImageVersion, Release, ReleaseState};
use lockstep_domain::stacks::permissions::Table;
use lockstep_domain::stacks::template::Template;
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
    /// The outputs of this commit's components and of those they refer to.
    pub producers: BTreeMap<ComponentName, BTreeSet<String>>,
    /// The releases of this commit's components and of those they refer to.
    pub histories: BTreeMap<ComponentName, History>,
    /// The functions that this installation ships for components.
    pub functions: FunctionLock,
    /// The table of the permissions that resource types need.
    pub permissions: Arc<Table>,
}

/// The releases of a component that packaging compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The newest in any state.
    pub newest: Option<Release>,
    /// The newest published from the default branch.
    pub published: Option<Release>,
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
            permissions: Some(&self.permissions),
        }
    }

    /// Returns the releases of `component`, empty if it has none.
    pub fn history(&self, component: &ComponentName) -> History {
        self.histories.get(component).cloned().unwrap_or_default()
    }
}

/// Loads the input for the components of a commit.
pub async fn load(context: &impl PackageContext, sources: &[Source]) -> Result<CommitInput, Failure> {
    let stages = stages(context.ledger()).await?;
    let organisation = parameters(context.ledger()).await?;
    let sketches: Vec<Sketch> = sources.iter().filter_map(|s| sketch(s, &stages, &organisation)).collect();
    let mut images = Vec::new();
    for name in sketches.iter().flat_map(|s| &s.images).collect::<BTreeSet<_>>() {
        let partition = ImageVersion::all_of(name);
        images.extend(newest::<ImageVersion>(context.ledger(), &partition, VERSIONS_MAX).await?);
    }
    let mut histories = BTreeMap::new();
    let own = sketches.iter().map(|s| &s.name);
    for name in own.chain(sketches.iter().flat_map(|s| &s.producers)).collect::<BTreeSet<_>>() {
        let mut releases = newest(context.ledger(), &Release::all_of(name), RELEASES_MAX).await?;
        releases.extend(newest::<Release>(context.ledger(), &Release::drafts_of(name), RELEASES_MAX).await?);
        releases.sort_by(|a, b| b.version.cmp(&a.version));
        histories.insert(name.clone(), history(releases));
    }
    let producers = producers(&sketches, &histories);
    let functions = context.shipped_functions().clone();
    let permissions = context.permission_table().await?;
    Ok(CommitInput { stages, organisation, images, producers, histories, functions, permissions })
}

/// Names that a component refers to. Unreadable parts are left out: the planner reports them.
struct Sketch {
    name: ComponentName,
    images: BTreeSet<ImageName>,
    producers: BTreeSet<ComponentName>,
    outputs: BTreeSet<String>,
}

fn sketch(source: &Source, stages: &Stages, organisation: &OrganisationParameters) -> Option<Sketch> {
    let files = source.files.as_ref().ok()?;
    let text = |path: &str| std::str::from_utf8(files.get(path)?).ok();
    let manifest = Manifest::parse(manifest::FILE, text(manifest::FILE)?).ok()?;
    let template_path = manifest.component.template.as_str();
    let template = Template::parse(template_path, text(template_path)?).ok()?;
    let component = ComponentParameters::read(files).ok()?;
    let layers = Layers { organisation: Some(organisation), component: &component, overrides: None };
    let referred = stages.iter().flat_map(|stage| references(template.parameters(), &layers, &stage.name));
    Some(Sketch {
        images: manifest.images.values().map(|constraint| constraint.name().clone()).collect(),
        producers: referred.map(|output| output.component).collect(),
        outputs: template.outputs().keys().cloned().collect(),
        name: manifest.component.name,
    })
}

fn history(newest_first: Vec<Release>) -> History {
    let published = newest_first
        .iter()
        .find(|release| release.state == ReleaseState::Published && !release.version.is_pre_release())
        .cloned();
    History { newest: newest_first.into_iter().next(), published }
}

/// Returns the outputs of each component: those of this commit, or of the newest published release.
fn producers(
    sketches: &[Sketch],
    histories: &BTreeMap<ComponentName, History>,
) -> BTreeMap<ComponentName, BTreeSet<String>> {
    let released = histories
        .iter()
        .filter_map(|(name, history)| Some((name.clone(), history.published.as_ref()?.outputs.clone())));
    let own = sketches.iter().map(|sketch| (sketch.name.clone(), sketch.outputs.clone()));
    released.chain(own).collect()
}
