//! The environments whose turn it is, by the schedules of their stages.

use crate::context::DriftContext;
use crate::handler::running;
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_domain::drift::look::ENVIRONMENTS_MAX;
use lockstep_domain::drift::turn::turn;
use lockstep_domain::messages::drift::Subject;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{DriftReport, Environment, LookTurn};
use lockstep_runtime::stages::applied;
use std::collections::BTreeMap;

/// An environment whose turn it is.
struct Due {
    environment: Environment,
    report: Option<Versioned<DriftReport>>,
    turn: LookTurn,
}

/// Takes the turns of the environments of this path whose turn it is, and returns them, those of the oldest looks first.
/// Another execution that lists them at the same time gets the others. Those that do not fit into one execution are due at
/// the next tick.
pub(crate) async fn take(context: &impl DriftContext, execution: &str) -> Result<Vec<Subject>, Failure> {
    let mut due = due(context, execution).await?;
    due.sort_by_key(|due| due.report.as_ref().and_then(|report| report.record.looked_at()));
    due.truncate(ENVIRONMENTS_MAX);
    let mut taken = Vec::new();
    for due in due {
        let subject =
            Subject { stage: due.environment.stage.clone(), environment: due.environment.name.clone() };
        if take_turn(context, due).await? {
            taken.push(subject);
        }
    }
    Ok(taken)
}

async fn due(context: &impl DriftContext, execution: &str) -> Result<Vec<Due>, Failure> {
    let (now, mut due) = (context.now(), Vec::new());
    let Some(stages) = applied(context.ledger()).await? else { return Ok(due) };
    let scheduled = stages.iter().filter(|stage| stage.path() == context.path());
    for (stage, interval) in scheduled.filter_map(|stage| Some((stage, stage.drift?))) {
        let reports =
            context.ledger().every::<DriftReport>(&DriftReport::all_of(context.path(), &stage.name)).await?;
        let mut reports: BTreeMap<String, Versioned<DriftReport>> =
            reports.into_iter().map(|report| (report.record.environment.clone(), report)).collect();
        for environment in running(context, &stage.name).await? {
            let report = reports.remove(&environment.name);
            let known = report.as_ref().map(|report| &report.record);
            if let Some(turn) = turn(interval, &environment, known, execution, now) {
                due.push(Due { environment, report, turn });
            }
        }
    }
    Ok(due)
}

/// Records the turn in the report. Returns false if another execution took it, or looked, at the same time.
async fn take_turn(context: &impl DriftContext, due: Due) -> Result<bool, Failure> {
    let Due { environment, report, turn } = due;
    match report {
        Some(known) => {
            let report = DriftReport { turn: Some(turn), ..known.record.clone() };
            match context.ledger().replace(&known, report).await {
                Ok(_) => Ok(true),
                Err(failure) if failure.kind == FailureKind::Conflict => Ok(false),
                Err(failure) => Err(failure),
            }
        }
        None => {
            let empty = DriftReport::new(context.path(), &environment, context.now());
            let inserted = context.ledger().insert(&DriftReport { turn: Some(turn), ..empty }).await?;
            Ok(matches!(inserted, Inserted::New(_)))
        }
    }
}
