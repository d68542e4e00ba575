//! The broker in a function's settings.

use super::{Pace, Shipper};
use crate::config::{Config, Setting};
use lockstep_domain::logs::shipping::Target;
use lockstep_domain::model::error::{Failure, chain};
use tokio::time::Instant;

/// A broker and its protocol, from a function's settings.
pub struct Output {
    target: Target,
    authority: Option<String>,
    pace: Pace,
}

impl Output {
    /// Reads the output of `config` from [`Setting::Output`] and [`Setting::OutputAuthority`], without connecting.
    /// Invalid settings are added to `problems`, and the result is then `None`.
    ///
    /// # Errors
    /// `Bug` if the function did not request the settings.
    pub fn read(config: &Config, pace: Pace, problems: &mut Vec<String>) -> Result<Option<Self>, Failure> {
        let target = match config.get(Setting::Output)?.parse::<Target>() {
            Ok(target) => target,
            Err(error) => {
                problems.push(format!("{}: {}", Setting::Output, chain(&error)));
                return Ok(None);
            }
        };
        let authority = config.optional(Setting::OutputAuthority).map(str::to_owned);
        let output = Self { target, authority, pace };
        match output.shipper() {
            Ok(_) => Ok(Some(output)),
            Err(failure) => {
                problems.push(format!("{}: {}", Setting::OutputAuthority, failure.chain()));
                Ok(None)
            }
        }
    }

    /// Creates the shipper for one invocation.
    ///
    /// # Errors
    /// As [`Shipper::new`].
    pub fn shipper(&self) -> Result<Shipper, Failure> {
        Shipper::new(&self.target, self.authority.as_deref(), self.pace)
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// The reason why the broker is not reachable.
    pub async fn check(&self, until: Instant) -> Result<(), Failure> {
        Ok(self.shipper()?.try_out(until).await?)
    }
}
