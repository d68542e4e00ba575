//! The clients of this function, created from its settings.

use crate::applications::Applications;
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::shipper::{Output, Pace};
use lockstep_domain::logs::Fields;
use lockstep_domain::logs::ingest::{Labels, Rate};
use lockstep_domain::model::error::{Failure, chain};
use std::time::Duration;

/// Required settings.
pub const SETTINGS: [Setting; 4] =
    [Setting::Table, Setting::Output, Setting::EventsPerSecond, Setting::Burst];

/// Optional settings.
pub const OPTIONAL: [Setting; 5] = [
    Setting::OutputAuthority,
    Setting::LogFields,
    Setting::LogComponent,
    Setting::LogEnvironment,
    Setting::LogType,
];

/// Timing of the shipper. A client waits, so a stalled connection is replaced sooner than with a queue.
pub const PACE: Pace = Pace {
    connect: Duration::from_secs(3),
    stall: Duration::from_secs(8),
    pause_min: Duration::from_millis(100),
    pause_max: Duration::from_secs(2),
    ..Pace::DEFAULT
};

/// Clients and settings of the function.
pub struct AwsContext {
    pub(crate) applications: Applications,
    pub(crate) output: Output,
    pub(crate) fields: Fields,
    pub(crate) labels: Labels,
    /// Rate of an application whose record has none.
    pub(crate) rate: Rate,
    /// Value of the metrics' dimension `function`.
    pub(crate) name: String,
}

impl AwsContext {
    /// Reads the settings. Creates no connection.
    ///
    /// # Errors
    /// `Rejected` with every problem of the settings.
    pub fn new(aws: &Aws, config: &Config, name: Option<String>, pace: Pace) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let output = Output::read(config, pace, &mut problems)?;
        let rate = rate(config.get(Setting::EventsPerSecond)?, config.get(Setting::Burst)?);
        let rate = rate.map_err(|why| {
            problems.push(format!("{} and {}: {why}", Setting::EventsPerSecond, Setting::Burst));
        });
        let fields = config.optional(Setting::LogFields).map_or(Ok(Fields::default()), str::parse::<Fields>);
        let fields =
            fields.map_err(|error| problems.push(format!("{}: {}", Setting::LogFields, chain(&error))));
        let (Some(output), Ok(rate), Ok(fields)) = (output, rate, fields) else {
            return Err(Failure::rejected(format!("the function's settings: {}", problems.join("; "))));
        };
        let text = |setting| config.optional(setting).map(str::to_owned);
        let labels = Labels {
            component: text(Setting::LogComponent),
            environment: text(Setting::LogEnvironment),
            event_type: text(Setting::LogType),
        };
        Ok(Self {
            applications: Applications::new(aws, config.get(Setting::Table)?),
            output,
            fields,
            labels,
            rate,
            name: name.unwrap_or_else(|| "log-intake".to_owned()),
        })
    }
}

fn rate(events_per_second: &str, burst: &str) -> Result<Rate, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
    Rate::new(number(events_per_second)?, number(burst)?).map_err(|error| chain(&error))
}
