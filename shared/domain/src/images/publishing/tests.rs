use super::*;
use crate::delivery::stages::testing::{stage_text, text_of};
use crate::images::constraint::tests::known;
use crate::images::retention::tests::{DEVELOPMENT, PRODUCTION, image};
use crate::model::image_version_state::ImageVersionState;
use crate::model::person::{Caller, Starter};
use jiff::ToSpan;

fn stages() -> Stages {
    let text = text_of([
        stage_text("test", DEVELOPMENT),
        stage_text("ci", DEVELOPMENT).propagating(),
        stage_text("staging", PRODUCTION),
        stage_text("production", PRODUCTION).with_approval(),
    ]);
    Stages::parse("stages.toml", &text).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

fn admitted(stage: &str, version: &ImageVersion, place: Option<&Image>) -> Result<String, String> {
    let stages = stages();
    let stage = stages.named(&stage.parse().unwrap()).unwrap();
    admit(&stages, stage, version, place).map(|ami| ami.to_string()).map_err(|failure| failure.message)
}

fn publication() -> Publication {
    let place = image("2.1.37", PRODUCTION);
    Publication {
        deployment: Publication::id_of(&"production".parse().unwrap(), &place.name, &place.version, 0),
        stage: "production".parse().unwrap(),
        location: place.location,
        image: place.name,
        version: place.version,
        ami: place.ami.unwrap(),
        by: Caller { arn: "arn:ada".into(), user_id: "AIDA".into(), account: "333333333333".into() },
        asked_at: at(0),
        state: PublicationState::Waiting,
    }
}

/// Returns the record of the answers to the question of a deployment, with a decision of minute 1.
fn decided(deployment: &Deployment, decision: Decision) -> ApprovalDecision {
    ApprovalDecision {
        deployment: deployment.id.clone(),
        question: deployment.approvals.last().unwrap().clone(),
        answers: Vec::new(),
        decision: Some(decision),
        valid_until: at(1).checked_add(24.hours()).ok(),
    }
}

#[test]
fn a_version_is_published_where_deployments_set_the_parameters() {
    let (version, here) = (known("2.1.37"), image("2.1.37", PRODUCTION));
    assert_eq!(admitted("production", &version, Some(&here)).unwrap(), "ami-0123456789abcdef0");
    assert!(admitted("ci", &version, Some(&here)).unwrap_err().contains("newest version"));
    assert!(
        admitted("staging", &version, Some(&here)).unwrap_err().contains("publish logstash@2.1.37 there")
    );
    assert!(admitted("production", &version, None).unwrap_err().contains("promote it first"));
    let gone = ImageVersion { state: ImageVersionState::Retired, ..version };
    assert!(admitted("production", &gone, Some(&here)).unwrap_err().contains("retired"));
}

#[test]
fn a_stage_without_an_approval_publishes_at_once() {
    let step = begin(publication(), false, at(0)).unwrap();
    assert_eq!(step.publication.state, PublicationState::Published { at: at(0) });
    assert_eq!(step.deployment.state, DeploymentState::Succeeded);
    assert!(step.deployment.approvals.is_empty());
}

#[test]
fn an_approval_publishes_and_a_refusal_or_a_late_repetition_does_not() {
    let Step { publication, deployment } = begin(publication(), true, at(0)).unwrap();
    assert_eq!(deployment.state, DeploymentState::AwaitingApproval);
    assert_eq!(deployment.starter, Starter::Caller(publication.by.clone()));
    let ami = publication.ami.clone();
    let settled = |decision: Option<ApprovalDecision>, minute: i64| {
        settle((&publication, &deployment), decision.as_ref(), &ami, at(minute))
            .map(|step| (step.publication.state, step.deployment.state))
    };
    assert_eq!(settled(None, 5), None);
    let undecided = ApprovalDecision { decision: None, ..decided(&deployment, Decision::Approve) };
    assert_eq!(settled(Some(undecided), 5), None);
    let published = (PublicationState::Published { at: at(5) }, DeploymentState::Succeeded);
    assert_eq!(settled(Some(decided(&deployment, Decision::Approve)), 5), Some(published));
    let ended = Some((PublicationState::Ended, DeploymentState::Refused));
    assert_eq!(settled(Some(decided(&deployment, Decision::Refuse)), 5), ended);
    assert_eq!(settled(Some(decided(&deployment, Decision::Approve)), 24 * 60 + 1), ended);
}

#[test]
fn an_answer_about_another_image_publishes_nothing() {
    let Step { publication, deployment } = begin(publication(), true, at(0)).unwrap();
    let other = Publication { version: "2.1.38".parse().unwrap(), ..publication.clone() };
    let mut decision = decided(&deployment, Decision::Approve);
    decision.question.subject = Subject::Publish(Box::new(other.subject()));
    assert_eq!(settle((&publication, &deployment), Some(&decision), &publication.ami, at(5)), None);
    // The image was built again meanwhile, so the answer is about an AMI that is gone.
    let ami = "ami-99999999".parse().unwrap();
    let decision = decided(&deployment, Decision::Approve);
    let step = settle((&publication, &deployment), Some(&decision), &ami, at(5)).unwrap();
    assert_eq!(step.publication.state, PublicationState::Ended);
}

#[test]
fn a_changed_deployment_is_not_the_publication() {
    let Step { publication, deployment } = begin(publication(), true, at(0)).unwrap();
    assert!(publication.check(&deployment).is_ok());
    let changed: [&dyn Fn(&mut Deployment); 3] =
        [&|it| it.starter = Starter::Unknown, &|it| it.version = "2.1.38".parse().unwrap(), &|it| {
            it.location.account = DEVELOPMENT.parse().unwrap()
        }];
    for change in changed {
        let mut other = deployment.clone();
        change(&mut other);
        assert!(publication.check(&other).is_err(), "{other:?}");
    }
}

#[test]
fn a_cancelled_publication_ends() {
    let Step { publication, mut deployment } = begin(publication(), true, at(0)).unwrap();
    deployment.cancellation =
        Some(crate::records::Cancellation { by: "arn:ada".into(), reason: "a mistake".into(), at: at(1) });
    let step = settle((&publication, &deployment), None, &publication.ami, at(5)).unwrap();
    assert_eq!(
        (step.publication.state, step.deployment.state),
        (PublicationState::Ended, DeploymentState::Refused)
    );
}
