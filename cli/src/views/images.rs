//! Tables of images and their versions, and the history of a version from its origin to its approvals.

use super::{owners, time};
use crate::image_inventory::{ImageInventory, ImageUse};
use lockstep_domain::images::channels::{Channel, SetBy};
use lockstep_domain::images::retention::{Planned, RetentionStep};
use lockstep_domain::model::ids::{DeploymentId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::orphan::SeenOrphan;
use lockstep_domain::records::{
    ApprovalDecision, Decision, Deployment, Image, ImageOrigin, ImageVersion, Ownership, Release,
    ReleaseState,
};
use serde_json::{Value, json};

/// The head of [`rows`].
pub const HEAD: [&str; 8] = ["image", "version", "state", "commit", "account", "region", "id", "needed by"];

/// Returns a row for each copy of every version.
pub fn rows(inventory: &ImageInventory) -> Vec<[String; 8]> {
    inventory.versions.iter().flat_map(|version| rows_of(inventory, version)).collect()
}

fn rows_of(inventory: &ImageInventory, version: &ImageVersion) -> Vec<[String; 8]> {
    let needed: Vec<String> = inventory.references_of(version).iter().map(ToString::to_string).collect();
    let needed = if needed.is_empty() { "-".to_owned() } else { needed.join("; ") };
    let row = |image: Option<&Image>| {
        let place = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            version.name.to_string(),
            version.version.to_string(),
            state(version),
            version.commit().map_or("-", |commit| commit.short()).to_owned(),
            place(image.map(|image| image.location.account.to_string())),
            place(image.map(|image| image.location.region.to_string())),
            image.map_or_else(|| "-".to_owned(), |image| id(inventory, image)),
            needed.clone(),
        ]
    };
    let places = inventory.places_of(version);
    if places.is_empty() {
        vec![row(None)]
    } else {
        places.into_iter().map(|image| row(Some(image))).collect()
    }
}

/// Returns the state of a version in one or two words.
pub fn state(version: &ImageVersion) -> String {
    match &version.revoked {
        Some(_) => format!("{}, revoked", version.state),
        None => version.state.to_string(),
    }
}

fn id(inventory: &ImageInventory, image: &Image) -> String {
    let id = image.ami.as_ref().map_or_else(|| "being copied".to_owned(), ToString::to_string);
    if inventory.is_shared(image) { format!("{id} (shared for a copy)") } else { id }
}

/// Returns every version with its copies and its references, for scripts.
pub fn document(inventory: &ImageInventory) -> Value {
    let one = |version: &ImageVersion| {
        json!({
            "version": version,
            "revoked": version.revoked,
            "places": inventory.places_of(version),
            "needed_by": inventory.references_of(version),
        })
    };
    json!({ "images": inventory.versions.iter().map(one).collect::<Vec<_>>() })
}

/// The head of [`running`].
pub const RUNNING: [&str; 6] = ["stage", "environment", "release", "when", "account", "region"];

/// Returns the rows of the environments that run a version or ran it before.
pub fn running(runs: &[ImageUse<'_>]) -> Vec<[String; 6]> {
    let row = |run: &ImageUse<'_>| {
        let place = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let location = run.location.as_ref();
        [
            run.environment.stage.to_string(),
            run.environment.name.clone(),
            format!("{} {}", run.environment.component, run.deployed.version),
            if run.now { format!("now, since {}", time(run.deployed.since)) } else { "before".to_owned() },
            place(location.map(|location| location.account.to_string())),
            place(location.map(|location| location.region.to_string())),
        ]
    };
    runs.iter().map(row).collect()
}

/// Returns the same for scripts.
pub fn running_document(runs: &[ImageUse<'_>]) -> Value {
    let one = |run: &ImageUse<'_>| {
        json!({
            "stage": run.environment.stage, "environment": run.environment.name,
            "component": run.environment.component, "release": run.deployed.version, "now": run.now,
            "since": run.deployed.since, "deployment": run.deployed.deployment, "location": run.location,
        })
    };
    json!(runs.iter().map(one).collect::<Vec<_>>())
}

/// Returns the sentence about the owner of an image.
pub fn owner(image: &ImageName, claim: Option<&Ownership>) -> String {
    match claim.map(|claim| (claim, &claim.owner)) {
        None => format!("{image} has no owner: the first push of its recipe to a default branch claims it"),
        Some((claim, None)) => {
            format!("{image} belongs to no repository, by {}: no push may build it", owners::origin(claim))
        }
        Some((claim, Some(owner))) => {
            format!(
                "{image} belongs to {} since {}, by {}",
                owner.full_name(),
                time(claim.at),
                owners::origin(claim)
            )
        }
    }
}

/// The head of [`channels`].
pub const CHANNELS: [&str; 7] = ["account", "region", "parameter", "version", "id", "since", "set by"];

/// Returns a row for each parameter that names an image.
pub fn channels(channels: &[(Location, String, Channel)]) -> Vec<[String; 7]> {
    let row = |(location, parameter, channel): &(Location, String, Channel)| {
        [
            location.account.to_string(),
            location.region.to_string(),
            parameter.clone(),
            channel.version.to_string(),
            channel.ami.to_string(),
            time(channel.since),
            set_by(&channel.by),
        ]
    };
    channels.iter().map(row).collect()
}

fn set_by(by: &SetBy) -> String {
    match by {
        SetBy::Newest => "the newest version".to_owned(),
        SetBy::Deployment { stage, environment, component, release, deployment } => {
            let short: String = deployment.as_str().chars().take(8).collect();
            format!("deployment {short} of {component} {release} in {stage}/{environment}")
        }
        SetBy::Publish { stage, operator, deployment } => {
            format!("publication {} in {stage} by {operator}", deployment.short())
        }
    }
}

/// Returns the same for scripts.
pub fn channels_document(channels: &[(Location, String, Channel)]) -> Value {
    let one = |(location, parameter, channel): &(Location, String, Channel)| json!({ "location": location, "parameter": parameter, "channel": channel });
    json!(channels.iter().map(one).collect::<Vec<_>>())
}

/// Returns the history of a version: its origin, its copies, the releases that pin it, their environments, and the
/// approvals. `deployments` has the deployments of those environments, and `decisions` the answers to their questions.
pub fn history(
    inventory: &ImageInventory,
    version: &ImageVersion,
    deployments: &[Deployment],
    decisions: &[ApprovalDecision],
) -> Vec<String> {
    let mut lines = vec![format!("{}@{}: {}", version.name, version.version, state(version))];
    lines.extend(version.why.iter().map(|why| format!("  why         {why}")));
    lines.extend(origin(version));
    lines.push(format!("  recorded    {} by {}", time(version.recorded_at), version.recorded_by));
    if let Some(revoked) = &version.revoked {
        lines.push(format!("  REVOKED     by {} at {}: {}", revoked.by, time(revoked.at), revoked.reason));
    }
    lines.extend(inventory.places_of(version).into_iter().map(|image| place(inventory, version, image)));
    let runs = inventory.runs_of(version);
    for release in inventory.releases_of(version) {
        lines.push(release_line(release));
        let own = |run: &&ImageUse<'_>| {
            run.environment.component == release.component && run.deployed.version == release.version
        };
        lines.extend(runs.iter().filter(own).map(|run| run_line(run, deployments, decisions)));
    }
    lines
}

fn origin(version: &ImageVersion) -> Vec<String> {
    match &version.origin {
        ImageOrigin::Baked { repository, reference, commit, folder, .. } => vec![
            format!("  commit      {commit} of {repository}, {reference}"),
            format!("  recipe      {folder}"),
        ],
        ImageOrigin::Imported { commit: Some(commit) } => {
            vec![format!("  commit      {commit}, as its tags said when it was imported")]
        }
        ImageOrigin::Imported { commit: None } => vec!["  commit      not known: it was imported".to_owned()],
    }
}

fn place(inventory: &ImageInventory, version: &ImageVersion, image: &Image) -> String {
    let (account, region) = (&image.location.account, &image.location.region);
    let how = if image.ami == version.source_ami {
        "its source".to_owned()
    } else if image.recorded_by.starts_with("arn:") {
        format!("copied by {}", DeploymentId::of_execution(&image.recorded_by).short())
    } else {
        format!("recorded by {}", image.recorded_by)
    };
    format!("  is          {} in account {account}, {region}: {how}", id(inventory, image))
}

fn release_line(release: &Release) -> String {
    let state = match release.state {
        ReleaseState::Packaged => "not published",
        ReleaseState::Published => "published",
        ReleaseState::TestFailed => "test failed",
    };
    let (component, version, commit) = (&release.component, &release.version, release.commit.short());
    format!("  pinned by   {component} {version} ({state}), commit {commit} by {}", release.author)
}

fn run_line(run: &ImageUse<'_>, deployments: &[Deployment], decisions: &[ApprovalDecision]) -> String {
    let verb =
        if run.now { format!("runs it since {}", time(run.deployed.since)) } else { "ran it before".into() };
    let found = deployments.iter().find(|deployment| deployment.id == run.deployed.deployment);
    let who =
        found.map_or_else(|| "its approval is not known".to_owned(), |found| approver(found, decisions));
    let (stage, name, id) = (&run.environment.stage, &run.environment.name, run.deployed.deployment.short());
    format!("    {stage}/{name} {verb}, deployment {id}: {who}")
}

fn approver(deployment: &Deployment, decisions: &[ApprovalDecision]) -> String {
    let approves = |given: &&ApprovalDecision| {
        given.deployment == deployment.id && given.decision == Some(Decision::Approve)
    };
    match decisions.iter().rev().find(approves).and_then(ApprovalDecision::last) {
        Some(answer) => format!("approved by {} at {}", answer.by.arn, time(answer.at)),
        None => "no approval was needed".to_owned(),
    }
}

/// The head of [`planned`].
pub const PLANNED: [&str; 4] = ["image", "version", "would be", "why"];

/// Returns the rows of planned retirements.
pub fn planned(plan: &[Planned]) -> Vec<[String; 4]> {
    let word = |step: &RetentionStep| match step {
        RetentionStep::Deprecate => "deprecated",
        RetentionStep::Restore { .. } => "restored",
        RetentionStep::Remove => "deregistered, with its snapshots",
    };
    let row = |planned: &Planned| {
        [
            planned.image.to_string(),
            planned.version.to_string(),
            word(&planned.step).to_owned(),
            planned.why.clone(),
        ]
    };
    plan.iter().map(row).collect()
}

/// The head of [`orphans`].
pub const ORPHANS: [&str; 5] = ["id", "account and region", "tagged as", "seen since", "retained, because"];

/// Returns the rows of orphans: resources with Lockstep's tags that no record names, found by the last sweep.
pub fn orphans(seen: &[SeenOrphan]) -> Vec<[String; 5]> {
    let row = |seen: &SeenOrphan| {
        let orphan = &seen.orphan;
        [
            orphan.thing.to_string(),
            format!("{} {}", orphan.location.account, orphan.location.region),
            orphan.label.clone(),
            seen.since.to_string(),
            seen.stays.clone(),
        ]
    };
    seen.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::records::AnswerKind;

    #[test]
    fn a_parameter_is_shown_with_its_setter_and_time() {
        let channel = |by| Channel {
            ami: SOURCE.parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            since: at(0),
            by,
        };
        let deployed = SetBy::Deployment {
            stage: "production".parse().unwrap(),
            environment: "logs".into(),
            component: "logs".parse().unwrap(),
            release: "1.0.3".parse().unwrap(),
            deployment: DeploymentId::of_execution("e"),
        };
        let location =
            Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
        let name = "/lockstep/images/logstash/latest".to_owned();
        let published = SetBy::Publish {
            stage: "production".parse().unwrap(),
            operator: "arn:ada".into(),
            deployment: DeploymentId::of_execution("p"),
        };
        let all =
            [SetBy::Newest, deployed, published].map(|by| (location.clone(), name.clone(), channel(by)));
        let rows = channels(&all);
        assert_eq!(rows[0][6], "the newest version");
        assert!(rows[1][6].ends_with("of logs 1.0.3 in production/logs"), "{rows:?}");
        assert!(rows[2][6].ends_with(" in production by arn:ada"), "{rows:?}");
        assert_eq!(rows[0][5], time(at(0)));
        assert_eq!(channels_document(&all)[1]["channel"]["set_by"], "deployment");
    }

    #[test]
    fn an_owner_is_shown_with_the_origin_of_its_claim() {
        use lockstep_domain::model::ids::RepositoryId;
        use lockstep_domain::records::{ClaimOrigin, OwnedName};
        let image: ImageName = "logstash".parse().unwrap();
        let claim = |owner| Ownership {
            of: OwnedName::Image(image.clone()),
            owner,
            origin: ClaimOrigin::Import,
            by: "arn:ada".into(),
            at: at(0),
        };
        assert!(owner(&image, None).contains("has no owner"));
        assert!(owner(&image, Some(&claim(None))).contains("no push may build it"));
        let ours = claim(RepositoryId::github("acme", "logs").ok());
        assert!(owner(&image, Some(&ours)).contains("belongs to acme/logs since"));
    }

    #[test]
    fn an_orphan_is_shown_with_the_reason_to_retain_it() {
        let seen: SeenOrphan = serde_json::from_value(json!({
            "location": {"account": "222222222222", "region": "eu-west-1"},
            "thing": {"image": "ami-0123456789abcdef0"},
            "label": "logstash@2.1.0",
            "since": "2026-11-20T10:00:00Z",
            "stays": "it is not 7 days old",
        }))
        .unwrap();
        let shown = orphans(&[seen]).concat().join(" ");
        for part in
            ["ami-0123456789abcdef0", "222222222222 eu-west-1", "logstash@2.1.0", "it is not 7 days old"]
        {
            assert!(shown.contains(part), "{shown}");
        }
    }
    use crate::views::testing::{asking, at, decided, deployment, environment, release};
    use lockstep_domain::delivery::stages::{EXAMPLE, Stages};
    use lockstep_domain::images::references::{ReferenceSources, reference_graph};
    use lockstep_domain::model::deployment_path::DeploymentPath;
    use lockstep_domain::model::image_lock::{ImageLock, LockedImage};
    use lockstep_domain::model::image_version_state::ImageVersionState;
    use lockstep_domain::model::operator_action::OperatorAction;
    use lockstep_domain::records::{
        Deployed, Environment, ImageState, Proposal, ProposedAction, Revocation, Subject,
    };

    const SOURCE: &str = "ami-00000000000000001";

    fn version() -> ImageVersion {
        ImageVersion {
            name: "logstash".parse().unwrap(),
            version: "2.1.37".parse().unwrap(),
            state: ImageVersionState::Usable,
            why: None,
            revoked: None,
            origin: ImageOrigin::Imported { commit: None },
            source_ami: Some(SOURCE.parse().unwrap()),
            required: Default::default(),
            expires_at: None,
            retiring_since: None,
            recorded_by: "import".into(),
            recorded_at: at(0),
        }
    }

    fn image(account: &str, ami: &str, by: &str) -> Image {
        Image {
            name: "logstash".parse().unwrap(),
            version: "2.1.37".parse().unwrap(),
            location: Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() },
            path: DeploymentPath::Delivery,
            state: ImageState::Available,
            ami: Some(ami.parse().unwrap()),
            snapshots: Default::default(),
            source_ami: SOURCE.parse().unwrap(),
            commit: None,
            recorded_by: by.into(),
            recorded_at: at(0),
        }
    }

    fn pinning() -> Release {
        let locked = LockedImage {
            parameter: "ImageId".parse().unwrap(),
            name: "logstash".parse().unwrap(),
            version: "2.1.37".parse().unwrap(),
            commit: None,
            source_ami: SOURCE.parse().unwrap(),
        };
        Release { image_lock: ImageLock([(locked.parameter.clone(), locked)].into()), ..release() }
    }

    fn inventory(version: ImageVersion) -> ImageInventory {
        let release = pinning();
        let deployed = Deployed {
            version: release.version.clone(),
            digest: release.digest.clone(),
            template_digest: release.digest.clone(),
            parameters_digest: release.digest.clone(),
            late_digest: None,
            stack_version: release.version.clone(),
            deployment: deployment().id,
            checked: true,
            overridden: Default::default(),
            since: at(60),
        };
        let environments = vec![Environment { deployed: Some(deployed), ..environment("ci", "logs") }];
        let releases = vec![release];
        let needs = ReferenceSources {
            environments: &environments,
            unfinished: &[],
            releases: &releases,
            publications: &[],
        };
        ImageInventory {
            versions: vec![version],
            places: vec![
                image("222222222222", SOURCE, "import"),
                image("333333333333", "ami-00000000000000002", "arn:promotion"),
            ],
            shares: Vec::new(),
            publications: Vec::new(),
            references: reference_graph(&needs),
            releases,
            environments,
            stages: Stages::parse("stages.toml", EXAMPLE).unwrap(),
            settings: Default::default(),
        }
    }

    #[test]
    fn each_copy_of_a_version_has_a_row_with_its_references() {
        let rows = rows(&inventory(version()));
        assert_eq!(rows.len(), 2);
        assert_eq!(
            rows[1],
            [
                "logstash",
                "2.1.37",
                "usable",
                "-",
                "333333333333",
                "eu-west-1",
                "ami-00000000000000002",
                "ci/logs runs 2.1.3"
            ]
        );
        let mut building = ImageVersion { version: "2.1.38".parse().unwrap(), ..version() };
        let action = OperatorAction::new("arn:ada", "a hole", at(1)).unwrap();
        building.revoked = Some(Revocation::new(&building.name, &building.version, &action));
        let rows = super::rows(&inventory(building));
        assert_eq!((rows.len(), rows[0][2].as_str(), rows[0][6].as_str()), (1, "usable, revoked", "-"));
    }

    #[test]
    fn the_history_has_origin_copies_releases_and_approvals() {
        let inventory = inventory(version());
        let proposal = Proposal {
            stack: "arn".into(),
            action: ProposedAction::Delete,
            resources: vec![],
            policies: None,
        };
        let question = asking(Subject::Proposal(proposal));
        let asked = Deployment { approvals: vec![question], ..deployment() };
        let given = [decided(&asked, AnswerKind::Approve, 30)];
        let copied = history(&inventory, &inventory.versions[0], std::slice::from_ref(&asked), &given);
        insta::assert_snapshot!(copied.join("\n"));
        let unasked = history(&inventory, &inventory.versions[0], &[deployment()], &[]).join("\n");
        assert!(unasked.contains("no approval was needed"), "{unasked}");
    }

    #[test]
    fn an_ami_is_found_with_its_version() {
        let inventory = inventory(version());
        let (found, image) = inventory.of_ami(&"ami-00000000000000002".parse().unwrap()).unwrap();
        assert_eq!((found, image.location.account.as_str()), (&version(), "333333333333"));
        assert!(inventory.of_ami(&"ami-00000000000000003".parse().unwrap()).is_none());
    }

    #[test]
    fn the_rows_of_environments_name_stage_and_release() {
        let inventory = inventory(version());
        let rows = running(&inventory.runs_of(&inventory.versions[0]));
        assert_eq!(rows.len(), 1);
        assert_eq!(&rows[0][..4], ["ci", "logs", "logs 2.1.3", "now, since 1970-01-01 00:01:00Z"]);
    }
}
