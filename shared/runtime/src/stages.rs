//! The organisation's configuration, in its last applied version.
//!
//! Without stages no release can be packaged or deployed, and no image distributed. Every function that needs them
//! fails with `Rejected` and the sentence that names `lockstep stages apply`. Only the sweep uses [`applied`] and
//! continues without stages: a new installation has none yet, and the sweep still repairs its deliveries, callbacks and
//! branch heads.

use lockstep_aws::ledger::Ledger;
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::people::People;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::StageName;
use lockstep_domain::records::{Config, ConfigKind};

/// The name of the file in problems.
const FILE: &str = "stages.toml";

/// Returns the organisation's stages.
///
/// # Errors
/// `Rejected` if none were applied, or if those that were applied cannot be read.
pub async fn stages(ledger: &Ledger) -> Result<Stages, Failure> {
    parse(&newest(ledger).await?.ok_or_else(missing)?.text)
}

/// Returns the organisation's stages, and `None` if none were applied.
///
/// # Errors
/// `Rejected` if those that were applied cannot be read.
pub async fn applied(ledger: &Ledger) -> Result<Option<Stages>, Failure> {
    newest(ledger).await?.map(|newest| parse(&newest.text)).transpose()
}

/// Returns the stage called `name`.
///
/// # Errors
/// As [`stages`]; `NotFound` if there is no such stage.
pub async fn stage(ledger: &Ledger, name: &StageName) -> Result<Stage, Failure> {
    stages(ledger).await?.named(name).cloned()
}

/// Returns the organisation's settings of images.
///
/// # Errors
/// As [`stages`].
pub async fn image_settings(ledger: &Ledger) -> Result<ImageSettings, Failure> {
    let newest = newest(ledger).await?.ok_or_else(missing)?;
    ImageSettings::parse(FILE, &newest.text).map_err(|problems| unreadable(&problems))
}

/// Returns the people of the organisation. Without a `people.toml` each identity is a person by itself.
///
/// # Errors
/// `Rejected` if the applied file cannot be read.
pub async fn people(ledger: &Ledger) -> Result<People, Failure> {
    let Some(newest) = ledger.config(ConfigKind::People).await? else { return Ok(People::default()) };
    People::parse("people.toml", &newest.text).map_err(|problems| unreadable(&problems))
}

/// Returns the organisation's parameters, which are empty if none were applied.
///
/// # Errors
/// `Rejected` if the applied file cannot be read.
pub async fn parameters(ledger: &Ledger) -> Result<OrganisationParameters, Failure> {
    let Some(newest) = ledger.config(ConfigKind::Parameters).await? else {
        return Ok(OrganisationParameters::default());
    };
    OrganisationParameters::parse("parameters.toml", &newest.text).map_err(|problems| unreadable(&problems))
}

async fn newest(ledger: &Ledger) -> Result<Option<Config>, Failure> {
    ledger.config(ConfigKind::Stages).await
}

fn parse(text: &str) -> Result<Stages, Failure> {
    Stages::parse(FILE, text).map_err(|problems| unreadable(&problems))
}

/// Returns the failure of a configuration without stages.
fn missing() -> Failure {
    Failure::rejected(format!(
        "no stages are applied yet; write a {FILE} and run `lockstep stages apply {FILE}`"
    ))
}

fn unreadable(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::rejected(format!(
        "the applied configuration cannot be read; apply it again: {}",
        lines.join("; ")
    ))
}
