//! The ledger: DynamoDB tables, one for each owner of records, with one item per [`Record`].
//!
//! An item has `pk`, `sk`, `kind`, `rev` and `body`; some items have `listed_at` (the sort key of the index `listing`)
//! and `expires_at` (DynamoDB's time to live). `body` is the record as a native map, readable in the console. Every
//! write names the revision it was read at; a stale writer gets `Conflict`. Reads are strongly consistent, except
//! through the index. An expired item counts as deleted before DynamoDB deletes it. Large fields of a record are items of
//! their own: see `parts`.

mod item;
mod parts;
mod transaction;

pub use transaction::Write;

use crate::aws::Aws;
use crate::clock;
use crate::failure::failure;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use item::{Encoded, Item, NEW, decode, encode, is_expired, key_of, lost};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Config, ConfigKind, Key, Partition, Record, Table};
use parts::{NewPart, Part, Parts};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The index that lists records of one kind.
const LISTING: &str = "listing";

/// The most records that one list for a decision may have.
pub const EVERY_MAX: usize = 20_000;

/// A record as it was read or written, with the revision that the next write must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub record: T,
    rev: u64,
    /// Its fields that are stored apart.
    parts: Parts,
}

impl<T> Versioned<T> {
    /// Returns the revision; the first is 1.
    pub fn rev(&self) -> u64 {
        self.rev
    }
}

/// Result of an insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted<T> {
    /// The key was free; the record is stored.
    New(Versioned<T>),
    /// A record existed and is unchanged.
    Exists(Versioned<T>),
}

impl<T> Inserted<T> {
    /// Returns the stored record.
    pub fn into_inner(self) -> Versioned<T> {
        match self {
            Self::New(record) | Self::Exists(record) => record,
        }
    }
}

/// The order of a list by sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest sort key first.
    Oldest,
    /// Highest sort key first.
    Newest,
}

/// The tables of the control plane, or the table of a component.
#[derive(Clone)]
pub struct Ledger {
    aws: Aws,
    client: OnceLock<Client>,
    component_table: Option<String>,
}

impl Ledger {
    /// Creates the client of the control plane's tables with the credentials of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), component_table: None }
    }

    /// Creates the client of `table`, the one table of a component, with the credentials of `aws`.
    pub fn of_component(aws: &Aws, table: &str) -> Self {
        Self { component_table: Some(table.to_owned()), ..Self::new(aws) }
    }

    /// Returns the record at `key`.
    pub async fn get<T: Record>(&self, key: &Key) -> Result<Option<Versioned<T>>, Failure> {
        let request = self.client().get_item().table_name(self.name_of(key.table)).set_key(Some(key_of(key)));
        let answer = request.consistent_read(true).send().await;
        let answer = answer.map_err(|error| failure("GetItem", &key.to_string(), &error))?;
        match answer.item.filter(|item| !is_expired(item, clock::now())) {
            Some(item) => self.read(key.table, item).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the record in `item`, with the parts that the item names.
    async fn read<T: Record>(&self, table: Table, item: Item) -> Result<Versioned<T>, Failure> {
        let malformed = || Failure::bug(format!("a {} in the ledger names its parts wrongly", T::KIND));
        let named = parts::of(&item).ok_or_else(malformed)?;
        let mut fields = HashMap::new();
        if !named.is_empty() {
            let text =
                |name: &str| item.get(name).and_then(|text| text.as_s().ok()).cloned().ok_or_else(malformed);
            let key = Key { table, pk: text("pk")?, sk: text("sk")? };
            for (name, part) in &named {
                fields.insert(name.clone(), self.field(&key, part).await?);
            }
        }
        decode(item, named, fields)
    }

    /// Returns a field of the record at `key` that is stored apart.
    async fn field(&self, key: &Key, part: &Part) -> Result<AttributeValue, Failure> {
        let mut bytes = Vec::new();
        for number in 0..part.items {
            let request = self.client().get_item().table_name(self.name_of(key.table));
            let answer = request.set_key(Some(part.key(key, number))).consistent_read(true).send().await;
            let answer = answer.map_err(|error| failure("GetItem", &key.to_string(), &error))?;
            let chunk = answer.item.and_then(|mut item| item.remove("body"));
            let Some(AttributeValue::B(chunk)) = chunk else {
                return Err(Failure::bug(format!("the part {} of {key} is not stored", part.digest)));
            };
            bytes.extend(chunk.into_inner());
        }
        part.field(key, &bytes)
    }

    /// Stores the parts of a record that `stored` does not name, before the item that names them. Nothing reads a part whose
    /// record was not written. A part never expires: the expiry of its record may change without it.
    async fn store_parts(&self, key: &Key, encoded: &Encoded, stored: &Parts) -> Result<(), Failure> {
        let is_stored = |new: &NewPart| stored.values().any(|part| *part == new.part);
        for (_, new) in encoded.parts.iter().filter(|(_, new)| !is_stored(new)) {
            for item in new.items(key) {
                let request =
                    self.client().put_item().table_name(self.name_of(key.table)).set_item(Some(item));
                request.send().await.map_err(|error| failure("PutItem", &key.to_string(), &error))?;
            }
        }
        Ok(())
    }

    /// Returns the record at `key`, or `NotFound` with the message that `what` does not exist.
    pub async fn expect<T: Record>(&self, key: &Key, what: &str) -> Result<Versioned<T>, Failure> {
        self.get(key).await?.ok_or_else(|| Failure::not_found(format!("{what} does not exist")))
    }

    /// Adds `record` unless its key has one. One call does both.
    pub async fn insert<T: Record>(&self, record: &T) -> Result<Inserted<T>, Failure> {
        let key = record.key();
        let encoded = encode(record, NEW)?;
        let parts = encoded.named();
        self.store_parts(&key, &encoded, &Parts::new()).await?;
        let request = self
            .client()
            .put_item()
            .table_name(self.name_of(key.table))
            .set_item(Some(encoded.item))
            .condition_expression("attribute_not_exists(pk) OR expires_at < :now")
            .expression_attribute_values(":now", seconds(clock::now()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Inserted::New(Versioned { record: record.clone(), rev: NEW, parts })),
            Err(error) => match error.as_service_error().and_then(old_item) {
                Some(old) => self.read(key.table, old.clone()).await.map(Inserted::Exists),
                None => Err(failure("PutItem", &key.to_string(), &error)),
            },
        }
    }

    /// Writes `record` over `old`; fails with `Conflict` if another writer was first.
    pub async fn replace<T: Record>(&self, old: &Versioned<T>, record: T) -> Result<Versioned<T>, Failure> {
        let key = same_key(old, &record)?;
        let rev = old.rev + 1;
        let encoded = encode(&record, rev)?;
        let parts = encoded.named();
        self.store_parts(&key, &encoded, &old.parts).await?;
        let item = encoded.item;
        let request = self
            .client()
            .put_item()
            .table_name(self.name_of(key.table))
            .set_item(Some(item.clone()))
            .condition_expression("rev = :rev")
            .expression_attribute_values(":rev", AttributeValue::N(old.rev.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Versioned { record, rev, parts }),
            // The SDK retries a write whose response was lost, and then conflicts with its own first write.
            Err(error) if error.as_service_error().and_then(old_item) == Some(&item) => {
                Ok(Versioned { record, rev, parts })
            }
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(PutItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Err(lost(&key))
            }
            Err(error) => Err(failure("PutItem", &key.to_string(), &error)),
        }
    }

    /// Removes `old`; fails with `Conflict` if it has changed. A record that is already gone is no error.
    pub async fn remove<T: Record>(&self, old: &Versioned<T>) -> Result<(), Failure> {
        use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
        let key = old.record.key();
        let request = self
            .client()
            .delete_item()
            .table_name(self.name_of(key.table))
            .set_key(Some(key_of(&key)))
            .condition_expression("attribute_not_exists(pk) OR rev = :rev")
            .expression_attribute_values(":rev", AttributeValue::N(old.rev.to_string()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Err(lost(&key)),
                _ => Err(failure("DeleteItem", &key.to_string(), &error)),
            },
        }
    }

    /// Returns at most `limit` records of `partition`.
    pub async fn list<T: Record>(
        &self,
        partition: &Partition,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        let query = self
            .client()
            .query()
            .table_name(self.name_of(partition.table))
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", AttributeValue::S(partition.pk.clone()))
            .expression_attribute_values(":sk", AttributeValue::S(partition.prefix.clone()))
            .scan_index_forward(order == Order::Oldest);
        self.pages(partition.table, query, limit, &format!("{} {}", partition.pk, partition.prefix)).await
    }

    /// Returns every record of `partition`, oldest first. A decision reads all of a list or none of it.
    ///
    /// # Errors
    /// `Bug` if there are more than [`EVERY_MAX`].
    pub async fn every<T: Record>(&self, partition: &Partition) -> Result<Vec<Versioned<T>>, Failure> {
        complete(self.list(partition, Order::Oldest, EVERY_MAX + 1).await?)
    }

    /// Returns every record of one kind, newest first, from every table that holds the kind. The index lags behind
    /// the tables.
    ///
    /// # Errors
    /// `Bug` if there are more than [`EVERY_MAX`].
    pub async fn every_of_kind<T: Record>(&self) -> Result<Vec<Versioned<T>>, Failure> {
        complete(self.listed(None, EVERY_MAX + 1).await?)
    }

    /// Returns every record of one kind whose sort key in the index begins with `beginning`, as
    /// [`Self::every_of_kind`] does.
    ///
    /// # Errors
    /// `Bug` if there are more than [`EVERY_MAX`].
    pub async fn every_listed<T: Record>(&self, beginning: &str) -> Result<Vec<Versioned<T>>, Failure> {
        complete(self.listed(Some(beginning), EVERY_MAX + 1).await?)
    }

    /// Returns at most `limit` records of one kind, newest first, from every table that holds the kind. For display
    /// only: the index lags behind the table, and older records are left out.
    pub async fn list_kind<T: Record>(&self, limit: usize) -> Result<Vec<Versioned<T>>, Failure> {
        let mut found = self.listed(None, limit).await?;
        found.truncate(limit);
        Ok(found)
    }

    /// Returns at most `limit` records of one kind from each table that holds the kind, newest first.
    async fn listed<T: Record>(
        &self,
        beginning: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        let mut found = Vec::new();
        for table in T::TABLES {
            found.extend(self.list_table(*table, beginning, limit).await?);
        }
        found.sort_by_cached_key(|found: &Versioned<T>| Reverse(found.record.listed_at()));
        Ok(found)
    }

    async fn list_table<T: Record>(
        &self,
        table: Table,
        beginning: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        let query = self
            .client()
            .query()
            .table_name(self.name_of(table))
            .index_name(LISTING)
            .key_condition_expression("kind = :kind")
            .expression_attribute_values(":kind", AttributeValue::S(T::KIND.to_owned()))
            .scan_index_forward(false);
        let query = match beginning {
            None => query,
            Some(beginning) => query
                .key_condition_expression("kind = :kind AND begins_with(listed_at, :beginning)")
                .expression_attribute_values(":beginning", AttributeValue::S(beginning.to_owned())),
        };
        self.pages(table, query, limit, T::KIND).await
    }

    /// Returns the newest version of a part of the organisation's configuration; `None` before the first one is
    /// applied.
    pub async fn config(&self, kind: ConfigKind) -> Result<Option<Config>, Failure> {
        Ok(self.list(&kind.versions(), Order::Newest, 1).await?.pop().map(|newest| newest.record))
    }

    /// Writes both records over the old ones, or neither; then fails with `Conflict`.
    pub async fn replace_both<A: Record, B: Record>(
        &self,
        a: (&Versioned<A>, &A),
        b: (&Versioned<B>, &B),
    ) -> Result<(), Failure> {
        self.transact(vec![Write::replace(a.0, a.1)?, Write::replace(b.0, b.1)?]).await
    }

    /// Writes `record` over `old` if `fence` is the last revision of its record; fails with `Conflict` otherwise. The
    /// caller needs no permission to write the fence.
    pub async fn replace_while<T: Record, F: Record>(
        &self,
        old: &Versioned<T>,
        record: T,
        fence: &Versioned<F>,
    ) -> Result<Versioned<T>, Failure> {
        let write = Write::replace(old, &record)?;
        let parts = write.parts();
        self.transact(vec![write, Write::unchanged(fence)]).await?;
        Ok(Versioned { record, rev: old.rev + 1, parts })
    }

    async fn pages<T: Record>(
        &self,
        table: Table,
        query: QueryFluentBuilder,
        limit: usize,
        subject: &str,
    ) -> Result<Vec<Versioned<T>>, Failure> {
        let now = clock::now();
        let page = i32::try_from(limit.min(1000)).unwrap_or(1000);
        let mut items = query.limit(page).into_paginator().items().send();
        let mut found = Vec::new();
        while found.len() < limit {
            match items.next().await {
                None => break,
                Some(Ok(item)) if is_expired(&item, now) || parts::is_part(&item) => {}
                Some(Ok(item)) => found.push(self.read(table, item).await?),
                Some(Err(error)) => return Err(failure("Query", subject, &error)),
            }
        }
        Ok(found)
    }

    fn name_of(&self, table: Table) -> &str {
        self.component_table.as_deref().unwrap_or_else(|| table.name())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

/// Returns a list that was read to its end; fails otherwise.
fn complete<T: Record>(found: Vec<Versioned<T>>) -> Result<Vec<Versioned<T>>, Failure> {
    if found.len() > EVERY_MAX {
        let what = format!("the ledger lists more than {EVERY_MAX} records of the kind {}", T::KIND);
        return Err(Failure::bug(format!("{what}; a decision on a part of them would be wrong")));
    }
    Ok(found)
}

fn old_item(error: &PutItemError) -> Option<&Item> {
    match error {
        PutItemError::ConditionalCheckFailedException(lost) => lost.item(),
        _ => None,
    }
}

fn same_key<T: Record>(old: &Versioned<T>, record: &T) -> Result<Key, Failure> {
    let key = record.key();
    if key == old.record.key() {
        return Ok(key);
    }
    Err(Failure::bug(format!("{} cannot be replaced by {}", old.record.key(), key)))
}

fn seconds(at: jiff::Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}

fn conflict(message: String) -> Failure {
    Failure::new(FailureKind::Conflict, message)
}
