//! Publication of a version of an image outside of a deployment: the parameters of an account of the promotion path
//! name it once the approvers of the stage agree.

use crate::delivery::approval;
use crate::delivery::stages::{Stage, Stages};
use crate::images::channels::leading;
use crate::images::lifecycle::{Purpose, obstacle};
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::AmiId;
use crate::records::{
    ApprovalDecision, Decision, Deployment, DeploymentState, FailureRecord, Image, ImageVersion, Publication,
    PublicationState, Subject,
};
use jiff::Timestamp;

/// Returns the AMI to publish in `stage`. `place` is the image in its account.
///
/// # Errors
/// `Rejected` if no deployment to the stage would set the parameters either, or if the version may not be used there.
pub fn admit(
    stages: &Stages,
    stage: &Stage,
    version: &ImageVersion,
    place: Option<&Image>,
) -> Result<AmiId, Failure> {
    let label = format!("{}@{}", version.name, version.version);
    if stage.path() == DeploymentPath::Delivery {
        return Err(Failure::rejected(format!(
            "the parameters of `{}` follow its newest version, so nothing is published there",
            stage.name
        )));
    }
    if let Some(other) = leading(stages, &stage.location()).filter(|other| other.name != stage.name) {
        return Err(Failure::rejected(format!(
            "the parameters of account {} follow the stage `{}`; publish {label} there",
            stage.account, other.name
        )));
    }
    if let Some(why) = obstacle(version, Purpose::Run) {
        return Err(Failure::rejected(format!("{label} cannot be used: it is {why}")));
    }
    place.filter(|place| place.is_usable()).and_then(|place| place.ami.clone()).ok_or_else(|| {
        Failure::rejected(format!("{label} is not in account {}: promote it first", stage.account))
    })
}

/// The records of a publication after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The publication.
    pub publication: Publication,
    /// The deployment that carries its question.
    pub deployment: Deployment,
}

/// Returns a publication that begins: published at once if the stage asks for no approval, and else waiting with its
/// question.
pub fn begin(publication: Publication, wants_approval: bool, now: Timestamp) -> Result<Step, Failure> {
    let deployment = publication.begun();
    if wants_approval {
        let deployment = approval::ask(&deployment, true, now)?;
        return Ok(Step { publication, deployment });
    }
    Ok(ended(publication, deployment, PublicationState::Published { at: now }, now))
}

/// Returns the next step of a waiting publication, or `None` if it continues to wait. `decision` is the record of the
/// answers to the question of `deployment`, and counts only for the facts of the publication. `ami` is the AMI of the
/// version now.
pub fn settle(
    (publication, deployment): (&Publication, &Deployment),
    decision: Option<&ApprovalDecision>,
    ami: &AmiId,
    now: Timestamp,
) -> Option<Step> {
    let end = |state| Some(ended(publication.clone(), deployment.clone(), state, now));
    if deployment.state.is_final() || deployment.cancellation.is_some() || publication.ami != *ami {
        return end(PublicationState::Ended);
    }
    let subject = Subject::Publish(Box::new(publication.subject()));
    let decision = decision.filter(|decision| {
        decision.deployment == publication.deployment && decision.question.subject == subject
    })?;
    match decision.decision? {
        Decision::Approve if decision.allows(now) => end(PublicationState::Published { at: now }),
        // An approval counts for a day, and the command was not repeated in that time.
        Decision::Approve | Decision::Refuse => end(PublicationState::Ended),
    }
}

fn ended(publication: Publication, deployment: Deployment, state: PublicationState, now: Timestamp) -> Step {
    let publication = Publication { state, ..publication };
    if deployment.state.is_final() {
        return Step { publication, deployment };
    }
    let (state, failure) = match state {
        PublicationState::Published { .. } => (DeploymentState::Succeeded, None),
        PublicationState::Waiting | PublicationState::Ended => {
            let error = FailureKind::ApprovalRefused.error_type().to_owned();
            let message = "the publication was refused or cancelled, or the command was not repeated within a day of the approval";
            (DeploymentState::Refused, Some(FailureRecord { error, message: message.to_owned() }))
        }
    };
    let deployment = Deployment { state, failure, finished_at: Some(now), ..deployment };
    Step { publication, deployment }
}

#[cfg(test)]
mod tests;
