//! Tests of the comparison, on small resources of the shape that AWS returns.

mod expressions;
mod lists;
mod looks;
mod properties;
mod reports;
mod resolved;
mod secrets;
mod unknown;

use super::{Comparison, Context, Facts, Live, Resource, RuleKind, Schemas, compare};
use serde_json::Value;
use std::sync::LazyLock;

const TABLE: &[u8] = include_bytes!("../../../drift/schemas.json.gz");

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::read(TABLE).expect("the table"));

fn facts(resource_type: &str) -> &'static Facts {
    &SCHEMAS.types[resource_type]
}

fn context() -> Context {
    Context {
        account: "111111111111".to_owned(),
        region: "eu-central-1".to_owned(),
        stack_tags: [("team".to_owned(), "logs".to_owned())].into(),
        key_aliases: [("alias/aws/sns".to_owned(), "0a1b2c3d-0000-4000-8000-000000000001".to_owned())].into(),
        ..Context::default()
    }
}

/// Compares a resource of a type with a live model, under the facts of AWS's schema.
fn check(resource_type: &str, declared: &Value, live: &Value) -> Comparison {
    check_in(&context(), resource_type, declared, live)
}

fn check_in(context: &Context, resource_type: &str, declared: &Value, live: &Value) -> Comparison {
    let resource = Resource { resource_type, declared, facts: facts(resource_type), context };
    compare(&resource, Live::Model(live))
}

fn drifted(compared: &Comparison) -> Vec<String> {
    compared.drifted.iter().map(|difference| difference.path.to_string()).collect()
}

fn undeclared(compared: &Comparison) -> Vec<String> {
    compared.undeclared.iter().map(|(path, _)| path.to_string()).collect()
}

fn kinds(compared: &Comparison) -> Vec<RuleKind> {
    compared.folds.iter().map(|fold| fold.kind).collect()
}

#[test]
fn each_type_of_a_rule_exists() {
    for types in super::rules::types() {
        for choice in types.split('|') {
            let exists = SCHEMAS.types.keys().any(|name| super::path::matches_type(choice, name));
            assert!(exists, "no type is {choice}");
        }
    }
}
