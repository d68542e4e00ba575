//! The `lockstep-package` function.

use lockstep_domain::messages::package::{Asked, Recipe, Response};
use lockstep_domain::model::error::Failure;
use lockstep_package::handler::handle;
use lockstep_package::ports::{Cloud, SETTINGS};
use lockstep_package::recipes;
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, asked: Asked| serve(cloud, asked).await,
    )
}

/// What is answered.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Answer {
    Recipe(Recipe),
    Commit(Response),
}

async fn serve(cloud: &Cloud, asked: Asked) -> Result<Answer, Failure> {
    match asked {
        Asked::Recipe(input) => recipes::package(cloud, &input).await.map(Answer::Recipe),
        Asked::Commit(request) => handle(cloud, &request, clock::now()).await.map(Answer::Commit),
    }
}
