//! Reads the history behind a question from the control plane, and prints it.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::Output;
use crate::views::background::{Background, LISTED, commits, lines};
use lockstep_domain::delivery::commits::{CommitList, of_releases};
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::image_lock::LockedImage;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    DeployBody, Deployment, DeploymentState, Environment, ImageOrigin, ImageVersion, Release,
};

/// The API of the git host whose pages show the difference of two commits.
const GITHUB: &str = "https://api.github.com";

/// Prints the history behind a question about a release.
pub async fn show(plane: &ControlPlane, deployment: &Deployment, output: &Output) -> Result<(), Failure> {
    if let Some(deploy) = deployment.deploy() {
        let background = read(plane, deployment, deploy).await?;
        lines(&background).into_iter().for_each(|line| output.line(line));
    }
    Ok(())
}

async fn read(
    plane: &ControlPlane,
    deployment: &Deployment,
    deploy: &DeployBody,
) -> Result<Background, Failure> {
    let (stage, name) = (&deployment.stage, &deploy.stack.environment);
    let environment = plane.environment(stage, name).await?;
    let all = plane.releases(Some(&deploy.stack.component)).await?;
    let of = |version: &Version| all.iter().find(|release| release.version == *version).cloned();
    let release = of(&deployment.version);
    let running = environment.as_ref().and_then(|it| it.deployed.as_ref()).and_then(|it| of(&it.version));
    let compared_at = compared_at(plane, running.as_ref(), release.as_ref()).await?;
    let mut failed = plane.deployments().await?;
    failed.retain(|other| other.id != deployment.id && is_failure_in(other, environment.as_ref()));
    failed.truncate(LISTED);
    let between = between(&all, running.as_ref(), &deployment.version);
    let commits = commits_of(running.as_ref(), release.as_ref(), &between);
    Ok(Background {
        between,
        commits,
        images: images(plane, release.as_ref()).await?,
        release,
        running,
        failed,
        compared_at,
    })
}

/// Prints the commits between the release that runs and that of a planned deployment.
pub async fn show_commits(
    plane: &ControlPlane,
    deployment: &Deployment,
    output: &Output,
) -> Result<(), Failure> {
    let Some(deploy) = deployment.deploy() else { return Ok(()) };
    let environment = plane.environment(&deployment.stage, &deploy.stack.environment).await?;
    let Some(running) = environment.and_then(|it| it.deployed) else { return Ok(()) };
    let list = commits_between(plane, &deploy.stack.component, &running.version, &deployment.version).await?;
    commits(&list).into_iter().for_each(|line| output.line(line));
    Ok(())
}

/// Returns the commits that lie between two releases of a component.
pub async fn commits_between(
    plane: &ControlPlane,
    component: &ComponentName,
    a: &Version,
    b: &Version,
) -> Result<CommitList, Failure> {
    let all = plane.releases(Some(component)).await?;
    let of = |version: &Version| all.iter().find(|release| release.version == *version);
    Ok(commits_of(of(a), of(b), &between(&all, of(a), b)))
}

/// Returns the commits that the newer one of two releases has and the older one has not.
fn commits_of(running: Option<&Release>, release: Option<&Release>, between: &[Release]) -> CommitList {
    let older = running.into_iter().chain(release).min_by(|a, b| a.version.cmp(&b.version));
    older.map(|older| of_releases(older, between)).unwrap_or_default()
}

/// Returns the releases after the older one of the two, up to the newer one, oldest first.
fn between(all: &[Release], running: Option<&Release>, version: &Version) -> Vec<Release> {
    let Some(running) = running.map(|running| &running.version) else { return Vec::new() };
    let (from, to) = if running < version { (running, version) } else { (version, running) };
    let mut found: Vec<Release> =
        all.iter().filter(|release| *from < release.version && release.version <= *to).cloned().collect();
    found.sort_by(|a, b| a.version.cmp(&b.version));
    found
}

fn is_failure_in(deployment: &Deployment, environment: Option<&Environment>) -> bool {
    let failed = matches!(
        deployment.state,
        DeploymentState::Failed
            | DeploymentState::Refused
            | DeploymentState::Abandoned
            | DeploymentState::Cancelled
            | DeploymentState::Expired
    );
    let here = environment.is_some_and(|environment| {
        deployment.stage == environment.stage
            && deployment.deploy().is_some_and(|deploy| deploy.stack.environment == environment.name)
    });
    failed && here && !deployment.is_plan_only()
}

async fn images(
    plane: &ControlPlane,
    release: Option<&Release>,
) -> Result<Vec<(LockedImage, Option<ImageOrigin>)>, Failure> {
    let mut found = Vec::new();
    for image in release.into_iter().flat_map(|release| release.image_lock.0.values()) {
        let key = ImageVersion::key_of(&image.name, &image.version);
        let version = plane.ledger.get::<ImageVersion>(&key).await?;
        found.push((image.clone(), version.map(|version| version.record.origin)));
    }
    Ok(found)
}

/// Returns the address of GitHub's page that compares two commits of one repository.
async fn compared_at(
    plane: &ControlPlane,
    running: Option<&Release>,
    release: Option<&Release>,
) -> Result<Option<String>, Failure> {
    let (Some(running), Some(release)) = (running, release) else { return Ok(None) };
    if running.repository != release.repository || running.commit == release.commit {
        return Ok(None);
    }
    let registered = plane.repository(&release.repository).await?;
    let public = registered.is_some_and(|repository| repository.base_url == GITHUB);
    let name = release.repository.full_name();
    Ok(public.then(|| format!("https://github.com/{name}/compare/{}...{}", running.commit, release.commit)))
}
