//! The `lockstep` command as a library: what the binary, the demo and the end-to-end test all run.
//!
//! [`run`] takes a command line and the surroundings it was typed in; nothing below it reads the process's
//! environment or its working directory. Every command is one file in [`commands`].

pub mod commands;
pub mod connection;
pub mod failure;
pub mod follow;
pub mod functions;
pub mod git;
pub mod installation;
pub mod local;
pub mod names;
pub mod output;
pub mod plane;
pub mod surroundings;
pub mod views;

use clap::Parser;
use clap::error::ErrorKind;
use commands::Cli;
use failure::{Exit, Failure};
use output::Output;
use serde_json::{Value, json};
use surroundings::Surroundings;

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The answer for scripts.
    pub document: Value,
    /// How the command ended.
    pub exit: Exit,
}

impl Report {
    /// Done, with this answer.
    pub fn done(document: Value) -> Self {
        Self { document, exit: Exit::Done }
    }

    /// The failure as scripts see it.
    fn of(failure: &Failure) -> Self {
        let document = json!({ "error": failure.what, "next": failure.next });
        Self { document, exit: failure.exit }
    }
}

/// Runs one command line (without the program's name) and prints what there is to print.
pub async fn run(arguments: &[String], surroundings: &Surroundings) -> Report {
    let line = std::iter::once("lockstep".to_owned()).chain(arguments.iter().cloned());
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &surroundings.output),
    };
    let output = surroundings.output.with_json(cli.global.json);
    let surroundings = Surroundings { output: output.clone(), ..surroundings.clone() };
    let report = match commands::run(cli, &surroundings).await {
        Ok(report) => report,
        Err(failure) => {
            output.note(format!("error: {failure}"));
            Report::of(&failure)
        }
    };
    output.document(&report.document);
    report
}

/// Help and versions are answers; everything else clap refuses is a usage error.
fn refuse(error: &clap::Error, output: &Output) -> Report {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.line(text.trim_end());
            Report::done(Value::Null)
        }
        _ => {
            output.note(text.trim_end());
            Report::of(&Failure::usage(text.lines().next().unwrap_or_default()))
        }
    }
}
