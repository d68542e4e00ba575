//! Turns of test stacks: the tests of a component with fixed names run one after the other.

use crate::model::error::{Failure, FailureKind};
use crate::records::{Environment, TestTurn};

/// Checks that a test stack of the component may begin in `environment`. `turn` is the last turn, and `holder` the record of
/// the environment that has it, if it still exists.
///
/// A test stack exists as long as its environment has a holder or a stack.
pub fn ensure_free(
    turn: Option<&TestTurn>,
    holder: Option<&Environment>,
    environment: &str,
) -> Result<(), Failure> {
    let Some(turn) = turn.filter(|turn| turn.environment != environment) else { return Ok(()) };
    let exists = holder.is_some_and(|holder| holder.holder.is_some() || holder.stack_arn.is_some());
    if !exists {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::TestBusy,
        format!(
            "the test stack {} of {} has names that another test stack would have too; this test begins once it is deleted",
            turn.environment, turn.component
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> TestTurn {
        TestTurn { component: "logs".parse().unwrap(), environment: "logs-1-0-0".into() }
    }

    fn environment(stack: bool) -> Environment {
        Environment {
            epoch: 1,
            stack_arn: stack.then(|| "arn".into()),
            ..Environment::new("test".parse().unwrap(), "logs-1-0-0", "logs".parse().unwrap())
        }
    }

    #[test]
    fn a_test_waits_for_the_stack_of_another_one() {
        let failure = ensure_free(Some(&turn()), Some(&environment(true)), "logs-1-0-1").unwrap_err();
        assert_eq!(failure.kind, FailureKind::TestBusy);
        assert!(failure.message.contains("logs-1-0-0"), "{failure}");
    }

    #[test]
    fn a_test_begins_if_no_other_stack_exists() {
        for (turn, holder) in [(None, None), (Some(turn()), None), (Some(turn()), Some(environment(false)))] {
            assert!(ensure_free(turn.as_ref(), holder.as_ref(), "logs-1-0-1").is_ok());
        }
        assert!(ensure_free(Some(&turn()), Some(&environment(true)), "logs-1-0-0").is_ok(), "its own turn");
    }
}
