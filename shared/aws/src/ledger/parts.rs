//! Large records: an item holds at most 400 KB, and each write costs by the size of the whole item. The largest
//! fields of a large record are items of their own, under keys of their digests, in the partition of the record. The
//! record's item names them, and every read compares them. A part never changes, so a write of the record stores only
//! the parts that are new. Nothing deletes a part, also when its record names another one or is gone.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>

use super::item::{Item, key_of};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::records::Key;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Bytes of a body above which its largest fields are stored apart.
const BODY_MAX: usize = 64 * 1024;

/// Bytes of a field in one item. DynamoDB's limit includes the names of the attributes and the key.
const PART_MAX: usize = 380 * 1024;

/// Attribute that names the parts of a record, by field.
const PARTS: &str = "parts";

/// Kind of the items that hold parts.
const KIND: &str = "PART";

/// A field that is stored apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Digest of the field, as JSON.
    pub digest: Digest,
    /// Number of items that hold it.
    pub items: usize,
}

/// The fields of one record that are stored apart, by name.
pub(super) type Parts = BTreeMap<String, Part>;

/// A field to store, with its JSON.
#[derive(Clone, Debug)]
pub(super) struct NewPart {
    /// What the item of the record says about the field.
    pub part: Part,
    json: Vec<u8>,
}

impl NewPart {
    /// Returns the items that hold the field of the record at `key`.
    pub fn items<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = Item> + 'a {
        self.json.chunks(PART_MAX).enumerate().map(move |(number, chunk)| {
            let mut item = self.part.key(key, number);
            item.insert("kind".into(), AttributeValue::S(KIND.to_owned()));
            item.insert("body".into(), AttributeValue::B(Blob::new(chunk)));
            item
        })
    }
}

impl Part {
    /// Returns the primary key of the item `number`, counted from 0, of a field of the record at `key`.
    pub fn key(&self, key: &Key, number: usize) -> Item {
        let sk = format!("PART#{}#{}#{number}", key.sk, self.digest);
        key_of(&Key { sk, ..key.clone() })
    }

    /// Returns the field that `bytes` hold; fails if they are not those that were stored.
    pub fn field(&self, key: &Key, bytes: &[u8]) -> Result<AttributeValue, Failure> {
        if Digest::of(bytes) != self.digest {
            return Err(Failure::bug(format!("a part of {key} has another digest than {}", self.digest)));
        }
        let unread = || Failure::bug(format!("the part {} of {key} cannot be read", self.digest));
        let value: Value = serde_json::from_slice(bytes).map_err(|error| unread().caused_by(&error))?;
        serde_dynamo::to_attribute_value(value).map_err(|error| unread().caused_by(&error))
    }
}

/// Takes the largest fields out of a body that is too large, the largest first.
pub(super) fn split(body: &mut AttributeValue) -> Result<Vec<(String, NewPart)>, Failure> {
    let mut size = size_of(body);
    let AttributeValue::M(fields) = body else { return Ok(Vec::new()) };
    let mut taken = Vec::new();
    while size > BODY_MAX {
        let Some((name, bytes)) = largest(fields) else { break };
        let value = fields.remove(&name).expect("a field of the body");
        taken.push((name, new_part(value)?));
        size -= bytes;
    }
    Ok(taken)
}

fn largest(fields: &HashMap<String, AttributeValue>) -> Option<(String, usize)> {
    let sizes = fields.iter().map(|(name, value)| (name.clone(), size_of(value)));
    sizes.max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)))
}

fn new_part(value: AttributeValue) -> Result<NewPart, Failure> {
    let unstored = || Failure::bug("a field cannot be stored");
    let mut value: Value =
        serde_dynamo::from_attribute_value(value).map_err(|error| unstored().caused_by(&error))?;
    // An equal field has an equal digest, whatever the order of its keys.
    value.sort_all_objects();
    let json = serde_json::to_vec(&value).map_err(|error| unstored().caused_by(&error))?;
    let part = Part { digest: Digest::of(&json), items: json.len().div_ceil(PART_MAX) };
    Ok(NewPart { part, json })
}

/// Returns the attribute that names the parts of a record.
pub(super) fn named(parts: &Parts) -> (String, AttributeValue) {
    let field = |part: &Part| {
        let digest = AttributeValue::S(part.digest.to_string());
        let items = AttributeValue::N(part.items.to_string());
        AttributeValue::M([("digest".to_owned(), digest), ("items".to_owned(), items)].into())
    };
    let named = parts.iter().map(|(name, part)| (name.clone(), field(part))).collect();
    (PARTS.to_owned(), AttributeValue::M(named))
}

/// Returns the parts that the item of a record names; `None` if they cannot be read.
pub(super) fn of(item: &Item) -> Option<Parts> {
    let Some(named) = item.get(PARTS) else { return Some(Parts::new()) };
    let field = |(name, value): (&String, &AttributeValue)| {
        let value = value.as_m().ok()?;
        let digest = value.get("digest")?.as_s().ok()?.parse().ok()?;
        let items = value.get("items")?.as_n().ok()?.parse().ok()?;
        Some((name.clone(), Part { digest, items }))
    };
    named.as_m().ok()?.iter().map(field).collect()
}

/// Returns true if the item is a part of a record.
pub(super) fn is_part(item: &Item) -> bool {
    matches!(item.get("kind"), Some(AttributeValue::S(kind)) if kind == KIND)
}

/// Returns the bytes that DynamoDB counts for a value, at most a few more.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn size_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of(value)).sum::<usize>(),
        AttributeValue::M(fields) => {
            3 + fields.iter().map(|(name, value)| 1 + name.len() + size_of(value)).sum::<usize>()
        }
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.iter().map(String::len).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::records::Table;

    fn text(bytes: usize) -> AttributeValue {
        AttributeValue::S("x".repeat(bytes))
    }

    fn body(fields: &[(&str, usize)]) -> AttributeValue {
        AttributeValue::M(fields.iter().map(|(name, bytes)| ((*name).to_owned(), text(*bytes))).collect())
    }

    fn names(taken: &[(String, NewPart)]) -> Vec<&str> {
        taken.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_body_gives_up_its_largest_fields_until_it_fits() {
        type Fields<'a> = &'a [(&'a str, usize)];
        let table: [(Fields<'_>, &[&str]); 4] = [
            (&[("a", 10), ("b", BODY_MAX - 100)], &[]),
            (&[("a", 10), ("b", BODY_MAX)], &["b"]),
            (&[("a", BODY_MAX / 2), ("b", BODY_MAX), ("c", BODY_MAX / 2)], &["b", "a"]),
            (&[("a", BODY_MAX * 9), ("b", 1)], &["a"]),
        ];
        for (fields, taken) in table {
            let mut body = body(fields);
            assert_eq!(names(&split(&mut body).unwrap()), taken);
            assert!(size_of(&body) <= BODY_MAX);
        }
    }

    #[test]
    fn a_part_is_read_only_as_it_was_stored() {
        let key = Key { table: Table::Delivery, pk: "DEPLOYMENT#x".into(), sk: "META".into() };
        let mut body = body(&[("a", PART_MAX * 2)]);
        let taken = split(&mut body).unwrap();
        let (_, new) = &taken[0];
        let items: Vec<Item> = new.items(&key).collect();
        assert_eq!((items.len(), new.part.items), (3, 3));
        let bytes: Vec<u8> =
            items.iter().flat_map(|item| item["body"].as_b().unwrap().as_ref().to_vec()).collect();
        assert_eq!(new.part.field(&key, &bytes).unwrap(), text(PART_MAX * 2));
        assert!(new.part.field(&key, &bytes[1..]).is_err());
        assert!(items.iter().all(is_part));
    }
}
