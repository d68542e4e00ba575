//! `lockstep bake`: builds an image from its recipe, as a push does. The operator can build a commit again, or with other
//! values of its variables.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::follow::follow_to_end;
use crate::git;
use crate::global::Global;
use crate::report::Report;
use crate::runs::{self, Run};
use clap::Args;
use lockstep_domain::images::recipe::{FILE, Recipe};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::ids::{CommitSha, ImageName, RepositoryId};
use std::path::{Path, PathBuf};

/// The arguments of `bake`.
#[derive(Args, Debug)]
pub struct Bake {
    /// The recipe's folder, within a git repository; the committed and pushed content is baked
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The remote of the registered repository
    #[arg(long, default_value = "origin")]
    remote: String,
    /// Bake this commit, not the one that is checked out
    #[arg(long, value_name = "SHA")]
    commit: Option<CommitSha>,
    /// A value of a variable for this build only; the result is a pre-release (may be repeated)
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = pair)]
    overrides: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Starts the build and follows it.
pub async fn run(arguments: &Bake, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let folder = context.path(&arguments.folder);
    let image = image_of(&folder)?;
    let clean = git::clean(&folder).await?;
    let plane = ControlPlane::open(global, context).await?;
    let url = git::remote_url(&folder, &arguments.remote).await?;
    let named = git::owner_and_name(&url).ok_or_else(|| {
        Failure::new(format!("the remote {} names no owner and repository", arguments.remote))
    })?;
    let run = Run::BakeImage(inputs::BakeImage {
        image,
        repository: RepositoryId::github(named.0, named.1).map_err(at("the remote"))?,
        commit: arguments.commit.clone().unwrap_or(clean.commit),
        reference: format!("refs/heads/{}", clean.branch),
        overrides: arguments.overrides.iter().cloned().collect(),
    });
    let execution = runs::start(&plane, &run).await?;
    follow_to_end(&plane, &execution, context).await
}

/// Returns the name of the image that the recipe in `folder` builds.
fn image_of(folder: &Path) -> Result<ImageName, Failure> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(at(path.display()))?;
    let recipe =
        Recipe::parse(FILE, &text).map_err(|problems| crate::control_plane::of_problems(&problems))?;
    Ok(recipe.name)
}
