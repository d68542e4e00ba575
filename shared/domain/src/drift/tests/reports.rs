//! Reports of looks, and the change of state against the looks before.

use crate::drift::look::ResourceVerdict;
use crate::drift::report::{concluded, findings, inconclusive, is_undisturbed, target};
use crate::messages::drift::Noted;
use crate::model::deployment_path::DeploymentPath;
use crate::records::{
    DriftChange, DriftReport, DriftState, Environment, FailedLook, Inconclusive, LeaseHolder, Record,
    ReportedValue, UnknownCause,
};
use crate::stacks::plan::LiveResource;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use serde_json::json;

fn environment() -> Environment {
    Environment::new("staging".parse().unwrap(), "logs", "logs".parse().unwrap())
}

fn empty() -> DriftReport {
    DriftReport::new(DeploymentPath::Promotion, &environment(), Timestamp::UNIX_EPOCH)
}

fn noted() -> Noted {
    Noted {
        epoch: 3,
        version: "1.0.0".parse().unwrap(),
        stack: "arn".into(),
        status: "UPDATE_COMPLETE".into(),
        updated: None,
    }
}

fn drifted(value: &str) -> ResourceVerdict {
    let (wanted, found) = (ReportedValue::Value(json!("a")), ReportedValue::Value(json!(value)));
    ResourceVerdict::Drifted(vec![("DelaySeconds".into(), wanted, found)])
}

fn unknown() -> ResourceVerdict {
    ResourceVerdict::Unknown(vec![(UnknownCause::Denied, String::new(), "sqs:GetQueueAttributes".into())])
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + minutes.minutes()
}

/// Returns the report after a look with a verdict for each resource `R0`, `R1` ..
fn look(before: Option<&DriftReport>, minutes: i64, verdicts: &[ResourceVerdict]) -> DriftReport {
    let resource = |index: usize| LiveResource {
        logical_id: format!("R{index}"),
        physical_id: "p".into(),
        resource_type: "AWS::SQS::Queue".into(),
        status: "CREATE_COMPLETE".into(),
    };
    let verdicts: Vec<_> =
        verdicts.iter().cloned().enumerate().map(|(i, verdict)| (resource(i), verdict)).collect();
    concluded(before, empty(), findings(&noted(), at(minutes), &verdicts, before))
}

fn failed(before: Option<&DriftReport>, minutes: i64, reason: Inconclusive) -> DriftReport {
    inconclusive(before, empty(), FailedLook { at: at(minutes), reason, message: "m".into() })
}

#[test]
fn drift_is_reported_once_until_it_changes_or_ends() {
    let first = look(None, 0, &[drifted("b"), ResourceVerdict::InSync]);
    assert_eq!((first.change, first.state()), (Some(DriftChange::Drifted), DriftState::Drifted));
    let same = look(Some(&first), 1, &[drifted("b"), ResourceVerdict::InSync]);
    assert_eq!((same.change, same.since), (None, at(0)));
    assert_eq!(same.findings.as_ref().unwrap().drift[0].properties[0].since, at(0));
    let other = look(Some(&same), 2, &[drifted("c"), ResourceVerdict::InSync]);
    assert_eq!(other.change, Some(DriftChange::Changed));
    let back = look(Some(&other), 3, &[ResourceVerdict::InSync, ResourceVerdict::InSync]);
    assert_eq!(
        (back.change, back.state(), back.since),
        (Some(DriftChange::BackInSync), DriftState::InSync, at(3))
    );
    assert_eq!(look(Some(&back), 4, &[ResourceVerdict::InSync]).change, None);
}

#[test]
fn a_look_that_cannot_see_the_drift_does_not_end_it() {
    let first = look(None, 0, &[drifted("b"), unknown()]);
    let unseen = look(Some(&first), 1, &[unknown(), ResourceVerdict::InSync]);
    assert_eq!((unseen.change, unseen.state()), (None, DriftState::Unknown));
    let again = look(Some(&unseen), 2, &[drifted("b"), unknown()]);
    assert_eq!(again.change, None, "the same drift is reported once");
    // What had drifted is in sync, and the unknown resource never was part of it.
    let back = look(Some(&again), 3, &[ResourceVerdict::InSync, unknown()]);
    assert_eq!((back.change, back.state()), (Some(DriftChange::BackInSync), DriftState::Unknown));
}

#[test]
fn a_failed_look_is_reported_once_and_old_findings_are_not_the_state() {
    let first = look(None, 0, &[ResourceVerdict::InSync]);
    assert_eq!(first.state(), DriftState::InSync);
    let broken = failed(Some(&first), 1, Inconclusive::Failed);
    assert_eq!((broken.change, broken.state()), (Some(DriftChange::CheckFailed), DriftState::Failed));
    assert_eq!(broken.findings.as_ref().unwrap().at, at(0));
    assert_eq!(failed(Some(&broken), 2, Inconclusive::Failed).change, None);
    let good = look(Some(&broken), 3, &[ResourceVerdict::InSync]);
    assert_eq!(good.change, Some(DriftChange::BackInSync));
    let disturbed = failed(Some(&good), 4, Inconclusive::DeployedMeanwhile);
    assert_eq!((disturbed.change, disturbed.state()), (None, DriftState::Unknown));
}

#[test]
fn a_deployment_between_beginning_and_end_disturbs_a_look() {
    assert!(is_undisturbed(&noted(), Some(&noted())));
    assert!(!is_undisturbed(&noted(), None));
    for other in [
        Noted { epoch: 4, ..noted() },
        Noted { status: "UPDATE_IN_PROGRESS".into(), ..noted() },
        Noted { updated: Some(at(1)), ..noted() },
        Noted { version: "1.0.1".parse().unwrap(), ..noted() },
    ] {
        assert!(!is_undisturbed(&noted(), Some(&other)), "{other:?}");
    }
}

#[test]
fn an_environment_without_a_release_or_with_a_deployment_is_not_looked_at() {
    assert!(target(&environment()).unwrap_err().contains("no release runs"));
    let holder = LeaseHolder {
        deployment: crate::model::ids::DeploymentId::of_execution("e"),
        execution: "e".into(),
        since: Timestamp::UNIX_EPOCH,
    };
    let held = Environment { holder: Some(holder), ..environment() };
    assert!(target(&held).unwrap_err().contains("holds the environment"));
}

#[test]
fn a_report_of_any_size_fits_into_an_item_and_keeps_its_counts() {
    let long = "x".repeat(900);
    let many: Vec<ResourceVerdict> =
        (0..1000).map(|n| if n % 2 == 0 { drifted(&long) } else { unknown() }).collect();
    let report = look(None, 0, &many);
    assert!(serde_json::to_string(&report).unwrap().len() < 400 * 1024);
    let findings = report.findings.unwrap();
    assert_eq!((findings.resources, findings.drifted, findings.unknown), (1000, 500, 500));
    assert!(!findings.drift.is_empty());
}

#[test]
fn each_path_has_its_own_key() {
    let of = |path| DriftReport::new(path, &environment(), Timestamp::UNIX_EPOCH).key();
    assert_eq!(of(DeploymentPath::Promotion).to_string(), "DRIFT#staging ENVIRONMENT#logs");
    assert_ne!(of(DeploymentPath::Promotion), of(DeploymentPath::Delivery));
}

fn verdicts() -> impl Strategy<Value = Vec<ResourceVerdict>> {
    let one = proptest::sample::select(vec![
        ResourceVerdict::InSync,
        ResourceVerdict::Deleted,
        drifted("b"),
        unknown(),
    ]);
    proptest::collection::vec(one, 0..6)
}

proptest! {
    /// An environment is in sync only if each resource is, and each resource is counted once.
    #[test]
    fn an_unknown_resource_never_makes_an_environment_clean(verdicts in verdicts()) {
        let report = look(None, 0, &verdicts);
        let all = verdicts.iter().all(|verdict| *verdict == ResourceVerdict::InSync);
        prop_assert_eq!(report.state() == DriftState::InSync, all);
        let found = report.findings.unwrap();
        prop_assert_eq!(found.in_sync + found.drifted + found.unknown, found.resources);
    }
}
