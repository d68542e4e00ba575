//! Rules by which CloudFormation refuses a template at once, and what it accepts although a stricter reader would not.

use lockstep_domain::stacks::template::Template;

/// Returns the problems of a template, as `line: message`.
fn problems(text: &str) -> Vec<String> {
    let problems = Template::parse("t", text).err().unwrap_or_default();
    problems.iter().map(|problem| problem.to_string().trim_start_matches("t:").to_owned()).collect()
}

/// Returns a template whose topic has `value` as the property on line 5.
fn property(value: &str) -> String {
    format!("Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Properties:\n      X: {value}\n")
}

fn accepted(text: &str) {
    assert_eq!(problems(text), Vec::<String>::new(), "{text}");
}

/// Checks that `text` has the one problem `expected`.
fn refused(text: &str, expected: &str) {
    assert_eq!(problems(text), [expected], "{text}");
}

const EXTENSIONS: &str = "Transform: AWS::LanguageExtensions\n";
const SAM: &str = "Transform: AWS::Serverless-2016-10-31\n";

#[test]
fn values_have_the_shape_that_their_function_takes() {
    for (value, message) in [
        ("!Join ['-', a, b]", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Join ['-', !Sub a]", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Join [!Ref AWS::Region, [a]]", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Join ['-', [a, [b]]]", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Join ['-', [a, !Split [',', b]]]", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Join a", "Fn::Join takes a list of a delimiter and a list of texts"),
        ("!Split [',', [a]]", "Fn::Split takes a list of a delimiter and a text"),
        ("!Split [',']", "Fn::Split takes a list of a delimiter and a text"),
        ("!Select [first, [a]]", "Fn::Select takes a list of an index and a list of values"),
        ("!Select [0, a]", "Fn::Select takes a list of an index and a list of values"),
        ("!Select [2, [a, b]]", "Fn::Select takes the value 2 of a list of 2: the first is 0"),
        (
            "!Select [!Sub '0', [a, b]]",
            "the index of Fn::Select is a number, Ref or Fn::FindInMap, not Fn::Sub",
        ),
        ("!Sub [a]", "Fn::Sub takes a text, or a list of a text and a mapping of variables"),
        ("!Sub [a, b]", "Fn::Sub takes a text, or a list of a text and a mapping of variables"),
        ("!Sub {a: b}", "Fn::Sub takes a text, or a list of a text and a mapping of variables"),
        ("!Sub ['${a}', {a: [b]}]", "the variable a of Fn::Sub must be text"),
        ("!Base64 [a]", "Fn::Base64 takes one text"),
        ("!GetAZs [a]", "Fn::GetAZs takes the name of a region, or an empty text"),
        ("!ImportValue [a]", "Fn::ImportValue takes the name of an export"),
        ("!ImportValue {Name: a}", "Fn::ImportValue takes the name of an export"),
        ("!Ref [A]", "Ref takes one name"),
        ("{Ref: {Ref: A}}", "Ref takes one name"),
        (
            "!Cidr [10.0.0.0/16]",
            "Fn::Cidr takes an address block, a number of blocks and perhaps a number of bits",
        ),
        (
            "!Cidr [10.0.0.0/16, many]",
            "Fn::Cidr takes an address block, a number of blocks and perhaps a number of bits",
        ),
        ("{'Fn::GetAtt': [AWS, Region, X]}", "Fn::GetAtt takes a resource and an attribute"),
        ("!Transform Macro", "Fn::Transform takes a mapping with the Name of a macro"),
    ] {
        let found = problems(&property(value));
        assert!(found.contains(&format!("5: {message}")), "{value}: {found:?}");
    }
}

#[test]
fn values_of_the_right_shape_are_accepted() {
    for value in [
        "!Join ['', [a, 1, !Ref AWS::Region, !Sub 'b']]",
        "!Join [',', !Ref AWS::NotificationARNs]",
        "!Join [',', !GetAZs '']",
        "!Select [0, !GetAZs {Ref: 'AWS::Region'}]",
        "!Select ['1', [a, b]]",
        "!Split [',', !ImportValue list]",
        "!Cidr [10.0.0.0/16, 4, '8']",
        "!Base64 {'Fn::Sub': 'echo ${AWS::Region}'}",
        "{'Fn::Transform': {Name: 'AWS::Include', Parameters: {Location: 's3://b/k'}}}",
        "!Sub {'Fn::Transform': {Name: Made}}",
        "{Statement: [{Condition: {StringEquals: {a: b}}}]}",
        "{Statement: {Condition: {Bool: {'aws:SecureTransport': false}}}}",
    ] {
        accepted(&property(value));
    }
}

#[test]
fn a_function_stands_only_where_its_section_allows_it() {
    for value in ["!Equals [a, b]", "!Not [{Condition: C}]", "!And [a, b]", "!Contains [[a], a]", "!RefAll a"]
    {
        let found = problems(&property(value));
        assert!(found[0].starts_with("5: Resources do not allow Fn::"), "{value}: {found:?}");
    }
    let condition = |value: &str| format!("{}Conditions:\n  C: {value}\n", property("1"));
    for (value, message) in [
        ("!If [C, !Ref AWS::Region, b]", "the condition C must be one of"),
        ("!Ref AWS::Region", "the condition C must be one of"),
        ("true", "the condition C must be one of"),
        ("!Equals [a]", "Fn::Equals takes a list of two texts"),
        ("!Equals [a, [b]]", "Fn::Equals takes a list of two texts"),
        ("!Equals [a, !ImportValue b]", "an equation in Conditions cannot use Fn::ImportValue"),
        ("!Equals [a, !Base64 b]", "an equation in Conditions cannot use Fn::Base64"),
        ("!Not [a]", "Fn::Not takes a list of one condition"),
        ("!Not {'Fn::Equals': [a, b]}", "Fn::Not takes a list of one condition"),
        ("!And [!Equals [a, b]]", "Fn::And takes a list of two to ten conditions"),
        ("!Or [!Equals [a, b], c]", "Fn::Or takes a list of two to ten conditions"),
    ] {
        let found = problems(&condition(value));
        assert!(found.iter().any(|found| found.starts_with(&format!("7: {message}"))), "{value}: {found:?}");
    }
    for value in [
        "!Equals [!Select [0, !Split [',', !Ref AWS::Region]], !Sub '${AWS::Partition}']",
        "!And [!Not [!Equals [a, b]], !Or [!Equals [a, 1], !Equals [true, b]]]",
    ] {
        accepted(&condition(value));
    }
}

#[test]
fn a_function_that_does_not_exist_is_refused() {
    refused(
        &property("{'Fn::Jion': ['', [a]]}"),
        "5: there is no function Fn::Jion; did you mean `Fn::Join`?",
    );
    refused(&property("{'Fn::Lowercase': a}"), "5: there is no function Fn::Lowercase");
    refused(
        &property("{'Fn::Sub': a, B: c}"),
        "5: Fn::Sub stands beside other keys: a function is a mapping of one key",
    );
    accepted(&format!("Transform: [OwnMacro]\n{}", property("{'Fn::Lowercase': a}")));
}

#[test]
fn what_a_transform_provides_needs_the_transform() {
    let needs =
        |what: &str| format!("{what} needs `Transform: AWS::LanguageExtensions`, which the template lacks");
    for (value, what) in [
        ("!Length [a]", "Fn::Length"),
        ("!ToJsonString {a: b}", "Fn::ToJsonString"),
        ("{'Fn::ForEach::Tags': [T, [a], {'${T}': b}]}", "Fn::ForEach::Tags"),
        ("!FindInMap [M, a, b, {DefaultValue: c}]", "the DefaultValue of Fn::FindInMap"),
        ("!FindInMap [M, !Sub '${AWS::Region}', b]", "Fn::Sub within Fn::FindInMap"),
    ] {
        let text = format!("{}Mappings: {{M: {{a: {{b: c}}}}}}\n", property(value));
        refused(&text, &format!("5: {}", needs(what)));
        accepted(&format!("{EXTENSIONS}{text}"));
    }
    let policy =
        "Resources:\n  A:\n    Type: T::T::T\n    DeletionPolicy: !Ref P\nParameters: {P: {Type: String}}\n";
    refused(policy, &format!("4: {}", needs("a function as DeletionPolicy")));
    accepted(&format!("{EXTENSIONS}{policy}"));
    let function = "Resources:\n  A: {Type: AWS::Serverless::Function, Properties: {Handler: a}}\n";
    refused(
        function,
        "2: A (AWS::Serverless::Function) needs `Transform: AWS::Serverless-2016-10-31`, which the template lacks",
    );
    accepted(&format!("{SAM}{function}"));
    let globals = format!("{}Globals: {{Function: {{Timeout: 5}}}}\n", property("1"));
    refused(
        &globals,
        "6: the section Globals needs `Transform: AWS::Serverless-2016-10-31`, which the template lacks",
    );
    accepted(&format!("{SAM}{globals}"));
    let hooks = format!("{}Hooks: {{H: {{Type: X}}}}\n", property("1"));
    refused(
        &hooks,
        "6: the section Hooks needs `Transform: AWS::CodeDeployBlueGreen`, which the template lacks",
    );
    accepted(&format!("Transform: ['AWS::CodeDeployBlueGreen']\n{hooks}"));
}

#[test]
fn a_transform_that_is_nearly_one_of_aws_is_refused() {
    for (name, near) in [
        ("AWS::Serverless-2016-10-13", "AWS::Serverless-2016-10-31"),
        ("AWS::LanguageExtension", "AWS::LanguageExtensions"),
        ("[AWS::Languageextensions]", "AWS::LanguageExtensions"),
    ] {
        let shown = name.trim_matches(['[', ']']);
        let message = format!("1: there is no transform {shown}; did you mean `{near}`?");
        refused(&format!("Transform: {name}\n{}", property("1")), &message);
    }
    accepted(&format!("Transform: AWS::SomethingNew-2027-01-01\n{}", property("1")));
    accepted(&format!("Transform: OwnMacro\n{}", property("1")));
}

#[test]
fn a_loop_has_a_variable_a_collection_and_a_body() {
    for body in ["[T, [a]]", "[T, [a], b]", "[T, a, {'${T}': b}]", "{a: b}"] {
        let text = format!("{EXTENSIONS}{}", property(&format!("{{'Fn::ForEach::L': {body}}}")));
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].starts_with("6: "), "{found:?}");
    }
}

#[test]
fn a_null_is_refused_wherever_it_stands() {
    let null = |line: u32, key: &str| format!("{line}: {key} has no value: CloudFormation refuses null");
    refused(&property(""), &null(5, "X"));
    refused(&property("{a: ~}"), &null(5, "a"));
    refused(&property("[a, null]"), "5: an item of a list has no value: CloudFormation refuses null");
    refused(
        &format!("{}Parameters:\n  P:\n    Type: String\n    Default:\n", property("1")),
        &null(9, "Default"),
    );
    refused(&format!("{}Outputs:\n  O:\n    Value:\n", property("1")), &null(8, "Value"));
    refused(&format!("{}Metadata:\n  a:\n", property("1")), &null(7, "a"));
    refused("{\"Resources\": {\"A\": {\"Type\": \"T::T::T\",\n\"Metadata\": null}}}", &null(2, "Metadata"));
}

#[test]
fn resources_that_wait_for_each_other_are_refused() {
    let circle =
        |line: u32, names: &str| format!("{line}: resources depend on each other in a circle: {names}");
    for (text, problem) in [
        ("  A: {Type: T::T::T, DependsOn: A}\n", circle(2, "A -> A")),
        ("  A:\n    Type: T::T::T\n    Properties: {X: !Ref A}\n", circle(4, "A -> A")),
        (
            "  A: {Type: T::T::T, Properties: {X: !Sub 'a ${B.Arn}'}}\n  B: {Type: T::T::T, DependsOn: [A]}\n",
            circle(2, "A -> B -> A"),
        ),
        (
            "  A: {Type: T::T::T, Properties: {X: !GetAtt C.Arn}}\n  B: {Type: T::T::T, Properties: {X: [!Ref A]}}\n  \
             C: {Type: T::T::T, DependsOn: B}\n",
            circle(2, "A -> C -> B -> A"),
        ),
        (
            "  A: {Type: T::T::T, Properties: {X: !If [L, !Ref B, !GetAtt B.Arn]}}\n  B: {Type: T::T::T, DependsOn: A}\n\
             Conditions: {L: !Equals [a, b]}\n",
            circle(2, "A -> B -> A"),
        ),
        (
            "  A: {Type: T::T::T, Properties: {X: !If [L, !Ref B, x]}}\n  B: {Type: T::T::T, DependsOn: A}\n\
             Conditions: {L: !Equals [a, b]}\n",
            circle(2, "A -> B -> A"),
        ),
    ] {
        refused(&format!("Resources:\n{text}"), &problem);
    }
    let conditions =
        format!("{}Conditions:\n  C: !Not [!Condition D]\n  D: !Not [!Condition C]\n", property("1"));
    refused(&conditions, "7: conditions depend on each other in a circle: C -> D -> C");
}

#[test]
fn a_circle_that_no_deployment_has_is_accepted() {
    accepted(
        "Resources:\n  A: {Type: T::T::T, Properties: {X: !If [L, !Ref B, x]}}\n  \
         B: {Type: T::T::T, Properties: {X: !If [L, x, !Ref A]}}\nConditions: {L: !Equals [a, b]}\n",
    );
    // A permission that the transform adds refers to the API, and not the function itself.
    accepted(&format!(
        "{SAM}Resources:\n  Api: {{Type: AWS::Serverless::Api, Properties: {{StageName: !Ref Job}}}}\n  \
         Job: {{Type: AWS::Serverless::Function, Properties: {{Events: {{E: {{Type: Api, Properties: {{RestApiId: !Ref Api}}}}}}}}}}\n"
    ));
    accepted("Resources:\n  A: {Type: T::T::T, Metadata: {Name: !Ref A}}\n");
}

#[test]
fn declarations_have_their_own_keys_only() {
    for (section, problem) in [
        (
            "Parameters:\n  P: {Type: String, Descripton: a}\n",
            "7: the parameter P has no key 'Descripton'; did you mean `Description`?",
        ),
        (
            "Parameters:\n  P: {Type: String, Default: !Ref AWS::Region}\n",
            "7: the Default of the parameter P must be text, without functions",
        ),
        (
            "Parameters:\n  P: {Type: CommaDelimitedList, Default: [a]}\n",
            "7: the Default of the parameter P must be text, without functions",
        ),
        (
            "Parameters:\n  P: {Type: String, AllowedValues: a}\n",
            "7: the AllowedValues of the parameter P must be a list of texts",
        ),
        (
            "Parameters:\n  P: {Type: String, NoEcho: maybe}\n",
            "7: the NoEcho of the parameter P must be true or false",
        ),
        (
            "Parameters:\n  P: {Type: 'AWS::EC2::VPC::ID'}\n",
            "7: the parameter P has the unknown type AWS::EC2::VPC::ID",
        ),
        ("Parameters:\n  A: {Type: String}\n", "2: 'A' is a parameter and a resource: rename one of them"),
        (
            "Outputs:\n  O: {Value: a, Export: name}\n",
            "7: the Export of the output O must be a mapping with a Name",
        ),
        (
            "Outputs:\n  O: {Value: a, Export: {Name: [a]}}\n",
            "7: the Name of the Export of the output O must be text",
        ),
        (
            "Outputs:\n  O: {Value: a, Export: {Name: !GetAtt A.Arn}}\n",
            "7: the name of an export cannot use Fn::GetAtt",
        ),
        (
            "Outputs:\n  O: {Value: a, Exports: {Name: b}}\n",
            "7: the output O has no key 'Exports'; did you mean `Export`?",
        ),
        (
            "Outputs:\n  O: {Value: a, Description: !Ref A}\n",
            "7: the Description of the output O must be text, without functions",
        ),
        (
            "Outputs:\n  O: {Value: [a]}\n",
            "7: the value of the output O must be text, or a function that returns text",
        ),
        ("Outputs:\n  O: text\n", "7: the output O must be a mapping"),
        ("Mappings:\n  M: {a: b}\n", "7: a, a key of the mapping M, must be a mapping of keys and values"),
        (
            "Mappings:\n  M: {a: {b: !Ref A}}\n",
            "7: b, a value of the mapping M, must be text or a list of texts",
        ),
        ("Mappings:\n  M: {}\n", "7: the mapping M must be a mapping of keys"),
        ("Mappings:\n  my-map: {a: {b: c}}\n", "7: 'my-map' is not a logical id: use letters and digits"),
        ("Rules:\n  R: {RuleCondition: !Equals [a, b]}\n", "7: the rule R has no Assertions"),
        ("Rules:\n  R: {Assertions: [{Assert: text}]}\n", "7: the rule R takes conditions alone"),
        (
            "Rules:\n  R: {Assertions: [{Asert: !Equals [a, b]}]}\n",
            "7: an assertion of the rule R has no Assert",
        ),
    ] {
        let found = problems(&format!("{}{section}", property("1")));
        assert!(found.iter().any(|found| found == problem), "{section}: {found:?}");
    }
    accepted(&format!(
        "{}Rules:\n  R:\n    RuleCondition: !Equals [!Ref P, a]\n    Assertions:\n      - Assert: !Contains [[a, b], !Ref P]\n        \
         AssertDescription: c\nParameters: {{P: {{Type: List<AWS::EC2::Subnet::Id>, NoEcho: 'TRUE'}}}}\n\
         Mappings: {{M: {{a.b-c: {{d: [e, 1], f: true}}}}}}\n",
        property("1")
    ));
}

#[test]
fn a_lookup_needs_its_keys() {
    let text = |lookup: &str| {
        format!("{}Mappings: {{M: {{ci: {{Size: '1'}}, live: {{Size: '2', Zone: a}}}}}}\n", property(lookup))
    };
    refused(&text("!FindInMap [M, prod, Size]"), "5: the mapping M has no key 'prod'; known: ci, live");
    refused(&text("!FindInMap [M, ci, Zone]"), "5: the mapping M has no key 'Zone' below 'ci'");
    refused(&text("!FindInMap [M, !Ref AWS::Region, Colour]"), "5: the mapping M has no key 'Colour'");
    for lookup in [
        "!FindInMap [M, live, Zone]",
        "!FindInMap [M, !Ref AWS::Region, Zone]",
        "!FindInMap [M, ci, !Ref AWS::Region]",
    ] {
        accepted(&text(lookup));
    }
    accepted(&format!("{EXTENSIONS}{}", text("!FindInMap [M, prod, Size, {DefaultValue: 3}]")));
}

#[test]
fn resources_of_a_module_are_known_in_both_spellings() {
    let module = "Resources:\n  Net: {Type: 'Acme::Vpc::Plain::MODULE'}\n  A:\n    Type: AWS::SNS::Topic\n    \
                  DependsOn: [Net, NetSubnet]\n    Properties:\n      X: ";
    for value in [
        "!Ref NetSubnet",
        "!Ref Net.Subnet",
        "!GetAtt Net.Subnet.Arn",
        "!GetAtt NetSubnet.Arn",
        "!Sub '${Net.Subnet} ${NetSubnet.Arn}'",
    ] {
        accepted(&format!("{module}{value}\n"));
    }
    refused(
        &format!("{module}!Ref Nat.Subnet\n"),
        "7: Ref names 'Nat.Subnet', but the template has no such parameter or resource",
    );
    refused(
        &property("!Ref A.Inner"),
        "5: Ref names 'A.Inner', but the template has no such parameter or resource",
    );
    let template = Template::parse("t", &format!("{module}1\n")).unwrap();
    assert!(template.has_modules());
    assert_eq!(template.line_of("NetSubnet"), Some(2));
    assert!(template.lint(&["NetSubnet".parse().unwrap()]).is_empty());
}

#[test]
fn sam_drops_what_it_does_not_know_of_its_own_resources() {
    let resources = "Resources:\n  J: {Type: AWS::Serverless::Function, Description: a, Note: b}\n";
    accepted(&format!("{SAM}{resources}"));
    let topic = |attribute: &str| format!("Resources:\n  T: {{Type: AWS::SNS::Topic, {attribute}: a}}\n");
    let message =
        |line: u32, key: &str| format!("{line}: a resource has no attribute '{key}': is it a property of T?");
    accepted(&format!("{SAM}{}", topic("Description")));
    refused(&topic("Description"), &message(2, "Description"));
    refused(&format!("{SAM}{}", topic("deletionpolicy")), &message(3, "deletionpolicy"));
}

#[test]
fn a_policy_by_function_is_judged_by_each_of_its_values() {
    let lint = |policy: &str| {
        let text = format!(
            "{EXTENSIONS}Conditions: {{L: !Equals [!Ref AWS::Region, a]}}\nMappings: {{M: {{a: {{p: Retain, q: Delete}}, b: {{p: Snapshot}}}}}}\n\
             Parameters: {{P: {{Type: String, AllowedValues: [Retain, Snapshot]}}, Q: {{Type: String, Default: Retain}}}}\n\
             Resources:\n  V:\n    Type: AWS::EC2::Volume\n    DeletionPolicy: {policy}\n    UpdateReplacePolicy: {policy}\n"
        );
        let template =
            Template::parse("t", &text).unwrap_or_else(|problems| panic!("{policy}: {problems:?}"));
        template.lint(&[]).iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    for keeps in [
        "!If [L, Snapshot, Retain]",
        "!If [L, Retain, !If [L, Snapshot, Retain]]",
        "!FindInMap [M, !Ref AWS::Region, p]",
        "!FindInMap [M, a, p]",
        "!Ref P",
    ] {
        assert_eq!(lint(keeps), Vec::<String>::new(), "{keeps}");
    }
    for loses in
        ["!If [L, Delete, Retain]", "!FindInMap [M, a, q]", "!Ref Q", "!If [L, Retain, !Ref AWS::NoValue]"]
    {
        assert_eq!(lint(loses).len(), 1, "{loses}");
    }
}

#[test]
fn a_name_in_a_long_text_is_refused_at_its_own_line() {
    for (text, line) in [
        ("!Sub |\n        one\n\n        two ${Missing}\n        three", 8),
        ("!Sub >-\n        one\n        two\n        three ${Missing}", 8),
        ("!Sub \"one\n        two\n\n        three ${Missing}\"", 8),
        ("!Sub one\n        two\n        ${Missing}", 7),
        ("\n        Fn::Sub:\n          - |\n            one\n            ${Missing}\n          - {a: b}", 9),
        ("!Base64\n        Fn::Sub: |\n\n\n          one ${Missing}", 9),
    ] {
        let problem =
            format!("{line}: Sub names 'Missing', but the template has no such parameter or resource");
        refused(&property(text), &problem);
    }
}

#[test]
fn words_that_are_no_json_numbers_stay_text() {
    let read = |value: &str| Template::parse("t", &property(value)).unwrap().to_json();
    for word in ["22:15", "000644", "012345678901", "1_000", "0x1F", "+5"] {
        assert_eq!(read(word)["Resources"]["A"]["Properties"]["X"], word);
    }
    let json =
        "{\"Resources\": {\"A\": {\"Type\": \"T::T::T\", \"Properties\": {\"X\": 3e5, \"Y\": -1.5E-2}}}}";
    let properties = &Template::parse("t", json).unwrap().to_json()["Resources"]["A"]["Properties"];
    assert_eq!((properties["X"].as_f64(), properties["Y"].as_f64()), (Some(300_000.0), Some(-0.015)));
}
