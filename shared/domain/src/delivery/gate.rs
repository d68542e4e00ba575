//! The gate: decides which releases may enter a stage.

use crate::delivery::stages::{Stage, Stages};
use crate::messages::inputs;
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::{ComponentName, StageName};
use crate::model::image_lock::LockedImage;
use crate::model::location::Location;
use crate::model::operator_action::OperatorAction;
use crate::model::person::Starter;
use crate::model::token::{client_token, is_client_token};
use crate::records::{BreakGlass, DeployBody, Environment, Evidence, Image, Release, ReleaseState};
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// Returns the stage with this name, or the error `Rejected` with the known names.
pub fn stage<'a>(stages: &'a Stages, name: &StageName) -> Result<&'a Stage, Failure> {
    stages
        .get(name)
        .ok_or_else(|| Failure::rejected(format!("there is no stage {name}{}", stages.suggestion(name))))
}

/// Checks that `path` leads to `stage`: each account trusts only one path.
pub fn check_path(release: &Release, stage: &Stage, path: DeploymentPath) -> Result<(), Failure> {
    let (component, version, name) = (&release.component, &release.version, &stage.name);
    match (path, stage.path()) {
        (DeploymentPath::Delivery, DeploymentPath::Delivery)
        | (DeploymentPath::Promotion, DeploymentPath::Promotion) => Ok(()),
        (DeploymentPath::Delivery, DeploymentPath::Promotion) => Err(Failure::rejected(format!(
            "releases reach {name} by promotion only; use `lockstep promote {component}@{version} --in {name}`"
        ))),
        (DeploymentPath::Promotion, DeploymentPath::Delivery) => Err(Failure::rejected(format!(
            "releases propagate to {name} after a push and are not promoted there; to deploy this one use \
             `lockstep deploy {component}@{version} --in {name}`"
        ))),
    }
}

/// Checks that a promotion deploys what the stages before tested: no overrides, no parameters of another stage, and no
/// environment under another name, unless the stage allows them. A plan changes nothing and may have them.
pub fn check_deviations(input: &inputs::Deploy, stage: &Stage) -> Result<(), Failure> {
    if stage.path() == DeploymentPath::Delivery || stage.overrides || input.plan_only {
        return Ok(());
    }
    let is_renamed = input.environment.as_deref().is_some_and(|name| name != input.component.as_str());
    let deviations = [
        (!input.overrides.is_empty(), "overrides"),
        (input.parameters_of.is_some(), "parameters of another stage"),
        (is_renamed, "environment under another name"),
    ];
    let found: Vec<_> =
        deviations.into_iter().filter(|(is_there, _)| *is_there).map(|(_, what)| what).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::rejected(format!(
        "{} admits no {}: no stage before tested it; put the values into parameter files, or write `overrides = true` for \
         the stage in stages.toml",
        stage.name,
        found.join(" and no ")
    )))
}

/// Checks that `path` may tear down environments of `stage`.
pub fn check_teardown_path(stage: &Stage, path: DeploymentPath) -> Result<(), Failure> {
    let machine = match stage.path() {
        way if way == path => return Ok(()),
        DeploymentPath::Delivery => "lockstep-delivery-teardown",
        DeploymentPath::Promotion => "lockstep-promotion-teardown",
    };
    Err(Failure::rejected(format!(
        "environments of {} are torn down by {machine}; start that state machine",
        stage.name
    )))
}

/// Returns the stage that provides the parameters of a deployment instead of its own stage.
///
/// Such a deployment is a clone and needs a name of its own, so that an environment that releases propagate to keeps
/// its parameters.
pub fn parameters_of(stages: &Stages, input: &inputs::Deploy) -> Result<Option<StageName>, Failure> {
    let Some(name) = &input.parameters_of else { return Ok(None) };
    let own_name = input.environment.as_deref().is_some_and(|name| name != input.component.as_str());
    if !own_name {
        return Err(Failure::rejected(format!(
            "a deployment with the parameters of {name} is a clone: give it a name of its own as `environment`, other than {}",
            input.component
        )));
    }
    stage(stages, name).map(|stage| Some(stage.name.clone()))
}

/// Checks that a release is far enough for `stage`. Every stage but `test` requires a release that passed its test and
/// is not a pre-release.
pub fn check_release(release: &Release, stage: &Stage) -> Result<(), Failure> {
    let named = format!("{} {}", release.component, release.version);
    match release.state {
        ReleaseState::Published if !stage.is_test() && release.version.is_pre_release() => {
            Err(Failure::rejected(format!(
                "{named} is a pre-release, which cannot be deployed to a stage after its test; merge its branch"
            )))
        }
        ReleaseState::Published => Ok(()),
        ReleaseState::Packaged if stage.is_test() => Ok(()),
        ReleaseState::Packaged => Err(closed(format!(
            "{named} has not passed its test stack yet and cannot be deployed to {}",
            stage.name
        ))),
        ReleaseState::TestFailed => {
            let why = release.failure.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            Err(closed(format!("{named} failed its test and cannot be deployed{why}")))
        }
    }
}

/// Checks that the stage before `stage` proved this artifact. `evidence` is the ledger's record for that stage, and
/// `glass` the break-glass permission for `stage`. Returns the permission if it alone opens the gate.
///
/// The digest decides, not the version. The first stage needs no evidence.
pub fn check_evidence<'a>(
    release: &Release,
    stages: &Stages,
    stage: &Stage,
    evidence: Option<&Evidence>,
    glass: Option<&'a BreakGlass>,
    now: Timestamp,
) -> Result<Option<&'a BreakGlass>, Failure> {
    let Some(before) = stages.before(&stage.name) else { return Ok(None) };
    let proves = |evidence: &&Evidence| {
        evidence.component == release.component
            && evidence.digest == release.digest
            && evidence.stage == before.name
    };
    if evidence.filter(proves).is_some() {
        return Ok(None);
    }
    if let Some(glass) = glass.filter(|glass| opens(glass, release, stage, now)) {
        return Ok(Some(glass));
    }
    let (component, version) = (&release.component, &release.version);
    let (before, command) = before_command(release, before);
    Err(closed(format!(
        "{component} {version} has not passed {before} (artifact {}) and cannot be deployed to {}; deploy it to {before} first, \
         without overrides and under its own name: {command}",
        release.digest.short(),
        stage.name,
    )))
}

/// Returns the name of a stage, and the command that brings a release there.
fn before_command<'a>(release: &Release, stage: &'a Stage) -> (&'a StageName, String) {
    let Release { component, version, .. } = release;
    let command = match stage.path() {
        DeploymentPath::Delivery if stage.is_test() => "push it again".to_owned(),
        DeploymentPath::Delivery => format!("lockstep deploy {component}@{version} --in {}", stage.name),
        DeploymentPath::Promotion => format!("lockstep promote {component}@{version} --in {}", stage.name),
    };
    (&stage.name, command)
}

/// Returns true if a break-glass permission admits this artifact to the stage: it is unused and still valid.
fn opens(glass: &BreakGlass, release: &Release, stage: &Stage, now: Timestamp) -> bool {
    glass.component == release.component
        && glass.digest == release.digest
        && glass.stage == stage.name
        && glass.used_by.is_none()
        && glass.at.checked_add(BreakGlass::VALID_HOURS.hours()).is_ok_and(|end| now < end)
}

/// Returns the break-glass permission to record; `None` if an earlier one still opens the gate.
///
/// The permission replaces only evidence. A release that did not pass its own test is refused everywhere, and required
/// approvals remain required.
pub fn break_glass(
    release: &Release,
    stages: &Stages,
    stage: &Stage,
    evidence: Option<&Evidence>,
    known: Option<&BreakGlass>,
    action: &OperatorAction,
) -> Result<Option<BreakGlass>, Failure> {
    check_release(release, stage)?;
    if let Ok(permission) = check_evidence(release, stages, stage, evidence, known, action.at) {
        if permission.is_some() {
            return Ok(None);
        }
        return Err(Failure::rejected(format!(
            "break-glass is not needed: {} {} already passes the gate of {}",
            release.component, release.version, stage.name
        )));
    }
    Ok(Some(BreakGlass {
        component: release.component.clone(),
        digest: release.digest.clone(),
        stage: stage.name.clone(),
        version: release.version.clone(),
        by: action.by.clone(),
        reason: action.reason.clone(),
        at: action.at,
        used_by: None,
    }))
}

/// Returns the identity that started `execution` with `input`.
///
/// A push starts the plain deployments of its release, each under a name that follows from the execution of the release.
/// An operator who takes that name first can only do the same. Step Functions does not report who started any other
/// execution.
pub fn starter(execution: &str, input: &inputs::Deploy, release: &Release) -> Starter {
    match &release.pusher {
        Some(login) if is_of_push(execution, input, release) => Starter::Pusher(login.clone()),
        _ => Starter::Unknown,
    }
}

/// Returns true if the first execution of the push of `release` started `execution` with `input`.
pub fn is_of_push(execution: &str, input: &inputs::Deploy, release: &Release) -> bool {
    let plain = inputs::Deploy::new(release.component.clone(), release.version.clone(), input.stage.clone());
    let name = deploy_execution(&release.execution, &input.stage, &release.component);
    *input == plain && execution.rsplit(':').next() == Some(name.as_str())
}

/// Returns true if a push deploys `release` with `input` to `stage`: the first time, or when the push is repeated.
///
/// A repeated push has another execution, whose name the release does not hold. Only a state machine gives an execution a
/// name of the form of a token, because [`crate::delivery::start::record`] refuses such a name for an operator. That of
/// promotions gives one too, for a stage that no push reaches.
pub fn is_pushed(execution: &str, input: &inputs::Deploy, release: &Release, stage: &Stage) -> bool {
    let plain = inputs::Deploy::new(release.component.clone(), release.version.clone(), input.stage.clone());
    stage.propagates && *input == plain && execution.rsplit(':').next().is_some_and(is_client_token)
}

/// Returns the name of the execution that deploys a release of the execution `release` to a stage that it propagates to.
pub fn deploy_execution(release: &str, stage: &StageName, component: &ComponentName) -> String {
    client_token(release, &format!("deploy/{stage}/{component}"), 1)
}

/// Refuses a tainted environment until an operator reconciles it.
pub fn check_taint(environment: Option<&Environment>) -> Result<(), Failure> {
    match environment.and_then(|environment| environment.taint.as_deref()) {
        None => Ok(()),
        Some(taint) => {
            Err(closed(format!("the environment is tainted: {taint}; reconcile it before promoting")))
        }
    }
}

/// Returns the images of the release that are not usable at `target`, each once, in the order of their names. `known`
/// holds the ledger's records of the images in any location.
pub fn missing_images<'a>(release: &'a Release, known: &[Image], target: &Location) -> Vec<&'a LockedImage> {
    let is_there = |locked: &LockedImage| {
        known.iter().any(|image| {
            image.name == locked.name
                && image.version == locked.version
                && image.location == *target
                && image.is_usable()
        })
    };
    let wanted: BTreeMap<_, _> =
        release.image_lock.0.values().map(|locked| ((&locked.name, &locked.version), locked)).collect();
    wanted.into_values().filter(|locked| !is_there(locked)).collect()
}

/// Returns true if the success of a deployment opens the next stage.
///
/// A deployment with overrides, with the parameters of another stage, or under another name than the component's proves
/// nothing about the release. The test stack is the exception, because it always has another name. Plans prove nothing
/// either.
pub fn earns_evidence(deploy: &DeployBody, is_test: bool) -> bool {
    let own_name = deploy.stack.environment == deploy.stack.component.as_str();
    !deploy.plan_only
        && deploy.overrides.is_empty()
        && deploy.parameters_of.is_none()
        && (is_test || own_name)
}

fn closed(message: String) -> Failure {
    Failure::new(FailureKind::GateClosed, message)
}

#[cfg(test)]
mod tests;
