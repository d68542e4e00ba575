//! The `ledger` function: every change of an environment's state.
//!
//! State machines invoke it directly; people reach it over an IAM-authenticated URL. Each request is *load* (read
//! strongly consistently), *plan* (one pure function of `lockstep_domain`), *apply* (one conditional write, or one
//! transaction). Whoever loses a race reads again, a few times here and then in the state machine.

mod approve;
mod base_url;
mod begin;
mod configure;
mod finish;
mod gate;
pub mod handler;
mod images;
mod intervene;
mod load;
mod operator;
mod release;
mod teardown;

use lockstep_domain::model::error::Failure;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::executions::Executions;
use lockstep_platform::ledger::Ledger;
use lockstep_platform::waits::Waits;

/// What the function works with.
pub struct App {
    ledger: Ledger,
    executions: Executions,
    waits: Waits,
}

impl App {
    /// The settings it needs.
    pub const SETTINGS: [Setting; 2] = [Setting::Table, Setting::ResumeFunction];

    /// Wires it; no client is built yet.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self::of(aws, config.get(Setting::Table)?, config.get(Setting::ResumeFunction)?))
    }

    /// The same, with the names of the table and of the function that answers task tokens.
    pub fn of(aws: &Aws, table: &str, resume_function: &str) -> Self {
        let ledger = Ledger::new(aws, table);
        let waits = Waits::new(aws, &ledger, resume_function);
        Self { ledger, executions: Executions::new(aws), waits }
    }
}
