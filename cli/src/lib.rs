//! The `lockstep` command as a library, for the binary, the demo and the end-to-end tests.
//!
//! [`run`] takes a command line and its context. No other part of the library reads the environment or the working directory
//! of the process. Each command is in a file of [`commands`].

pub mod approvers;
pub mod background;
pub mod commands;
pub mod connection;
pub mod context;
pub mod control_plane;
pub mod demo;
pub mod doctor;
pub mod failure;
pub mod follow;
pub mod functions;
pub mod git;
pub mod global;
pub mod image_inventory;
pub mod installation;
pub mod known;
pub mod local;
pub mod names;
pub mod output;
pub mod permissions_table;
pub mod pushed_files;
pub mod question;
pub mod recipe_difference;
pub mod report;
pub mod repository;
pub mod runs;
pub mod schemas;
pub mod stale;
pub mod views;

use crate::commands::{Cli, Command};
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::output::Output;
pub use crate::report::Report;
use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use serde_json::Value;

/// Runs one command line (without the program's name) and prints its output.
pub async fn run(arguments: &[String], context: &CommandContext) -> Report {
    let line = std::iter::once("lockstep".to_owned()).chain(arguments.iter().cloned());
    let parsed = commands::help::command()
        .try_get_matches_from(line)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        // With `--json`, a wrong command line has a document too.
        Err(error) => {
            let json = arguments.iter().any(|argument| argument == "--json");
            return refuse(&error, &context.output.with_json(json));
        }
    };
    let output = context.output.with_json(cli.global.json).with_verbose(cli.global.verbose);
    let context = CommandContext { output: output.clone(), ..context.clone() };
    // `watch` prints each document on one line, the last one too.
    let by_line = matches!(cli.command, Command::Watch(_));
    // The future of all commands is large and deep. The caller holds a pointer to it.
    let report = match Box::pin(commands::run(cli, &context)).await {
        Ok(report) => report,
        Err(failure) => {
            output.note(format!("error: {failure}"));
            Report::of(&failure)
        }
    };
    if by_line {
        output.event(&report.document);
    } else {
        output.document(&report.document);
    }
    report
}

/// Returns the report of a command line that clap did not accept. Help and versions are no errors.
fn refuse(error: &clap::Error, output: &Output) -> Report {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.line(text.trim_end());
            Report::done(Value::Null)
        }
        _ => {
            output.note(text.trim_end());
            let first = text.lines().next().unwrap_or_default();
            let report = Report::of(&Failure::usage(first.strip_prefix("error: ").unwrap_or(first)));
            output.document(&report.document);
            report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    async fn typed(line: &str, folder: &std::path::Path) -> (Report, String) {
        let output = Output::memory(false);
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let report = run(&arguments, &CommandContext::bare(folder, output.clone())).await;
        (report, output.captured())
    }

    #[tokio::test]
    async fn a_new_component_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(typed("init my-thing", folder.path()).await.0.exit, Exit::Done);
        let (report, said) = typed("check my-thing", folder.path()).await;
        assert_eq!(report.exit, Exit::Done);
        assert!(said.starts_with("my-thing 0.1: good"), "{said}");
    }

    #[tokio::test]
    async fn init_writes_schemas_and_check_renews_them() {
        let folder = tempfile::tempdir().unwrap();
        typed("init my-thing", folder.path()).await;
        for name in ["lockstep.json", "parameters.json"] {
            let path = folder.path().join("my-thing/.lockstep/schemas").join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.replacen("type", "typ", 1)).unwrap();
            let (report, said) = typed("check my-thing", folder.path()).await;
            assert!(report.exit == Exit::Done && said.contains(name), "{said}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let (_, said) = typed("check my-thing", folder.path()).await;
        assert!(said.starts_with("my-thing 0.1: good"), "{said}");
    }

    #[tokio::test]
    async fn check_prints_the_needs_of_the_execution_role() {
        let folder = tempfile::tempdir().unwrap();
        typed("init my-thing", folder.path()).await;
        let (_, said) = typed("check my-thing", folder.path()).await;
        assert!(said.contains("the execution role needs "), "{said}");
        let (report, said) = typed("check my-thing --permissions", folder.path()).await;
        assert!(said.contains("required, as the type always needs it: "), "{said}");
        let needs = &report.document["components"][0]["permissions"][0]["needs"];
        assert!(needs.as_array().is_some_and(|needs| !needs.is_empty()), "{needs}");
    }

    #[tokio::test]
    async fn the_policy_of_a_component_has_iams_form() {
        let folder = tempfile::tempdir().unwrap();
        typed("init my-thing", folder.path()).await;
        let (report, said) = typed("permissions my-thing", folder.path()).await;
        assert_eq!(report.exit, Exit::Done);
        let policy: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (&policy, &policy["Version"]),
            (&report.document["policies"][0], &Value::from("2012-10-17"))
        );
        let (_, said) = typed("permissions my-thing --format cloudformation", folder.path()).await;
        let template: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(template["Resources"]["ExecutionPolicy1"]["Type"], "AWS::IAM::ManagedPolicy");
    }

    #[tokio::test]
    async fn check_reports_a_mistake_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        typed("init my-thing", folder.path()).await;
        let manifest = folder.path().join("my-thing/lockstep.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, format!("{text}\n[nonsense]\n")).unwrap();
        let (report, said) = typed("check my-thing", folder.path()).await;
        assert_eq!(report.exit, Exit::Failed);
        let line = text.lines().count() + 2;
        assert!(said.contains(&format!("my-thing/lockstep.toml:{line}: ")), "{said}");
    }

    #[tokio::test]
    async fn check_judges_a_recipe_with_the_files_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("images/shop");
        let common = root.path().join("images/common");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&common).unwrap();
        for (name, text) in lockstep_sim::recipe::recipe_text("shop").files() {
            std::fs::write(folder.join(name), text).unwrap();
        }
        for typed_folder in ["images/shop", "images", "."] {
            let (report, said) = typed(&format!("check {typed_folder}"), root.path()).await;
            assert_eq!(
                (report.exit, said.as_str()),
                (Exit::Done, "image shop 2.1: good\n"),
                "{typed_folder}"
            );
        }
        std::fs::write(common.join("size.pkr.hcl"), "variables {\n  size = 8\n}\n").unwrap();
        for typed_folder in ["images/shop", "images"] {
            let (report, said) = typed(&format!("check {typed_folder}"), root.path()).await;
            assert_eq!(report.exit, Exit::Done, "{said}");
            let hint = "  hint: images/common/size.pkr.hcl:2: nothing uses the variable `size`";
            assert!(said.contains(hint), "{said}");
            assert_eq!(report.document["recipes"][0]["hints"][0]["line"], 2);
        }
        std::fs::write(folder.join("variables.toml"), "[default]\nsize = 1\ncolour = 2\n").unwrap();
        let (report, said) = typed("check images", root.path()).await;
        assert_eq!(report.exit, Exit::Failed);
        assert!(said.contains("images/shop/variables.toml:3: no *.pkr.hcl declares a variable"), "{said}");
    }

    #[tokio::test]
    async fn init_overwrites_no_file() {
        let folder = tempfile::tempdir().unwrap();
        typed("init my-thing", folder.path()).await;
        let (report, said) = typed("init my-thing", folder.path()).await;
        assert_eq!(report.exit, Exit::Failed);
        assert!(said.contains("exists already; nothing was written"), "{said}");
    }

    #[tokio::test]
    async fn with_json_each_result_is_one_document() {
        let folder = tempfile::tempdir().unwrap();
        for (line, exit) in [
            ("--json stages show --example", Exit::Done),
            ("--json check nowhere", Exit::Failed),
            ("--json promote nonsense", Exit::Usage),
        ] {
            let output = Output::memory(true);
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let report = run(&arguments, &CommandContext::bare(folder.path(), output.clone())).await;
            assert_eq!(report.exit, exit, "{line}");
            let said = output.captured();
            let document = said.find('{').map(|at| serde_json::from_str::<Value>(&said[at..]));
            assert_eq!(document.unwrap().unwrap(), report.document, "{line}: {said}");
        }
    }

    #[tokio::test]
    async fn a_secret_on_the_command_line_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (report, _) = typed("secrets set github:acme/logs token --value hunter2", folder.path()).await;
        assert_eq!(report.exit, Exit::Usage);
        let (report, _) = typed("secrets set github:acme/logs token hunter2", folder.path()).await;
        assert_eq!(report.exit, Exit::Usage);
    }
}
