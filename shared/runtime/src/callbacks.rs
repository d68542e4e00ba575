//! Task tokens that wait for the end of an AWS operation, or for an operator.

use crate::retry::retry_on_conflict;
use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::functions::Receiver;
use lockstep_aws::ledger::{Inserted, Ledger};
use lockstep_domain::delivery::callbacks::{self, Registration};
use lockstep_domain::messages::{Task, resume::Wake};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::Callback;

/// The callbacks of the ledger, and the function that answers them.
#[derive(Clone)]
pub struct Callbacks {
    ledger: Ledger,
    resume: Receiver,
}

impl Callbacks {
    /// Returns the callbacks in `ledger`, which the function named `resume_function` answers.
    pub fn new(aws: &Aws, ledger: &Ledger, resume_function: &str) -> Self {
        Self { ledger: ledger.clone(), resume: Receiver::new(aws, resume_function) }
    }

    /// Registers the task token of `task` for the end of `operation` (see [`Callback::operation`]).
    ///
    /// Call it before the operation starts if its name is known then, and after the start otherwise: an end that came
    /// first left a record, and the task is answered at once. A repeated call with the same task changes nothing; an
    /// older registration never displaces a newer one.
    pub async fn register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        retry_on_conflict(async || self.try_register(operation, task).await).await
    }

    async fn try_register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        let existing = self.ledger.get::<Callback>(&Callback::key_of(operation)).await?;
        let decision =
            callbacks::register(existing.as_ref().map(|w| &w.record), operation, task, clock::now());
        let (wait, is_over) = match decision {
            Registration::Stale => return Ok(()),
            Registration::Open { wait, is_over } => (wait, is_over),
        };
        match &existing {
            Some(old) if old.record == wait => {}
            Some(old) => drop(self.ledger.replace(old, wait).await?),
            None => {
                if let Inserted::Exists(_) = self.ledger.insert(&wait).await? {
                    let message = format!("the wait for {operation} was written by another");
                    return Err(Failure::new(FailureKind::Conflict, message));
                }
            }
        }
        if is_over { self.wake(operation).await } else { Ok(()) }
    }

    /// Asks `resume` to answer the task that waits for `operation`, which the caller found ended.
    pub async fn wake(&self, operation: &str) -> Result<(), Failure> {
        self.resume.send(&Wake { wake: operation.to_owned() }).await
    }
}
