//! The ledger and the waits in memory, for tests of functions.
//!
//! Records are kept as JSON, so that what does not survive being stored is found here; revisions behave as in the
//! table.

use super::{Records, WaitBook};
use crate::ledger::{Inserted, Order, Versioned};
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Key, Record};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    items: RefCell<BTreeMap<Key, (Value, u64)>>,
    writes: RefCell<Vec<Key>>,
}

impl MemoryRecords {
    /// The keys of everything that was written, in order.
    pub fn written(&self) -> Vec<Key> {
        self.writes.borrow().clone()
    }

    /// Writes `record` whatever is there, as another process would.
    pub fn put<T: Record>(&self, record: &T) {
        let rev = self.items.borrow().get(&record.key()).map_or(1, |(_, rev)| rev + 1);
        self.store(record, rev);
    }

    /// What is at `key`.
    pub fn find<T: Record>(&self, key: &Key) -> Option<T> {
        self.items.borrow().get(key).and_then(|(value, _)| serde_json::from_value(value.clone()).ok())
    }

    fn store<T: Record>(&self, record: &T, rev: u64) {
        let value = serde_json::to_value(record).unwrap_or_default();
        self.items.borrow_mut().insert(record.key(), (value, rev));
    }

    fn check<T: Record>(&self, old: &Versioned<T>) -> Result<(), Failure> {
        let key = old.record.key();
        match self.items.borrow().get(&key) {
            Some((_, rev)) if *rev == old.rev() => Ok(()),
            _ => Err(Failure::new(FailureKind::Conflict, format!("{} {} was changed", key.pk, key.sk))),
        }
    }

    fn write<T: Record>(&self, old: &Versioned<T>, record: &T) -> u64 {
        let rev = old.rev() + 1;
        self.store(record, rev);
        self.writes.borrow_mut().push(record.key());
        rev
    }
}

fn read<T: Record>(value: &Value, rev: u64) -> Result<Versioned<T>, Failure> {
    let record = serde_json::from_value(value.clone());
    record.map(|record| Versioned::new(record, rev)).map_err(|error| Failure::bug(error.to_string()))
}

impl Records for MemoryRecords {
    async fn get<T: Record>(&self, key: &Key) -> Result<Option<Versioned<T>>, Failure> {
        self.items.borrow().get(key).map(|(value, rev)| read(value, *rev)).transpose()
    }

    async fn list<T: Record>(
        &self,
        pk: &str,
        sk_prefix: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        let items = self.items.borrow();
        let found = items.iter().filter(|(key, _)| key.pk == pk && key.sk.starts_with(sk_prefix));
        let mut found: Vec<_> = found.map(|(_, (value, rev))| read(value, *rev)).collect::<Result<_, _>>()?;
        if order == Order::Newest {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn insert<T: Record>(&self, record: &T) -> Result<Inserted<T>, Failure> {
        if let Some(found) = self.get(&record.key()).await? {
            return Ok(Inserted::Exists(found));
        }
        self.store(record, 1);
        self.writes.borrow_mut().push(record.key());
        Ok(Inserted::New(Versioned::new(record.clone(), 1)))
    }

    async fn replace<T: Record>(&self, old: &Versioned<T>, record: T) -> Result<Versioned<T>, Failure> {
        self.check(old)?;
        let rev = self.write(old, &record);
        Ok(Versioned::new(record, rev))
    }

    async fn replace_both<A: Record, B: Record>(
        &self,
        a: (&Versioned<A>, &A),
        b: (&Versioned<B>, &B),
    ) -> Result<(), Failure> {
        self.check(a.0)?;
        self.check(b.0)?;
        self.write(a.0, a.1);
        self.write(b.0, b.1);
        Ok(())
    }

    async fn remove<T: Record>(&self, old: &Versioned<T>) -> Result<(), Failure> {
        let key = old.record.key();
        if self.items.borrow().contains_key(&key) {
            self.check(old)?;
            self.items.borrow_mut().remove(&key);
            self.writes.borrow_mut().push(key);
        }
        Ok(())
    }
}

/// Waits in memory.
#[derive(Debug, Default)]
pub struct MemoryWaits {
    /// The operations that somebody waits for, in order.
    pub registered: RefCell<Vec<String>>,
    /// The operations whose end was told, in order.
    pub woken: RefCell<Vec<String>>,
}

impl WaitBook for MemoryWaits {
    async fn register(&self, operation: &str, _task: &Task) -> Result<(), Failure> {
        self.registered.borrow_mut().push(operation.to_owned());
        Ok(())
    }

    async fn wake(&self, operation: &str) -> Result<(), Failure> {
        self.woken.borrow_mut().push(operation.to_owned());
        Ok(())
    }
}
