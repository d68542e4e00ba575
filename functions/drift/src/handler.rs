//! Dispatch of one request of the state machine, and the report.

use crate::context::DriftContext;
use crate::{begin, collect, due};
use jiff::Timestamp;
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_aws::metrics;
use lockstep_aws::scope;
use lockstep_domain::drift::look::ENVIRONMENTS_MAX;
use lockstep_domain::drift::report::inconclusive;
use lockstep_domain::messages::drift::{Listed, Reported, Request, Subject};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::metric::Metric;
use lockstep_domain::records::{DriftChange, DriftReport, Environment, FailedLook, Inconclusive};
use lockstep_runtime::retry::retry_on_conflict;
use lockstep_runtime::stages::stage;
use serde::Serialize;
use serde_json::Value;

/// Handles one request.
///
/// # Errors
/// `ChecksPending` if a detection still runs; `Rejected` for an environment of the other path or of tests; a failure of AWS.
pub async fn handle(context: &impl DriftContext, request: &Request) -> Result<Value, Failure> {
    match request {
        // The compiler computes the layout of no deeper future than this.
        Request::List { input, execution } => json(&Box::pin(list(context, input, execution)).await?),
        Request::Look { subject } => json(&begin::begin(context, subject).await?),
        Request::Collect { look } => {
            scope::about_request(&look.subject);
            json(&collect::collect(context, look).await?)
        }
        Request::Fail { subject, error } => {
            let message = format!("{}; the findings are those of an earlier look", error.sentence());
            json(&conclude_nothing(context, subject, Inconclusive::Failed, message).await?)
        }
    }
}

/// Returns the environments that the input names, or those whose turn it is.
async fn list(
    context: &impl DriftContext,
    input: &inputs::Drift,
    execution: &str,
) -> Result<Listed, Failure> {
    match input {
        inputs::Drift { stage: Some(stage), component } => of_stage(context, stage, component.as_ref()).await,
        inputs::Drift { stage: None, component: None } => {
            Ok(Listed { environments: due::take(context, execution).await? })
        }
        inputs::Drift { stage: None, component: Some(component) } => {
            Err(Failure::rejected(format!("name the stage in which to look at {component}")))
        }
    }
}

/// Returns the environments of a stage that run a release.
async fn of_stage(
    context: &impl DriftContext,
    stage: &StageName,
    component: Option<&ComponentName>,
) -> Result<Listed, Failure> {
    ensure_own(context, stage).await?;
    let all = running(context, stage).await?;
    let wanted = all.into_iter().filter(|one| component.is_none_or(|component| one.component == *component));
    let subject = |one: Environment| Subject { stage: one.stage, environment: one.name };
    let environments: Vec<Subject> = wanted.map(subject).collect();
    if environments.len() > ENVIRONMENTS_MAX {
        let message =
            format!("one execution looks at {ENVIRONMENTS_MAX} environments at most; name a component");
        return Err(Failure::rejected(message));
    }
    Ok(Listed { environments })
}

/// Returns the environments of a stage that run a release.
pub(crate) async fn running(
    context: &impl DriftContext,
    stage: &StageName,
) -> Result<Vec<Environment>, Failure> {
    let all = context.ledger().every::<Environment>(&Environment::all_of(stage)).await?;
    Ok(all.into_iter().map(|found| found.record).filter(|one| one.deployed.is_some()).collect())
}

/// Fails with `Rejected` unless the environments of the stage are looked at by this function.
pub(crate) async fn ensure_own(context: &impl DriftContext, name: &StageName) -> Result<(), Failure> {
    let stage = stage(context.ledger(), name).await?;
    if stage.is_test() {
        return Err(Failure::rejected(
            "test stacks are deleted after each test; no look for drift is made there",
        ));
    }
    if stage.path() != context.path() {
        let path = stage.path().as_str();
        return Err(Failure::rejected(format!(
            "stage {name} is on the path {path}; start lockstep-{path}-drift"
        )));
    }
    Ok(())
}

/// Returns the environment of a look.
pub(crate) async fn environment(
    context: &impl DriftContext,
    subject: &Subject,
) -> Result<Environment, Failure> {
    let Subject { stage, environment } = subject;
    let key = Environment::key_of(stage, environment);
    let found =
        context.ledger().expect::<Environment>(&key, &format!("environment {stage}/{environment}")).await?;
    Ok(found.record)
}

/// Returns the report of the looks before.
pub(crate) async fn before(
    context: &impl DriftContext,
    subject: &Subject,
) -> Result<Option<Versioned<DriftReport>>, Failure> {
    context.ledger().get(&DriftReport::key_of(context.path(), &subject.stage, &subject.environment)).await
}

/// Writes the report of a look that concluded nothing.
pub(crate) async fn conclude_nothing(
    context: &impl DriftContext,
    subject: &Subject,
    reason: Inconclusive,
    message: String,
) -> Result<Reported, Failure> {
    ensure_own(context, &subject.stage).await?;
    let failed = FailedLook { at: context.now(), reason, message };
    write(context, subject, |before, empty| inconclusive(before, empty, failed.clone())).await
}

/// Makes the report out of the one before, and writes it. Another look may write at the same time.
pub(crate) async fn write(
    context: &impl DriftContext,
    subject: &Subject,
    make: impl Fn(Option<&DriftReport>, DriftReport) -> DriftReport,
) -> Result<Reported, Failure> {
    let environment = environment(context, subject).await?;
    let empty = DriftReport::new(context.path(), &environment, context.now());
    let report = retry_on_conflict(async || {
        let known = before(context, subject).await?;
        let report = make(known.as_ref().map(|known| &known.record), empty.clone());
        match known {
            Some(known) => context.ledger().replace(&known, report).await.map(|written| written.record),
            None => match context.ledger().insert(&report).await? {
                Inserted::New(written) => Ok(written.record),
                Inserted::Exists(_) => {
                    Err(Failure::new(FailureKind::Conflict, "another look wrote the report"))
                }
            },
        }
    })
    .await?;
    emit(report.change, context.now());
    Ok(Reported { subject: subject.clone(), state: report.state(), change: report.change })
}

/// Emits the metric of a change that a person must see. The same drift changes nothing twice, so it counts once.
fn emit(change: Option<DriftChange>, now: Timestamp) {
    let metric = match change {
        Some(DriftChange::Drifted | DriftChange::Changed) => Metric::DriftsFound,
        Some(DriftChange::CheckFailed) => Metric::LooksFailed,
        Some(DriftChange::BackInSync) | None => return,
    };
    metrics::emit(&[], &[(metric, 1)], now);
}

fn json(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| Failure::bug("an answer cannot be written").caused_by(&error))
}
