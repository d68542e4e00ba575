//! The Logstash pipelines of the log stack: an input, a filter or a sender sets each field that a pipeline reads.
//!
//! Logstash 8 runs its plugins in the mode of the Elastic Common Schema. Some plugins then set other fields than older
//! examples show (<https://www.elastic.co/guide/en/logstash/8.19/ecs-ls.html>).

use crate::components::{boot_scripts, stack};
use regex::Regex;
use std::collections::BTreeSet;

/// The fields that senders of the log stack give an event (docs/elb-logs.md, docs/log-intake.md). A pipeline checks
/// that they exist before it reads them.
const OF_SENDERS: [&str; 6] =
    ["[environment]", "[event][dataset]", "[event][id]", "[id]", "[service][environment]", "[type]"];

/// The options of an input that leaves the mode.
const OUT_OF_MODE: &str = r#"ecs_compatibility => "disabled""#;

/// The options of an `http` input that keeps the mode: its port alone.
const IN_MODE: &str = r"^port => \S+$";

/// The fields that a plugin sets in ECS mode if its options match the pattern. The sources are the pages of the plugins
/// in <https://www.elastic.co/guide/en/logstash/8.19/input-plugins.html>.
const OF_INPUTS: [(&str, &str, &[&str]); 7] = [
    ("heartbeat", ".", &["[host][name]"]),
    ("heartbeat", r#"sequence => "(epoch|sequence)""#, &["[event][sequence]"]),
    ("beats", ".", &["[@metadata][input][beats][host][ip]"]),
    ("tcp", ".", &["[@metadata][input][tcp][source][ip]"]),
    ("http", IN_MODE, &["[http][method]", "[host][ip]", "[url][path]", "[user_agent][original]"]),
    ("http", OUT_OF_MODE, &["[@metadata][headers]", "[@metadata][host]"]),
    ("redis", ".", &[]),
];

/// The fields that an output reads by default, all of them or none
/// (<https://www.elastic.co/guide/en/logstash/8.19/plugins-outputs-cloudwatch.html>).
const OF_OUTPUTS: [(&str, &[&str]); 1] = [("cloudwatch", &["[CW_value]", "[CW_unit]"])];

/// The inputs, filters and outputs of a pipeline as text.
struct Pipeline {
    inputs: Vec<(String, String)>,
    text: String,
    output: String,
}

impl Pipeline {
    /// Reads the pipeline that a boot script writes below `/etc/logstash/conf.d`.
    fn of(script: &str) -> Self {
        let start = Regex::new(r"(?m)^cat > /etc/logstash/conf\.d/\S+ <<'?END'?\n").unwrap();
        let found = start.find(script).expect("a pipeline");
        let text = script[found.end()..].split("\nEND\n").next().unwrap();
        // Comments do not count.
        let text: String =
            text.lines().filter(|l| !l.trim_start().starts_with('#')).map(|l| format!("{l}\n")).collect();
        let section = |from: &str, to: Option<&str>| {
            let begin = text.find(&format!("{from} {{")).unwrap() + from.len() + 2;
            let end = to.map_or(text.len(), |to| text.find(&format!("\n{to} {{")).unwrap());
            text[begin..end].to_owned()
        };
        let plugin = Regex::new(r"(?s)\b([a-z_]+) \{(.*?)\}").unwrap();
        let input = section("input", Some("filter"));
        let inputs =
            plugin.captures_iter(&input).map(|c| (c[1].to_owned(), c[2].trim().to_owned())).collect();
        Self { inputs, output: section("output", None), text }
    }

    /// Returns the fields that the filters and outputs read.
    fn reads(&self) -> BTreeSet<String> {
        let filters = &self.text[self.text.find("\nfilter {").unwrap()..];
        let mut found = BTreeSet::new();
        for pattern in [r#"event\.get\("([^"]+)"\)"#, r"%\{([^}+][^}]*)\}", r#"copy => \{ "([^"]+)" =>"#] {
            found.extend(captured(pattern, filters));
        }
        let condition = Regex::new(r"\bif (.*?) \{").unwrap();
        for condition in condition.captures_iter(filters) {
            found.extend(captured(r"((?:\[[^\[\]]+\])+)", &condition[1]));
        }
        for (output, fields) in OF_OUTPUTS {
            let set = self.filters_set();
            let used = Regex::new(&format!(r"\b{output} \{{")).unwrap().is_match(&self.output);
            if used && fields.iter().any(|field| set.contains(*field)) {
                found.extend(fields.iter().map(|field| (*field).to_owned()));
            }
        }
        found
    }

    /// Returns the fields that the filters set.
    fn filters_set(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for pattern in [
            r#"event\.set\("([^"]+)""#,
            r#"add_field => \{ "([^"]+)" =>"#,
            r#"copy => \{ "[^"]+" => "([^"]+)""#,
            r#"\btarget => "([^"]+)""#,
        ] {
            found.extend(captured(pattern, &self.text));
        }
        found
    }

    /// Returns the fields that the inputs set in ECS mode.
    fn inputs_set(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (name, options) in &self.inputs {
            assert!(OF_INPUTS.iter().any(|(known, ..)| known == name), "which fields does {name} set?");
            let rows = OF_INPUTS.iter().filter(|(known, pattern, _)| {
                known == name && (*pattern == "." || Regex::new(pattern).unwrap().is_match(options))
            });
            found.extend(rows.flat_map(|(.., fields)| fields.iter().map(|field| (*field).to_owned())));
            if options.contains("type => ") {
                found.insert("[type]".to_owned());
            }
        }
        found
    }

    /// Returns the fields that the pipeline reads and that neither its inputs, nor senders, nor the pipeline `before`
    /// set.
    fn unset(&self, before: Option<&Self>) -> BTreeSet<String> {
        let mut set: BTreeSet<String> = OF_SENDERS.map(str::to_owned).into();
        for pipeline in before.into_iter().chain([self]) {
            set.extend(pipeline.inputs_set());
            set.extend(pipeline.filters_set());
        }
        self.reads().difference(&set).cloned().collect()
    }
}

/// Returns each capture of `pattern` as a reference to a field.
fn captured(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let whole = |name: &str| if name.starts_with('[') { name.to_owned() } else { format!("[{name}]") };
    pattern.captures_iter(text).map(|c| whole(&c[1])).collect()
}

fn script(folder: &str) -> String {
    boot_scripts(&stack(folder, "production", &[])).remove(0)
}

#[test]
fn a_field_that_a_pipeline_reads_is_set_by_an_input_a_filter_or_a_sender() {
    let (broker, indexer) = (Pipeline::of(&script("broker")), Pipeline::of(&script("indexer")));
    assert_eq!(broker.unset(None), BTreeSet::new());
    assert_eq!(indexer.unset(Some(&broker)), BTreeSet::new());
    assert!(indexer.reads().len() >= 5, "{:?}", indexer.reads());
}

#[test]
fn an_unset_field_is_found_wherever_it_is_read() {
    let (broker, indexer) = (script("broker"), script("indexer"));
    let unset = |broker: &str, indexer: &str| {
        Pipeline::of(indexer).unset(Some(&Pipeline::of(broker))).into_iter().collect::<Vec<_>>()
    };
    let table = [
        ("sequence => \"epoch\"", "message => \"epoch\"", "[event][sequence]"),
        ("event.get(\"[event][sequence]\")", "event.get(\"clock\")", "[clock]"),
        ("if [id] {", "if [identifier] {", "[identifier]"),
        ("%{[@metadata][type]}", "%{[@metadata][kind]}", "[@metadata][kind]"),
        ("copy => { \"id\"", "copy => { \"number\"", "[number]"),
        ("event.set(\"CW_unit\"", "event.set(\"CW_units\"", "[CW_unit]"),
    ];
    for (from, to, expected) in table {
        assert!(broker.contains(from) || indexer.contains(from), "{from}");
        let found = unset(&broker.replace(from, to), &indexer.replace(from, to));
        assert_eq!(found, [expected], "{from} -> {to}");
    }
}

/// Returns the fields of events that the inputs of a broker overwrite.
fn overwritten(broker: &str) -> Vec<String> {
    let of_events =
        ["aws", "cloud", "destination", "http", "log", "service", "source", "tls", "url", "user_agent"];
    let set = Pipeline::of(broker).inputs_set();
    set.into_iter()
        .filter(|field| of_events.iter().any(|name| field.starts_with(&format!("[{name}]"))))
        .collect()
}

#[test]
fn no_input_overwrites_a_field_that_events_have() {
    let broker = script("broker");
    assert_eq!(overwritten(&broker), Vec::<String>::new());
    let http = Regex::new(r"http \{[^{}]*\}").unwrap();
    let in_mode = http.replace(&broker, "http { port => 8080 }");
    assert_eq!(overwritten(&in_mode), ["[http][method]", "[url][path]", "[user_agent][original]"]);
}

#[test]
fn only_the_http_input_leaves_the_mode_of_the_elastic_common_schema() {
    assert!(!script("indexer").contains("ecs_compatibility"));
    let (broker, mode) = (script("broker"), Regex::new(OUT_OF_MODE).unwrap());
    assert_eq!(broker.matches("ecs_compatibility").count(), 1);
    let inputs = Pipeline::of(&broker).inputs;
    let found: Vec<&str> =
        inputs.iter().filter(|(_, options)| mode.is_match(options)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, ["http"]);
}
