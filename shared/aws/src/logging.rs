//! Log lines as JSON, in the form that CloudWatch Logs Insights and Lambda's own filter read.

use crate::config;
use lockstep_domain::model::visible;
use std::io::{self, Write};
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
        .with_writer(Visible(writer))
        .with_env_filter(filter)
        .finish()
}

/// A writer of log lines that escapes every character that a terminal would obey or hide: operators read logs on terminals.
struct Visible<W>(W);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Visible<M> {
    type Writer = Visible<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Visible(self.0.make_writer())
    }
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible::json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn no_log_line_holds_a_hidden_character() {
        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let writer = Arc::clone(&lines);
        let subscriber = subscriber(move || Shared(Arc::clone(&writer)), EnvFilter::new("info"));
        let hidden: String = ('\0'..=char::MAX).filter(|c| visible::is_hidden(*c)).collect();
        tracing::subscriber::with_default(subscriber, || tracing::info!(cause = hidden, "{hidden}"));
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(|c| visible::is_hidden(c) && c != '\n'), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!([&line["cause"], &line["message"]], [hidden.as_str(); 2]);
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
