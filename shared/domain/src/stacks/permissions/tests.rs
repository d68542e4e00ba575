use super::policy::{POLICY_CHARS_MAX, covers, split, statements};
use super::*;
use crate::model::permission::Certainty;
use std::collections::BTreeSet;

mod fixture;
mod lacking;
mod nested;
mod policies;
mod properties;

use fixture::table;

pub(super) fn found(text: &str, known: &TemplateContext) -> Needs {
    let template = Template::parse("template.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    needs(&template, &table(), known)
}

fn with(parameters: &[(&str, &str)]) -> TemplateContext {
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TemplateContext { parameters, ..TemplateContext::default() }
}

/// Returns the actions of a level, each once.
fn actions(needs: &Needs, level: Level) -> BTreeSet<&str> {
    needs.of(level).map(|need| need.action.as_str()).collect()
}

/// Returns the ARNs of an action without their common start.
fn arns<'n>(needs: &'n Needs, action: &str) -> Vec<&'n str> {
    let of = needs.needs.iter().filter(|need| need.action == action);
    of.map(|need| need.arn.trim_start_matches("arn:${AWS::Partition}:")).collect()
}

const OWN: &str = "${AWS::Region}:${AWS::AccountId}";

#[test]
fn every_queue_needs_its_type_and_the_tags_of_the_stack() {
    let needs = found("Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n", &TemplateContext::default());
    let expected = [
        "sqs:CreateQueue",
        "sqs:DeleteQueue",
        "sqs:GetQueueAttributes",
        "sqs:SetQueueAttributes",
        "sqs:TagQueue",
        "sqs:UntagQueue",
    ];
    assert_eq!(actions(&needs, Level::Required), expected.into());
    assert!(actions(&needs, Level::Conditional).is_empty(), "{needs:?}");
    let tag = needs.needs.iter().find(|need| need.action == "sqs:TagQueue").unwrap();
    assert_eq!((tag.line, tag.resource.as_str(), tag.because.as_str()), (2, "Queue", "the stack is tagged"));
    assert_eq!(arns(&needs, "sqs:TagQueue"), [format!("sqs:{OWN}:*")]);
    assert_eq!(tag.certainty, Certainty::Made);
}

#[test]
fn a_property_adds_its_permission_only_if_it_is_set() {
    let queue = |properties: &str| {
        let text = format!("Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties: {properties}\n");
        found(&text, &TemplateContext::default())
    };
    assert!(actions(&queue("{KmsMasterKeyId: alias/x}"), Level::Required).contains("kms:DescribeKey"));
    for unset in ["{DelaySeconds: 1}", "{KmsMasterKeyId: !Ref AWS::NoValue}"] {
        assert!(arns(&queue(unset), "kms:DescribeKey").is_empty(), "{unset}");
    }
}

const BRANCHES: &str = "Parameters:\n  Stage: {Type: String}\n\
    Conditions:\n  IsProduction: !Equals [!Ref Stage, production]\n\
    Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      \
    KmsMasterKeyId: !If [IsProduction, alias/x, !Ref AWS::NoValue]\n  \
    Extra:\n    Type: AWS::Logs::LogGroup\n    Condition: IsProduction\n";

#[test]
fn an_unknown_condition_makes_a_permission_conditional() {
    let needs = found(BRANCHES, &TemplateContext::default());
    let conditional = [("kms:DescribeKey"), ("logs:CreateLogGroup")];
    assert_eq!(actions(&needs, Level::Conditional), conditional.into());
    let key = needs.of(Level::Conditional).next().unwrap();
    assert_eq!(key.because, "/KmsMasterKeyId may be set: the condition IsProduction is not known");
}

#[test]
fn a_known_parameter_decides_a_condition() {
    let production = found(BRANCHES, &with(&[("Stage", "production")]));
    assert!(actions(&production, Level::Conditional).is_empty());
    assert!(
        actions(&production, Level::Required).is_superset(&["kms:DescribeKey", "logs:CreateLogGroup"].into())
    );
    let other = found(BRANCHES, &with(&[("Stage", "ci")]));
    assert!(arns(&other, "kms:DescribeKey").is_empty() && arns(&other, "logs:CreateLogGroup").is_empty());
}

#[test]
fn conditions_are_combined_as_far_as_they_are_known() {
    let resource = |condition: &str| {
        let text = format!(
            "Parameters:\n  A: {{Type: String}}\n  B: {{Type: String}}\nConditions:\n  X: {condition}\n\
             Resources:\n  Group:\n    Type: AWS::Logs::LogGroup\n    Condition: X\n"
        );
        let needs = found(&text, &with(&[("A", "1")]));
        needs.needs.first().map(|need| need.level)
    };
    let (yes, no, open) = ("!Equals [!Ref A, '1']", "!Equals [!Ref A, '2']", "!Equals [!Ref B, '1']");
    for (condition, expected) in [
        (yes.to_owned(), Some(Level::Required)),
        (no.to_owned(), None),
        (open.to_owned(), Some(Level::Conditional)),
        (format!("!Not [{no}]"), Some(Level::Required)),
        (format!("!And [{no}, {open}]"), None),
        (format!("!And [{yes}, {open}]"), Some(Level::Conditional)),
        (format!("!Or [{yes}, {open}]"), Some(Level::Required)),
        (format!("!Or [{no}, {open}]"), Some(Level::Conditional)),
    ] {
        assert_eq!(resource(&condition), expected, "{condition}");
    }
}

#[test]
fn a_name_is_followed_to_the_arn() {
    let named = |name: &str, known: &TemplateContext| {
        let text = format!(
            "Parameters:\n  Name: {{Type: String, Default: d}}\nResources:\n  Queue:\n    Type: AWS::SQS::Queue\n    \
             Properties:\n      QueueName: {name}\n"
        );
        let needs = found(&text, known);
        let need = needs.needs.iter().find(|need| need.action == "sqs:CreateQueue").unwrap().clone();
        (
            need.arn
                .trim_start_matches("arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:")
                .to_owned(),
            need,
        )
    };
    let nothing = TemplateContext::default();
    assert_eq!(named("orders", &nothing).0, "orders");
    assert_eq!(named("!Sub 'orders-${AWS::Region}'", &nothing).0, "orders-${AWS::Region}");
    assert_eq!(named("!Sub 'orders-${Name}'", &nothing).0, "orders-*");
    assert_eq!(named("!Join ['-', [orders, !Ref Name]]", &nothing).0, "orders-*");
    assert_eq!(named("!Ref Name", &with(&[("Name", "shop")])).0, "shop");
    assert_eq!(named("!ImportValue x", &nothing).0, "*");
    let place = TemplateContext {
        account: Some("222222222222".into()),
        region: Some("eu-west-1".into()),
        partition: Some("aws".into()),
        ..TemplateContext::default()
    };
    assert_eq!(named("orders", &place).1.arn, "arn:aws:sqs:eu-west-1:222222222222:orders");
    assert_eq!(named("orders", &place).1.certainty, Certainty::Exact);
    assert_eq!(named("!ImportValue x", &place).1.certainty, Certainty::Open);
}

#[test]
fn a_resource_that_belongs_to_another_has_the_name_of_that() {
    let text = "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    Properties: {FunctionName: shop, Role: r}\n  \
        Allow:\n    Type: AWS::Lambda::Permission\n    Properties: {FunctionName: !Ref Code}\n";
    let needs = found(text, &TemplateContext::default());
    assert_eq!(arns(&needs, "lambda:AddPermission"), [format!("lambda:{OWN}:function:shop")]);
}

#[test]
fn tagging_is_limited_to_the_type_and_other_actions_are_not() {
    let needs = found("Resources:\n  Host:\n    Type: AWS::EC2::Instance\n", &TemplateContext::default());
    assert_eq!(arns(&needs, "ec2:CreateTags"), [format!("ec2:{OWN}:instance/*")]);
    let start = format!("ec2:{OWN}");
    let expected = [format!("{start}:instance/*"), "ec2:${AWS::Region}::image/*".to_owned()];
    assert_eq!(arns(&needs, "ec2:RunInstances"), expected);
}

#[test]
fn resources_named_by_a_property_count_only_if_the_property_is_set() {
    let text = "Resources:\n  Host:\n    Type: AWS::EC2::Instance\n    Properties: {SubnetId: subnet-1}\n";
    let needs = found(text, &TemplateContext::default());
    let subnet = needs.needs.iter().find(|need| need.arn.ends_with(":subnet/subnet-1")).unwrap();
    assert_eq!((subnet.action.as_str(), subnet.certainty), ("ec2:RunInstances", Certainty::Exact));
    let text = "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    \
        Properties: {Role: r, Code: {S3Bucket: shop, S3Key: a/b.zip}}\n";
    assert_eq!(arns(&found(text, &TemplateContext::default()), "s3:GetObject"), ["s3:::shop/a/b.zip"]);
}

#[test]
fn a_rule_is_named_with_its_bus_where_it_has_one() {
    let rule = |properties: &str| {
        let text = format!(
            "Parameters:\n  Given: {{Type: String}}\nConditions:\n  X: !Equals [!Ref Given, a]\nResources:\n  Rule:\n    \
             Type: AWS::Events::Rule\n    Properties: {properties}\n"
        );
        let needs = found(&text, &TemplateContext::default());
        arns(&needs, "events:PutRule").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rule("{Name: nightly}"), [format!("events:{OWN}:rule/nightly")]);
    assert_eq!(rule("{Name: nightly, EventBusName: own}"), [format!("events:{OWN}:rule/own/nightly")]);
    let several = rule("{Name: !If [X, a, b], EventBusName: own}");
    assert_eq!(several, [format!("events:{OWN}:rule/own/a"), format!("events:{OWN}:rule/own/b")]);
}

#[test]
fn an_own_arn_that_matches_no_format_of_the_action_is_ignored() {
    let text = "Resources:\n  Libraries:\n    Type: AWS::Lambda::LayerVersion\n    \
        Properties: {LayerName: shop, Content: {S3Key: k}}\n";
    let needs = found(text, &TemplateContext::default());
    assert_eq!(arns(&needs, "lambda:PublishLayerVersion"), [format!("lambda:{OWN}:layer:shop")]);
    assert_eq!(arns(&needs, "lambda:DeleteLayerVersion"), [format!("lambda:{OWN}:layer:shop:*")]);
    assert_eq!(arns(&needs, "lambda:GetLayerVersion"), [format!("lambda:{OWN}:layer:shop:*")]);
}

#[test]
fn a_snapshot_policy_needs_the_snapshot() {
    let volume = |policy: &str| {
        let text = format!("Resources:\n  Disk:\n    Type: AWS::EC2::Volume\n    {policy}\n");
        !arns(&found(&text, &TemplateContext::default()), "ec2:CreateSnapshot").is_empty()
    };
    assert!(volume("DeletionPolicy: Snapshot") && volume("UpdateReplacePolicy: Snapshot"));
    assert!(!volume("DeletionPolicy: Retain") && !volume("Properties: {}"));
}

#[test]
fn a_log_group_has_both_of_its_arns() {
    let text = "Resources:\n  Group:\n    Type: AWS::Logs::LogGroup\n    Properties: {LogGroupName: /shop}\n";
    let needs = found(text, &TemplateContext::default());
    let start = format!("logs:{OWN}:log-group:/shop");
    assert_eq!(arns(&needs, "logs:CreateLogGroup"), [start.clone(), format!("{start}:*")]);
}

#[test]
fn a_passed_role_is_named_where_it_can_be_known() {
    let passed = |role: &str| {
        let text = format!(
            "Parameters:\n  Given: {{Type: String}}\nConditions:\n  X: !Equals [!Ref Given, a]\nResources:\n  Code:\n    \
             Type: AWS::Lambda::Function\n    Properties:\n      Role: {role}\n  Named:\n    Type: AWS::IAM::Role\n    \
             Properties: {{RoleName: runner, Path: /app/}}\n  Unnamed:\n    Type: AWS::IAM::Role\n"
        );
        let needs = found(&text, &TemplateContext::default());
        let passed = arns(&needs, "iam:PassRole").into_iter();
        passed
            .map(|arn| arn.trim_start_matches("iam::${AWS::AccountId}:role/").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(passed("!GetAtt Named.Arn"), ["app/runner"]);
    assert_eq!(passed("!Sub '${Named.Arn}'"), ["app/runner"]);
    assert_eq!(passed("!GetAtt Unnamed.Arn"), ["*-Unnamed*"]);
    assert_eq!(passed("arn:aws:iam::222222222222:role/x"), ["arn:aws:iam::222222222222:role/x"]);
    assert_eq!(passed("!Sub 'arn:${AWS::Partition}:iam::${AWS::AccountId}:role/x'"), ["x"]);
    assert_eq!(passed("!Ref Given"), ["*"]);
    assert_eq!(passed("!If [X, a, b]"), ["a", "b"]);
}

#[test]
fn an_instance_passes_the_role_of_its_profile() {
    let text = "Resources:\n  Host:\n    Type: AWS::EC2::Instance\n    Properties: {IamInstanceProfile: !Ref Profile}\n  \
        Profile:\n    Type: AWS::IAM::InstanceProfile\n    Properties: {Roles: [!Ref Role]}\n  \
        Role:\n    Type: AWS::IAM::Role\n    Properties: {RoleName: host}\n";
    let needs = found(text, &TemplateContext::default());
    assert_eq!(arns(&needs, "iam:PassRole"), ["iam::${AWS::AccountId}:role/host"]);
    assert_eq!(arns(&needs, "iam:CreateRole"), ["iam::${AWS::AccountId}:role/host"]);
}

#[test]
fn a_group_passes_the_role_that_its_launch_template_names() {
    let passed = |data: &str| {
        let text = format!(
            "Resources:\n  Group:\n    Type: AWS::AutoScaling::AutoScalingGroup\n    Properties:\n      LaunchTemplate: \
             {{LaunchTemplateId: !Ref Launch, Version: !GetAtt Launch.LatestVersionNumber}}\n  Launch:\n    \
             Type: AWS::EC2::LaunchTemplate\n    Properties: {{LaunchTemplateData: {data}}}\n  Profile:\n    \
             Type: AWS::IAM::InstanceProfile\n    Properties: {{Roles: [!Ref Role]}}\n  \
             Role:\n    Type: AWS::IAM::Role\n    Properties: {{RoleName: host}}\n"
        );
        let needs = found(&text, &TemplateContext::default());
        arns(&needs, "iam:PassRole").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let role = "iam::${AWS::AccountId}:role/host";
    assert_eq!(passed("{IamInstanceProfile: {Arn: !GetAtt Profile.Arn}}"), [role]);
    assert_eq!(passed("{IamInstanceProfile: {Name: !Ref Profile}}"), [role]);
    assert_eq!(passed("{IamInstanceProfile: {Name: other}}"), ["iam::${AWS::AccountId}:role/*"]);
    assert!(passed("{ImageId: ami-00000000}").is_empty());
}

#[test]
fn no_role_is_passed_where_none_is_named() {
    let needs = found("Resources:\n  Host:\n    Type: AWS::EC2::Instance\n", &TemplateContext::default());
    assert!(arns(&needs, "iam:PassRole").is_empty());
}

#[test]
fn a_service_linked_role_is_conditional_and_named_by_its_service() {
    let text = "Resources:\n  Group:\n    Type: AWS::AutoScaling::AutoScalingGroup\n    \
        UpdatePolicy: {AutoScalingRollingUpdate: {MinInstancesInService: 1}}\n";
    let needs = found(text, &TemplateContext::default());
    let linked = needs.needs.iter().find(|need| need.action == "iam:CreateServiceLinkedRole").unwrap();
    assert!(linked.arn.ends_with(":role/aws-service-role/autoscaling.amazonaws.com/*"), "{}", linked.arn);
    let service = linked.condition.as_ref().map(|condition| condition.value.as_str());
    assert_eq!((linked.level, service), (Level::Conditional, Some("autoscaling.amazonaws.com")));
    assert_eq!(arns(&needs, "iam:CreateServiceLinkedRole").len(), 1);
    assert!(actions(&needs, Level::Required).contains("autoscaling:SuspendProcesses"));
}

#[test]
fn a_custom_resource_needs_to_call_the_target_of_its_token() {
    let called = |token: &str| {
        let text = format!(
            "Parameters:\n  Given: {{Type: String}}\nResources:\n  It:\n    Type: Custom::It\n    \
             Properties: {{ServiceToken: {token}}}\n  Code:\n    Type: AWS::Lambda::Function\n    \
             Properties: {{FunctionName: maker, Role: r}}\n"
        );
        let needs = found(&text, &TemplateContext::default());
        let own = needs.needs.into_iter().filter(|need| need.resource == "It");
        own.map(|need| (need.action, need.arn, need.level)).collect::<Vec<_>>()
    };
    let function = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:";
    let invoke = |arn: String| vec![("lambda:InvokeFunction".to_owned(), arn, Level::Required)];
    assert_eq!(called("!GetAtt Code.Arn"), invoke(format!("{function}maker")));
    let literal = "arn:aws:lambda:eu-west-1:222222222222:function:other";
    assert_eq!(called(literal), invoke(literal.to_owned()));
    let topic = "arn:aws:sns:eu-west-1:222222222222:other";
    assert_eq!(called(topic), [("sns:Publish".to_owned(), topic.to_owned(), Level::Required)]);
    let unknown = called("!Ref Given");
    assert!(
        unknown.len() == 2 && unknown.iter().all(|(_, _, level)| *level == Level::Conditional),
        "{unknown:?}"
    );
}

#[test]
fn a_dynamic_reference_is_resolved_with_the_rights_of_the_role() {
    let text = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      \
        QueueName: '{{resolve:ssm:/shop/queue:3}}'\n      \
        A: !Sub '{{resolve:secretsmanager:shop-${AWS::Region}:SecretString:key}}'\n      \
        B: !Join ['', ['{{resolve:secretsmanager:', !Ref AWS::Region, '}}']]\n      \
        C: '{{resolve:ssm-secure:/shop/secret}}'\n";
    let needs = found(text, &TemplateContext::default());
    let parameters = arns(&needs, "ssm:GetParameters");
    assert_eq!(
        parameters,
        [format!("ssm:{OWN}:parameter/shop/queue"), format!("ssm:{OWN}:parameter/shop/secret")]
    );
    let secrets = arns(&needs, "secretsmanager:GetSecretValue");
    assert_eq!(
        secrets,
        [format!("secretsmanager:{OWN}:secret:*-*"), format!("secretsmanager:{OWN}:secret:shop-*-*")]
    );
    assert_eq!(actions(&needs, Level::Conditional), ["kms:Decrypt"].into());
    assert_eq!(arns(&needs, "sqs:CreateQueue"), [format!("sqs:{OWN}:*")]);
}

#[test]
fn types_outside_the_table_are_unknown() {
    let text = "Transform: Acme\nResources:\n  A:\n    Type: Acme::Shop::Thing\n  B:\n    Type: AWS::CloudFormation::Stack\n    \
        Properties: {TemplateURL: x}\n  C:\n    Type: AWS::CloudFormation::WaitConditionHandle\n";
    let needs = found(text, &TemplateContext::default());
    let unknown: Vec<&str> = needs.unknown.iter().map(|unknown| unknown.resource.as_str()).collect();
    assert_eq!(unknown, ["", "A", "B"]);
    assert_eq!(actions(&needs, Level::Required), ["cloudformation:CreateStack"].into());
}

#[test]
fn a_loop_has_the_needs_of_its_body() {
    let text = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Queues:\n    - Name\n    - [A, B]\n    - \
        'Queue${Name}':\n        Type: AWS::SQS::Queue\n        Properties: {QueueName: !Sub 'shop-${Name}'}\n";
    let needs = found(text, &TemplateContext::default());
    assert_eq!(arns(&needs, "sqs:CreateQueue"), [format!("sqs:{OWN}:shop-*")]);
}

#[test]
fn an_optional_permission_without_a_mapping_is_conditional() {
    let text = "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    Properties: {Role: r}\n";
    let needs = found(text, &TemplateContext::default());
    assert_eq!(actions(&needs, Level::Conditional), ["lambda:AssociateRuntimeAlias"].into());
    assert!(
        arns(&needs, "ec2:DescribeSubnets").is_empty() && arns(&needs, "lambda:ListFunctions").is_empty()
    );
}

#[test]
fn an_excerpt_gives_the_same_needs_as_the_table() {
    let template = Template::parse("t.yaml", BRANCHES).unwrap();
    let kinds: Vec<&str> = template.resources().values().map(|resource| resource.kind.as_str()).collect();
    let excerpt = table().excerpt(kinds);
    assert_eq!(excerpt.types.len(), 2);
    let read: Table = serde_json::from_str(&excerpt.to_json()).unwrap();
    assert_eq!(
        needs(&template, &read, &TemplateContext::default()),
        needs(&template, &table(), &TemplateContext::default())
    );
}

#[test]
fn a_type_without_handlers_is_unknown() {
    let needs = found("Resources:\n  Old:\n    Type: AWS::Old::Thing\n", &TemplateContext::default());
    assert_eq!((needs.needs.len(), needs.unknown.len()), (0, 1));
}

#[test]
fn only_the_table_with_the_pinned_digest_is_read() {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(table().to_json().as_bytes()).unwrap();
    let compressed = writer.finish().unwrap();
    let digest = crate::model::ids::Digest::of(&compressed);
    assert_eq!(Table::read(&compressed, &digest), Ok(table()));
    let other = Table::read(&compressed[1..], &digest).unwrap_err();
    assert!(matches!(other, UnreadableTable::OtherBytes { .. }), "{other}");
    let large = vec![0; TABLE_BYTES_MAX + 1];
    assert!(matches!(Table::unpack(&large), Err(UnreadableTable::TooLarge(_))));
}
