//! Packaging of the examples as they are, in every stage.

use crate::components::files_below;
use crate::stack::repository;
use lockstep_cli::context::CommandContext;
use lockstep_cli::failure::Exit;
use lockstep_cli::output::Output;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::delivery::manifest::Manifest;
use lockstep_domain::delivery::packaging::{self, PackagingInput, Scope, find_components, needs_by_stage};
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::permission::Level;
use lockstep_domain::stacks::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// The command in `examples/README.md`.
const COMMAND: &str = "check examples --stages examples/stages.toml";

/// Returns the components below `examples`: the name of each folder, and its files.
fn examples() -> BTreeMap<String, Files> {
    let all = files_below(&repository().join("examples"));
    let below = |folder: &str| {
        let own = all.iter().filter_map(|(path, bytes)| {
            Some((path.strip_prefix(folder)?.strip_prefix('/')?.to_owned(), bytes.clone()))
        });
        own.collect::<Files>()
    };
    find_components(&all).into_iter().map(|folder| (folder.clone(), below(&folder))).collect()
}

fn text<'f>(files: &'f Files, file: &str) -> &'f str {
    std::str::from_utf8(&files[file]).unwrap()
}

/// Returns the outputs that each example declares, by component.
fn outputs(examples: &BTreeMap<String, Files>) -> BTreeMap<ComponentName, BTreeSet<String>> {
    let declared = |files: &Files| {
        let manifest = Manifest::parse("lockstep.toml", text(files, "lockstep.toml")).unwrap();
        let template = Template::parse("template.yaml", text(files, "template.yaml")).unwrap();
        (manifest.component.name, template.outputs().keys().cloned().collect())
    };
    examples.values().map(declared).collect()
}

#[test]
fn every_example_is_packaged_without_an_open_reference() {
    let examples = examples();
    assert!(examples.len() >= 3, "{:?}", examples.keys());
    let file = repository().join("examples/stages.toml");
    let stages = Stages::parse("stages.toml", &std::fs::read_to_string(file).unwrap()).unwrap();
    let (organisation, producers) = (OrganisationParameters::default(), outputs(&examples));
    let input = PackagingInput {
        stages: Some(&stages),
        organisation: Some(&organisation),
        producers: Some(&producers),
        ..PackagingInput::default()
    };
    for (folder, files) in &examples {
        let package = packaging::plan(folder, files, &input).unwrap_or_else(|problems| {
            panic!("{folder}: {}", problems.iter().map(|p| format!("\n{p}")).collect::<String>())
        });
        assert_eq!(package.unchecked, Vec::<String>::new(), "{folder}");
        assert!(!package.manifest.checks.is_empty(), "{folder} has no check");
    }
}

#[tokio::test]
async fn the_command_in_the_readme_accepts_every_example() {
    let readme = std::fs::read_to_string(repository().join("examples/README.md")).unwrap();
    assert!(readme.contains(&format!("lockstep -- {COMMAND}")), "examples/README.md gives another command");
    let output = Output::memory(false);
    let arguments: Vec<String> = COMMAND.split(' ').map(str::to_owned).collect();
    let report = lockstep_cli::run(&arguments, &CommandContext::bare(&repository(), output.clone())).await;
    assert_eq!(report.exit, Exit::Done, "{}", output.captured());
    for folder in examples().keys() {
        assert!(output.captured().contains(&format!("{folder} 1.0: good")), "{}", output.captured());
        assert!(readme.contains(&format!("[`{folder}`]({folder})")), "examples/README.md lacks {folder}");
    }
}

#[test]
fn the_example_with_local_files_needs_what_its_nested_template_needs() {
    let files = &examples()["greeting"];
    let package = packaging::plan("greeting", files, &PackagingInput::default()).unwrap();
    let nested = package.local.nested().map(|template| template.resources().len()).collect::<Vec<_>>();
    assert_eq!(nested, [2], "the role and the log group");
    let keys: Vec<String> = package.local.objects(false).map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 2, "the zip of src and the nested template: {keys:?}");
    let table = lockstep_cli::permissions_table::table().unwrap();
    let needs = needs_by_stage(&package, &PackagingInput::default(), table, Scope::Account);
    assert_eq!(needs[0].needs.unknown, []);
    let required = |action: &str, resource: &str| {
        let mut of = needs[0].needs.of(Level::Required);
        of.any(|need| need.action == action && need.resource == resource)
    };
    for (action, resource) in [
        ("lambda:CreateFunction", "Greeter"),
        ("iam:CreateRole", "Runtime.Role"),
        ("logs:CreateLogGroup", "Runtime.GreeterLogs"),
    ] {
        assert!(required(action, resource), "{action} of {resource}");
    }
}
