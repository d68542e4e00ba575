//! The `sweep` function: scheduled, it finds what no event told of, and puts it in order.
//!
//! What can be lost is an event, an execution, or somebody's attention; so it looks at environments whose holder has
//! ended, heads of branches that no delivery told of, deliveries that were accepted and never started, throw-away
//! environments that outlived their time, waits that nobody ends, promotions of images that died, and images that nobody
//! needs. It takes no input and remembers nothing: to run it twice, or twice at once, changes nothing more.
//! One thing that cannot be put in order does not keep it from the next; the report says what is left, and why.
//!
//! Because it alone keeps images in every account, it is also who lets the parameters follow that name the newest of them
//! ([`handler::serve`]).

pub mod accounts;
mod channels;
mod environments;
mod events;
pub mod handler;
pub mod heads;
mod images;
mod orphans;
mod promotions;
mod report;
mod waits;

use lockstep_domain::model::error::Failure;
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::executions::Executions;
use lockstep_platform::functions::Functions;
use lockstep_platform::ledger::{Ledger, Versioned};
use lockstep_platform::waits::Waits;

/// What the function works with.
pub struct App {
    ledger: Ledger,
    executions: Executions,
    waits: Waits,
    functions: Functions,
    artifacts: Artifacts,
    release: String,
    teardown: String,
}

/// The names of what it works with.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The ledger's table.
    pub table: &'a str,
    /// The bucket of artifacts.
    pub bucket: &'a str,
    /// The function that answers task tokens.
    pub resume_function: &'a str,
    /// The ARN of the state machine `release`.
    pub release: &'a str,
    /// The ARN of the delivery path's state machine `teardown`.
    pub teardown: &'a str,
}

impl App {
    /// The settings it needs.
    pub const SETTINGS: [Setting; 6] = [
        Setting::Table,
        Setting::Bucket,
        Setting::ExternalId,
        Setting::ResumeFunction,
        Setting::ReleaseArn,
        Setting::TeardownArn,
    ];

    /// Wires it; no client is built yet.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let names = Names {
            table: config.get(Setting::Table)?,
            bucket: config.get(Setting::Bucket)?,
            resume_function: config.get(Setting::ResumeFunction)?,
            release: config.get(Setting::ReleaseArn)?,
            teardown: config.get(Setting::TeardownArn)?,
        };
        Ok(Self::of(aws, &names))
    }

    /// The same, with the names of what it works with.
    pub fn of(aws: &Aws, names: &Names<'_>) -> Self {
        let ledger = Ledger::new(aws, names.table);
        Self {
            executions: Executions::new(aws),
            waits: Waits::new(aws, &ledger, names.resume_function),
            functions: Functions::new(aws),
            artifacts: Artifacts::new(aws, names.bucket),
            release: names.release.to_owned(),
            teardown: names.teardown.to_owned(),
            ledger,
        }
    }
}

fn records<T>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}
