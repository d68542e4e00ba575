//! What functions ask of the ledger and of waits, so that tests can stand in for both.

pub mod memory;

use crate::ledger::{Inserted, Ledger, Order, Versioned, Write};
use crate::waits::Waits;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::StageName;
use lockstep_domain::records::{Config, ConfigKind, Key, Record};

/// The ledger; see [`Ledger`] for what each method promises.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Records {
    /// The record at `key`, read strongly consistently.
    async fn get<T: Record>(&self, key: &Key) -> Result<Option<Versioned<T>>, Failure>;

    /// At most `limit` records of the partition `pk` whose sort key starts with `sk_prefix`.
    async fn list<T: Record>(
        &self,
        pk: &str,
        sk_prefix: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure>;

    /// Adds `record` unless there is one at its key.
    async fn insert<T: Record>(&self, record: &T) -> Result<Inserted<T>, Failure>;

    /// Writes `record` over `old`, or `Conflict`.
    async fn replace<T: Record>(&self, old: &Versioned<T>, record: T) -> Result<Versioned<T>, Failure>;

    /// Writes both or neither, or `Conflict`.
    async fn replace_both<A: Record, B: Record>(
        &self,
        a: (&Versioned<A>, &A),
        b: (&Versioned<B>, &B),
    ) -> Result<(), Failure>;

    /// Removes `old`, or `Conflict`.
    async fn remove<T: Record>(&self, old: &Versioned<T>) -> Result<(), Failure>;

    /// The newest version of a part of the organisation's configuration; nothing if none was applied yet.
    async fn config(&self, kind: ConfigKind) -> Result<Option<Config>, Failure> {
        let (pk, prefix) = kind.prefix();
        Ok(self.list(pk, prefix, Order::Newest, 1).await?.pop().map(|newest| newest.record))
    }

    /// The organisation's stages; `NotFound` if none were applied yet.
    async fn stages(&self) -> Result<Stages, Failure> {
        Stages::parse("stages.toml", &stages_text(self).await?).map_err(|problems| unreadable(&problems))
    }

    /// The stage called `name`, or `NotFound`.
    async fn stage(&self, name: &StageName) -> Result<Stage, Failure> {
        self.stages().await?.named(name).cloned()
    }

    /// What the organisation says about images.
    async fn image_settings(&self) -> Result<ImageSettings, Failure> {
        ImageSettings::parse("stages.toml", &stages_text(self).await?)
            .map_err(|problems| unreadable(&problems))
    }

    /// The record at `key`, or `NotFound` saying that `what` does not exist.
    async fn expect<T: Record>(&self, key: &Key, what: &str) -> Result<Versioned<T>, Failure> {
        self.get(key).await?.ok_or_else(|| Failure::not_found(format!("{what} does not exist")))
    }
}

/// The applied `stages.toml`.
async fn stages_text(records: &(impl Records + ?Sized)) -> Result<String, Failure> {
    let newest = records.config(ConfigKind::Stages).await?;
    let missing = || Failure::not_found("there are no stages yet; run `lockstep stages apply stages.toml`");
    newest.map(|newest| newest.text).ok_or_else(missing)
}

fn unreadable(problems: &[Problem]) -> Failure {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::bug(format!("the applied stages cannot be read: {}", told.join("; ")))
}

impl Records for Ledger {
    async fn get<T: Record>(&self, key: &Key) -> Result<Option<Versioned<T>>, Failure> {
        Ledger::get(self, key).await
    }

    async fn list<T: Record>(
        &self,
        pk: &str,
        sk_prefix: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        Ledger::list(self, pk, sk_prefix, order, limit).await
    }

    async fn insert<T: Record>(&self, record: &T) -> Result<Inserted<T>, Failure> {
        Ledger::insert(self, record).await
    }

    async fn replace<T: Record>(&self, old: &Versioned<T>, record: T) -> Result<Versioned<T>, Failure> {
        Ledger::replace(self, old, record).await
    }

    async fn replace_both<A: Record, B: Record>(
        &self,
        a: (&Versioned<A>, &A),
        b: (&Versioned<B>, &B),
    ) -> Result<(), Failure> {
        self.transact(vec![Write::replace(a.0, a.1)?, Write::replace(b.0, b.1)?]).await
    }

    async fn remove<T: Record>(&self, old: &Versioned<T>) -> Result<(), Failure> {
        Ledger::remove(self, old).await
    }
}

/// Waits; see [`Waits`] for what each method promises.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait WaitBook {
    /// Lets the state of `task` wait for the end of `operation`.
    async fn register(&self, operation: &str, task: &Task) -> Result<(), Failure>;

    /// Asks `resume` to answer whoever waits for `operation`.
    async fn wake(&self, operation: &str) -> Result<(), Failure>;
}

impl WaitBook for Waits {
    async fn register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        Waits::register(self, operation, task).await
    }

    async fn wake(&self, operation: &str) -> Result<(), Failure> {
        Waits::wake(self, operation).await
    }
}
