use super::*;
use crate::delivery::stages::testing::{stage_text, with_production};
use crate::model::ids::Digest;
use crate::model::image_lock::ImageLock;
use crate::records::{DeployBody, ImageState, testing};
use std::collections::BTreeSet;

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "222222222222").with_approval())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn stages() -> Stages {
    Stages::parse("stages.toml", &stages_text()).unwrap()
}

fn name(text: &str) -> StageName {
    text.parse().unwrap()
}

fn release(state: ReleaseState, version: &str) -> Release {
    let failure = (state == ReleaseState::TestFailed).then(|| "no host".into());
    Release { state, version: version.parse().unwrap(), failure, ..crate::records::testing::release() }
}

fn evidence(stage: &str, digest: &[u8]) -> Evidence {
    Evidence {
        component: "logs".parse().unwrap(),
        digest: Digest::of(digest),
        stage: name(stage),
        version: "1.0.0".parse().unwrap(),
        deployment: crate::model::ids::DeploymentId::of_execution("e"),
        passed_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn an_unknown_stage_is_refused_with_the_known_names() {
    let refused = stage(&stages(), &name("staging")).unwrap_err();
    assert_eq!(refused.message, "there is no stage staging; known: test, ci, production");
}

#[test]
fn each_stage_is_reached_by_its_own_path_only() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    for (to, path, open) in [
        ("test", DeploymentPath::Delivery, true),
        ("ci", DeploymentPath::Delivery, true),
        ("production", DeploymentPath::Delivery, false),
        ("test", DeploymentPath::Promotion, false),
        ("ci", DeploymentPath::Promotion, false),
        ("production", DeploymentPath::Promotion, true),
    ] {
        let checked = check_path(&release, stage(&stages, &name(to)).unwrap(), path);
        assert_eq!(checked.is_ok(), open, "{to} {path:?}");
    }
    let refused =
        check_path(&release, stage(&stages, &name("production")).unwrap(), DeploymentPath::Delivery)
            .unwrap_err();
    assert!(refused.message.ends_with("use `lockstep promote logs@1.0.0 --in production`"), "{refused}");
}

#[test]
fn a_promotion_has_no_deviation_unless_the_stage_allows_them() {
    let stages = stages();
    let to =
        |stage: &str| inputs::Deploy::new("logs".parse().unwrap(), "1.0.0".parse().unwrap(), name(stage));
    let overrides = || [("Size".to_owned(), "9".to_owned())].into();
    let refusal = |input: &inputs::Deploy, stage: &Stage| {
        check_deviations(input, stage).map_err(|refused| {
            assert_eq!(refused.kind, FailureKind::Rejected);
            refused.message.split_once(':').unwrap().0.to_owned()
        })
    };
    let plain = to("production");
    let production = stage(&stages, &plain.stage).unwrap();
    let own_name = inputs::Deploy { environment: Some("logs".into()), ..plain.clone() };
    assert_eq!((refusal(&plain, production), refusal(&own_name, production)), (Ok(()), Ok(())));
    let all = inputs::Deploy {
        overrides: overrides(),
        parameters_of: Some(name("ci")),
        environment: Some("other".into()),
        ..plain.clone()
    };
    for (input, named) in [
        (inputs::Deploy { overrides: overrides(), ..plain.clone() }, "overrides"),
        (inputs::Deploy { parameters_of: Some(name("ci")), ..plain.clone() }, "parameters of another stage"),
        (inputs::Deploy { environment: Some("other".into()), ..plain }, "environment under another name"),
        (all.clone(), "overrides and no parameters of another stage and no environment under another name"),
    ] {
        assert_eq!(refusal(&input, production), Err(format!("production admits no {named}")));
    }
    assert_eq!(refusal(&inputs::Deploy { plan_only: true, ..all.clone() }, production), Ok(()));
    assert_eq!(refusal(&all, &Stage { overrides: true, ..production.clone() }), Ok(()));
    assert_eq!(refusal(&all, stage(&stages, &name("ci")).unwrap()), Ok(()));
}

#[test]
fn only_tested_releases_enter_a_stage_after_test() {
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
        let to = stage(&stages, &name(to)).unwrap();
        check_evidence(&release, &stages, to, evidence.as_ref(), None, at(0)).is_ok()
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
    let production = stage(&stages, &name("production")).unwrap();
    let refused = check_evidence(&release, &stages, production, None, None, at(0)).unwrap_err();
    assert_eq!(refused.kind, FailureKind::GateClosed);
    let wanted = format!("has not passed ci (artifact {})", release.digest.short());
    assert!(refused.message.contains(&wanted), "{refused}");
}

fn action(second: i64) -> OperatorAction {
    OperatorAction::new("ada", "the site is down", at(second)).unwrap()
}

/// Returns the break-glass permission for production, recorded at 0.
fn permission() -> BreakGlass {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let production = stage(&stages, &name("production")).unwrap();
    break_glass(&release, &stages, production, None, None, &action(0)).unwrap().unwrap()
}

#[test]
fn break_glass_admits_one_artifact_to_one_stage_once_within_an_hour() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let production = stage(&stages, &name("production")).unwrap();
    let check = |glass: &BreakGlass, second: i64| {
        let used = check_evidence(&release, &stages, production, None, Some(glass), at(second));
        used.map(|used| used.is_some()).map_err(|failure| failure.kind)
    };
    let hour = BreakGlass::VALID_HOURS * 3600;
    assert_eq!(check(&permission(), hour - 1), Ok(true));
    assert_eq!(check(&permission(), hour), Err(FailureKind::GateClosed));
    for other in [
        BreakGlass { used_by: Some(crate::model::ids::DeploymentId::of_execution("e")), ..permission() },
        BreakGlass { digest: Digest::of(b"other"), ..permission() },
        BreakGlass { stage: name("ci"), ..permission() },
        BreakGlass { component: "cache".parse().unwrap(), ..permission() },
    ] {
        assert_eq!(check(&other, 1), Err(FailureKind::GateClosed));
    }
}

#[test]
fn evidence_makes_break_glass_unnecessary() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let production = stage(&stages, &name("production")).unwrap();
    let glass = permission();
    let proven = evidence("ci", b"x");
    let used = check_evidence(&release, &stages, production, Some(&proven), Some(&glass), at(1)).unwrap();
    assert_eq!(used, None);
}

#[test]
fn break_glass_is_allowed_only_where_evidence_alone_is_missing() {
    let stages = stages();
    let production = stage(&stages, &name("production")).unwrap();
    let test = stage(&stages, &name("test")).unwrap();
    let attempt = |state, version: &str, to: &Stage, evidence: Option<Evidence>| {
        let release = release(state, version);
        break_glass(&release, &stages, to, evidence.as_ref(), None, &action(0))
            .map_err(|failure| failure.kind)
    };
    assert!(attempt(ReleaseState::Published, "1.0.0", production, None).unwrap().is_some());
    for (state, version, to, evidence, kind) in [
        (ReleaseState::Published, "1.0.0", test, None, FailureKind::Rejected),
        (ReleaseState::Published, "1.0.0", production, Some(evidence("ci", b"x")), FailureKind::Rejected),
        (ReleaseState::Published, "1.0.0-fix.1", production, None, FailureKind::Rejected),
        (ReleaseState::Packaged, "1.0.0", production, None, FailureKind::GateClosed),
        (ReleaseState::TestFailed, "1.0.0", production, None, FailureKind::GateClosed),
    ] {
        assert_eq!(attempt(state, version, to, evidence), Err(kind), "{state:?} {version} {}", to.name);
    }
}

#[test]
fn repeated_break_glass_records_once_unless_the_first_is_used_up() {
    let (stages, release) = (stages(), release(ReleaseState::Published, "1.0.0"));
    let production = stage(&stages, &name("production")).unwrap();
    let again = |known: &BreakGlass, second: i64| {
        break_glass(&release, &stages, production, None, Some(known), &action(second)).unwrap()
    };
    assert_eq!(again(&permission(), 1), None);
    let used =
        BreakGlass { used_by: Some(crate::model::ids::DeploymentId::of_execution("e")), ..permission() };
    assert_eq!(again(&used, 1).unwrap().at, at(1));
    assert_eq!(again(&permission(), BreakGlass::VALID_HOURS * 3600).unwrap().used_by, None);
}

#[test]
fn each_stage_is_torn_down_by_its_own_path_only() {
    // FAILURES 84: the delivery path has no way into production, here as well as by trust policy.
    let stages = stages();
    for (of, path, open) in [
        ("test", DeploymentPath::Delivery, true),
        ("ci", DeploymentPath::Delivery, true),
        ("production", DeploymentPath::Delivery, false),
        ("ci", DeploymentPath::Promotion, false),
        ("production", DeploymentPath::Promotion, true),
    ] {
        let checked = check_teardown_path(stage(&stages, &name(of)).unwrap(), path);
        assert_eq!(checked.is_ok(), open, "{of} {path:?}");
    }
    let refused = check_teardown_path(stage(&stages, &name("production")).unwrap(), DeploymentPath::Delivery);
    assert!(refused.unwrap_err().message.contains("lockstep-promotion-teardown"));
}

#[test]
fn the_parameters_of_another_stage_need_a_clone_with_its_own_name() {
    let input = |environment: Option<&str>, of: Option<&str>| inputs::Deploy {
        environment: environment.map(str::to_owned),
        parameters_of: of.map(name),
        ..inputs::Deploy::new("logs".parse().unwrap(), "1.0.0".parse().unwrap(), name("ci"))
    };
    let of = |environment, of| parameters_of(&stages(), &input(environment, of));
    assert_eq!(of(None, None).unwrap(), None);
    assert_eq!(of(Some("logs-2"), Some("production")).unwrap(), Some(name("production")));
    for (environment, stage) in
        [(None, "production"), (Some("logs"), "production"), (Some("logs-2"), "nowhere")]
    {
        assert_eq!(of(environment, Some(stage)).unwrap_err().kind, FailureKind::Rejected, "{environment:?}");
    }
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
        path: DeploymentPath::Promotion,
        state,
        ami: (state == ImageState::Available).then(|| "ami-0123456789abcdef1".parse().unwrap()),
        snapshots: BTreeSet::new(),
        source_ami: "ami-0123456789abcdef0".parse().unwrap(),
        commit: None,
        recorded_by: "arn".into(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn target(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

#[test]
fn an_image_is_missing_unless_its_version_is_usable_at_the_target() {
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
fn a_run_with_overrides_or_another_name_earns_no_evidence() {
    let deploy = |environment: &str, overrides: &[(&str, &str)]| DeployBody {
        overrides: overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..testing::deploy(environment, "ci-x")
    };
    assert!(earns_evidence(&deploy("logs", &[]), false));
    assert!(!earns_evidence(&deploy("logs", &[("A", "1")]), false));
    assert!(!earns_evidence(&deploy("clone", &[]), false));
    let plan = DeployBody { plan_only: true, ..deploy("logs", &[]) };
    let foreign = DeployBody { parameters_of: Some(name("production")), ..deploy("logs", &[]) };
    for of_its_own_kind in [plan, foreign] {
        assert!(!earns_evidence(&of_its_own_kind, false));
        assert!(!earns_evidence(&of_its_own_kind, true));
    }
    assert!(earns_evidence(&deploy("t-123", &[]), true));
    assert!(!earns_evidence(&deploy("t-123", &[("A", "1")]), true));
}

#[test]
fn a_tainted_environment_is_not_promoted_to() {
    assert!(check_taint(None).is_ok());
    let mut environment = Environment {
        epoch: 1,
        ever_stable: true,
        ..Environment::new(name("production"), "logs", "logs".parse().unwrap())
    };
    assert!(check_taint(Some(&environment)).is_ok());
    environment.taint = Some("Queue was skipped".into());
    let refused = check_taint(Some(&environment)).unwrap_err();
    assert!(refused.kind == FailureKind::GateClosed && refused.message.contains("Queue was skipped"));
}

#[test]
fn each_release_stage_and_component_has_its_own_execution_name() {
    let execution = |release: &str, stage: &str, component: &str| {
        deploy_execution(release, &name(stage), &component.parse().unwrap())
    };
    let names = BTreeSet::from([
        execution("a", "ci", "logs"),
        execution("b", "ci", "logs"),
        execution("a", "test", "logs"),
        execution("a", "ci", "cache"),
    ]);
    assert_eq!(names.len(), 4);
    assert!(names.contains(&execution("a", "ci", "logs")), "a repeated call has the same name");
}

#[test]
fn a_repeated_push_deploys_as_a_push_and_a_person_does_not() {
    let pushed = release(ReleaseState::Published, "1.0.0");
    let (stage, stages) = (name("ci"), stages());
    let ci = stages.get(&stage).unwrap();
    let plain = inputs::Deploy::new(pushed.component.clone(), pushed.version.clone(), stage.clone());
    let execution =
        |name: &str| format!("arn:aws:states:eu-west-1:1:execution:lockstep-delivery-deploy:{name}");
    let of = |run: &str| execution(&deploy_execution(run, &stage, &pushed.component));
    for run in [pushed.execution.as_str(), "arn:the-same-push-again"] {
        assert!(is_pushed(&of(run), &plain, &pushed, ci), "{run}");
    }
    assert!(!is_pushed(&execution("by-hand"), &plain, &pushed, ci));
    // The state machine of promotions names its deployments in the same form.
    let production = stages.get(&name("production")).unwrap();
    let promoted = inputs::Deploy { stage: name("production"), ..plain.clone() };
    let by_machine = execution(&crate::delivery::start::promoted_execution("a-promotion"));
    assert!(!is_pushed(&by_machine, &promoted, &pushed, production));
    let revert = inputs::Deploy { revert_drift: true, ..plain };
    assert!(!is_pushed(&of(&pushed.execution), &revert, &pushed, ci));
}

#[test]
fn a_plain_deployment_of_a_push_was_started_by_its_pusher() {
    let pushed =
        Release { pusher: Some("ada-l".parse().unwrap()), ..release(ReleaseState::Published, "1.0.0") };
    let stage: StageName = "ci".parse().unwrap();
    let name = deploy_execution(&pushed.execution, &stage, &pushed.component);
    let execution =
        format!("arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-deploy:{name}");
    let plain = inputs::Deploy::new(pushed.component.clone(), pushed.version.clone(), stage.clone());
    assert_eq!(starter(&execution, &plain, &pushed), Starter::Pusher("ada-l".parse().unwrap()));
    assert_eq!(starter(&format!("{execution}x"), &plain, &pushed), Starter::Unknown);
    let of_another = Release { execution: "arn:another".into(), ..pushed.clone() };
    assert_eq!(starter(&execution, &plain, &of_another), Starter::Unknown);
    assert_eq!(starter(&execution, &plain, &Release { pusher: None, ..pushed.clone() }), Starter::Unknown);
    let overrides = [("Size".to_owned(), "9".to_owned())].into();
    for other in [
        inputs::Deploy { overrides, ..plain.clone() },
        inputs::Deploy { revert_drift: true, ..plain.clone() },
        inputs::Deploy { environment: Some("other".into()), ..plain.clone() },
        inputs::Deploy { stage: "test".parse().unwrap(), ..plain },
    ] {
        assert_eq!(starter(&execution, &other, &pushed), Starter::Unknown, "{other:?}");
    }
}
