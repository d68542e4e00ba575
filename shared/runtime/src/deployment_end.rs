//! The end of a deployment, as a log line and as metrics.
//!
//! Call it once the record that closes the deployment is written. A repeated request finds that record, writes nothing and
//! counts nothing.

use jiff::Timestamp;
use lockstep_aws::metrics;
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::Deployment;

/// Reports `closed`, which ended at `now`. A deployment that can still change is left out.
pub fn report(closed: &Deployment, now: Timestamp) {
    let Some(outcome) = closed.state.outcome() else { return };
    let (kind, outcome) = (closed.body.kind(), outcome.as_str());
    let seconds = u64::try_from(now.duration_since(closed.started_at).as_secs()).unwrap_or_default();
    tracing::info!(deployment = %closed.id, stage = %closed.stage, kind, outcome, seconds, "the deployment ended");
    metrics::emit(
        &[(Dimension::Kind, kind), (Dimension::Outcome, outcome)],
        &[(Metric::Deployments, 1), (Metric::DeploymentSeconds, seconds)],
        now,
    );
}
