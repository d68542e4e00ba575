use super::*;
use crate::delivery::stages::testing::{stage_text, with_production};
use crate::images::lifecycle::Transition;
use crate::model::base_image::Base;
use jiff::Timestamp;
use proptest::prelude::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn baked(version: &str, commit: &str, recipe: &str, state: ImageVersionState) -> ImageVersion {
    ImageVersion {
        name: "logstash".parse().unwrap(),
        version: version.parse().unwrap(),
        state,
        why: None,
        revoked: None,
        origin: ImageOrigin::Baked {
            repository: "github.acme.logs".parse().unwrap(),
            reference: "refs/heads/main".into(),
            commit: commit.parse().unwrap(),
            folder: "images/logstash".into(),
            recipe: digest(recipe),
            artifact: "recipes/logstash/x.zip".into(),
            base: Base::Parameter("/aws/service/x".parse().unwrap()),
        },
        source_ami: None,
        required: places(&stages()).into_iter().map(|(location, _)| location).collect(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "arn".into(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn stages() -> Stages {
    let text = with_production("222222222222", stage_text("production", "333333333333"));
    Stages::parse("stages.toml", &text).unwrap()
}

/// Returns the result of `ask` for a recipe with the text `recipe`.
fn asked<T>(commit: &str, recipe: &str, branch: Option<&str>, ask: impl FnOnce(&BakeRequest<'_>) -> T) -> T {
    let (image, commit, recipe) = ("logstash".parse().unwrap(), commit.parse().unwrap(), digest(recipe));
    let of = "2.1".parse().unwrap();
    ask(&BakeRequest { image: &image, of, branch, commit: &commit, recipe: &recipe, overridden: false })
}

fn claimed(commit: &str, branch: Option<&str>, versions: &[ImageVersion]) -> Claim {
    asked(commit, "r", branch, |request| claim(request, versions))
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn version_numbers_rise_whatever_happened_to_earlier_versions() {
    use ImageVersionState::*;
    assert_eq!(claimed(ONE, None, &[]), Claim::New(version("2.1.0")));
    let before = [baked("2.1.3-fix.1", TWO, "x", Discarded), baked("2.0.9", TWO, "x", Usable)];
    assert_eq!(claimed(ONE, None, &before), Claim::New(version("2.1.4")));
    assert_eq!(claimed(ONE, Some("fix/it"), &before), Claim::New(version("2.1.4-fix-it.1")));
}

#[test]
fn the_same_recipe_and_commit_keep_their_version_until_it_is_discarded() {
    use ImageVersionState::*;
    for (state, expected) in [
        (Building, Claim::Resume(version("2.1.0"))),
        (Withheld, Claim::Resume(version("2.1.0"))),
        (Usable, Claim::Present(version("2.1.0"))),
        (Discarding, Claim::New(version("2.1.1"))),
        (Discarded, Claim::New(version("2.1.1"))),
        (Retiring, Claim::New(version("2.1.1"))),
        (Retired, Claim::New(version("2.1.1"))),
    ] {
        assert_eq!(claimed(ONE, None, &[baked("2.1.0", ONE, "r", state)]), expected, "{state}");
        // A version of another commit, or a pre-release, is not valid for the default branch.
        assert_eq!(claimed(TWO, None, &[baked("2.1.0", ONE, "r", state)]), Claim::New(version("2.1.1")));
        assert_eq!(claimed(ONE, None, &[baked("2.1.0-a.1", ONE, "r", state)]), Claim::New(version("2.1.1")));
    }
}

#[test]
fn values_for_one_build_give_it_a_pre_release_of_its_own() {
    let usable = [baked("2.1.0", ONE, "r", ImageVersionState::Usable)];
    let claim =
        asked(ONE, "r", None, |request| claim(&BakeRequest { overridden: true, ..*request }, &usable));
    assert_eq!(claim, Claim::New(version("2.1.1-override.1")));
}

#[test]
fn a_push_bakes_changed_recipes_and_unfinished_versions_of_its_commit() {
    use ImageVersionState::*;
    let to_be = |commit: &str, branch: Option<&str>, versions: &[ImageVersion]| {
        asked(commit, "r", branch, |request| needs_bake(request, versions))
    };
    assert!(to_be(ONE, None, &[]));
    assert!(to_be(ONE, None, &[baked("2.1.0", TWO, "other", Usable)]));
    for &state in ImageVersionState::ALL {
        let before = [baked("2.1.0", ONE, "r", state)];
        assert!(!to_be(TWO, None, &before), "another push does not touch it: {state}");
        let open = matches!(state, Building | Withheld | Discarding | Discarded);
        assert_eq!(to_be(ONE, None, &before), open, "{state}");
        assert!(
            !to_be(TWO, Some("fix"), &before),
            "the default branch's version is valid for a branch: {state}"
        );
    }
    assert!(
        to_be(ONE, None, &[baked("2.1.0-fix.1", ONE, "r", Usable)]),
        "a branch's does not serve the default branch"
    );
}

#[test]
fn a_version_is_required_once_per_account_and_discarded_everywhere() {
    let names = |places: Vec<(Location, &Stage)>| {
        places.iter().map(|(_, stage)| stage.name.to_string()).collect::<Vec<_>>()
    };
    let stages = stages();
    assert_eq!(names(places(&stages)), ["test", "production"]);
    let built = baked("2.1.0", ONE, "r", ImageVersionState::Building);
    assert_eq!(names(lacking(&built, &[], &stages)), ["test", "production"]);
    assert_eq!(names(to_discard(&built, &[], &stages)), ["test", "production"]);
    let pre_release = ImageVersion { required: BTreeSet::new(), ..built.clone() };
    assert_eq!(names(lacking(&pre_release, &[], &stages)), [""; 0]);
    assert_eq!(names(to_discard(&pre_release, &[], &stages)), ["test"]);
    let gone = Location { account: "444444444444".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
    let moved =
        ImageVersion { required: built.required.iter().cloned().chain([gone.clone()]).collect(), ..built };
    assert_eq!(abandoned(&moved, &stages), [gone].into());
}

fn ended(status: BuildStatus, attempt: u32) -> BuildObservation {
    let build = Build { arn: "arn:build".into(), status, log: Some("https://log".into()) };
    observe(&build, attempt, &"eu-west-1".parse().unwrap())
}

#[test]
fn a_build_is_judged_by_the_image_it_made() {
    let made = |made: &str| ended(BuildStatus::Succeeded { made: made.into() }, 1);
    assert_eq!(
        made("eu-west-1:ami-0123456789abcdef0"),
        BuildObservation::Made("ami-0123456789abcdef0".parse().unwrap())
    );
    for wrong in [
        "",
        "eu-west-1:",
        "us-east-1:ami-0123456789abcdef0",
        "eu-west-1:ami-0123456789abcdef0,us-east-1:ami-0123456789abcdef1",
    ] {
        assert!(matches!(made(wrong), BuildObservation::Failed(_)), "{wrong}");
    }
    assert_eq!(ended(BuildStatus::Running, 1), BuildObservation::Wait);
}

#[test]
fn only_a_fault_of_codebuild_is_retried_a_limited_number_of_times() {
    let of = |status: &str, attempt| {
        ended(BuildStatus::Ended { status: status.into(), why: "BUILD: exit status 1".into() }, attempt)
    };
    for status in ["FAILED", "TIMED_OUT", "STOPPED", "SOMETHING_NEW"] {
        let BuildObservation::Failed(text) = of(status, 1) else { panic!("{status}") };
        assert!(
            text.contains(status) && text.contains("exit status 1") && text.contains("https://log"),
            "{text}"
        );
    }
    assert!(matches!(of("FAULT", 1), BuildObservation::Again(_)));
    assert!(matches!(of("FAULT", ATTEMPTS_MAX), BuildObservation::Failed(_)));
}

#[test]
fn an_image_that_cannot_be_copied_is_built_in_the_target() {
    let nested = |error: &str| CaughtError {
        error: "States.TaskFailed".into(),
        cause: serde_json::json!({"Status": "FAILED", "Error": error, "Cause": "why"}).to_string(),
    };
    assert!(must_build_there(&nested("ImageStays")));
    assert!(!must_build_there(&nested("ImageUnusable")));
    assert!(!must_build_there(&CaughtError { error: "States.Timeout".into(), cause: "ImageStays".into() }));
}

#[test]
fn every_location_without_the_image_is_reported() {
    let none = CaughtError { error: String::new(), cause: String::new() };
    let some = CaughtError { error: "ImageUnusable".into(), cause: "no key".into() };
    assert_eq!(not_distributed([("ci", &none)]), None);
    assert_eq!(
        not_distributed([("ci", &none), ("production", &some)]).unwrap(),
        "it was not copied to production: no key"
    );
}

proptest! {
    #[test]
    fn no_version_number_is_used_twice(
        builds in proptest::collection::vec((0usize..3, any::<bool>(), 0usize..7), 1..12)
    ) {
        let mut versions: Vec<ImageVersion> = Vec::new();
        for (n, (commit, branch, state)) in builds.into_iter().enumerate() {
            let commit = format!("{}", commit).repeat(40);
            match claimed(&commit, branch.then_some("fix"), &versions) {
                Claim::New(version) => {
                    prop_assert!(versions.iter().all(|known| known.version != version));
                    let made = baked(&version.to_string(), &commit, "r", ImageVersionState::ALL[state]);
                    versions.push(made);
                }
                Claim::Resume(version) | Claim::Present(version) => {
                    prop_assert!(n > 0 && versions.iter().any(|known| known.version == version));
                }
            }
        }
        let numbers: BTreeSet<_> = versions.iter().filter_map(|v| v.version.build_of("2.1".parse().unwrap())).collect();
        prop_assert_eq!(numbers.len(), versions.len());
    }

    #[test]
    fn a_discardable_version_was_never_usable(state in 0usize..7) {
        let version = baked("2.1.0", ONE, "r", ImageVersionState::ALL[state]);
        let given_up = crate::images::lifecycle::apply(&version, &Transition::Fail { why: "x".into() });
        prop_assert!(given_up.is_err() || version.state != ImageVersionState::Usable);
    }
}

#[test]
fn a_build_gets_the_image_key_only_where_its_image_could_not_be_shared() {
    let place = Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
    let key = |default_key, has_image_key| build_key(&Encryption { default_key, has_image_key }, &place);
    for has_image_key in [true, false] {
        assert_eq!(key(None, has_image_key), BuildKey::AsTheRecipeSays);
        assert_eq!(key(Some(EncryptionKey::OfCustomer), has_image_key), BuildKey::AsTheRecipeSays);
    }
    assert_eq!(key(Some(EncryptionKey::OfAws), true), BuildKey::OfImages);
    let BuildKey::Missing(why) = key(Some(EncryptionKey::OfAws), false) else {
        panic!("a key came from nowhere")
    };
    assert!(why.contains("222222222222") && why.contains("--image-key"), "{why}");
}
