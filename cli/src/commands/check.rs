//! `lockstep check`: runs the planner of the package function offline.

use crate::context::CommandContext;
use crate::failure::{Exit, Failure, at};
use crate::git::git;
use crate::output::Output;
use crate::permissions_table::table;
use crate::report::Report;
use crate::views::permissions;
use clap::Args;
use lockstep_domain::delivery::archive::{Files, Limits};
use lockstep_domain::delivery::packaging::{
    Package, PackagingInput, Scope, find_components, needs_by_stage, plan,
};
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::error::Problem;
use lockstep_domain::model::test_difference;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The arguments of `check`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A component's folder, or a folder with several components below it
    folder: PathBuf,
    /// The organisation's stages, so that every parameter is resolved for every stage
    #[arg(long, value_name = "FILE")]
    stages: Option<PathBuf>,
    /// The organisation's parameters
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// List every permission that the execution role needs, by resource and line
    #[arg(long)]
    permissions: bool,
}

/// Prints each problem that packaging would refuse, with file and line, and the permissions that the execution role needs.
pub async fn run(arguments: &Arguments, context: &CommandContext) -> Result<Report, Failure> {
    let folders = std::slice::from_ref(&arguments.folder);
    let organisation = (arguments.stages.as_deref(), arguments.parameters.as_deref());
    let found = match find(folders, organisation, context).await? {
        Ok(found) => found,
        Err(problems) => return Ok(refused(&context.output, &problems)),
    };
    let output = &context.output;
    let mut components = Vec::new();
    for package in &found.packages {
        let component = &package.manifest.component;
        output.line(format!("{} {}: good", component.name, component.version));
        package.unchecked.iter().for_each(|what| output.line(format!("  not checked here: {what}")));
        package.hints.iter().for_each(|hint| output.line(format!("  hint: {hint}")));
        let differences = test_difference::summary(&package.test_differences);
        differences.iter().for_each(|what| output.line(format!("  the test stack differs: {what}")));
        let needs = needs_by_stage(package, &found.input(), table()?, Scope::Stage);
        permissions::show_needs(&needs, component.template.as_str(), arguments.permissions, output);
        let needs: Vec<Value> = needs.iter().map(permissions::needs_document).collect();
        components.push(json!({
            "component": component.name, "unchecked": package.unchecked, "hints": package.hints,
            "test_differences": package.test_differences, "serial_tests": package.serial_tests,
            "permissions": needs,
        }));
    }
    match found.problems.as_slice() {
        [] => Ok(Report::done(json!({ "components": components, "problems": [] }))),
        problems => Ok(refused(output, problems)),
    }
}

/// The components below some folders, planned as for packaging.
pub(super) struct CheckedPackages {
    /// The organisation's stages, if the command line names their file.
    pub(super) stages: Option<Stages>,
    organisation: Option<OrganisationParameters>,
    /// The components that can be packaged.
    pub(super) packages: Vec<Package>,
    /// The problems of the other components.
    pub(super) problems: Vec<Problem>,
}

impl CheckedPackages {
    /// Returns the organisation's part of the packaging input.
    pub(super) fn input(&self) -> PackagingInput<'_> {
        PackagingInput {
            stages: self.stages.as_ref(),
            organisation: self.organisation.as_ref(),
            ..PackagingInput::default()
        }
    }
}

/// Plans every component below `typed`, with the files of the stages and of the organisation's parameters.
///
/// The inner error lists the problems of those files.
pub(super) async fn find(
    typed: &[PathBuf],
    organisation: (Option<&Path>, Option<&Path>),
    context: &CommandContext,
) -> Result<Result<CheckedPackages, Vec<Problem>>, Failure> {
    let (stages, organisation) = match read_organisation(organisation, context)? {
        Ok(files) => files,
        Err(problems) => return Ok(Err(problems)),
    };
    let mut found = CheckedPackages { stages, organisation, packages: Vec::new(), problems: Vec::new() };
    for typed in typed {
        let files = files_below(&context.path(typed)).await?;
        let folders = find_components(&files);
        if folders.is_empty() {
            return Err(Failure::new(format!("{} holds no component: no lockstep.toml", typed.display()))
                .next("write one: lockstep init <name>"));
        }
        for folder in folders {
            match plan(&folder, &below(&files, &folder), &found.input()) {
                Ok(mut package) => {
                    package.hints.iter_mut().for_each(|hint| below_typed(typed, hint));
                    found.packages.push(package);
                }
                Err(mut problems) => {
                    problems.iter_mut().for_each(|problem| below_typed(typed, problem));
                    found.problems.extend(problems);
                }
            }
        }
    }
    Ok(Ok(found))
}

/// Makes the file of a problem relative to the working folder.
fn below_typed(typed: &Path, problem: &mut Problem) {
    problem.file = typed.join(&problem.file).display().to_string();
}

type Organisation = (Option<Stages>, Option<OrganisationParameters>);

/// Reads the organisation's files. The inner error lists their problems.
fn read_organisation(
    (stages, parameters): (Option<&Path>, Option<&Path>),
    context: &CommandContext,
) -> Result<Result<Organisation, Vec<Problem>>, Failure> {
    let read = |path: Option<&Path>| match path {
        Some(path) => context.read(path).map(|text| Some((path.display().to_string(), text))),
        None => Ok(None),
    };
    let (stages, parameters) = (read(stages)?, read(parameters)?);
    let stages = stages.map(|(file, text)| Stages::parse(&file, &text)).transpose();
    let parameters = parameters.map(|(file, text)| OrganisationParameters::parse(&file, &text)).transpose();
    Ok(match (stages, parameters) {
        (Ok(stages), Ok(parameters)) => Ok((stages, parameters)),
        (stages, parameters) => {
            let found = [stages.err(), parameters.err()].into_iter().flatten().flatten();
            Err(found.collect())
        }
    })
}

pub(super) fn refused(output: &Output, problems: &[Problem]) -> Report {
    problems.iter().for_each(|problem| output.line(problem.to_string()));
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    output.line(format!("{} {noun}", problems.len()));
    let listed: Vec<Value> = problems.iter().map(|problem| json!(problem)).collect();
    Report { document: json!({ "components": [], "problems": listed }), exit: Exit::Failed }
}

/// Returns the files below `folder`, with paths relative to it.
fn below(files: &Files, folder: &str) -> Files {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let own = files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone())));
    own.collect()
}

/// Returns the files that a push would contain: those that git tracks or would add. Outside a repository, every file.
async fn files_below(folder: &Path) -> Result<Files, Failure> {
    if !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a folder", folder.display())));
    }
    let listed = git(folder, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await;
    let paths: Vec<String> = match listed {
        Ok(text) => text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        Err(_) => walk(folder, "", 0)?,
    };
    let mut files = Files::new();
    for path in paths {
        let full = folder.join(&path);
        // git still lists a file whose deletion is not committed.
        if full.is_file() {
            files.insert(path, std::fs::read(&full).map_err(at(full.display()))?);
        }
    }
    Ok(files)
}

fn walk(root: &Path, below: &str, depth: u32) -> Result<Vec<String>, Failure> {
    let folder = root.join(below);
    if depth > Limits::DEFAULT.depth {
        return Err(Failure::new(format!("{} is nested too deeply", folder.display())));
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(at(folder.display()))? {
        let entry = entry.map_err(at(folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        // Links are not followed: packaging refuses them.
        let kind = entry.file_type().map_err(at(folder.display()))?;
        if kind.is_dir() {
            paths.extend(walk(root, &path, depth + 1)?);
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}
