//! Deterministic client tokens and names.
//!
//! A token is a hash of the work. It is never random and never contains the epoch. A successor that takes
//! over a crashed deployment computes the same token, so AWS recognises the call. The attempt rises only
//! after the previous attempt was observed to have failed.

use sha2::{Digest as _, Sha256};

/// Returns a client token for `step` of `scope` (a deployment, a promotion, a delivery) at `attempt`.
///
/// It starts with a letter and has 41 characters of `[a-z0-9]`. That is within the 64 of CopyImage, the 128
/// of CloudFormation, and the 80 of an execution name. The names of change sets must start with a letter.
pub fn client_token(scope: &str, step: &str, attempt: u32) -> String {
    let mut hash = Sha256::new();
    // Length prefixes keep ("ab", "c") and ("a", "bc") apart.
    for part in [scope, step] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(attempt.to_be_bytes());
    format!("t{}", &hex::encode(hash.finalize())[..40])
}

/// Returns the ARN of the execution `name` of the state machine `machine`.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html>
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

/// Returns true if `text` has the form of a [`client_token`].
pub fn is_client_token(text: &str) -> bool {
    text.len() == 41
        && text.starts_with('t')
        && text[1..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::{client_token, execution_arn, is_client_token};

    #[test]
    fn a_token_depends_on_scope_step_and_attempt_alone() {
        let token = client_token("d-1", "change-set", 1);
        assert_eq!(token, client_token("d-1", "change-set", 1));
        for other in [
            client_token("d-2", "change-set", 1),
            client_token("d-1", "execute", 1),
            client_token("d-1", "change-set", 2),
            client_token("d-1change", "-set", 1),
        ] {
            assert_ne!(token, other);
        }
    }

    #[test]
    fn a_token_is_a_letter_and_forty_lower_case_alphanumerics() {
        let token = client_token("scope", "step", 0);
        assert_eq!(token.len(), 41);
        assert!(token.starts_with('t'));
        assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert!(is_client_token(&token));
    }

    #[test]
    fn an_execution_is_named_below_its_state_machine() {
        assert_eq!(
            execution_arn("arn:aws:states:eu-west-1:1:stateMachine:lockstep-release", "t1"),
            "arn:aws:states:eu-west-1:1:execution:lockstep-release:t1"
        );
    }

    #[test]
    fn a_foreign_token_is_recognised() {
        for other in [
            "",
            "t",
            "Console-CreateStack-7f59c3cf-00d2-40c7-b2ff-e75db0987002",
            "tünïcode-ünïcode-ünïcode-ünïcode-x",
        ] {
            assert!(!is_client_token(other), "{other}");
        }
    }
}
