//! S6 C4: a sweep that an attacker controls proposes to close, to retire or to delete what is in use.
//!
//! Fails without the rule that the sweep writes no record of another owner, and that each owner looks itself.

use crate::{every_role, role_of};
use jiff::{Timestamp, ToSpan};
use lockstep_domain::delivery::sweep::{DeliveryStep, EVENT_MINUTES, event};
use lockstep_domain::images::lifecycle::apply;
use lockstep_domain::images::retention::{Presence, RetentionStep, change, why_record_stays};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{ImageOrigin, ImageVersion, Table, WebhookDelivery, WebhookDeliveryState};
use lockstep_tests::installed::TOOLING;
use lockstep_tests::policy::Context;
use lockstep_tests::stack::REGION;

/// Partition keys of every owner.
const KEYS: [&str; 9] = [
    "APPROVAL#d1",
    "COMPONENT#logs",
    "CONFIG",
    "DEPLOYMENT#d1",
    "EVENT#github#1",
    "EVIDENCE#logs",
    "IMAGE#logstash",
    "STAGE#production",
    "WAIT#op",
];

#[test]
fn the_sweep_writes_no_record_of_another_owner() {
    let sweep = role_of("sweep");
    let arn = |table: &Table| format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
    for table in Table::OF_CONTROL_PLANE {
        for action in ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"] {
            for key in KEYS {
                let keys: Context<'_> = [("dynamodb:leadingkeys", key)].into();
                assert!(!sweep.may(action, &arn(table), &keys), "{action} of {key} in {table:?}");
            }
        }
    }
    let report: Context<'_> = [("dynamodb:leadingkeys", "SWEEP")].into();
    assert!(sweep.may("dynamodb:PutItem", &arn(&Table::Sweep), &report), "the evaluator decides");
}

#[test]
fn the_sweep_starts_no_release_and_no_deployment() {
    let machine = |name: &str| format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-{name}");
    for name in
        ["release", "promote", "promotion-deploy", "promotion-teardown", "delivery-deploy", "bake-image"]
    {
        assert!(!role_of("sweep").may("states:StartExecution", &machine(name), &[].into()), "{name}");
    }
    assert!(role_of("sweep").may("states:StartExecution", &machine("delivery-teardown"), &[].into()));
    assert!(every_role().len() > 20);
}

#[test]
fn a_proposal_about_a_recent_or_a_finished_delivery_is_left() {
    let accepted_at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let delivery = |state| WebhookDelivery {
        provider: "github".into(),
        delivery: "1".into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state,
        execution: "t1".into(),
        end: None,
        accepted_at,
        finished_at: None,
    };
    let recent = delivery(WebhookDeliveryState::Accepted);
    let late = accepted_at.checked_add((EVENT_MINUTES + 1).minutes()).unwrap();
    assert_eq!(event(&recent, &[], accepted_at), DeliveryStep::Leave);
    assert_eq!(event(&delivery(WebhookDeliveryState::Finished), &[], late), DeliveryStep::Leave);
    assert_eq!(event(&delivery(WebhookDeliveryState::Started), &[], late), DeliveryStep::Look, "if it ended");
}

#[test]
fn the_record_of_an_image_remains_while_open_present_or_copied() {
    for state in ImageVersionState::ALL {
        let is_closed = matches!(
            state,
            ImageVersionState::Retired | ImageVersionState::Discarding | ImageVersionState::Discarded
        );
        assert!(why_record_stays(Some(*state), Presence::There).is_some(), "{state}");
        assert!(why_record_stays(Some(*state), Presence::Copied).is_some(), "{state}");
        assert_eq!(why_record_stays(Some(*state), Presence::Gone).is_none(), is_closed, "{state}");
    }
}

#[test]
fn no_step_closes_a_usable_version_at_once() {
    let now = Timestamp::UNIX_EPOCH;
    let version = ImageVersion {
        name: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: None,
        required: Default::default(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "import".into(),
        recorded_at: now,
    };
    let steps = [
        RetentionStep::Deprecate,
        RetentionStep::Restore { needed_by: Default::default() },
        RetentionStep::Remove,
    ];
    for step in steps {
        let next = change(&step, &version, false, now).and_then(|change| apply(&version, &change).ok());
        let state = next.map_or(ImageVersionState::Usable, |next| next.state);
        assert_ne!(state, ImageVersionState::Retired, "{step:?}");
        assert_ne!(state, ImageVersionState::Discarded, "{step:?}");
    }
}
