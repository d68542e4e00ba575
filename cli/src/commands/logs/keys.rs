//! `lockstep logs keys`: who may send logs to the front door for applications, and how much.
//!
//! A key is printed once, on standard output and alone there, so that it can be piped to where it is kept; what is stored of
//! it is a digest. Everything else goes to standard error.

use super::{Global, Place};
use crate::Report;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use lockstep_domain::ids::ApplicationName;
use lockstep_domain::intake::{ApiKey, Application, KeyState, Rate, SECRET_BYTES, Unissued, Which};
use lockstep_platform::ledger::{Inserted, Ledger, Versioned};
use lockstep_platform::operator::control_plane::identity;
use serde_json::{Value, json};

/// The most applications that are listed.
const LISTED: usize = 1000;

/// What `logs keys` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let an application send: its first key, or one after all others were revoked
    Add(Add),
    /// Give an application another key; the one before goes on to work for a while
    Rotate(Rotate),
    /// Let a key work no more, within half a minute
    Revoke(Revoke),
    /// Say how much an application may send
    Limit(Limit),
    /// List applications with their keys
    List(List),
}

/// The front door that is meant.
#[derive(Args, Debug)]
struct Door {
    /// What the component that takes logs in is called there
    #[arg(long, default_value = "log-intake", value_name = "NAME")]
    environment: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
struct Add {
    /// The application, such as shop-desktop; every event of it carries that name
    application: ApplicationName,
    #[command(flatten)]
    rate: RateArguments,
    #[command(flatten)]
    door: Door,
}

#[derive(Args, Debug)]
struct RateArguments {
    /// How many events a second it may send in the long run
    #[arg(long, value_name = "NUMBER", requires = "burst")]
    events_per_second: Option<u32>,
    /// How many it may send at once
    #[arg(long, value_name = "NUMBER", requires = "events_per_second")]
    burst: Option<u32>,
}

#[derive(Args, Debug)]
struct Rotate {
    /// The application
    application: ApplicationName,
    /// For how many days the key before goes on to work; 0 ends it at once
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u16).range(..=365))]
    keep_days: u16,
    #[command(flatten)]
    door: Door,
}

#[derive(Args, Debug)]
struct Revoke {
    /// The application
    application: ApplicationName,
    #[command(flatten)]
    which: WhichArguments,
    #[command(flatten)]
    door: Door,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct WhichArguments {
    /// The number of the key: 3 for shop-desktop.3
    #[arg(long, value_name = "NUMBER")]
    key: Option<u32>,
    /// Every key of it
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
struct Limit {
    /// The application
    application: ApplicationName,
    #[command(flatten)]
    rate: RateArguments,
    /// What the component says for every application
    #[arg(long, conflicts_with_all = ["events_per_second", "burst"], required_unless_present = "events_per_second")]
    default: bool,
    #[command(flatten)]
    door: Door,
}

#[derive(Args, Debug)]
struct List {
    /// The application; without one, all
    application: Option<ApplicationName>,
    #[command(flatten)]
    door: Door,
}

/// Carries it out.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    surroundings: &Surroundings,
) -> Result<Report, Failure> {
    match &arguments.command {
        Command::Add(wanted) => {
            let door = wanted.door.open(global, surroundings).await?;
            add(wanted, &door, surroundings).await
        }
        Command::Rotate(wanted) => {
            let door = wanted.door.open(global, surroundings).await?;
            rotate(wanted, &door, surroundings).await
        }
        Command::Revoke(wanted) => {
            let door = wanted.door.open(global, surroundings).await?;
            revoke(wanted, &door, surroundings).await
        }
        Command::Limit(wanted) => {
            let door = wanted.door.open(global, surroundings).await?;
            limit(wanted, &door, surroundings).await
        }
        Command::List(wanted) => {
            let door = wanted.door.open(global, surroundings).await?;
            list(wanted, &door, surroundings).await
        }
    }
}

/// A front door that is deployed, and whoever gives out its keys.
struct Opened {
    table: Ledger,
    who: String,
    events_url: String,
}

impl Door {
    async fn open(&self, global: &Global, surroundings: &Surroundings) -> Result<Opened, Failure> {
        let deployed = self.place.find(&self.environment, global, surroundings).await?;
        let (_, who) = identity(&deployed.aws).await?;
        let table = Ledger::new(&deployed.aws, deployed.output("TableName")?);
        Ok(Opened { table, who, events_url: deployed.output("EventsUrl")?.to_owned() })
    }
}

impl Opened {
    async fn find(&self, name: &ApplicationName) -> Result<Option<Versioned<Application>>, Failure> {
        Ok(self.table.get(&Application::key_of(name)).await?)
    }

    async fn expect(&self, name: &ApplicationName) -> Result<Versioned<Application>, Failure> {
        self.find(name).await?.ok_or_else(|| {
            Failure::new(format!("nobody let {name} send yet"))
                .next(format!("lockstep logs keys add {name} --in <STAGE>"))
        })
    }

    /// Writes what became of an application, if nobody else changed it meanwhile.
    async fn write(&self, before: Option<Versioned<Application>>, after: Application) -> Result<(), Failure> {
        match before {
            Some(before) => self.table.replace(&before, after).await.map(drop)?,
            None => match self.table.insert(&after).await? {
                Inserted::New(_) => {}
                Inserted::Exists(_) => {
                    return Err(Failure::new(format!("somebody else let {} send just now", after.name))
                        .next("lockstep logs keys list"));
                }
            },
        }
        Ok(())
    }
}

impl RateArguments {
    fn rate(&self) -> Result<Option<Rate>, Failure> {
        let numbers = self.events_per_second.zip(self.burst);
        let rate = numbers.map(|(events_per_second, burst)| Rate::new(events_per_second, burst)).transpose();
        rate.map_err(|error| Failure::usage(error.to_string()))
    }
}

async fn add(wanted: &Add, door: &Opened, surroundings: &Surroundings) -> Result<Report, Failure> {
    let rate = wanted.rate.rate()?;
    let found = door.find(&wanted.application).await?;
    let known = found.as_ref().map(|found| found.record.clone());
    let mut application = known.unwrap_or_else(|| Application::new(wanted.application.clone()));
    application.rate = rate.or(application.rate);
    let (after, key) = application.add(secret(), &door.who, Timestamp::now()).map_err(unissued)?;
    door.write(found, after).await?;
    Ok(given_out(&key, door, surroundings))
}

async fn rotate(wanted: &Rotate, door: &Opened, surroundings: &Surroundings) -> Result<Report, Failure> {
    let found = door.expect(&wanted.application).await?;
    let keep = SignedDuration::from_hours(24 * i64::from(wanted.keep_days));
    let rotated = found.record.clone().rotate(secret(), keep, &door.who, Timestamp::now());
    let (after, key) = rotated.map_err(unissued)?;
    door.write(Some(found), after).await?;
    surroundings.output.note(match wanted.keep_days {
        0 => "the key before works no more, within half a minute".to_owned(),
        days => format!("the key before goes on to work for {days} days"),
    });
    Ok(given_out(&key, door, surroundings))
}

/// Prints a key for the only time that there will be.
fn given_out(key: &ApiKey, door: &Opened, surroundings: &Surroundings) -> Report {
    let output = &surroundings.output;
    output.note(format!("{} may post to {}; this is its key, shown this once:", key.id, door.events_url));
    output.line(key.expose());
    Report::done(json!({ "key_id": key.id, "key": key.expose(), "events_url": door.events_url }))
}

async fn revoke(wanted: &Revoke, door: &Opened, surroundings: &Surroundings) -> Result<Report, Failure> {
    let found = door.expect(&wanted.application).await?;
    let which = wanted.which.key.map_or(Which::All, Which::One);
    let after = found.record.clone().revoke(which, &door.who, Timestamp::now()).map_err(unissued)?;
    let changed = after != found.record;
    let working: Vec<String> = after.working(Timestamp::now()).map(|id| id.to_string()).collect();
    if changed {
        door.write(Some(found), after).await?;
    }
    let left = match working.as_slice() {
        [] => "no key of it works any more, within half a minute".to_owned(),
        some => format!("what works still: {}", some.join(", ")),
    };
    let word = if changed { "revoked" } else { "was revoked already" };
    surroundings.output.line(format!("{word}; {left}"));
    Ok(Report::done(json!({ "changed": changed, "working": working })))
}

async fn limit(wanted: &Limit, door: &Opened, surroundings: &Surroundings) -> Result<Report, Failure> {
    let rate = wanted.rate.rate()?;
    let found = door.expect(&wanted.application).await?;
    let after = Application { rate, ..found.record.clone() };
    if after != found.record {
        door.write(Some(found), after).await?;
    }
    surroundings.output.line(format!("{} may send {}", wanted.application, allowance(rate)));
    Ok(Report::done(json!({ "application": wanted.application, "rate": rate })))
}

async fn list(wanted: &List, door: &Opened, surroundings: &Surroundings) -> Result<Report, Failure> {
    let applications: Vec<Application> = match &wanted.application {
        Some(name) => vec![door.expect(name).await?.record],
        None => {
            let mut all: Vec<Application> =
                door.table.list_kind(LISTED).await?.into_iter().map(|found| found.record).collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            all
        }
    };
    let now = Timestamp::now();
    let rows = applications.iter().flat_map(|application| {
        application.keys.iter().map(move |key| {
            [
                format!("{}.{}", application.name, key.number),
                standing(&key.state, now),
                key.made_at.strftime("%Y-%m-%d").to_string(),
                key.made_by.clone(),
                allowance(application.rate),
            ]
        })
    });
    match applications.is_empty() {
        true => surroundings.output.line("no application may send yet"),
        false => surroundings.output.table(["key", "works", "made", "by", "may send"], rows),
    }
    let documents: Vec<Value> = applications.iter().map(|application| json!(application)).collect();
    Ok(Report::done(json!({ "events_url": door.events_url, "applications": documents })))
}

/// Whether a key works, in words.
fn standing(state: &KeyState, now: Timestamp) -> String {
    let day = |at: &Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    match state {
        KeyState::Valid => "yes".to_owned(),
        KeyState::Retiring { until } if state.works(now) => format!("until {}", day(until)),
        KeyState::Retiring { until } => format!("no, replaced {}", day(until)),
        KeyState::Revoked { by, at } => format!("no, revoked {} by {by}", day(at)),
    }
}

/// How much an application may send, in words.
fn allowance(rate: Option<Rate>) -> String {
    match rate {
        Some(rate) => format!("{} a second, {} at once", rate.events_per_second(), rate.burst()),
        None => "what the component says".to_owned(),
    }
}

fn unissued(why: Unissued) -> Failure {
    let next = match &why {
        Unissued::Works(id) => format!("lockstep logs keys rotate {} --in <STAGE>", id.application),
        Unissued::NoneWorks(name) => format!("lockstep logs keys add {name} --in <STAGE>"),
        Unissued::TwoWork(before, _) => {
            format!("lockstep logs keys revoke {} --key {} --in <STAGE>", before.application, before.number)
        }
        Unissued::NoSuchKey(id) => format!("lockstep logs keys list {} --in <STAGE>", id.application),
        Unissued::Exhausted(_) => "give the application another name".to_owned(),
    };
    Failure::new(why.to_string()).next(next)
}

/// The secret of a key, from the operating system's generator: 244 of its bits are random.
fn secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    let (first, second) = secret.split_at_mut(SECRET_BYTES / 2);
    first.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    second.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_as_its_state_says() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-01T12:00:00Z");
        let by = "arn:aws:iam::222222222222:user/ada".to_owned();
        for (state, said) in [
            (KeyState::Valid, "yes"),
            (KeyState::Retiring { until: at("2026-03-08T12:00:00Z") }, "until 2026-03-08 12:00 UTC"),
            (KeyState::Retiring { until: now }, "no, replaced 2026-03-01 12:00 UTC"),
            (
                KeyState::Revoked { by, at: now },
                "no, revoked 2026-03-01 12:00 UTC by arn:aws:iam::222222222222:user/ada",
            ),
        ] {
            assert_eq!(standing(&state, now), said);
        }
    }

    #[test]
    fn no_two_secrets_are_the_same_and_none_is_empty() {
        let secrets: std::collections::BTreeSet<_> = (0..100).map(|_| secret()).collect();
        assert_eq!(secrets.len(), 100);
    }
}
