//! Dispatch of one request of the state machine, and the report.

use crate::context::DriftContext;
use crate::{begin, collect};
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_aws::scope;
use lockstep_domain::drift::look::ENVIRONMENTS_MAX;
use lockstep_domain::drift::report::inconclusive;
use lockstep_domain::messages::drift::{Listed, Reported, Request, Subject};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::StageName;
use lockstep_domain::records::{DriftReport, Environment, FailedLook, Inconclusive};
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
        Request::List { input } => json(&list(context, input).await?),
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

/// Returns the environments of a stage that run a release.
async fn list(context: &impl DriftContext, input: &inputs::Drift) -> Result<Listed, Failure> {
    ensure_own(context, &input.stage).await?;
    let all = context.ledger().every::<Environment>(&Environment::all_of(&input.stage)).await?;
    let all = all.into_iter().map(|found| found.record).filter(|environment| environment.deployed.is_some());
    let wanted =
        all.filter(|one| input.component.as_ref().is_none_or(|component| one.component == *component));
    let subject = |one: Environment| Subject { stage: one.stage, environment: one.name };
    let environments: Vec<Subject> = wanted.map(subject).collect();
    if environments.len() > ENVIRONMENTS_MAX {
        let message =
            format!("one execution looks at {ENVIRONMENTS_MAX} environments at most; name a component");
        return Err(Failure::rejected(message));
    }
    Ok(Listed { environments })
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
    Ok(Reported { subject: subject.clone(), state: report.state(), change: report.change })
}

fn json(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| Failure::bug("an answer cannot be written").caused_by(&error))
}
