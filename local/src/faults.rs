//! Faults of calls to AWS and of the delivery of events, as rules that a test adds.

use crate::cloud::CONTROL_DEADLINE;
use crate::http::{Client, HttpError, NOTHING};
use axum::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Effect of a fault on a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CallEffect {
    /// The service throttles the call, with its own code and status. The call has no effect.
    Throttle,
    /// The service refuses the call with a server error. The call has no effect.
    ServerError {
        /// Status 500 or 503.
        status: u16,
    },
    /// The service refuses the call with a given error. The call has no effect.
    Error {
        /// Error code, such as `AccessDenied`.
        code: String,
        /// HTTP status.
        status: u16,
        /// Message.
        message: String,
    },
    /// The connection closes before the call has an effect.
    Reset,
    /// The call has its effect, then the connection closes without a response.
    DropReply,
    /// The call is delayed before its effect.
    Delay {
        /// Delay, in milliseconds.
        #[serde(rename = "ms", serialize_with = "milliseconds")]
        by: Duration,
    },
    /// The call is held before its effect until the rule is released (at most two minutes).
    Hold,
    /// The call has its effect. Its response is held until an event, or until the release of the rule.
    ///
    /// An event then arrives *before* the response of the call that caused it.
    HoldReply {
        /// Event that releases the response. `None` waits for the release of the rule.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<AwaitedEvent>,
        /// Further delay of the response after the delivery of the event, so that its consumer acts first.
        #[serde(rename = "settle_ms", serialize_with = "milliseconds")]
        settle: Duration,
    },
}

/// Event that releases a response: each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AwaitedEvent {
    /// Source, such as `aws.ec2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Detail type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail_type: Option<String>,
    /// Part of the detail's text: an id, a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// Effect of a fault on an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventEffect {
    /// The event never arrives.
    Lose,
    /// The event arrives twice, with the same id.
    Duplicate,
    /// The event arrives late.
    Delay {
        /// Delay, in milliseconds.
        #[serde(rename = "ms", serialize_with = "milliseconds")]
        by: Duration,
    },
    /// The event arrives when the rule is released.
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
    /// Returns a fault for the next call to an action, such as `("ec2", "CopyImage")`.
    ///
    /// Services have the names of the call log: Step Functions is `states`.
    pub fn on(service: &str, action: &str, effect: CallEffect) -> Self {
        let (service, action) = (Some(service.to_owned()), Some(action.to_owned()));
        Self { service, action, account: None, principal: None, contains: None, times: 1, skip: 0, effect }
    }

    /// Returns a fault for the next call of any kind.
    pub fn on_any(effect: CallEffect) -> Self {
        Self { service: None, action: None, ..Self::on("", "", effect) }
    }

    /// Restricts the fault to this account.
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Restricts the fault to callers whose ARN contains this text.
    pub fn principal(self, part: &str) -> Self {
        Self { principal: Some(part.to_owned()), ..self }
    }

    /// Restricts the fault to calls whose path or body contains this text.
    pub fn containing(self, part: &str) -> Self {
        Self { contains: Some(part.to_owned()), ..self }
    }

    /// Limits the fault to this number of calls; 0 means no limit.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Lets this number of matching calls pass first.
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
    /// Returns a fault for the next event of a source, such as `aws.cloudformation`.
    pub fn on(source: &str, effect: EventEffect) -> Self {
        let source = Some(source.to_owned());
        Self { source, detail_type: None, account: None, contains: None, times: 1, skip: 0, effect }
    }

    /// Restricts the fault to events of this detail type.
    pub fn detail_type(self, detail_type: &str) -> Self {
        Self { detail_type: Some(detail_type.to_owned()), ..self }
    }

    /// Restricts the fault to events of this account.
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Restricts the fault to events whose detail contains this text.
    pub fn containing(self, part: &str) -> Self {
        Self { contains: Some(part.to_owned()), ..self }
    }

    /// Limits the fault to this number of events; 0 means no limit.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Lets this number of matching events pass first.
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// Number of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(u64);

/// A rule with its counters.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct FaultStatus {
    /// Number of the rule.
    pub id: FaultId,
    /// Number of calls or events that matched its conditions.
    pub matched: u64,
    /// Number of calls or events that it affected.
    pub struck: u64,
    /// Number of events that it holds.
    pub held: u64,
    /// True if the rule was released.
    pub released: bool,
}

/// Adds, lists and removes faults. The first matching rule applies, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Faults {
    client: Client,
    url: String,
}

impl Faults {
    pub(crate) fn new(client: Client, endpoint: &str) -> Self {
        Self { client, url: format!("{endpoint}/_lockstep/faults") }
    }

    /// Returns the faults of a cloud at `endpoint`, in this process or another one.
    pub fn at(endpoint: &str) -> Self {
        Self::new(Client::new(CONTROL_DEADLINE), endpoint)
    }

    /// Adds a fault on calls.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer or there are a thousand rules already.
    pub async fn on_call(&self, fault: &CallFault) -> Result<FaultId, HttpError> {
        self.add("call", fault).await
    }

    /// Adds a fault on events.
    ///
    /// # Errors
    ///
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

    /// Returns every rule, oldest first.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn list(&self) -> Result<Vec<FaultStatus>, HttpError> {
        #[derive(Deserialize)]
        struct Listed {
            faults: Vec<FaultStatus>,
        }
        let listed: Listed = self.client.json(Method::GET, &self.url, NOTHING).await?;
        Ok(listed.faults)
    }

    /// Returns one rule, or `None` if there is no such rule.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn get(&self, id: FaultId) -> Result<Option<FaultStatus>, HttpError> {
        Ok(self.list().await?.into_iter().find(|fault| fault.id == id))
    }

    /// Releases the calls and events that a rule holds. The rule holds no further ones.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if there is no such rule or the emulator does not answer.
    pub async fn release(&self, id: FaultId) -> Result<(), HttpError> {
        let url = format!("{}/{}/release", self.url, id.0);
        self.client.json::<Value>(Method::POST, &url, NOTHING).await.map(drop)
    }

    /// Removes a rule and releases the calls and events that it holds. An absent rule is no error.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn remove(&self, id: FaultId) -> Result<(), HttpError> {
        let url = format!("{}/{}", self.url, id.0);
        self.client.json::<Value>(Method::DELETE, &url, NOTHING).await.map(drop)
    }

    /// Removes every rule and releases the calls and events that they hold.
    ///
    /// # Errors
    ///
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
    fn a_fault_is_serialised_as_the_rule_that_the_overlay_reads() {
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
