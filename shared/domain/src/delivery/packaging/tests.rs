mod public;

use super::*;
use crate::delivery::archive::{Files, Limits, unpack};
use crate::delivery::stages::testing::{stage_text, with_production};
use crate::model::ids::RepositoryId;
use crate::records::{Release, ReleaseState};
use jiff::Timestamp;
use proptest::prelude::*;

const MANIFEST: &str = r#"[component]
name = "logs-broker"
version = "2.1"
template = "template.yaml"
team = "platform"
function = "logging"

[images]
ImageId = "logstash@^2.1"

[test]
outputs_from = "ci"

[[checks]]
kind = "output"
name = "Host"
matches = "."

[protect]
logical_ids = ["Topic"]
"#;

const TEMPLATE: &str = r#"Parameters:
  ImageId: {Type: "AWS::EC2::Image::Id"}
  Queue: {Type: String}
  VpcId: {Type: String}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {DisplayName: !Sub "${ImageId} ${Queue} ${VpcId}"}
Outputs:
  Host: {Value: !Ref Topic}
"#;

const SHIPPED: &str =
    "functions/elb-logs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip";

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "333333333333").in_region("eu-central-1"))
}

const ORGANISATION: &str = "[default]\nVpcId = \"vpc-1\"\nUnused = \"x\"\n";

/// The known state of the organisation.
struct Fixture {
    stages: Stages,
    organisation: OrganisationParameters,
    images: Vec<ImageVersion>,
    producers: BTreeMap<ComponentName, BTreeSet<String>>,
    functions: FunctionLock,
}

impl Fixture {
    fn new() -> Self {
        Self {
            stages: Stages::parse("stages.toml", &stages_text()).unwrap(),
            organisation: OrganisationParameters::parse("organisation.toml", ORGANISATION).unwrap(),
            images: vec![crate::images::constraint::tests::known("2.1.37")],
            producers: [("logs-cache".parse().unwrap(), ["Url".to_owned(), "Arn".to_owned()].into())].into(),
            functions: FunctionLock::of_keys(SHIPPED).unwrap(),
        }
    }

    fn input(&self) -> PackagingInput<'_> {
        PackagingInput {
            stages: Some(&self.stages),
            organisation: Some(&self.organisation),
            images: Some(&self.images),
            producers: Some(&self.producers),
            functions: Some(&self.functions),
            public: None,
            permissions: None,
        }
    }
}

fn component() -> Files {
    [
        ("lockstep.toml", MANIFEST),
        ("template.yaml", TEMPLATE),
        ("parameters/default.toml", "Queue = \"${outputs.logs-cache.Url}\"\n"),
        ("README.md", "# The broker\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .into()
}

/// Returns the component with one file replaced or added.
fn with(path: &str, text: &str) -> Files {
    let mut files = component();
    files.insert(path.to_owned(), text.as_bytes().to_vec());
    files
}

/// Returns the component with `old` replaced in one of its files.
fn edited(path: &str, old: &str, new: &str) -> Files {
    let text = String::from_utf8(component()[path].clone()).unwrap();
    assert!(text.contains(old), "{old}");
    with(path, &text.replace(old, new))
}

fn without(path: &str) -> Files {
    let mut files = component();
    files.remove(path).unwrap();
    files
}

fn packaged(files: &Files) -> Package {
    plan("broker", files, &Fixture::new().input()).unwrap()
}

fn problems(files: &Files) -> Vec<String> {
    reported(plan("broker", files, &Fixture::new().input()))
}

fn reported(result: Result<Package, Vec<Problem>>) -> Vec<String> {
    result.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_component_becomes_a_package() {
    let package = packaged(&component());
    assert_eq!(package.manifest.component.name.as_str(), "logs-broker");
    assert_eq!(package.outputs, ["Host".to_owned()].into());
    assert_eq!(
        package.image_lock.0.values().next().map(|l| l.version.to_string()).as_deref(),
        Some("2.1.37")
    );
    assert_eq!(package.template_digest, Digest::of(TEMPLATE.as_bytes()));
    assert_eq!(package.test_template_digest, Digest::of(package.test_template.as_bytes()));
    assert_ne!(package.template_digest, package.test_template_digest);
    assert_eq!(package.unchecked, Vec::<String>::new());
}

#[test]
fn a_name_that_the_table_lacks_is_refused_or_a_hint() {
    let table = serde_json::from_value(serde_json::json!({
        "actions": {}, "sources": {"resource schemas": "2026-10-20T00:00:00Z"},
        "types": {"AWS::SNS::Topic": {"properties": {"TopicName": {}, "DisplayName": {}}}},
    }))
    .unwrap();
    let fixture = Fixture::new();
    let input = PackagingInput { permissions: Some(&table), ..fixture.input() };
    let with_property = |name: &str, manifest: &str| {
        let topic =
            format!("Resources:\n  Added:\n    Type: AWS::SNS::Topic\n    Properties: {{{name}: a}}\n");
        let mut files = edited("template.yaml", "Resources:\n", &topic);
        files.insert("lockstep.toml".to_owned(), format!("{MANIFEST}{manifest}").into_bytes());
        plan("broker", &files, &input)
    };
    let hints = |package: Package| package.hints.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(reported(with_property("TopcName", ""))[0].contains("did you mean `TopicName`?"));
    let accepted = "[check]\naccept = [\"AWS::SNS::Topic.TopcName\"]\n";
    assert_eq!(hints(with_property("TopcName", accepted).unwrap()), Vec::<String>::new());
    let hint = hints(with_property("Brightness", "").unwrap());
    assert!(hint[0].starts_with("broker/template.yaml:"), "{hint:?}");
    assert!(hint[0].contains("AWS's schemas of 2026-10-20 have no property"), "{hint:?}");
}

#[test]
fn an_artifact_holds_the_folder_and_the_lock_and_is_read_back() {
    let package = packaged(&component());
    assert_eq!(package.digest, Digest::of(&package.artifact));
    let mut expected = component();
    expected.insert("image-lock.json".to_owned(), package.image_lock.to_json().into_bytes());
    expected.insert("deployed-template.yaml".to_owned(), TEMPLATE.as_bytes().to_vec());
    expected.insert("test-template.json".to_owned(), package.test_template.clone().into_bytes());
    assert_eq!(unpack(&package.artifact, &Limits::DEFAULT).unwrap(), expected);

    let contents = open(&package.artifact).unwrap();
    assert_eq!(contents.manifest, package.manifest);
    assert_eq!(contents.template, package.template);
    assert_eq!(contents.layers, package.layers);
    assert_eq!(contents.image_lock, package.image_lock);
}

#[test]
fn a_damaged_artifact_is_not_opened() {
    assert!(open(b"").is_err());
    assert!(open(b"PK\x03\x04").is_err());
    let no_lock = pack(&component()).unwrap();
    assert!(open(&no_lock).unwrap_err()[0].to_string().starts_with("image-lock.json: cannot be read"));
    let mut files = component();
    files.insert("image-lock.json".to_owned(), b"{}".to_vec());
    for (name, text) in [("deployed-template.yaml", TEMPLATE), ("test-template.json", "{}")] {
        let [problem] = open(&pack(&files).unwrap()).unwrap_err().try_into().unwrap();
        assert!(problem.to_string().starts_with(&format!("{name}: is missing")), "{problem}");
        files.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    assert!(open(&pack(&files).unwrap()).is_ok());
    files.remove("lockstep.toml");
    let problems = open(&pack(&files).unwrap()).unwrap_err();
    assert!(problems[0].to_string().starts_with("lockstep.toml: is missing"), "{}", problems[0]);
}

/// Returns a release of these bytes.
fn release_of(package: &Package, artifact: &[u8]) -> Release {
    Release {
        component: package.manifest.component.name.clone(),
        version: "2.1.0".parse().unwrap(),
        state: ReleaseState::Packaged,
        repository: RepositoryId::github("acme", "logs").unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        author: "Ada".into(),
        pusher: None,
        folder: String::new(),
        template: String::new(),
        artifact: "artifact".into(),
        digest: Digest::of(artifact),
        source_digest: package.source_digest.clone(),
        template_digest: package.template_digest.clone(),
        test_template_digest: package.test_template_digest.clone(),
        test_differences: Vec::new(),
        serial_tests: false,
        commits: None,
        permissions: None,
        image_lock: package.image_lock.clone(),
        outputs: package.outputs.clone(),
        producers: Default::default(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn:release".into(),
        failure: None,
    }
}

#[test]
fn a_deployed_template_that_the_files_do_not_give_is_refused() {
    let nested = "  Net:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: net.yaml}\n";
    let mut files = edited("template.yaml", "Outputs:", &format!("{nested}Outputs:"));
    let topic = "Resources:\n  Topic: {Type: AWS::SNS::Topic}\n";
    files.insert("net.yaml".to_owned(), topic.as_bytes().to_vec());
    let package = packaged(&files);
    let sound = release_of(&package, &package.artifact);
    let opened = open_packed(&sound, &package.artifact).unwrap();
    assert_eq!(opened.local.objects(false).count(), 1);
    for is_test in [false, true] {
        assert!(opened.local.objects(is_test).eq(package.local.objects(is_test)));
    }
    assert_eq!(open_release(&sound, &package.artifact).unwrap().deployed, package.template.deployed_text());

    let changed = |name: &str, change: &dyn Fn(String) -> String| {
        let mut files = unpack(&package.artifact, &Limits::DEFAULT).unwrap();
        let text = String::from_utf8(files.remove(name).unwrap()).unwrap();
        files.insert(name.to_owned(), change(text).into_bytes());
        pack(&files).unwrap()
    };
    let other =
        changed("deployed-template.yaml", &|text| text.replacen("AWS::SNS::Topic", "AWS::IAM::User", 1));
    let of_code = changed("net.yaml", &|text| text.replace("Topic", "Queue"));
    for forged in [other, of_code] {
        let refused = open_release(&sound, &forged).unwrap_err();
        assert!(refused.message.contains("its digest differs"), "{refused}");
        let refused = open_packed(&release_of(&package, &forged), &forged).unwrap_err();
        assert!(refused.message.contains("that its files do not give"), "{refused}");
    }
}

#[test]
fn a_fixed_name_is_left_out_of_the_test_stack_with_a_hint() {
    let package = packaged(&edited("template.yaml", "Properties: {", "Properties: {TopicName: logs-topic, "));
    let test: serde_json::Value = serde_json::from_str(&package.test_template).unwrap();
    assert_eq!(test["Resources"]["Topic"]["Properties"].get("TopicName"), None);
    assert!(package.template.deployed_text().contains("logs-topic"));
    assert!(!package.serial_tests);
    assert_eq!(package.hints.len(), 1);
    let contents = open(&package.artifact).unwrap();
    let stages = Stages::parse("stages.toml", &stages_text()).unwrap();
    assert_eq!(contents.template_in(stages.test()), package.test_template);
}

#[test]
fn a_release_takes_turns_in_test_if_its_names_differ_by_stage_alone() {
    let mut files = edited("template.yaml", "Properties: {", "Properties: {TopicName: !Ref Own, ");
    let template = String::from_utf8(files["template.yaml"].clone()).unwrap();
    let template = template.replace("Parameters:\n", "Parameters:\n  Own: {Type: String}\n");
    files.insert("template.yaml".to_owned(), template.into_bytes());
    let own = |value: &str| {
        let mut files = files.clone();
        let text = format!("Queue = \"${{outputs.logs-cache.Url}}\"\nOwn = \"{value}\"\n");
        files.insert("parameters/default.toml".to_owned(), text.into_bytes());
        files
    };
    for (value, serial, left_out) in [
        ("logs", false, true),
        ("logs-${region}", false, true),
        ("logs-${stage}", true, false),
        ("logs-${version}", false, false),
        ("${outputs.logs-cache.Arn}", false, true),
    ] {
        let package = packaged(&own(value));
        assert_eq!(package.serial_tests, serial, "{value}");
        let is_left_out =
            package.test_differences.iter().any(|difference| difference.property == "TopicName");
        assert_eq!(is_left_out, left_out, "{value}");
        assert_eq!(package.hints.len(), usize::from(left_out), "{value}: {:?}", package.hints);
        assert!(package.hints.iter().all(|hint| hint.file == "broker/template.yaml"), "{value}");
    }
}

#[test]
fn a_name_that_a_check_mentions_is_refused() {
    let mut files = edited("template.yaml", "Properties: {", "Properties: {TopicName: logs-topic, ");
    let manifest = MANIFEST.replace("matches = \".\"", "matches = \"logs-topic\"");
    files.insert("lockstep.toml".to_owned(), manifest.into_bytes());
    let [problem] = problems(&files).try_into().unwrap();
    assert!(problem.starts_with("broker/template.yaml:10: Topic: the TopicName 'logs-topic'"), "{problem}");
    assert!(problem.contains("lockstep.toml mentions it"), "{problem}");
}

#[test]
fn tags_that_replace_a_resource_are_a_hint_until_the_version_is_off() {
    let fixed =
        edited("template.yaml", "Outputs:\n", "  Group:\n    Type: AWS::EC2::PlacementGroup\nOutputs:\n");
    let [hint] = packaged(&fixed).hints.try_into().unwrap();
    assert_eq!((hint.file.as_str(), hint.line), ("broker/template.yaml", Some(11)));
    assert!(hint.message.contains("version = false"), "{}", hint.message);
    let mut off = fixed;
    off.insert("lockstep.toml".to_owned(), format!("{MANIFEST}\n[tags]\nversion = false\n").into_bytes());
    let package = packaged(&off);
    assert!(package.hints.is_empty() && !package.manifest.tags.version);
}

#[test]
fn a_patched_image_changes_the_release_and_not_its_source() {
    let before = packaged(&component());
    let mut known = Fixture::new();
    known.images[0].version = "2.1.38".parse().unwrap();
    let after = plan("broker", &component(), &known.input()).unwrap();
    assert_eq!(before.source_digest, after.source_digest);
    assert_ne!(before.digest, after.digest);
    assert_ne!(before.image_lock.digest(), after.image_lock.digest());
}

#[test]
fn a_changed_file_changes_source_and_release() {
    let (before, after) = (packaged(&component()), packaged(&with("README.md", "# The other broker\n")));
    assert_ne!(before.source_digest, after.source_digest);
    assert_ne!(before.digest, after.digest);
    assert_eq!(before.template_digest, after.template_digest);
}

#[test]
fn the_folder_a_component_lies_in_is_not_part_of_its_digest() {
    let elsewhere = plan("other/place", &component(), &Fixture::new().input()).unwrap();
    assert_eq!(elsewhere.digest, packaged(&component()).digest);
}

#[test]
fn without_a_manifest_there_is_no_component() {
    assert_eq!(
        problems(&without("lockstep.toml")),
        ["broker/lockstep.toml: is missing; `lockstep init` writes one"]
    );
}

#[test]
fn the_template_must_be_there_and_be_text() {
    assert_eq!(
        problems(&without("template.yaml")),
        ["broker/template.yaml: is missing, but lockstep.toml names it as the template"]
    );
    let mut files = component();
    files.insert("template.yaml".to_owned(), vec![0xff]);
    assert_eq!(problems(&files), ["broker/template.yaml: is not UTF-8 text"]);
}

#[test]
fn all_problems_are_reported_at_once_relative_to_the_repository() {
    let mut files = edited("lockstep.toml", "team", "taem");
    files.insert("parameters/ci.toml".to_owned(), b"Queue = 1.5\n".to_vec());
    files.insert("notes.txt".to_owned(), ["AKIA", "Z7QHXN3MPLK2WERT"].concat().into_bytes());
    let problems = problems(&files);
    for start in [
        "broker/lockstep.toml:1: ",
        "broker/lockstep.toml:5: ",
        "broker/notes.txt:1: ",
        "broker/parameters/ci.toml:1: ",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(start)), "{start} {problems:?}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn a_component_at_the_top_of_a_repository_has_files_without_a_folder() {
    let problems = reported(plan("", &without("template.yaml"), &Fixture::new().input()));
    assert_eq!(problems, ["template.yaml: is missing, but lockstep.toml names it as the template"]);
}

#[test]
fn every_parameter_must_have_a_value_in_every_stage() {
    let mut known = Fixture::new();
    known.organisation =
        OrganisationParameters::parse("o.toml", "[test]\nVpcId = \"a\"\n[ci]\nVpcId = \"b\"\n").unwrap();
    assert_eq!(
        reported(plan("broker", &component(), &known.input())),
        [
            "broker/template.yaml:4: parameter `VpcId` has no value in stage production; set it in parameters/default.toml \
          or parameters/production.toml"
        ]
    );
    known.organisation = OrganisationParameters::default();
    assert_eq!(
        reported(plan("broker", &component(), &known.input())),
        ["broker/template.yaml:4: parameter `VpcId` has no value in stages test, ci, production; set it in \
          parameters/default.toml or a file for each stage, parameters/<stage>.toml"]
    );
}

#[test]
fn an_output_of_another_component_is_proven_to_exist() {
    let queue =
        |reference: &str| problems(&with("parameters/default.toml", &format!("Queue = \"{reference}\"\n")));
    assert_eq!(
        queue("${outputs.logs-cache.Ulr}"),
        [
            "broker/parameters/default.toml:1: `Queue`: ${outputs.logs-cache.Ulr}: the template of `logs-cache` has no \
          output `Ulr`; did you mean `Url`?"
        ]
    );
    assert_eq!(
        queue("${outputs.log-cache.Url}"),
        [
            "broker/parameters/default.toml:1: `Queue`: ${outputs.log-cache.Url}: no component `log-cache` has been \
          released; did you mean `logs-cache`?"
        ]
    );
    assert_eq!(
        queue("${outputs.logs-broker.Host}"),
        [
            "broker/parameters/default.toml:1: `Queue`: ${outputs.logs-broker.Host}: a component cannot use its own \
          output, which exists only after it is deployed"
        ]
    );
}

#[test]
fn an_output_that_a_loop_declares_counts_as_declared() {
    let mut known = Fixture::new();
    known.producers.insert("logs-cache".parse().unwrap(), ["Url${Zone}".to_owned()].into());
    let files = with("parameters/default.toml", "Queue = \"${outputs.logs-cache.UrlA}\"\n");
    assert!(plan("broker", &files, &known.input()).is_ok());
    assert!(plan("broker", &component(), &known.input()).is_err());
}

#[test]
fn the_test_stack_names_the_stage_whose_outputs_it_uses() {
    assert_eq!(
        problems(&edited("lockstep.toml", "outputs_from = \"ci\"", "")),
        [
            "broker/parameters/default.toml:1: `Queue`: ${outputs.logs-cache.Url}: no other component lives in `test`; add \
          outputs_from = \"<stage>\" to [test] (in test)"
        ]
    );
    for (stage, why) in [
        ("cii", "there is no stage `cii`; did you mean `ci`?"),
        ("test", "no other component lives in `test`; name the stage after it"),
        (
            "production",
            "`production` is reached only by promotion, so a test cannot read its outputs; name a stage that propagates",
        ),
    ] {
        let files = edited("lockstep.toml", "outputs_from = \"ci\"", &format!("outputs_from = \"{stage}\""));
        assert_eq!(problems(&files), [format!("broker/lockstep.toml:12: {why}")]);
    }
}

#[test]
fn a_test_without_references_needs_no_outputs_from() {
    let mut files = edited("lockstep.toml", "outputs_from = \"ci\"", "");
    files.insert("parameters/test.toml".to_owned(), b"Queue = \"none\"\n".to_vec());
    assert!(plan("broker", &files, &Fixture::new().input()).is_ok());
}

#[test]
fn an_image_that_was_never_baked_is_reported_at_its_line() {
    assert_eq!(
        problems(&edited("lockstep.toml", "logstash@^2.1", "logstash@^3")),
        [
            "broker/lockstep.toml:9: no usable version satisfies logstash@^3; there are 2.1.37 (outside the constraint)"
        ]
    );
}

#[test]
fn names_in_the_manifest_must_exist_in_the_template() {
    let text = MANIFEST
        .replace("ImageId", "ImagId")
        .replace("name = \"Host\"", "name = \"Hots\"")
        .replace("\"Topic\"", "\"Tpoic\"")
        + "[drift]\nignore = [{ logical_id = \"Asg\", property = \"/X\", until = \"2027-01-01\", reason = \"x\" }]\n";
    let problems = problems(&with("lockstep.toml", &text));
    for expected in [
        "broker/lockstep.toml:9: the template has no parameter `ImagId`; did you mean `ImageId`?",
        "broker/lockstep.toml:16: the template has no output `Hots`; did you mean `Host`?",
        "broker/lockstep.toml:20: the template has no resource `Tpoic`; did you mean `Topic`?",
        "broker/lockstep.toml:22: the template has no resource `Asg`; known: Topic",
    ] {
        assert!(problems.iter().any(|p| p == expected), "{expected}\n{problems:#?}");
    }
}

#[test]
fn a_parameter_file_of_an_unknown_stage_is_checked_against_the_template() {
    assert_eq!(
        problems(&with("parameters/prod.toml", "Quque = \"x\"\n")),
        [
            "broker/parameters/prod.toml: there is no stage `prod`; known: test, ci, production",
            "broker/parameters/prod.toml:1: the template has no parameter `Quque`; did you mean `Queue`?"
        ]
    );
}

#[test]
fn a_value_that_some_stages_refuse_lists_those_stages() {
    let text = TEMPLATE.replace("Queue: {Type: String}", "Queue: {Type: String, AllowedValues: [test, ci]}");
    let mut files = with("template.yaml", &text);
    files.insert("parameters/default.toml".to_owned(), b"Queue = \"${stage}\"\n".to_vec());
    assert_eq!(
        problems(&files),
        ["broker/parameters/default.toml:1: `Queue`: must be one of test, ci (in production)"]
    );
}

#[test]
fn an_image_id_is_never_typed() {
    assert_eq!(
        problems(&with("parameters/ci.toml", "ImageId = \"ami-12345678\"\n")),
        ["broker/parameters/ci.toml:1: `ImageId` is bound to an image in [images]; remove this value"]
    );
}

#[test]
fn a_problem_of_the_organisations_file_keeps_its_name() {
    let mut known = Fixture::new();
    known.organisation =
        OrganisationParameters::parse("organisation.toml", "[default]\nVpcId = \"${stages.x.account}\"\n")
            .unwrap();
    assert_eq!(
        reported(plan("broker", &component(), &known.input())),
        ["organisation.toml:2: `VpcId`: there is no stage `x`; known: test, ci, production"]
    );
}

#[test]
fn data_resources_without_policies_are_refused_before_packaging() {
    let problems = problems(&edited("template.yaml", "    DeletionPolicy: Retain\n", ""));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("broker/template.yaml:6: Topic"), "{problems:?}");
}

#[test]
fn a_component_inside_a_component_and_a_reserved_name_are_refused() {
    assert_eq!(
        problems(&with("inner/lockstep.toml", MANIFEST)),
        ["broker/inner/lockstep.toml: is a component inside a component; move one of them elsewhere"]
    );
    assert_eq!(
        problems(&with("image-lock.json", "{}")),
        ["broker/image-lock.json: is a name that Lockstep uses in the release; rename this file"]
    );
}

#[test]
fn a_component_beyond_the_cap_is_refused() {
    let mut files = component();
    for n in 0..2 {
        files.insert(format!("large-{n}"), vec![0; MAX_COMPONENT_BYTES / 2]);
    }
    assert_eq!(
        problems(&files),
        ["broker: the component is larger than 50 MiB; keep binaries in images or registries"]
    );
}

#[test]
fn a_name_that_archives_refuse_is_refused() {
    let problems = problems(&with("../evil", "x"));
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn offline_packaging_skips_rules_that_need_the_organisation() {
    let package = plan("broker", &component(), &PackagingInput::default()).unwrap();
    assert_eq!(
        package.unchecked,
        [
            "image logstash@^2.1 for ImageId: the versions that exist are not known here",
            "parameters: the stages are not known here, so no value was resolved",
            "parameter VpcId: no file of this component sets it, so it must come from the organisation's parameters",
        ]
    );
    assert!(package.image_lock.0.is_empty());
}

#[test]
fn each_unknown_input_is_reported_and_the_rest_is_judged() {
    let known = Fixture::new();
    let unchecked = |input: PackagingInput<'_>| plan("broker", &component(), &input).unwrap().unchecked;
    assert_eq!(
        unchecked(PackagingInput { organisation: None, ..known.input() }),
        [
            "parameter VpcId in test, ci, production: no file of this component sets it, so it must come from the \
          organisation's parameters"
        ]
    );
    assert_eq!(
        unchecked(PackagingInput { producers: None, ..known.input() }),
        ["${outputs.logs-cache.Url}: the outputs of other components are not known here"]
    );
    assert_eq!(
        unchecked(PackagingInput { images: None, ..known.input() }),
        ["image logstash@^2.1 for ImageId: the versions that exist are not known here"]
    );
    let wrong = with("parameters/default.toml", "Queue = \"x\"\nQeue = \"x\"\n");
    assert_eq!(reported(plan("broker", &wrong, &PackagingInput::default())).len(), 1);
}

#[test]
fn a_referenced_function_is_pinned_in_the_release_and_read_back() {
    let known = Fixture::new();
    let using = with("parameters/default.toml", "Queue = \"${functions.elb-logs}\"\n");
    let package = plan("broker", &using, &known.input()).unwrap();
    assert_eq!(package.function_lock, known.functions);
    assert_eq!(open(&package.artifact).unwrap().function_lock, known.functions);
    let without = plan("broker", &component(), &known.input()).unwrap();
    assert!(without.function_lock.is_empty());
    assert!(!unpack(&without.artifact, &Limits::DEFAULT).unwrap().contains_key(FUNCTION_LOCK_FILE));
}

#[test]
fn other_code_of_a_function_gives_another_artifact() {
    let mut known = Fixture::new();
    let using = with("parameters/default.toml", "Queue = \"${functions.elb-logs}\"\n");
    let first = plan("broker", &using, &known.input()).unwrap();
    known.functions = FunctionLock::of_keys(&SHIPPED.replace("e3b0", "ffff")).unwrap();
    let second = plan("broker", &using, &known.input()).unwrap();
    assert_eq!(first.source_digest, second.source_digest);
    assert_ne!(first.digest, second.digest);
}

#[test]
fn a_function_that_is_not_shipped_is_refused_at_its_line() {
    let using = with("parameters/default.toml", "Queue = \"${functions.elb-log}\"\n");
    let known = Fixture::new();
    assert_eq!(
        reported(plan("broker", &using, &known.input())),
        [
            "broker/parameters/default.toml:1: `Queue`: ${functions.elb-log}: Lockstep ships no function `elb-log`; \
          did you mean `elb-logs`?"
        ]
    );
    let offline = PackagingInput { functions: None, ..known.input() };
    assert_eq!(
        plan("broker", &using, &offline).unwrap().unchecked,
        ["${functions.elb-log}: what Lockstep ships is not known here"]
    );
}

#[test]
fn a_new_component_passes_unchanged() {
    let name: ComponentName = "logs-index".parse().unwrap();
    let files: Files =
        manifest::template(&name).into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    let package = plan("logs-index", &files, &Fixture::new().input()).unwrap();
    assert_eq!(package.manifest.component.name, name);
    assert_eq!(package.unchecked, Vec::<String>::new());
}

fn repository(paths: &[&str]) -> Files {
    paths.iter().map(|path| ((*path).to_owned(), Vec::new())).collect()
}

#[test]
fn components_are_the_outermost_folders_with_a_manifest() {
    let found = |paths: &[&str]| find_components(&repository(paths));
    assert_eq!(
        found(&[
            "a/lockstep.toml",
            "a-b/lockstep.toml",
            "a/b/lockstep.toml",
            "x/y/lockstep.toml",
            "z/template.yaml"
        ]),
        ["a", "a-b", "x/y"]
    );
    assert_eq!(found(&["lockstep.toml", "a/lockstep.toml"]), [""]);
    assert_eq!(found(&["notlockstep.toml", "a/not.lockstep.toml", "lockstep.toml/x"]), Vec::<String>::new());
}

proptest! {
    #[test]
    fn planning_a_component_with_one_line_removed_never_panics(lost in 0usize..40) {
        let mut files = component();
        for text in files.values_mut() {
            let lines: Vec<String> = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
            let kept: Vec<_> = lines.iter().enumerate().filter(|(n, _)| *n != lost).map(|(_, l)| l.as_str()).collect();
            *text = kept.join("\n").into_bytes();
        }
        if let Err(problems) = plan("broker", &files, &Fixture::new().input()) {
            prop_assert!(problems.iter().all(|p| p.file.starts_with("broker")), "{problems:?}");
        }
    }

    #[test]
    fn no_found_component_lies_inside_another(paths in proptest::collection::vec("([ab]/){0,3}(lockstep.toml|x)", 0..8)) {
        let files: Files = paths.iter().map(|path| (path.clone(), Vec::new())).collect();
        let found = find_components(&files);
        for (n, outer) in found.iter().enumerate() {
            let inside = found.iter().enumerate().any(|(m, f)| m != n && (outer.is_empty() || f.starts_with(&format!("{outer}/"))));
            prop_assert!(!inside, "{found:?}");
        }
        prop_assert_eq!(found.is_empty(), !paths.iter().any(|p| p.ends_with("lockstep.toml")));
    }
}
