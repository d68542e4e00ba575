//! The fields of log events: the events of `elb-logs` and `log-intake`, the published schema, the index template that the
//! indexer installs, its dashboard, and the settings of the components.

use crate::components::{boot_scripts, files, stack, template};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use lockstep_access_log::synthetic::Synthetic;
use lockstep_access_log::{Fields, Format, Labels, Reader, Settings, Source, ecs};
use lockstep_aws::config::Setting;
use lockstep_domain::logs;
use lockstep_domain::logs::ingest::{self, Origin};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

const ENGINES: [&str; 2] = ["elasticsearch", "opensearch"];

/// Returns the boot script of the indexer with an engine.
fn script(engine: &str) -> String {
    boot_scripts(&stack("indexer", "production", &[("Engine", engine)])).remove(0)
}

/// Returns the text of the here-document behind `start`.
fn document<'s>(script: &'s str, start: &str) -> &'s str {
    let (_, behind) = script.split_once(start).unwrap_or_else(|| panic!("the script has no {start}"));
    behind.split_once("\nEND\n").expect("a here-document has an end").0
}

/// Returns the mappings that the indexer installs.
fn mappings(engine: &str) -> Value {
    let script = script(engine);
    let mut text = document(&script, "put _index_template/log-stack <<END\n").replace("$retention", "");
    let (of_one, of_other) =
        script.split_once("put _ilm/policy").unwrap().1.split_once("\nelse\n").expect("one branch an engine");
    let branch = if engine == "elasticsearch" { of_one } else { of_other.split_once("\nfi\n").unwrap().0 };
    for value in Regex::new(r"\b(flat|line|url)='([^']+)'").unwrap().captures_iter(branch) {
        text = text.replace(&format!("${}", &value[1]), &value[2]);
    }
    let template: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    template["template"]["mappings"].clone()
}

/// Returns the type that an index gives to a field: of the template's properties, of its dynamic templates, or by
/// default (<https://www.elastic.co/guide/en/elasticsearch/reference/8.19/dynamic-field-mapping.html>).
fn type_of(mappings: &Value, field: &str, value: &Value) -> String {
    let mut at = mappings;
    for name in field.split('.') {
        at = &at["properties"][name];
        if let Some(kind) = at["type"].as_str() {
            return kind.to_owned();
        }
    }
    let detected = match value {
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "long",
        Value::Bool(_) => "boolean",
        Value::Array(values) => return type_of(mappings, field, &values[0]),
        _ => "string",
    };
    let name = field.rsplit('.').next().unwrap();
    let dynamic = mappings["dynamic_templates"].as_array().unwrap().iter().find_map(|entry| {
        let rule = entry.as_object().unwrap().values().next().unwrap();
        let suffix = rule["match"].as_str().map(|pattern| pattern.strip_prefix('*').unwrap());
        let matches = rule["match_mapping_type"] == detected && suffix.is_none_or(|end| name.ends_with(end));
        matches.then(|| rule["mapping"]["type"].as_str().unwrap().to_owned())
    });
    dynamic.unwrap_or_else(|| if detected == "double" { "float" } else { detected }.to_owned())
}

/// Adds each field below `value` that is no object, with a value.
fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if path != "fields" => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, member, found);
            }
        }
        other => _ = found.insert(path.to_owned(), other.clone()),
    }
}

/// Returns every field of the events of load balancers, with a value.
fn of_load_balancers(fields: Fields) -> BTreeMap<String, Value> {
    let label = |text: &str| Some(text.to_owned());
    let labels = Labels {
        component: label("web"),
        application: label("shop"),
        environment: label("ci"),
        event_type: label("elb"),
    };
    let source = Source {
        bucket: "logs".into(),
        key: "AWSLogs/123456789012/elasticloadbalancing/eu-west-1/x.log".into(),
        version: "v1".into(),
        written: label("2026-11-26T12:00:00Z"),
    };
    let mut found = BTreeMap::new();
    for &format in Format::ALL {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/access-log/tests/fixtures");
        let mut text = std::fs::read(format!("{folder}/{}.log", format.name())).unwrap();
        text.extend(Synthetic::new(format, 1).odd(300).lines(300).0);
        let settings =
            Settings { format: Some(format), labels: labels.clone(), fields, ..Settings::default() };
        let (mut reader, mut bytes) = (Reader::new(&source, &settings), &text[..]);
        while let Some(batch) = reader.read(&mut bytes).or_else(|| reader.finish()) {
            for line in batch.events.split_inclusive(|&byte| byte == b'\n') {
                leaves("", &serde_json::from_slice(line).unwrap(), &mut found);
            }
        }
    }
    found
}

/// Returns every field of an application's event, with a value.
fn of_applications(fields: logs::Fields) -> BTreeMap<String, Value> {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let document =
        json!({"message": "m", "level": "warn", "logger": "l", "version": "1", "fields": {"order": 7}});
    let events = ingest::events(vec![document], now).unwrap();
    let label = |text: &str| Some(text.to_owned());
    let labels =
        ingest::Labels { component: label("c"), environment: label("ci"), event_type: label("desktop") };
    let key = "shop.1".parse().unwrap();
    let line = ingest::lines(&events, fields, &labels, Origin { key: &key, request: "r", received_at: now })
        .unwrap();
    let mut found = BTreeMap::new();
    leaves("", &serde_json::from_slice(&line).unwrap(), &mut found);
    found
}

/// Returns the types that the schema publishes.
fn published() -> BTreeMap<&'static str, &'static str> {
    let table = include_str!("../../shared/ecs/fields.tsv");
    let row = |line: &'static str| {
        let mut parts = line.split('\t');
        (parts.next().unwrap(), parts.next().unwrap())
    };
    table.lines().skip(1).map(row).collect()
}

/// Returns true if an index may give a field of the schema this type: types of one family answer the same searches.
fn is_of_family(schema: &str, index: &str) -> bool {
    match schema {
        "keyword" | "constant_keyword" | "wildcard" => matches!(index, "keyword" | "wildcard"),
        "match_only_text" => matches!(index, "match_only_text" | "text"),
        other => other == index,
    }
}

#[test]
fn the_index_gives_every_field_of_the_schema_the_published_type() {
    let schema = published();
    for engine in ENGINES {
        let mappings = mappings(engine);
        let mut fields = of_load_balancers(Fields::Ecs);
        fields.extend(of_applications(logs::Fields::Ecs));
        // The indexer sets it.
        fields.insert("event.ingested".into(), json!("2026-11-26T12:00:00Z"));
        let mut count = 0;
        for (field, value) in &fields {
            let index = type_of(&mappings, field, value);
            if let Some(published) = schema.get(field.as_str()) {
                assert!(
                    is_of_family(published, &index),
                    "{engine}: {field} is {published}, in the index {index}"
                );
                count += 1;
            }
        }
        assert!(count >= 40, "{count} of {:?}", fields.keys());
        // No field of the template is one that no event has.
        let mut properties = BTreeSet::new();
        explicit("", &mappings, &mut properties);
        let mut known: BTreeSet<String> = fields.into_keys().collect();
        known.extend(of_applications(logs::Fields::Plain).into_keys());
        assert_eq!(properties.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "{engine}");
    }
}

/// Adds each field that the properties name.
fn explicit(path: &str, at: &Value, found: &mut BTreeSet<String>) {
    for (name, property) in at["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if property["type"].is_string() {
            found.insert(path.clone());
        }
        explicit(&path, property, found);
    }
}

#[test]
fn no_field_is_a_value_in_one_event_and_an_object_in_another() {
    for engine in ENGINES {
        let mappings = mappings(engine);
        assert_eq!(
            mappings["properties"]["fields"]["type"],
            if engine == "opensearch" { "flat_object" } else { "flattened" }
        );
        let of = |field: &str, value: Value| type_of(&mappings, field, &value);
        // A duration may be written without a fraction first.
        for duration in ["aws.elb.request_processing_time", "aws.elb.tls_handshake_latency", "elb.latency"] {
            let (whole, fraction) = (of(duration, json!(0)), of(duration, json!(0.5)));
            assert_eq!((whole.as_str(), fraction.as_str()), ("double", "float"), "{duration}");
        }
        assert_eq!(of("elb.client_ip", json!("192.0.2.1")), "ip");
        for text in ["aws.elb.target_group_arn", "elb.request", "application", "service.name"] {
            assert_eq!(of(text, json!("x")), "keyword", "{text}");
        }
        // No field is an object in one kind of events and a value in the other.
        let mut all: BTreeSet<String> = of_load_balancers(Fields::Ecs).into_keys().collect();
        all.extend(of_load_balancers(Fields::Plain).into_keys());
        all.extend(of_applications(logs::Fields::Ecs).into_keys());
        all.extend(of_applications(logs::Fields::Plain).into_keys());
        for field in &all {
            let below = format!("{field}.");
            assert!(!all.iter().any(|other| other.starts_with(&below)), "{field} is a value and an object");
        }
    }
}

/// Returns the saved objects of the dashboard.
fn dashboard() -> Vec<Value> {
    let file = &files("indexer")["dashboard.ndjson"];
    std::str::from_utf8(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[test]
fn the_indexer_installs_the_dashboard_of_the_file() {
    for engine in ENGINES {
        let script = script(engine);
        let packed =
            document(&script, "base64 --decode <<'END' | gzip --decompress > /tmp/dashboard.ndjson\n");
        let packed = STANDARD.decode(packed.replace('\n', "")).unwrap();
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        let hint = "pack it anew: gzip -9nc dashboard.ndjson | base64 --wrap 112";
        assert!(
            unpacked == files("indexer")["dashboard.ndjson"],
            "the template has another dashboard: {hint}"
        );
        assert!(script.contains("/api/saved_objects/_import?overwrite=true"), "{engine}");
    }
}

/// Returns the faults of saved objects: references that do not resolve, and names of references that are not there.
fn unresolved(objects: &[Value]) -> Vec<String> {
    let known: BTreeSet<(&str, &str)> = objects
        .iter()
        .map(|object| (object["type"].as_str().unwrap(), object["id"].as_str().unwrap()))
        .collect();
    let mut wrong = Vec::new();
    for object in objects {
        let id = object["id"].as_str().unwrap();
        let references = object["references"].as_array().unwrap();
        for reference in references {
            let target = (reference["type"].as_str().unwrap(), reference["id"].as_str().unwrap());
            if !known.contains(&target) {
                wrong.push(format!("{id} refers to {target:?}"));
            }
        }
        let mut used = Vec::new();
        if object["attributes"]["kibanaSavedObjectMeta"].is_object() {
            let search = parsed(&object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]);
            used.extend(search["indexRefName"].as_str().map(str::to_owned));
        }
        if object["type"] == "dashboard" {
            let panels = parsed(&object["attributes"]["panelsJSON"]);
            used.extend(
                panels
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|panel| panel["panelRefName"].as_str().unwrap().to_owned()),
            );
        }
        let named: BTreeSet<&str> =
            references.iter().map(|reference| reference["name"].as_str().unwrap()).collect();
        wrong.extend(
            used.iter()
                .filter(|name| !named.contains(name.as_str()))
                .map(|name| format!("{id} has no {name}")),
        );
        wrong.extend(
            named
                .iter()
                .filter(|name| !used.iter().any(|used| used == *name))
                .map(|name| format!("{id} does not use {name}")),
        );
    }
    wrong
}

#[test]
fn every_reference_of_the_dashboard_resolves() {
    let objects = dashboard();
    assert_eq!(unresolved(&objects), Vec::<String>::new());
    for at in 0..objects.len() - 1 {
        let mut without = objects.clone();
        without.remove(at);
        assert!(!unresolved(&without).is_empty(), "object {at} is needed");
    }
    let pattern = objects.iter().find(|object| object["type"] == "index-pattern").unwrap();
    assert_eq!(
        (&pattern["attributes"]["title"], &pattern["attributes"]["timeFieldName"]),
        (&json!("logs-*"), &json!("@timestamp"))
    );
}

/// Returns each field that an aggregation or a query of the saved objects uses, with the aggregation's name.
fn used_fields(objects: &[Value]) -> BTreeSet<(String, String)> {
    let mut used = BTreeSet::new();
    let field = Regex::new(r"([a-z_@.]+) (:|>=)").unwrap();
    for object in objects {
        let attributes = &object["attributes"];
        if object["type"] == "visualization" {
            for aggregation in parsed(&attributes["visState"])["aggs"].as_array().unwrap() {
                if let Some(field) = aggregation["params"]["field"].as_str() {
                    used.insert((aggregation["type"].as_str().unwrap().to_owned(), field.to_owned()));
                }
            }
        }
        if let Some(meta) = attributes.get("kibanaSavedObjectMeta") {
            let query = parsed(&meta["searchSourceJSON"])["query"]["query"].as_str().unwrap().to_owned();
            for found in field.captures_iter(&query) {
                let kind = if &found[2] == ":" { "exists" } else { "range" };
                used.insert((kind.to_owned(), found[1].to_owned()));
            }
        }
    }
    used
}

/// Returns true if an aggregation can read a field of this type.
fn can_read(aggregation: &str, kind: &str) -> bool {
    match aggregation {
        "date_histogram" => kind == "date",
        "avg" | "max" | "percentiles" | "range" | "sum" => matches!(kind, "double" | "float" | "long"),
        "terms" => matches!(kind, "ip" | "keyword" | "long" | "wildcard"),
        "exists" => true,
        other => panic!("which types does {other} read?"),
    }
}

#[test]
fn the_dashboard_uses_fields_that_events_have_with_fitting_types() {
    let (objects, fields) = (dashboard(), of_load_balancers(Fields::Ecs));
    let used = used_fields(&objects);
    for engine in ENGINES {
        let mappings = mappings(engine);
        for (aggregation, field) in &used {
            let value = fields.get(field).unwrap_or_else(|| panic!("no event has the field {field}"));
            let kind = type_of(&mappings, field, value);
            assert!(can_read(aggregation, &kind), "{engine}: {aggregation} cannot read {field}, a {kind}");
        }
    }
    // What people ask of the logs of load balancers.
    for wanted in [
        ("date_histogram", "@timestamp"),
        ("exists", "aws.elb.format"),
        ("percentiles", "event.duration"),
        ("range", "http.response.status_code"),
        ("terms", "destination.ip"),
        ("terms", "source.ip"),
        ("terms", "tls.version"),
        ("terms", "url.path"),
    ] {
        assert!(used.contains(&(wanted.0.to_owned(), wanted.1.to_owned())), "{wanted:?}");
    }
}

#[test]
fn both_components_offer_the_names_that_their_functions_know() {
    assert_eq!(ecs::VERSION, logs::ECS_VERSION);
    for folder in ["elb-logs", "log-intake"] {
        let parameter = &template(folder).to_json()["Parameters"]["Fields"];
        assert_eq!(parameter["AllowedValues"], json!(["ecs", "plain"]), "{folder}");
        for name in parameter["AllowedValues"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(name.parse::<Fields>().is_ok() && name.parse::<logs::Fields>().is_ok(), "{name}");
        }
        for (chosen, overrides) in [("ecs", vec![]), ("plain", vec![("Fields", "plain")])] {
            let stack = stack(folder, "production", &overrides);
            let (_, function) = &stack.resources("AWS::Lambda::Function")[0];
            assert_eq!(
                function["Environment"]["Variables"][Setting::LogFields.variable()],
                chosen,
                "{folder}"
            );
        }
    }
}
