//! `lockstep check`: the planner of the package function, offline.

use crate::Report;
use crate::failure::{Exit, Failure, at};
use crate::git::git;
use crate::output::Output;
use crate::surroundings::Surroundings;
use clap::Args;
use lockstep_domain::archive::{Files, Limits};
use lockstep_domain::error::Problem;
use lockstep_domain::packaging::{World, find_components, plan};
use lockstep_domain::parameters::OrganisationParameters;
use lockstep_domain::stages::Stages;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `check` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A component's folder, or one with several below it
    folder: PathBuf,
    /// The organisation's stages, so that every parameter is resolved for every stage
    #[arg(long, value_name = "FILE")]
    stages: Option<PathBuf>,
    /// The organisation's parameters
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
}

/// Says everything that packaging would refuse, each with file and line.
pub async fn run(arguments: &Arguments, surroundings: &Surroundings) -> Result<Report, Failure> {
    let (stages, parameters) = match organisation(arguments, surroundings)? {
        Ok(files) => files,
        Err(problems) => return Ok(refused(&surroundings.output, &problems)),
    };
    let files = files_below(&surroundings.path(&arguments.folder)).await?;
    let folders = find_components(&files);
    if folders.is_empty() {
        return Err(Failure::new(format!(
            "{} holds no component: no lockstep.toml",
            arguments.folder.display()
        ))
        .next("write one: lockstep init <name>"));
    }
    let world = World { stages: stages.as_ref(), organisation: parameters.as_ref(), ..World::default() };
    Ok(judge(&arguments.folder, &folders, &files, &world, &surroundings.output))
}

type Organisation = (Option<Stages>, Option<OrganisationParameters>);

/// The organisation's files, or what is wrong with them.
fn organisation(
    arguments: &Arguments,
    surroundings: &Surroundings,
) -> Result<Result<Organisation, Vec<Problem>>, Failure> {
    let read = |path: &Option<PathBuf>| match path {
        Some(path) => surroundings.read(path).map(|text| Some((path.display().to_string(), text))),
        None => Ok(None),
    };
    let (stages, parameters) = (read(&arguments.stages)?, read(&arguments.parameters)?);
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

fn judge(typed: &Path, folders: &[String], files: &Files, world: &World<'_>, output: &Output) -> Report {
    let mut problems = Vec::new();
    let mut components = Vec::new();
    for folder in folders {
        let own = below(files, folder);
        match plan(folder, &own, world) {
            Ok(package) => {
                let component = &package.manifest.component;
                output.line(format!("{} {}: good", component.name, component.version));
                package.unchecked.iter().for_each(|what| output.line(format!("  not checked here: {what}")));
                components.push(json!({ "component": component.name, "unchecked": package.unchecked }));
            }
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| Problem {
                    file: typed.join(&problem.file).display().to_string(),
                    ..problem
                }))
            }
        }
    }
    if problems.is_empty() {
        return Report::done(json!({ "components": components, "problems": [] }));
    }
    refused(output, &problems)
}

fn refused(output: &Output, problems: &[Problem]) -> Report {
    problems.iter().for_each(|problem| output.line(problem.to_string()));
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    output.line(format!("{} {noun}", problems.len()));
    let listed: Vec<Value> = problems.iter().map(|problem| json!(problem)).collect();
    Report { document: json!({ "components": [], "problems": listed }), exit: Exit::Failed }
}

/// The files below `folder`, with paths relative to it.
fn below(files: &Files, folder: &str) -> Files {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let own = files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone())));
    own.collect()
}

/// What would be pushed: the files git knows or would add; outside a repository, every file.
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
        // A file that was deleted and not committed is still listed.
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
        // A link is followed nowhere: packaging refuses it.
        let kind = entry.file_type().map_err(at(folder.display()))?;
        if kind.is_dir() {
            paths.extend(walk(root, &path, depth + 1)?);
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}
