//! An example for each command, as its help and its manual page show it.

/// The examples by command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "accounts add",
        &[
            "accounts add production --path promotion --target-profile production --execution-policies arn:aws:iam::333333333333:policy/components",
        ],
    ),
    ("accounts list", &["accounts list"]),
    ("accounts remove", &["accounts remove production"]),
    ("administrators", &["administrators many"]),
    ("approve", &["approve b643c6da --question 1", "approve b643c6da --refuse --reason \"not on a Friday\""]),
    ("bake", &["bake images/logstash"]),
    ("cancel", &["cancel b643c6da --reason \"wrong version\""]),
    ("check", &["check .", "check orders-queue --stages stages.toml --permissions"]),
    ("clone", &["clone logs-broker@2.1.0 --environment logs-broker-2 --in ci"]),
    ("completions", &["completions bash"]),
    ("components", &["components"]),
    ("components assign", &["components assign logs-broker --to github:acme/logs"]),
    ("components list", &["components list"]),
    (
        "deploy",
        &["deploy logs-broker@2.1.0 --in ci", "deploy logs-broker@2.1.0 --in ci --override MaxSize=3"],
    ),
    ("deployments", &["deployments", "deployments --failed --in ci"]),
    ("diff", &["diff ci production", "diff ci production --component logs-broker"]),
    ("doctor", &["doctor --all", "doctor --target-profile production"]),
    ("drift", &["drift --in ci", "drift --due"]),
    ("drift explain", &["drift explain logs-broker --in ci"]),
    ("help", &["help promote", "help stale"]),
    ("hold", &["hold logs-broker --in ci --reason \"load test until Friday\""]),
    ("images", &["images"]),
    ("images assign", &["images assign logstash --to github:acme/logs"]),
    ("images import", &["images import ami-0123456789abcdef0 --image base@1.0.0"]),
    ("images list", &["images list"]),
    ("images publish", &["images publish logstash@2.1.37 --in production"]),
    ("images retire", &["images retire --dry-run"]),
    ("images revoke", &["images revoke logstash@2.1.37 --reason CVE-2026-1234"]),
    ("images show", &["images show logstash"]),
    ("init", &["init orders-queue"]),
    ("install", &["install --profile tooling --region eu-west-1 --administrators many"]),
    ("local down", &["local down"]),
    ("local env", &["local env production"]),
    ("local repository add", &["local repository add acme/shop"]),
    ("local reset", &["local reset"]),
    ("local status", &["local status"]),
    ("local up", &["local up"]),
    ("logs keys add", &["logs keys add shop-desktop --in ci"]),
    ("logs keys limit", &["logs keys limit shop-desktop --events-per-second 10 --burst 100 --in ci"]),
    ("logs keys list", &["logs keys list --in ci"]),
    ("logs keys revoke", &["logs keys revoke shop-desktop --key 3 --in ci"]),
    ("logs keys rotate", &["logs keys rotate shop-desktop --in ci"]),
    ("logs replay", &["logs replay --in ci", "logs replay s3://acme-logs/AWSLogs/a.log.gz --in production"]),
    ("man", &["man manual"]),
    ("parameters apply", &["parameters apply parameters.toml"]),
    ("parameters show", &["parameters show"]),
    ("pending cancel", &["pending cancel stages 2"]),
    ("pending confirm", &["pending confirm stages 2"]),
    ("pending show", &["pending show"]),
    ("people apply", &["people apply people.toml"]),
    ("people show", &["people show --example"]),
    ("permissions", &["permissions orders-queue --format cloudformation"]),
    ("plan", &["plan logs-broker@2.1.0 --in production"]),
    (
        "promote",
        &[
            "promote logs-broker@2.1.0 --in production",
            "promote logs-broker@2.1.0 logs-indexer@1.4.2 --in production",
        ],
    ),
    ("push", &["push", "push logs/broker"]),
    ("question", &["question b643c6da"]),
    ("reconcile", &["reconcile logs-broker --in ci --reason \"deleted the queue by hand\""]),
    ("releases", &["releases logs-broker"]),
    ("repositories add", &["repositories add github:acme/logs --branches 'feature/*'"]),
    ("repositories list", &["repositories list"]),
    ("repositories remove", &["repositories remove github:acme/logs"]),
    ("repositories test", &["repositories test github:acme/logs"]),
    ("resume", &["resume logs-broker --in ci"]),
    ("retry", &["retry b643c6da"]),
    (
        "rollback",
        &["rollback logs-broker --in production", "rollback logs-broker --in production --to 2.1.0 --yes"],
    ),
    ("secrets set", &["secrets set github:acme/logs token --stdin"]),
    ("stages apply", &["stages apply stages.toml"]),
    ("stages show", &["stages show --example"]),
    ("status", &["status", "status --json"]),
    ("teardown", &["teardown logs-broker --in ci"]),
    ("try", &["try"]),
    ("uninstall", &["uninstall"]),
    ("unlock", &["unlock logs-broker --in ci"]),
    ("version", &["version"]),
    ("watch", &["watch", "watch b643c6da", "watch logs-broker@2.1.0", "watch ci"]),
    ("webhook explain", &["webhook explain 8476a536-e9f4-11e8-9739-2dfe598c3fcd"]),
    ("where", &["where logstash@2.1.37", "where logs-broker@2.1.0"]),
    ("why", &["why logs-broker", "why b643c6da", "why logs-broker@2.1.0", "why ami-0123456789abcdef0"]),
];

/// Returns the examples of the command with this path, such as `images import`.
pub fn of(path: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(command, _)| *command == path).map_or(&[], |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use crate::context::CommandContext;
    use crate::failure::Exit;
    use crate::output::Output;
    use clap::{Command, CommandFactory as _};
    use std::collections::BTreeSet;

    /// Returns the words of a line, as a shell would.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in line.chars() {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, ' ') => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    /// Returns the path of each command that a person can run, other than hidden ones.
    fn paths(command: &Command, above: &str, found: &mut BTreeSet<String>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let path = super::super::command_line::path_of(above, inner.get_name());
            if !inner.is_subcommand_required_set() {
                found.insert(path.clone());
            }
            paths(inner, &path, found);
        }
    }

    /// Returns the path of the command that a line runs; `None` if the line is not accepted.
    fn path_of_line(line: &str) -> Option<String> {
        let line = std::iter::once("lockstep".to_owned()).chain(words(line));
        let matches = Cli::command().try_get_matches_from(line).ok()?;
        let (mut path, mut inner) = (String::new(), &matches);
        while let Some((name, below)) = inner.subcommand() {
            path = super::super::command_line::path_of(&path, name);
            inner = below;
        }
        Some(path)
    }

    #[test]
    fn each_command_has_an_example_that_it_accepts() {
        let mut expected = BTreeSet::new();
        paths(&Cli::command(), "", &mut expected);
        let listed: BTreeSet<String> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, expected);
        for (path, lines) in EXAMPLES {
            assert!(!lines.is_empty());
            for line in *lines {
                assert_eq!(path_of_line(line).as_deref(), Some(*path), "{line}");
            }
        }
    }

    #[test]
    fn the_help_of_a_command_shows_its_example() {
        let mut command = super::super::command();
        command.build();
        for (path, lines) in EXAMPLES {
            let found =
                path.split(' ').try_fold(&mut command, |command, name| command.find_subcommand_mut(name));
            let help = found.unwrap().render_help().to_string();
            assert!(
                lines
                    .iter()
                    .all(|line| help.contains(&format!("  lockstep {line}\n")) || help.ends_with(line)),
                "{help}"
            );
        }
    }

    /// Runs an example in a folder that holds a component, and returns the exit.
    async fn run(line: &str, folder: &std::path::Path) -> (Exit, String) {
        let output = Output::memory(false);
        let report = crate::run(&words(line), &CommandContext::bare(folder, output.clone())).await;
        (report.exit, output.captured())
    }

    #[tokio::test]
    async fn examples_that_need_no_account_succeed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run("init orders-queue", folder.path()).await.0, Exit::Done);
        let stages = run("stages show --example", folder.path()).await.1;
        std::fs::write(folder.path().join("stages.toml"), stages).unwrap();
        for command in ["check", "completions", "help", "man", "permissions", "people show", "stages show"] {
            for line in of(command) {
                let (exit, said) = run(line, folder.path()).await;
                assert_eq!(exit, Exit::Done, "{line}: {said}");
            }
        }
        let man = |name: &str| std::fs::read_to_string(folder.path().join("manual").join(name)).unwrap();
        assert!(man("lockstep.1").contains("push") && man("lockstep-images-import.1").contains("base@1.0.0"));
    }

    #[tokio::test]
    async fn help_explains_words_and_suggests_near_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (exit, said) = run("help lease", folder.path()).await;
        assert!(exit == Exit::Done && said.starts_with("lease: the exclusive right"), "{said}");
        let (exit, said) = run("help drift", folder.path()).await;
        assert!(
            exit == Exit::Done
                && said.contains("Usage: lockstep drift")
                && said.contains("drift: a difference"),
            "{said}"
        );
        let (exit, said) = run("help leese", folder.path()).await;
        assert!(exit == Exit::Usage && said.contains("did you mean `lease`?"), "{said}");
    }

    #[tokio::test]
    async fn each_shell_gets_a_script_that_asks_the_command() {
        let folder = tempfile::tempdir().unwrap();
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let (exit, said) = run(&format!("completions {shell}"), folder.path()).await;
            assert!(
                exit == Exit::Done && said.contains("COMPLETE") && said.contains("lockstep"),
                "{shell}: {said}"
            );
        }
        assert_eq!(run("completions tcsh", folder.path()).await.0, Exit::Usage);
    }
}
