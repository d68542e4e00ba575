//! Owns the callbacks: registers the states that wait, completes those whose operation may have ended, and deletes
//! those whose execution has ended.

use crate::context::ResumeContext;
use jiff::{Timestamp, ToSpan};
use lockstep_aws::executions::Standing;
use lockstep_aws::ledger::{Inserted, Ledger, Versioned};
use lockstep_aws::{metrics, scope};
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::aws_events::{account_of, ended_operation};
use lockstep_domain::delivery::callbacks::{self, Completion, Registration, complete};
use lockstep_domain::messages::resume::{Done, Register, Request, Waiting};
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::metric::Metric;
use lockstep_domain::records::{ApprovalDecision, Callback, CallbackState};
use lockstep_runtime::retry::retry_on_conflict;
use lockstep_runtime::{RegisteredAccounts, lease};
use serde_json::Value;

/// Hours after which Step Functions certainly knows an execution that has registered.
const KNOWN_HOURS: i64 = 24;

/// Handles a request of another function, or an event of AWS.
pub async fn handle(context: &impl ResumeContext, payload: &Value, now: Timestamp) -> Result<Done, Failure> {
    match serde_json::from_value::<Request>(payload.clone()) {
        Ok(Request::Register(Register { register })) => {
            retry_on_conflict(async || self::register(context, &register, now).await).await?;
        }
        Ok(Request::Forget(request)) => {
            let is_forgotten = retry_on_conflict(async || forget(context, &request.forget).await).await?;
            return Ok(Done { is_forgotten });
        }
        // An event has another shape.
        Ok(Request::Wake(_)) | Err(_) => look(context, payload, now).await?,
    }
    Ok(Done::default())
}

/// Stores the token of a state that waits, and answers it at once if the operation ended before.
async fn register(context: &impl ResumeContext, waiting: &Waiting, now: Timestamp) -> Result<(), Failure> {
    let (operation, task) = (&waiting.operation, &waiting.task);
    scope::about_execution(&task.execution);
    let existing = context.ledger().get::<Callback>(&Callback::key_of(operation)).await?;
    let known = existing.as_ref().map(|found| &found.record);
    let has_ended = match (known, callbacks::holder(known, task)) {
        (Some(wait), Some(holder)) => has_left(context, wait, holder, now).await?,
        _ => false,
    };
    let (wait, is_over) = match callbacks::register(known, operation, task, has_ended, now) {
        Registration::Stale => return Ok(()),
        Registration::Refused { why } => {
            tracing::warn!(operation, "a registration is refused: {why}");
            return Ok(());
        }
        Registration::Open { wait, is_over } => (wait, is_over),
    };
    if known != Some(&wait) {
        write(context.ledger(), existing, wait).await?;
    }
    if is_over { complete_if_allowed(context, operation, now).await } else { Ok(()) }
}

/// Returns true if `holder`, which waits by the record `wait`, certainly has ended.
///
/// Step Functions forgets an execution 90 days after its end, and shows a new one after a moment. So one that it does
/// not know has ended if it registered a day ago. Before that, no other execution may take its callback.
///
/// # Errors
/// `Transient` if the status cannot be read now: the caller tries again.
async fn has_left(
    context: &impl ResumeContext,
    wait: &Callback,
    holder: &str,
    now: Timestamp,
) -> Result<bool, Failure> {
    match context.executions().standing(holder).await {
        Ok(Standing::Running) => Ok(false),
        Ok(Standing::Ended) => Ok(true),
        Ok(Standing::Absent) => Ok(wait.at.checked_add(KNOWN_HOURS.hours()).is_ok_and(|known| now >= known)),
        Err(failure) if failure.kind.policy() == Policy::Retryable => {
            let what = format!("the status of {holder} cannot be read");
            Err(Failure::new(FailureKind::Transient, what).caused_by(&failure))
        }
        // The holder is no execution that may wait. No repetition changes that.
        Err(failure) => {
            tracing::warn!("{}", failure.chain());
            Ok(false)
        }
    }
}

/// Deletes the open callback of an execution that certainly has ended, as the sweep proposes. Returns false if there
/// is none, or if the execution may still run.
async fn forget(context: &impl ResumeContext, operation: &str) -> Result<bool, Failure> {
    let Some(stored) = context.ledger().get::<Callback>(&Callback::key_of(operation)).await? else {
        return Ok(false);
    };
    let CallbackState::Open { execution, .. } = &stored.record.state else { return Ok(false) };
    scope::about_execution(execution);
    if !lease::has_ended(context.executions(), execution).await {
        return Ok(false);
    }
    context.ledger().remove(&stored).await?;
    Ok(true)
}

/// Completes the callback of the operation that `event` names. Without a callback, records that the operation has ended.
async fn look(context: &impl ResumeContext, event: &Value, now: Timestamp) -> Result<(), Failure> {
    if let Some(account) = account_of(event)
        && !is_registered(context, account).await?
    {
        tracing::warn!(account, "an event of an account that is not registered is dropped");
        metrics::emit(&[], &[(Metric::EventsOfUnknownAccounts, 1)], now);
        return Ok(());
    }
    let Some(operation) = ended_operation(event) else {
        tracing::info!("the event names no operation of Lockstep");
        return Ok(());
    };
    retry_on_conflict(async || complete_if_allowed(context, &operation, now).await).await
}

async fn complete_if_allowed(
    context: &impl ResumeContext,
    operation: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    if !may_complete(context.ledger(), operation).await? {
        tracing::warn!(operation, "the question has no recorded answer, so its callback remains open");
        return Ok(());
    }
    settle(context, operation, now).await
}

/// Returns true if the callback of `operation` may be completed.
///
/// Many functions may ask this one to look, and the end of an AWS operation costs one look at AWS if it has not come. The
/// callback of a question continues as refused if it is completed without an answer. So it needs the record of an answer,
/// which only the function of approvers writes. The timeout of its state ends a question without an answer.
async fn may_complete(ledger: &Ledger, operation: &str) -> Result<bool, Failure> {
    if !approval::is_question(operation) {
        return Ok(true);
    }
    let Some((deployment, number)) = approval::of_operation(operation) else { return Ok(false) };
    let key = ApprovalDecision::key_of(&deployment, number);
    Ok(ledger.get::<ApprovalDecision>(&key).await?.is_some_and(|found| found.record.is_decided()))
}

/// Returns true if `account` is registered. Text that is no account id is not registered.
async fn is_registered(accounts: &impl RegisteredAccounts, account: &str) -> Result<bool, Failure> {
    match account.parse::<AccountId>() {
        Ok(account) => accounts.is_registered(&account).await,
        Err(_) => Ok(false),
    }
}

async fn settle(context: &impl ResumeContext, operation: &str, now: Timestamp) -> Result<(), Failure> {
    let existing = context.ledger().get::<Callback>(&Callback::key_of(operation)).await?;
    if let Some(CallbackState::Open { execution, .. }) = existing.as_ref().map(|found| &found.record.state) {
        scope::about_execution(execution);
    }
    match complete(existing.as_ref().map(|callback| &callback.record), operation, now) {
        Completion::Answer { token, then } => {
            // The answer precedes the write. A crash between them causes a second answer, which Step Functions rejects.
            let answered = context.answer(&token).await?;
            tracing::info!(operation, ?answered, "the callback is completed");
            write(context.ledger(), existing, then).await
        }
        Completion::RecordEnd(completed) => {
            tracing::info!(operation, "the operation ended before its callback");
            write(context.ledger(), existing, completed).await
        }
        Completion::Known => Ok(()),
    }
}

async fn write(ledger: &Ledger, old: Option<Versioned<Callback>>, callback: Callback) -> Result<(), Failure> {
    match old {
        Some(old) => ledger.replace(&old, callback).await.map(drop),
        None => match ledger.insert(&callback).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(_) => Err(Failure::new(
                FailureKind::Conflict,
                format!("write conflict: another writer created callback {}", callback.operation),
            )),
        },
    }
}

#[cfg(test)]
mod tests;
