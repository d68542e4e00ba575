use super::*;
use crate::delivery::stages::testing::{stage_text, with_production};
use crate::model::ids::{AmiId, FunctionName};
use crate::model::version::Version;
use crate::stacks::template::{Parameter, Template};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "333333333333").in_region("eu-central-1"))
}

const COMMIT: &str = "0123456789012345678901234567890123456789";

const SHIPPED: &str =
    "functions/elb-logs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip";

/// Returns a template with one line for each parameter, the first on line 2.
fn declared(parameters: &str) -> BTreeMap<String, Parameter> {
    let text = format!("Parameters:\n{parameters}Resources:\n  Topic: {{Type: AWS::SNS::Topic}}\n");
    Template::parse("template.yaml", &text).unwrap().parameters().clone()
}

fn files(entries: &[(&str, &str)]) -> ComponentParameters {
    let files: Files =
        entries.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    ComponentParameters::read(&files).unwrap()
}

/// Input of a resolution, with parts that a test can change.
struct Case {
    parameters: BTreeMap<String, Parameter>,
    organisation: Option<OrganisationParameters>,
    component: ComponentParameters,
    overrides: Option<Layer>,
    stage: &'static str,
    images: BTreeMap<LogicalId, AmiId>,
}

fn case(parameters: &str, entries: &[(&str, &str)]) -> Case {
    Case {
        parameters: declared(parameters),
        organisation: None,
        component: files(entries),
        overrides: None,
        stage: "production",
        images: BTreeMap::new(),
    }
}

impl Case {
    fn with<T>(&self, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
        let stages = Stages::parse("stages.toml", &stages_text()).unwrap();
        let outputs = |output: &OutputName| match output.output.as_str() {
            "Host" => Ok(format!("host-of-{}", output.component)),
            "Key" => Ok(["AKIA", "Z7QHXN3MPLK2WERT"].concat()),
            _ => Err("it has no such output".to_owned()),
        };
        let functions = |name: &FunctionName| match name.as_str() {
            "elb-logs" => Ok(SHIPPED.to_owned()),
            _ => Err("Lockstep ships no such function".to_owned()),
        };
        use_it(&Request {
            template_file: "template.yaml",
            parameters: &self.parameters,
            layers: Layers {
                organisation: self.organisation.as_ref(),
                component: &self.component,
                overrides: self.overrides.as_ref(),
            },
            stage: stages.get(&self.stage.parse().unwrap()).unwrap(),
            layers_of: &stages.get(&self.stage.parse().unwrap()).unwrap().name,
            stages: &stages,
            version: &"2.1.37".parse::<Version>().unwrap(),
            commit: &COMMIT.parse().unwrap(),
            outputs: &outputs,
            functions: &functions,
            images: &self.images,
            stored: &|_, _| None,
        })
    }

    fn resolved(&self) -> ResolvedParameters {
        self.with(resolve).unwrap()
    }

    fn value(&self, parameter: &str) -> String {
        self.resolved().values[parameter].clone()
    }

    fn problems(&self) -> Vec<String> {
        self.with(resolve).unwrap_err().iter().map(ToString::to_string).collect()
    }
}

fn reported(problems: Vec<Problem>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_later_layer_wins_over_an_earlier_one() {
    let mut all = case(
        "  A: {Type: String, Default: template}\n",
        &[
            ("parameters/default.toml", "A = \"component default\"\n"),
            ("parameters/production.toml", "A = \"component stage\"\n"),
        ],
    );
    let organisation = "[default]\nA = \"organisation default\"\n[production]\nA = \"organisation stage\"\n";
    all.organisation = Some(OrganisationParameters::parse("organisation.toml", organisation).unwrap());
    all.overrides = Some(Layer::overrides(&[("A".to_owned(), "typed".to_owned())].into()).unwrap());

    let from = |case: &Case| (case.value("A"), case.resolved().provenance["A"].to_string());
    assert_eq!(from(&all), ("typed".into(), "overrides".into()));
    all.overrides = None;
    assert_eq!(
        from(&all),
        ("component stage".into(), "component stage (parameters/production.toml:1)".into())
    );
    all.component.stages.clear();
    assert_eq!(
        from(&all),
        ("component default".into(), "component default (parameters/default.toml:1)".into())
    );
    all.component.default.values.clear();
    assert_eq!(from(&all), ("organisation stage".into(), "organisation stage (organisation.toml:4)".into()));
    all.stage = "ci";
    assert_eq!(
        from(&all),
        ("organisation default".into(), "organisation default (organisation.toml:2)".into())
    );
    all.organisation = None;
    assert_eq!(from(&all), ("template".into(), "template (template.yaml:2)".into()));
}

#[test]
fn every_reference_is_replaced_by_its_value() {
    for (text, value) in [
        ("${stage}", "production"),
        ("${account}/${region}", "333333333333/eu-central-1"),
        ("v${version}", "v2.1.37"),
        ("${commit}", COMMIT),
        ("${stages.ci.account}-${stages.ci.region}", "111111111111-eu-west-1"),
        ("${outputs.logs-broker.Host}:5044", "host-of-logs-broker:5044"),
        ("$${stage} costs $5", "${stage} costs $5"),
    ] {
        let case =
            case("  A: {Type: String}\n", &[("parameters/default.toml", &format!("A = \"{text}\"\n"))]);
        assert_eq!(case.value("A"), value, "{text}");
    }
}

#[test]
fn a_templates_default_is_used_verbatim() {
    assert_eq!(case("  A: {Type: String, Default: '${stage}'}\n", &[]).value("A"), "${stage}");
}

#[test]
fn numbers_booleans_and_lists_become_cloudformations_text() {
    let text = "A = 0x10\nB = true\nC = [\"a\", \"b\"]\nD = []\nE = -5\n";
    let layer = parse_layer("p.toml", text).unwrap();
    let values: Vec<_> = layer.values.values().map(|value| value.text.as_str()).collect();
    assert_eq!(values, ["16", "true", "a,b", "", "-5"]);
}

#[test]
fn values_with_ambiguous_text_are_refused_at_their_line() {
    let text = "A = 1.5\nB = 2027-03-01\nC = [\"a,b\"]\nD = [1]\nE = {}\nF-G = \"x\"\nH = \"${stagee}\"\nI = \"${x\"\n";
    assert_eq!(
        reported(parse_layer("p.toml", text).unwrap_err()),
        [
            "p.toml:1: `A` must be text in quotes, a whole number, true, false or an array of texts, not float",
            "p.toml:2: `B` must be text in quotes, a whole number, true, false or an array of texts, not datetime",
            "p.toml:3: `C`: an item holds a comma, which CloudFormation would take for the end of the item",
            "p.toml:4: `D[]` must be text in quotes, not integer",
            "p.toml:5: `E` must be text in quotes, a whole number, true, false or an array of texts, not table",
            "p.toml:6: `F-G`: 'F-G' is not a logical id (letters and digits)",
            "p.toml:7: `H`: ${stagee} is not known; did you mean `stage`? (write `$${` for a plain `${`)",
            "p.toml:8: `I`: a `${` is not closed by `}`; write `$${` for a plain `${`",
        ]
    );
}

#[test]
fn a_value_is_no_longer_than_cloudformation_takes() {
    let layer = |length| parse_layer("p.toml", &format!("A = \"{}\"\n", "x".repeat(length)));
    assert!(layer(MAX_VALUE_BYTES).is_ok());
    assert_eq!(
        reported(layer(MAX_VALUE_BYTES + 1).unwrap_err()),
        ["p.toml:1: `A`: CloudFormation takes at most 4096 bytes"]
    );
    let grows = format!("A = \"{}${{commit}}\"\n", "x".repeat(4080));
    let problems = case("  A: {Type: String}\n", &[("parameters/default.toml", &grows)]).problems();
    assert_eq!(
        problems,
        ["parameters/default.toml:1: `A`: with its references replaced it has more than 4096 bytes"]
    );
}

#[test]
fn a_parameter_without_a_value_says_where_to_set_it() {
    assert_eq!(
        case("  A: {Type: String}\n", &[]).problems(),
        [
            "template.yaml:2: parameter `A` has no value in stage production; set it in parameters/default.toml or \
          parameters/production.toml"
        ]
    );
}

#[test]
fn a_component_names_no_parameter_that_the_template_lacks() {
    let entries =
        [("parameters/default.toml", "Hosts = \"x\"\n"), ("parameters/ci.toml", "Elsewhere = \"x\"\n")];
    let case = case("  Host: {Type: String, Default: x}\n", &entries);
    assert_eq!(
        case.problems(),
        ["parameters/default.toml:1: the template has no parameter `Hosts`; did you mean `Host`?"]
    );
}

#[test]
fn an_override_of_an_unknown_parameter_is_refused() {
    let mut case = case("  Host: {Type: String, Default: x}\n", &[]);
    case.overrides = Some(Layer::overrides(&[("Port".to_owned(), "1".to_owned())].into()).unwrap());
    assert_eq!(case.problems(), ["the template has no parameter `Port`; known: Host"]);
}

#[test]
fn organisation_layers_may_name_parameters_that_the_template_lacks() {
    let mut case = case("  A: {Type: String}\n", &[]);
    let text = "[default]\nA = \"x\"\nVpcId = \"vpc-1\"\n";
    case.organisation = Some(OrganisationParameters::parse("organisation.toml", text).unwrap());
    assert_eq!(case.resolved().values, [("A".to_owned(), "x".to_owned())].into());
}

#[test]
fn only_the_image_lock_binds_an_image_parameter() {
    let mut case = case("  Ami: {Type: 'AWS::EC2::Image::Id'}\n", &[]);
    case.images = [("Ami".parse().unwrap(), "ami-12345678".parse().unwrap())].into();
    assert_eq!(
        (case.value("Ami"), case.resolved().provenance["Ami"].to_string()),
        ("ami-12345678".into(), "image lock".into())
    );
    case.component = files(&[("parameters/production.toml", "\nAmi = \"ami-99999999\"\n")]);
    case.overrides = Some(Layer::overrides(&[("Ami".to_owned(), "ami-99999999".to_owned())].into()).unwrap());
    assert_eq!(
        case.problems(),
        [
            "`Ami` is bound to an image in [images]; remove this value",
            "parameters/production.toml:2: `Ami` is bound to an image in [images]; remove this value"
        ]
    );
}

#[test]
fn a_no_echo_parameter_takes_only_a_reference_from_any_layer() {
    let no_echo = "  Password: {Type: String, NoEcho: true}\n";
    let with =
        |value: &str| case(no_echo, &[("parameters/default.toml", &format!("Password = \"{value}\"\n"))]);
    for good in
        ["{{resolve:secretsmanager:prod/db:SecretString:password}}", "{{resolve:ssm-secure:/${stage}/db:1}}"]
    {
        assert!(with(good).with(resolve).is_ok(), "{good}");
    }
    for bad in [
        "hunter2",
        "{{resolve:ssm:/plain/db:1}}",
        "{{resolve:secretsmanager:}}",
        "x{{resolve:secretsmanager:a}}",
        "{{resolve:secretsmanager:a}}{{resolve:secretsmanager:b}}",
        "{{resolve:secretsmanager:a b}}",
    ] {
        let problems = with(bad).problems();
        assert_eq!(problems.len(), 1, "{bad}");
        assert!(
            problems[0].starts_with("parameters/default.toml:1: `Password`: the template marks it NoEcho")
        );
        assert!(!problems[0].contains(bad), "{problems:?}");
    }
    let default = case("  Password: {Type: String, NoEcho: true, Default: hunter2}\n", &[]).problems();
    assert!(
        default[0].starts_with("template.yaml:2: `Password`: the template marks it NoEcho"),
        "{default:?}"
    );
}

#[test]
fn a_no_echo_value_that_is_no_secret_is_accepted() {
    let names = [
        ("String", ""),
        ("CommaDelimitedList", ""),
        ("AWS::SSM::Parameter::Value<String>", "/shop/key"),
        ("AWS::SSM::Parameter::Value<List<String>>", "/shop/keys"),
        ("AWS::SSM::Parameter::Name", "/shop/key"),
        ("AWS::EC2::KeyPair::KeyName", "operators"),
    ];
    for (kind, value) in names {
        let default = format!("  Hidden: {{Type: '{kind}', NoEcho: true, Default: '{value}'}}\n");
        assert!(case(&default, &[]).with(resolve).is_ok(), "{kind}");
        let bare = format!("  Hidden: {{Type: '{kind}', NoEcho: true}}\n");
        let set = [("parameters/default.toml", format!("Hidden = \"{value}\"\n"))];
        assert!(case(&bare, &[(set[0].0, &set[0].1)]).with(resolve).is_ok(), "{kind}");
    }
    for kind in ["String", "Number", "List<Number>", "CommaDelimitedList"] {
        let default = format!("  Hidden: {{Type: '{kind}', NoEcho: true, Default: '7'}}\n");
        assert_eq!(case(&default, &[]).problems().len(), 1, "{kind}");
    }
}

#[test]
fn credentials_are_refused_in_files_overrides_and_referenced_values() {
    let key = ["AKIA", "Z7QHXN3MPLK2WERT"].concat();
    let file = reported(parse_layer("p.toml", &format!("\nA = \"{key}\"\n")).unwrap_err());
    assert!(file[0].starts_with("p.toml:2: ") && !file[0].contains(&key), "{file:?}");
    let organisation = OrganisationParameters::parse("o.toml", &format!("[default]\nA = \"{key}\"\n"));
    assert_eq!(organisation.unwrap_err()[0].line, Some(2));
    let typed = reported(Layer::overrides(&[("A".to_owned(), key.clone())].into()).unwrap_err());
    assert!(typed[0].starts_with("override of A: ") && !typed[0].contains(&key), "{typed:?}");
    let layer = [("parameters/default.toml", "A = \"${outputs.broker.Key}\"\n")];
    let referenced = case("  A: {Type: String}\n", &layer).problems();
    assert!(
        referenced[0].starts_with("parameters/default.toml:1: `A`: ") && !referenced[0].contains(&key),
        "{referenced:?}"
    );
}

#[test]
fn a_value_the_template_does_not_allow_is_refused_at_its_line() {
    let entries = [("parameters/production.toml", "\nPort = 70000\n")];
    let problems = case("  Port: {Type: Number, MaxValue: 65535}\n", &entries).problems();
    assert_eq!(problems, ["parameters/production.toml:2: `Port`: must be at most 65535"]);
}

#[test]
fn a_provisional_value_is_checked_only_if_it_is_settled() {
    let parameters =
        "  A: {Type: String, AllowedPattern: 'v2.*'}\n  B: {Type: String, AllowedPattern: 'prod'}\n";
    let entries = [("parameters/default.toml", "A = \"${version}\"\nB = \"${stage}\"\n")];
    let case = case(parameters, &entries);
    let rehearsal = case.with(|request| rehearse(request, true));
    assert_eq!(reported(rehearsal.problems), ["parameters/default.toml:2: `B`: must match prod"]);
    let resolved = case.problems();
    assert_eq!(resolved[0], "parameters/default.toml:1: `A`: must match v2.*", "{resolved:?}");
    assert_eq!(resolved.len(), 2);
}

#[test]
fn an_unknown_stage_or_output_is_refused_with_the_known_names() {
    let text = "A = \"${stages.prod.account}\"\nB = \"${outputs.broker.Port}\"\n";
    let problems =
        case("  A: {Type: String}\n  B: {Type: String}\n", &[("parameters/default.toml", text)]).problems();
    assert_eq!(
        problems,
        [
            "parameters/default.toml:1: `A`: there is no stage `prod`; known: test, ci, production",
            "parameters/default.toml:2: `B`: ${outputs.broker.Port}: it has no such output"
        ]
    );
}

#[test]
fn a_function_of_lockstep_stands_for_the_key_of_its_code() {
    let parameters = "  A: {Type: String}\n  B: {Type: String}\n";
    let text = "A = \"${functions.elb-logs}\"\nB = \"${functions.elb}\"\n";
    let used = case(parameters, &[("parameters/default.toml", text)]);
    assert_eq!(
        used.problems(),
        ["parameters/default.toml:2: `B`: ${functions.elb}: Lockstep ships no such function"]
    );
    let named = used.with(|request| functions(request.parameters, &request.layers, request.layers_of));
    assert_eq!(named.iter().map(ToString::to_string).collect::<Vec<_>>(), ["elb", "elb-logs"]);
    let text = "A = \"${functions.elb-logs}\"\nB = \"x\"\n";
    assert_eq!(case(parameters, &[("parameters/default.toml", text)]).value("A"), SHIPPED);
}

#[test]
fn only_references_that_apply_in_the_stage_are_read() {
    let mut case = case(
        "  A: {Type: String}\n  B: {Type: String}\n",
        &[
            ("parameters/default.toml", "A = \"${outputs.a.X}\"\nB = \"${outputs.b.X}${outputs.c.X}\"\n"),
            ("parameters/production.toml", "A = \"plain\"\n"),
        ],
    );
    let text = "[default]\nC = \"${outputs.d.X}\"\n";
    case.organisation = Some(OrganisationParameters::parse("o.toml", text).unwrap());
    let found = case.with(|request| references(request.parameters, &request.layers, request.layers_of));
    let names: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["b.X".to_owned(), "c.X".to_owned()].into());
}

#[test]
fn the_digest_depends_on_the_values_and_not_on_their_layers() {
    let parameters = "  A: {Type: String}\n  B: {Type: String, Default: y}\n";
    let here = case(parameters, &[("parameters/default.toml", "A = \"x\"\n")]).resolved();
    let there = case(parameters, &[("parameters/production.toml", "\n\nB = \"y\"\nA = \"x\"\n")]).resolved();
    let other = case(parameters, &[("parameters/default.toml", "A = \"y\"\n")]).resolved();
    assert_eq!(here.digest(), there.digest());
    assert_ne!(here.digest(), other.digest());
    assert_eq!(here.digest(), crate::model::ids::Digest::of(br#"{"A":"x","B":"y"}"#));
}

#[test]
fn every_file_of_the_parameter_folder_is_read_or_refused() {
    let files: Files = [
        ("parameters/default.toml", "A = 1\n"),
        ("parameters/ci.toml", ""),
        ("parameters/notes.md", "x"),
        ("parameters/old/ci.toml", ""),
        ("parameters/Prod.toml", ""),
        ("parameters.toml", "not = [ours"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .into();
    let problems = reported(ComponentParameters::read(&files).unwrap_err());
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems.iter().any(|p| p.starts_with("parameters/notes.md: is no parameter file")));
    assert!(problems.iter().any(|p| p.starts_with("parameters/old/ci.toml: 'old/ci' is not a stage name")));
    assert!(problems.iter().any(|p| p.starts_with("parameters/Prod.toml: 'Prod' is not a stage name")));
}

#[test]
fn a_file_that_is_not_text_is_refused() {
    let files: Files = [("parameters/default.toml".to_owned(), vec![0xff, 0xfe])].into();
    let problems = reported(ComponentParameters::read(&files).unwrap_err());
    assert_eq!(problems, ["parameters/default.toml: is not UTF-8 text"]);
}

#[test]
fn a_file_or_table_for_a_stage_that_does_not_exist_is_refused() {
    let stages = Stages::parse("stages.toml", &stages_text()).unwrap();
    let component = files(&[("parameters/ci.toml", ""), ("parameters/prodution.toml", "")]);
    assert_eq!(
        reported(component.check_stages(&stages)),
        ["parameters/prodution.toml: there is no stage `prodution`; did you mean `production`?"]
    );
    let organisation = OrganisationParameters::parse("o.toml", "[default]\n[ci]\n[staging]\n").unwrap();
    assert_eq!(
        reported(organisation.check_stages(&stages)),
        ["o.toml: there is no stage `staging`; known: test, ci, production"]
    );
}

#[test]
fn an_organisations_value_outside_of_a_table_is_refused() {
    assert_eq!(
        reported(OrganisationParameters::parse("o.toml", "A = 1\n[Prod]\nB = 1\n").unwrap_err()),
        [
            "o.toml:1: `A` stands outside of any table; put it below [default] or a stage",
            "o.toml:2: `Prod`: 'Prod' is not a stage name (lower-case letters, digits and single hyphens, at most 20, \
             starting with a letter)"
        ]
    );
}

#[test]
fn layers_and_resolved_values_survive_a_round_trip() {
    let component = files(&[("parameters/default.toml", "A = \"x\"\n"), ("parameters/ci.toml", "A = 1\n")]);
    let stored = serde_json::to_string(&component).unwrap();
    assert_eq!(serde_json::from_str::<ComponentParameters>(&stored).unwrap(), component);
    let resolved = case("  A: {Type: String, Default: x}\n", &[]).resolved();
    let stored = serde_json::to_string(&resolved).unwrap();
    assert_eq!(serde_json::from_str::<ResolvedParameters>(&stored).unwrap(), resolved);
}

proptest! {
    #[test]
    fn the_strongest_layer_that_holds_a_value_decides(present in any::<[bool; 5]>()) {
        let layer = |n: usize, name: &str| Layer {
            file: name.to_owned(),
            values: present[n].then(|| ("A".parse().unwrap(), Value { text: name.to_owned(), line: None })).into_iter().collect(),
        };
        let stage: StageName = "production".parse().unwrap();
        let mut case = case("  A: {Type: String, Default: template}\n", &[]);
        case.organisation = Some(OrganisationParameters { default: layer(0, "od"), stages: [(stage.clone(), layer(1, "os"))].into() });
        case.component = ComponentParameters { default: layer(2, "cd"), stages: [(stage, layer(3, "cs"))].into() };
        case.overrides = Some(layer(4, "ov"));
        let names = ["od", "os", "cd", "cs", "ov"];
        let expected = (0..5).rev().find(|n| present[*n]).map_or("template", |n| names[n]);
        prop_assert_eq!(case.value("A"), expected);
    }

    #[test]
    fn plain_text_is_used_verbatim(text in "[^\\p{C}$\"\\\\]{0,60}") {
        prop_assume!(find_credentials("", text.as_bytes()).is_empty());
        let file = format!("A = \"{text}\"\n");
        prop_assume!(find_credentials("", file.as_bytes()).is_empty());
        let case = case("  A: {Type: String}\n", &[("parameters/default.toml", &file)]);
        prop_assert_eq!(case.value("A"), text);
    }
}
