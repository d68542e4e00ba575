//! The `sweep` function. To sweep it is asked for nothing: whatever its schedule or a person sends without an `action`
//! makes it look at everything.

use crate::model::error::Failure;
use crate::model::ids::{ImageName, StageName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What it is asked for beside that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// A version of this image became usable, or is not any more: let the parameters that name the newest follow now, and
    /// not with the next sweep. Answers [`Followed`].
    Channels {
        /// The image.
        image: ImageName,
        /// The stage whose account and region it came to; wherever the image is, if that is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<StageName>,
    },
}

impl Request {
    /// Reads what was sent; nothing if it has no `action`.
    pub fn read(sent: &Value) -> Result<Option<Self>, Failure> {
        if sent.get("action").is_none() {
            return Ok(None);
        }
        let read = serde_json::from_value(sent.clone());
        read.map(Some).map_err(|error| Failure::rejected(format!("the sweep does not know this: {error}")))
    }
}

/// What the parameters that were changed say now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// A sentence for each.
    pub parameters: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_no_action_asks_for_a_sweep_and_an_unknown_action_is_refused() {
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
