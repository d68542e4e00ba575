//! Images that are baked: one push gives an image in every account and a release that asks for it, or neither.

use crate::world::World;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::runs::{self, Run};
use lockstep_cli::story::ensure;
use lockstep_domain::images::ImageVersionState;
use lockstep_domain::payloads::inputs;
use lockstep_domain::records::{Image, ImageVersion, Release};
use lockstep_local::{BuildOutcome, Controls};
use std::path::Path;

const IMAGE: &str = "logstash";
const FOLDER: &str = "images/logstash";

/// A billing product, as Windows has one: no other account may copy what carries it.
const WINDOWS: &str = "bp-6ba54002";

/// The recipe of the log stack comes into the repository of the broker.
pub async fn are_baked_and_used_by_one_push(world: &mut World) -> Result<(), Failure> {
    let sources = world.story.surroundings.sources()?.join("infra/images");
    let repository = world.story.repository();
    repository.copy(&sources.join(IMAGE), FOLDER)?;
    repository.copy(&sources.join("common"), "images/common")?;
    world.push("The image of the broker is baked", Exit::Done).await?;

    let version = newest(world).await?;
    ensure(version.state == ImageVersionState::Usable, format!("it is usable: {version:?}"))?;
    ensure(
        version.commit().map(ToString::to_string) == Some(repository.head().await?),
        "it names its commit",
    )?;
    let images = places(world, &version).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    ensure(
        images.iter().all(|image| image.source_ami == images[0].source_ami),
        "one descends from the other",
    )?;
    ensure(images.iter().all(|image| image.shared_with.is_empty()), "nothing is shared")?;
    let locked = locked(world).await?;
    ensure(
        locked == version.version.to_string(),
        format!("the release of the same push asks for it: {locked}"),
    )
}

/// A recipe that fails leaves no image anywhere, and the release that runs is the one before.
pub async fn that_fail_are_discarded(world: &mut World) -> Result<(), Failure> {
    let before = newest(world).await?;
    let status = BuildOutcome {
        status: Some("FAILED".into()),
        message: Some("install.sh: exit status 1".into()),
        ..BuildOutcome::default()
    };
    controls(world)?.expect_build(IMAGE, &status).await.map_err(at("the builder"))?;
    touch(world, "fails")?;
    let answer = world.push("A recipe that cannot be built", Exit::Failed).await?;
    ensure(answer.to_string().contains("exit status 1"), format!("the reason is told: {answer}"))?;
    let failed = newest(world).await?;
    ensure(
        failed.version > before.version && failed.state == ImageVersionState::Discarded,
        format!("{failed:?}"),
    )?;
    ensure(failed.why.is_some_and(|why| why.contains("exit status 1")), "the record says why")?;
    ensure(places_of(world, &failed.version.to_string()).await?.is_empty(), "it is nowhere")?;
    ensure(locked(world).await? == before.version.to_string(), "what was released before is what there is")
}

/// On another branch: in the first account alone, and nothing resolves to it.
pub async fn of_a_branch_stay_where_they_are(world: &mut World) -> Result<(), Failure> {
    let repository = world.story.repository();
    repository.switch("try-it").await?;
    touch(world, "on a branch")?;
    world.push("Something to try", Exit::Done).await?;
    let version = newest(world).await?;
    ensure(
        version.version.is_pre_release() && version.state == ImageVersionState::Usable,
        format!("{version:?}"),
    )?;
    ensure(version.expires_at.is_some() && version.required.is_empty(), "it expires, and nothing needs it")?;
    ensure(places(world, &version).await?.len() == 1, "it is in one account")?;
    let to_production = Run::PromoteImage(inputs::PromoteImage {
        image: version.name.clone(),
        version: version.version.clone(),
        to: "production".parse().map_err(at("the stage"))?,
    });
    let execution = runs::start(&world.story.plane().await?, &to_production).await?;
    let ended = world.ended(&execution).await?;
    ensure(
        format!("{:?}", ended.status).contains("pre-release"),
        format!("it goes nowhere: {:?}", ended.status),
    )?;
    repository.switch("main").await
}

/// What no account may copy is built in each, from the same recipe and commit.
pub async fn that_cannot_be_copied_are_built_twice(world: &mut World) -> Result<(), Failure> {
    let windows = BuildOutcome { billing_product: Some(WINDOWS.into()), ..BuildOutcome::default() };
    for _ in 0..2 {
        controls(world)?.expect_build(IMAGE, &windows).await.map_err(at("the builder"))?;
    }
    touch(world, "licensed")?;
    world.push("An image with a licence", Exit::Done).await?;
    let version = newest(world).await?;
    ensure(version.state == ImageVersionState::Usable, format!("it is usable: {version:?}"))?;
    let images = places(world, &version).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    let own = images.iter().filter(|image| image.ami.as_ref() == Some(&image.source_ami)).count();
    ensure(own == 1, "both are known by the one that was built first")
}

fn touch(world: &World, with: &str) -> Result<(), Failure> {
    let repository = world.story.repository();
    let file = Path::new(FOLDER).join("install.sh").display().to_string();
    let text = repository.read(&file)?;
    repository.write(&file, &format!("{text}# {with}\n"))
}

fn controls(world: &World) -> Result<Controls, Failure> {
    Ok(Controls::new(&world.story.session()?.endpoint))
}

/// The version of the image that was claimed last.
async fn newest(world: &World) -> Result<ImageVersion, Failure> {
    let mut versions = world.records::<ImageVersion>().await?;
    versions.retain(|version| version.name.as_str() == IMAGE);
    versions.sort_by_key(|version| version.recorded_at);
    versions.pop().ok_or_else(|| Failure::new("there is no version of the image"))
}

async fn places(world: &World, version: &ImageVersion) -> Result<Vec<Image>, Failure> {
    places_of(world, &version.version.to_string()).await
}

async fn places_of(world: &World, version: &str) -> Result<Vec<Image>, Failure> {
    let mut images = world.records::<Image>().await?;
    images.retain(|image| image.name.as_str() == IMAGE && image.version.to_string() == version);
    Ok(images)
}

/// The version of the image in the lock of the newest release.
async fn locked(world: &World) -> Result<String, Failure> {
    let mut releases = world.records::<Release>().await?;
    releases.sort_by_key(|release| release.packaged_at);
    let newest = releases.iter().rev().find(|release| !release.version.is_pre_release());
    let newest = newest.ok_or_else(|| Failure::new("there is no release"))?;
    let image = newest.image_lock.0.values().find(|locked| locked.name.as_str() == IMAGE);
    Ok(image.map(|locked| locked.version.to_string()).unwrap_or_default())
}
