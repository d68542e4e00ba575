//! Looks at one resource: the source that reads it, and the verdict out of both answers.

use super::{context, facts};
use crate::drift::look::{Detected, Look, READS_MAX, Reading, ResourceVerdict, Route, judge, plan};
use crate::model::drift_status::DriftStatus;
use crate::records::UnknownCause;
use crate::stacks::plan::LiveResource;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const QUEUE: &str = "AWS::SQS::Queue";

fn resource(name: &str, resource_type: &str) -> LiveResource {
    LiveResource {
        logical_id: name.to_owned(),
        physical_id: format!("id-of-{name}"),
        resource_type: resource_type.to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
    }
}

fn detected(status: DriftStatus, actual: Option<Value>) -> Detected {
    let expected = actual.is_some().then(|| json!({"DelaySeconds": 5}));
    Detected { status, expected, actual }
}

fn verdict(detected: Option<&Detected>, reading: Option<&Reading>) -> ResourceVerdict {
    verdict_on(QUEUE, &json!({"DelaySeconds": 5}), detected, reading, &[])
}

fn verdict_on(
    resource_type: &str,
    declared: &Value,
    detected: Option<&Detected>,
    reading: Option<&Reading>,
    shared: &[&'static str],
) -> ResourceVerdict {
    let (context, facts) = (context(), facts(resource_type));
    judge(&Look {
        resource_type,
        detected,
        reading,
        declared: Some(declared),
        facts,
        context: &context,
        shared,
    })
}

fn model(delay: u32) -> Reading {
    Reading::Model(json!({"DelaySeconds": delay}))
}

fn causes(verdict: &ResourceVerdict) -> Vec<UnknownCause> {
    match verdict {
        ResourceVerdict::Unknown(causes) => causes.iter().map(|(cause, _, _)| *cause).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_detection_decides_what_it_found_in_sync_and_a_read_the_rest() {
    let resources = [
        resource("A", QUEUE),
        resource("B", QUEUE),
        resource("C", QUEUE),
        resource("D", "AWS::Lambda::Permission"),
        resource("E", "Custom::Thing"),
    ];
    let found = BTreeMap::from([
        ("A".to_owned(), detected(DriftStatus::InSync, None)),
        ("B".to_owned(), detected(DriftStatus::Modified, Some(json!({})))),
    ]);
    let facts = [QUEUE, "AWS::Lambda::Permission"].map(|name| (name.to_owned(), facts(name).clone())).into();
    let expected = [
        Route::Detection,
        Route::Read("id-of-B".to_owned()),
        Route::Read("id-of-C".to_owned()),
        Route::Unread(UnknownCause::Unidentified),
        Route::Unread(UnknownCause::Unsupported),
    ];
    assert_eq!(plan(&resources, &found, &facts), expected);
}

#[test]
fn reads_have_a_limit_and_what_has_changed_comes_first() {
    let mut resources: Vec<LiveResource> =
        (0..READS_MAX).map(|n| resource(&format!("R{n}"), QUEUE)).collect();
    resources.push(resource("Last", QUEUE));
    let found = BTreeMap::from([("Last".to_owned(), detected(DriftStatus::Modified, None))]);
    let routes = plan(&resources, &found, &[(QUEUE.to_owned(), facts(QUEUE).clone())].into());
    assert_eq!(routes[READS_MAX], Route::Read("id-of-Last".to_owned()));
    let limited = routes.iter().filter(|route| **route == Route::Unread(UnknownCause::Limit)).count();
    assert_eq!(limited, 1);
}

#[test]
fn both_sources_give_one_verdict() {
    let in_sync = detected(DriftStatus::InSync, None);
    assert_eq!(verdict(Some(&in_sync), None), ResourceVerdict::InSync);
    assert_eq!(verdict(None, Some(&model(5))), ResourceVerdict::InSync);
    assert!(matches!(verdict(None, Some(&model(6))), ResourceVerdict::Drifted(_)));

    let modified = detected(DriftStatus::Modified, Some(json!({"DelaySeconds": 6})));
    assert!(matches!(verdict(Some(&modified), Some(&model(6))), ResourceVerdict::Drifted(_)));
    assert_eq!(causes(&verdict(Some(&modified), Some(&model(5)))), [UnknownCause::Disagreement]);
    // The detection alone decides where the live model cannot be read.
    let denied = Reading::Denied("sqs:GetQueueAttributes".to_owned());
    assert!(matches!(verdict(Some(&modified), Some(&denied)), ResourceVerdict::Drifted(_)));

    let deleted = detected(DriftStatus::Deleted, None);
    assert_eq!(verdict(Some(&deleted), Some(&Reading::NotFound)), ResourceVerdict::Deleted);
    assert_eq!(causes(&verdict(Some(&deleted), Some(&model(5)))), [UnknownCause::Disagreement]);
}

#[test]
fn a_difference_that_a_rule_explains_is_no_drift() {
    // CloudFormation compares texts: it calls a number and a text of it different.
    let modified = detected(DriftStatus::Modified, Some(json!({"DelaySeconds": "5"})));
    assert_eq!(verdict(Some(&modified), Some(&model(5))), ResourceVerdict::InSync);
}

#[test]
fn denied_and_unsupported_are_told_apart() {
    let denied = Reading::Denied("sqs:GetQueueAttributes".to_owned());
    for (reading, cause) in [
        (denied, UnknownCause::Denied),
        (Reading::Unsupported, UnknownCause::Unsupported),
        (Reading::NotFound, UnknownCause::NotFound),
        (Reading::Limit, UnknownCause::Limit),
        (Reading::Unidentified, UnknownCause::Unidentified),
        (Reading::Failed("timeout".to_owned()), UnknownCause::Failed),
    ] {
        assert_eq!(causes(&verdict(None, Some(&reading))), [cause], "{reading:?}");
    }
}

#[test]
fn a_masked_secret_is_unknown_and_no_drift() {
    let declared = json!({"DelaySeconds": "****"});
    let modified = Detected {
        status: DriftStatus::Modified,
        expected: Some(declared.clone()),
        actual: Some(json!({"DelaySeconds": "real"})),
    };
    let verdict = verdict_on(QUEUE, &declared, Some(&modified), None, &[]);
    assert_eq!(causes(&verdict), [UnknownCause::Unresolved]);
}

#[test]
fn a_member_that_a_sibling_may_have_added_is_unknown() {
    let group = "AWS::EC2::SecurityGroup";
    let own = json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/8"});
    let other = json!({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"});
    let declared = json!({"SecurityGroupIngress": [own]});
    let live = Reading::Model(json!({"SecurityGroupIngress": [own, other]}));
    let alone = verdict_on(group, &declared, None, Some(&live), &[]);
    assert!(matches!(alone, ResourceVerdict::Drifted(_)), "{alone:?}");
    let shared = verdict_on(group, &declared, None, Some(&live), &["SecurityGroupIngress"]);
    assert_eq!(causes(&shared), [UnknownCause::Shared]);
}

fn statuses() -> impl Strategy<Value = Option<Detected>> {
    prop_oneof![
        Just(None),
        proptest::sample::select(vec![
            DriftStatus::Modified,
            DriftStatus::Deleted,
            DriftStatus::NotChecked,
            DriftStatus::Unsupported,
            DriftStatus::Unknown,
        ])
        .prop_map(|status| Some(detected(status, None))),
    ]
}

fn failures() -> impl Strategy<Value = Option<Reading>> {
    proptest::sample::select(vec![
        None,
        Some(Reading::NotFound),
        Some(Reading::Unsupported),
        Some(Reading::Denied(String::new())),
        Some(Reading::Failed(String::new())),
        Some(Reading::Limit),
        Some(Reading::Unidentified),
    ])
}

proptest! {
    /// Only an answer makes a resource clean: no status but in sync, and no failed read.
    #[test]
    fn unknown_is_never_clean(status in statuses(), reading in failures()) {
        prop_assert_ne!(verdict(status.as_ref(), reading.as_ref()), ResourceVerdict::InSync);
    }
}
