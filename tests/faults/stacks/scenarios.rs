//! Scenarios of deployments and teardowns: the state before, the action, and the expected end.

use crate::bakes::scenarios::BakeStep;
use crate::harness::Harness;
use crate::images::scenarios::ImageStep;
use crate::organisation::{CONDITIONAL, EQUAL, FIRST, IMAGED, LOCAL, REMOVAL, SAFE};
use crate::scenarios::{CI, Meanwhile, Scenario, Step};
use crate::workflows::Work;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::Decision;
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_sim::cloudformation::Trouble;
use serde_json::json;

/// Another execution, which holds the environment.
pub const RIVAL: &str = "arn:aws:states:eu-west-1:333333333333:execution:lockstep-delivery-deploy:rival";

const TEARDOWN: Scenario = Scenario { work: Work::Teardown, ..CI };

const FIRST_IN_CI: Step = Step::Deploy("ci", FIRST);

/// A stage exists between `ci` and production, in another account.
const IN_STAGING: Step = Step::Bake(BakeStep::Staging);

/// The release that starts from an image has passed `ci`, where the image is.
const PASSED: Step = Step::Passed("ci", IMAGED);

/// Returns every scenario about stacks.
pub fn scenarios() -> Vec<Scenario> {
    use Decision::{Approve, Refuse};
    use ImageStep::{CopiesToStagingFail, Imported, Withheld};
    let production: &[Step] = &[FIRST_IN_CI];
    let later: &[Step] = &[FIRST_IN_CI, Step::Deploy("production", FIRST), Step::Deploy("ci", SAFE)];
    vec![
        Scenario { name: "create", ..CI },
        Scenario { name: "update", ground: &[FIRST_IN_CI], version: SAFE, ..CI },
        Scenario { name: "local-files", ground: &[FIRST_IN_CI], version: LOCAL, ..CI },
        Scenario { name: "no-change", ground: &[FIRST_IN_CI], version: EQUAL, ..CI },
        Scenario { name: "empty-change-set", ground: &[FIRST_IN_CI, Step::Forget], ..CI },
        Scenario {
            name: "drift-reverted",
            ground: &[FIRST_IN_CI, Step::Drift("Topic", "DisplayName")],
            revert_drift: true,
            ..CI
        },
        Scenario {
            name: "failing-create",
            ground: &[Step::Trouble("Bucket", Trouble::Create)],
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "failing-update",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Update)],
            version: SAFE,
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "failing-rollback",
            ground: &[
                FIRST_IN_CI,
                Step::Trouble("Topic", Trouble::Update),
                Step::Trouble("Topic", Trouble::Rollback),
            ],
            version: SAFE,
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "rollback-without-a-resource",
            ground: &[
                FIRST_IN_CI,
                Step::Trouble("Topic", Trouble::Update),
                Step::Trouble("Topic", Trouble::Rollback),
                Step::Deploy("ci", SAFE),
            ],
            version: SAFE,
            answers: &[Approve, Approve],
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "update-failed-remains",
            ground: &[FIRST_IN_CI, Step::Status(StackStatus::UpdateFailed)],
            version: SAFE,
            ..CI
        },
        Scenario { name: "review-remains", ground: &[Step::Review], ..CI },
        Scenario {
            name: "rollback-complete-remains",
            ground: &[Step::Trouble("Bucket", Trouble::Create), FIRST_IN_CI, Step::EndTrouble],
            ..CI
        },
        Scenario {
            name: "protected-remains",
            ground: &[
                Step::Trouble("Topic", Trouble::Create),
                FIRST_IN_CI,
                Step::EndTrouble,
                Step::Kept("Bucket"),
            ],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..CI
        },
        Scenario {
            name: "rollback-failed-remains",
            ground: &[
                Step::Trouble("Bucket", Trouble::Create),
                Step::Trouble("Topic", Trouble::Delete),
                FIRST_IN_CI,
                Step::EndTrouble,
            ],
            ..CI
        },
        Scenario {
            name: "undeletable-remains",
            ground: &[
                Step::Trouble("Bucket", Trouble::Create),
                Step::Trouble("Topic", Trouble::Delete),
                FIRST_IN_CI,
                Step::EndTrouble,
                Step::Trouble("Topic", Trouble::Delete),
            ],
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario { name: "another-caller", ground: &[FIRST_IN_CI, Step::ForeignUpdate], version: SAFE, ..CI },
        Scenario {
            name: "foreign-stack",
            ground: &[Step::Foreign],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..CI
        },
        Scenario { name: "rival", ground: &[FIRST_IN_CI, Step::Rival], version: SAFE, ..CI },
        Scenario {
            name: "conditional-replacement",
            ground: &[FIRST_IN_CI],
            version: CONDITIONAL,
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario {
            name: "removal-refused",
            ground: &[FIRST_IN_CI],
            version: REMOVAL,
            answers: &[Refuse, Refuse, Refuse],
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..CI
        },
        Scenario {
            name: "approved",
            ground: production,
            stage: "production",
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario {
            name: "no-answer",
            ground: production,
            stage: "production",
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..CI
        },
        Scenario {
            name: "changed-while-thinking",
            ground: later,
            stage: "production",
            version: SAFE,
            answers: &[Approve, Approve],
            meanwhile: Some(Meanwhile::StackChanges),
            ..CI
        },
        Scenario {
            name: "deploy-brings-an-image",
            ground: &[IN_STAGING, Step::Image(Imported), PASSED],
            stage: "staging",
            version: IMAGED,
            ..CI
        },
        Scenario {
            name: "deploy-moves-the-parameters",
            ground: &[Step::Image(Imported), PASSED],
            stage: "production",
            version: IMAGED,
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario {
            name: "deploy-cannot-bring-an-image",
            ground: &[IN_STAGING, Step::Image(Imported), Step::Image(CopiesToStagingFail), PASSED],
            stage: "staging",
            version: IMAGED,
            // The execution that should copy the image failed, and the cause gives the reason.
            ends: "States.TaskFailed",
            ..CI
        },
        Scenario {
            name: "deploy-of-a-withheld-image",
            ground: &[IN_STAGING, Step::Image(Imported), Step::Image(Withheld), PASSED],
            stage: "staging",
            version: IMAGED,
            ends: "ImageUnusable",
            again: "ImageUnusable",
            ..CI
        },
        Scenario { name: "teardown", ground: &[FIRST_IN_CI], answers: &[Approve, Approve], ..TEARDOWN },
        Scenario {
            name: "teardown-refused",
            ground: &[FIRST_IN_CI],
            answers: &[Refuse, Refuse],
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-fails",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Delete)],
            answers: &[Approve, Refuse],
            ends: "ApprovalRefused",
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-without-a-resource",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Delete)],
            answers: &[Approve, Approve],
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-of-what-is-protected",
            ground: &[FIRST_IN_CI, Step::Protect],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..TEARDOWN
        },
    ]
}

/// The rival fails and releases the environment.
pub async fn end_rival(harness: &Harness) {
    let error = json!({"Error": "CheckFailed", "Cause": "no host"});
    let id = DeploymentId::of_execution(RIVAL);
    let request = json!({"action": "fail", "deployment": id, "error": error});
    let suspended = harness.faults.suspend(true);
    drop(harness.ledger_function(&harness.fault_free, Callers::Delivery, request).await);
    harness.faults.suspend(suspended);
    harness.set_execution(RIVAL, "FAILED", harness.clock.now());
}
