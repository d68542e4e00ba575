//! Baked images: a push gives an image in each account and a release that uses it, or neither.

use crate::gates::ELSEWHERE;
use crate::test_cloud::{TestCloud, text, until};
use lockstep_aws::channels::{Channels as _, ParameterStore};
use lockstep_cli::demo::{REPOSITORY, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::runs::{self, Run};
use lockstep_domain::images::lifecycle::{Purpose, obstacle};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{Deployment, Image, ImageShare, ImageVersion, Operation, Release};
use lockstep_local::{BuildOutcome, Controls};
use std::path::Path;

const IMAGE: &str = "logstash";
const FOLDER: &str = "images/logstash";

const COMPONENT: &str = "logs-broker";

/// A region without a stage.
const FURTHER_REGION: &str = "eu-central-1";

/// Billing product of Windows. No other account may copy an image that carries it.
const WINDOWS: &str = "bp-6ba54002";

/// The rule of production in the stages of the demo, and one that the person who starts may pass.
const BY_ANOTHER: &str = "approval = true";
const BY_ANYONE: &str = "approval = { count = 1, not = [] }";

/// The setting of builds in production in the stages of the demo, and the one without a person.
const ASKED: &str = "builds = \"approved\"";
const AUTOMATIC: &str = "builds = \"automatic\"";

/// The push adds the recipe of the log stack to the repository of the broker.
pub async fn a_pushed_recipe_is_baked_for_its_release(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.bake().await?;
    let repository = cloud.demo.repository();

    let version = newest(cloud).await?;
    ensure(version.state == ImageVersionState::Usable, format!("it is usable: {version:?}"))?;
    ensure(
        version.commit().map(ToString::to_string) == Some(repository.head().await?),
        "it names its commit",
    )?;
    let images = copies(cloud, &version).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    ensure(
        images.iter().all(|image| image.source_ami == images[0].source_ami),
        "one is the copy of the other",
    )?;
    ensure(cloud.records::<ImageShare>().await?.is_empty(), "no copy is shared")?;
    let locked = locked(cloud).await?;
    ensure(locked == version.version.to_string(), format!("the release of the same push locks it: {locked}"))
}

/// A recipe that fails leaves no image in any account, and ci runs the release before.
pub async fn a_failed_image_is_discarded_with_its_reason(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = newest(cloud).await?;
    let status = BuildOutcome {
        status: Some("FAILED".into()),
        message: Some("install.sh: exit status 1".into()),
        ..BuildOutcome::default()
    };
    controls(cloud)?.expect_build(IMAGE, &status).await.map_err(at("the builder"))?;
    touch(cloud, "fails")?;
    let answer = cloud.push("A recipe that cannot be built", Exit::Failed).await?;
    ensure(answer.to_string().contains("exit status 1"), format!("the document gives the reason: {answer}"))?;
    let failed = newest(cloud).await?;
    ensure(
        failed.version > before.version && failed.state == ImageVersionState::Discarded,
        format!("{failed:?}"),
    )?;
    ensure(failed.why.is_some_and(|why| why.contains("exit status 1")), "the record gives the reason")?;
    ensure(copies_of(cloud, &failed.version.to_string()).await?.is_empty(), "no account has it")?;
    ensure(locked(cloud).await? == before.version.to_string(), "the newest release is the one before")
}

/// The image belongs to another repository for a while, so the demo's recipe is a foreign one.
pub async fn a_recipe_of_a_foreign_name_builds_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let demo = &cloud.demo;
    demo.type_in(&["repositories", "add", ELSEWHERE], Exit::Done).await?;
    demo.type_in(&["images", "assign", IMAGE, "--to", ELSEWHERE], Exit::Done).await?;
    let before = newest(cloud).await?;
    touch(cloud, "of another repository")?;
    let answer = cloud.push("A recipe of an image of another repository", Exit::Failed).await?;
    ensure(
        answer.to_string().contains("belongs to acme/elsewhere"),
        format!("it names the owner: {answer}"),
    )?;
    ensure(newest(cloud).await? == before, "no version of the image was claimed")?;
    demo.type_in(&["images", "assign", IMAGE, "--to", REPOSITORY], Exit::Done).await?;
    demo.type_in(&["repositories", "remove", ELSEWHERE], Exit::Done).await?;
    touch(cloud, "of the owner")?;
    cloud.push("A recipe of the owner", Exit::Done).await?;
    ensure(newest(cloud).await?.version > before.version, "the owner builds the next version")
}

/// No constraint resolves to the image, and a promotion refuses it.
pub async fn an_image_of_a_branch_remains_in_one_account(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.type_in(&["repositories", "add", REPOSITORY, "--branches", "try-*"], Exit::Done).await?;
    let repository = cloud.demo.repository();
    repository.switch("try-it").await?;
    touch(cloud, "on a branch")?;
    cloud.push("Something to try", Exit::Done).await?;
    let version = newest(cloud).await?;
    ensure(
        version.version.is_pre_release() && version.state == ImageVersionState::Usable,
        format!("{version:?}"),
    )?;
    ensure(
        version.expires_at.is_some() && version.required.is_empty(),
        "it expires, and no release needs it",
    )?;
    ensure(copies(cloud, &version).await?.len() == 1, "it is in one account")?;
    let to_production = Run::PromoteImage(inputs::PromoteImage {
        image: version.name.clone(),
        version: version.version.clone(),
        to: "production".parse().map_err(at("the stage"))?,
    });
    let execution = runs::start(&cloud.demo.plane().await?, &to_production).await?;
    let ended = cloud.ended(&execution).await?;
    ensure(
        format!("{:?}", ended.status).contains("pre-release"),
        format!("the promotion refuses it: {:?}", ended.status),
    )?;
    repository.switch("main").await
}

/// Both builds use the same recipe and commit. Nothing of the recipe runs in production before the approval.
pub async fn a_licensed_image_is_built_in_production_once_approved(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    // Who started a build is unknown, so a rule that excludes the starter asks for two people. One approves here.
    edit_stages(cloud, BY_ANOTHER, BY_ANYONE)?;
    cloud.weaken_stages().await?;
    expect_licensed(cloud, 2).await?;
    touch(cloud, "licensed")?;
    let asked = cloud.push("An image with a licence", Exit::NeedsHuman).await?;
    let printed = cloud.output_of_promise();
    for part in ["RUN THE RECIPE of acme/logs", "install.sh", "+ # licensed", "the recipe, whole"] {
        ensure(printed.contains(part), format!("the question shows `{part}`"))?;
    }
    let version = newest(cloud).await?;
    ensure(version.state == ImageVersionState::Withheld, format!("it waits: {version:?}"))?;
    ensure(built_in_production(cloud).await?.is_empty(), "no build was started in production")?;
    let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
    let waiting = status["waiting_for_approval"].as_array().map_or(0, Vec::len);
    ensure(waiting == 1, format!("the status lists the question: {status}"))?;
    cloud.demo.approve(&asked, Exit::Done).await?;
    usable_in_both_accounts(cloud).await?;
    let locked_by_release = async || Ok(locked(cloud).await? == version.version.to_string());
    until("a release locks the image", locked_by_release).await
}

/// The difference is shown from the recipe that was last built in production.
pub async fn a_refused_build_discards_the_image_everywhere(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = newest(cloud).await?;
    expect_licensed(cloud, 1).await?;
    touch(cloud, "refused")?;
    let asked = cloud.push("An image that no person wants", Exit::NeedsHuman).await?;
    let printed = cloud.output_of_promise();
    let since = format!("the recipe since {IMAGE}@{}:", before.version);
    for part in [since.as_str(), "install.sh (changed)", "+ # refused"] {
        ensure(printed.contains(part), format!("the question shows `{part}`"))?;
    }
    ensure(!printed.contains("+ # licensed"), "the question shows what is new alone")?;
    let started = built_in_production(cloud).await?.len();
    let id = text(&asked["deployment"]["id"])?;
    let refuse = ["approve", &id, "--refuse", "--reason", "not on a Friday", "--as", "grace"];
    cloud.demo.type_in(&refuse, Exit::Done).await?;
    until("the image is discarded", async || Ok(newest(cloud).await?.state == ImageVersionState::Discarded))
        .await?;
    let failed = newest(cloud).await?;
    ensure(failed.version > before.version, format!("it is another version: {failed:?}"))?;
    ensure(
        failed.why.as_ref().is_some_and(|why| why.contains("not on a Friday")),
        format!("the record gives the reason: {failed:?}"),
    )?;
    ensure(copies(cloud, &failed).await?.is_empty(), "no account has it")?;
    ensure(built_in_production(cloud).await?.len() == started, "no build was started in production")?;
    edit_stages(cloud, BY_ANYONE, BY_ANOTHER)?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await.map(drop)
}

/// An administrator lets builds begin in production.
pub async fn a_licensed_image_is_built_without_a_person_if_allowed(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    edit_stages(cloud, ASKED, AUTOMATIC)?;
    cloud.weaken_stages().await?;
    expect_licensed(cloud, 2).await?;
    touch(cloud, "automatic")?;
    cloud.push("An image with a licence that no person approves", Exit::Done).await?;
    usable_in_both_accounts(cloud).await?;
    edit_stages(cloud, AUTOMATIC, ASKED)?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await.map(drop)
}

/// Lets the next builds make an image that no other account may copy.
async fn expect_licensed(cloud: &TestCloud, builds: usize) -> Result<(), Failure> {
    let windows = BuildOutcome { billing_product: Some(WINDOWS.into()), ..BuildOutcome::default() };
    for _ in 0..builds {
        controls(cloud)?.expect_build(IMAGE, &windows).await.map_err(at("the builder"))?;
    }
    Ok(())
}

/// Writes the stages with `from` replaced by `to`, in the file alone.
fn edit_stages(cloud: &TestCloud, from: &str, to: &str) -> Result<(), Failure> {
    let file = cloud.demo.context.path(Path::new("stages.toml"));
    let before = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let after = before.replace(from, to);
    ensure(before != after, format!("the stages say {from}"))?;
    std::fs::write(&file, after).map_err(at(file.display()))
}

/// Requires that the newest version is usable, was built in both accounts, and descends from the first build.
async fn usable_in_both_accounts(cloud: &TestCloud) -> Result<(), Failure> {
    until("the image is usable", async || Ok(newest(cloud).await?.state == ImageVersionState::Usable))
        .await?;
    let images = copies(cloud, &newest(cloud).await?).await?;
    ensure(images.len() == 2, format!("it is in both accounts: {images:?}"))?;
    let own = images.iter().filter(|image| image.ami.as_ref() == Some(&image.source_ami)).count();
    ensure(own == 1, "both records name the image that was built first")
}

/// Returns the operations of builds that were started in production.
async fn built_in_production(cloud: &TestCloud) -> Result<Vec<Operation>, Failure> {
    let production = cloud.demo.session()?.account("production")?.to_owned();
    let mut builds = cloud.records::<Deployment>().await?;
    builds.retain(|build| build.build().is_some() && build.location.account.as_str() == production);
    let started = builds.into_iter().flat_map(|build| build.operations);
    Ok(started.filter(|operation| !operation.target.is_empty()).collect())
}

/// No sweep has run since the version became usable.
pub async fn parameters_of_ci_name_the_newest_image_at_once(cloud: &mut TestCloud) -> Result<(), Failure> {
    let mut usable = cloud.records::<ImageVersion>().await?;
    usable.retain(|version| version.name.as_str() == IMAGE && obstacle(version, Purpose::Pin).is_none());
    usable.sort_by(|a, b| a.version.cmp(&b.version));
    let newest = usable.pop().ok_or_else(|| Failure::new("no version of the image is usable"))?;
    let wanted = ami_in(cloud, "development", &newest.version.to_string()).await?;
    let named = named_in(cloud, "development").await?;
    ensure(named.is_some() && named == wanted, format!("ci: {named:?}, not {wanted:?}"))
}

/// A promotion moves the parameter once it is approved and has succeeded, and a rollback moves it back.
pub async fn parameters_of_production_move_with_its_deployments(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    touch(cloud, "newer")?;
    cloud.push("A newer image", Exit::Done).await?;
    let before = cloud.demo.version_in("production").await?;
    let before = before.ok_or_else(|| Failure::new("production runs no release"))?;
    let first = ami_in(cloud, "production", &locked_by(cloud, &before).await?).await?;
    let named = named_in(cloud, "production").await?;
    ensure(first.is_some() && named == first, format!("production runs {first:?}, and {named:?} is named"))?;
    let next = cloud.demo.version_in("ci").await?.ok_or_else(|| Failure::new("ci runs no release"))?;
    let second = ami_in(cloud, "production", &locked_by(cloud, &next).await?).await?;
    ensure(
        second.is_some() && second != first,
        format!("a push brought a newer image to {next} than {before} has: {second:?}, not {first:?}"),
    )?;
    let name = format!("{COMPONENT}@{next}");
    let asked = cloud.demo.type_in(&["promote", &name, "--to", "production"], Exit::NeedsHuman).await?;
    ensure(named_in(cloud, "production").await? == first, "a question moves no parameter")?;
    cloud.demo.approve(&asked, Exit::Done).await?;
    ensure(named_in(cloud, "production").await? == second, "the approved deployment moves the parameter")?;
    let shown = cloud.demo.type_in(&["images", "show", IMAGE], Exit::Done).await?;
    let of_production = shown["parameters"].as_array().into_iter().flatten();
    let setters = of_production.filter(|one| one["channel"]["set_by"] == "deployment");
    ensure(setters.count() == 2, format!("latest and the line name the deployment: {shown}"))?;
    let back = ["rollback", COMPONENT, "--in", "production", "--yes"];
    let asked = cloud.demo.type_in(&back, Exit::NeedsHuman).await?;
    cloud.demo.approve(&asked, Exit::Done).await?;
    ensure(named_in(cloud, "production").await? == first, "the rollback moves the parameter back")?;
    cloud.demo.type_in(&["resume", COMPONENT, "--in", "production"], Exit::Done).await.map(drop)
}

/// Returns the id of a version of the image in an account.
async fn ami_in(cloud: &TestCloud, account: &str, version: &str) -> Result<Option<String>, Failure> {
    let account = cloud.demo.session()?.account(account)?.to_owned();
    let images = copies_of(cloud, version).await?;
    let there = images.into_iter().find(|image| image.location.account.as_str() == account);
    Ok(there.and_then(|image| image.ami).map(|ami| ami.to_string()))
}

/// Returns the id that the parameter `latest` of the image names in an account.
async fn named_in(cloud: &TestCloud, account: &str) -> Result<Option<String>, Failure> {
    let found = ParameterStore::new(&cloud.demo.session()?.root(account)?).all().await?;
    Ok(found.get(&format!("/lockstep/images/{IMAGE}/latest")).cloned())
}

/// Returns the version of the image in the lock of a release.
async fn locked_by(cloud: &TestCloud, version: &str) -> Result<String, Failure> {
    let releases = cloud.records::<Release>().await?;
    let release = releases
        .iter()
        .find(|release| release.component.as_str() == COMPONENT && release.version.to_string() == version);
    let mut locks = release.into_iter().flat_map(|release| release.image_lock.0.values());
    let image = locks.find(|locked| locked.name.as_str() == IMAGE);
    image
        .map(|locked| locked.version.to_string())
        .ok_or_else(|| Failure::new(format!("{version} locks no image")))
}

/// The region belongs to production's account and to a stage of its own.
pub async fn a_release_and_its_image_reach_a_further_region(cloud: &mut TestCloud) -> Result<(), Failure> {
    let demo = &cloud.demo;
    let add = ["accounts", "add", "production", "--in-region", FURTHER_REGION];
    demo.type_in(&add, Exit::Done).await?;
    let file = demo.context.path(Path::new("stages.toml"));
    let before = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let account = demo.session()?.account("production")?.to_owned();
    let stage = format!(
        "\n[[stages]]\nname = \"frankfurt\"\naccount = \"{account}\"\nregion = \"{FURTHER_REGION}\"\n\
         builds = \"approved\"\n"
    );
    std::fs::write(&file, format!("{before}{stage}")).map_err(at(file.display()))?;
    cloud.weaken_stages().await?;
    let running = demo.version_in("production").await?;
    let running = running.ok_or_else(|| Failure::new("production runs no release"))?;
    demo.type_in(&["promote", &format!("{COMPONENT}@{running}"), "--to", "frankfurt"], Exit::Done).await?;
    ensure(
        demo.version_in("frankfurt").await?.as_deref() == Some(&running),
        "frankfurt runs the release of production",
    )?;
    let images = cloud.records::<Image>().await?;
    let there = images.iter().find(|image| image.location.region.as_str() == FURTHER_REGION);
    let there = there.ok_or_else(|| Failure::new("the region has no image"))?;
    ensure(
        there.is_usable()
            && there.location.account.as_str() == account
            && cloud.records::<ImageShare>().await?.is_empty(),
        format!("{there:?}"),
    )?;
    let from = images.iter().find(|image| {
        image.version == there.version && image.name == there.name && image.location != there.location
    });
    ensure(from.is_some_and(|from| from.source_ami == there.source_ami), "it is a copy of the same image")?;
    // The promises after this one expect three stages.
    std::fs::write(&file, before).map_err(at(file.display()))?;
    // The stack there would run on where no command finds it.
    demo.type_in(&["stages", "apply", "stages.toml"], Exit::NeedsHuman).await?;
    demo.type_in(&["pending", "show"], Exit::Done).await?;
    cloud.weaken_stages_with(&["--accept", "frankfurt"]).await
}

/// Changes the recipe by a comment.
fn touch(cloud: &TestCloud, comment: &str) -> Result<(), Failure> {
    cloud.append(&format!("{FOLDER}/install.sh"), &format!("# {comment}"))
}

fn controls(cloud: &TestCloud) -> Result<Controls, Failure> {
    Ok(Controls::new(&cloud.demo.session()?.endpoint))
}

/// Returns the version of the image that was claimed last.
async fn newest(cloud: &TestCloud) -> Result<ImageVersion, Failure> {
    let mut versions = cloud.records::<ImageVersion>().await?;
    versions.retain(|version| version.name.as_str() == IMAGE);
    versions.sort_by_key(|version| version.recorded_at);
    versions.pop().ok_or_else(|| Failure::new("there is no version of the image"))
}

async fn copies(cloud: &TestCloud, version: &ImageVersion) -> Result<Vec<Image>, Failure> {
    copies_of(cloud, &version.version.to_string()).await
}

/// Returns the records of a version in all accounts.
async fn copies_of(cloud: &TestCloud, version: &str) -> Result<Vec<Image>, Failure> {
    let mut images = cloud.records::<Image>().await?;
    images.retain(|image| image.name.as_str() == IMAGE && image.version.to_string() == version);
    Ok(images)
}

/// Returns the version of the image in the lock of the newest release.
async fn locked(cloud: &TestCloud) -> Result<String, Failure> {
    let mut releases = cloud.records::<Release>().await?;
    releases.sort_by_key(|release| release.packaged_at);
    let newest = releases.iter().rev().find(|release| !release.version.is_pre_release());
    let newest = newest.ok_or_else(|| Failure::new("there is no release"))?;
    let image = newest.image_lock.0.values().find(|locked| locked.name.as_str() == IMAGE);
    Ok(image.map(|locked| locked.version.to_string()).unwrap_or_default())
}
