//! Requests of people over the URL of the function of their kind. IAM authenticates them before the function
//! runs.

use crate::configure::Branches;
use crate::context::LedgerContext;
use crate::handler::json;
use crate::{approve, changes, configure, images, operator_actions, ownership, publish, start};
use jiff::Timestamp;
use lockstep_aws::function_url::{UrlRequest, UrlResponse, body, caller};
use lockstep_aws::{clock, metrics, scope};
use lockstep_domain::delivery::approval::ApprovalAnswer;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::{Applied, Refused, Request};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::ConfigKind;
use lockstep_runtime::retry::retry_on_conflict;
use serde_json::Value;

/// The largest body, in bytes: a configuration file and its JSON.
const BODY_BYTES: usize = 512 * 1024;

/// Returns [`Applied`], or [`Refused`] with the status that separates a caller's error from an error of the
/// function.
pub async fn answer(
    context: &impl LedgerContext,
    callers: Callers,
    request: &UrlRequest,
    now: Timestamp,
) -> Result<UrlResponse, Failure> {
    // The URL's AuthType is AWS_IAM. A request without a caller means that the AuthType was changed.
    let Some(caller) = caller(request) else {
        let failure =
            Failure::new(FailureKind::AccessDenied, "the request is not signed; sign it with Signature V4");
        return refuse(403, &failure);
    };
    let request = match read(request) {
        Ok(request) => request,
        Err(failure) => return refuse(400, &failure),
    };
    scope::about_request(&request);
    let action: &str = (&request).into();
    let by = caller.arn.as_str();
    if let Err(failure) = callers.ensure_may(action, &[request.callers()]) {
        tracing::warn!(caller = by, action, "{}", failure.message);
        return refuse(403, &failure);
    }
    match retry_on_conflict(async || reply(context, &request, (&caller, now)).await).await {
        Ok(reply) => {
            let changed = reply.get("changed").and_then(Value::as_bool);
            tracing::info!(caller = by, action, changed, "done");
            UrlResponse::json(200, &reply)
        }
        Err(failure) => refuse_action(by, action, &failure),
    }
}

/// Carries out the request. Returns the response of the action: [`Applied`], unless the action has one of its own.
async fn reply(
    context: &impl LedgerContext,
    request: &Request,
    who @ (caller, now): (&Caller, Timestamp),
) -> Result<Value, Failure> {
    let by = caller.arn.as_str();
    let action = |reason: &str| OperatorAction::new(by, reason, now);
    let applied: Result<Applied, Failure> = match request {
        Request::ConfirmChange { config, number } => {
            changes::confirm(context, *config, *number, caller, now).await
        }
        Request::CancelChange { config, number } => {
            changes::cancel(context, *config, *number, caller, now).await
        }
        Request::AddRepository { id, base_url, branch, branches } => {
            let branches = Branches { default: branch, others: branches.as_deref() };
            configure::add_repository(context, id, base_url, branches, by, now).await
        }
        Request::RemoveRepository { id } => configure::remove_repository(context, id).await,
        Request::Start { name, run } => return json(start::start(context, name, run, caller, now).await?),
        Request::PublishImage { image, version, stage } => {
            return json(publish::publish(context, (image, version), stage, caller, now).await?);
        }
        Request::ShowHook { id } => return json(configure::hook_of(context, id).await?),
        Request::ApplyStages { text } => return configured(context, ConfigKind::Stages, text, who).await,
        Request::ApplyParameters { text } => {
            return configured(context, ConfigKind::Parameters, text, who).await;
        }
        Request::ApplyPeople { text } => return configured(context, ConfigKind::People, text, who).await,
        Request::ApplyAdministrators { administrators } => {
            return configured(context, ConfigKind::Administrators, administrators.as_str(), who).await;
        }
        Request::Decide { deployment, subject, digest, shown, decision, reason, names } => {
            let answer = ApprovalAnswer {
                subject,
                digest: digest.as_ref(),
                shown,
                names,
                kind: *decision,
                reason: reason.as_deref(),
                by: caller,
            };
            approve::decide(context, deployment, &answer, now).await
        }
        Request::Cancel { deployment, waits_for, reason } => {
            operator_actions::cancel(context, (deployment, waits_for.as_ref()), &action(reason)?).await
        }
        Request::Unlock { stage, environment } => {
            operator_actions::unlock(context, stage, environment, &action("its execution has ended")?).await
        }
        Request::Reconcile { stage, environment, reason } => {
            operator_actions::reconcile(context, stage, environment, &action(reason)?).await
        }
        Request::Hold { stage, environment, reason } => {
            operator_actions::hold(context, stage, environment, &action(reason)?).await
        }
        Request::Resume { stage, environment } => operator_actions::resume(context, stage, environment).await,
        Request::BreakGlass { component, version, stage, reason } => {
            operator_actions::break_glass(context, component, version, stage, &action(reason)?).await
        }
        Request::Assign { name, to } => ownership::assign(context, name, to, by, now).await,
        Request::ClaimImported { image, owner } => {
            ownership::claim_imported(context, image, owner.as_ref(), by, now).await
        }
        Request::RevokeImage { image, version, reason } => {
            images::revoke(context, image, version, &action(reason)?).await
        }
    };
    json(applied?)
}

async fn configured(
    context: &impl LedgerContext,
    kind: ConfigKind,
    text: &str,
    (by, now): (&Caller, Timestamp),
) -> Result<Value, Failure> {
    json(changes::apply(context, kind, text, by, now).await?)
}

fn refuse_action(by: &str, action: &str, failure: &Failure) -> Result<UrlResponse, Failure> {
    tracing::warn!(caller = by, action, error = failure.kind.error_type(), "{}", failure.chain());
    refuse(status(failure.kind), failure)
}

fn read(request: &UrlRequest) -> Result<Request, Failure> {
    let body = body(request);
    // The size is checked before the body is decoded.
    if body.sent_bytes() > BODY_BYTES {
        return Err(Failure::rejected(format!("the request is larger than {BODY_BYTES} bytes")));
    }
    let bytes = body.bytes().ok_or_else(|| Failure::rejected("the request's body is not valid base64"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::rejected("the request is malformed").caused_by(&error))
}

fn status(kind: FailureKind) -> u16 {
    match kind {
        FailureKind::Rejected => 400,
        FailureKind::NotFound => 404,
        FailureKind::Conflict
        | FailureKind::Superseded
        | FailureKind::Overtaken
        | FailureKind::Expired
        | FailureKind::EnvironmentBusy
        | FailureKind::TestBusy
        | FailureKind::GateClosed
        | FailureKind::ApprovalRefused => 409,
        FailureKind::Throttled | FailureKind::Transient => 503,
        // AWS denied access to this function, not to the caller.
        FailureKind::AccessDenied
        | FailureKind::StackFailed
        | FailureKind::CheckFailed
        | FailureKind::ChecksPending
        | FailureKind::ImageUnusable
        | FailureKind::ImageStays
        | FailureKind::Cancelled
        | FailureKind::StackNeedsHuman
        | FailureKind::Bug => 500,
    }
}

fn refuse(status: u16, failure: &Failure) -> Result<UrlResponse, Failure> {
    let reason = failure.kind.error_type();
    metrics::emit(&[(Dimension::Reason, reason)], &[(Metric::Refusals, 1)], clock::now());
    let refused = Refused { error: failure.kind.error_type().to_owned(), message: failure.chain() };
    UrlResponse::json(status, &refused)
}
