//! The clients of this function, created from its settings.

use lockstep_access_log::{Fields, Format, Labels, Settings};
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::objects::Objects;
use lockstep_aws::queue::Queue;
use lockstep_aws::shipper::{Output, Pace};
use lockstep_domain::model::error::{Failure, chain};

/// Required settings.
pub const SETTINGS: [Setting; 4] =
    [Setting::Output, Setting::QueueUrl, Setting::QuarantineBucket, Setting::LogFormat];

/// Optional settings.
pub const OPTIONAL: [Setting; 6] = [
    Setting::OutputAuthority,
    Setting::LogFields,
    Setting::LogComponent,
    Setting::LogApplication,
    Setting::LogEnvironment,
    Setting::LogType,
];

/// Value of the setting for a format that is detected from the key or the line.
const DETECT: &str = "detect";

/// Clients and settings of the function.
pub struct AwsContext {
    pub(crate) objects: Objects,
    pub(crate) queue: Queue,
    pub(crate) quarantine: String,
    pub(crate) reading: Settings,
    /// Value of the metrics' dimension `function`.
    pub(crate) name: String,
    pub(crate) output: Output,
}

impl AwsContext {
    /// Reads the settings. Creates no connection.
    ///
    /// # Errors
    /// `Rejected` with every problem of the settings.
    pub fn new(aws: &Aws, config: &Config, name: Option<String>, pace: Pace) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let output = Output::read(config, pace, &mut problems)?;
        let format = match config.get(Setting::LogFormat)? {
            DETECT => Ok(None),
            name => name.parse::<Format>().map(Some),
        };
        let format =
            format.map_err(|error| problems.push(format!("{}: {}", Setting::LogFormat, chain(&error))));
        let fields = config.optional(Setting::LogFields).map_or(Ok(Fields::default()), str::parse::<Fields>);
        let fields =
            fields.map_err(|error| problems.push(format!("{}: {}", Setting::LogFields, chain(&error))));
        let (Some(output), Ok(format), Ok(fields), []) = (output, format, fields, problems.as_slice()) else {
            return Err(Failure::rejected(format!("the function's settings: {}", problems.join("; "))));
        };
        let text = |setting| config.optional(setting).map(str::to_owned);
        let labels = Labels {
            component: text(Setting::LogComponent),
            application: text(Setting::LogApplication),
            environment: text(Setting::LogEnvironment),
            event_type: text(Setting::LogType),
        };
        Ok(Self {
            objects: Objects::new(aws),
            queue: Queue::new(aws, config.get(Setting::QueueUrl)?),
            quarantine: config.get(Setting::QuarantineBucket)?.to_owned(),
            reading: Settings { format, labels, fields, ..Settings::default() },
            name: name.unwrap_or_else(|| "elb-logs".to_owned()),
            output,
        })
    }
}
