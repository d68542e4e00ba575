use super::*;
use proptest::prelude::*;

const FULL: &str = r#"
[component]
name = "logs-broker"
version = "2.1"
template = "template.yaml"
team = "platform"
function = "logging"

[images]
BrokerImageId = "logstash@^2.1"

[test]
ttl_minutes = 30
outputs_from = "ci"

[[checks]]
kind = "output"
name = "BrokerHost"
matches = "^[a-z0-9.-]+$"

[[checks]]
kind = "lambda"
name = "ProbeFunction"

[protect]
logical_ids = ["ArchiveBucket"]

[drift]
ignore = [{ logical_id = "Asg", property = "/DesiredCapacity", until = "2027-03-01", reason = "scaled by schedule" }]
"#;

const COMPONENT: &str =
    "[component]\nname = \"x\"\nversion = \"1.0\"\ntemplate = \"t.yaml\"\nteam = \"a\"\nfunction = \"b\"\n";

fn problems(text: &str) -> Vec<String> {
    Manifest::parse(FILE, text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// Returns the problems of a sound component followed by `text`, which starts on line 7.
fn problems_after_component(text: &str) -> Vec<String> {
    problems(&format!("{COMPONENT}{text}"))
}

#[test]
fn a_full_manifest_is_read() {
    let (manifest, lines) = parse_with_lines(FILE, FULL).unwrap();
    assert_eq!(manifest.component.name.as_str(), "logs-broker");
    assert_eq!(manifest.component.version, MajorMinor { major: 2, minor: 1 });
    assert_eq!(manifest.images.values().next().map(ToString::to_string).as_deref(), Some("logstash@^2.1"));
    assert_eq!(manifest.test, Test { ttl_minutes: 30, outputs_from: Some("ci".parse().unwrap()) });
    assert_eq!(
        manifest.checks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["output BrokerHost matches ^[a-z0-9.-]+$", "the function in output ProbeFunction succeeds"]
    );
    assert!(manifest.protect.logical_ids.contains(&"ArchiveBucket".parse().unwrap()));
    assert_eq!(manifest.drift.ignore[0].until.as_str(), "2027-03-01");
    assert_eq!(lines.of("images.BrokerImageId"), Some(10));
    assert_eq!(lines.of("test.outputs_from"), Some(14));
    assert_eq!(lines.of("checks[1]"), Some(23));
    assert_eq!(lines.of("protect.ArchiveBucket"), Some(26));
    assert_eq!(lines.of("drift.ignore[0]"), Some(29));
}

#[test]
fn a_manifest_survives_a_round_trip() {
    let manifest = Manifest::parse(FILE, FULL).unwrap();
    let stored = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&stored).unwrap(), manifest);
}

#[test]
fn a_component_alone_has_a_test_of_an_hour_and_nothing_else() {
    let manifest = Manifest::parse(FILE, COMPONENT).unwrap();
    assert_eq!(manifest.test, Test { ttl_minutes: 60, outputs_from: None });
    assert!(manifest.images.is_empty() && manifest.checks.is_empty());
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let text = "[component]\nname = \"Logs Broker\"\nversion = \"2.1.3\"\ntempalte = \"t.yaml\"\nteam = 3\nfunction = \"\"\n\
                [images]\nBroker-Image = \"logstash\"\n[tests]\n";
    assert_eq!(
        problems(text),
        [
            "lockstep.toml:1: `component.template` is missing",
            "lockstep.toml:2: `component.name`: 'Logs Broker' is not a component name (lower-case letters, digits and \
             single hyphens, at most 60, starting with a letter)",
            "lockstep.toml:3: `component.version`: '2.1.3' is not a version: write major.minor, such as \"2.1\"",
            "lockstep.toml:4: `component.tempalte` is not known; did you mean `template`?",
            "lockstep.toml:5: `component.team` must be text in quotes, not integer",
            "lockstep.toml:6: `component.function`: write 1 to 128 letters, digits, spaces or any of _ . : / = + - @, \
             with no space at either end",
            "lockstep.toml:8: `images.Broker-Image`: write the image as name@requirement, such as \"logstash@^2.1\"",
            "lockstep.toml:8: `images`: 'Broker-Image' is not a logical id (letters and digits)",
            "lockstep.toml:9: `tests` is not known; did you mean `test`?",
        ]
    );
}

#[test]
fn an_empty_file_says_what_to_write() {
    assert_eq!(
        problems(""),
        [
            "lockstep.toml: there is no [component] table; write one with name, version, template, team and function"
        ]
    );
}

/// Returns the checks after a sound component, which ends on line 6.
fn checks(text: &str) -> Vec<Check> {
    Manifest::parse(FILE, &format!("{COMPONENT}{text}")).unwrap().checks
}

#[test]
fn checks_of_every_kind_are_read() {
    let text = r#"
[[checks]]
kind = "http"
url = "https://${outputs.Host}/health"
status = [204, 200]
matches = "ok"
deadline_seconds = 30
[[checks]]
kind = "http"
url = "${outputs.Url}"
status = 418
[[checks]]
kind = "tcp"
address = "${outputs.BrokerHost}:5044"
deadline_seconds = 240
[[checks]]
kind = "lambda"
name = "Probe"
deadline_seconds = 5
[[checks]]
kind = "output"
name = "Host"
matches = "."
"#;
    let checks = checks(text);
    assert_eq!(
        checks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "https://${outputs.Host}/health answers 200 or 204 and matches ok",
            "${outputs.Url} answers 418",
            "${outputs.BrokerHost}:5044 accepts connections",
            "the function in output Probe succeeds",
            "output Host matches .",
        ]
    );
    assert_eq!(checks.iter().map(|c| c.deadline().as_secs()).collect::<Vec<_>>(), [30, 120, 240, 5, 0]);
}

#[test]
fn a_problem_in_a_check_is_reported_with_its_line() {
    let text = r#"[[checks]]
kind = "http"
url = "https://user:secret@a.example/"
status = [200, "ok"]
deadline_seconds = 3601
retries = 3
[[checks]]
kind = "tcp"
address = "${outputs.Host}"
port = 22
[[checks]]
kind = "tcp"
address = "${stage}.example:22"
deadline_seconds = "1m"
[[checks]]
kind = "http"
matches = "("
"#;
    assert_eq!(
        problems_after_component(text),
        [
            "lockstep.toml:9: `checks[0].url`: a URL with credentials in it; a check sends none",
            "lockstep.toml:10: `checks[0].status` must be a status from 200 to 599, or a list of one to twenty of them",
            "lockstep.toml:11: `checks[0].deadline_seconds` must be a whole number from 5 to 3600",
            "lockstep.toml:12: `checks[0].retries` is not known; known: kind, url, status, matches, deadline_seconds",
            "lockstep.toml:16: `checks[1].port` is not known; known: kind, address, deadline_seconds",
            "lockstep.toml:19: `checks[2].address`: `${stage}` cannot be used here; only `${outputs.<Name>}`, an output \
             of this component's own stack",
            "lockstep.toml:20: `checks[2].deadline_seconds` must be a whole number from 5 to 3600",
            "lockstep.toml:21: `checks[3].url` is missing",
            "lockstep.toml:23: `checks[3].matches`: not a regular expression: error: unclosed group",
        ]
    );
}

#[test]
fn a_check_of_an_output_takes_no_deadline() {
    let text = "[[checks]]\nkind = \"output\"\nname = \"F\"\nmatches = \"x\"\ndeadline_seconds = 9\n";
    assert_eq!(
        problems_after_component(text),
        ["lockstep.toml:11: `checks[0].deadline_seconds`: an output does not change by waiting; remove it"]
    );
}

#[test]
fn checks_are_bounded_in_number() {
    let tcp = "[[checks]]\nkind = \"tcp\"\naddress = \"a:1\"\n";
    assert_eq!(checks(&tcp.repeat(50)).len(), 50);
    assert_eq!(
        problems_after_component(&tcp.repeat(51)),
        ["lockstep.toml:157: there are more than 50 checks"]
    );
}

#[test]
fn a_kind_of_check_that_does_not_exist_is_refused() {
    assert_eq!(
        problems_after_component("[[checks]]\nkind = \"outptu\"\n"),
        ["lockstep.toml:8: there is no such kind of check; did you mean `output`?"]
    );
}

#[test]
fn a_check_takes_only_the_keys_of_its_kind() {
    let reported = problems_after_component("[[checks]]\nkind = \"lambda\"\nname = \"F\"\nmatches = \"x\"\n");
    assert_eq!(
        reported,
        ["lockstep.toml:10: `checks[0].matches` is not known; known: kind, name, deadline_seconds"]
    );
    let reported = problems_after_component("[[checks]]\nkind = \"output\"\nname = \"F\"\n");
    assert_eq!(reported, ["lockstep.toml:7: `checks[0].matches` is missing"]);
    let reported = problems_after_component("[[checks]]\nkind = \"output\"\nname = \"F\"\nmatches = \"(\"\n");
    assert_eq!(
        reported,
        ["lockstep.toml:10: `checks[0].matches`: not a regular expression: error: unclosed group"]
    );
}

#[test]
fn the_lifetime_of_a_test_stack_is_bounded() {
    let ttl = |minutes: &str| Manifest::parse(FILE, &format!("{COMPONENT}[test]\nttl_minutes = {minutes}\n"));
    for good in ["5", "1440", "0x10"] {
        assert!(ttl(good).is_ok(), "{good}");
    }
    for bad in ["4", "1441", "-5", "\"60\"", "6.5", "99999999999999999999"] {
        assert_eq!(ttl(bad).unwrap_err()[0].line, Some(8), "{bad}");
    }
}

#[test]
fn a_component_cannot_choose_the_account_of_its_test() {
    for key in ["account", "region", "stage"] {
        let [problem] =
            problems_after_component(&format!("[test]\n{key} = \"111111111111\"\n")).try_into().unwrap();
        assert!(problem.starts_with("lockstep.toml:8: "), "{problem}");
    }
}

#[test]
fn the_tag_with_the_version_can_be_left_out() {
    let read = |text: &str| Manifest::parse(FILE, &format!("{COMPONENT}{text}")).unwrap().tags.version;
    assert_eq!([read(""), read("[tags]\n"), read("[tags]\nversion = true\n")], [true; 3]);
    assert!(!read("[tags]\nversion = false\n"));
    assert_eq!(problems_after_component("[tags]\nversion = 1\n").len(), 1);
}

#[test]
fn a_template_cannot_lie_outside_its_folder() {
    let path = |text: &str| text.parse::<RelativePath>().is_ok();
    assert!(path("template.yaml") && path("infra/main.json") && path("a-b_c.d/e"));
    for bad in [
        "",
        "/etc/passwd",
        "../t.yaml",
        "a/../b",
        "a//b",
        "./t",
        "a\\b",
        "a/",
        "C:/x",
        "é.yaml",
        &"a".repeat(201),
    ] {
        assert!(!path(bad), "{bad}");
    }
}

#[test]
fn accepted_names_begin_with_a_type() {
    let accept = |names: &str| Manifest::parse(FILE, &format!("{COMPONENT}[check]\naccept = {names}\n"));
    let manifest = accept("[\"AWS::New::Thing\", \"AWS::SQS::Queue.Tags.Kind\"]").unwrap();
    assert_eq!(manifest.check.accept.len(), 2);
    for wrong in ["[\"QueueName\"]", "[\"\"]", "[7]", "\"AWS::New::Thing\""] {
        assert_eq!(accept(wrong).unwrap_err()[0].line, Some(8), "{wrong}");
    }
    assert!(problems_after_component("[check]\naccepts = []\n")[0].contains("did you mean `accept`"));
}

#[test]
fn ignored_drift_ends_on_a_day_that_exists_and_has_a_reason() {
    let ignore = |until: &str, reason: &str| {
        let text = format!(
            "[drift]\nignore = [{{ logical_id = \"Asg\", property = \"/X\", until = {until}, reason = \"{reason}\" }}]\n"
        );
        Manifest::parse(FILE, &format!("{COMPONENT}{text}"))
    };
    assert!(ignore("\"2027-03-01\"", "x").is_ok());
    assert!(ignore("2028-02-29", "x").is_ok());
    for (until, reason) in [
        ("\"2027-02-29\"", "x"),
        ("\"2027-3-1\"", "x"),
        ("\"2027-13-01\"", "x"),
        ("\"07:32:00.0\"", "x"),
        ("2027-03-01T07:32:00Z", "x"),
        ("7", "x"),
        ("\"2027-03-01\"", " "),
    ] {
        assert_eq!(ignore(until, reason).unwrap_err()[0].line, Some(8), "{until} {reason}");
    }
}

#[test]
fn days_are_ordered_as_the_calendar_orders_them() {
    let day = |text: &str| text.parse::<Day>().unwrap();
    assert!(day("2026-12-31") < day("2027-01-01"));
    assert!(day("2027-01-09") < day("2027-01-10"));
}

#[test]
fn a_new_component_is_a_valid_manifest_of_its_name() {
    let name: ComponentName = "logs-broker".parse().unwrap();
    let files = template(&name);
    assert_eq!(Manifest::parse(FILE, &files[FILE]).unwrap().component.name, name);
    assert!(files.values().all(|text| !text.contains("{{name}}")));
}

#[test]
fn no_key_of_a_component_can_be_left_out() {
    for lost in 1..=5 {
        let text: Vec<&str> =
            COMPONENT.lines().enumerate().filter(|(n, _)| *n != lost).map(|(_, l)| l).collect();
        let reported = problems(&text.join("\n"));
        assert_eq!(reported.len(), 1, "{reported:?}");
        assert!(
            reported[0].starts_with("lockstep.toml:1: `component.") && reported[0].ends_with("is missing"),
            "{reported:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_every_line_is_one_of_the_file(text in "\\PC*|([a-z\\[\\]=\"{}.,0-9 \n]*)") {
        for problem in Manifest::parse(FILE, &text).err().unwrap_or_default() {
            let lines = u32::try_from(text.matches('\n').count()).unwrap() + 1;
            prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
        }
    }
}
