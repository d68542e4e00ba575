//! Maps events of AWS to the operations that may have ended.
//!
//! Events are hints. An event of an unknown shape, or of a stack that Lockstep does not own, is ignored. For a known
//! event, `resume` looks for a callback, and the waiting state then inspects the stack or the image itself.

use crate::messages::resume::Wake;
use crate::model::token::is_client_token;
use crate::stacks::plan::{Phase, StackStatus, operation_key};
use serde_json::Value;

/// The final states of an image.
const IMAGE_ENDS: [&str; 5] = ["available", "failed", "error", "invalid", "deregistered"];

/// Returns the key of the operation that `event` reports as ended, see [`crate::records::Callback`].
///
/// Accepts Lockstep's own [`Wake`], CloudFormation's "Stack Status Change" of a root or nested stack
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacks-event-bridge.html>; only operations of
/// Lockstep have its tokens, and nested stacks have none), EC2's "AMI State Change"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html>), and CodeBuild's "Build State
/// Change" (<https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html>).
pub fn ended_operation(event: &Value) -> Option<String> {
    if let Ok(wake) = serde_json::from_value::<Wake>(event.clone()) {
        return Some(wake.wake);
    }
    match (text(event, "/source")?, text(event, "/detail-type")?) {
        ("aws.cloudformation", "CloudFormation Stack Status Change") => ended_stack_operation(event),
        ("aws.ec2", "EC2 AMI State Change") => ended_image(event),
        ("aws.codebuild", "CodeBuild Build State Change") => ended_build(event),
        _ => None,
    }
}

/// Returns the account of `event`; `None` for messages of Lockstep itself.
pub fn account_of(event: &Value) -> Option<&str> {
    text(event, "/account")
}

fn ended_stack_operation(event: &Value) -> Option<String> {
    let token = text(event, "/detail/client-request-token").filter(|token| is_client_token(token))?;
    let status = StackStatus::parse(text(event, "/detail/status-details/status")?);
    let ended = match status.phase() {
        // The stack exists only for its change set: no operation has run.
        Phase::Ended => status != StackStatus::ReviewInProgress,
        Phase::Running => false,
        // A superfluous check is harmless.
        Phase::Unknown => true,
    };
    ended.then(|| operation_key(text(event, "/detail/stack-id").unwrap_or_default(), token))
}

fn ended_image(event: &Value) -> Option<String> {
    let state = text(event, "/detail/State")?;
    let image = text(event, "/resources/0")?;
    IMAGE_ENDS.contains(&state).then(|| image.to_owned())
}

/// Returns the build unless it is in progress: any other status is an end, and a superfluous check is harmless.
fn ended_build(event: &Value) -> Option<String> {
    let running = text(event, "/detail/build-status")? == "IN_PROGRESS";
    let build = text(event, "/detail/build-id")?;
    (!running).then(|| build.to_owned())
}

fn text<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::client_token;
    use serde_json::json;

    const STACK: &str = "arn:aws:cloudformation:eu-west-1:222222222222:stack/ci-a/1";
    const IMAGE: &str = "arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0";

    fn stack_event(status: &str, token: &str) -> Value {
        json!({
            "source": "aws.cloudformation",
            "detail-type": "CloudFormation Stack Status Change",
            "account": "222222222222",
            "resources": [STACK],
            "detail": {
                "stack-id": STACK,
                "status-details": {"status": status, "status-reason": ""},
                "client-request-token": token,
            },
        })
    }

    fn image_event(state: &str) -> Value {
        json!({
            "source": "aws.ec2",
            "detail-type": "EC2 AMI State Change",
            "resources": [IMAGE],
            "detail": {"RequestId": "r", "ImageId": "ami-0123456789abcdef0", "State": state, "ErrorMessage": ""},
        })
    }

    #[test]
    fn the_end_of_our_operation_is_its_stack_and_token() {
        let token = client_token("d", "execute", 1);
        let key = operation_key(STACK, &token);
        for ended in ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "DELETE_FAILED", "SOMETHING_NEW"] {
            assert_eq!(ended_operation(&stack_event(ended, &token)), Some(key.clone()), "{ended}");
        }
        for running in ["CREATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "REVIEW_IN_PROGRESS"] {
            assert_eq!(ended_operation(&stack_event(running, &token)), None, "{running}");
        }
    }

    #[test]
    fn a_foreign_operation_maps_to_no_callback() {
        for token in ["", "Console-CreateStack-1234", "t123"] {
            assert_eq!(ended_operation(&stack_event("CREATE_COMPLETE", token)), None, "{token}");
        }
    }

    #[test]
    fn an_image_ends_when_it_is_usable_or_has_failed() {
        assert_eq!(ended_operation(&image_event("available")), Some(IMAGE.into()));
        assert_eq!(ended_operation(&image_event("failed")), Some(IMAGE.into()));
        assert_eq!(ended_operation(&image_event("pending")), None);
    }

    #[test]
    fn a_build_ends_with_every_outcome() {
        let arn = "arn:aws:codebuild:eu-west-1:222222222222:build/lockstep-image-build:1";
        let event = |status: &str| {
            json!({
                "source": "aws.codebuild",
                "detail-type": "CodeBuild Build State Change",
                "resources": [arn],
                "detail": {"build-status": status, "build-id": arn, "project-name": "lockstep-image-build"},
            })
        };
        for ended in ["SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"] {
            assert_eq!(ended_operation(&event(ended)), Some(arn.into()), "{ended}");
        }
        assert_eq!(ended_operation(&event("IN_PROGRESS")), None);
    }

    #[test]
    fn a_wake_names_its_operation() {
        assert_eq!(ended_operation(&json!({"wake": "approval#d#1"})), Some("approval#d#1".into()));
    }

    #[test]
    fn an_event_of_another_shape_is_ignored() {
        let mut foreign = stack_event("CREATE_COMPLETE", &client_token("d", "execute", 1));
        foreign["source"] = json!("acme.cloudformation");
        for event in [foreign, json!({}), json!([]), json!({"source": "aws.ec2"})] {
            assert_eq!(ended_operation(&event), None);
        }
    }
}
