//! Calls of an API, with the faults of the case.

use crate::clock::VirtualClock;
use crate::faults::{Faults, Kind, Pause, Site};
use lockstep_domain::model::error::{Failure, FailureKind};
use std::sync::Arc;
use std::time::Duration;

/// Duration of a call.
const CALL_TIME: Duration = Duration::from_millis(100);

/// Boundary between functions and every service that is not reached through HTTP.
pub struct Boundary {
    faults: Arc<Faults>,
    clock: VirtualClock,
}

impl Boundary {
    /// Creates a boundary with `faults`.
    pub fn new(faults: &Arc<Faults>, clock: &VirtualClock) -> Self {
        Self { faults: Arc::clone(faults), clock: clock.clone() }
    }

    /// Makes a call, with its fault if the case has one; `read_stale_once` makes the next read a stale one.
    pub async fn cross<T>(
        &self,
        name: &str,
        site: Site,
        read_stale_once: impl FnOnce(),
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.clock.advance(CALL_TIME);
        let struck = |kind| Failure::new(kind, format!("{name}: struck"));
        match self.faults.meet(name, site) {
            None => call().await,
            Some(Kind::Before) => Err(struck(FailureKind::Transient)),
            Some(Kind::Throttled) => Err(struck(FailureKind::Throttled)),
            Some(Kind::Lost) => {
                call().await?;
                Err(struck(FailureKind::Transient))
            }
            Some(Kind::Stale) => {
                read_stale_once();
                call().await
            }
            Some(Kind::Twice) => {
                call().await?;
                call().await
            }
            Some(Kind::Crash) => {
                call().await?;
                self.faults.pause(Pause::Crash).await;
                Err(struck(FailureKind::Bug))
            }
            Some(Kind::Superseded) => {
                self.faults.pause(Pause::Superseded).await;
                call().await
            }
            Some(Kind::Slow) => {
                self.faults.pause(Pause::Slow).await;
                call().await
            }
        }
    }
}
