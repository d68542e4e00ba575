//! Public parameters in templates.

use super::*;

const IMAGE: &str = "/aws/service/ami-amazon-linux-latest/al2023";

/// The parameter of the value of [`IMAGE`].
fn pin() -> String {
    format!("{PINNED}{}", &Digest::of(IMAGE.as_bytes()).as_str()[..12])
}

/// Returns a template with these parameters and one property.
fn template(parameters: &str, property: &str) -> String {
    format!(
        "Parameters:\n  Name: {{Type: String, Default: a}}\n{parameters}Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    \
         Properties:\n      DisplayName: {property}\n"
    )
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.stored.iter().map(|id| id.as_str()).collect()
}

#[test]
fn a_parameter_that_names_a_public_one_gets_its_value_as_text() {
    for (declared, kind) in [
        ("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "String"),
        ("AWS::SSM::Parameter::Value<String>", "String"),
        ("AWS::SSM::Parameter::Value<List<AWS::EC2::Image::Id>>", "CommaDelimitedList"),
        ("AWS::SSM::Parameter::Value<CommaDelimitedList>", "CommaDelimitedList"),
    ] {
        let parameter = format!(
            "  Base:\n    Type: {declared}\n    Default: {IMAGE}\n    Description: The image\n    AllowedPattern: /aws/.*\n    \
             AllowedValues: ['{IMAGE}']\n    MinLength: 9\n"
        );
        let reading = reading(&[("template.yaml", &template(&parameter, "!Ref Base"))]);
        assert_eq!(names(&reading), ["Base"], "{declared}");
        assert_eq!(
            deployed(&reading)["Parameters"]["Base"],
            json!({"Type": kind, "Default": IMAGE, "Description": "The image"})
        );
    }
}

#[test]
fn a_parameter_with_another_name_remains_one_of_parameter_store() {
    for parameter in [
        "  Base: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /shop/limit}\n",
        "  Base: {Type: 'AWS::SSM::Parameter::Value<String>'}\n",
        "  Base: {Type: 'AWS::SSM::Parameter::Value<String>', Default: '/aws/service/a:3'}\n",
        "  Base: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /aws/service/a, NoEcho: true}\n",
        "  Base: {Type: 'AWS::SSM::Parameter::Name', Default: /aws/service/a}\n",
        "  Base: {Type: String, Default: /aws/service/a}\n",
    ] {
        let text = template(parameter, "!Ref Base");
        let reading = reading(&[("template.yaml", &text)]);
        assert_eq!(names(&reading), Vec::<&str>::new(), "{parameter}");
        assert_eq!(reading.template.deployed_text(), text);
    }
}

#[test]
fn an_image_without_a_public_default_is_read_by_lockstep_too() {
    for default in ["", ", Default: /golden/ami", ", Default: '/golden/ami:3'"] {
        let parameter =
            format!("  Base: {{Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>'{default}}}\n");
        let reading = reading(&[("template.yaml", &template(&parameter, "!Ref Base"))]);
        assert_eq!(names(&reading), ["Base"], "{default}");
        assert_eq!(deployed(&reading)["Parameters"]["Base"]["Type"], "String");
    }
}

#[test]
fn a_dynamic_reference_becomes_a_parameter_wherever_it_stands() {
    let (reference, pin) = (format!("{{{{resolve:ssm:{IMAGE}}}}}"), pin());
    for (written, expected) in [
        (format!("'{reference}'"), json!({"Ref": pin})),
        (format!("'from {reference}!'"), json!({"Fn::Sub": format!("from ${{{pin}}}!")})),
        (format!("'${{HOME}} {reference}'"), json!({"Fn::Sub": format!("${{!HOME}} ${{{pin}}}")})),
        (format!("!Sub '{reference}-${{Name}}'"), json!({"Fn::Sub": format!("${{{pin}}}-${{Name}}")})),
        (
            format!("!Sub ['${{A}}-{reference}', {{A: '{reference}'}}]"),
            json!({"Fn::Sub": [format!("${{A}}-${{{pin}}}"), {"A": {"Ref": pin}}]}),
        ),
        (format!("!Join ['-', [a, '{reference}']]"), json!({"Fn::Join": ["-", ["a", {"Ref": pin}]]})),
        (
            format!("!Base64 'x{reference}{reference}'"),
            json!({"Fn::Base64": {"Fn::Sub": format!("x${{{pin}}}${{{pin}}}")}}),
        ),
    ] {
        let reading = reading(&[("template.yaml", &template("", &written))]);
        assert_eq!(names(&reading), [pin.as_str()], "{written}");
        let deployed = deployed(&reading);
        assert_eq!(deployed["Resources"]["Topic"]["Properties"]["DisplayName"], expected, "{written}");
        assert_eq!(deployed["Parameters"][&pin]["Default"], IMAGE);
    }
}

#[test]
fn references_in_globals_outputs_and_loops_are_found() {
    let reference = format!("'{{{{resolve:ssm:{IMAGE}}}}}'");
    let pinned = json!({"Ref": pin()});
    let globals = format!(
        "Transform: AWS::Serverless-2016-10-31\nGlobals:\n  Function:\n    Layers: [{reference}]\n{}",
        template("", "a")
    );
    let found = deployed(&reading(&[("template.yaml", &globals)]));
    assert_eq!(found["Globals"]["Function"]["Layers"], json!([pinned]));
    let outputs = format!("{}Outputs:\n  Image: {{Value: {reference}}}\n", template("", "a"));
    assert_eq!(deployed(&reading(&[("template.yaml", &outputs)]))["Outputs"]["Image"]["Value"], pinned);
    let looped = format!(
        "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Topics:\n    - Name\n    - [A, B]\n    - Topic${{Name}}:\n        \
         Type: AWS::SNS::Topic\n        Properties: {{DisplayName: {reference}}}\n"
    );
    let found = deployed(&reading(&[("template.yaml", &looped)]));
    let body = &found["Resources"]["Fn::ForEach::Topics"][2]["Topic${Name}"];
    assert_eq!(body["Properties"]["DisplayName"], pinned);
}

#[test]
fn references_that_name_a_version_or_another_place_remain() {
    for written in [
        "'{{resolve:ssm:/aws/service/a:3}}'",
        "'{{resolve:ssm:/shop/limit}}'",
        "'{{resolve:secretsmanager:/aws/service/a}}'",
        "!Sub '{{resolve:ssm:/aws/service/${Name}}}'",
    ] {
        let text = template("", written);
        let reading = reading(&[("template.yaml", &text)]);
        assert_eq!(names(&reading), Vec::<&str>::new(), "{written}");
        assert_eq!(reading.template.deployed_text(), text);
    }
}

const STACK: &str = "Resources:
  Child:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: child.yaml
";

/// Returns what a nested template with the parameter `Base` gets, true if `Base` is a text in it, and the names of the root.
fn nested_with(passed: &str) -> (Value, bool, Vec<String>) {
    let stored = "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>";
    let base = format!("  Base: {{Type: '{stored}', Default: {IMAGE}}}\n");
    let parent = format!("Parameters:\n  Own: {{Type: String, Default: /aws/service/b}}\n{STACK}{passed}");
    let reading = reading(&[("template.yaml", &parent), ("child.yaml", &template(&base, "!Ref Base"))]);
    let (_, child) = reading.local.objects(false).next().unwrap();
    let is_text = !String::from_utf8_lossy(&child).contains(stored);
    let passed = deployed(&reading)["Resources"]["Child"]["Properties"]["Parameters"].clone();
    (passed, is_text, names(&reading).into_iter().map(str::to_owned).collect())
}

#[test]
fn a_nested_template_gets_the_values_from_its_parent() {
    let (passed, is_text, names) = nested_with("");
    assert_eq!((&passed["Base"], is_text, names), (&json!({"Ref": pin()}), true, vec![pin()]));
    let (passed, is_text, names) = nested_with("      Parameters: {Base: /aws/service/b}\n");
    assert_eq!((names.len(), is_text), (1, true));
    assert_ne!(names[0], pin(), "the name that is passed counts");
    assert_eq!(passed["Base"], json!({"Ref": names[0]}));
    let (passed, is_text, names) = nested_with("      Parameters: {Base: !Ref Own}\n");
    assert_eq!((names, &passed["Base"]), (Vec::new(), &json!({"Ref": "Own"})));
    assert!(!is_text, "a function decides about the name");
}

#[test]
fn the_values_reach_nested_templates_at_every_depth() {
    let deep = template("", &format!("'{{{{resolve:ssm:{IMAGE}}}}}'"));
    let middle = STACK.replace("child.yaml", "deep.yaml").replace("Child", "Deep");
    let list = [("template.yaml", STACK), ("child.yaml", middle.as_str()), ("deep.yaml", deep.as_str())];
    let reading = reading(&list);
    assert_eq!(names(&reading), [pin()]);
    let root = deployed(&reading);
    let middle = child(&reading, &root, "Child", false);
    let deep = child(&reading, &middle, "Deep", false);
    for (template, stack) in [(&root, "Child"), (&middle, "Deep")] {
        assert_eq!(template["Resources"][stack]["Properties"]["Parameters"][pin()], json!({"Ref": pin()}));
        assert_eq!(template["Parameters"][pin()]["Type"], "String");
    }
    assert_eq!(deep["Resources"]["Topic"]["Properties"]["DisplayName"], json!({"Ref": pin()}));
    let test: Value =
        serde_json::from_str(&reading.local.test_template(&reading.template, &BTreeSet::new()).0).unwrap();
    assert_eq!(test["Parameters"][pin()]["Default"], IMAGE, "the test stack gets the same values");
}
