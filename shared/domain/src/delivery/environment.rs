//! Acquiring and releasing the lease of an environment, and the record of the release that runs in it.
//!
//! One deployment at a time holds an environment; the number of acquisitions is its epoch. Each write for a deployment
//! first verifies holder and epoch ([`still_holds`]). A deployment that lost its environment stops there with an error.

use crate::delivery::ending::{self, Fate};
use crate::delivery::rollback;
use crate::model::caught_error::CaughtError;
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::{ComponentName, Digest, InvalidId, StackName, StageName};
use crate::model::image_lock::{ImageLock, LockedImage};
use crate::model::version::Version;
use crate::records::{
    Charter, DeployBody, Deployed, Deployment, DeploymentBody, DeploymentState, Environment, FailureRecord,
    LeaseHolder, ProvenImage, ProvenImages, StackRun,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Maximum length of an environment's name: with the longest stage name it still fits a stack name.
const NAME_CHARS: usize = 100;

/// Maximum length of the name of a test environment. CloudFormation derives names from `test-` and this name, and cuts them:
/// what remains still differs.
const TEST_NAME_CHARS: usize = 90;

/// Returns the environment's name within its stage: the component's unless the caller requests another.
pub fn name(component: &ComponentName, asked: Option<&str>) -> Result<String, Failure> {
    let Some(name) = asked else { return Ok(component.to_string()) };
    let well_formed = name.len() <= NAME_CHARS
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if well_formed {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(NAME_CHARS).collect();
    Err(Failure::rejected(format!(
        "'{shown}' is not an environment name: use lower-case letters, digits and single hyphens, at most {NAME_CHARS}, \
         starting with a letter"
    )))
}

/// Returns the test environment of a release: `<component>-<version>`, in the letters of a stack's name.
///
/// Each build number is used once, so component and numbers identify the release even if a long branch name behind them
/// is cut.
pub fn test_name(component: &ComponentName, version: &Version) -> String {
    let name = format!("{component}-{version}").to_ascii_lowercase();
    let parts: Vec<&str> = name.split(['.', '-']).filter(|part| !part.is_empty()).collect();
    parts.join("-").chars().take(TEST_NAME_CHARS).collect::<String>().trim_end_matches('-').to_owned()
}

/// Returns the name of the environment's stack: `<stage>-<environment>`.
pub fn stack_name(stage: &StageName, environment: &str) -> Result<StackName, Failure> {
    format!("{stage}-{environment}")
        .parse()
        .map_err(|error: InvalidId| Failure::rejected("the name of the stack").caused_by(&error))
}

/// Returns the holder that blocks `deployment`; `None` if the environment is free or held by `deployment` itself.
pub fn competing_holder<'a>(
    environment: Option<&'a Environment>,
    deployment: &Deployment,
) -> Option<&'a LeaseHolder> {
    environment?.holder.as_ref().filter(|holder| holder.deployment != deployment.id)
}

/// Checks that the environment may be taken from `rival`. `is_running` is the state of its execution, or `None` if that
/// is unknown.
///
/// Only an execution that certainly ended loses its lease. An unknown state releases nothing.
pub fn ensure_holder_ended(rival: &LeaseHolder, is_running: Option<bool>) -> Result<(), Failure> {
    let why = match is_running {
        Some(false) => return Ok(()),
        Some(true) => "still runs",
        None => "cannot be looked at, and may still run",
    };
    Err(Failure::new(
        FailureKind::EnvironmentBusy,
        format!(
            "the environment is held by deployment {} since {}; its execution {} {why}",
            rival.deployment, rival.since, rival.execution
        ),
    ))
}

/// An acquired environment and the deployment that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The environment with its new epoch.
    pub environment: Environment,
    /// The running deployment with that epoch.
    pub deployment: Deployment,
}

/// Acquires the environment for `deployment`. The caller first checks [`competing_holder`] and [`ensure_holder_ended`].
///
/// An environment of another component is refused, because its stack belongs to that component. A missing environment
/// is created, except for a teardown.
pub fn acquire(
    existing: Option<&Environment>,
    deployment: &Deployment,
    now: Timestamp,
) -> Result<Acquired, Failure> {
    let StackRun { environment: name, component, .. } = stack(deployment)?;
    if existing.is_none() && deployment.teardown().is_some() {
        return Err(environment_not_found(&deployment.stage, name));
    }
    let mut environment = existing
        .cloned()
        .unwrap_or_else(|| Environment::new(deployment.stage.clone(), name, component.clone()));
    if environment.component != *component {
        return Err(Failure::rejected(format!(
            "environment {name} of stage {} runs component {}, not {component}; choose another name",
            deployment.stage, environment.component
        )));
    }
    environment.epoch += 1;
    environment.holder = Some(LeaseHolder {
        deployment: deployment.id.clone(),
        execution: deployment.execution.clone(),
        since: now,
    });
    environment.last_deployment = Some(deployment.id.clone());
    if let Some(follows) = deployment.deploy().and_then(|deploy| deploy.follows.as_ref()) {
        environment.followed = Some(follows.inputs.clone());
    }
    let deployment =
        Deployment { epoch: environment.epoch, state: DeploymentState::Running, ..deployment.clone() };
    Ok(Acquired { environment, deployment })
}

/// Returns the error for an environment that does not exist.
pub fn environment_not_found(stage: &StageName, name: &str) -> Failure {
    Failure::not_found(format!("there is no environment {name} in stage {stage}"))
}

/// Returns the work of a deployment on the stack of its environment.
///
/// # Errors
/// `Bug` for a deployment about an image, which has no environment.
pub fn stack(deployment: &Deployment) -> Result<&StackRun, Failure> {
    deployment
        .stack()
        .ok_or_else(|| Failure::bug(format!("{} is about an image, which has no environment", deployment.id)))
}

/// Checks that a deployment holds the environment at its epoch, before it writes.
pub fn still_holds(environment: Option<&Environment>, deployment: &Deployment) -> Result<(), Failure> {
    let holds = environment.is_some_and(|environment| {
        environment.epoch == deployment.epoch
            && environment.holder.as_ref().is_some_and(|holder| holder.deployment == deployment.id)
    });
    if holds && !deployment.state.is_final() {
        return Ok(());
    }
    let message = if deployment.state.is_final() {
        format!("deployment {} is closed already", deployment.id)
    } else {
        format!("deployment {} no longer holds its environment; another took it", deployment.id)
    };
    Err(Failure::new(FailureKind::Superseded, message))
}

/// Closes the deployment of a dead execution; `None` if it was closed before. `after` completes the failure message.
pub fn abandon(deployment: &Deployment, after: &str, now: Timestamp) -> Option<Deployment> {
    if deployment.state.is_final() {
        return None;
    }
    let error = FailureKind::Superseded.error_type().to_owned();
    let subject = subject(deployment, ending::fate(deployment, Some(&error)));
    let message = format!("{subject}: its execution ended without closing it; {after}");
    let failure = FailureRecord { error, message };
    Some(Deployment {
        state: DeploymentState::Abandoned,
        failure: Some(failure),
        finished_at: Some(now),
        ..deployment.clone()
    })
}

/// Releases the lease of `deployment` and leaves the running release unchanged.
pub fn release_lease(environment: &Environment, deployment: &Deployment) -> Environment {
    let mine = environment.holder.as_ref().is_some_and(|holder| holder.deployment == deployment.id);
    let holder = if mine { None } else { environment.holder.clone() };
    Environment { holder, ..environment.clone() }
}

/// Returns the environment with the reports of `deployment`, which holds it: its stack, the stability of the stack, and
/// the taint of a recovery. Only the owner of the environment stores the result.
pub fn with_claims(environment: &Environment, deployment: &Deployment) -> Environment {
    let Some(run) = deployment.stack() else { return environment.clone() };
    let taint = run.taint.clone().or_else(|| environment.taint.clone());
    let Some(claim) = &run.claim else { return Environment { taint, ..environment.clone() } };
    let same = environment.stack_arn.as_deref() == Some(&claim.arn);
    Environment {
        stack_arn: Some(claim.arn.clone()),
        ever_stable: claim.stable || (same && environment.ever_stable),
        taint,
        ..environment.clone()
    }
}

/// Releases the lease of `dead`, a deployment whose execution certainly ended. The epoch rises, so that late writes of
/// that execution are refused.
pub fn release_dead_holder(environment: &Environment, dead: &Deployment, now: Timestamp) -> Environment {
    let fate = ending::fate(dead, Some(FailureKind::Superseded.error_type()));
    let freed = release_lease(&after(environment, dead, fate, now), dead);
    Environment { epoch: freed.epoch + 1, ..freed }
}

/// A deployment that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The released environment; `None` after a teardown, which deletes its record.
    pub environment: Option<Environment>,
    /// The closed deployment.
    pub deployment: Deployment,
}

/// Closes a deployment that succeeded: its checks passed, its stack is deleted, or its plan is shown. `lock` has the
/// images of its release, and is read on the promotion path alone.
pub fn complete(
    environment: &Environment,
    deployment: &Deployment,
    lock: &ImageLock,
    now: Timestamp,
) -> Result<Completed, Failure> {
    still_holds(Some(environment), deployment)?;
    let environment = &with_claims(environment, deployment);
    let (environment, state) = match &deployment.body {
        DeploymentBody::Teardown(_) => (None, DeploymentState::Succeeded),
        DeploymentBody::Deploy(deploy) if deploy.plan_only => {
            (Some(environment.clone()), DeploymentState::Planned)
        }
        DeploymentBody::Deploy(deploy) => {
            let state =
                if deploy.stack_changed { DeploymentState::Succeeded } else { DeploymentState::NoChanges };
            let environment = runs(environment, deployment, deploy, true, now)?;
            let proven_images = match deployment.path {
                DeploymentPath::Promotion => Some(proven_images(deployment, deploy, lock, now)?),
                DeploymentPath::Delivery => None,
            };
            (Some(Environment { proven_images, ..environment }), state)
        }
        DeploymentBody::PromoteImage(_) | DeploymentBody::BuildImage(_) | DeploymentBody::PublishImage(_) => {
            return Err(Failure::bug(format!(
                "{} is about an image and holds no environment",
                deployment.id
            )));
        }
    };
    let environment = environment.map(|environment| release_lease(&environment, deployment));
    let deployment = Deployment { state, failure: None, finished_at: Some(now), ..deployment.clone() };
    Ok(Completed { environment, deployment })
}

/// Returns the images of a deployment that succeeded, each with the AMI that the stack got.
fn proven_images(
    deployment: &Deployment,
    deploy: &DeployBody,
    lock: &ImageLock,
    now: Timestamp,
) -> Result<ProvenImages, Failure> {
    let image = |locked: &LockedImage| {
        let value = deploy.parameters.get(locked.parameter.as_str());
        let ami = value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            Failure::bug(format!("deployment {} ended without the id of {}", deployment.id, locked.name))
        })?;
        Ok(ProvenImage { name: locked.name.clone(), version: locked.version.clone(), ami })
    };
    Ok(ProvenImages {
        deployment: deployment.id.clone(),
        version: deployment.version.clone(),
        at: now,
        images: lock.0.values().map(image).collect::<Result<_, Failure>>()?,
    })
}

/// Returns the environment after the stack of `deployment` was updated to its release.
///
/// The stack's version is the version of the release that last changed it, so it remains if this release did not.
fn runs(
    environment: &Environment,
    deployment: &Deployment,
    deploy: &DeployBody,
    checked: bool,
    now: Timestamp,
) -> Result<Environment, Failure> {
    let missing = || Failure::bug(format!("deployment {} ended without its parameters", deployment.id));
    let before = environment.deployed.as_ref();
    let kept = before.filter(|_| !deploy.stack_changed);
    let deployed = Deployed {
        version: deployment.version.clone(),
        digest: deploy.digest.clone(),
        template_digest: deploy.template_digest.clone(),
        parameters_digest: deploy.parameters_digest.clone().ok_or_else(missing)?,
        late_digest: deploy.late_values.digest(),
        stack_version: kept.map_or_else(|| deployment.version.clone(), |d| d.stack_version.clone()),
        deployment: deployment.id.clone(),
        checked,
        overridden: deploy.overrides.keys().cloned().collect(),
        since: now,
    };
    let history = rollback::history_after(environment, &deployed);
    Ok(Environment {
        deployed: Some(deployed),
        history,
        inputs: deploy.inputs.iter().map(|(name, input)| (name.clone(), input.digest.clone())).collect(),
        outputs: digests(&deploy.outputs),
        stack_arn: deploy.stack.arn.clone().or_else(|| environment.stack_arn.clone()),
        ever_stable: true,
        ..environment.clone()
    })
}

fn digests(values: &BTreeMap<String, String>) -> BTreeMap<String, Digest> {
    values.iter().map(|(name, value)| (name.clone(), Digest::of(value.as_bytes()))).collect()
}

/// Result of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The released environment, if the deployment held it.
    pub environment: Option<Environment>,
    /// The closed deployment, if it was not closed before.
    pub deployment: Option<Deployment>,
    /// The recorded failure: the first one, if the deployment failed before.
    pub failure: FailureRecord,
}

/// Closes a deployment that failed or was refused. `environment` is its environment, whichever deployment holds it.
///
/// If the stack was updated to the release before another step failed, the environment runs the release unchecked.
pub fn fail(
    environment: Option<&Environment>,
    deployment: &Deployment,
    error: &CaughtError,
    now: Timestamp,
) -> Failed {
    let held = environment.filter(|environment| still_holds(Some(environment), deployment).is_ok());
    let moved = held.map(|environment| {
        let fate = ending::fate(deployment, Some(&error.error));
        release_lease(&after(environment, deployment, fate, now), deployment)
    });
    let known = deployment.failure.clone();
    let failure = known.unwrap_or_else(|| explain(deployment, error, moved.as_ref().or(environment)));
    let refused = failure.error == FailureKind::ApprovalRefused.error_type();
    let cancelled = failure.error == FailureKind::Cancelled.error_type();
    let state = match ending::fate(deployment, Some(&failure.error)) {
        _ if refused => DeploymentState::Refused,
        // A release that runs was not stopped.
        Fate::NotDone if cancelled => DeploymentState::Cancelled,
        _ => DeploymentState::Failed,
    };
    let closed = (!deployment.state.is_final()).then(|| Deployment {
        state,
        failure: Some(failure.clone()),
        finished_at: Some(now),
        ..deployment.clone()
    });
    Failed { environment: moved, deployment: closed, failure }
}

/// Closes a deployment whose record was changed since it began, and believes none of its reports: the environment
/// keeps its release, and is tainted with `why`.
pub fn distrust(
    environment: Option<&Environment>,
    charter: &Charter,
    deployment: &Deployment,
    why: &Failure,
    now: Timestamp,
) -> Failed {
    let holds = |environment: &&Environment| {
        environment.holder.as_ref().is_some_and(|holder| holder.deployment == charter.id)
    };
    let released = environment.filter(holds).map(|environment| Environment {
        holder: None,
        taint: Some(why.message.clone()),
        ..environment.clone()
    });
    let failure = FailureRecord { error: why.kind.error_type().to_owned(), message: why.message.clone() };
    let closed = Deployment {
        state: DeploymentState::Failed,
        failure: Some(failure.clone()),
        finished_at: Some(now),
        ..deployment.clone()
    };
    Failed { environment: released, deployment: Some(closed), failure }
}

/// Returns the environment after a deployment that ended as `fate` says, without success. A plan or a teardown leaves the
/// running release unchanged.
///
/// A release whose checks fail runs, even if the stack was the same before.
pub fn after(environment: &Environment, deployment: &Deployment, fate: Fate, now: Timestamp) -> Environment {
    let environment = with_claims(environment, deployment);
    let Some(deploy) = deployment.deploy().filter(|deploy| !deploy.plan_only) else {
        return environment;
    };
    let moved = match fate {
        Fate::Done | Fate::Unchecked | Fate::Failing => {
            runs(&environment, deployment, deploy, false, now).ok()
        }
        Fate::NotDone | Fate::RunsOn => None,
    };
    moved.unwrap_or_else(|| Environment {
        stack_arn: deploy.stack.arn.clone().or_else(|| environment.stack_arn.clone()),
        ..environment.clone()
    })
}

/// Maximum characters of an error's sentence that a message repeats.
const SENTENCE_CHARS: usize = 2000;

/// Returns the beginning of the sentence about the end of a deployment: its subject, and what became of it.
fn subject(deployment: &Deployment, fate: Fate) -> String {
    let deed = match &deployment.body {
        DeploymentBody::Deploy(deploy) if deploy.plan_only => "planned for",
        DeploymentBody::Deploy(_) => "deployed to",
        DeploymentBody::Teardown(_) => "removed from",
        DeploymentBody::PromoteImage(_) => "copied to",
        DeploymentBody::BuildImage(_) => "built in",
        DeploymentBody::PublishImage(_) => "published in",
    };
    let (version, stage) = (&deployment.version, &deployment.stage);
    let (mut component_of, mut name) = (String::new(), String::new());
    if let Some(StackRun { component, environment, .. }) = deployment.stack() {
        component_of = format!("{component} ");
        if environment != component.as_str() {
            name = format!(" as {environment}");
        }
    }
    let subject = format!("{component_of}{version}");
    match fate {
        Fate::Done => format!("{subject} was {deed} {stage}{name}"),
        Fate::Unchecked => format!("{subject} runs in {stage}{name}, and its checks gave no result"),
        Fate::Failing => format!("{subject} runs in {stage}{name} and fails its checks"),
        Fate::NotDone => format!("{subject} was not {deed} {stage}{name}"),
        Fate::RunsOn => format!("{subject} may still be {deed} {stage}{name}"),
    }
}

/// Returns the failure of a deployment for operators: the subject, the first true cause, and the release that runs now.
fn explain(deployment: &Deployment, error: &CaughtError, environment: Option<&Environment>) -> FailureRecord {
    let fate = ending::fate(deployment, Some(&error.error));
    let subject = subject(deployment, fate);
    let sentence: String = error.sentence().chars().take(SENTENCE_CHARS).collect();
    let mut message = format!("{subject}: {}.", sentence.trim().trim_end_matches('.'));
    if let Some(first) = deployment.deploy().and_then(|deploy| deploy.diagnosis.first()) {
        let cause = crate::stacks::diagnosis::sentence(first, "template");
        // The error of the stack function may already contain the first cause; the message does not repeat it.
        if !message.contains(first.reason.as_str()) || first.reason.is_empty() {
            message.push_str(&format!(" First cause: {}.", cause.trim_end_matches('.')));
        }
    }
    message.push_str(&runs_now(
        deployment,
        fate,
        environment.and_then(|environment| environment.deployed.as_ref()),
    ));
    FailureRecord { error: error.error.clone(), message }
}

/// Returns the sentence about the release that runs after the deployment; empty if the subject says it.
fn runs_now(deployment: &Deployment, fate: Fate, deployed: Option<&Deployed>) -> String {
    let stage = &deployment.stage;
    match (fate, deployed) {
        (Fate::Done | Fate::Unchecked | Fate::Failing, _) => String::new(),
        (Fate::RunsOn, before) => {
            let before = before.map(|before| format!(" {stage} ran {} before.", before.version));
            format!(
                " The operation that it started was not seen to end; the next deployment waits for it.{}",
                before.unwrap_or_default()
            )
        }
        (Fate::NotDone, Some(now)) if now.checked => format!(" {stage} runs {}.", now.version),
        (Fate::NotDone, Some(now)) => format!(" {stage} runs {}, whose checks did not pass.", now.version),
        (Fate::NotDone, None) => format!(" No release of it runs in {stage}."),
    }
}

#[cfg(test)]
mod tests;
