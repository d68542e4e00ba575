//! Metrics that functions emit: names, units and dimensions in one table.
//!
//! Alarms, the dashboard and `docs/logging.md` name the same metrics, and a contract test compares them with this table.
//! Every value of a dimension comes from a fixed set or names a function. No dimension holds an id, so the number of metrics
//! remains bounded.

use strum::{IntoStaticStr, VariantArray};

/// Namespace of the metrics of the control plane.
pub const CONTROL_PLANE: &str = "Lockstep";
/// Namespace of the metrics of the function `elb-logs`.
pub const ELB_LOGS: &str = "Lockstep/ElbLogs";
/// Namespace of the metrics of the function `log-intake`.
pub const LOG_INTAKE: &str = "Lockstep/LogIntake";

/// Unit of a metric, in CloudWatch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// Returns CloudWatch's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Dimension of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Dimension {
    /// Name of the function that emits the metric.
    Function,
    /// Error name of a failure ([`crate::model::error::FailureKind::error_type`]).
    Error,
    /// Reason of a refusal: an error name, or one of the webhook's own.
    Reason,
    /// Kind of a deployment or of a callback.
    Kind,
    /// Final state of a deployment.
    Outcome,
    /// List of the sweep's report that a finding is in.
    Finding,
}

impl Dimension {
    /// Returns the name that CloudWatch shows.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Metric that a function emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Metric {
    /// Failures that a function returned, by error.
    Failures,
    /// Requests of git hosts and operators that a function refused, by reason.
    Refusals,
    /// Deployments that ended, by kind and outcome.
    Deployments,
    /// Time from the start of a deployment to its end.
    DeploymentSeconds,
    /// Callbacks that are open at a sweep, by kind.
    CallbacksOpen,
    /// Age of the oldest open callback at a sweep, by kind; 0 if none is open.
    OldestCallbackSeconds,
    /// Findings of a sweep, by list of its report.
    SweepFindings,
    /// Sweeps that reached their end.
    SweepsFinished,
    /// Lines of a deployment log that could not be appended.
    DeploymentLogLinesLost,
    /// Events that `resume` dropped, because their account is not registered.
    EventsOfUnknownAccounts,
    /// Environments that a look found drifted, or drifted in another way than before.
    DriftsFound,
    /// Environments whose look failed, after one that did not.
    LooksFailed,
    /// Lines of load balancers' logs that the broker acknowledged.
    LinesAcknowledged,
    /// Lines of load balancers' logs that are in quarantine.
    LinesQuarantined,
    /// Objects of load balancers' logs that are shipped to their end.
    ObjectsFinished,
    /// Objects of load balancers' logs that returned to the queue with their progress.
    ObjectsContinued,
    /// Objects of load balancers' logs that failed.
    ObjectsFailed,
    /// Time from the writing of an object to the acknowledgement of its last line.
    ObjectLag,
    /// Events of applications that the broker acknowledged.
    EventsAccepted,
    /// Time from the oldest event of a request to its acknowledgement.
    EventLag,
    /// Time that a request took to its acknowledgement.
    AcknowledgedAfter,
    /// Requests of applications that are malformed.
    RefusedByRequest,
    /// Requests of applications with a wrong or expired key.
    RefusedByKey,
    /// Requests of applications that exceed their rate.
    RefusedByRate,
    /// Requests of applications that the broker did not acknowledge.
    RefusedByBroker,
    /// Requests of applications that the log intake itself failed at.
    RefusedByFailure,
}

/// Row of the table of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Namespace.
    pub namespace: &'static str,
    /// Name within the namespace.
    pub name: &'static str,
    /// Unit.
    pub unit: Unit,
    /// Each set of dimensions that the metric is emitted by. An empty set is the metric without dimensions.
    pub dimensions: &'static [&'static [Dimension]],
}

const BY_FUNCTION: &[&[Dimension]] = &[&[Dimension::Function]];
const BY_KIND: &[&[Dimension]] = &[&[Dimension::Kind]];
const BY_OUTCOME: &[&[Dimension]] = &[&[Dimension::Kind, Dimension::Outcome]];
const BY_ERROR: &[&[Dimension]] = &[&[Dimension::Function, Dimension::Error], &[Dimension::Error]];
const BY_REASON: &[&[Dimension]] = &[&[Dimension::Function, Dimension::Reason]];
const BY_FINDING: &[&[Dimension]] = &[&[Dimension::Finding]];
const BY_FUNCTION_AND_ALL: &[&[Dimension]] = &[&[Dimension::Function], &[]];
const ALL_TOGETHER: &[&[Dimension]] = &[&[]];

impl Metric {
    /// Every metric.
    pub const ALL: &[Metric] = Metric::VARIANTS;

    /// Returns the row of the table.
    #[rustfmt::skip]
    pub fn definition(self) -> Definition {
        let row = |namespace, name, unit, dimensions| Definition { namespace, name, unit, dimensions };
        match self {
            Self::Failures => row(CONTROL_PLANE, "Failures", Unit::Count, BY_ERROR),
            Self::Refusals => row(CONTROL_PLANE, "Refusals", Unit::Count, BY_REASON),
            Self::Deployments => row(CONTROL_PLANE, "Deployments", Unit::Count, BY_OUTCOME),
            Self::DeploymentSeconds => row(CONTROL_PLANE, "DeploymentSeconds", Unit::Seconds, BY_OUTCOME),
            Self::CallbacksOpen => row(CONTROL_PLANE, "CallbacksOpen", Unit::Count, BY_KIND),
            Self::OldestCallbackSeconds => row(CONTROL_PLANE, "OldestCallbackSeconds", Unit::Seconds, BY_KIND),
            Self::SweepFindings => row(CONTROL_PLANE, "SweepFindings", Unit::Count, BY_FINDING),
            Self::SweepsFinished => row(CONTROL_PLANE, "SweepsFinished", Unit::Count, ALL_TOGETHER),
            Self::DeploymentLogLinesLost => row(CONTROL_PLANE, "DeploymentLogLinesLost", Unit::Count, BY_FUNCTION_AND_ALL),
            Self::EventsOfUnknownAccounts => row(CONTROL_PLANE, "EventsOfUnknownAccounts", Unit::Count, BY_FUNCTION),
            Self::DriftsFound => row(CONTROL_PLANE, "DriftsFound", Unit::Count, BY_FUNCTION),
            Self::LooksFailed => row(CONTROL_PLANE, "LooksFailed", Unit::Count, BY_FUNCTION),
            Self::LinesAcknowledged => row(ELB_LOGS, "LinesAcknowledged", Unit::Count, BY_FUNCTION),
            Self::LinesQuarantined => row(ELB_LOGS, "LinesQuarantined", Unit::Count, BY_FUNCTION),
            Self::ObjectsFinished => row(ELB_LOGS, "ObjectsFinished", Unit::Count, BY_FUNCTION),
            Self::ObjectsContinued => row(ELB_LOGS, "ObjectsContinued", Unit::Count, BY_FUNCTION),
            Self::ObjectsFailed => row(ELB_LOGS, "ObjectsFailed", Unit::Count, BY_FUNCTION),
            Self::ObjectLag => row(ELB_LOGS, "DeliveryLagSeconds", Unit::Seconds, BY_FUNCTION),
            Self::EventsAccepted => row(LOG_INTAKE, "EventsAccepted", Unit::Count, BY_FUNCTION),
            Self::EventLag => row(LOG_INTAKE, "DeliveryLagSeconds", Unit::Seconds, BY_FUNCTION),
            Self::AcknowledgedAfter => row(LOG_INTAKE, "AcknowledgedAfterMilliseconds", Unit::Milliseconds, BY_FUNCTION),
            Self::RefusedByRequest => row(LOG_INTAKE, "RefusedByRequest", Unit::Count, BY_FUNCTION),
            Self::RefusedByKey => row(LOG_INTAKE, "RefusedByKey", Unit::Count, BY_FUNCTION),
            Self::RefusedByRate => row(LOG_INTAKE, "RefusedByRate", Unit::Count, BY_FUNCTION),
            Self::RefusedByBroker => row(LOG_INTAKE, "RefusedByBroker", Unit::Count, BY_FUNCTION),
            Self::RefusedByFailure => row(LOG_INTAKE, "RefusedByFailure", Unit::Count, BY_FUNCTION),
        }
    }

    /// Returns the name within the namespace.
    pub fn name(self) -> &'static str {
        self.definition().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_metric_has_a_name_of_its_own_in_its_namespace() {
        let rows = Metric::ALL.iter().map(|metric| metric.definition());
        let names: BTreeSet<_> = rows.map(|row| (row.namespace, row.name)).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }

    #[test]
    fn each_metric_has_dimensions_that_all_differ() {
        for metric in Metric::ALL {
            let sets: BTreeSet<_> = metric.definition().dimensions.iter().collect();
            assert_eq!(sets.len(), metric.definition().dimensions.len(), "{metric:?}");
            assert!(!sets.is_empty(), "{metric:?}");
        }
    }
}
