//! The context of the `verify` function.

use crate::harness::Harness;
use jiff::Timestamp;
use lockstep_aws::functions::Called;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::probe::{Get, ProbeResponse, Unanswered};
use lockstep_domain::delivery::checks::{Admission, Peer};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::Deployment;
use lockstep_runtime::{Artifacts, Clock, HasLedger};
use lockstep_verify::context::Peers;
use serde_json::Value;
use std::time::Duration;

/// The context of the `verify` function. A check that connects to a peer finds none.
pub struct Verifying<'a>(pub &'a Harness);

impl Clock for Verifying<'_> {
    fn now(&self) -> Timestamp {
        self.0.context.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.context.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        self.0.context.sleep(time).await;
    }
}

impl HasLedger for Verifying<'_> {
    fn ledger(&self) -> &Ledger {
        self.0.context.ledger()
    }
}

impl Artifacts for Verifying<'_> {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.0.context.artifact(key).await
    }
}

impl Peers for Verifying<'_> {
    fn local_endpoint(&self) -> Option<&str> {
        None
    }

    async fn call(&self, _: &Deployment, function: &str, _: &Value, _: Duration) -> Result<Called, Failure> {
        Err(Failure::new(FailureKind::NotFound, format!("no function {function}")))
    }

    async fn get(&self, _: Get<'_>, _: &Admission, _: Duration) -> Result<ProbeResponse, Unanswered> {
        Err(Unanswered::NotYet("there is no such page".to_owned()))
    }

    async fn connect(&self, peer: &Peer, _: &Admission, _: Duration) -> Result<(), Unanswered> {
        Err(Unanswered::NotYet(format!("there is no {peer}")))
    }
}
