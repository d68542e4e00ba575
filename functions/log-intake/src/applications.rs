//! Reads the applications and their token buckets in the component's table.

use jiff::{SignedDuration, Timestamp};
use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::ledger::{Inserted, Ledger};
use lockstep_aws::remembered::Remembered;
use lockstep_domain::logs::ingest::{
    Application, Bucket, KeyId, Rate, RateDecision, Refused, TooLarge, limit_rate,
};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::ApplicationName;
use lockstep_runtime::retry::retry_on_conflict;

/// Age up to which a cached record, or its absence, counts. A revoked key is refused after half a minute at most.
const RECORD_AGE: SignedDuration = SignedDuration::from_secs(30);

/// Age up to which the absence of a key counts. A new key is accepted after two seconds at most, and a caller with
/// invented keys causes at most one read in two seconds.
const IGNORANCE_AGE: SignedDuration = SignedDuration::from_secs(2);

/// Applications that may send.
pub(crate) struct Applications {
    table: Ledger,
    known: Remembered<ApplicationName, Option<Application>>,
}

impl Applications {
    pub(crate) fn new(aws: &Aws, table: &str) -> Self {
        Self { table: Ledger::of_component(aws, table), known: Remembered::new(RECORD_AGE) }
    }

    /// Returns the application of a key; `None` if there is none. An unauthenticated caller costs at most one read,
    /// whose result is cached.
    pub(crate) async fn of(&self, key: &KeyId, now: Timestamp) -> Result<Option<Application>, Failure> {
        let name = &key.application;
        let holds = |known: &Option<Application>| {
            known.as_ref().is_some_and(|known| known.keys.iter().any(|issued| issued.number == key.number))
        };
        let known = self.known.get(name, now).filter(holds);
        if let Some(known) = known.or_else(|| self.known.younger(name, IGNORANCE_AGE, now)) {
            return Ok(known);
        }
        let found = self.read(name).await?;
        self.known.put(name.clone(), found.clone(), now);
        Ok(found)
    }

    /// Reads an application from the table, without the cache.
    pub(crate) async fn read(&self, name: &ApplicationName) -> Result<Option<Application>, Failure> {
        Ok(self.table.get(&Application::key_of(name)).await?.map(|found| found.record))
    }

    /// Takes tokens for `events` from the bucket of an application. Concurrent calls take different tokens.
    pub(crate) async fn limit_rate(
        &self,
        name: &ApplicationName,
        rate: Rate,
        events: u32,
    ) -> Result<Result<(), Refused>, Failure> {
        let taken = retry_on_conflict(async || self.try_take(name, rate, events).await).await;
        match taken {
            // So many concurrent requests are too many, however full the bucket is.
            Err(lost) if lost.kind == FailureKind::Conflict => Ok(Err(Refused::TooMany { seconds: 1 })),
            taken => taken,
        }
    }

    async fn try_take(
        &self,
        name: &ApplicationName,
        rate: Rate,
        events: u32,
    ) -> Result<Result<(), Refused>, Failure> {
        let before = self.table.get::<Bucket>(&Bucket::key_of(name)).await?;
        let bucket = before.as_ref().map(|found| &found.record);
        let after = match limit_rate(rate, name, bucket, events, clock::now()) {
            RateDecision::Yes(after) => after,
            RateDecision::After(seconds) => return Ok(Err(Refused::TooMany { seconds })),
            RateDecision::Never => return Ok(Err(TooLarge::Burst { burst: rate.burst() }.into())),
        };
        match before {
            Some(before) => self.table.replace(&before, after).await.map(|_| Ok(())),
            None => match self.table.insert(&after).await? {
                Inserted::New(_) => Ok(Ok(())),
                Inserted::Exists(_) => Err(Failure::new(
                    FailureKind::Conflict,
                    format!("another writer created the bucket of {name}"),
                )),
            },
        }
    }
}
