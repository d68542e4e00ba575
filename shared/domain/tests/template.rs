//! Templates of authors: parsing, refusals with their lines, and the derived template of the test stack.

use lockstep_domain::model::ids::{Digest, LogicalId};
use lockstep_domain::stacks::protected::is_protected;
use lockstep_domain::stacks::template::{TEMPLATE_BYTES_MAX, Template};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const EVERYTHING: &str = include_str!("fixtures/template/everything.yaml");
const SHORT_FORMS: &str = include_str!("fixtures/template/short-forms.yaml");
const LONG_FORMS: &str = include_str!("fixtures/template/long-forms.json");

fn read(text: &str) -> Template {
    Template::parse("template.yaml", text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Returns the problems of a template, as `line: message`.
fn problems(text: &str) -> Vec<String> {
    let problems = Template::parse("t", text).map(drop).unwrap_err();
    problems.iter().map(|problem| problem.to_string().trim_start_matches("t:").to_owned()).collect()
}

/// Returns a resources section, all of one type, with `body` below the type of `A`.
fn resource(body: &str) -> String {
    format!("Resources:\n  A:\n    Type: AWS::SNS::Topic\n{body}")
}

/// Returns the template of the test stack without left-out names.
fn test_template(template: &Template) -> String {
    template.derive_test_template(&BTreeSet::new()).0
}

fn names(ids: &[&str]) -> Vec<LogicalId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn every_construct_that_templates_use_is_understood() {
    let template = read(EVERYTHING);
    assert_eq!(
        template.parameters().keys().collect::<Vec<_>>(),
        ["ImageId", "Password", "Port", "Size", "VpcId", "Zones"]
    );
    assert!(template.parameters()["Password"].no_echo);
    assert_eq!(template.parameters()["Port"].default.as_deref(), Some("5044"));
    assert_eq!(template.resources().len(), 8);
    assert_eq!(template.resources()["Database"].deletion_policy.as_deref(), Some("Snapshot"));
    assert_eq!(
        template.outputs().keys().collect::<Vec<_>>(),
        ["BrokerHost", "Queue${Purpose}Arn", "RetryQueue"]
    );
    assert_eq!(template.lint(&names(&["Archive", "QueueIntake"])), []);
}

#[test]
fn a_logical_id_is_found_at_its_line() {
    let template = read(EVERYTHING);
    let declared_at =
        |text: &str| EVERYTHING.lines().position(|line| line.trim() == text).map(|at| at as u32 + 1);
    assert_eq!(template.line_of("Broker"), declared_at("Broker:"));
    assert_eq!(template.line_of("QueueRetry"), declared_at("- Queue${Purpose}:"));
    assert_eq!(template.line_of("Queue"), None);
    assert_eq!(template.line_of("Nothing"), None);
    assert_eq!(Some(template.parameters()["Port"].line), declared_at("Port:"));
    assert_eq!(Some(template.outputs()["BrokerHost"]), declared_at("BrokerHost:"));
}

#[test]
fn the_digest_is_that_of_the_exact_text() {
    let with_comment = format!("{SHORT_FORMS}# the end\n");
    assert_eq!(read(SHORT_FORMS).digest(), &Digest::of(SHORT_FORMS.as_bytes()));
    assert_ne!(read(&with_comment).digest(), read(SHORT_FORMS).digest());
    assert_eq!(read(&with_comment).text(), with_comment);
}

#[test]
fn yaml_short_forms_and_json_long_forms_are_the_same_template() {
    assert_eq!(read(SHORT_FORMS).to_json(), read(LONG_FORMS).to_json());
    assert_eq!(test_template(&read(SHORT_FORMS)), test_template(&read(LONG_FORMS)));
}

#[test]
fn get_att_reaches_into_the_outputs_of_a_nested_stack() {
    let json = read(EVERYTHING).to_json();
    assert_eq!(
        json["Resources"]["Broker"]["Properties"]["SubnetId"],
        json!({"Fn::GetAtt": ["Network", "Outputs.Subnet"]})
    );
}

#[test]
fn words_have_the_meaning_that_cloudformation_gives_them() {
    let json = read(EVERYTHING).to_json();
    assert_eq!(json["AWSTemplateFormatVersion"], "2010-09-09");
    assert_eq!(json["Resources"]["ArchivePolicy"]["Properties"]["PolicyDocument"]["Version"], "2012-10-17");
    assert_eq!(json["Resources"]["Archive"]["Properties"]["Tags"][0]["Value"], "012345678901");
    assert_eq!(json["Resources"]["Archive"]["Properties"]["Tags"][1]["Value"], "2026-01-01");
    let database = &json["Resources"]["Database"]["Properties"];
    assert_eq!(database["MultiAZ"], json!({"Fn::If": ["IsLargeInDublin", true, false]}));
    assert_eq!(database["EngineVersion"]["Fn::If"][1], "16.10");
}

#[test]
fn the_test_template_differs_in_deletion_policies_only() {
    let template = read(EVERYTHING);
    let derive_test_template: Value = serde_json::from_str(&test_template(&template)).unwrap();
    assert_eq!(without_policies(derive_test_template), without_policies(template.to_json()));
}

#[test]
fn no_resource_of_a_test_stack_outlives_it() {
    let derive_test_template: Value = serde_json::from_str(&test_template(&read(EVERYTHING))).unwrap();
    let resources = &derive_test_template["Resources"];
    let queue = &resources["Fn::ForEach::Queues"][2]["Queue${Purpose}"];
    for resource in [&resources["Archive"], &resources["Database"], queue] {
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&json!("Delete"), &json!("Delete"))
        );
    }
    assert_eq!(resources["Cluster"]["DeletionPolicy"], "Delete");
    assert_eq!(resources["Broker"].get("DeletionPolicy"), None);
    // The default of an RDS instance is a snapshot, so the test template adds a policy that the author did
    // not set.
    let bare = read(
        "Resources:\n  Db: {Type: AWS::RDS::DBInstance}\n  Q: {Type: AWS::SQS::Queue, DeletionPolicy: !Ref AWS::NoValue}\nTransform: AWS::LanguageExtensions\n",
    );
    let expected = r#"{"Resources":{"Db":{"DeletionPolicy":"Delete","Type":"AWS::RDS::DBInstance","UpdateReplacePolicy":"Delete"},"Q":{"DeletionPolicy":"Delete","Type":"AWS::SQS::Queue","UpdateReplacePolicy":"Delete"}},"Transform":"AWS::LanguageExtensions"}"#;
    assert_eq!(test_template(&bare), expected);
}

#[test]
fn a_block_of_text_ends_as_its_file_does() {
    let of = |style: &str, end: &str| {
        let text = format!(
            "Resources:\n  A:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Value: {style}\n        one\n        two{end}"
        );
        read(&text).to_json()["Resources"]["A"]["Properties"]["Value"].clone()
    };
    for (style, end, expected) in [
        ("|", "", "one\ntwo"),
        ("|", "\n", "one\ntwo\n"),
        ("|-", "", "one\ntwo"),
        ("|+", "", "one\ntwo"),
        ("|+", "\n\n", "one\ntwo\n\n"),
        (">", "", "one two"),
        (">", "\n", "one two\n"),
        ("|", "\n# the end", "one\ntwo\n"),
        ("|", "\nMetadata: two", "one\ntwo\n"),
    ] {
        assert_eq!(of(style, end), expected, "{style} {end:?}");
    }
}

#[test]
fn the_test_template_is_a_valid_template() {
    let template = read(EVERYTHING);
    let again = read(&test_template(&template));
    assert_eq!(test_template(&again), test_template(&template));
    assert!(
        again
            .resources()
            .values()
            .all(|r| r.deletion_policy.as_deref().is_none_or(|policy| policy == "Delete"))
    );
}

/// Returns the template without the policies that the test stack may change.
fn without_policies(mut template: Value) -> Value {
    fn strip(resources: &mut Value) {
        for (name, resource) in resources.as_object_mut().unwrap() {
            if name.starts_with("Fn::ForEach::") {
                strip(&mut resource[2]);
                continue;
            }
            let resource = resource.as_object_mut().unwrap();
            resource.remove("DeletionPolicy");
            resource.remove("UpdateReplacePolicy");
        }
    }
    strip(&mut template["Resources"]);
    template
}

#[test]
fn an_unreadable_template_is_refused_at_its_line() {
    for (text, problem) in [
        ("", "1: the template is empty"),
        ("just words", "1: a template is a mapping of sections such as Resources"),
        ("- a\n", "1: a template is a mapping of sections such as Resources"),
        ("a: [\n", "2: this cannot be read: the end of the file stands where a value is expected"),
        ("a: [b\n", "2: this cannot be read: the end of the file stands where ',' or ']' is expected"),
        ("a: 'b\n", "2: this cannot be read: the closing quote is missing"),
        ("a: b: c\n", "1: this cannot be read: a ':' cannot stand here: put the text in quotes"),
        ("a: @b\n", "1: this cannot be read: a value cannot start with '@': put it in quotes"),
        ("a:\n\tb: c\n", "2: this cannot be read: a tab cannot indent: use spaces"),
        ("a: 1\nb\nc: 2\n", "2: this cannot be read: a ':' is missing behind the key"),
        ("a: 1\nb: \u{7}\n", "2: this cannot be read: YAML has no character U+0007"),
        ("a: !x!y z\n", "1: this cannot be read: no directive defines the tag handle !x!"),
        ("{\"Resources\": {},}", "1: this is not JSON: key must be a string at line 1 column 18"),
        ("{\n'a': 1}", "2: this is not JSON: key must be a string at line 2 column 1"),
        ("a: &x 1\nb: *x\n", "2: CloudFormation knows no YAML aliases: write the value out"),
        ("a:\n  <<: {b: 1}\n", "2: CloudFormation knows no YAML merges: write the keys out"),
        ("a: !Reff x\nResources: {A: {Type: T}}", "1: CloudFormation knows no tag !Reff"),
        ("a: !!timestamp 2001-01-01\nResources: {}", "1: CloudFormation knows no tag !!timestamp"),
        ("a: 1\n---\nb: 1\n", "2: a second document: a template is one document"),
        ("a: 1\nb: 2\na: 3\n", "3: 'a' is there twice"),
        ("{\"a\": 1,\n\"a\": 2}", "2: 'a' is there twice"),
        ("? [a]\n: b\n", "1: a key must be text"),
        ("a: {~: 1}\n", "1: a key is missing"),
        ("a: {no: 1}\n", "1: YAML reads the key no as false: put it in quotes"),
        ("a: !GetAtt Topic\n", "1: GetAtt needs Resource.Attribute"),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
}

#[test]
fn declarations_that_cloudformation_refuses_are_refused_at_their_line() {
    for (text, problem) in [
        ("Description: x\n", "1: the template has no Resources"),
        ("Resources: {}\n", "1: Resources declares none"),
        ("Resources: []\n", "1: Resources must be a mapping"),
        ("Resources:\n  A: {Properties: {}}\n", "2: the resource A has no Type"),
        ("Resources:\n  A: x\n", "2: the resource A must be a mapping"),
        ("Resources:\n  a-b: {Type: T}\n", "2: 'a-b' is not a logical id: use letters and digits"),
        (
            "Resources:\n  A:\n    Type: T\n    deletionPolicy: Retain\n",
            "4: a resource has no attribute 'deletionPolicy': is it a property of A?",
        ),
        ("Resources: {A: {Type: T}}\nParameters:\n  P: {Default: x}\n", "3: the parameter P has no Type"),
        ("Resources: {A: {Type: T}}\nOutputs:\n  O: {Export: {Name: x}}\n", "3: the output O has no Value"),
        (
            "Resources: {A: {Type: T}}\nAWSTemplateFormatVersion: 2010-09-10\n",
            "2: the only AWSTemplateFormatVersion there is, is 2010-09-09",
        ),
        (
            "Resources: {A: {Type: T, DeletionPolicy: Snapshot}}\n",
            "1: T has no snapshots: use DeletionPolicy: Retain",
        ),
        (
            "Resources: {A: {Type: T, DeletionPolicy: Keep}}\n",
            "1: 'Keep' is no DeletionPolicy: use Delete, Retain, RetainExceptOnCreate or, where there are snapshots, Snapshot",
        ),
        (
            "Resources: {A: {Type: T, UpdateReplacePolicy: RetainExceptOnCreate}}\n",
            "1: 'RetainExceptOnCreate' is no UpdateReplacePolicy: use Delete, Retain or, where there are snapshots, Snapshot",
        ),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
    let unknown = problems("Resources: {A: {Type: T}}\nResource: {}\n");
    assert!(
        unknown[0].starts_with("2: 'Resource' is no section of a template: use AWSTemplateFormatVersion, "),
        "{unknown:?}"
    );
}

#[test]
fn a_dangling_reference_is_refused_at_its_line() {
    for (body, problem) in [
        ("      X: !Ref B\n", "5: Ref names 'B', but the template has no such parameter or resource"),
        (
            "      X: !Ref AWS::Reegion\n",
            "5: Ref names 'AWS::Reegion', but the template has no such parameter or resource",
        ),
        ("      X: !GetAtt B.Arn\n", "5: GetAtt names 'B', but the template has no such resource"),
        (
            "      X:\n        Fn::GetAtt: [P, Arn]\n",
            "6: GetAtt names 'P', but the template has no such resource",
        ),
        (
            "      X: !Sub 'a ${B} ${!C} ${AWS::Region} ${P}'\n",
            "5: Sub names 'B', but the template has no such parameter or resource",
        ),
        ("      X: !Sub '${B.Arn}'\n", "5: Sub names 'B', but the template has no such resource"),
        (
            "      X: !Sub ['${Y}${Z}', {Y: !Ref P}]\n",
            "5: Sub names 'Z', but the template has no such parameter or resource",
        ),
        (
            "      X: !Sub ['${Y}', {Y: !Ref B}]\n",
            "5: Ref names 'B', but the template has no such parameter or resource",
        ),
        ("      X: !If [C, 1, 2]\n", "5: Condition names 'C', but the template has no such condition"),
        ("      X: !FindInMap [M, a, b]\n", "5: FindInMap names 'M', but the template has no such mapping"),
        ("      X: 1\n    DependsOn: B\n", "6: DependsOn names 'B', but the template has no such resource"),
        ("      X: 1\n    DependsOn: [P]\n", "6: DependsOn names 'P', but the template has no such resource"),
        ("      X: 1\n    Condition: C\n", "6: Condition names 'C', but the template has no such condition"),
        (
            "      X: [{Y: [!Join ['', [!Ref B]]]}]\n",
            "5: Ref names 'B', but the template has no such parameter or resource",
        ),
        (
            "      X: 1\nConditions:\n  C: !Equals [!Ref A, x]\n",
            "7: Ref names 'A', but the template has no such parameter",
        ),
        (
            "      X: 1\nConditions:\n  C: !Not [!Condition D]\n",
            "7: Condition names 'D', but the template has no such condition",
        ),
        (
            "      X: 1\nOutputs:\n  O: {Value: !GetAtt B.Arn}\n",
            "7: GetAtt names 'B', but the template has no such resource",
        ),
    ] {
        let text =
            format!("{}Parameters: {{P: {{Type: String}}}}\n", resource(&format!("    Properties:\n{body}")));
        assert_eq!(problems(&text), [problem], "{body}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_lines() {
    let text =
        "Resources:\n  B: {Type: T, DependsOn: X}\n  A: {Properties: {}}\nOutputs:\n  O: {}\nSurprise: 1\n";
    let lines: Vec<_> =
        problems(text).iter().map(|problem| problem.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["2", "3", "5", "6"]);
}

#[test]
fn the_problems_of_a_hopeless_template_are_cut_short() {
    let found = problems(&"a: 1\n".repeat(1000));
    assert_eq!(found.len(), 101);
    assert_eq!(found[100], " there are 899 more problems");
}

#[test]
fn names_that_only_a_macro_knows_are_not_checked() {
    let sam = |name: &str| {
        format!(
            "Transform: AWS::Serverless-2016-10-31\nGlobals: {{Function: {{}}}}\nResources:\n  Api: {{Type: AWS::Serverless::Api}}\nOutputs:\n  O: {{Value: !Ref {name}}}\n"
        )
    };
    read(&sam("ApiProdStage"));
    read(&sam("ServerlessRestApi"));
    assert_eq!(
        problems(&sam("Apu")),
        ["6: Ref names 'Apu', but the template has no such parameter or resource"]
    );
    read(
        "Transform: [Count, AWS::LanguageExtensions]\nResources:\n  A: {Type: T, Count: 3, DependsOn: B7}\n",
    );
    read("Transform: [Count]\nVariables: {}\nResources:\n  A: {Type: T}\n");
    read("Resources:\n  A: {Type: T, DependsOn: B}\n  Fn::Transform: {Name: AWS::Include}\n");
}

#[test]
fn a_loop_declares_the_names_of_its_pattern_and_no_others() {
    let with = |name: &str| format!("{EVERYTHING}  Extra: {{Value: !Ref {name}}}\n");
    read(&with("QueueAnything"));
    assert_eq!(problems(&with("Queues1").replace("Queue${Purpose}:", "Queue${Purpose}X:")).len(), 3);
    let last = EVERYTHING.lines().count() + 1;
    assert_eq!(
        problems(&with("Purpose")),
        [format!("{last}: Ref names 'Purpose', but the template has no such parameter or resource")]
    );
}

#[test]
fn a_loop_is_searched_for_dangling_references_too() {
    let with = |collection: &str, value: &str| {
        format!(
            "Resources:\n  Fn::ForEach::L:\n    - N\n    - {collection}\n    - T${{N}}: {{Type: T, Properties: {{X: {value}}}}}\n\
             Transform: AWS::LanguageExtensions\n"
        )
    };
    read(&with("[A, B]", "!Sub '${N} ${T${N}.Arn} ${TA} ${{N}}'"));
    let unknown = |line: u32, how: &str| {
        format!("{line}: {how} names 'M', but the template has no such parameter or resource")
    };
    assert_eq!(problems(&with("!Ref M", "1")), [unknown(4, "Ref")]);
    assert_eq!(problems(&with("[A]", "!Sub '${N} ${M}'")), [unknown(5, "Sub")]);
    let inner = "{'Fn::ForEach::P': [K, [a], {'${K}': [!Ref K, !Ref M]}]}";
    assert_eq!(problems(&with("[A]", inner)), [unknown(5, "Ref")]);
}

#[test]
fn protected_resources_need_both_policies() {
    let lint = |attributes: &str| {
        let text = format!(
            "Resources:\n  Db: {{Type: AWS::RDS::DBInstance{attributes}}}\nTransform: AWS::LanguageExtensions\n"
        );
        read(&text).lint(&[]).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let lacks = |what: &str| {
        vec![format!(
            "template.yaml:2: Db (AWS::RDS::DBInstance) is protected: set {what} to Retain or Snapshot"
        )]
    };
    assert_eq!(lint(""), lacks("DeletionPolicy and UpdateReplacePolicy"));
    assert_eq!(lint(", DeletionPolicy: Retain"), lacks("UpdateReplacePolicy"));
    assert_eq!(lint(", UpdateReplacePolicy: Snapshot"), lacks("DeletionPolicy"));
    assert_eq!(lint(", DeletionPolicy: Delete, UpdateReplacePolicy: Retain"), lacks("DeletionPolicy"));
    assert_eq!(
        lint(", DeletionPolicy: !Ref AWS::NoValue, UpdateReplacePolicy: Retain"),
        lacks("DeletionPolicy")
    );
    assert!(lint(", DeletionPolicy: RetainExceptOnCreate, UpdateReplacePolicy: Snapshot").is_empty());
}

#[test]
fn a_resource_named_in_protect_is_protected_and_must_exist() {
    let template = read(&resource(
        "  B:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n",
    ));
    let found: Vec<_> = template.lint(&names(&["A", "B", "C"])).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "template.yaml: [protect] names 'C', but the template has no such resource",
            "template.yaml:2: A (AWS::SNS::Topic) is protected: set DeletionPolicy and UpdateReplacePolicy to Retain",
        ]
    );
    assert_eq!(template.lint(&[]), []);
}

#[test]
fn a_resource_inside_a_loop_is_linted_too() {
    let text = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Q:\n    - N\n    - [A, B]\n    - Q${N}:\n        Type: AWS::SQS::Queue\n";
    let found = read(text).lint(&names(&["QA"]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].line, Some(6));
}

#[test]
fn templates_beyond_the_quotas_of_cloudformation_are_refused() {
    let many = |section: &str, count: usize, body: &str| {
        let entries: String = (0..count).map(|i| format!("  N{i}: {body}\n")).collect();
        format!("{section}:\n{entries}")
    };
    let refused = |text: String, what: &str| {
        assert_eq!(
            problems(&text),
            [format!("1: more than {what}: CloudFormation takes no more in one template")]
        )
    };
    read(&many("Resources", 500, "{Type: T}"));
    refused(many("Resources", 501, "{Type: T}"), "500 Resources");
    read(&(many("Parameters", 200, "{Type: String}") + "Resources: {A: {Type: T}}\n"));
    refused(many("Parameters", 201, "{Type: String}") + "Resources: {A: {Type: T}}\n", "200 Parameters");
    refused(many("Outputs", 201, "{Value: 1}") + "Resources: {A: {Type: T}}\n", "200 Outputs");
}

#[test]
fn a_template_beyond_the_size_limit_is_not_parsed() {
    let padded = |bytes: usize| format!("{}#", resource("")) + &"x".repeat(bytes - resource("").len() - 1);
    read(&padded(TEMPLATE_BYTES_MAX));
    assert_eq!(
        problems(&padded(TEMPLATE_BYTES_MAX + 1)),
        [" the template has more than 1048576 bytes, CloudFormation's limit"]
    );
}

#[test]
fn nesting_without_end_is_refused() {
    assert!(problems(&"- ".repeat(500_000))[0].contains("levels deep"));
    assert!(problems(&("{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)))[0].contains("levels deep"));
    assert!(problems(&("a: ".to_owned() + &"[".repeat(100_000)))[0].contains("levels deep"));
    let deep = |levels: usize| {
        format!("Metadata: {}1{}\nResources: {{A: {{Type: T}}}}\n", "[".repeat(levels), "]".repeat(levels))
    };
    read(&deep(99));
    assert_eq!(problems(&deep(100)), ["1: nested more than 100 levels deep"]);
}

/// Returns templates of any kinds of resources and policies.
fn any_template() -> impl Strategy<Value = String> {
    let kinds = prop_oneof![
        Just("AWS::S3::Bucket"),
        Just("AWS::RDS::DBInstance"),
        Just("AWS::SQS::Queue"),
        Just("AWS::SNS::Topic"),
        Just("Custom::Thing"),
    ];
    let policy = || prop_oneof![Just(None), Just(Some("Retain")), Just(Some("Delete"))];
    let resource = ("[A-Z][a-z]{1,6}", kinds, policy(), policy(), "[ -~äß€]{0,12}");
    proptest::collection::vec(resource, 1..8).prop_map(|resources| {
        let resources: serde_json::Map<String, Value> = resources
            .into_iter()
            .map(|(name, kind, deletion, replacement, text)| {
                let mut body =
                    json!({"Type": kind, "Properties": {"Text": text, "Number": text.len(), "Ref": text}});
                deletion.into_iter().for_each(|policy| body["DeletionPolicy"] = policy.into());
                replacement.into_iter().for_each(|policy| body["UpdateReplacePolicy"] = policy.into());
                (name, body)
            })
            .collect();
        json!({"Resources": resources}).to_string()
    })
}

proptest! {
    #[test]
    fn a_test_template_changes_deletion_policies_only_and_retains_no_resource(text in any_template()) {
        let template = read(&text);
        let derive_test_template: Value = serde_json::from_str(&test_template(&template)).unwrap();
        for resource in derive_test_template["Resources"].as_object().unwrap().values() {
            let kept = ["DeletionPolicy", "UpdateReplacePolicy"].iter().find(|p| resource.get(**p).is_some_and(|v| v != "Delete"));
            prop_assert_eq!(kept, None);
            let may_default = !is_protected(resource["Type"].as_str().unwrap());
            prop_assert!(may_default || resource["DeletionPolicy"] == "Delete");
        }
        prop_assert_eq!(without_policies(derive_test_template), without_policies(template.to_json()));
    }

    #[test]
    fn json_is_read_as_it_is(text in any_template()) {
        prop_assert_eq!(read(&text).to_json(), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn no_text_breaks_the_reader(text in "([ -~\n\t]|[äé\u{0}]|- |: |!Ref |\\[|\\{|Resources:\n  A: ){0,60}") {
        if let Err(problems) = Template::parse("f", &text) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.file == "f"));
        }
    }

    #[test]
    fn a_damaged_template_never_breaks_the_reader(at in 0..EVERYTHING.len(), length in 0..40usize, with in "[ -~\n]{0,3}") {
        let end = (at + length).min(EVERYTHING.len());
        let parts = (EVERYTHING.get(..at), EVERYTHING.get(end..));
        if let (Some(before), Some(after)) = parts
            && let Err(problems) = Template::parse("f", &format!("{before}{with}{after}"))
        {
            prop_assert!(!problems.is_empty());
        }
    }
}
