//! Transactions: several writes that happen together or not at all.

use super::item::{Encoded, NEW, encode, key_of, lost, now_value};
use super::parts::Parts;
use super::{Ledger, Versioned, conflict, same_key};
use crate::clock;
use crate::failure::failure;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem,
};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Key, Record};
use std::collections::HashMap;

/// One write of a transaction, with the condition it depends on.
#[derive(Clone, Debug)]
pub struct Write {
    key: Key,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Insert(Encoded),
    Replace(Encoded, u64, Parts),
    Remove(u64),
    Unchanged(u64),
}

impl Write {
    /// Adds a record; the transaction fails if the key has one.
    pub fn insert<T: Record>(record: &T) -> Result<Self, Failure> {
        Ok(Self { key: record.key(), change: Change::Insert(encode(record, NEW)?) })
    }

    /// Writes `record` over `old`.
    pub fn replace<T: Record>(old: &Versioned<T>, record: &T) -> Result<Self, Failure> {
        let key = same_key(old, record)?;
        Ok(Self { key, change: Change::Replace(encode(record, old.rev + 1)?, old.rev, old.parts.clone()) })
    }

    /// Removes `old`.
    pub fn remove<T: Record>(old: &Versioned<T>) -> Self {
        Self { key: old.record.key(), change: Change::Remove(old.rev) }
    }

    /// Changes no record, but requires `old` to be the last revision.
    pub fn unchanged<T: Record>(old: &Versioned<T>) -> Self {
        Self { key: old.record.key(), change: Change::Unchanged(old.rev) }
    }

    /// Returns the fields of the written record that are stored apart.
    pub(super) fn parts(&self) -> Parts {
        match &self.change {
            Change::Insert(new) | Change::Replace(new, ..) => new.named(),
            Change::Remove(_) | Change::Unchanged(_) => Parts::new(),
        }
    }
}

impl Ledger {
    /// Applies all of `writes` (at most a hundred, no key twice) or none; fails with `Conflict` if a condition fails.
    ///
    /// The SDK sends the same client token on each of its retries, so a retry after a lost response does not conflict
    /// with itself.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    pub async fn transact(&self, writes: Vec<Write>) -> Result<(), Failure> {
        for write in &writes {
            match &write.change {
                Change::Insert(new) => self.store_parts(&write.key, new, &Parts::new()).await?,
                Change::Replace(new, _, stored) => self.store_parts(&write.key, new, stored).await?,
                Change::Remove(_) | Change::Unchanged(_) => {}
            }
        }
        let items = writes.iter().map(|write| self.transact_item(write)).collect::<Result<Vec<_>, _>>()?;
        let sent = self.client().transact_write_items().set_transact_items(Some(items)).send().await;
        sent.map(drop).map_err(|error| match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancellation(&writes, cancelled.cancellation_reasons())
            }
            _ => failure("TransactWriteItems", &all(&writes), &error),
        })
    }

    fn transact_item(&self, write: &Write) -> Result<TransactWriteItem, Failure> {
        let malformed = |error| Failure::bug("a transaction is malformed").caused_by(&error);
        let item = TransactWriteItem::builder();
        let table = self.name_of(write.key.table);
        let key = key_of(&write.key);
        Ok(match &write.change {
            Change::Insert(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new.item.clone()))
                    .condition_expression("attribute_not_exists(pk) OR expires_at < :now")
                    .set_expression_attribute_values(Some(now_value(clock::now())))
                    .build()
                    .map_err(malformed)?,
            ),
            Change::Replace(new, rev, _) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new.item.clone()))
                    .condition_expression("rev = :rev")
                    .set_expression_attribute_values(Some(at(*rev)))
                    .build()
                    .map_err(malformed)?,
            ),
            Change::Remove(rev) => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression("rev = :rev")
                    .set_expression_attribute_values(Some(at(*rev)))
                    .build()
                    .map_err(malformed)?,
            ),
            Change::Unchanged(rev) => item.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression("rev = :rev")
                    .set_expression_attribute_values(Some(at(*rev)))
                    .build()
                    .map_err(malformed)?,
            ),
        }
        .build())
    }
}

fn at(rev: u64) -> HashMap<String, AttributeValue> {
    [(":rev".to_owned(), AttributeValue::N(rev.to_string()))].into()
}

/// Returns the failure of a cancelled transaction: DynamoDB gives one reason for each write, in order.
fn cancellation(writes: &[Write], reasons: &[CancellationReason]) -> Failure {
    let code = |reason: &CancellationReason| reason.code().unwrap_or_default().to_owned();
    let mut failed = writes.iter().zip(reasons.iter().map(code)).filter(|(_, code)| code != "None");
    match failed.next() {
        Some((write, code)) => match code.as_str() {
            "ConditionalCheckFailed" => lost(&write.key),
            "TransactionConflict" => conflict(format!("{} is being changed by another", write.key)),
            "ThrottlingError" | "ProvisionedThroughputExceeded" => {
                Failure::new(FailureKind::Throttled, format!("TransactWriteItems {}: {code}", write.key))
            }
            _ => Failure::bug(format!("TransactWriteItems {}: {code}", write.key)),
        },
        None => {
            Failure::new(FailureKind::Transient, format!("TransactWriteItems {}: cancelled", all(writes)))
        }
    }
}

fn all(writes: &[Write]) -> String {
    writes.iter().map(|write| write.key.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::records::Table;

    fn write(pk: &str) -> Write {
        Write {
            key: Key { table: Table::Delivery, pk: pk.into(), sk: "-".into() },
            change: Change::Remove(1),
        }
    }

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    #[test]
    fn the_first_write_with_a_reason_names_the_failure() {
        let table = [
            ("ConditionalCheckFailed", FailureKind::Conflict),
            ("TransactionConflict", FailureKind::Conflict),
            ("ThrottlingError", FailureKind::Throttled),
            ("ValidationError", FailureKind::Bug),
        ];
        for (code, kind) in table {
            let failure = cancellation(&[write("A"), write("B")], &[reason("None"), reason(code)]);
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.message.contains('B'), "{}", failure.message);
        }
    }

    #[test]
    fn a_cancellation_without_a_reason_is_not_a_conflict() {
        assert_eq!(cancellation(&[write("A")], &[]).kind, FailureKind::Transient);
    }
}
