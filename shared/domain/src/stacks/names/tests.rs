use super::*;

const DEVELOPMENT: &str = "111111111111";

fn stage(name: &str, account: &str, parameters: &[(&str, &str)]) -> StageValues {
    StageValues {
        stage: name.parse().unwrap(),
        location: Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        references: BTreeMap::new(),
    }
}

/// Returns `test` and `ci` in one account, and `production` in another one.
fn sharing() -> Vec<StageValues> {
    vec![
        stage("test", DEVELOPMENT, &[("Stage", "test"), ("Fixed", "bills"), ("List", "a, bills")]),
        stage("ci", DEVELOPMENT, &[("Stage", "ci"), ("Fixed", "bills"), ("List", "a, bills")]),
        stage(
            "production",
            "333333333333",
            &[("Stage", "production"), ("Fixed", "bills"), ("List", "a,bills")],
        ),
    ]
}

fn judged_with(text: &str, stages: &[StageValues], files: &[(&str, &str)]) -> FixedNames {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    judge("t.yaml", &Template::parse("t.yaml", text).unwrap(), stages, &files)
}

fn judged(text: &str) -> FixedNames {
    judged_with(text, &sharing(), &[])
}

/// Returns a template with a queue of this name.
fn queue(name: &str) -> String {
    format!(
        "Parameters:\n  Stage: {{Type: String}}\n  Fixed: {{Type: String}}\n  List: {{Type: CommaDelimitedList}}\n  \
         Unset: {{Type: String}}\nMappings:\n  M: {{ci: {{Name: bills}}, test: {{Name: bills}}, other: {{Name: x}}}}\n\
         Conditions:\n  Test: !Equals [!Ref Stage, test]\n  Odd: !Equals [!Ref Unset, a]\nResources:\n  Queue:\n    \
         Type: AWS::SQS::Queue\n    Properties:\n      QueueName: {name}\n"
    )
}

#[test]
fn a_name_that_is_the_same_in_both_stages_is_left_out() {
    for name in [
        "bills",
        "!Sub bills",
        "!Sub 'bills-${AWS::Region}'",
        "!Sub 'bills-${AWS::AccountId}'",
        "!Sub ['${A}-x', {A: !Ref Fixed}]",
        "!Join ['-', [bills, queue]]",
        "!Join ['-', [!Ref Fixed, !Ref AWS::Region]]",
        "!Ref Fixed",
        "!Select [1, !Ref List]",
        "!Select [0, !Split ['-', 'bills-queue']]",
        "!FindInMap [M, !Ref Stage, Name]",
        "!If [Test, bills, !If [Odd, bills, bills]]",
        "!ImportValue shared-name",
        "!Sub '{{resolve:ssm:/name}}'",
        "{'Fn::Sub': 'bills'}",
    ] {
        let found = judged(&queue(name));
        let expected = LeftOutName { logical_id: "Queue".into(), property: Some("QueueName".into()) };
        assert_eq!(found.left_out, [expected].into(), "{name}");
        assert_eq!((found.problems, found.serial_tests), (Vec::new(), false), "{name}");
        assert_eq!(found.hints.len(), 1, "{name}");
        assert_eq!(found.hints[0].line, Some(15), "{name}");
    }
}

#[test]
fn a_name_that_differs_from_stack_to_stack_remains() {
    for name in [
        "!Sub '${AWS::StackName}-bills'",
        "!Join ['-', [bills, !Select [2, !Split ['/', !Ref AWS::StackId]]]]",
        "!Ref AWS::NoValue",
        "!Sub '${Unset}-bills'",
        "!GetAtt Other.TopicName",
    ] {
        let text = format!("{}  Other: {{Type: AWS::SNS::Topic}}\n", queue(name));
        assert_eq!(judged(&text), FixedNames::default(), "{name}");
    }
}

#[test]
fn a_name_with_the_stage_makes_tests_take_turns() {
    for name in ["!Sub 'bills-${Stage}'", "!If [Test, a, b]"] {
        let found = judged(&queue(name));
        assert_eq!(found, FixedNames { serial_tests: true, ..FixedNames::default() }, "{name}");
    }
    let mut apart = sharing();
    apart[0] = stage("test", "222222222222", &[("Stage", "test")]);
    assert!(judged_with(&queue("bills"), &apart, &[]).serial_tests);
}

#[test]
fn an_export_is_a_name() {
    let export = |name: &str| {
        format!(
            "Resources:\n  T: {{Type: AWS::SNS::Topic}}\nOutputs:\n  Arn:\n    Value: !Ref T\n    Export: {{Name: {name}}}\n"
        )
    };
    let found = judged(&export("orders"));
    assert_eq!(found.left_out, [LeftOutName { logical_id: "Arn".into(), property: None }].into());
    assert_eq!(found.hints[0].line, Some(6));
    assert_eq!(judged(&export("!Sub '${AWS::StackName}-orders'")), FixedNames::default());
}

#[test]
fn a_mention_elsewhere_is_a_refusal_with_line_and_remedy() {
    let mentioning = |value: &str| {
        format!(
            "{}  Other:\n    Type: AWS::SNS::Topic\n    Properties: {{DisplayName: {value}}}\n",
            queue("bills")
        )
    };
    for value in
        ["bills", "!Ref Fixed", "!Sub 'arn:aws:sqs:${AWS::Region}:1:${Fixed}'", "'arn:aws:sqs:*:*:bil*'"]
    {
        let found = judged(&mentioning(value));
        assert!(found.left_out.is_empty(), "{value}");
        let [problem] = found.problems.as_slice() else { panic!("{value}: {found:?}") };
        assert_eq!((problem.file.as_str(), problem.line), ("t.yaml", Some(15)));
        for part in
            ["'bills'", "ci has in the same account and region", "line 18 mentions it", "${AWS::StackName}"]
        {
            assert!(problem.message.contains(part), "{value}: {}", problem.message);
        }
    }
    for value in ["waybills", "!Ref Queue", "!GetAtt Queue.QueueName"] {
        assert_eq!(judged(&mentioning(value)).problems, [], "{value}");
    }
    let labelled = format!(
        "{}      Tags: [{{Key: Name, Value: bills}}]\n    Metadata: {{Note: bills}}\n",
        queue("bills")
    );
    assert_eq!(judged(&labelled).problems, []);
    let found = judged_with(&queue("bills"), &sharing(), &[("src/send.py", "queue = 'bills'\n")]);
    assert!(found.problems[0].message.contains("src/send.py mentions it"), "{found:?}");
}

#[test]
fn two_resources_of_one_name_do_not_mention_each_other() {
    let text = format!(
        "{}  Topic:\n    Type: AWS::SNS::Topic\n    Properties: {{TopicName: bills}}\n",
        queue("bills")
    );
    let found = judged(&text);
    assert_eq!((found.left_out.len(), found.problems), (2, Vec::new()));
}

#[test]
fn a_log_group_is_named_after_its_function() {
    let named = |name: &str| {
        format!(
            "Resources:\n  Fn:\n    Type: AWS::Lambda::Function\n    Properties: {{FunctionName: bills}}\n  Log:\n    \
             Type: AWS::Logs::LogGroup\n    Properties:\n      LogGroupName: {name}\n"
        )
    };
    let found = judged(&named("/aws/lambda/bills"));
    assert!(found.problems[0].message.contains("Fn: the FunctionName 'bills'"), "{found:?}");
    assert!(found.problems[0].message.contains("line 8 mentions it"), "{found:?}");
    assert_eq!(judged(&named("!Sub '/aws/lambda/${Fn}'")).problems, []);
}

#[test]
fn a_type_that_needs_its_name_is_refused() {
    let alias = "Resources:\n  Alias:\n    Type: AWS::KMS::Alias\n    Properties:\n      AliasName: alias/bills\n      TargetKeyId: k\n";
    let [problem] = judged(alias).problems.try_into().unwrap();
    assert_eq!(problem.line, Some(5));
    assert!(problem.message.contains("AWS::KMS::Alias cannot be without this name"), "{}", problem.message);
}

#[test]
fn a_name_is_unique_within_its_scope_and_parent() {
    let of = |kind: &str, properties: &str| {
        format!(
            "Resources:\n  A:\n    Type: AWS::{kind}\n    Properties: {properties}\n  Bus: {{Type: AWS::SNS::Topic}}\n"
        )
    };
    let mut elsewhere = sharing();
    elsewhere[1].location.region = "eu-north-1".parse().unwrap();
    let left_out = |stages: &[StageValues], text: &str| judged_with(text, stages, &[]).left_out.len();
    assert_eq!(left_out(&elsewhere, &of("SQS::Queue", "{QueueName: a}")), 0);
    assert_eq!(left_out(&elsewhere, &of("IAM::Role", "{RoleName: a}")), 1);
    elsewhere[1].location.account = "444444444444".parse().unwrap();
    assert_eq!(left_out(&elsewhere, &of("IAM::Role", "{RoleName: a}")), 0);
    assert_eq!(left_out(&elsewhere, &of("S3::Bucket", "{BucketName: a}")), 1);
    assert_eq!(judged(&of("Events::Rule", "{Name: a, EventBusName: !Ref Bus}")), FixedNames::default());
    assert_eq!(judged(&of("Events::Rule", "{Name: a}")).left_out.len(), 1);
    assert_eq!(judged(&of("ApiGateway::RestApi", "{Name: a}")), FixedNames::default());
}

#[test]
fn a_resource_that_a_stage_does_not_have_claims_nothing() {
    let text = queue("bills").replace("Type: AWS::SQS::Queue", "Type: AWS::SQS::Queue\n    Condition: Test");
    assert_eq!(judged(&text), FixedNames { serial_tests: true, ..FixedNames::default() });
}

#[test]
fn two_later_stages_with_one_name_are_a_hint() {
    let text = "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    Properties: {BucketName: bills}\n";
    let found = judged(text);
    let hints: Vec<String> = found.hints.iter().map(|hint| hint.message.clone()).collect();
    assert!(hints[1].contains("`ci` and `production` would both have the BucketName 'bills'"), "{hints:?}");
    assert_eq!(found.problems, []);
}

#[test]
fn a_name_made_by_a_loop_is_found() {
    let text = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Queues:\n    - Purpose\n    - [A, B]\n    - Queue${Purpose}:\n        \
                Type: AWS::SQS::Queue\n        Properties: {QueueName: !Sub 'bills-${Purpose}'}\n";
    let expected = LeftOutName { logical_id: "Queue${Purpose}".into(), property: Some("QueueName".into()) };
    assert_eq!(judged(text).left_out, [expected].into());
}

/// Judges a nested stack that each stage gives the values of `stages`.
fn judged_nested(text: &str, stages: &[StageValues]) -> FixedNames {
    let template = Template::parse("queues.yaml", text).unwrap();
    let stack = |values: &StageValues| {
        vec![NestedStack { path: "Net.".into(), template: &template, values: values.clone() }]
    };
    judge_nested(&stages.iter().map(stack).collect::<Vec<_>>())
}

#[test]
fn a_fixed_name_of_a_nested_template_is_refused() {
    for name in ["bills", "!Sub 'bills-${AWS::Region}'", "!Ref Fixed"] {
        let found = judged_nested(&queue(name), &sharing());
        let [problem] = found.problems.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!(problem.file, "queues.yaml");
        assert!(problem.message.contains("the template is a nested one"), "{problem}");
        assert!(!found.serial_tests);
    }
    for name in ["!Ref Stage", "!Ref Unset", "!Sub '${AWS::StackName}-bills'"] {
        assert_eq!(judged_nested(&queue(name), &sharing()).problems, [], "{name}");
    }
    let apart = vec![stage("test", "444444444444", &[]), stage("ci", DEVELOPMENT, &[])];
    let found = judged_nested(&queue("bills"), &apart);
    assert_eq!((found.problems.len(), found.serial_tests), (0, true));
}
