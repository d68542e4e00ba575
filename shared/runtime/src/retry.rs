//! Retries of work that lost a conditional write.
//!
//! Work that ends in `Conflict` read a record that another process has changed since. A retry starts from the present
//! ledger: the closure must read again, and must not repeat an effect that the ledger does not prevent. After the last
//! attempt the caller gets the last `Conflict`, which names the record, and the state machine retries it later.

use crate::Clock;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::iter::repeat_n;
use std::time::Duration;

/// Number of attempts at a record that a few processes write.
const ATTEMPTS: u32 = 5;

/// Number of attempts at a record that many executions write at the same time.
const ATTEMPTS_UNDER_CONTENTION: u32 = 12;

/// The pause after the first attempt under contention; after the n-th it is up to n times as long.
const PAUSE: Duration = Duration::from_millis(15);

/// Repeats `work` while it ends in `Conflict`, without a pause.
///
/// # Errors
/// `Conflict` after the last attempt; any other failure at once.
pub async fn retry_on_conflict<T>(work: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
    retry(repeat_n(Duration::ZERO, ATTEMPTS as usize - 1), async |_| {}, work).await
}

/// Repeats `work` while it ends in `Conflict`, with pauses. They differ by `seed`, so that two processes do not collide
/// again.
///
/// # Errors
/// `Conflict` after the last attempt; any other failure at once.
pub async fn retry_under_contention<T>(
    clock: &impl Clock,
    seed: &str,
    work: impl AsyncFn() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let pauses = (1..ATTEMPTS_UNDER_CONTENTION).map(|attempt| PAUSE * attempt * spread(seed, attempt) / 8);
    retry(pauses, async |pause| clock.sleep(pause).await, work).await
}

/// Repeats `work` after each of `pauses`. `backon` does not fit here: its sleepers are `'static`, so they cannot borrow
/// the clock of a test.
async fn retry<T>(
    mut pauses: impl Iterator<Item = Duration>,
    sleep: impl AsyncFn(Duration),
    work: impl AsyncFn() -> Result<T, Failure>,
) -> Result<T, Failure> {
    loop {
        // Boxed: within the future of a whole request it would be a type that is too deep for the compiler.
        match (Box::pin(work()).await, pauses.next()) {
            (Err(lost), Some(pause)) if lost.kind == FailureKind::Conflict => {
                tracing::info!("{}; trying again", lost.chain());
                sleep(pause).await;
            }
            (outcome, _) => return outcome,
        }
    }
}

/// Returns a number from 1 to 8, another for each seed and attempt.
fn spread(seed: &str, attempt: u32) -> u32 {
    let hash =
        seed.bytes().rev().fold(attempt, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    hash % 8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn lost() -> Failure {
        Failure::new(FailureKind::Conflict, "A was changed by another")
    }

    #[derive(Default)]
    struct Slept(RefCell<Vec<Duration>>);

    impl Clock for Slept {
        async fn sleep(&self, time: Duration) {
            self.0.borrow_mut().push(time);
        }
    }

    #[tokio::test]
    async fn work_that_lost_is_worked_out_again() {
        let attempts = Cell::new(0);
        let work = async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err(lost()) } else { Ok(attempts.get()) }
        };
        assert_eq!(retry_on_conflict(work).await, Ok(3));
    }

    #[tokio::test]
    async fn the_last_conflict_is_returned_and_names_the_record() {
        let attempts = Cell::new(0);
        let work = async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(lost())
        };
        assert_eq!(retry_on_conflict(work).await, Err(lost()));
        assert_eq!(attempts.get(), ATTEMPTS);
    }

    #[tokio::test]
    async fn another_failure_is_returned_at_once() {
        let attempts = Cell::new(0);
        let denied = Failure::new(FailureKind::AccessDenied, "no");
        let work = async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(denied.clone())
        };
        assert_eq!(retry_on_conflict(work).await, Err(denied.clone()));
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test]
    async fn pauses_under_contention_grow_and_differ_by_seed() {
        let mut pauses = Vec::new();
        for seed in ["one", "two"] {
            let slept = Slept::default();
            retry_under_contention(&slept, seed, async || Err::<(), _>(lost())).await.unwrap_err();
            let slept = slept.0.into_inner();
            assert_eq!(slept.len(), ATTEMPTS_UNDER_CONTENTION as usize - 1);
            assert!((1..).zip(&slept).all(|(attempt, pause)| *pause <= PAUSE * attempt), "{slept:?}");
            pauses.push(slept);
        }
        assert_ne!(pauses[0], pauses[1]);
    }
}
