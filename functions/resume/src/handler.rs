//! Looks whether somebody waits for an operation that may have ended, and answers.

use jiff::Timestamp;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::hints::ended_operation;
use lockstep_domain::records::Wait;
use lockstep_domain::waiting::{End, end};
use lockstep_platform::executions::{Answered, Executions};
use lockstep_platform::ledger::{Inserted, Versioned};
use lockstep_platform::ports::Records;

/// How often the wait is read again after it changed under us.
const ATTEMPTS: u32 = 5;

/// Who answers a task token.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Tokens {
    /// Answers `token`.
    async fn answer(&self, token: &str) -> Result<Answered, Failure>;
}

impl Tokens for Executions {
    async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        Executions::answer(self, token).await
    }
}

/// Answers whoever waits for the operation that `event` hints at, or leaves a note that it has ended.
pub async fn handle(
    records: &impl Records,
    tokens: &impl Tokens,
    event: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(operation) = ended_operation(event) else {
        tracing::info!("an event that hints at no operation of ours");
        return Ok(());
    };
    for _ in 0..ATTEMPTS {
        match settle(records, tokens, &operation, now).await {
            Err(lost) if lost.kind == FailureKind::Conflict => {}
            outcome => return outcome,
        }
    }
    Err(Failure::new(FailureKind::Conflict, format!("the wait for {operation} keeps changing")))
}

async fn settle(
    records: &impl Records,
    tokens: &impl Tokens,
    operation: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let existing = records.get::<Wait>(&Wait::key_of(operation)).await?;
    match end(existing.as_ref().map(|wait| &wait.record), operation, now) {
        End::Answer { token, then } => {
            // Answered before it is written down: a crash between the two answers once more, which nobody hears.
            let answered = tokens.answer(&token).await?;
            tracing::info!(operation, ?answered, "a wait has ended");
            write(records, existing, then).await
        }
        End::Bury(tombstone) => {
            tracing::info!(operation, "ended before anybody waited");
            write(records, existing, tombstone).await
        }
        End::Known => Ok(()),
    }
}

async fn write(records: &impl Records, old: Option<Versioned<Wait>>, wait: Wait) -> Result<(), Failure> {
    match old {
        Some(old) => records.replace(&old, wait).await.map(drop),
        None => match records.insert(&wait).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(_) => {
                Err(Failure::new(FailureKind::Conflict, format!("a wait for {} has come", wait.operation)))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::payloads::Task;
    use lockstep_domain::records::WaitState;
    use lockstep_domain::waiting::{Registration, register};
    use lockstep_platform::ports::memory::MemoryRecords;
    use serde_json::json;
    use std::cell::RefCell;

    /// Remembers what was answered; the second answer to a token is too late.
    #[derive(Default)]
    struct Answers(RefCell<Vec<String>>);

    impl Tokens for Answers {
        async fn answer(&self, token: &str) -> Result<Answered, Failure> {
            let gone = self.0.borrow().iter().any(|known| known == token);
            self.0.borrow_mut().push(token.to_owned());
            Ok(if gone { Answered::Gone } else { Answered::Accepted })
        }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    async fn wait(memory: &MemoryRecords, operation: &str, token: &str) {
        let task = Task { token: token.into(), execution: "arn".into(), entered_at: now(), retry: 0 };
        let Registration::Open { wait, .. } = register(None, operation, &task, now()) else { unreachable!() };
        memory.insert(&wait).await.unwrap();
    }

    async fn state(memory: &MemoryRecords, operation: &str) -> Option<WaitState> {
        memory.get::<Wait>(&Wait::key_of(operation)).await.unwrap().map(|wait| wait.record.state)
    }

    #[tokio::test]
    async fn an_end_answers_whoever_waits_once_however_often_it_is_told() {
        let (memory, answers) = (MemoryRecords::default(), Answers::default());
        wait(&memory, "op", "token").await;
        for _ in 0..3 {
            handle(&memory, &answers, &json!({"wake": "op"}), now()).await.unwrap();
        }
        assert_eq!(*answers.0.borrow(), ["token"]);
        assert_eq!(state(&memory, "op").await, Some(WaitState::Answered { execution: "arn".into() }));
    }

    #[tokio::test]
    async fn an_end_that_comes_first_leaves_a_note() {
        let (memory, answers) = (MemoryRecords::default(), Answers::default());
        handle(&memory, &answers, &json!({"wake": "op"}), now()).await.unwrap();
        assert!(answers.0.borrow().is_empty());
        assert_eq!(state(&memory, "op").await, Some(WaitState::Tombstone));
    }

    #[tokio::test]
    async fn a_strange_event_writes_nothing() {
        let (memory, answers) = (MemoryRecords::default(), Answers::default());
        handle(&memory, &answers, &json!({"source": "acme"}), now()).await.unwrap();
        assert!(answers.0.borrow().is_empty());
        assert_eq!(state(&memory, "op").await, None);
    }
}
