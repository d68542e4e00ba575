//! `lockstep logs keys`: the keys and rate limits of applications that send to the log intake.
//!
//! A key is printed once, alone on standard output, so that the operator can pipe it into a store. Lockstep stores its
//! digest only. All other lines are printed on standard error.

use super::StageArguments;
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::ledger::{Inserted, Ledger, Versioned};
use lockstep_aws::operator::control_plane::identity;
use lockstep_domain::logs::ingest::{ApiKey, Application, KeyState, Rate, SECRET_BYTES, Unissued, Which};
use lockstep_domain::model::ids::ApplicationName;
use serde_json::{Value, json};

/// Maximum number of applications in a list.
const LISTED: usize = 1000;

/// The arguments of `logs keys`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Issue the first key of an application, or a new one after all others were revoked
    Add(Add),
    /// Issue the next key of an application; the previous one remains valid for some days
    Rotate(Rotate),
    /// Revoke a key; it is refused within half a minute
    Revoke(Revoke),
    /// Set the rate limit of an application
    Limit(Limit),
    /// List applications with their keys
    List(List),
}

/// The log intake of a stage.
#[derive(Args, Debug)]
struct IntakeArguments {
    /// The environment of the log intake in that stage
    #[arg(long, default_value = "log-intake", value_name = "NAME")]
    environment: String,
    #[command(flatten)]
    stage: StageArguments,
}

#[derive(Args, Debug)]
struct Add {
    /// The application, such as shop-desktop; every event of it carries that name
    application: ApplicationName,
    #[command(flatten)]
    rate: RateArguments,
    #[command(flatten)]
    intake: IntakeArguments,
}

#[derive(Args, Debug)]
struct RateArguments {
    /// Sustained number of events in a second
    #[arg(long, value_name = "NUMBER", requires = "burst")]
    events_per_second: Option<u32>,
    /// Maximum number of events at once
    #[arg(long, value_name = "NUMBER", requires = "events_per_second")]
    burst: Option<u32>,
}

#[derive(Args, Debug)]
struct Rotate {
    /// The application
    application: ApplicationName,
    /// Number of days for which the previous key remains valid; 0 ends it at once
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u16).range(..=365))]
    keep_days: u16,
    #[command(flatten)]
    intake: IntakeArguments,
}

#[derive(Args, Debug)]
struct Revoke {
    /// The application
    application: ApplicationName,
    #[command(flatten)]
    which: WhichArguments,
    #[command(flatten)]
    intake: IntakeArguments,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct WhichArguments {
    /// The number of the key: 3 for shop-desktop.3
    #[arg(long, value_name = "NUMBER")]
    key: Option<u32>,
    /// Every key of the application
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
struct Limit {
    /// The application
    application: ApplicationName,
    #[command(flatten)]
    rate: RateArguments,
    /// The rate limit that the component sets for every application
    #[arg(long, conflicts_with_all = ["events_per_second", "burst"], required_unless_present = "events_per_second")]
    default: bool,
    #[command(flatten)]
    intake: IntakeArguments,
}

#[derive(Args, Debug)]
struct List {
    /// The application; without one, all
    application: Option<ApplicationName>,
    #[command(flatten)]
    intake: IntakeArguments,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let intake = arguments.command.intake().open(global, context).await?;
    arguments.command.carry_out(&intake, context).await
}

impl Command {
    fn intake(&self) -> &IntakeArguments {
        match self {
            Self::Add(wanted) => &wanted.intake,
            Self::Rotate(wanted) => &wanted.intake,
            Self::Revoke(wanted) => &wanted.intake,
            Self::Limit(wanted) => &wanted.intake,
            Self::List(wanted) => &wanted.intake,
        }
    }

    async fn carry_out(&self, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
        match self {
            Self::Add(wanted) => add(wanted, intake, context).await,
            Self::Rotate(wanted) => rotate(wanted, intake, context).await,
            Self::Revoke(wanted) => revoke(wanted, intake, context).await,
            Self::Limit(wanted) => limit(wanted, intake, context).await,
            Self::List(wanted) => list(wanted, intake, context).await,
        }
    }
}

/// A deployed log intake, and the ARN of the operator who issues its keys.
struct Intake {
    table: Ledger,
    who: String,
    events_url: String,
}

impl IntakeArguments {
    async fn open(&self, global: &Global, context: &CommandContext) -> Result<Intake, Failure> {
        let deployed = self.stage.find(&self.environment, global, context).await?;
        let (_, who) = identity(&deployed.aws).await?;
        let table = Ledger::of_component(&deployed.aws, deployed.output("TableName")?);
        Ok(Intake { table, who, events_url: deployed.output("EventsUrl")?.to_owned() })
    }
}

impl Intake {
    async fn find(&self, name: &ApplicationName) -> Result<Option<Versioned<Application>>, Failure> {
        Ok(self.table.get(&Application::key_of(name)).await?)
    }

    async fn expect(&self, name: &ApplicationName) -> Result<Versioned<Application>, Failure> {
        self.find(name).await?.ok_or_else(|| {
            Failure::new(format!("{name} was never given a key"))
                .next(format!("lockstep logs keys add {name} --in <STAGE>"))
        })
    }

    /// Writes an application under optimistic locking. Returns a conflict if another writer changed it meanwhile.
    async fn write(&self, before: Option<Versioned<Application>>, after: Application) -> Result<(), Failure> {
        match before {
            Some(before) => self.table.replace(&before, after).await.map(drop)?,
            None => match self.table.insert(&after).await? {
                Inserted::New(_) => {}
                Inserted::Exists(_) => {
                    return Err(Failure::new(format!(
                        "write conflict: another operator added {} just now",
                        after.name
                    ))
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
        rate.map_err(|error| Failure::usage("--events-per-second and --burst").caused_by(&error))
    }
}

async fn add(wanted: &Add, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
    let rate = wanted.rate.rate()?;
    let found = intake.find(&wanted.application).await?;
    let known = found.as_ref().map(|found| found.record.clone());
    let mut application = known.unwrap_or_else(|| Application::new(wanted.application.clone()));
    application.rate = rate.or(application.rate);
    let (after, key) = application.add(secret(), &intake.who, Timestamp::now()).map_err(unissued)?;
    intake.write(found, after).await?;
    Ok(given_out(&key, intake, context))
}

async fn rotate(wanted: &Rotate, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
    let found = intake.expect(&wanted.application).await?;
    let keep = SignedDuration::from_hours(24 * i64::from(wanted.keep_days));
    let rotated = found.record.clone().rotate(secret(), keep, &intake.who, Timestamp::now());
    let (after, key) = rotated.map_err(unissued)?;
    intake.write(Some(found), after).await?;
    context.output.note(match wanted.keep_days {
        0 => "the previous key is refused within half a minute".to_owned(),
        days => format!("the previous key remains valid for {days} days"),
    });
    Ok(given_out(&key, intake, context))
}

/// Prints a key. This is the only time that it is shown.
fn given_out(key: &ApiKey, intake: &Intake, context: &CommandContext) -> Report {
    let output = &context.output;
    output.note(format!("{} may post to {}; this is its key, shown this once:", key.id, intake.events_url));
    output.line(key.expose());
    Report::done(json!({ "key_id": key.id, "key": key.expose(), "events_url": intake.events_url }))
}

async fn revoke(wanted: &Revoke, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
    let found = intake.expect(&wanted.application).await?;
    let which = wanted.which.key.map_or(Which::All, Which::One);
    let after = found.record.clone().revoke(which, &intake.who, Timestamp::now()).map_err(unissued)?;
    let changed = after != found.record;
    let working: Vec<String> = after.working(Timestamp::now()).map(|id| id.to_string()).collect();
    if changed {
        intake.write(Some(found), after).await?;
    }
    let left = match working.as_slice() {
        [] => "no key of it is valid; the last one is refused within half a minute".to_owned(),
        some => format!("still valid: {}", some.join(", ")),
    };
    let word = if changed { "revoked" } else { "was revoked already" };
    context.output.line(format!("{word}; {left}"));
    Ok(Report::done(json!({ "changed": changed, "working": working })))
}

async fn limit(wanted: &Limit, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
    let rate = wanted.rate.rate()?;
    let found = intake.expect(&wanted.application).await?;
    let after = Application { rate, ..found.record.clone() };
    if after != found.record {
        intake.write(Some(found), after).await?;
    }
    context.output.line(format!("{} may send {}", wanted.application, allowance(rate)));
    Ok(Report::done(json!({ "application": wanted.application, "rate": rate })))
}

async fn list(wanted: &List, intake: &Intake, context: &CommandContext) -> Result<Report, Failure> {
    let applications: Vec<Application> = match &wanted.application {
        Some(name) => vec![intake.expect(name).await?.record],
        None => {
            let mut all: Vec<Application> =
                intake.table.list_kind(LISTED).await?.into_iter().map(|found| found.record).collect();
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
        true => context.output.line("no application may send yet"),
        false => context.output.table(["key", "works", "made", "by", "may send"], rows),
    }
    let documents: Vec<Value> = applications.iter().map(|application| json!(application)).collect();
    Ok(Report::done(json!({ "events_url": intake.events_url, "applications": documents })))
}

/// Returns the validity of a key in words.
fn standing(state: &KeyState, now: Timestamp) -> String {
    let day = |at: &Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    match state {
        KeyState::Valid => "yes".to_owned(),
        KeyState::Retiring { until } if state.works(now) => format!("until {}", day(until)),
        KeyState::Retiring { until } => format!("no, replaced {}", day(until)),
        KeyState::Revoked { by, at } => format!("no, revoked {} by {by}", day(at)),
    }
}

/// Returns a rate limit in words.
fn allowance(rate: Option<Rate>) -> String {
    match rate {
        Some(rate) => format!("{} a second, {} at once", rate.events_per_second(), rate.burst()),
        None => "the component's default".to_owned(),
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

/// Returns a new secret from the operating system's generator: 244 of its bits are random.
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
    use crate::output::Output;
    use clap::Parser;
    use lockstep_domain::logs::ingest::authorize;
    use lockstep_domain::model::error::FailureKind;
    use lockstep_domain::records::Table;
    use lockstep_sim::FakeAws;

    #[derive(Parser)]
    struct Typed {
        #[command(subcommand)]
        command: Command,
    }

    /// A log intake without applications.
    fn opened() -> Intake {
        Intake {
            table: Ledger::of_component(&FakeAws::new().aws(), Table::Applications.name()),
            who: "arn:aws:iam::222222222222:user/ada".to_owned(),
            events_url: "https://intake.example.com/events".to_owned(),
        }
    }

    /// Runs a command. Returns its result and its output.
    async fn typed(intake: &Intake, line: &str) -> (Result<Value, Failure>, String) {
        let line = format!("keys {line} --in ci");
        let command = Typed::try_parse_from(line.split(' ')).map(|typed| typed.command).unwrap();
        let output = Output::memory(false);
        let context = CommandContext::bare(std::path::Path::new("."), output.clone());
        let report = command.carry_out(intake, &context).await;
        (report.map(|report| report.document), output.captured())
    }

    /// Runs a command that issues a key, and returns the key.
    async fn given(intake: &Intake, line: &str) -> ApiKey {
        let (report, said) = typed(intake, line).await;
        let key = report.unwrap()["key"].as_str().unwrap().to_owned();
        assert_eq!(said.matches(&key).count(), 1, "a key is shown once: {said}");
        key.parse().unwrap()
    }

    /// Returns true if the log intake admits the key.
    async fn works(intake: &Intake, key: &ApiKey) -> bool {
        let found = intake.find(&key.id.application).await.unwrap();
        authorize(found.as_ref().map(|found| &found.record), key, Timestamp::now()).is_ok()
    }

    #[tokio::test]
    async fn a_key_is_valid_until_it_is_replaced_or_revoked() {
        let intake = opened();
        let first = given(&intake, "add shop").await;
        let other = given(&intake, "add bank").await;
        assert!(works(&intake, &first).await && works(&intake, &other).await);
        let again = typed(&intake, "add shop").await.0.unwrap_err();
        assert_eq!(again.what, "shop.1 works; to replace it, rotate it");
        let second = given(&intake, "rotate shop --keep-days 1").await;
        assert!(works(&intake, &first).await && works(&intake, &second).await);
        let third = typed(&intake, "rotate shop").await.0.unwrap_err();
        assert_eq!(third.next, "lockstep logs keys revoke shop --key 1 --in <STAGE>");
        assert_eq!(typed(&intake, "revoke shop --key 1").await.1, "revoked; still valid: shop.2\n");
        assert!(!works(&intake, &first).await && works(&intake, &second).await);
        let third = given(&intake, "rotate shop --keep-days 0").await;
        assert!(!works(&intake, &second).await && works(&intake, &third).await);
        assert_eq!(typed(&intake, "revoke shop --all").await.0.unwrap()["working"], json!([]));
        assert_eq!(typed(&intake, "revoke shop --all").await.0.unwrap()["changed"], false);
        assert!(!works(&intake, &third).await && works(&intake, &other).await);
        assert_eq!(given(&intake, "add shop").await.id.to_string(), "shop.4");
    }

    #[tokio::test]
    async fn a_list_names_every_key_and_shows_no_secret() {
        let intake = opened();
        assert_eq!(typed(&intake, "list").await.1, "no application may send yet\n");
        let keys = [
            given(&intake, "add shop --events-per-second 5 --burst 50").await,
            given(&intake, "add bank").await,
        ];
        let (report, said) = typed(&intake, "list").await;
        for key in &keys {
            let id = key.id.to_string();
            assert!(said.contains(&id) && !said.contains(&key.expose()), "{said}");
            assert!(!report.clone().unwrap().to_string().contains(&key.expose()));
        }
        assert!(
            said.contains("5 a second, 50 at once") && said.contains("the component's default"),
            "{said}"
        );
        let unknown = typed(&intake, "list office").await.0.unwrap_err();
        assert_eq!(unknown.what, "office was never given a key");
    }

    #[tokio::test]
    async fn a_rate_limit_applies_until_it_is_reset() {
        let intake = opened();
        given(&intake, "add shop").await;
        let (report, said) = typed(&intake, "limit shop --events-per-second 5 --burst 50").await;
        assert_eq!(said, "shop may send 5 a second, 50 at once\n");
        assert_eq!(report.unwrap()["rate"], json!({"events_per_second": 5, "burst": 50}));
        given(&intake, "rotate shop").await;
        let kept = intake.expect(&"shop".parse().unwrap()).await.unwrap().record.rate;
        assert_eq!(kept, Some(Rate::new(5, 50).unwrap()));
        assert_eq!(typed(&intake, "limit shop --default").await.0.unwrap()["rate"], Value::Null);
        let nonsense = typed(&intake, "limit shop --events-per-second 0 --burst 50").await.0.unwrap_err();
        assert_eq!(nonsense.exit, crate::failure::Exit::Usage);
    }

    #[tokio::test]
    async fn a_stale_write_is_refused_as_a_conflict() {
        let intake = opened();
        given(&intake, "add shop").await;
        let name: ApplicationName = "shop".parse().unwrap();
        let seen = intake.find(&name).await.unwrap();
        given(&intake, "rotate shop").await;
        let stale = seen.as_ref().map(|found| found.record.clone()).unwrap();
        assert_eq!(intake.write(seen, stale.clone()).await.unwrap_err().kind, Some(FailureKind::Conflict));
        let new = intake.write(None, stale).await.unwrap_err();
        assert_eq!(new.what, "write conflict: another operator added shop just now");
    }

    #[test]
    fn each_state_of_a_key_has_its_words() {
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
    fn secrets_differ() {
        let secrets: std::collections::BTreeSet<_> = (0..100).map(|_| secret()).collect();
        assert_eq!(secrets.len(), 100);
    }
}
