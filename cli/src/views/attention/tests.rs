use super::*;
use crate::views::status::Now;
use crate::views::testing::{
    asking, at, deployed, deployment, deployment_of, environment, release, stack_run,
};
use lockstep_domain::delivery::queue::entry;
use lockstep_domain::model::error::Problem;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::records::{
    DeliveryEnd, FailedLook, FailureRecord, Hold, Inconclusive, LeaseHolder, Proposal, ProposedAction,
    StackRun, Subject, TeardownBody, WebhookDeliveryState,
};

/// Records that own what [`StatusRecords`] borrows.
#[derive(Default)]
struct Owned {
    environments: Vec<Environment>,
    deployments: Vec<Deployment>,
    questions: Vec<(Deployment, Approval)>,
    releases: Vec<Release>,
    rejections: Vec<Rejection>,
    deliveries: Vec<WebhookDelivery>,
    drift: Vec<DriftReport>,
    break_glass: Vec<BreakGlass>,
    stale: Vec<(Environment, Vec<StaleValue>)>,
}

impl Owned {
    fn found(&self) -> Vec<Attention> {
        attention(&StatusRecords {
            stages: Some(&stages()),
            environments: &self.environments,
            deployments: &self.deployments,
            questions: &self.questions,
            releases: &self.releases,
            rejections: &self.rejections,
            deliveries: &self.deliveries,
            drift: &self.drift,
            break_glass: &self.break_glass,
            stale: &self.stale,
            now: at(10_000),
        })
    }

    fn kinds(&self) -> Vec<AttentionKind> {
        self.found().into_iter().map(|found| found.kind).collect()
    }
}

fn stages() -> Stages {
    Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap()
}

fn id(execution: &str) -> DeploymentId {
    DeploymentId::of_execution(execution)
}

/// Returns an ended deployment of logs 2.1.3 to ci.
fn ended(execution: &str, state: DeploymentState, second: i64) -> Deployment {
    let message = format!("logs 2.1.3 was not deployed to ci: Queue failed in {execution}. ci runs 2.1.2.");
    let failure = FailureRecord { error: "StackFailed".into(), message };
    Deployment {
        id: id(execution),
        state,
        failure: (!state.outcome().is_some_and(Outcome::is_success)).then_some(failure),
        started_at: at(second),
        finished_at: Some(at(second + 5)),
        ..deployment()
    }
}

fn rejection(second: i64) -> Rejection {
    let problem = |line| Problem {
        file: "logs/parameters/ci.toml".into(),
        line: Some(line),
        message: "there is no parameter MaxSice".into(),
    };
    Rejection {
        component: "logs".into(),
        repository: "github.acme.logs".parse().unwrap(),
        commit: "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap(),
        author: "Ada".into(),
        problems: vec![problem(2), problem(3)],
        rejected_at: at(second),
    }
}

fn pushed(commit: char, end: DeliveryEnd, second: i64) -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: format!("d-{commit}"),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: commit.to_string().repeat(40).parse().unwrap(),
        pusher: None,
        state: WebhookDeliveryState::Finished,
        execution: "d".into(),
        end: Some(end),
        accepted_at: at(second),
        finished_at: Some(at(second + 1)),
    }
}

fn permission(used_by: Option<&str>, second: i64) -> BreakGlass {
    BreakGlass {
        component: "logs".parse().unwrap(),
        digest: Digest::of(b"x"),
        stage: "ci".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        by: "arn:aws:iam::111111111111:user/ada".into(),
        reason: "outage".into(),
        at: at(second),
        used_by: used_by.map(id),
    }
}

fn question() -> (Deployment, Approval) {
    let proposal = Proposal {
        stack: "arn:stack".into(),
        action: ProposedAction::Delete,
        resources: vec![],
        policies: None,
    };
    let asks = Deployment { state: DeploymentState::AwaitingApproval, ..deployment() };
    (asks, Approval { asked_at: at(1000), ..asking(Subject::Proposal(proposal)) })
}

/// Returns records with one matter of each kind, in the order of the kinds, 100 seconds apart.
fn one_of_each() -> Owned {
    let named = |name: &str| Environment { component: name.parse().unwrap(), ..environment("ci", name) };
    let running = |name: &str, second, change: fn(&mut Environment)| {
        let mut environment = named(name);
        let runs = deployed("2.1.0");
        environment.deployed = Some(Deployed { since: at(second), deployment: id(name), ..runs });
        change(&mut environment);
        environment
    };
    let drifted = named("drifted");
    let message = "no permission".to_owned();
    let failed = Some(FailedLook { at: at(1500), reason: Inconclusive::Failed, message });
    let report = DriftReport { failed, ..DriftReport::new(DeploymentPath::Delivery, &drifted, at(1500)) };
    let reads = running("reads", 1, |_| {});
    let value = StaleValue {
        input: "producer.Visible".parse().unwrap(),
        runs_with: Some("60".into()),
        now: Now::Value("90".into()),
    };
    let mut queue = named("queue");
    queue.queue.push(entry(&deployment(), None, at(2000)));
    Owned {
        environments: vec![
            queue,
            running("glass", 1900, |_| {}),
            running("tainted", 1800, |it| it.taint = Some("Queue was skipped".into())),
            running("overridden", 1700, |it| {
                it.deployed.as_mut().unwrap().overridden = ["MaxSize".to_owned()].into();
            }),
            running("held", 1, |it| {
                it.hold = Some(Hold { by: "arn:ada".into(), reason: "bad night".into(), at: at(1600) });
            }),
            drifted,
            running("producer", 1400, |_| {}),
            reads.clone(),
            running("unchecked", 1200, |it| it.deployed.as_mut().unwrap().checked = false),
            environment("ci", "logs"),
        ],
        deployments: vec![ended("broken", DeploymentState::Failed, 1095)],
        questions: vec![question()],
        releases: Vec::new(),
        rejections: vec![rejection(1300)],
        deliveries: Vec::new(),
        drift: vec![report],
        break_glass: vec![permission(Some("glass"), 1)],
        stale: vec![(reads, vec![value])],
    }
}

#[test]
fn each_kind_of_matter_is_found_and_the_oldest_comes_first() {
    let found = one_of_each().found();
    let kinds: Vec<AttentionKind> = found.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, AttentionKind::VARIANTS);
    assert!(found.is_sorted_by_key(|found| found.since));
    insta::assert_snapshot!(lines(&found, at(10_000), Some(100)).join("\n"));
}

#[test]
fn no_line_about_a_matter_is_wider_than_the_terminal() {
    let found = one_of_each().found();
    for width in [40, 60, 80, 120, 200] {
        let lines = lines(&found, at(10_000), Some(width));
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
    }
}

#[test]
fn without_a_matter_one_line_says_so() {
    let found = Owned { environments: vec![environment("ci", "logs")], ..Owned::default() }.found();
    assert_eq!(lines(&found, at(0), None), ["no question, failure or other matter waits for a person"]);
}

#[test]
fn the_last_deployment_of_an_environment_decides_about_its_failure() {
    use DeploymentState::{Abandoned, Cancelled, Expired, Failed, NoChanges, Refused, Succeeded, Superseded};
    for (then, is_listed) in [
        (Succeeded, false),
        (NoChanges, false),
        (Failed, true),
        (Abandoned, true),
        (Expired, true),
        // What a person stopped or a push overtook leaves the failure before it.
        (Refused, true),
        (Cancelled, true),
        (Superseded, true),
    ] {
        let deployments = vec![ended("then", then, 20), ended("broken", Failed, 10)];
        let environments = vec![environment("ci", "logs")];
        let found = Owned { environments, deployments, ..Owned::default() }.found();
        assert_eq!(!found.is_empty(), is_listed, "{then:?}: {found:?}");
    }
}

#[test]
fn a_plan_and_a_removed_environment_are_no_failure() {
    let failed = ended("broken", DeploymentState::Failed, 10);
    assert!(Owned { deployments: vec![failed.clone()], ..Owned::default() }.found().is_empty());
    let mut plan = failed;
    plan.deploy_mut().unwrap().plan_only = true;
    let environments = vec![environment("ci", "logs")];
    assert!(Owned { environments, deployments: vec![plan], ..Owned::default() }.found().is_empty());
}

#[test]
fn a_failed_teardown_and_a_failed_copy_are_failures() {
    let with = |execution: &str, other: Deployment| Deployment {
        body: other.body,
        ..ended(execution, DeploymentState::Failed, 10)
    };
    let stack = StackRun { environment: "logs-2".into(), ..stack_run() };
    let copy = lockstep_domain::records::PromoteImageBody {
        image: "logstash".parse().unwrap(),
        source: deployment().location,
        plan: None,
    };
    let found = Owned {
        environments: vec![environment("ci", "logs-2")],
        deployments: vec![
            with("a", deployment_of(TeardownBody { stack, digest: None })),
            with("b", deployment_of(copy)),
        ],
        ..Owned::default()
    };
    assert_eq!(found.kinds(), [AttentionKind::Failure; 2]);
}

#[test]
fn a_failed_deployment_with_bad_checks_is_one_matter() {
    let mut broken = environment("ci", "logs");
    broken.deployed = Some(Deployed { checked: false, deployment: id("broken"), ..deployed("2.1.3") });
    let failed = ended("broken", DeploymentState::Failed, 10);
    let found =
        Owned { environments: vec![broken.clone()], deployments: vec![failed.clone()], ..Owned::default() };
    assert_eq!(found.kinds(), [AttentionKind::Failure]);
    let later = ended("later", DeploymentState::Failed, 20);
    let found = Owned { environments: vec![broken], deployments: vec![failed, later], ..Owned::default() };
    assert_eq!(found.kinds(), [AttentionKind::Checks, AttentionKind::Failure]);
}

#[test]
fn a_release_that_failed_its_test_is_a_matter_until_the_next_one() {
    let of = |version: &str, state| Release {
        version: version.parse().unwrap(),
        state,
        failure: Some("1 of 2 checks failed".into()),
        ..release()
    };
    let failed = of("2.1.3", ReleaseState::TestFailed);
    let found = Owned { releases: vec![failed.clone()], ..Owned::default() }.found();
    assert_eq!(found[0].next, "lockstep why logs@2.1.3");
    let next = of("2.1.4", ReleaseState::Published);
    assert!(Owned { releases: vec![next, failed], ..Owned::default() }.found().is_empty());
}

#[test]
fn a_rejection_ends_with_a_release_or_a_good_push() {
    let rejected = Owned { rejections: vec![rejection(10)], ..Owned::default() };
    assert_eq!(rejected.kinds(), [AttentionKind::Rejected]);
    let later = Release { packaged_at: at(20), ..release() };
    assert!(Owned { releases: vec![later], ..rejected }.found().is_empty());
    let commit =
        WebhookDelivery { commit: rejection(10).commit, ..pushed('1', DeliveryEnd::rejected("x"), 9) };
    for (end, is_over) in [(DeliveryEnd::done(), true), (DeliveryEnd::superseded(), false)] {
        let deliveries = vec![pushed('2', end, 20), commit.clone()];
        let found = Owned { rejections: vec![rejection(10)], deliveries, ..Owned::default() }.found();
        assert_eq!(found.is_empty(), is_over, "{found:?}");
    }
}

#[test]
fn the_last_push_that_packaged_no_release_is_a_matter() {
    let of = |end: DeliveryEnd, second| pushed('1', end, second);
    for (end, expected) in [
        (DeliveryEnd::rejected("it holds neither"), Some("correct it and push again")),
        (DeliveryEnd::quarantined("the git host is away"), Some("lockstep retry d-1")),
        (DeliveryEnd::done(), None),
        (DeliveryEnd::superseded(), None),
    ] {
        let earlier = pushed('2', DeliveryEnd::rejected("earlier"), 1);
        let found = Owned { deliveries: vec![of(end, 10), earlier], ..Owned::default() }.found();
        assert_eq!(found.first().map(|found| found.next.as_str()), expected);
    }
    // A commit with a release failed later: its deployment says so.
    let commit = "1".repeat(40).parse().unwrap();
    let releases = vec![Release { commit, ..release() }];
    let deliveries = vec![of(DeliveryEnd::rejected("ci failed"), 10)];
    assert!(Owned { deliveries, releases, ..Owned::default() }.found().is_empty());
}

#[test]
fn an_unused_permission_is_a_matter_while_it_is_valid() {
    let open = |second| Owned { break_glass: vec![permission(None, second)], ..Owned::default() };
    assert!(open(9000).found()[0].what.contains("without evidence for 43 min more"));
    assert!(open(6400).found().is_empty(), "it is an hour old");
}

#[test]
fn a_queue_says_what_it_waits_for() {
    let mut held = environment("ci", "logs");
    held.queue = vec![entry(&deployment(), Some(at(1)), at(2)), entry(&deployment(), None, at(3))];
    let says = |environment: &Environment, questions: Vec<(Deployment, Approval)>| {
        let found = Owned { environments: vec![environment.clone()], questions, ..Owned::default() }.found();
        let queue = found.into_iter().find(|found| found.kind == AttentionKind::Queue).unwrap();
        (queue.what, queue.next)
    };
    let (what, next) = says(&held, Vec::new());
    assert_eq!(what, "2 deployments wait for logs in ci, until it is free");
    assert_eq!(next, "lockstep deployments --waiting");
    held.hold = Some(Hold { by: "arn:ada".into(), reason: "bad night".into(), at: at(0) });
    assert_eq!(says(&held, Vec::new()).1, "lockstep resume logs --in ci");
    held.hold = None;
    held.holder = Some(LeaseHolder { deployment: deployment().id, execution: "arn:x".into(), since: at(0) });
    assert_eq!(says(&held, Vec::new()).1, format!("lockstep watch {}", deployment().id.short()));
    let (what, next) = says(&held, vec![question()]);
    assert!(what.ends_with("behind the open question of logs 2.1.3 to ci"), "{what}");
    assert!(next.starts_with("lockstep approve "), "{next}");
}

#[test]
fn a_new_value_is_brought_by_the_command_of_the_stage() {
    let next = |stage: &str, name: &str| {
        let runs = Deployed { overridden: ["A".to_owned()].into(), ..deployed("2.1.0") };
        let environments = vec![Environment { deployed: Some(runs), ..environment(stage, name) }];
        Owned { environments, ..Owned::default() }.found()[0].next.clone()
    };
    assert_eq!(next("ci", "logs"), "without them: lockstep deploy logs@2.1.0 --to ci");
    assert_eq!(next("production", "logs"), "without them: lockstep promote logs@2.1.0 --to production");
    assert_eq!(next("ci", "logs-2"), "without them: lockstep clone logs@2.1.0 --environment logs-2 --in ci");
}

#[test]
fn a_test_stack_is_no_matter() {
    let mut test = environment(TEST, "logs-2-1-3");
    test.deployed = Some(Deployed { checked: false, ..deployed("2.1.3") });
    let failed = Deployment { stage: TEST.parse().unwrap(), ..ended("broken", DeploymentState::Failed, 1) };
    let found = Owned { environments: vec![test], deployments: vec![failed], ..Owned::default() };
    assert!(found.found().is_empty());
}
