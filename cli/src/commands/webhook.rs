//! `lockstep webhook`: explains what the webhook answered.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::doctor::webhooks::WEBHOOK_LOG_GROUP;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::RequestId;
use crate::report::Report;
use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::operator::readings;
use lockstep_domain::delivery::hook::Denial;
use serde::Deserialize;
use serde_json::json;

/// Number of days of the log that are read: the shortest time that an installation keeps it.
const DAYS: i64 = 7;

/// Maximum number of lines that are read. A request has one line of this kind, and a few of its invocation.
const LINES_MAX: usize = 100;

/// The arguments of `webhook`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show from the log why the webhook refused a request
    Explain {
        /// The id of the request, from the body of the refusal
        request: RequestId,
    },
}

/// The line that the webhook writes for each request.
#[derive(Debug, Deserialize)]
struct Line {
    request: String,
    status: u16,
    repository: Option<String>,
    reason: Option<String>,
    denial: Option<String>,
    bytes: u64,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let Command::Explain { request } = &arguments.command;
    let plane = ControlPlane::open(global, context).await?;
    let since = Timestamp::now().checked_sub((DAYS * 24).hours()).unwrap_or_default().as_millisecond();
    let pattern = format!("\"{request}\"");
    let lines = readings::log_lines(plane.aws(), WEBHOOK_LOG_GROUP, &pattern, since, LINES_MAX).await?;
    let (time, line) = find(&request.to_string(), &lines).ok_or_else(|| {
        Failure::new(format!("the webhook's log of the last {DAYS} days has no request {request}"))
            .next("a line takes some seconds to arrive; compare the id with the body of the refusal")
    })?;
    for text in explained(&line) {
        context.output.line(text);
    }
    Ok(Report::done(json!({
        "request": line.request, "at": time, "status": line.status, "repository": line.repository,
        "reason": line.reason, "denial": line.denial, "bytes": line.bytes,
    })))
}

/// Returns the line of a request, with its time.
fn find(request: &str, lines: &[(i64, String)]) -> Option<(Option<Timestamp>, Line)> {
    lines.iter().find_map(|(time, text)| {
        let line: Line = serde_json::from_str(text).ok()?;
        (line.request == request).then(|| (Timestamp::from_millisecond(*time).ok(), line))
    })
}

/// Returns the explanation of a line.
fn explained(line: &Line) -> Vec<String> {
    let claimed = line.repository.as_deref().map(|id| format!(" to the hook of {id}")).unwrap_or_default();
    let what = format!("request {}{claimed}, {} bytes: {}", line.request, line.bytes, line.status);
    let denial = line.denial.as_deref().and_then(|word| word.parse::<Denial>().ok());
    match (denial, &line.reason) {
        (Some(denial), _) => vec![
            format!("{what}: {} ({})", denial.sentence(), denial.part()),
            format!("next: {}", denial.correction()),
        ],
        (None, Some(reason)) => vec![
            format!("{what}: {reason}"),
            "next: its reply gives the reason; the git host shows it beside the delivery".to_owned(),
        ],
        (None, None) => vec![format!("{what}: it was not refused")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(denial: Denial) -> (i64, String) {
        let line = json!({
            "level": "INFO", "message": "answered a webhook request", "status": 401, "request": "r-1234567",
            "repository": "github.acme.logs", "reason": denial.part(), "denial": denial.as_str(), "bytes": 17,
        });
        (1000, line.to_string())
    }

    #[test]
    fn each_denial_is_explained_with_the_next_step() {
        for denial in Denial::ALL {
            let lines = [(900, "START RequestId: r-1234567".to_owned()), logged(*denial)];
            let (time, line) = find("r-1234567", &lines).unwrap();
            assert_eq!(time.unwrap().as_millisecond(), 1000);
            let said = explained(&line).join("\n");
            for part in
                [denial.sentence(), denial.part(), denial.correction(), "github.acme.logs", "17 bytes", "401"]
            {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
    }

    #[test]
    fn another_request_is_not_explained() {
        assert!(find("r-7654321", &[logged(Denial::NotSigned)]).is_none());
    }

    #[test]
    fn an_accepted_request_was_not_refused() {
        let line = json!({ "status": 202, "request": "r-1234567", "bytes": 17 }).to_string();
        let (_, line) = find("r-1234567", &[(1, line)]).unwrap();
        assert_eq!(explained(&line), ["request r-1234567, 17 bytes: 202: it was not refused"]);
    }
}
