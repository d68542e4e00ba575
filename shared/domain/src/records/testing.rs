//! Deployments for the tests of this crate.

use super::{
    BuildImageBody, DeployBody, DeploymentStart, PromoteImageBody, Release, ReleaseState, StackRun,
    TeardownBody,
};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{DeploymentId, Digest};
use crate::model::image_lock::ImageLock;
use crate::model::location::Location;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Returns a location in eu-west-1.
pub fn location(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

/// Returns the start of a deployment on the delivery path at the Unix epoch.
pub fn start(execution: &str, version: &str, stage: &str) -> DeploymentStart {
    DeploymentStart {
        id: DeploymentId::of_execution(execution),
        execution: execution.to_owned(),
        version: version.parse().unwrap(),
        stage: stage.parse().unwrap(),
        location: location("111111111111"),
        path: DeploymentPath::Delivery,
        at: Timestamp::UNIX_EPOCH,
    }
}

/// Returns the work on a stack of the component logs.
pub fn stack_run(environment: &str, stack: &str) -> StackRun {
    StackRun::new("logs".parse().unwrap(), environment.to_owned(), stack.parse().unwrap())
}

/// Returns the deployment of a release of logs, whose artifact has the digest of `d`.
pub fn deploy(environment: &str, stack: &str) -> DeployBody {
    let repository = "github.acme.logs".parse().unwrap();
    DeployBody::new(stack_run(environment, stack), Digest::of(b"d"), Digest::of(b"template"), repository)
}

/// Returns the teardown of an environment of logs.
pub fn teardown(environment: &str, stack: &str) -> TeardownBody {
    TeardownBody { stack: stack_run(environment, stack), digest: Some(Digest::of(b"d")) }
}

/// Returns the promotion of the image logstash, before its plan.
pub fn promotion() -> PromoteImageBody {
    PromoteImageBody { image: "logstash".parse().unwrap(), source: location("111111111111"), plan: None }
}

/// Returns the build of the image logstash.
pub fn build() -> BuildImageBody {
    BuildImageBody {
        image: "logstash".parse().unwrap(),
        base: "ami-0123456789abcdef0".parse().unwrap(),
        commit: "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap(),
        repository: "acme/logs".into(),
        artifact: "recipes/logstash/d.zip".into(),
        before: None,
        built_at: Timestamp::UNIX_EPOCH,
        recipe_version: None,
    }
}

/// Returns the published release 1.0.0 of logs.
pub fn release() -> Release {
    let digest = Digest::of(b"x");
    Release {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        state: ReleaseState::Published,
        repository: "github.acme.logs".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        author: "Ada".into(),
        pusher: None,
        folder: "logs".into(),
        template: "template.yaml".into(),
        artifact: "a.zip".into(),
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
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn".into(),
        failure: None,
    }
}
