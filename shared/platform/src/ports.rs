//! What functions ask of the ledger and of waits, so that tests can stand in for both.

pub mod memory;

use crate::ledger::{Inserted, Ledger, Order, Versioned, Write};
use crate::waits::Waits;
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::Failure;
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

    /// The record at `key`, or `NotFound` saying that `what` does not exist.
    async fn expect<T: Record>(&self, key: &Key, what: &str) -> Result<Versioned<T>, Failure> {
        self.get(key).await?.ok_or_else(|| Failure::not_found(format!("{what} does not exist")))
    }
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
