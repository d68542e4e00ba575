//! `lockstep try`: from nothing to a component in `ci`, on the local cloud.

use crate::commands::local::{self, repository};
use crate::commands::organisation::apply_first_stages;
use crate::commands::push;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure, at};
use crate::global::Global;
use crate::local::Session;
use crate::report::Report;
use crate::repository::Repository;
use clap::Args;
use lockstep_domain::model::ids::RepositoryId;
use serde_json::json;
use std::path::PathBuf;

/// The components of the example: a producer and its consumer, folders of `examples`.
const EXAMPLES: [&str; 2] = ["work-queue", "queue-alarms"];

/// Variables that choose an AWS account for later commands, which the local cloud does not replace.
const CHOOSES_AN_ACCOUNT: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"];

/// The arguments of `try`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The folder for the repository of the example
    #[arg(default_value = "example")]
    folder: PathBuf,
    /// Take the functions' binaries from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
}

/// Starts a cloud, configures it, and brings two example components from a git push to `ci`. Each step that is done already
/// is left as it is.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let folder = context.path(&arguments.folder);
    let session = local::ready(arguments.functions.as_deref(), context).await?;
    let global = repository::as_person(global);
    let plane = repository::plane(&global, context).await?;
    stages(&session, &plane, context).await?;
    let id = RepositoryId::github("acme", "example").map_err(at("the example's repository"))?;
    repository::add(&id, &arguments.folder, &plane, context).await?;
    example(&Repository::at(folder.clone()), context).await?;
    let shown = arguments.folder.display();
    if is_deployed(&plane).await? {
        context.output.line(format!("the example is deployed; push a change of it: lockstep push {shown}"));
        next(context);
        return Ok(Report::done(json!({ "folder": folder, "push": null })));
    }
    context.output.line(format!("$ lockstep push {shown}"));
    let pushed = push::run(&push::Arguments::of(folder.clone()), &global, context).await?;
    if pushed.exit == Exit::Done {
        next(context);
    }
    Ok(Report { document: json!({ "folder": folder, "push": pushed.document }), exit: pushed.exit })
}

/// Applies stages that fit the cloud, unless some apply.
async fn stages(session: &Session, plane: &ControlPlane, context: &CommandContext) -> Result<(), Failure> {
    if plane.applied_stages().await?.is_none() {
        let names = apply_first_stages(plane, example_stages(session)?).await?;
        context.output.line(format!("applied the stages {names}; see them: lockstep stages show"));
    }
    Ok(())
}

/// Returns the stages of the example: a push reaches `ci`, and production asks for an approval.
pub fn example_stages(session: &Session) -> Result<String, Failure> {
    let (development, production) = (session.account("development")?, session.account("production")?);
    let region = &session.region;
    Ok(format!(
        r#"# Each release is deployed to a test stack, then to ci. Production needs a promotion and an approval.
[[stages]]
name = "test"
account = "{development}"
region = "{region}"

[[stages]]
name = "ci"
account = "{development}"
region = "{region}"
propagates = true

[[stages]]
name = "production"
account = "{production}"
region = "{region}"
approval = true
builds = "approved"
"#
    ))
}

/// Writes and commits the components of the example, unless they are there.
async fn example(repository: &Repository, context: &CommandContext) -> Result<(), Failure> {
    let examples = context.sources()?.join("examples");
    let missing: Vec<&str> =
        EXAMPLES.into_iter().filter(|name| !repository.folder().join(name).exists()).collect();
    for name in &missing {
        repository.copy(&examples.join(name), name)?;
        context.output.line(format!("wrote the component {name}"));
    }
    if missing.is_empty() { Ok(()) } else { repository.commit("Two components to begin with").await }
}

/// Returns true if the example runs in the first stage that a push reaches.
async fn is_deployed(plane: &ControlPlane) -> Result<bool, Failure> {
    let stages = plane.stages().await?;
    let Some(stage) = stages.propagating().next() else { return Ok(false) };
    for name in EXAMPLES {
        let environment = plane.environment(&stage.name, name).await?;
        if environment.is_none_or(|environment| environment.deployed.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Prints the ways on.
fn next(context: &CommandContext) {
    let output = &context.output;
    output.line("");
    output.line("next:");
    if CHOOSES_AN_ACCOUNT.iter().any(|name| context.variable(name).is_some()) {
        output.line(
            "  eval \"$(lockstep local env)\"                      your AWS variables name another account",
        );
    }
    for line in [
        "  lockstep status                                  what runs where, and what waits for you",
        "  lockstep promote work-queue@1.0.0 --in production",
        "                                                   asks grace, who answers with --as grace",
        "  lockstep local repository add acme/shop          a repository for components of your own",
        "  lockstep local down                              stops it all",
        "This cloud is an emulator: docs/verified.md lists what only AWS can show.",
    ] {
        output.line(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use std::path::Path;

    #[tokio::test]
    async fn the_example_is_written_and_committed_once() {
        let folder = tempfile::tempdir().unwrap();
        let context = CommandContext::bare(folder.path(), Output::memory(false));
        let repository = Repository::at(folder.path().join("example"));
        repository.create("/git/acme/example.git").await.unwrap();
        example(&repository, &context).await.unwrap();
        let commit = repository.head().await.unwrap();
        repository.write("work-queue/template.yaml", "mine").unwrap();
        example(&repository, &context).await.unwrap();
        assert_eq!(repository.head().await.unwrap(), commit);
        assert_eq!(repository.read("work-queue/template.yaml").unwrap(), "mine");
    }

    #[test]
    fn a_chosen_account_is_named_with_the_way_back() {
        let printed = |variables: &[&str]| {
            let output = Output::memory(false);
            let bare = CommandContext::bare(Path::new("/"), output.clone());
            let variables = variables.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
            next(&CommandContext { variables, ..bare });
            output.captured()
        };
        assert!(printed(&["AWS_PROFILE"]).contains("eval \"$(lockstep local env)\""));
        assert!(!printed(&[]).contains("eval"));
    }
}
