//! `lockstep images`: machine images that were made elsewhere.

use super::Global;
use crate::Report;
use crate::failure::Failure;
use crate::names::ImageVersionName;
use crate::plane::Plane;
use crate::surroundings::Surroundings;
use clap::{Args, Subcommand};
use lockstep_domain::ids::{AmiId, StageName};
use lockstep_domain::payloads::image::{Promoted, Request};
use lockstep_domain::records::Image;
use lockstep_platform::functions::{Called, Functions};
use serde_json::{Value, json};
use std::time::Duration;

/// The function that imports.
const FUNCTION: &str = "lockstep-delivery-image";

/// A little more than the function's own bound.
const PATIENCE: Duration = Duration::from_secs(110);

/// What `images` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take over an image: it gets a name and a version, and components may ask for it
    Import(Import),
    /// List every version of every image, and its id in each account
    List,
}

#[derive(Args, Debug)]
struct Import {
    /// The image's id
    ami: AmiId,
    /// The name and version it gets, such as logstash@2.1.0
    #[arg(long = "as", value_name = "IMAGE@VERSION")]
    name: ImageVersionName,
    /// A stage whose account and region has it; by default the first, where releases are tested
    #[arg(long, value_name = "STAGE")]
    stage: Option<StageName>,
}

/// Carries it out.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    surroundings: &Surroundings,
) -> Result<Report, Failure> {
    let plane = Plane::open(global, surroundings).await?;
    match &arguments.command {
        Command::Import(wanted) => import(wanted, &plane, surroundings).await,
        Command::List => list(&plane, surroundings).await,
    }
}

async fn import(wanted: &Import, plane: &Plane, surroundings: &Surroundings) -> Result<Report, Failure> {
    let stage = match &wanted.stage {
        Some(stage) => stage.clone(),
        None => plane.stages().await?.test().name.clone(),
    };
    let request = Request::Import {
        ami: wanted.ami.clone(),
        name: wanted.name.image.clone(),
        version: wanted.name.version.clone(),
        stage,
    };
    let payload = serde_json::to_value(&request).map_err(|error| Failure::new(error.to_string()))?;
    let called = Functions::new(plane.aws()).call(FUNCTION, &payload, PATIENCE).await?;
    let promoted: Promoted = answer(called)?;
    surroundings.output.line(format!("{}@{} is {}", promoted.image, promoted.version, promoted.ami));
    Ok(Report::done(json!(promoted)))
}

/// What the function answered, or its sentence about why not.
fn answer<T: serde::de::DeserializeOwned>(called: Called) -> Result<T, Failure> {
    match called {
        Called::Answered { error: None, payload, .. } => serde_json::from_slice(&payload)
            .map_err(|error| Failure::new(format!("{FUNCTION} answered something odd: {error}"))),
        Called::Answered { error: Some(_), payload, .. } => {
            let said: Value = serde_json::from_slice(&payload).unwrap_or_default();
            let sentence = said["errorMessage"].as_str().unwrap_or("it does not say why");
            Err(Failure::new(sentence))
        }
        Called::Silent => Err(Failure::new(format!("{FUNCTION} did not answer in time"))
            .next("import again: what was done is found")),
        Called::Absent => {
            Err(Failure::new(format!("there is no function {FUNCTION}")).next("lockstep install"))
        }
    }
}

async fn list(plane: &Plane, surroundings: &Surroundings) -> Result<Report, Failure> {
    let found = plane.images().await?;
    surroundings
        .output
        .table(["image", "version", "account", "region", "id", "shared with"], found.iter().map(row));
    Ok(Report::done(json!({ "images": found })))
}

fn row(image: &Image) -> [String; 6] {
    let shared: Vec<&str> = image.shared_with.keys().map(|account| account.as_str()).collect();
    let shared = if shared.is_empty() { "nobody".to_owned() } else { shared.join(", ") };
    [
        image.name.to_string(),
        image.version.to_string(),
        image.location.account.to_string(),
        image.location.region.to_string(),
        image.ami.as_ref().map_or_else(|| "being copied".to_owned(), ToString::to_string),
        shared,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_functions_own_sentence() {
        let payload = br#"{"errorType":"ImageUnusable","errorMessage":"ami-12345678 is pending"}"#.to_vec();
        let called = Called::Answered { error: Some("Unhandled".into()), payload, cut: false };
        assert_eq!(answer::<Promoted>(called).unwrap_err().what, "ami-12345678 is pending");
    }
}
