use super::*;
use crate::images::constraint::tests::known as usable;
use crate::images::retention::tests::{DEVELOPMENT, PRODUCTION, at, image, place};
use crate::records::{DeploymentState, testing};

const AMI: &str = "ami-0123456789abcdef1";
const EXECUTION: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-promote-image:x";

fn tagged(images: &[(&str, &str)], snapshots: &[&str]) -> Tagged {
    let made = || Made { label: "logstash@2.1.0".to_owned(), ..Made::default() };
    let image = |(id, snapshot): &(&str, &str)| {
        let image =
            TaggedImage { made: made(), snapshots: [snapshot.parse().unwrap()].into(), is_deprecated: false };
        (id.parse().unwrap(), image)
    };
    Tagged {
        images: images.iter().map(image).collect(),
        snapshots: snapshots.iter().map(|id| (id.parse().unwrap(), made())).collect(),
    }
}

/// Row 47.
#[test]
fn tagged_resources_without_a_record_are_orphans_unless_work_is_pending() {
    let (ours, other) = ("ami-0123456789abcdef0", AMI);
    let (snapshot, used, loose) =
        ("snap-0123456789abcdef0", "snap-0123456789abcdef1", "snap-0123456789abcdef2");
    let found = tagged(&[(ours, snapshot), (other, used)], &[snapshot, used, loose]);
    let records = [image("2.1.0", PRODUCTION)];
    let found = |records: &[Image], versions: &[ImageVersion]| -> Vec<String> {
        let orphans = orphans(&place(PRODUCTION), &found, records, versions);
        orphans.into_iter().map(|orphan| orphan.thing.to_string()).collect()
    };
    assert_eq!(found(&records, &[]), [other, loose], "a snapshot that an image uses is that image's");
    let mut moving = image("2.1.1", PRODUCTION);
    moving.state = ImageState::Promoting;
    assert_eq!(found(&[records[0].clone(), moving], &[]), Vec::<String>::new());
    for state in [ImageVersionState::Building, ImageVersionState::Discarding] {
        let changing = ImageVersion { state, ..usable("2.1.2") };
        assert_eq!(found(&records, &[changing]), Vec::<String>::new());
    }
    // A record of another account does not explain a resource here.
    assert_eq!(found(&[image("2.1.0", DEVELOPMENT)], &[]).len(), 3);
}

/// Returns an image that a promotion made on day 0 and that was seen since day 29.
fn left_behind() -> SeenOrphan {
    SeenOrphan {
        orphan: Orphan {
            location: place(PRODUCTION),
            thing: OrphanResource::Image(AMI.parse().unwrap()),
            label: "logstash@2.1.0".into(),
            deployment: Some(DeploymentId::of_execution(EXECUTION)),
            made_at: Some(at(0)),
        },
        since: at(29),
        stays: String::new(),
    }
}

fn maker(body: impl Into<DeploymentBody>, state: DeploymentState) -> Deployment {
    Deployment { state, ..Deployment::new(testing::start(EXECUTION, "2.1.0", "production"), body) }
}

fn promotion(state: DeploymentState) -> Deployment {
    maker(testing::promotion(), state)
}

#[test]
fn an_orphan_of_an_ended_deployment_is_removed_once_unreferenced() {
    for state in [DeploymentState::Failed, DeploymentState::Succeeded] {
        assert_eq!(why_not(&left_behind(), Some(&promotion(state)), &[usable("2.1.0")], at(30)), None);
    }
    assert_eq!(why_kept(Some(&[])), None);
}

#[test]
fn each_reason_alone_retains_an_orphan() {
    let over = promotion(DeploymentState::Failed);
    let teardown = maker(testing::teardown("logs", "ci-logs"), DeploymentState::Failed);
    let running = promotion(DeploymentState::Running);
    let source = ImageVersion { source_ami: Some(AMI.parse().unwrap()), ..usable("2.1.9") };
    let changed = |change: &dyn Fn(&mut SeenOrphan)| {
        let mut seen = left_behind();
        change(&mut seen);
        seen
    };
    let no_maker = changed(&|seen| seen.orphan.deployment = None);
    let no_age = changed(&|seen| seen.orphan.made_at = None);
    let young = changed(&|seen| seen.orphan.made_at = Some(at(24)));
    let fresh = changed(&|seen| seen.since = at(30));
    let old = left_behind();
    let cases: [(&SeenOrphan, Option<&Deployment>, &[ImageVersion], &str); 8] = [
        (&no_maker, Some(&over), &[], "its tags name no deployment"),
        (&old, None, &[], "the ledger does not know the deployment"),
        (&old, Some(&teardown), &[], "makes no images"),
        (&old, Some(&running), &[], "has not ended"),
        (&old, Some(&over), std::slice::from_ref(&source), "logstash@2.1.9 is made from it"),
        (&no_age, Some(&over), &[], "no creation time"),
        (&young, Some(&over), &[], "not 7 days old"),
        (&fresh, Some(&over), &[], "first seen at"),
    ];
    for (seen, maker, versions, why) in cases {
        let found = why_not(seen, maker, versions, at(30)).unwrap_or_default();
        assert!(found.contains(why), "{why}: {found:?}");
    }
    assert!(why_kept(None).unwrap().contains("did not say"));
    assert!(why_kept(Some(&["instance/i-1".into()])).unwrap().contains("instance/i-1 refers to it"));
}

#[test]
fn an_orphan_is_seen_since_the_first_of_consecutive_sweeps() {
    let first = seen(left_behind().orphan, &[], at(10));
    assert_eq!(first.since, at(10));
    assert_eq!(seen(first.orphan.clone(), std::slice::from_ref(&first), at(11)).since, at(10));
    // The orphan was absent in between, so the time starts anew.
    assert_eq!(seen(first.orphan.clone(), &[], at(12)).since, at(12));
    // A resource with the same id and another maker is a different orphan.
    let other = Orphan { deployment: None, ..first.orphan.clone() };
    assert_eq!(seen(other, &[first], at(12)).since, at(12));
}
