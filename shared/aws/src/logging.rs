//! Log lines as JSON, in the form that CloudWatch Logs Insights and Lambda's own filter read.

use crate::config;
use lockstep_domain::model::visible;
use std::io::{self, Write};
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;

/// Writes log lines to standard output from now on, those of panics too.
pub(crate) fn start() {
    let level = config::log_level().map_or(LevelFilter::INFO, |name| level(&name));
    drop(tracing::subscriber::set_global_default(subscriber(std::io::stdout, level)));
    std::panic::set_hook(Box::new(|panic| tracing::error!(error = "Bug", "{panic}")));
}

/// Returns the level that one of Lambda's names means. Lambda's `FATAL` has no counterpart here: it means `ERROR`.
fn level(name: &str) -> LevelFilter {
    match name.parse() {
        Ok(level) => level,
        Err(_) if name.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        Err(_) => LevelFilter::INFO,
    }
}

/// Returns the subscriber of log lines.
///
/// Each line is an object with the keys `timestamp` and `level`, without which Lambda's filter of levels drops a line:
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>. The fields of the event are beside
/// them, and those of the invocation below `span`.
pub(crate) fn subscriber(
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    level: LevelFilter,
) -> impl Subscriber + Send + Sync {
    // The runtime would repeat every failure that the shell has logged.
    let filter =
        Targets::new().with_default(level).with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let lines = fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(Visible(writer));
    tracing_subscriber::registry().with(lines).with(filter)
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
        let subscriber = subscriber(move || Shared(Arc::clone(&writer)), LevelFilter::INFO);
        let hidden: String = ('\0'..=char::MAX).filter(|c| visible::is_hidden(*c)).collect();
        tracing::subscriber::with_default(subscriber, || tracing::info!(cause = hidden, "{hidden}"));
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(|c| visible::is_hidden(c) && c != '\n'), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!([&line["cause"], &line["message"]], [hidden.as_str(); 2]);
    }

    #[test]
    fn each_name_of_lambda_is_a_level() {
        let names = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "bogus"];
        let levels = [
            LevelFilter::TRACE,
            LevelFilter::DEBUG,
            LevelFilter::INFO,
            LevelFilter::WARN,
            LevelFilter::ERROR,
            LevelFilter::ERROR,
            LevelFilter::INFO,
        ];
        assert_eq!(names.map(level), levels);
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
