//! The report of a look, and its change of state against the looks before.

use super::look::{ResourceVerdict, digest_of};
use crate::messages::drift::Noted;
use crate::model::ids::Digest;
use crate::model::version::Version;
use crate::records::{
    DriftChange, DriftReport, DriftState, DriftedProperty, DriftedResource, Environment, FailedLook,
    Findings, Inconclusive, OpenDrift, ReportedValue, UnknownResource,
};
use crate::stacks::plan::{LiveResource, Phase, StackStatus};
use jiff::Timestamp;

/// Returns the release and the stack of an environment that can be looked at, or the reason why it cannot.
///
/// # Errors
/// A sentence for an environment that runs no release, that a deployment holds, or that has no stack.
pub fn target(environment: &Environment) -> Result<(&Version, &str), String> {
    if let Some(holder) = &environment.holder {
        return Err(format!(
            "deployment {} holds the environment; look again once it has ended",
            holder.deployment
        ));
    }
    match (&environment.deployed, &environment.stack_arn) {
        (Some(deployed), Some(arn)) if environment.ever_stable => Ok((&deployed.version, arn)),
        _ => Err("no release runs in the environment".to_owned()),
    }
}

/// Returns true if CloudFormation detects drift of a stack in this status.
pub fn can_detect(status: &StackStatus) -> bool {
    status.is_consistent() && status.phase() == Phase::Ended
}

/// Returns true if nothing changed the environment or its stack between the beginning and the end of a look.
pub fn is_undisturbed(before: &Noted, after: Option<&Noted>) -> bool {
    after == Some(before)
}

/// Returns the findings of a look out of the verdict on each resource.
pub fn findings(
    noted: &Noted,
    at: Timestamp,
    verdicts: &[(LiveResource, ResourceVerdict)],
    before: Option<&DriftReport>,
) -> Findings {
    let count = |is: fn(&ResourceVerdict) -> bool| {
        u32::try_from(verdicts.iter().filter(|(_, verdict)| is(verdict)).count()).unwrap_or(u32::MAX)
    };
    let known = before.and_then(|report| report.findings.as_ref());
    let drift: Vec<DriftedResource> =
        verdicts.iter().filter_map(|(resource, verdict)| drifted(resource, verdict, at, known)).collect();
    Findings {
        at,
        version: noted.version.clone(),
        epoch: noted.epoch,
        resources: count(|_| true),
        in_sync: count(|verdict| *verdict == ResourceVerdict::InSync),
        drifted: count(|verdict| matches!(verdict, ResourceVerdict::Drifted(_) | ResourceVerdict::Deleted)),
        unknown: count(|verdict| matches!(verdict, ResourceVerdict::Unknown(_))),
        digest: digest_of(&drift),
        drift,
        unknowns: verdicts.iter().flat_map(|(resource, verdict)| unknowns(resource, verdict)).collect(),
    }
}

fn drifted(
    resource: &LiveResource,
    verdict: &ResourceVerdict,
    at: Timestamp,
    before: Option<&Findings>,
) -> Option<DriftedResource> {
    let since = |path: &str| {
        let known = before.into_iter().flat_map(|before| &before.drift);
        let known = known.filter(|known| known.name == resource.logical_id);
        let properties = known.flat_map(|known| &known.properties);
        properties
            .filter(|property| property.path == path)
            .map(|property| property.since)
            .next()
            .unwrap_or(at)
    };
    let properties = match verdict {
        ResourceVerdict::Deleted => {
            vec![(String::new(), ReportedValue::Value("exists".into()), ReportedValue::Absent)]
        }
        ResourceVerdict::Drifted(differences) => differences.clone(),
        ResourceVerdict::InSync | ResourceVerdict::Unknown(_) => return None,
    };
    Some(DriftedResource {
        name: resource.logical_id.clone(),
        resource_type: resource.resource_type.clone(),
        physical_id: resource.physical_id.clone(),
        deleted: *verdict == ResourceVerdict::Deleted,
        properties: properties
            .into_iter()
            .map(|(path, wanted, found)| DriftedProperty { since: since(&path), path, wanted, found })
            .collect(),
    })
}

fn unknowns(resource: &LiveResource, verdict: &ResourceVerdict) -> Vec<UnknownResource> {
    let ResourceVerdict::Unknown(causes) = verdict else { return Vec::new() };
    let one = |(cause, path, detail): &(_, String, String)| UnknownResource {
        name: resource.logical_id.clone(),
        resource_type: resource.resource_type.clone(),
        cause: *cause,
        path: path.clone(),
        detail: detail.clone(),
    };
    causes.iter().map(one).collect()
}

/// Returns the report after a look that concluded. `empty` is a new report of the environment.
pub fn concluded(before: Option<&DriftReport>, empty: DriftReport, findings: Findings) -> DriftReport {
    let (change, open) = change(before, &findings);
    let at = findings.at;
    following(before, DriftReport { findings: Some(findings), failed: None, change, open, ..empty }, at)
}

/// Returns the report after a look that concluded nothing. The findings of the look before remain, with their time.
pub fn inconclusive(before: Option<&DriftReport>, empty: DriftReport, failed: FailedLook) -> DriftReport {
    let has_failed = |report: &DriftReport| report.state() == DriftState::Failed;
    let is_new = failed.reason == Inconclusive::Failed && !before.is_some_and(has_failed);
    let change = is_new.then_some(DriftChange::CheckFailed);
    let findings = before.and_then(|report| report.findings.clone());
    let open = before.and_then(|report| report.open.clone());
    let at = failed.at;
    following(before, DriftReport { findings, failed: Some(failed), change, open, ..empty }, at)
}

/// Keeps the time of a state that continues, and the turn of the schedule.
fn following(before: Option<&DriftReport>, now: DriftReport, at: Timestamp) -> DriftReport {
    let since = before.filter(|before| before.state() == now.state()).map_or(at, |before| before.since);
    let turn = before.and_then(|before| before.turn.clone());
    DriftReport { since, turn, ..now }.bounded()
}

/// Returns the change against the drift that was reported before, and the drift that is open now. A look that found a
/// drifted resource unknown, or that failed, changes nothing: the same drift is reported once.
fn change(before: Option<&DriftReport>, now: &Findings) -> (Option<DriftChange>, Option<OpenDrift>) {
    let open = before.and_then(|report| report.open.as_ref());
    let is_unknown = |name: &String| now.unknowns.iter().any(|unknown| unknown.name == *name);
    let had_failed = before.is_some_and(|report| report.state() == DriftState::Failed);
    let drift = |digest: &Digest| {
        let names = now.drift.iter().map(|resource| resource.name.clone()).collect();
        Some(OpenDrift { digest: digest.clone(), names })
    };
    match (open, &now.digest) {
        (None, Some(digest)) => (Some(DriftChange::Drifted), drift(digest)),
        (Some(open), Some(digest)) if open.digest != *digest => (Some(DriftChange::Changed), drift(digest)),
        (Some(open), None) if !open.names.iter().any(is_unknown) => (Some(DriftChange::BackInSync), None),
        (Some(open), _) => (None, Some(open.clone())),
        (None, None) => {
            ((had_failed && now.state() == DriftState::InSync).then_some(DriftChange::BackInSync), None)
        }
    }
}
