//! The command line with its help: groups of commands, an example in each help, and live names for completions.

use super::{examples, live_names};
use crate::commands::Cli;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::ArgValueCandidates;
use clap_complete::engine::CompletionCandidate;

/// The groups of commands in the order of the help.
pub const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Every day",
        &[
            "status",
            "push",
            "check",
            "plan",
            "diff",
            "deploy",
            "promote",
            "question",
            "approve",
            "watch",
            "why",
            "where",
            "deployments",
            "releases",
            "drift",
            "init",
            "clone",
        ],
    ),
    (
        "Set up",
        &[
            "try",
            "local",
            "install",
            "accounts",
            "people",
            "administrators",
            "pending",
            "stages",
            "parameters",
            "repositories",
            "secrets",
            "webhook",
            "components",
            "permissions",
            "doctor",
            "logs",
            "uninstall",
            "version",
            "completions",
            "man",
            "help",
        ],
    ),
    ("Images", &["images", "bake"]),
    ("Rescue", &["rollback", "hold", "resume", "cancel", "retry", "unlock", "reconcile", "teardown"]),
];

/// Width of the column of names.
const NAME_WIDTH: usize = 14;

/// Returns the command line as the binary, its completions and its manual pages use it.
pub fn command() -> Command {
    let command = with_examples(Cli::command(), "");
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}",
        groups(&command)
    );
    with_live_names(command.help_template(template))
}

/// Returns the groups as the help shows them.
fn groups(command: &Command) -> String {
    let about = |name: &str| {
        let found = command.find_subcommand(name).and_then(Command::get_about);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let group = |(heading, names): &(&str, &[&str])| {
        let lines = names.iter().map(|name| format!("  {name:NAME_WIDTH$}  {}\n", about(name)));
        format!("{heading}:\n{}\n", lines.collect::<String>())
    };
    GROUPS.iter().map(group).collect()
}

pub(super) fn path_of(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above} {name}") }
}

/// Adds its examples to the help of each command below `path`.
fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(&name, |inner| with_examples(inner, &path_of(path, &name)))
    });
    match examples::of(path) {
        [] => command,
        lines => {
            let lines: Vec<String> = lines.iter().map(|line| format!("  lockstep {line}")).collect();
            let heading = if lines.len() == 1 { "Example" } else { "Examples" };
            command.after_help(format!("{heading}:\n{}", lines.join("\n")))
        }
    }
}

/// Adds to each argument that names a stage, a component, a release or a version of an image the names that exist.
fn with_live_names(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command =
        names.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_live_names));
    command.mut_args(|argument| match candidates(&argument) {
        Some(names) => argument.add(ArgValueCandidates::new(names)),
        None => argument,
    })
}

/// Returns the source of an argument's names; `None` for an argument without live names.
fn candidates(argument: &Arg) -> Option<fn() -> Vec<CompletionCandidate>> {
    let value = argument.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    match (argument.get_id().as_str(), value) {
        (_, Some("STAGE")) => Some(live_names::stages),
        (_, Some("RELEASE")) | ("release", _) => Some(live_names::releases),
        ("component", _) => Some(live_names::components),
        (_, Some("IMAGE@VERSION")) => Some(live_names::image_versions),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_command_stands_in_one_group() {
        let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, names) in GROUPS {
            names.iter().for_each(|name| *listed.entry(name).or_default() += 1);
        }
        let command = Cli::command();
        let names = command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(Command::get_name);
        let expected: BTreeMap<&str, usize> = names.map(|name| (name, 1)).collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_help_shows_groups_and_fits_into_a_terminal() {
        let help = command().render_help().to_string();
        let headings: Vec<usize> =
            GROUPS.iter().map(|(heading, _)| help.find(&format!("{heading}:\n")).expect(heading)).collect();
        assert!(headings.is_sorted(), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }

    #[test]
    fn names_of_the_command_line_have_live_candidates() {
        fn count(command: &Command) -> usize {
            let own =
                command.get_arguments().filter(|argument| argument.get::<ArgValueCandidates>().is_some());
            own.count() + command.get_subcommands().map(count).sum::<usize>()
        }
        let promote = command();
        let promote = promote.find_subcommand("promote").unwrap();
        let with = |id: &str| {
            let argument = promote.get_arguments().find(|argument| argument.get_id() == id).unwrap();
            argument.get::<ArgValueCandidates>().is_some()
        };
        assert!(with("releases") && with("to") && !with("break_glass"));
        assert!(count(&command()) > 30);
    }
}
