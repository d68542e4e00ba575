//! Items of the table: conversion from and to records.

use super::parts::{self, NewPart, Parts};
use super::{Versioned, conflict, seconds};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{Key, Record};
use std::collections::HashMap;

/// An item as the SDK represents it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The revision of a new record.
pub(super) const NEW: u64 = 1;

/// A record as items: its own, and the fields that are stored apart.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    /// The item of the record.
    pub item: Item,
    /// Fields that are stored apart, by name.
    pub parts: Vec<(String, NewPart)>,
}

impl Encoded {
    /// Returns what the item says about the fields that are stored apart.
    pub fn named(&self) -> Parts {
        self.parts.iter().map(|(name, new)| (name.clone(), new.part.clone())).collect()
    }
}

/// Returns the items of `record` at revision `rev`.
pub(super) fn encode<T: Record>(record: &T, rev: u64) -> Result<Encoded, Failure> {
    let key = record.key();
    let mut body = serde_dynamo::to_attribute_value(record)
        .map_err(|error| Failure::bug(format!("{} cannot be stored", key)).caused_by(&error))?;
    let parts = parts::split(&mut body)?;
    let mut item = key_of(&key);
    item.insert("kind".into(), AttributeValue::S(T::KIND.to_owned()));
    item.insert("rev".into(), AttributeValue::N(rev.to_string()));
    item.insert("body".into(), body);
    if let Some(listed_at) = record.listed_at() {
        item.insert("listed_at".into(), AttributeValue::S(listed_at));
    }
    if let Some(expires_at) = record.expires_at() {
        item.insert("expires_at".into(), AttributeValue::N(expires_at.to_string()));
    }
    let mut encoded = Encoded { item, parts };
    if !encoded.parts.is_empty() {
        encoded.item.extend([parts::named(&encoded.named())]);
    }
    Ok(encoded)
}

/// Returns the record in `item`, with the `fields` that are stored apart. An unreadable item is a bug, never absence.
pub(super) fn decode<T: Record>(
    mut item: Item,
    parts: Parts,
    fields: HashMap<String, AttributeValue>,
) -> Result<Versioned<T>, Failure> {
    let unread = || Failure::bug(format!("a {} in the ledger cannot be read", T::KIND));
    let unreadable = |why: String| Failure::bug(format!("{}: {why}", unread().message));
    match item.get("kind") {
        Some(AttributeValue::S(kind)) if kind == T::KIND => {}
        other => return Err(unreadable(format!("its kind is {other:?}"))),
    }
    let rev = number(&item, "rev").ok_or_else(|| unreadable("it has no revision".into()))?;
    let mut body = item.remove("body").ok_or_else(|| unreadable("it has no body".into()))?;
    if let AttributeValue::M(body) = &mut body {
        body.extend(fields);
    }
    let record = serde_dynamo::from_attribute_value(body).map_err(|error| unread().caused_by(&error))?;
    Ok(Versioned { record, rev, parts })
}

/// Returns the primary key as the SDK represents it.
pub(super) fn key_of(key: &Key) -> Item {
    [("pk", &key.pk), ("sk", &key.sk)].map(|(k, v)| (k.to_owned(), AttributeValue::S(v.clone()))).into()
}

/// Returns true if DynamoDB may delete the item. It does so within days, and until then returns the item.
pub(super) fn is_expired(item: &Item, now: Timestamp) -> bool {
    read(item, "expires_at").is_some_and(|at: i64| at < now.as_second())
}

/// Returns the number in an attribute.
pub(super) fn read<N: std::str::FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn number(item: &Item, name: &str) -> Option<u64> {
    read(item, name)
}

/// Returns the failure of a write at a stale revision.
pub(super) fn lost(key: &Key) -> Failure {
    conflict(format!("{} was changed by another; read it again", key))
}

/// Returns the values of a condition on absence.
pub(super) fn now_value(now: Timestamp) -> HashMap<String, AttributeValue> {
    [(":now".to_owned(), seconds(now))].into()
}
