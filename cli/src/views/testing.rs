//! Records for the tests of the views.

use jiff::Timestamp;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::image_lock::ImageLock;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::person::Caller;
use lockstep_domain::model::resource_change::{Change, Impact};
use lockstep_domain::records::{
    AnswerKind, Approval, ApprovalDecision, BuildSubject, Decision, DeployBody, Deployed, Deployment,
    DeploymentBody, DeploymentStart, Environment, GivenAnswer, Release, ReleaseState, StackRun, Subject,
};
use std::collections::BTreeSet;

/// Returns the time this many seconds after the Unix epoch.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Returns a deployment of logs 2.1.3 to ci.
pub fn deployment() -> Deployment {
    deployment_of(deploy())
}

/// Returns a deployment of 2.1.3 to ci with this body.
pub fn deployment_of(body: impl Into<DeploymentBody>) -> Deployment {
    let start = DeploymentStart {
        id: DeploymentId::of_execution("arn:x"),
        execution: "arn:x".into(),
        version: "2.1.3".parse().unwrap(),
        stage: "ci".parse().unwrap(),
        location: Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: DeploymentPath::Delivery,
        at: at(0),
    };
    Deployment { epoch: 1, ..Deployment::new(start, body) }
}

/// Returns the work on the stack of logs in ci.
pub fn stack_run() -> StackRun {
    StackRun::new("logs".parse().unwrap(), "logs".into(), "ci-logs".parse().unwrap())
}

/// Returns the body of a deployment of logs to ci.
pub fn deploy() -> DeployBody {
    let repository = "github.acme.logs".parse().unwrap();
    DeployBody::new(stack_run(), Digest::of(b"x"), Digest::of(b"t"), repository)
}

/// Returns the subject of a question about the first build of an image in its account.
pub fn build_subject() -> BuildSubject {
    BuildSubject {
        image: "logstash".parse().unwrap(),
        version: "2.1.3".parse().unwrap(),
        location: deployment().location,
        artifact: "recipes/logstash/x.zip".into(),
        base: "ami-0123456789abcdef0".parse().unwrap(),
        repository: "acme/logs".into(),
        commit: "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap(),
        before: None,
    }
}

/// Returns the release of that deployment.
pub fn release() -> Release {
    let digest = Digest::of(b"x");
    Release {
        component: "logs".parse().unwrap(),
        version: "2.1.3".parse().unwrap(),
        state: ReleaseState::Published,
        repository: "github.acme.logs".parse().unwrap(),
        commit: "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap(),
        author: "Ada Lovelace".into(),
        pusher: None,
        folder: "broker".into(),
        template: "template.yaml".into(),
        artifact: "x.zip".into(),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest,
        test_differences: Vec::new(),
        serial_tests: false,
        commits: None,
        permissions: None,
        image_lock: ImageLock::default(),
        outputs: BTreeSet::new(),
        producers: Default::default(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: at(0),
        execution: "arn:x".into(),
        failure: None,
    }
}

/// Returns a question without an answer.
pub fn asking(subject: Subject) -> Approval {
    let reasons = vec!["it is so".into()];
    Approval { number: 1, reasons, subject, digest: None, asked_at: at(1), shown: None }
}

/// Returns the record of one answer, Ada's, that decides the last question of a deployment at a second.
pub fn decided(deployment: &Deployment, kind: AnswerKind, second: i64) -> ApprovalDecision {
    let by = Caller { arn: "arn:ada".into(), user_id: "AIDAEXAMPLE00000ADA".into(), account: "1".into() };
    ApprovalDecision {
        deployment: deployment.id.clone(),
        question: deployment.approvals.last().unwrap().clone(),
        answers: vec![GivenAnswer { by, kind, reason: None, at: at(second) }],
        decision: Some(if kind == AnswerKind::Approve { Decision::Approve } else { Decision::Refuse }),
        valid_until: None,
    }
}

/// Returns a change of a queue.
pub fn change(logical_id: &str, impact: Impact, tags_only: bool) -> Change {
    Change {
        logical_id: logical_id.into(),
        resource_type: "AWS::SQS::Queue".into(),
        action: "Modify".into(),
        replacement: "Conditional".into(),
        properties: vec!["QueueName".into()],
        tags_only,
        drift: None,
        impact,
    }
}

/// Returns a release of logs as an environment runs it since the epoch, with good checks.
pub fn deployed(version: &str) -> Deployed {
    let digest = Digest::of(b"x");
    Deployed {
        version: version.parse().unwrap(),
        digest: digest.clone(),
        template_digest: digest.clone(),
        parameters_digest: digest,
        late_digest: None,
        stack_version: version.parse().unwrap(),
        deployment: DeploymentId::of_execution("arn:x"),
        checked: true,
        overridden: BTreeSet::new(),
        since: at(0),
    }
}

/// Returns an empty environment of logs.
pub fn environment(stage: &str, name: &str) -> Environment {
    Environment { epoch: 1, ..Environment::new(stage.parse().unwrap(), name, "logs".parse().unwrap()) }
}
