use super::*;
use crate::images::constraint::tests::known as usable;
use crate::images::lifecycle::{Transition, apply, obstacle};
use crate::images::orphans::TaggedImage;
use crate::model::deployment_path::DeploymentPath;
use crate::model::operator_action::OperatorAction;
use crate::records::Revocation;
use proptest::prelude::*;

pub(crate) const DEVELOPMENT: &str = "222222222222";
pub(crate) const PRODUCTION: &str = "333333333333";

pub(crate) fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 86_400).unwrap()
}

pub(crate) fn place(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

pub(crate) fn image(version: &str, account: &str) -> Image {
    Image {
        name: "logstash".parse().unwrap(),
        version: version.parse().unwrap(),
        location: place(account),
        path: DeploymentPath::Delivery,
        state: ImageState::Available,
        ami: Some("ami-0123456789abcdef0".parse().unwrap()),
        snapshots: ["snap-0123456789abcdef0".parse().unwrap()].into(),
        source_ami: "ami-0123456789abcdef0".parse().unwrap(),
        commit: None,
        recorded_by: "e".into(),
        recorded_at: at(0),
    }
}

fn retiring(version: &str, since: i64) -> ImageVersion {
    ImageVersion { state: ImageVersionState::Retiring, retiring_since: Some(at(since)), ..usable(version) }
}

fn expiring(version: &str, day: i64) -> ImageVersion {
    ImageVersion { expires_at: Some(at(day)), ..usable(version) }
}

fn revoked(version: &str) -> ImageVersion {
    let (action, version) = (OperatorAction::new("arn", "a hole", at(0)).unwrap(), usable(version));
    ImageVersion { revoked: Some(Revocation::new(&version.name, &version.version, &action)), ..version }
}

fn needed(versions: &[&str]) -> ReferenceGraph {
    let runs = Reference::Runs {
        stage: "ci".parse().unwrap(),
        environment: "logs".into(),
        release: "1.0.0".parse().unwrap(),
    };
    let entry =
        |version: &&str| (("logstash".parse().unwrap(), version.parse().unwrap()), [runs.clone()].into());
    versions.iter().map(entry).collect()
}

/// Returns the plan with two retained versions, on day 30.
fn planned(versions: &[ImageVersion], places: &[Image], uses: &ReferenceGraph) -> Vec<String> {
    let planned = plan(&RetentionInput { versions, places, shares: &[], uses, keep: 2, now: at(30) });
    planned
        .iter()
        .map(|planned| format!("{} {:?}: {}", planned.version, word(&planned.step), planned.why))
        .collect()
}

fn word(step: &RetentionStep) -> &'static str {
    match step {
        RetentionStep::Deprecate => "deprecate",
        RetentionStep::Restore { .. } => "restore",
        RetentionStep::Remove => "remove",
    }
}

#[test]
fn the_newest_and_referenced_versions_remain_and_others_are_deprecated() {
    let versions = ["2.1.0", "2.1.1", "2.1.2", "2.1.3"].map(usable);
    assert_eq!(
        planned(&versions, &[], &needed(&["2.1.1"])),
        [r#"2.1.0 "deprecate": nothing needs it, and there are 2 newer ones"#]
    );
}

#[test]
fn a_revoked_version_is_removed_once_unreferenced_and_is_not_counted() {
    let versions = [usable("2.1.0"), usable("2.1.1"), revoked("2.1.2")];
    assert_eq!(
        planned(&versions, &[], &needed(&[])),
        [r#"2.1.2 "deprecate": revoked, and nothing needs it"#]
    );
    assert_eq!(planned(&versions, &[], &needed(&["2.1.2"])), Vec::<String>::new());
}

#[test]
fn a_pre_release_is_deprecated_only_after_it_has_expired() {
    let versions = [expiring("2.1.0-fix.1", 29), expiring("2.1.0-fix.2", 31), usable("2.1.0-fix.3")];
    assert_eq!(
        planned(&versions, &[], &needed(&[])),
        [r#"2.1.0-fix.1 "deprecate": a pre-release that has expired"#]
    );
}

#[test]
fn a_deprecated_version_is_removed_later_unless_it_is_referenced_again() {
    let versions = [retiring("2.1.0", 23), retiring("2.1.1", 24), retiring("2.1.2", 10)];
    assert_eq!(
        planned(&versions, &[], &needed(&["2.1.2"])),
        [
            r#"2.1.0 "remove": deprecated for 7 days, and nothing refers to it"#,
            r#"2.1.2 "restore": ci/logs runs 1.0.0"#,
        ]
    );
}

/// Row 49.
#[test]
fn a_shared_or_copying_version_is_left_alone() {
    let versions = [retiring("2.1.0", 0), usable("2.1.1"), usable("2.1.2"), usable("2.1.3")];
    let mut moving = image("2.1.0", PRODUCTION);
    moving.state = ImageState::Promoting;
    assert_eq!(planned(&versions, &[moving], &needed(&[])).len(), 1, "the copy is awaited, 2.1.1 goes");
    let mut places = vec![image("2.1.1", DEVELOPMENT), image("2.1.1", PRODUCTION)];
    places[1].state = ImageState::Promoting;
    let lines = planned(&versions, &places, &needed(&[]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("2.1.0"), "{lines:?}");
}

#[test]
fn a_version_closed_before_its_images_were_removed_is_resumed() {
    let closed = ImageVersion { state: ImageVersionState::Retired, ..usable("2.1.0") };
    let lines = planned(std::slice::from_ref(&closed), &[image("2.1.0", PRODUCTION)], &needed(&[]));
    assert_eq!(lines, [r#"2.1.0 "remove": retired, and some of its images are still there"#]);
    assert_eq!(planned(&[closed], &[], &needed(&[])), Vec::<String>::new());
}

#[test]
fn the_sweep_ignores_unfinished_and_discarding_versions() {
    for &state in ImageVersionState::ALL {
        let version = ImageVersion { state, recorded_at: at(30), ..usable("1.0.0") };
        let versions = [version, usable("2.1.0"), usable("2.1.1")];
        let goes = !planned(&versions, &[], &needed(&[])).is_empty();
        assert_eq!(goes, state == ImageVersionState::Usable, "{state}");
    }
}

#[test]
fn a_version_abandoned_for_a_day_is_removed_unless_it_is_being_copied() {
    let given_up = |day| {
        let state = ImageVersionState::Discarding;
        ImageVersion { state, recorded_at: at(day), ..usable("2.1.0") }
    };
    let lines = planned(&[given_up(29)], &[image("2.1.0", PRODUCTION)], &needed(&[]));
    assert_eq!(lines, [r#"2.1.0 "remove": abandoned, and not discarded within a day"#]);
    let moving = Image { state: ImageState::Promoting, ..image("2.1.0", PRODUCTION) };
    assert_eq!(planned(&[given_up(29)], &[moving], &needed(&[])), Vec::<String>::new());
    let shared = ImageShare {
        image: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        source: place(DEVELOPMENT),
        account: PRODUCTION.parse().unwrap(),
        promotions: [crate::model::ids::DeploymentId::of_execution("p")].into(),
    };
    let (versions, uses) = ([given_up(29)], needed(&[]));
    let known = RetentionInput {
        versions: &versions,
        places: &[],
        shares: &[shared],
        uses: &uses,
        keep: 2,
        now: at(30),
    };
    assert_eq!(plan(&known), [], "it is shared");
}

/// Row 46.
#[test]
fn a_reference_or_a_silent_account_retains_a_version() {
    let images = [image("2.1.0", DEVELOPMENT), image("2.1.0", PRODUCTION)];
    let answers = |production: Option<Vec<String>>| {
        let mut answers = BTreeMap::from([(place(DEVELOPMENT), vec![])]);
        answers.extend(production.map(|references| (place(PRODUCTION), references)));
        answers
    };
    assert_eq!(judge(&images, &answers(Some(vec![]))), Ok(()));
    let silent = judge(&images, &answers(None)).unwrap_err();
    assert!(silent.contains(PRODUCTION) && silent.contains("did not say"), "{silent}");
    let instance = "arn:aws:ec2:eu-west-1:333333333333:instance/i-1";
    let kept = judge(&images, &answers(Some(vec![instance.into(), "arn:x".into()]))).unwrap_err();
    assert!(kept.contains(instance) && kept.contains("1 more"), "{kept}");
}

#[test]
fn an_image_of_a_retiring_version_without_deprecation_is_found() {
    let (said, silent) = (image("2.1.0", DEVELOPMENT), image("2.1.0", PRODUCTION));
    let tagged = |image: &Image, is_deprecated| Tagged {
        images: [(image.ami.clone().unwrap(), TaggedImage { is_deprecated, ..TaggedImage::default() })]
            .into(),
        ..Tagged::default()
    };
    let retiring = ImageVersion { state: ImageVersionState::Retiring, ..usable("2.1.0") };
    let all = [said.clone(), silent.clone()];
    let found = |place: &str, tagged: &Tagged, version: &ImageVersion| -> Vec<AmiId> {
        undeprecated(&self::place(place), tagged, &all, std::slice::from_ref(version)).cloned().collect()
    };
    assert_eq!(found(DEVELOPMENT, &tagged(&said, true), &retiring), []);
    assert_eq!(found(PRODUCTION, &tagged(&silent, false), &retiring), [silent.ami.clone().unwrap()]);
    assert_eq!(found(PRODUCTION, &tagged(&silent, false), &usable("2.1.0")), [], "it is not on its way out");
    assert_eq!(found(PRODUCTION, &Tagged::default(), &retiring), [], "it is gone");
}

/// Applies the sweep's step to the record.
fn change(step: &RetentionStep, version: &ImageVersion) -> Transition {
    match step {
        RetentionStep::Deprecate => Transition::Retire { at: at(30) },
        RetentionStep::Restore { .. } => Transition::Keep,
        RetentionStep::Remove => closing(version),
    }
}

fn any_version() -> impl Strategy<Value = ImageVersion> {
    (0u32..3, 0u32..6, 0usize..7, any::<bool>(), any::<bool>(), 0i64..40).prop_map(
        |(minor, build, state, is_revoked, branch, day)| {
            let suffix = if branch { "-fix.1" } else { "" };
            let version = format!("2.{minor}.{build}{suffix}");
            let base = if is_revoked { revoked(&version) } else { usable(&version) };
            let state = ImageVersionState::ALL[state];
            let since = (state == ImageVersionState::Retiring).then(|| at(day));
            ImageVersion { state, retiring_since: since, expires_at: branch.then(|| at(day)), ..base }
        },
    )
}

fn any_records() -> impl Strategy<Value = (Vec<ImageVersion>, ReferenceGraph, usize)> {
    let unique = |mut versions: Vec<ImageVersion>| {
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        versions.dedup_by(|a, b| a.version == b.version);
        versions
    };
    let versions = proptest::collection::vec(any_version(), 0..20).prop_map(unique);
    (versions, proptest::collection::vec(any::<bool>(), 20), 0usize..5).prop_map(|(versions, needs, keep)| {
        let needed_ones: Vec<String> = versions
            .iter()
            .zip(needs)
            .filter(|(_, needs)| *needs)
            .map(|(v, _)| v.version.to_string())
            .collect();
        let needed_ones: Vec<&str> = needed_ones.iter().map(String::as_str).collect();
        let uses = needed(&needed_ones);
        (versions, uses, keep)
    })
}

proptest! {
    #[test]
    fn a_referenced_version_is_never_removed((versions, uses, keep) in any_records()) {
        let known = RetentionInput { versions: &versions, places: &[], shares: &[], uses: &uses, keep, now: at(30) };
        for planned in plan(&known) {
            let needed = uses.contains_key(&(planned.image.clone(), planned.version.clone()));
            prop_assert_eq!(needed, matches!(planned.step, RetentionStep::Restore { .. }), "{:?}", planned);
        }
    }

    #[test]
    fn the_newest_versions_that_could_be_pinned_remain((versions, uses, keep) in any_records()) {
        let known = RetentionInput { versions: &versions, places: &[], shares: &[], uses: &uses, keep, now: at(30) };
        let planned = plan(&known);
        let mut could: Vec<&ImageVersion> =
            versions.iter().filter(|v| obstacle(v, crate::images::lifecycle::Purpose::Pin).is_none()).collect();
        could.sort_by(|a, b| b.version.cmp(&a.version));
        for version in could.into_iter().take(keep) {
            prop_assert!(!planned.iter().any(|planned| planned.version == version.version));
        }
    }

    #[test]
    fn every_step_is_allowed_by_the_state_and_the_plan_settles((versions, uses, keep) in any_records()) {
        let known = RetentionInput { versions: &versions, places: &[], shares: &[], uses: &uses, keep, now: at(30) };
        let steps = plan(&known);
        let stepped: Vec<ImageVersion> = versions
            .iter()
            .map(|version| match steps.iter().find(|planned| planned.version == version.version) {
                Some(planned) => apply(version, &change(&planned.step, version)).unwrap(),
                None => version.clone(),
            })
            .collect();
        let again = plan(&RetentionInput { versions: &stepped, ..known });
        // A restored version is referenced, so it remains; nothing is removed on the day of its deprecation.
        let settled = again.iter().all(|planned| planned.step == RetentionStep::Deprecate);
        prop_assert!(settled, "{:?}", again);
    }
}
