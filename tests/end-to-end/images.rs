//! Images that are baked: one push gives an image in every account and a release that asks for it, or neither.

use crate::test_cloud::TestCloud;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::runs::{self, Run};
use lockstep_domain::images::lifecycle::{Purpose, obstacle};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{Image, ImageVersion, Release};
use lockstep_local::{BuildOutcome, Controls};
use lockstep_platform::channels::{Channels as _, ParameterStore};
use std::path::Path;

const IMAGE: &str = "logstash";
const FOLDER: &str = "images/logstash";

const COMPONENT: &str = "logs-broker";

/// Where no stage is yet.
const FURTHER_REGION: &str = "eu-central-1";

/// A billing product, as Windows has one: no other account may copy what carries it.
const WINDOWS: &str = "bp-6ba54002";

/// The recipe of the log stack comes into the repository of the broker.
pub async fn are_baked_and_used_by_one_push(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.bake().await?;
    let repository = cloud.demo.repository();

    let version = newest(cloud).await?;
    ensure(version.state == ImageVersionState::Usable, format!("it is usable: {version:?}"))?;
    ensure(
        version.commit().map(ToString::to_string) == Some(repository.head().await?),
        "it names its commit",
    )?;
    let images = places(cloud, &version).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    ensure(
        images.iter().all(|image| image.source_ami == images[0].source_ami),
        "one descends from the other",
    )?;
    ensure(images.iter().all(|image| image.shared_with.is_empty()), "nothing is shared")?;
    let locked = locked(cloud).await?;
    ensure(
        locked == version.version.to_string(),
        format!("the release of the same push asks for it: {locked}"),
    )
}

/// A recipe that fails leaves no image anywhere, and the release that runs is the one before.
pub async fn that_fail_are_discarded(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = newest(cloud).await?;
    let status = BuildOutcome {
        status: Some("FAILED".into()),
        message: Some("install.sh: exit status 1".into()),
        ..BuildOutcome::default()
    };
    controls(cloud)?.expect_build(IMAGE, &status).await.map_err(at("the builder"))?;
    touch(cloud, "fails")?;
    let answer = cloud.push("A recipe that cannot be built", Exit::Failed).await?;
    ensure(answer.to_string().contains("exit status 1"), format!("the reason is told: {answer}"))?;
    let failed = newest(cloud).await?;
    ensure(
        failed.version > before.version && failed.state == ImageVersionState::Discarded,
        format!("{failed:?}"),
    )?;
    ensure(failed.why.is_some_and(|why| why.contains("exit status 1")), "the record says why")?;
    ensure(places_of(cloud, &failed.version.to_string()).await?.is_empty(), "it is nowhere")?;
    ensure(locked(cloud).await? == before.version.to_string(), "what was released before is what there is")
}

/// On another branch: in the first account alone, and nothing resolves to it.
pub async fn of_a_branch_stay_where_they_are(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    repository.switch("try-it").await?;
    touch(cloud, "on a branch")?;
    cloud.push("Something to try", Exit::Done).await?;
    let version = newest(cloud).await?;
    ensure(
        version.version.is_pre_release() && version.state == ImageVersionState::Usable,
        format!("{version:?}"),
    )?;
    ensure(version.expires_at.is_some() && version.required.is_empty(), "it expires, and nothing needs it")?;
    ensure(places(cloud, &version).await?.len() == 1, "it is in one account")?;
    let to_production = Run::PromoteImage(inputs::PromoteImage {
        image: version.name.clone(),
        version: version.version.clone(),
        to: "production".parse().map_err(at("the stage"))?,
    });
    let execution = runs::start(&cloud.demo.plane().await?, &to_production).await?;
    let ended = cloud.ended(&execution).await?;
    ensure(
        format!("{:?}", ended.status).contains("pre-release"),
        format!("it goes nowhere: {:?}", ended.status),
    )?;
    repository.switch("main").await
}

/// What no account may copy is built in each, from the same recipe and commit.
pub async fn that_cannot_be_copied_are_built_twice(cloud: &mut TestCloud) -> Result<(), Failure> {
    let windows = BuildOutcome { billing_product: Some(WINDOWS.into()), ..BuildOutcome::default() };
    for _ in 0..2 {
        controls(cloud)?.expect_build(IMAGE, &windows).await.map_err(at("the builder"))?;
    }
    touch(cloud, "licensed")?;
    cloud.push("An image with a licence", Exit::Done).await?;
    let version = newest(cloud).await?;
    ensure(version.state == ImageVersionState::Usable, format!("it is usable: {version:?}"))?;
    let images = places(cloud, &version).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    let own = images.iter().filter(|image| image.ami.as_ref() == Some(&image.source_ami)).count();
    ensure(own == 1, "both are known by the one that was built first")
}

/// The newest version of each account, for who deploys by other means, without a sweep having run.
pub async fn are_named_by_parameters_at_once(cloud: &mut TestCloud) -> Result<(), Failure> {
    let mut usable = cloud.records::<ImageVersion>().await?;
    usable.retain(|version| version.name.as_str() == IMAGE && obstacle(version, Purpose::Pin).is_none());
    usable.sort_by(|a, b| a.version.cmp(&b.version));
    let newest = usable.pop().ok_or_else(|| Failure::new("no version of the image may be used"))?;
    let session = cloud.demo.session()?;
    let images = places(cloud, &newest).await?;
    for account in ["development", "production"] {
        let there = images
            .iter()
            .find(|image| session.account(account).is_ok_and(|id| image.location.account.as_str() == id));
        let wanted = there.and_then(|image| image.ami.as_ref()).map(ToString::to_string);
        let found = ParameterStore::new(&session.root(account)?).all().await?;
        let named = found.get(&format!("/lockstep/images/{IMAGE}/latest"));
        ensure(named.is_some() && named == wanted.as_ref(), format!("{account}: {named:?}, not {wanted:?}"))?;
    }
    Ok(())
}

/// A further region of production's account: added, bound to a stage, and deployed to.
pub async fn come_to_a_further_region(cloud: &mut TestCloud) -> Result<(), Failure> {
    let demo = &cloud.demo;
    let add = ["accounts", "add", "production", "--in-region", FURTHER_REGION];
    demo.type_in(&add, Exit::Done).await?;
    let file = demo.context.path(Path::new("stages.toml"));
    let before = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let account = demo.session()?.account("production")?.to_owned();
    let stage = format!(
        "\n[[stages]]\nname = \"frankfurt\"\naccount = \"{account}\"\nregion = \"{FURTHER_REGION}\"\n"
    );
    std::fs::write(&file, format!("{before}{stage}")).map_err(at(file.display()))?;
    demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
    let running = demo.version_in("production").await?;
    let running = running.ok_or_else(|| Failure::new("production runs nothing"))?;
    demo.type_in(&["promote", &format!("{COMPONENT}@{running}"), "--to", "frankfurt"], Exit::Done).await?;
    ensure(
        demo.version_in("frankfurt").await?.as_deref() == Some(&running),
        "frankfurt runs what production runs",
    )?;
    let images = cloud.records::<Image>().await?;
    let there = images.iter().find(|image| image.location.region.as_str() == FURTHER_REGION);
    let there = there.ok_or_else(|| Failure::new("the image did not come to the region"))?;
    ensure(
        there.is_usable() && there.location.account.as_str() == account && there.shared_with.is_empty(),
        format!("{there:?}"),
    )?;
    let from = images.iter().find(|image| {
        image.version == there.version && image.name == there.name && image.location != there.location
    });
    ensure(from.is_some_and(|from| from.source_ami == there.source_ami), "it descends from the same image")?;
    // What follows knows three stages again.
    std::fs::write(&file, before).map_err(at(file.display()))?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await.map(drop)
}

fn touch(cloud: &TestCloud, with: &str) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    let file = Path::new(FOLDER).join("install.sh").display().to_string();
    let text = repository.read(&file)?;
    repository.write(&file, &format!("{text}# {with}\n"))
}

fn controls(cloud: &TestCloud) -> Result<Controls, Failure> {
    Ok(Controls::new(&cloud.demo.session()?.endpoint))
}

/// The version of the image that was claimed last.
async fn newest(cloud: &TestCloud) -> Result<ImageVersion, Failure> {
    let mut versions = cloud.records::<ImageVersion>().await?;
    versions.retain(|version| version.name.as_str() == IMAGE);
    versions.sort_by_key(|version| version.recorded_at);
    versions.pop().ok_or_else(|| Failure::new("there is no version of the image"))
}

async fn places(cloud: &TestCloud, version: &ImageVersion) -> Result<Vec<Image>, Failure> {
    places_of(cloud, &version.version.to_string()).await
}

async fn places_of(cloud: &TestCloud, version: &str) -> Result<Vec<Image>, Failure> {
    let mut images = cloud.records::<Image>().await?;
    images.retain(|image| image.name.as_str() == IMAGE && image.version.to_string() == version);
    Ok(images)
}

/// The version of the image in the lock of the newest release.
async fn locked(cloud: &TestCloud) -> Result<String, Failure> {
    let mut releases = cloud.records::<Release>().await?;
    releases.sort_by_key(|release| release.packaged_at);
    let newest = releases.iter().rev().find(|release| !release.version.is_pre_release());
    let newest = newest.ok_or_else(|| Failure::new("there is no release"))?;
    let image = newest.image_lock.0.values().find(|locked| locked.name.as_str() == IMAGE);
    Ok(image.map(|locked| locked.version.to_string()).unwrap_or_default())
}
