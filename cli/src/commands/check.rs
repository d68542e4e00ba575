//! `lockstep check`: runs the planner of the package function offline.

mod recipes;

use crate::context::CommandContext;
use crate::control_plane::of_problems;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::permissions_table::table;
use crate::pushed_files::{PushedFiles, pushed_files};
use crate::report::Report;
use crate::schemas;
use crate::views::permissions;
use clap::Args;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::delivery::order::{Graph, cycle_problem};
use lockstep_domain::delivery::packaging::{self, Package, PackagingInput, Scope, needs_by_stage};
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::recipe;
use lockstep_domain::model::error::Problem;
use lockstep_domain::model::test_difference;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The arguments of `check`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The folder of a component or of a recipe, or a folder with several of them below it
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

/// Prints each problem that packaging would refuse and each hint, with file and line, and the permissions that the
/// execution role needs.
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
            "component": component.name, "hints": package.hints, "unchecked": package.unchecked,
            "test_differences": package.test_differences, "serial_tests": package.serial_tests,
            "permissions": needs,
        }));
    }
    let recipes: Vec<Value> = found.recipes.iter().map(|package| recipes::show(package, output)).collect();
    match found.problems.as_slice() {
        [] => Ok(Report::done(json!({ "components": components, "recipes": recipes, "problems": [] }))),
        problems => Ok(refused(output, problems)),
    }
}

/// The components and recipes below some folders, planned as for packaging.
pub(super) struct CheckedPackages {
    /// The organisation's stages, if the command line names their file.
    pub(super) stages: Option<Stages>,
    organisation: Option<OrganisationParameters>,
    /// The components that can be packaged.
    pub(super) packages: Vec<Package>,
    /// The recipes that can be built.
    pub(super) recipes: Vec<recipe::Package>,
    /// The problems of the other components and recipes.
    pub(super) problems: Vec<Problem>,
}

impl CheckedPackages {
    /// Returns the organisation's part of the packaging input.
    pub(super) fn input(&self) -> PackagingInput<'_> {
        PackagingInput {
            stages: self.stages.as_ref(),
            organisation: self.organisation.as_ref(),
            permissions: table().ok(),
            ..PackagingInput::default()
        }
    }
}

/// Plans every component and every recipe below `typed`, with the files of the stages and of the organisation's parameters.
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
    let mut found = CheckedPackages {
        stages,
        organisation,
        packages: Vec::new(),
        recipes: Vec::new(),
        problems: Vec::new(),
    };
    for typed in typed {
        let repository = match pushed_files(&context.path(typed)).await? {
            Ok(repository) => repository,
            Err(why) => {
                found.problems.push(Problem::at(typed.display().to_string(), None, why));
                continue;
            }
        };
        for file in repository.with_schema(typed) {
            renew_schema(&file, context)?;
        }
        let shown = |problem: Problem| Problem { file: repository.shown(typed, &problem.file), ..problem };
        let first = found.packages.len();
        let has_components = find_components(&repository, shown, &mut found);
        refuse_cycles(first, shown, &mut found);
        let has_recipes = recipes::find(&repository, shown, &mut found);
        if !has_components && !has_recipes {
            let what = "holds neither a component (a lockstep.toml) nor a recipe (an image.toml)";
            return Err(Failure::new(format!("{} {what}", typed.display()))
                .next("write a component: lockstep init <name>; a file that git ignores is not pushed"));
        }
    }
    Ok(Ok(found))
}

/// Writes the schema that a file names, if it is missing or older than this command.
fn renew_schema(file: &Path, context: &CommandContext) -> Result<(), Failure> {
    if let Some(written) = schemas::renew(&context.path(file))? {
        let shown = written.strip_prefix(&context.directory).unwrap_or(&written);
        context.output.note(format!("wrote {} for editors", shown.display()));
    }
    Ok(())
}

/// Moves the components that need each other, of the packages from `first` on, to the problems.
fn refuse_cycles(first: usize, shown: impl Fn(Problem) -> Problem, found: &mut CheckedPackages) {
    let graph: Graph = found.packages[first..]
        .iter()
        .map(|package| (package.manifest.component.name.clone(), package.producers()))
        .collect();
    for package in found.packages.split_off(first) {
        match cycle_problem(&package, &graph) {
            Some(problem) => found.problems.push(shown(problem)),
            None => found.packages.push(package),
        }
    }
}

/// Plans every component below the folder that the command names. Returns false if there is none.
fn find_components(
    repository: &PushedFiles,
    shown: impl Fn(Problem) -> Problem,
    found: &mut CheckedPackages,
) -> bool {
    let components = repository.components();
    let plan = |source: &packaging::Source| {
        planned(&source.files, |files| packaging::plan(&source.folder, files, &found.input()))
    };
    let plans: Vec<_> = components.iter().map(plan).collect();
    found.packages.extend(good(plans, |package| &mut package.hints, shown, &mut found.problems));
    !components.is_empty()
}

/// Plans a component or a recipe, unless its files are unusable.
fn planned<P>(
    files: &Result<Files, Problem>,
    plan: impl FnOnce(&Files) -> Result<P, Vec<Problem>>,
) -> Result<P, Vec<Problem>> {
    plan(files.as_ref().map_err(|problem| vec![problem.clone()])?)
}

/// Returns what can be packaged or built, and adds the problems of the rest to `problems`.
fn good<P>(
    plans: Vec<Result<P, Vec<Problem>>>,
    hints: impl Fn(&mut P) -> &mut Vec<Problem>,
    shown: impl Fn(Problem) -> Problem,
    problems: &mut Vec<Problem>,
) -> Vec<P> {
    let mut found = Vec::new();
    for plan in plans {
        match plan {
            Ok(mut package) => {
                let hints = hints(&mut package);
                *hints = std::mem::take(hints).into_iter().map(&shown).collect();
                found.push(package);
            }
            Err(refused) => problems.extend(refused.into_iter().map(&shown)),
        }
    }
    found
}

type Organisation = (Option<Stages>, Option<OrganisationParameters>);

/// Reads the organisation's files. The inner error lists their problems.
fn read_organisation(
    (stages, parameters): (Option<&Path>, Option<&Path>),
    context: &CommandContext,
) -> Result<Result<Organisation, Vec<Problem>>, Failure> {
    let read = |path: Option<&Path>| match path {
        Some(path) => {
            renew_schema(path, context)?;
            context.read(path).map(|text| Some((path.display().to_string(), text)))
        }
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
    let report = Report {
        document: json!({ "components": [], "recipes": [], "problems": listed }),
        exit: Exit::Failed,
    };
    report.failed(&of_problems(problems))
}
