use super::*;
use crate::model::resource_change::Impact;

fn template(text: &str) -> Template {
    Template::parse("template.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn resources(resources: &str) -> String {
    format!(
        "Parameters:\n  Cidr: {{Type: String, Default: x}}\n  Secret: {{Type: String, NoEcho: true, Default: x}}\nConditions:\n  \
             Open: !Equals [!Ref Cidr, 0.0.0.0/0]\n  Elsewhere: !Equals [!Ref AWS::Region, eu-west-1]\nResources:\n{resources}"
    )
}

fn values(cidr: &str) -> BTreeMap<String, ShownValue> {
    [("Cidr".to_owned(), ShownValue::Text(cidr.to_owned())), ("Secret".to_owned(), ShownValue::Hidden)].into()
}

fn change(resource_type: &str) -> Change {
    Change {
        logical_id: "Child".into(),
        resource_type: resource_type.into(),
        action: "Modify".into(),
        replacement: "False".into(),
        properties: Vec::new(),
        tags_only: false,
        drift: None,
        impact: Impact::None,
    }
}

/// Returns the lines of the review, with `+` and `-`.
fn compared(old: Option<(&str, &str)>, new: (&str, &str)) -> Vec<String> {
    let (before, after) = (old.map(|(text, _)| template(&resources(text))), template(&resources(new.0)));
    let (old_values, new_values) = (values(old.map_or("", |(_, cidr)| cidr)), values(new.1));
    let old: Vec<Side<'_>> =
        before.iter().map(|template| Side { path: "", template, parameters: &old_values }).collect();
    let found = review(&old, &[Side { path: "", template: &after, parameters: &new_values }], &[]);
    assert!(found.unseen.is_empty(), "{found:?}");
    let sign = |is_new| if is_new { '+' } else { '-' };
    found.changes.iter().map(|it| format!("{}{} {}", sign(it.is_new), it.resource, it.line)).collect()
}

/// Returns the lines of a new stack with these resources.
fn made(text: &str) -> Vec<String> {
    compared(None, (text, "10.0.0.0/8"))
}

const TOPIC: &str = "  T: {Type: AWS::SNS::Topic}\n";

#[test]
fn each_shape_of_access_is_found() {
    for (shape, text, expected) in [
        (
            "a trust policy",
            "  Backdoor:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument:\n        Statement:\n        \
             - {Effect: Allow, Principal: {AWS: '999999999999'}, Action: sts:AssumeRole}\n",
            "+Backdoor AssumeRolePolicyDocument: Allow sts:AssumeRole to {AWS: 999999999999}",
        ),
        (
            "a single statement without a list",
            "  R:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument:\n        Statement: {Effect: Allow, \
             Principal: '*', Action: [b, a], Condition: {Bool: {x: 'true'}}}\n",
            "+R AssumeRolePolicyDocument: Allow a, b to * if {Bool: {x: true}}",
        ),
        (
            "an inline policy of a role",
            "  R:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument: {}\n      Policies:\n      - PolicyName: p\n        \
             PolicyDocument: {Statement: [{Effect: Allow, NotAction: 'iam:*', Resource: '*'}]}\n",
            "+R Policies.PolicyDocument: Allow everything but iam:* on *",
        ),
        (
            "a managed policy by its ARN",
            "  R:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument: {}\n      ManagedPolicyArns: \
             [!Sub 'arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess']\n",
            "+R ManagedPolicyArns: [arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess]",
        ),
        (
            "a managed policy of its own",
            "  P:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      PolicyDocument: {Statement: [{Effect: Allow, Action: 's3:*', \
             Resource: !GetAtt B.Arn}]}\n  B: {Type: AWS::S3::Bucket}\n",
            "+P PolicyDocument: Allow s3:* on ${B.Arn}",
        ),
        (
            "the policy of a queue",
            "  Q:\n    Type: AWS::SQS::QueuePolicy\n    Properties:\n      Queues: [!Ref X]\n      PolicyDocument: {Statement: [{Effect: Allow, \
             Principal: '*', Action: 'sqs:SendMessage', Resource: '*'}]}\n  X: {Type: AWS::SQS::Queue}\n",
            "+Q PolicyDocument: Allow sqs:SendMessage on * to *",
        ),
        (
            "the policy of a key",
            "  K:\n    Type: AWS::KMS::Key\n    Properties:\n      KeyPolicy: {Statement: [{Effect: Allow, Principal: {AWS: !Sub \
             'arn:aws:iam::${AWS::AccountId}:root'}, Action: 'kms:*', Resource: '*'}]}\n",
            "+K KeyPolicy: Allow kms:* on * to {AWS: arn:aws:iam::${AWS::AccountId}:root}",
        ),
        (
            "a policy in a text",
            "  L:\n    Type: AWS::Logs::ResourcePolicy\n    Properties:\n      PolicyName: p\n      PolicyDocument: '{\"Statement\": \
             [{\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"logs:*\", \"Resource\": \"*\"}]}'\n",
            "+L PolicyDocument: Allow logs:* on * to *",
        ),
        (
            "a policy in a text that a function makes",
            "  L:\n    Type: AWS::Logs::ResourcePolicy\n    Properties:\n      PolicyName: p\n      PolicyDocument: !Sub '{\"Statement\": \
             [{\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"logs:*\", \"Resource\": \"*\"}]}'\n",
            "+L PolicyDocument: Allow logs:* on * to *",
        ),
        (
            "a rule within a security group",
            "  G:\n    Type: AWS::EC2::SecurityGroup\n    Properties:\n      GroupDescription: g\n      SecurityGroupIngress:\n      - \
             {IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: !Ref Cidr, Description: x}\n",
            "+G SecurityGroupIngress: {CidrIp: 10.0.0.0/8, FromPort: 22, IpProtocol: tcp, ToPort: 22}",
        ),
        (
            "a rule as a resource",
            "  I:\n    Type: AWS::EC2::SecurityGroupIngress\n    Properties: {GroupId: g, IpProtocol: '-1', CidrIpv6: '::/0'}\n",
            "+I {CidrIpv6: ::/0, GroupId: g, IpProtocol: -1}",
        ),
        (
            "a route",
            "  W:\n    Type: AWS::EC2::Route\n    Properties: {RouteTableId: r, DestinationCidrBlock: 0.0.0.0/0, GatewayId: igw}\n",
            "+W {DestinationCidrBlock: 0.0.0.0/0, GatewayId: igw, RouteTableId: r}",
        ),
        (
            "a public database",
            "  D:\n    Type: AWS::RDS::DBInstance\n    Properties: {PubliclyAccessible: true, DBInstanceClass: x}\n",
            "+D PubliclyAccessible: true",
        ),
        (
            "a bucket's block of public access",
            "  B:\n    Type: AWS::S3::Bucket\n    Properties: {PublicAccessBlockConfiguration: {BlockPublicAcls: false}}\n",
            "+B PublicAccessBlockConfiguration.BlockPublicAcls: false",
        ),
        (
            "a function's permission",
            "  A:\n    Type: AWS::Lambda::Permission\n    Properties: {Principal: '*'}\n",
            "+A Principal: *",
        ),
        (
            "an open URL of a function",
            "  U:\n    Type: AWS::Lambda::Url\n    Properties: {AuthType: NONE, TargetFunctionArn: f}\n",
            "+U AuthType: NONE",
        ),
        (
            "an internet-facing load balancer",
            "  E:\n    Type: AWS::ElasticLoadBalancingV2::LoadBalancer\n    Properties: {Scheme: internet-facing}\n",
            "+E Scheme: internet-facing",
        ),
        (
            "a statement under an unknown condition",
            "  Q:\n    Type: AWS::SQS::QueuePolicy\n    Properties:\n      Queues: [q]\n      PolicyDocument: {Statement: [!If [Elsewhere, \
             {Effect: Allow, Principal: '*', Action: a, Resource: r}, !Ref 'AWS::NoValue']]}\n",
            "+Q PolicyDocument.if Elsewhere: Allow a on r to *",
        ),
        (
            "a statement of a type that is not known",
            "  N:\n    Type: AWS::New::Thing\n    Properties: {Grants: {Deep: [{Effect: Allow, Action: a, Resource: r, Extra: 1}]}}\n",
            "+N Grants.Deep: Allow a on r Extra: 1",
        ),
    ] {
        assert_eq!(made(text), [expected], "{shape}");
    }
}

#[test]
fn what_gives_no_access_is_not_shown() {
    assert!(made(TOPIC).is_empty());
    let bucket = "  B:\n    Type: AWS::S3::Bucket\n    Properties: {BucketName: b, Tags: [{Key: Effect, Value: Allow}]}\n";
    assert!(made(bucket).is_empty());
}

#[test]
fn only_the_difference_of_two_templates_is_shown() {
    let queue = |statements: &str| {
        format!(
            "  Q:\n    Type: AWS::SQS::QueuePolicy\n    Properties:\n      Queues: [q]\n      PolicyDocument: {{Statement: [{statements}]}}\n"
        )
    };
    let (a, b) = ("{Effect: Allow, Action: [x, y], Resource: r}", "{Effect: Deny, Action: z, Resource: r}");
    let named = "{Sid: Renamed, Effect: Allow, Action: [y, x], Resource: r}";
    let both = queue(&format!("{a}, {b}"));
    let moved = queue(&format!("{b}, {named}"));
    let of = |old: &str, new: &str| compared(Some((old, "c")), (new, "c"));
    assert!(of(&both, &moved).is_empty(), "order and Sid mean nothing");
    assert_eq!(of(&both, &queue(a)), ["-Q PolicyDocument: Deny z on r"]);
    assert_eq!(of(&queue(a), &both), ["+Q PolicyDocument: Deny z on r"]);
    assert_eq!(of(&both, TOPIC).len(), 2, "the resource is gone");
    let open = "  D:\n    Type: AWS::RDS::DBInstance\n    Properties: {PubliclyAccessible: false}\n";
    assert_eq!(of(open, "  D: {Type: AWS::RDS::DBInstance}\n"), ["-D PubliclyAccessible: false"]);
}

/// S8: the template is the same, and only a parameter opens the address range.
#[test]
fn a_parameter_that_opens_a_range_is_shown() {
    let group = "  G:\n    Type: AWS::EC2::SecurityGroupIngress\n    Properties: {CidrIp: !Ref Cidr, IpProtocol: tcp}\n";
    assert_eq!(
        compared(Some((group, "10.0.0.0/8")), (group, "0.0.0.0/0")),
        ["+G {CidrIp: 0.0.0.0/0, IpProtocol: tcp}", "-G {CidrIp: 10.0.0.0/8, IpProtocol: tcp}"]
            .map(str::to_owned)
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_condition_that_becomes_true_shows_what_it_adds() {
    let whole = "  D:\n    Type: AWS::RDS::DBInstance\n    Condition: Open\n    Properties: {PubliclyAccessible: true}\n";
    let of = |text: &str, old: &str, new: &str| compared(Some((text, old)), (text, new));
    assert_eq!(of(whole, "10.0.0.0/8", "0.0.0.0/0"), ["+D PubliclyAccessible: true"]);
    assert!(of(whole, "10.0.0.0/8", "10.0.0.0/9").is_empty());
    let value = "  D:\n    Type: AWS::RDS::DBInstance\n    Properties: {PubliclyAccessible: !If [Open, true, false]}\n";
    let lines = of(value, "10.0.0.0/8", "0.0.0.0/0");
    assert_eq!(lines, ["-D PubliclyAccessible: false", "+D PubliclyAccessible: true"]);
}

#[test]
fn a_hidden_value_is_never_shown() {
    let text = "  K:\n    Type: AWS::SQS::QueuePolicy\n    Properties:\n      Queues: [q]\n      PolicyDocument: {Statement: [{Effect: Allow, \
                Principal: {AWS: !Sub 'x-${Secret}'}, Action: a, Resource: !Join ['/', [!Ref Secret, !Ref Cidr]]}]}\n";
    assert_eq!(made(text), ["+K PolicyDocument: Allow a on ${Secret}/10.0.0.0/8 to {AWS: x-${Secret}}"]);
}

#[test]
fn long_lines_and_long_lists_say_what_is_missing() {
    let long = "a".repeat(LINE_CHARS + 7);
    let lambda = format!("  A:\n    Type: AWS::Lambda::Permission\n    Properties: {{Principal: {long}}}\n");
    let lines = made(&lambda);
    assert!(lines[0].ends_with(" … and 18 more characters: read the template"), "{lines:?}");
    let many: String = (0..LINES_MAX + 3)
        .map(|n| format!("  A{n}:\n    Type: AWS::Lambda::Permission\n    Properties: {{Principal: '*'}}\n"))
        .collect();
    let (read, values) = (template(&resources(&many)), values("c"));
    let found = review(&[], &[Side { path: "", template: &read, parameters: &values }], &[]);
    assert_eq!(found.changes.len(), LINES_MAX);
    assert_eq!(found.unseen, ["3 more changes of access are not shown: read the template"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let nested = template(&resources(TOPIC));
    let values = values("c");
    let side = Side { path: "", template: &nested, parameters: &values };
    let changes = [change(NESTED_STACK), change("AWS::SNS::Topic")];
    let found = review(&[], &[side], &changes);
    let unshown =
        "Child is a nested stack whose template is not in the release: the access in it is not shown";
    assert_eq!(found.unseen, [unshown]);
    assert!(review(&[], &[side, Side { path: "Child.", ..side }], &changes).unseen.is_empty());
    assert_eq!(review(&[], &[side, Side { path: "Other.", ..side }], &changes).unseen, [unshown]);
    let removed = Change { action: "Remove".into(), ..change(NESTED_STACK) };
    assert!(review(&[side], &[side], &[removed]).unseen.is_empty(), "what it gave is shown as gone");
    let sam = template(&format!("Transform: AWS::Serverless-2016-10-31\nResources:\n{TOPIC}"));
    let found = review(&[], &[Side { path: "", template: &sam, parameters: &values }], &[]);
    assert_eq!(found.unseen, ["the template uses a macro: the access that it adds is not shown"]);
}

#[test]
fn access_of_nested_stacks_is_compared_by_their_paths() {
    let group = "  G:\n    Type: AWS::EC2::SecurityGroupIngress\n    Properties: {CidrIp: !Ref Cidr, IpProtocol: tcp}\n";
    let (template, narrow, wide) = (template(&resources(group)), values("10.0.0.0/8"), values("0.0.0.0/0"));
    let of = |path, parameters| Side { path, template: &template, parameters };
    let old = [of("Net.", &narrow), of("Net.Inner.", &narrow), of("Gone.", &narrow)];
    let new = [of("Net.", &narrow), of("Net.Inner.", &wide), of("Added.", &narrow)];
    let found = review(&old, &new, &[]);
    let lines: Vec<(&str, bool)> = found.changes.iter().map(|it| (it.resource.as_str(), it.is_new)).collect();
    assert_eq!(lines, [("Added.G", true), ("Gone.G", false), ("Net.Inner.G", false), ("Net.Inner.G", true)]);
}
