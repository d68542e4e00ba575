//! Write units of DynamoDB that a run costs.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>

use crate::cases::{block_on, with_room};
use crate::scenarios::scenario;
use crate::workflows::{execute, word};
use lockstep_sim::{FakeAws, Request};
use serde_json::{Value, json};

/// Bytes of a write unit.
const UNIT: usize = 1024;

/// Factor of a transaction: DynamoDB prepares each item and then commits it.
const TRANSACTION: usize = 2;

/// The writes of a run to the tables themselves. The index `listing` costs the same with and without a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Number of requests that write.
    pub requests: usize,
    /// Number of these that check the environment in the same transaction.
    pub fenced: usize,
    /// The write units.
    pub units: usize,
    /// The write units if the fenced writes were plain ones.
    pub without_fences: usize,
}

impl Units {
    /// Counts a request before it is served.
    pub fn of(request: &Request, account: &FakeAws) -> Self {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let (writes, checks, factor) = match request.operation.as_str() {
            "PutItem" => (put(&body, account), 0, 1),
            "DeleteItem" => (stored(&body, account), 0, 1),
            "TransactWriteItems" => {
                let items = body["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default();
                let all = |of: &str, count: fn(&Value, &FakeAws) -> usize| {
                    let found = items.iter().filter(|item| item[of].is_object());
                    found.map(|item| count(&item[of], account)).sum::<usize>()
                };
                (all("Put", put) + all("Delete", stored), all("ConditionCheck", stored), TRANSACTION)
            }
            _ => return Self::default(),
        };
        let is_fenced = checks > 0;
        let units = factor * (writes + checks);
        let without_fences = if is_fenced { writes } else { units };
        Self { requests: 1, fenced: usize::from(is_fenced), units, without_fences }
    }

    /// Returns the sum.
    pub fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            fenced: self.fenced + other.fenced,
            units: self.units + other.units,
            without_fences: self.without_fences + other.without_fences,
        }
    }
}

/// Returns the units of a put: those of the larger one of the old and the new item.
fn put(put: &Value, account: &FakeAws) -> usize {
    let item = &put["Item"];
    let get = json!({"TableName": put["TableName"], "Key": {"pk": item["pk"], "sk": item["sk"]}});
    units(size_of(item)).max(stored(&get, account))
}

/// Returns the units of the item that is stored at a key; one if there is none.
fn stored(at: &Value, account: &FakeAws) -> usize {
    let get = json!({"TableName": at["TableName"], "Key": at["Key"], "ConsistentRead": true}).to_string();
    let get = Request { operation: "GetItem".into(), function: String::new(), body: get };
    let found: Value = serde_json::from_str(&account.serve(&get).1).unwrap_or_default();
    units(size_of(&found["Item"]))
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).max(1)
}

/// Returns the bytes of the attributes of an item or a map, by the rules of DynamoDB.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn size_of(attributes: &Value) -> usize {
    let attributes = attributes.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        // Each element of a document costs a byte more.
        ("M", map) => 3 + size_of(map) + map.as_object().map_or(0, |map| map.len()),
        ("L", Value::Array(list)) => 3 + list.len() + list.iter().map(size_of_value).sum::<usize>(),
        _ => 1,
    }
}

/// Returns the writes of a scenario without faults.
fn writes_of(name: &'static str) -> Units {
    let count = async || {
        let scenario = scenario(name).expect("a scenario");
        let ground = scenario.prepare().await;
        let harness = scenario.case(&ground, &[], None);
        harness.wire.count_units();
        let run = execute(&harness, "case", &scenario.input()).await;
        assert_eq!(word(&run), scenario.ends, "{name}");
        harness.wire.units().expect("they are counted")
    };
    with_room(|| block_on(count()))
}

#[test]
fn fences_cost_less_than_twice_the_writes_of_a_deployment() {
    println!("{:<20} {:>9} {:>7} {:>15} {:>6}", "", "requests", "fenced", "without fences", "units");
    for name in ["create", "update", "approved", "teardown"] {
        let Units { requests, fenced, units, without_fences } = writes_of(name);
        println!("{name:<20} {requests:>9} {fenced:>7} {without_fences:>15} {units:>6}");
        assert!(fenced > 0 && fenced < requests, "{name}: {fenced} of {requests}");
        assert!(without_fences < units && units < 2 * without_fences, "{name}: {units}, {without_fences}");
    }
}

#[test]
fn a_transaction_costs_twice_and_a_check_as_much_as_a_write() {
    let account = FakeAws::new();
    let item =
        |key: &str, bytes: usize| json!({"pk": {"S": key}, "sk": {"S": "-"}, "b": {"S": "x".repeat(bytes)}});
    let put = |key: &str, bytes: usize| json!({"TableName": "lockstep-delivery", "Item": item(key, bytes)});
    let request = |operation: &str, body: Value| {
        let body = body.to_string();
        Request { operation: operation.into(), function: String::new(), body }
    };
    let large = request("PutItem", put("large", 1500));
    assert_eq!(account.serve(&large).0, 200);
    let units = |request: &Request| Units::of(request, &account);
    assert_eq!(units(&large), Units { requests: 1, fenced: 0, units: 2, without_fences: 2 });
    let smaller = request("PutItem", put("large", 1));
    assert_eq!(units(&smaller).units, 2, "the old item is larger");
    let key = json!({"pk": {"S": "large"}, "sk": {"S": "-"}});
    let check = json!({"ConditionCheck": {"TableName": "lockstep-delivery", "Key": key}});
    let fenced = json!({"TransactItems": [{"Put": put("small", 1)}, check]});
    let expected = Units { requests: 1, fenced: 1, units: 2 * (1 + 2), without_fences: 1 };
    assert_eq!(units(&request("TransactWriteItems", fenced)), expected);
    let plain = json!({"TransactItems": [{"Put": put("small", 1)}]});
    let expected = Units { requests: 1, fenced: 0, units: 2, without_fences: 2 };
    assert_eq!(units(&request("TransactWriteItems", plain)), expected);
    assert_eq!(units(&request("GetItem", json!({}))), Units::default());
}
