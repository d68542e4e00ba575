use super::*;
use crate::ids::Digest;
use crate::images::ImageLock;
use crate::records::DeploymentKind;
use jiff::Timestamp;
use std::collections::BTreeSet;

const STAGES: &str = r#"
    [[stages]]
    name = "test"
    account = "111111111111"
    region = "eu-west-1"
    [[stages]]
    name = "ci"
    account = "111111111111"
    region = "eu-west-1"
    propagates = true
    [[stages]]
    name = "production"
    account = "222222222222"
    region = "eu-west-1"
    approval = true
"#;

fn stages() -> Stages {
    Stages::parse("stages.toml", STAGES).unwrap()
}

fn name(text: &str) -> StageName {
    text.parse().unwrap()
}

fn release(state: ReleaseState, version: &str) -> Release {
    let digest = Digest::of(b"x");
    Release {
        component: "logs".parse().unwrap(),
        version: version.parse().unwrap(),
        state,
        repository: "github.acme.logs".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        author: "Ada".into(),
        folder: "logs".into(),
        template: "template.yaml".into(),
        artifact: "a.zip".into(),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest,
        image_lock: ImageLock::default(),
        outputs: BTreeSet::new(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn".into(),
        failure: (state == ReleaseState::TestFailed).then(|| "no host".into()),
    }
}

fn evidence(stage: &str, digest: &[u8]) -> Evidence {
    Evidence {
        component: "logs".parse().unwrap(),
        digest: Digest::of(digest),
        stage: name(stage),
        version: "1.0.0".parse().unwrap(),
        deployment: crate::ids::DeploymentId::of_execution("e"),
        passed_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn an_unknown_stage_is_told_with_those_there_are() {
    let refused = stage(&stages(), &name("staging")).unwrap_err();
    assert_eq!(refused.message, "there is no stage staging; there are test, ci, production");
}

#[test]
fn each_stage_is_reached_by_its_own_path_only() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    for (to, path, open) in [
        ("test", Path::Delivery, true),
        ("ci", Path::Delivery, true),
        ("production", Path::Delivery, false),
        ("test", Path::Promotion, false),
        ("ci", Path::Promotion, false),
        ("production", Path::Promotion, true),
    ] {
        let checked = check_path(&release, stage(&stages, &name(to)).unwrap(), path);
        assert_eq!(checked.is_ok(), open, "{to} {path:?}");
    }
    let refused =
        check_path(&release, stage(&stages, &name("production")).unwrap(), Path::Delivery).unwrap_err();
    assert!(refused.message.ends_with("use `lockstep promote logs@1.0.0 --to production`"), "{refused}");
}

#[test]
fn only_tested_releases_leave_the_throw_away_stage() {
    let stages = stages();
    for (state, version, to, outcome) in [
        (ReleaseState::Packaged, "1.0.0", "test", None),
        (ReleaseState::Packaged, "1.0.0", "ci", Some(FailureKind::GateClosed)),
        (ReleaseState::Published, "1.0.0", "test", None),
        (ReleaseState::Published, "1.0.0", "production", None),
        (ReleaseState::Packaged, "1.0.0-fix.1", "test", None),
        (ReleaseState::Published, "1.0.0-fix.1", "test", None),
        (ReleaseState::Published, "1.0.0-fix.1", "ci", Some(FailureKind::Rejected)),
        (ReleaseState::TestFailed, "1.0.0", "test", Some(FailureKind::GateClosed)),
        (ReleaseState::TestFailed, "1.0.0", "ci", Some(FailureKind::GateClosed)),
    ] {
        let checked = check_release(&release(state, version), stage(&stages, &name(to)).unwrap());
        assert_eq!(checked.err().map(|failure| failure.kind), outcome, "{state:?} {version} {to}");
    }
}

#[test]
fn the_stage_before_must_have_proved_the_same_digest() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let check = |to: &str, evidence: Option<Evidence>| {
        check_evidence(&release, &stages, stage(&stages, &name(to)).unwrap(), evidence.as_ref()).is_ok()
    };
    assert!(check("test", None));
    assert!(check("ci", Some(evidence("test", b"x"))));
    assert!(check("production", Some(evidence("ci", b"x"))));
    assert!(!check("production", None));
    assert!(!check("production", Some(evidence("ci", b"y"))));
    assert!(!check("production", Some(evidence("test", b"x"))));
    let other = Evidence { component: "cache".parse().unwrap(), ..evidence("ci", b"x") };
    assert!(!check("production", Some(other)));
}

#[test]
fn missing_evidence_is_named() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let refused =
        check_evidence(&release, &stages, stage(&stages, &name("production")).unwrap(), None).unwrap_err();
    assert_eq!(refused.kind, FailureKind::GateClosed);
    let wanted = format!("there is no evidence that digest {} passed ci", release.digest);
    assert!(refused.message.contains(&wanted), "{refused}");
}

fn locked(parameter: &str, image: &str, version: &str) -> LockedImage {
    LockedImage {
        parameter: parameter.parse().unwrap(),
        name: image.parse().unwrap(),
        version: version.parse().unwrap(),
        commit: None,
        source_ami: "ami-0123456789abcdef0".parse().unwrap(),
    }
}

fn copy(image: &str, version: &str, account: &str, state: ImageState) -> Image {
    Image {
        name: image.parse().unwrap(),
        version: version.parse().unwrap(),
        location: target(account),
        state,
        ami: (state == ImageState::Available).then(|| "ami-0123456789abcdef1".parse().unwrap()),
        snapshots: BTreeSet::new(),
        source_ami: "ami-0123456789abcdef0".parse().unwrap(),
        commit: None,
        shared_with: BTreeSet::new(),
        revoked: None,
        recorded_by: "arn".into(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn target(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

#[test]
fn an_image_is_missing_unless_that_version_is_available_right_there() {
    let mut release = release(ReleaseState::Published, "1.0.0");
    let wanted =
        [locked("A", "logstash", "2.1.0"), locked("B", "logstash", "2.1.0"), locked("C", "broker", "1.0.0")];
    release.image_lock = ImageLock(wanted.into_iter().map(|l| (l.parameter.clone(), l)).collect());
    let missing = |known: &[Image]| -> Vec<String> {
        missing_images(&release, known, &target("222222222222")).iter().map(|l| l.name.to_string()).collect()
    };
    let here = |image, version| copy(image, version, "222222222222", ImageState::Available);
    assert_eq!(missing(&[]), ["broker", "logstash"]);
    assert_eq!(missing(&[here("logstash", "2.1.0")]), ["broker"]);
    for elsewhere in [
        here("logstash", "2.1.1"),
        copy("logstash", "2.1.0", "111111111111", ImageState::Available),
        copy("logstash", "2.1.0", "222222222222", ImageState::Promoting),
    ] {
        assert_eq!(missing(&[elsewhere]), ["broker", "logstash"]);
    }
    assert!(missing(&[here("logstash", "2.1.0"), here("broker", "1.0.0")]).is_empty());
}

#[test]
fn a_release_without_images_misses_none() {
    let release = release(ReleaseState::Published, "1.0.0");
    assert!(missing_images(&release, &[], &target("222222222222")).is_empty());
}

#[test]
fn a_run_of_its_own_kind_earns_no_evidence() {
    let deployment = |environment: &str, overrides: &[(&str, &str)]| Deployment {
        state: crate::records::DeploymentState::Succeeded,
        component: Some("logs".parse().unwrap()),
        epoch: 1,
        overrides: overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Deployment::new(
            crate::ids::DeploymentId::of_execution("e"),
            DeploymentKind::Deploy { environment: environment.into(), stack: "ci-x".parse().unwrap() },
            "e",
            "1.0.0".parse().unwrap(),
            name("ci"),
            target("111111111111"),
            Path::Delivery,
            Timestamp::UNIX_EPOCH,
        )
    };
    assert!(earns_evidence(&deployment("logs", &[]), false));
    assert!(!earns_evidence(&deployment("logs", &[("A", "1")]), false));
    assert!(!earns_evidence(&deployment("clone", &[]), false));
    assert!(earns_evidence(&deployment("t-123", &[]), true));
    assert!(!earns_evidence(&deployment("t-123", &[("A", "1")]), true));
}

#[test]
fn a_tainted_environment_is_not_promoted_to() {
    assert!(check_taint(None).is_ok());
    let mut environment = Environment {
        stage: name("production"),
        name: "logs".into(),
        component: "logs".parse().unwrap(),
        epoch: 1,
        holder: None,
        deployed: None,
        previous: None,
        stack_arn: None,
        ever_stable: true,
        taint: None,
        last_deployment: None,
    };
    assert!(check_taint(Some(&environment)).is_ok());
    environment.taint = Some("Queue was skipped".into());
    let refused = check_taint(Some(&environment)).unwrap_err();
    assert!(refused.kind == FailureKind::GateClosed && refused.message.contains("Queue was skipped"));
}
