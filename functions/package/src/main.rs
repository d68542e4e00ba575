//! The `lockstep-package` function.

use lockstep_domain::messages::package::{Asked, Recipe, Response};
use lockstep_domain::model::error::Failure;
use lockstep_package::context::{AwsContext, SETTINGS};
use lockstep_package::handler::handle;
use lockstep_package::recipes;
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, asked: Asked| serve(context, asked).await,
    )
}

/// The reply to a request.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Reply {
    Recipe(Recipe),
    Commit(Response),
}

async fn serve(context: &AwsContext, asked: Asked) -> Result<Reply, Failure> {
    match asked {
        Asked::Recipe(input) => recipes::package(context, &input).await.map(Reply::Recipe),
        Asked::Commit(request) => handle(context, &request, clock::now()).await.map(Reply::Commit),
    }
}
