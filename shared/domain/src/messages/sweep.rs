//! Messages of the `sweep` function. Any input without an `action`, from the schedule or an operator, starts a full
//! sweep.

use crate::model::error::Failure;
use crate::model::ids::{ImageName, StageName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Requests other than a full sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Updates the channels of an image now, before the next sweep, because one of its versions became usable or
    /// unusable. Returns [`Followed`].
    Channels {
        /// The image.
        image: ImageName,
        /// The stage whose account and region received the version; `None` for every account and region that has the
        /// image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<StageName>,
    },
}

impl Request {
    /// Parses the input; `None` if it has no `action`.
    pub fn read(sent: &Value) -> Result<Option<Self>, Failure> {
        if sent.get("action").is_none() {
            return Ok(None);
        }
        let read = serde_json::from_value(sent.clone());
        read.map(Some)
            .map_err(|error| Failure::rejected("the sweep does not know this action").caused_by(&error))
    }
}

/// The channels that were changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// One sentence for each channel.
    pub parameters: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn input_without_action_starts_a_sweep_and_unknown_action_is_refused() {
        for scheduled in
            [json!({}), json!(null), json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"})]
        {
            assert_eq!(Request::read(&scheduled), Ok(None));
        }
        let asked = json!({"action": "channels", "image": "logstash", "stage": "ci"});
        assert!(matches!(Request::read(&asked), Ok(Some(Request::Channels { stage: Some(_), .. }))));
        assert!(Request::read(&json!({"action": "sweep"})).unwrap_err().message.contains("does not know"));
    }
}
