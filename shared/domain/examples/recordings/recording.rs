//! A recording: what was declared, what AWS returned, and what its recorder expects.

use lockstep_domain::drift::{Comparison, Context, Facts, Live, Resource, Schemas, compare};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Text that stands for an intrinsic that was not resolved.
const UNRESOLVED: &str = "__cdkrd_corpus_unresolved__";

/// Recording with its facts and context.
pub struct Recording {
    pub name: String,
    pub resource_type: String,
    pub declared: Value,
    pub live: Value,
    pub facts: Facts,
    /// Lists without an order, as the recorded schema says.
    pub recorded_sets: BTreeSet<String>,
    pub context: Context,
    pub expected: Vec<Label>,
}

/// Expectation of the recorder about one path.
#[derive(Deserialize)]
pub struct Label {
    pub tier: String,
    pub path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    resource: Declared,
    live_raw: Value,
    schema: Recorded,
    opts: Options,
    expected: Vec<Label>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declared {
    logical_id: String,
    resource_type: String,
    declared: Value,
    #[serde(default)]
    sibling_policy_names: BTreeSet<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Recorded {
    read_only_paths: BTreeSet<String>,
    write_only_paths: BTreeSet<String>,
    create_only_paths: BTreeSet<String>,
    default_paths: BTreeMap<String, Value>,
    unordered_scalar_paths: BTreeSet<String>,
    unordered_object_array_paths: BTreeSet<String>,
    free_form_map_paths: BTreeSet<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    account_id: String,
    region: String,
    stack_tags: BTreeMap<String, String>,
    kms_alias_targets: BTreeMap<String, String>,
    oai_canonical_ids: BTreeMap<String, String>,
    eb_sg_names_by_id: BTreeMap<String, String>,
    ecs_bg_governed_listener_rules: BTreeMap<String, BTreeSet<String>>,
}

impl Recording {
    /// Reads a recording. The recorded schema is newer or older than the table, so both say what is a set.
    pub fn new(name: &str, text: &str, schemas: &Schemas) -> serde_json::Result<Self> {
        let file: File = serde_json::from_str(text)?;
        let mut facts = schemas.types.get(&file.resource.resource_type).cloned().unwrap_or_default();
        let recorded = file.schema;
        let mut recorded_sets = recorded.unordered_scalar_paths;
        recorded_sets.extend(recorded.unordered_object_array_paths);
        facts.read_only.extend(recorded.read_only_paths);
        facts.write_only = recorded.write_only_paths;
        facts.create_only.extend(recorded.create_only_paths);
        facts.defaults.extend(recorded.default_paths);
        facts.maps.extend(recorded.free_form_map_paths);
        facts.sets.extend(recorded_sets.iter().cloned());
        let mut options = file.opts;
        let context = Context {
            account: options.account_id,
            region: options.region,
            stack_tags: options.stack_tags,
            key_aliases: options.kms_alias_targets,
            canonical_users: options.oai_canonical_ids,
            shifting_target_groups: options
                .ecs_bg_governed_listener_rules
                .remove(&file.resource.logical_id)
                .unwrap_or_default(),
            attached: file.resource.sibling_policy_names,
            group_names: options.eb_sg_names_by_id,
            secrets: vec![],
        };
        Ok(Self {
            name: name.to_owned(),
            resource_type: file.resource.resource_type,
            declared: unresolved(file.resource.declared),
            live: file.live_raw,
            facts,
            recorded_sets,
            context,
            expected: file.expected,
        })
    }

    /// Returns true for a third of the recordings, chosen by the hash of the name.
    pub fn is_held_out(&self) -> bool {
        self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }) % 3
            == 0
    }

    /// Compares declared properties with a live model.
    pub fn compare(&self, declared: &Value, live: &Value) -> Comparison {
        let resource = Resource {
            resource_type: &self.resource_type,
            declared,
            facts: &self.facts,
            context: &self.context,
        };
        compare(&resource, Live::Model(live))
    }

    /// Returns true if a label of a tier is at the path, above it or below it.
    pub fn is_labelled(&self, path: &str, tiers: &[&str]) -> bool {
        self.expected.iter().any(|label| tiers.contains(&label.tier.as_str()) && is_near(&label.path, path))
    }
}

/// Returns true if one path is the other or is above it.
pub fn is_near(one: &str, other: &str) -> bool {
    let is_above = |short: &str, long: &str| {
        long.strip_prefix(short).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
    };
    is_above(one, other) || is_above(other, one)
}

fn unresolved(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains(UNRESOLVED) => json!({ "Fn::Unresolved": text }),
        Value::Array(list) => Value::Array(list.into_iter().map(unresolved).collect()),
        Value::Object(object) => Value::Object(
            object.into_iter().map(|(name, value)| (name, unresolved(value))).collect::<Map<_, _>>(),
        ),
        value => value,
    }
}
