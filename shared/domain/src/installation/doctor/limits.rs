//! Judges quotas of an account against what Lockstep needs.

use super::{Finding, Reading};

/// A quota, and the value that Lockstep needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Code of the service in Service Quotas.
    pub service: &'static str,
    /// Name of the quota in Service Quotas. Codes differ between partitions; names do not.
    pub name: &'static str,
    /// Minimum value at which Lockstep works as documented.
    pub least: f64,
    /// Effect of a lower value.
    pub why: &'static str,
    /// Location in which the quota applies.
    pub place: QuotaScope,
}

/// Location in which a quota applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// The tooling account.
    Tooling,
    /// Each account and region that Lockstep deploys to.
    Target,
}

/// The quotas that Lockstep needs, apart from Lambda's concurrency, which Lambda itself reports.
/// <https://docs.aws.amazon.com/general/latest/gr/step-functions.html>,
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html>,
/// <https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html>
pub const WANTED_QUOTAS: [Quota; 5] = [
    Quota {
        service: "states",
        name: "StartExecution throttle token bucket size",
        least: 100.0,
        why: "a push of many components starts an execution for each of them and for each stage",
        place: QuotaScope::Tooling,
    },
    Quota {
        service: "states",
        name: "StartExecution throttle token refill rate per second",
        least: 10.0,
        why: "a sweep starts an execution for each thing that it finds",
        place: QuotaScope::Tooling,
    },
    Quota {
        service: "ebs",
        name: "Concurrent snapshot copies per destination Region",
        least: 20.0,
        why: "Lockstep copies up to eighteen images at once into an account and region",
        place: QuotaScope::Target,
    },
    Quota {
        service: "ec2",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        least: 16.0,
        why: "a test stack starts instances beside those of the stages in its account",
        place: QuotaScope::Target,
    },
    Quota {
        service: "codebuild",
        name: "Concurrently running builds for Linux/Small environment",
        least: 1.0,
        why: "an image is built by one such build",
        place: QuotaScope::Target,
    },
];

/// Minimum concurrency of an account's functions: ten for each function of one push, and the hundred that
/// Lambda keeps unreserved. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LEAST_CONCURRENCY: f64 = 200.0;

/// A quota of an account, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaFacts {
    /// Location and name of the quota, such as `quota lambda Concurrent executions in 111111111111
    /// eu-west-1`.
    pub subject: String,
    /// Minimum value at which Lockstep works as documented.
    pub least: f64,
    /// Effect of a lower value.
    pub why: String,
    /// Value of the quota.
    pub value: Reading<f64>,
}

// A quota is a count. AWS gives it as a floating-point number, and it is never NaN.
impl Eq for QuotaFacts {}

pub(super) fn judge(quota: &QuotaFacts) -> Finding {
    match &quota.value {
        Err(unknown) => Finding::unknown(&quota.subject, unknown),
        Ok(value) if *value < quota.least => Finding::warning(
            &quota.subject,
            format!("it is {value}, and at least {} are needed: {}", quota.least, quota.why),
            "ask for more in the Service Quotas console",
        ),
        Ok(value) => Finding::fine(&quota.subject, format!("it is {value}")),
    }
}
