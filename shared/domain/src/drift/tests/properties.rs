use super::{SCHEMAS, context};
use crate::drift::{Live, Resource, Verdict, compare};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Generates properties with names that rules know and names that none knows.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z0-9:/._-]{0,12}".prop_map(Value::from),
        Just(Value::from("rate(1 hour)")),
        Just(Value::from("{\"b\":[1,2],\"a\":{}}")),
        Just(Value::from("arn:aws:sqs:eu-central-1:111111111111:q")),
    ];
    let name = prop_oneof![
        "[A-Z][a-z]{1,5}",
        Just("Tags".to_owned()),
        Just("Key".to_owned()),
        Just("Statement".to_owned())
    ];
    leaf.prop_recursive(4, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn resource_type() -> impl Strategy<Value = &'static str> {
    let names: Vec<&'static str> = SCHEMAS.types.keys().step_by(13).map(String::as_str).collect();
    prop::sample::select(names)
}

fn properties() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[A-Z][a-z]{1,5}|Policies|Tags|SubnetIds", value(), 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Returns the value with the members of each object in the opposite order of insertion.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            object.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect()
        }
        Value::Array(list) => list.iter().map(reversed).collect(),
        value => value.clone(),
    }
}

fn verdict(resource_type: &str, declared: &Value, live: &Value) -> (Verdict, usize) {
    let context = context();
    let facts = &SCHEMAS.types[resource_type];
    let compared =
        compare(&Resource { resource_type, declared, facts, context: &context }, Live::Model(live));
    (compared.verdict(), compared.drifted.len())
}

proptest! {
    #[test]
    fn a_live_model_that_equals_the_declared_one_is_no_drift(name in resource_type(), declared in properties()) {
        prop_assert_eq!(verdict(name, &declared, &declared).1, 0);
    }

    #[test]
    fn the_order_of_keys_changes_no_verdict(name in resource_type(), declared in properties(), live in properties()) {
        let plain = verdict(name, &declared, &live);
        prop_assert_eq!(verdict(name, &reversed(&declared), &reversed(&live)), plain);
    }

    #[test]
    fn an_unknown_type_without_facts_never_panics(declared in value(), live in value()) {
        let (facts, context) = (crate::drift::Facts::default(), context());
        let resource = Resource { resource_type: "AWS::None::Such", declared: &declared, facts: &facts, context: &context };
        let compared = compare(&resource, Live::Model(&live));
        prop_assert!(declared != live || compared.drifted.is_empty());
    }
}
