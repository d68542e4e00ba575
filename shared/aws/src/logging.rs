//! Log lines as JSON, in the form that CloudWatch Logs Insights and Lambda's own filter read.

use crate::config;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Writes log lines to standard output from now on, those of panics too.
pub(crate) fn start() {
    let wanted = config::log_level().and_then(|level| filter(&level));
    let filter = wanted.or_else(|| filter("info")).unwrap_or_default();
    drop(tracing::subscriber::set_global_default(subscriber(std::io::stdout, filter)));
    std::panic::set_hook(Box::new(|panic| tracing::error!(error = "Bug", "{panic}")));
}

fn filter(level: &str) -> Option<EnvFilter> {
    // The runtime would repeat every failure that the shell has logged.
    EnvFilter::try_new(format!("{level},lambda_runtime::layers::panic=off")).ok()
}

/// Returns the subscriber of log lines.
///
/// Each line is an object with the keys `timestamp` and `level`, without which Lambda's filter of levels drops a line:
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>. The fields of the event are beside
/// them, and those of the invocation below `span`.
pub(crate) fn subscriber(
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    filter: EnvFilter,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_env_filter(filter)
        .finish()
}
