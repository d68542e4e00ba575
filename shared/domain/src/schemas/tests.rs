//! Compares the JSON Schemas of `shared/domain/schemas` with the types and with the parsers.
//!
//! `LOCKSTEP_SCHEMAS=write cargo test -p lockstep-domain --lib schemas` writes the files anew.

#![expect(clippy::disallowed_methods, reason = "the test reads and writes files of the repository")]

use super::{LOCKSTEP, PARAMETERS, is_outdated, reference, written};
use crate::delivery::archive::Tarball;
use crate::delivery::manifest::{self, Manifest, template};
use crate::delivery::parameters::{self, OrganisationParameters};
use crate::delivery::stages::{EXAMPLE, Stages};
use crate::images::recipe::Recipe;
use crate::model::error::Problem;
use crate::schemas::{self, Schema, derived, validator};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use toml::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let writes = std::env::var_os("LOCKSTEP_SCHEMAS").is_some_and(|word| word == "write");
    for (schema, derived) in schemas::ALL.into_iter().zip(derived::derived()).filter(|_| writes) {
        std::fs::write(root().join("shared/domain/schemas").join(schema.name), &derived).unwrap();
    }
    for (schema, derived) in schemas::ALL.into_iter().zip(derived::derived()) {
        let hint = "LOCKSTEP_SCHEMAS=write cargo test -p lockstep-domain --lib schemas writes it anew";
        assert!(schema.text == derived, "{} differs from its type; {hint}", schema.name);
    }
}

/// A kind of file: its schema, its parser, and good files.
struct Kind {
    schema: Schema,
    parse: fn(&str) -> Result<(), Vec<Problem>>,
    files: Vec<String>,
}

fn kinds() -> Vec<Kind> {
    let components = below(&["examples", "infra/log-stack"], "lockstep.toml");
    let starter = manifest::template(&"shop".parse().unwrap());
    let layers = below(&["examples", "infra/log-stack"], "default.toml");
    vec![
        Kind {
            schema: schemas::LOCKSTEP,
            parse: |text| Manifest::parse("f", text).map(drop),
            files: [components, vec![starter["lockstep.toml"].clone(), FULL_MANIFEST.to_owned()]].concat(),
        },
        Kind {
            schema: schemas::PARAMETERS,
            parse: |text| parameters::parse_layer("f", text).map(drop),
            files: [layers, vec![starter["parameters/default.toml"].clone(), FULL_LAYER.to_owned()]].concat(),
        },
        Kind {
            schema: schemas::STAGES,
            parse: |text| Stages::parse("f", text).map(drop),
            files: vec![EXAMPLE.to_owned(), FULL_STAGES.to_owned()],
        },
        Kind {
            schema: schemas::ORGANISATION_PARAMETERS,
            parse: |text| OrganisationParameters::parse("f", text).map(drop),
            files: vec![String::new(), FULL_ORGANISATION.to_owned()],
        },
        Kind {
            schema: schemas::IMAGE,
            parse: |text| Recipe::parse("f", text).map(drop),
            files: IMAGES.iter().map(|text| (*text).to_owned()).collect(),
        },
    ]
}

const FULL_MANIFEST: &str = r#"
[component]
name = "shop"
version = "2.1"
template = "templates/main.yaml"
team = "web shop"
function = "orders"
[images]
ImageId = "base@^1.0"
[test]
ttl_minutes = 5
outputs_from = "ci"
[[checks]]
kind = "output"
name = "Url"
matches = "^https://"
[[checks]]
kind = "lambda"
name = "Function"
deadline_seconds = 60
[[checks]]
kind = "http"
url = "https://${outputs.Host}/health"
status = 204
matches = "ok"
[[checks]]
kind = "http"
url = "https://${outputs.Host}/health"
status = [200, 204]
[[checks]]
kind = "tcp"
address = "${outputs.Host}:443"
deadline_seconds = 3600
[protect]
logical_ids = ["Orders", "Orders"]
[[drift.ignore]]
logical_id = "Group"
property = "/DesiredCapacity"
until = 2027-01-31
reason = "load test"
[[drift.ignore]]
logical_id = "Group"
property = "/MinSize"
until = "2027-01-31"
reason = "load test"
[check]
accept = ["AWS::SQS::Queue.NewProperty"]
[tags]
version = false
"#;

const FULL_LAYER: &str = r#"
Text = "${stage} ${outputs.queue.Url}"
Number = 3
Flag = true
List = ["a", "b"]
Empty = []
"#;

const FULL_ORGANISATION: &str = r#"
[default]
VpcId = "vpc-1"
[ci]
Size = 3
Subnets = ["a", "b"]
[production]
"#;

const FULL_STAGES: &str = r#"
[images]
copies_at_once = 40
keep = 3
[[stages]]
name = "test"
account = "111111111111"
region = "eu-west-1"
[[stages]]
name = "ci"
account = "111111111111"
region = "eu-west-1"
propagates = true
superseding = false
drift = "rate(6 hours)"
checks_may_reach = ["private", "loopback"]
[[stages]]
name = "staging"
account = "222222222222"
region = "eu-west-1"
approval = false
builds = "automatic"
[[stages]]
name = "production"
account = "333333333333"
region = "eu-west-1"
approval = { from = ["ada", "grace"], count = 2, not = ["author", "starter"] }
builds = "approved"
overrides = true
"#;

const IMAGES: [&str; 3] = [
    "[image]\nname = \"base\"\nversion = \"1.0\"\nteam = \"platform\"\nbuilder = \"packer\"\nttl_days = 30\n[base]\nimage = \"os@^1.0\"\n",
    "[image]\nname = \"base\"\nversion = \"1.0\"\nteam = \"platform\"\nbuilder = \"packer\"\n[base]\nssm = \"/aws/service/ami\"\n",
    "[image]\nname = \"base\"\nversion = \"1.0\"\nteam = \"platform\"\nbuilder = \"packer\"\n[base]\nowner = \"amazon\"\nname = \"al2023-*\"\n",
];

/// Returns the text of each file with this name below folders of the repository.
fn below(folders: &[&str], name: &str) -> Vec<String> {
    fn walk(folder: &Path, name: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, name, found);
            } else if path.file_name().is_some_and(|own| own == name) {
                found.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    folders.iter().for_each(|folder| walk(&root().join(folder), name, &mut found));
    assert!(found.len() > 3, "{name}: {}", found.len());
    found
}

/// Returns a document as an editor judges it: a date is a text.
fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.clone()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(flag) => Json::from(*flag),
        Value::Datetime(date) => Json::from(date.to_string()),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Table(table) => {
            Json::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>())
        }
    }
}

/// A change of one value of a document.
#[derive(Clone, Copy, Debug)]
enum Change {
    Remove,
    AddKey,
    Set(Replacement),
}

#[derive(Clone, Copy, Debug)]
enum Replacement {
    Text(&'static str),
    Number(i64),
    Fraction,
    Flag,
    Table,
    List,
}

const CHANGES: [Change; 16] = [
    Change::Remove,
    Change::AddKey,
    Change::Set(Replacement::Text("")),
    Change::Set(Replacement::Text(" x")),
    Change::Set(Replacement::Text("é")),
    Change::Set(Replacement::Text("Not-A Word")),
    Change::Set(Replacement::Text("sevral")),
    Change::Set(Replacement::Text("1.2.3.4")),
    Change::Set(Replacement::Number(-1)),
    Change::Set(Replacement::Number(0)),
    Change::Set(Replacement::Number(7)),
    Change::Set(Replacement::Number(100_000)),
    Change::Set(Replacement::Fraction),
    Change::Set(Replacement::Flag),
    Change::Set(Replacement::Table),
    Change::Set(Replacement::List),
];

/// Returns the paths of all values.
fn paths(value: &Value, above: &[String], found: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let path = [above, &[key]].concat();
        paths(child, &path, found);
        found.push(path);
    }
}

/// Returns the document with one change; `None` if the change does not fit there.
fn changed(document: &Value, path: &[String], change: Change) -> Option<Value> {
    let mut document = document.clone();
    let (last, above) = path.split_last()?;
    let mut at = &mut document;
    for key in above {
        at = child(at, key)?;
    }
    match change {
        Change::Remove => match at {
            Value::Table(table) => drop(table.remove(last)),
            _ => return None,
        },
        Change::AddKey => match child(at, last)? {
            Value::Table(table) => drop(table.insert("un_known".to_owned(), Value::Integer(1))),
            _ => return None,
        },
        Change::Set(replacement) => {
            *child(at, last)? = match replacement {
                Replacement::Text(text) => Value::String(text.to_owned()),
                Replacement::Number(number) => Value::Integer(number),
                Replacement::Fraction => Value::Float(1.5),
                Replacement::Flag => Value::Boolean(true),
                Replacement::Table => {
                    Value::Table([("un_known".to_owned(), Value::Integer(1))].into_iter().collect())
                }
                Replacement::List => Value::Array(vec![Value::Integer(1)]),
            };
        }
    }
    Some(document)
}

fn child<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Value> {
    match value {
        Value::Table(table) => table.get_mut(key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Returns true if a schema admits a document.
fn admits(schema: &Json, document: &Value) -> bool {
    validator::admits(schema, schema, &json(document))
}

/// Faults that only the parser knows: rules about several values, and meanings of texts. The words are of its messages.
const MEANINGS: [&str; 12] = [
    "cannot propagate",
    "the first stage must be",
    "is taken by a stage above",
    "promotion path",
    "belongs to",
    "share account",
    "approvers of",
    "a regular expression",
    "`builds`",
    "neither propagates nor needs",
    "is on both",
    "outputs.",
];

#[test]
fn schemas_and_parsers_agree_on_good_files_and_each_fault() {
    let mut refused = 0;
    for Kind { schema, parse, files } in kinds() {
        let compiled: Json = serde_json::from_str(schema.text).unwrap();
        for text in files {
            let document: Value = toml::from_str(&text).unwrap();
            assert_eq!(parse(&text), Ok(()), "{}: {text}", schema.name);
            assert!(admits(&compiled, &document), "{} refuses {text}", schema.name);
            let mut all = Vec::new();
            paths(&document, &[], &mut all);
            for (path, change) in all.iter().flat_map(|path| CHANGES.map(|change| (path, change))) {
                let Some(mutant) = changed(&document, path, change) else { continue };
                let judged = parse(&toml::to_string(&mutant).unwrap());
                let admitted = admits(&compiled, &mutant);
                let about = format!("{}: {change:?} at {}", schema.name, path.join("."));
                match judged {
                    Ok(()) => assert!(admitted, "{about}: only the schema refuses it"),
                    Err(problems) => {
                        refused += 1;
                        let meant =
                            |problem: &Problem| MEANINGS.iter().any(|word| problem.message.contains(word));
                        assert!(
                            !admitted || problems.iter().all(meant),
                            "{about}: only the parser refuses it: {problems:?}"
                        );
                    }
                }
            }
        }
    }
    assert!(refused > 500, "{refused} mutants were refused");
}

#[test]
fn a_schema_of_an_older_command_is_replaced_and_a_newer_one_is_kept() {
    let of = |version: &str| written(LOCKSTEP, version);
    assert!(!is_outdated(LOCKSTEP, &of("0.2.0"), "0.2.0"));
    assert!(is_outdated(LOCKSTEP, &of("0.1.9"), "0.2.0"));
    assert!(!is_outdated(LOCKSTEP, &of("0.3.0"), "0.2.0"));
    assert!(is_outdated(LOCKSTEP, "{}", "0.2.0") && is_outdated(LOCKSTEP, "not JSON", "0.2.0"));
    let changed = of("0.2.0").replacen("type", "typ", 1);
    assert!(is_outdated(LOCKSTEP, &changed, "0.2.0"));
}

#[test]
fn schemas_are_no_part_of_a_release() {
    let mut tarball = Tarball::default();
    for path in ["shop/lockstep.toml", "shop/.lockstep/schemas/lockstep.json", "shop/.lockstep-notes"] {
        tarball.files.insert(path.to_owned(), Vec::new());
    }
    let packaged: Vec<String> = tarball.folder("shop").unwrap().into_keys().collect();
    assert_eq!(packaged, [".lockstep-notes", "lockstep.toml"]);
}

#[test]
fn the_files_of_a_new_component_refer_to_their_schemas() {
    let files = template(&"shop".parse().unwrap());
    assert_eq!(files["lockstep.toml"].lines().next(), Some(reference(LOCKSTEP, 0).as_str()));
    assert_eq!(files["parameters/default.toml"].lines().next(), Some(reference(PARAMETERS, 1).as_str()));
}

#[test]
fn a_written_schema_is_json_with_its_writer() {
    for schema in schemas::ALL {
        let value: serde_json::Value = serde_json::from_str(&written(schema, "0.2.0")).unwrap();
        assert_eq!(value["$comment"], "lockstep 0.2.0", "{}", schema.name);
    }
    assert_eq!(reference(PARAMETERS, 1), "#:schema ../.lockstep/schemas/parameters.json");
}
