//! Faults: what goes wrong on the way to AWS and on the way of an event, as rules a test adds.

use crate::cloud::CONTROL_DEADLINE;
use crate::http::{Client, HttpError, NOTHING};
use axum::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CallEffect {
    /// Refused as the service throttles: its own code and status. Nothing happens.
    Throttle,
    /// Refused with a server error. Nothing happens.
    ServerError {
        /// 500 or 503.
        status: u16,
    },
    /// Refused with a given error. Nothing happens.
    Error {
        /// The error code, such as `AccessDenied`.
        code: String,
        /// The HTTP status.
        status: u16,
        /// The message.
        message: String,
    },
    /// The connection is closed before the call has an effect.
    Reset,
    /// The call has its effect, then the connection is closed without an answer.
    DropReply,
    /// The call waits first.
    Delay {
        /// How long, in milliseconds.
        #[serde(rename = "ms", serialize_with = "milliseconds")]
        by: Duration,
    },
    /// The call waits before its effect until the rule is released (at most two minutes).
    Hold,
    /// The call has its effect; its answer waits for an event, or for the release of the rule.
    ///
    /// This is how an event comes *before* the answer of the call that caused it.
    HoldReply {
        /// The event to wait for; without one, only the release counts.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<AwaitedEvent>,
        /// How long the answer still waits once the event was handed out, so that its consumer acts first.
        #[serde(rename = "settle_ms", serialize_with = "milliseconds")]
        settle: Duration,
    },
}

/// The event an answer waits for: each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AwaitedEvent {
    /// The source, such as `aws.ec2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The detail type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail_type: Option<String>,
    /// A part of the detail's text: an id, a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// What happens to an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventEffect {
    /// It never arrives.
    Lose,
    /// It arrives twice, with the same id.
    Duplicate,
    /// It arrives later.
    Delay {
        /// How much later, in milliseconds.
        #[serde(rename = "ms", serialize_with = "milliseconds")]
        by: Duration,
    },
    /// It arrives when the rule is released.
    Hold,
}

/// A fault on calls: each condition that is set must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallFault {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    times: u32,
    skip: u32,
    effect: CallEffect,
}

impl CallFault {
    /// A fault that strikes the next call to an action, such as `("ec2", "CopyImage")`.
    ///
    /// Services are named as in the journal of calls: Step Functions is `states`.
    pub fn on(service: &str, action: &str, effect: CallEffect) -> Self {
        let (service, action) = (Some(service.to_owned()), Some(action.to_owned()));
        Self { service, action, account: None, principal: None, contains: None, times: 1, skip: 0, effect }
    }

    /// A fault that strikes the next call of any kind.
    pub fn on_any(effect: CallEffect) -> Self {
        Self { service: None, action: None, ..Self::on("", "", effect) }
    }

    /// Only in this account.
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Only for callers whose ARN contains this text.
    pub fn principal(self, part: &str) -> Self {
        Self { principal: Some(part.to_owned()), ..self }
    }

    /// Only for calls whose path or body contains this text.
    pub fn containing(self, part: &str) -> Self {
        Self { contains: Some(part.to_owned()), ..self }
    }

    /// Strike this often; 0 strikes for ever.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Let this many matching calls pass first.
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// A fault on events: each condition that is set must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventFault {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    times: u32,
    skip: u32,
    effect: EventEffect,
}

impl EventFault {
    /// A fault that strikes the next event of a source, such as `aws.cloudformation`.
    pub fn on(source: &str, effect: EventEffect) -> Self {
        let source = Some(source.to_owned());
        Self { source, detail_type: None, account: None, contains: None, times: 1, skip: 0, effect }
    }

    /// Only events of this detail type.
    pub fn detail_type(self, detail_type: &str) -> Self {
        Self { detail_type: Some(detail_type.to_owned()), ..self }
    }

    /// Only events of this account.
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Only events whose detail contains this text.
    pub fn containing(self, part: &str) -> Self {
        Self { contains: Some(part.to_owned()), ..self }
    }

    /// Strike this often; 0 strikes for ever.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Let this many matching events pass first.
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// A rule's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(u64);

/// A rule and what it did so far.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct FaultStatus {
    /// Its number.
    pub id: FaultId,
    /// How many calls or events fitted its conditions.
    pub matched: u64,
    /// How often it struck.
    pub struck: u64,
    /// How many events it holds.
    pub held: u64,
    /// Whether it was released.
    pub released: bool,
}

/// Adds, lists and removes faults. Rules strike in the order they were added; the first that fits wins.
#[derive(Clone, Debug)]
pub struct Faults {
    client: Client,
    url: String,
}

impl Faults {
    pub(crate) fn new(client: Client, endpoint: &str) -> Self {
        Self { client, url: format!("{endpoint}/_lockstep/faults") }
    }

    /// The faults of a cloud that runs at `endpoint`, in this process or another one.
    pub fn at(endpoint: &str) -> Self {
        Self::new(Client::new(CONTROL_DEADLINE), endpoint)
    }

    /// Add a fault on calls.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer or there are a thousand rules already.
    pub async fn on_call(&self, fault: &CallFault) -> Result<FaultId, HttpError> {
        self.add("call", fault).await
    }

    /// Add a fault on events.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer or there are a thousand rules already.
    pub async fn on_event(&self, fault: &EventFault) -> Result<FaultId, HttpError> {
        self.add("event", fault).await
    }

    async fn add(&self, on: &str, fault: &(impl Serialize + Sync)) -> Result<FaultId, HttpError> {
        #[derive(Serialize)]
        struct Rule<'a, F> {
            on: &'a str,
            #[serde(flatten)]
            fault: &'a F,
        }
        let added: FaultStatus = self.client.json(Method::POST, &self.url, Some(&Rule { on, fault })).await?;
        Ok(added.id)
    }

    /// Every rule, oldest first.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn list(&self) -> Result<Vec<FaultStatus>, HttpError> {
        #[derive(Deserialize)]
        struct Listed {
            faults: Vec<FaultStatus>,
        }
        let listed: Listed = self.client.json(Method::GET, &self.url, NOTHING).await?;
        Ok(listed.faults)
    }

    /// One rule, or `None` if there is no such rule.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn get(&self, id: FaultId) -> Result<Option<FaultStatus>, HttpError> {
        Ok(self.list().await?.into_iter().find(|fault| fault.id == id))
    }

    /// Let the calls and events go that a rule holds; it holds nothing from now on.
    ///
    /// # Errors
    /// [`HttpError`] if there is no such rule or the emulator does not answer.
    pub async fn release(&self, id: FaultId) -> Result<(), HttpError> {
        let url = format!("{}/{}/release", self.url, id.0);
        self.client.json::<Value>(Method::POST, &url, NOTHING).await.map(drop)
    }

    /// Remove a rule and let go what it holds. Removing one that is not there is fine.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn remove(&self, id: FaultId) -> Result<(), HttpError> {
        let url = format!("{}/{}", self.url, id.0);
        self.client.json::<Value>(Method::DELETE, &url, NOTHING).await.map(drop)
    }

    /// Remove every rule and let go what they hold.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn clear(&self) -> Result<(), HttpError> {
        self.client.json::<Value>(Method::DELETE, &self.url, NOTHING).await.map(drop)
    }
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_written_as_the_rule_the_overlay_reads() {
        let fault = CallFault::on(
            "ec2",
            "CopyImage",
            CallEffect::HoldReply {
                until: Some(AwaitedEvent { source: Some("aws.ec2".into()), ..Default::default() }),
                settle: Duration::from_millis(50),
            },
        )
        .account("333333333333")
        .times(2);
        assert_eq!(
            serde_json::to_value(&fault).expect("serializable"),
            json!({
                "service": "ec2", "action": "CopyImage", "account": "333333333333", "times": 2, "skip": 0,
                "effect": {"kind": "hold_reply", "until": {"source": "aws.ec2"}, "settle_ms": 50},
            })
        );
        let fault = EventFault::on("aws.ec2", EventEffect::Delay { by: Duration::from_secs(1) });
        assert_eq!(
            serde_json::to_value(&fault).expect("serializable"),
            json!({"source": "aws.ec2", "times": 1, "skip": 0, "effect": {"kind": "delay", "ms": 1000}})
        );
    }
}
