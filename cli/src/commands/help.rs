//! `lockstep help`, `lockstep completions`, `lockstep man`: what the command can do, for people, shells and `man`.

mod command_line;
#[cfg(test)]
mod documents;
mod examples;
mod glossary;
mod live_names;

use crate::context::CommandContext;
use crate::failure::{Failure, at};
use crate::report::Report;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::env::Shells;
pub use command_line::command;
use glossary::Entry;
use serde_json::json;
use std::path::PathBuf;

/// The variable by which a shell asks for completions.
pub const COMPLETE: &str = "COMPLETE";

/// The arguments of `help`.
#[derive(Args, Debug)]
pub struct Help {
    /// A command, or a word of the glossary
    topic: Vec<String>,
}

/// The arguments of `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(Shells::builtins().names()))]
    shell: String,
}

/// The arguments of `man`.
#[derive(Args, Debug)]
pub struct Man {
    /// The folder for the pages; it is created if it does not exist
    folder: PathBuf,
}

/// Prints the help of a command, or the meaning of a word.
pub fn help(arguments: &Help, context: &CommandContext) -> Result<Report, Failure> {
    let topic = arguments.topic.join(" ");
    let (text, entries) = (of_command(&arguments.topic), glossary::find(&topic));
    if let Some(text) = &text {
        context.output.line(text.trim_end());
    } else if entries.is_empty() {
        let meant =
            glossary::meant(&topic).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
        return Err(Failure::usage(format!("there is no command and no word `{topic}`{meant}"))
            .next("lockstep help lists the commands; GLOSSARY.md lists the words"));
    }
    if text.is_some() && !entries.is_empty() {
        context.output.line("");
    }
    entries.iter().flat_map(lines).for_each(|line| context.output.line(line));
    Ok(Report::done(json!({ "topic": topic, "text": text, "entries": entries })))
}

/// Returns the help of the command with this path; `None` if there is no such command.
fn of_command(path: &[String]) -> Option<String> {
    let mut command = command();
    command.build();
    let mut found = &mut command;
    for name in path {
        found = found.find_subcommand_mut(name)?;
    }
    Some(found.render_long_help().to_string())
}

fn lines(entry: &Entry) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", entry.word, entry.meaning)];
    if !entry.elsewhere.is_empty() {
        lines.push(format!("  elsewhere: {}", entry.elsewhere));
    }
    lines
}

/// Prints what a shell must read to complete the command's words.
pub fn completions(arguments: &Completions, context: &CommandContext) -> Result<Report, Failure> {
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell);
    let shell = shell.ok_or_else(|| Failure::usage(format!("{} is no shell", arguments.shell)))?;
    let mut script = Vec::new();
    shell
        .write_registration(COMPLETE, "lockstep", "lockstep", "lockstep", &mut script)
        .map_err(at("the completions"))?;
    let script = String::from_utf8_lossy(&script).into_owned();
    context.output.line(script.trim_end());
    Ok(Report::done(json!({ "shell": arguments.shell, "script": script })))
}

/// Writes a manual page for each command.
pub fn man(arguments: &Man, context: &CommandContext) -> Result<Report, Failure> {
    let folder = context.path(&arguments.folder);
    std::fs::create_dir_all(&folder).map_err(at(arguments.folder.display()))?;
    clap_mangen::generate_to(command(), &folder).map_err(at(arguments.folder.display()))?;
    let shown = arguments.folder.display();
    context.output.line(format!("wrote the manual pages to {shown}; read one: man {shown}/lockstep.1"));
    Ok(Report::done(json!({ "folder": shown.to_string() })))
}
