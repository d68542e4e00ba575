//! Reports of looks for drift, as tables and lines.

use super::time;
use crate::failure::Exit;
use lockstep_domain::records::{DriftReport, DriftState, DriftedResource, Findings, UnknownResource};

/// The head of [`rows`].
pub const HEAD: [&str; 5] = ["environment", "version", "looked at", "drift", "resources"];

/// Returns a row for each report.
pub fn rows(reports: &[DriftReport]) -> Vec<[String; 5]> {
    reports.iter().map(row).collect()
}

fn row(report: &DriftReport) -> [String; 5] {
    let name = format!("{}/{}", report.stage, report.environment);
    let at =
        report.failed.as_ref().map(|failed| failed.at).or(report.findings.as_ref().map(|found| found.at));
    let version = report.findings.as_ref().map(|found| found.version.to_string());
    // The counts of an earlier look are not those of a look that concluded nothing.
    let counts = report.findings.as_ref().filter(|_| report.failed.is_none()).map(counts);
    let dash = || "-".to_owned();
    [
        name,
        version.unwrap_or_else(dash),
        at.map_or_else(dash, time),
        state(report),
        counts.unwrap_or_else(dash),
    ]
}

fn state(report: &DriftReport) -> String {
    match (report.state(), &report.failed) {
        (DriftState::InSync, _) => "in sync".to_owned(),
        (DriftState::Drifted, _) => "drifted".to_owned(),
        (DriftState::Unknown, None) => "unknown".to_owned(),
        (DriftState::Unknown, Some(failed)) => format!("unknown: {}", failed.reason),
        (DriftState::Failed, _) => "check failed".to_owned(),
    }
}

/// Returns the counts of a look: each resource is in one of them.
fn counts(found: &Findings) -> String {
    let mut parts = vec![format!("{} of {} in sync", found.in_sync, found.resources)];
    if found.drifted > 0 {
        parts.push(format!("drifted {} of {}", found.drifted, found.resources));
    }
    if found.unknown > 0 {
        parts.push(format!("unknown {} of {}", found.unknown, found.resources));
    }
    parts.join(", ")
}

/// Returns the lines that explain a report.
pub fn explain(report: &DriftReport) -> Vec<String> {
    let mut lines = vec![headline(report)];
    if let Some(failed) = &report.failed {
        lines.push(format!("the look of {} concluded nothing: {}", time(failed.at), failed.message));
    }
    let Some(found) = &report.findings else { return lines };
    if report.failed.is_some() {
        lines.push(format!("the last look that concluded, of {}: {}", time(found.at), counts(found)));
    } else {
        lines.push(format!("looked at {}, release {}: {}", time(found.at), found.version, counts(found)));
    }
    lines.extend(found.drift.iter().flat_map(drifted));
    lines.extend(omitted(found.drifted, found.drift.len(), "drifted resources"));
    lines.extend(found.unknowns.iter().map(unknown));
    let listed: std::collections::BTreeSet<&str> =
        found.unknowns.iter().map(|one| one.name.as_str()).collect();
    lines.extend(omitted(found.unknown, listed.len(), "unknown resources"));
    lines
}

/// Returns the state of an environment, and the time since which it has it.
pub fn headline(report: &DriftReport) -> String {
    format!("{}/{}: {} since {}", report.stage, report.environment, state(report), time(report.since))
}

fn drifted(resource: &DriftedResource) -> Vec<String> {
    let about = format!("{} ({}, {})", resource.name, resource.resource_type, resource.physical_id);
    if resource.deleted {
        let since = resource.properties.first().map(|property| format!(", since {}", time(property.since)));
        return vec![format!("{about}: deleted{}", since.unwrap_or_default())];
    }
    let property = |one: &lockstep_domain::records::DriftedProperty| {
        let path = if one.path.is_empty() { "(all)" } else { &one.path };
        format!("  {path}: wanted {}, found {}, since {}", one.wanted, one.found, time(one.since))
    };
    std::iter::once(format!("{about}: drifted")).chain(resource.properties.iter().map(property)).collect()
}

fn unknown(one: &UnknownResource) -> String {
    let path = if one.path.is_empty() { String::new() } else { format!(" {}", one.path) };
    let detail = if one.detail.is_empty() { String::new() } else { format!(": {}", one.detail) };
    format!("{}{path} ({}): unknown, {}{detail}", one.name, one.resource_type, one.cause)
}

fn omitted(count: u32, listed: usize, what: &str) -> Option<String> {
    let more = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(listed);
    (more > 0).then(|| format!("{more} more {what} did not fit into the report"))
}

/// Returns the command that explains an environment that has drifted, or whose look failed; `None` for any other.
pub fn explain_with(report: &DriftReport) -> Option<String> {
    let (stage, name) = (&report.stage, &report.environment);
    let command = match report.component.as_str() == name {
        true => format!("lockstep drift explain {name} --in {stage}"),
        false => format!("lockstep drift explain {} --in {stage} --environment {name}", report.component),
    };
    matches!(report.state(), DriftState::Drifted | DriftState::Failed).then_some(command)
}

/// Returns the exit code for the reports: a failed look is a failure, and a person decides about drift and about what was
/// not looked at.
pub fn exit(reports: &[DriftReport]) -> Exit {
    let any = |state| reports.iter().any(|report| report.state() == state);
    if any(DriftState::Failed) {
        Exit::Failed
    } else if any(DriftState::Drifted) || any(DriftState::Unknown) {
        Exit::NeedsHuman
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lockstep_domain::model::deployment_path::DeploymentPath;
    use lockstep_domain::records::{
        DriftedProperty, Environment, FailedLook, Inconclusive, ReportedValue, UnknownCause,
    };

    fn report() -> DriftReport {
        let environment = Environment::new("staging".parse().unwrap(), "logs", "logs".parse().unwrap());
        DriftReport::new(DeploymentPath::Promotion, &environment, Timestamp::UNIX_EPOCH)
    }

    fn findings() -> Findings {
        Findings {
            at: Timestamp::UNIX_EPOCH,
            version: "2.1.0".parse().unwrap(),
            epoch: 1,
            resources: 4,
            in_sync: 2,
            drifted: 1,
            unknown: 1,
            digest: None,
            drift: vec![DriftedResource {
                name: "Queue".into(),
                resource_type: "AWS::SQS::Queue".into(),
                physical_id: "https://sqs/q".into(),
                deleted: false,
                properties: vec![
                    DriftedProperty {
                        path: "DelaySeconds".into(),
                        wanted: ReportedValue::Value(5.into()),
                        found: ReportedValue::Value(60.into()),
                        since: Timestamp::UNIX_EPOCH,
                    },
                    DriftedProperty {
                        path: "KmsMasterKeyId".into(),
                        wanted: ReportedValue::Hidden,
                        found: ReportedValue::Hidden,
                        since: Timestamp::UNIX_EPOCH,
                    },
                ],
            }],
            unknowns: vec![UnknownResource {
                name: "Logs".into(),
                resource_type: "AWS::Logs::LogGroup".into(),
                cause: UnknownCause::Denied,
                path: String::new(),
                detail: "not authorized to perform: logs:DescribeLogGroups".into(),
            }],
        }
    }

    fn looked(findings: Findings) -> DriftReport {
        DriftReport { findings: Some(findings), ..report() }
    }

    fn failed(reason: Inconclusive, before: Option<Findings>) -> DriftReport {
        let failed = FailedLook { at: Timestamp::UNIX_EPOCH, reason, message: "why".into() };
        DriftReport { failed: Some(failed), findings: before, ..report() }
    }

    #[test]
    fn a_drifted_environment_is_explained_property_by_property() {
        insta::assert_snapshot!(explain(&looked(findings())).join("\n"));
    }

    #[test]
    fn a_look_that_concluded_nothing_shows_when_the_findings_are_from() {
        insta::assert_snapshot!(explain(&failed(Inconclusive::Failed, Some(findings()))).join("\n"));
    }

    #[test]
    fn a_failed_look_has_no_counts_and_is_never_in_sync() {
        let clean =
            Findings { in_sync: 4, drifted: 0, unknown: 0, drift: vec![], unknowns: vec![], ..findings() };
        let [_, _, _, state, counts] = row(&failed(Inconclusive::Failed, Some(clean.clone())));
        assert_eq!((state.as_str(), counts.as_str()), ("check failed", "-"));
        let [_, _, _, state, counts] = row(&looked(clean));
        assert_eq!((state.as_str(), counts.as_str()), ("in sync", "4 of 4 in sync"));
        let [_, _, _, state, _] = row(&failed(Inconclusive::DeployedMeanwhile, None));
        assert_eq!(state, "unknown: deployed-meanwhile");
    }

    #[test]
    fn only_reports_that_are_all_in_sync_exit_with_zero() {
        let clean = looked(Findings { in_sync: 4, drifted: 0, unknown: 0, ..findings() });
        let unknown = looked(Findings { in_sync: 3, drifted: 0, unknown: 1, ..findings() });
        assert_eq!(exit(std::slice::from_ref(&clean)), Exit::Done);
        assert_eq!(exit(&[clean.clone(), unknown]), Exit::NeedsHuman);
        assert_eq!(exit(&[clean.clone(), looked(findings())]), Exit::NeedsHuman);
        assert_eq!(exit(&[looked(findings()), failed(Inconclusive::Failed, None)]), Exit::Failed);
        assert_eq!(explain_with(&clean), None);
        let drifted = explain_with(&looked(findings())).unwrap();
        assert_eq!(drifted, "lockstep drift explain logs --in staging");
    }
}
