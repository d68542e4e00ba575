//! Waiting for the end of an AWS operation or for a person, by task token.

use crate::aws::Aws;
use crate::clock;
use crate::failure::failure;
use crate::ledger::{Inserted, Ledger};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;
use lockstep_domain::delivery::waiting::{self, Registration};
use lockstep_domain::messages::{Task, resume::Wake};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::Wait;
use std::sync::OnceLock;

/// How often a registration reads again after losing against an event or a newer registration.
const ATTEMPTS: u32 = 5;

/// The waits of the ledger, and the function that answers them.
#[derive(Clone)]
pub struct Waits {
    aws: Aws,
    ledger: Ledger,
    client: OnceLock<Client>,
    resume_function: String,
}

impl Waits {
    /// Waits in `ledger`, answered by the function named `resume_function`.
    pub fn new(aws: &Aws, ledger: &Ledger, resume_function: &str) -> Self {
        Self {
            aws: aws.clone(),
            ledger: ledger.clone(),
            client: OnceLock::new(),
            resume_function: resume_function.to_owned(),
        }
    }

    /// Lets the state of `task` wait for the end of `operation` (see [`Wait::operation`]).
    ///
    /// Call it before the operation is started where its name is known then, and after where it is not: an end that
    /// came first left a note, and is answered at once. Calling it again with the same task changes nothing; an older
    /// registration never displaces a newer one.
    pub async fn register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            match self.try_register(operation, task).await {
                Err(lost) if lost.kind == FailureKind::Conflict => {}
                outcome => return outcome,
            }
        }
        Err(Failure::new(FailureKind::Conflict, format!("the wait for {operation} keeps changing")))
    }

    async fn try_register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        let existing = self.ledger.get::<Wait>(&Wait::key_of(operation)).await?;
        let decision = waiting::register(existing.as_ref().map(|w| &w.record), operation, task, clock::now());
        let (wait, is_over) = match decision {
            Registration::Stale => return Ok(()),
            Registration::Open { wait, is_over } => (wait, is_over),
        };
        match &existing {
            Some(old) if old.record == wait => {}
            Some(old) => drop(self.ledger.replace(old, wait).await?),
            None => {
                if let Inserted::Exists(_) = self.ledger.insert(&wait).await? {
                    return Err(Failure::new(
                        FailureKind::Conflict,
                        format!("the wait for {operation} changed"),
                    ));
                }
            }
        }
        if is_over { self.wake(operation).await } else { Ok(()) }
    }

    /// Asks `resume` to answer whoever waits for `operation`, which the caller found ended.
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
    pub async fn wake(&self, operation: &str) -> Result<(), Failure> {
        let payload = serde_json::to_vec(&Wake { wake: operation.to_owned() })
            .map_err(|error| Failure::bug(format!("a wake cannot be written as JSON: {error}")))?;
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let sent = client
            .invoke()
            .function_name(&self.resume_function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload))
            .send()
            .await;
        sent.map(drop).map_err(|error| failure("Invoke", &self.resume_function, &error))
    }
}
