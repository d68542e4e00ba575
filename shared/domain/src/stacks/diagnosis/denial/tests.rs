use super::*;

const ROLE: &str = "arn:aws:sts::222222222222:assumed-role/lockstep-cloudformation/AWSCloudFormation";

/// A reason as a service words it, with the expected action, resource and cause.
type Row = (&'static str, Option<&'static str>, Option<&'static str>, Cause);

const MESSAGES: [Row; 28] = [
    (
        "User: ROLE is not authorized to perform: sqs:TagQueue on resource: arn:aws:sqs:eu-west-1:222222222222:orders \
         because no identity-based policy allows the sqs:TagQueue action (Service: AmazonSQS; Status Code: 403; Error \
         Code: AccessDenied; Request ID: 8c5f; Proxy: null)",
        Some("sqs:TagQueue"),
        Some("arn:aws:sqs:eu-west-1:222222222222:orders"),
        Cause::NoStatement,
    ),
    (
        "Resource handler returned message: \"User: ROLE is not authorized to perform: lambda:CreateFunction on \
         resource: arn:aws:lambda:eu-west-1:222222222222:function:shop because no identity-based policy allows the \
         lambda:CreateFunction action (Service: Lambda, Status Code: 403, Request ID: 0b1e)\" (RequestToken: 11, \
         HandlerErrorCode: AccessDenied)",
        Some("lambda:CreateFunction"),
        Some("arn:aws:lambda:eu-west-1:222222222222:function:shop"),
        Cause::NoStatement,
    ),
    (
        "API: iam:CreateRole User: ROLE is not authorized to perform: iam:CreateRole on resource: \
         arn:aws:iam::222222222222:role/shop because no permissions boundary allows the iam:CreateRole action",
        Some("iam:CreateRole"),
        Some("arn:aws:iam::222222222222:role/shop"),
        Cause::Boundary,
    ),
    (
        "User: ROLE is not authorized to perform: iam:PassRole on resource: \
         arn:aws:iam::222222222222:role/shop-runner because no identity-based policy allows the iam:PassRole action",
        Some("iam:PassRole"),
        Some("arn:aws:iam::222222222222:role/shop-runner"),
        Cause::NoStatement,
    ),
    (
        "User: ROLE is not authorized to perform: s3:CreateBucket on resource: \"arn:aws:s3:::shop\" with an explicit \
         deny in a service control policy",
        Some("s3:CreateBucket"),
        Some("arn:aws:s3:::shop"),
        Cause::ServiceControlPolicy,
    ),
    (
        "User: ROLE is not authorized to perform: ec2:RunInstances on resource: \
         arn:aws:ec2:eu-west-1:222222222222:instance/* with an explicit deny in a service control policy: \
         arn:aws:organizations::111111111111:policy/o-a/service_control_policy/p-b. Encoded authorization failure \
         message: 4Vk",
        Some("ec2:RunInstances"),
        Some("arn:aws:ec2:eu-west-1:222222222222:instance/*"),
        Cause::ServiceControlPolicy,
    ),
    (
        "User: ROLE is not authorized to perform: dynamodb:CreateTable on resource: \
         arn:aws:dynamodb:eu-west-1:222222222222:table/shop with an explicit deny in an identity-based policy",
        Some("dynamodb:CreateTable"),
        Some("arn:aws:dynamodb:eu-west-1:222222222222:table/shop"),
        Cause::ExplicitDeny,
    ),
    (
        "User: ROLE is not authorized to perform: secretsmanager:GetSecretValue on resource: \
         arn:aws:secretsmanager:eu-west-1:222222222222:secret:shop-a1b2c3 with an explicit deny in a permissions \
         boundary",
        Some("secretsmanager:GetSecretValue"),
        Some("arn:aws:secretsmanager:eu-west-1:222222222222:secret:shop-a1b2c3"),
        Cause::Boundary,
    ),
    (
        "User: ROLE is not authorized to perform: sns:Publish on resource: arn:aws:sns:eu-west-1:333333333333:alarms \
         because no resource-based policy allows the sns:Publish action",
        Some("sns:Publish"),
        Some("arn:aws:sns:eu-west-1:333333333333:alarms"),
        Cause::ResourcePolicy,
    ),
    (
        "User: ROLE is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::shop/a because no session \
         policy allows the s3:PutObject action",
        Some("s3:PutObject"),
        Some("arn:aws:s3:::shop/a"),
        Cause::SessionPolicy,
    ),
    (
        "User: ROLE is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::shop/a because no VPC \
         endpoint policy allows the s3:PutObject action",
        Some("s3:PutObject"),
        Some("arn:aws:s3:::shop/a"),
        Cause::EndpointPolicy,
    ),
    (
        "User: ROLE is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::shop/a with an explicit deny \
         in a resource control policy",
        Some("s3:PutObject"),
        Some("arn:aws:s3:::shop/a"),
        Cause::ResourceControlPolicy,
    ),
    (
        "User: ROLE is not authorized to perform: logs:CreateLogGroup on resource: \
         arn:aws:logs:eu-west-1:222222222222:log-group:/shop:log-stream: with an explicit deny",
        Some("logs:CreateLogGroup"),
        Some("arn:aws:logs:eu-west-1:222222222222:log-group:/shop:log-stream:"),
        Cause::ExplicitDeny,
    ),
    (
        "API: ec2:RunInstances You are not authorized to perform this operation. Encoded authorization failure \
         message: 4VkbnX",
        Some("ec2:RunInstances"),
        None,
        Cause::NoStatement,
    ),
    (
        "You are not authorized to perform this operation. User: ROLE is not authorized to perform: \
         ec2:CreateSecurityGroup on resource: arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-1 because no identity-based \
         policy allows the ec2:CreateSecurityGroup action. Encoded authorization failure message: 4VkbnX (Service: \
         AmazonEC2; Status Code: 403; Error Code: UnauthorizedOperation; Request ID: 1)",
        Some("ec2:CreateSecurityGroup"),
        Some("arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-1"),
        Cause::NoStatement,
    ),
    (
        "You are not authorized to perform this operation. (Service: AmazonEC2; Status Code: 403; Error Code: \
         UnauthorizedOperation; Request ID: 1)",
        None,
        None,
        Cause::NoStatement,
    ),
    ("API: s3:CreateBucket Access Denied", Some("s3:CreateBucket"), None, Cause::NoStatement),
    (
        "API: s3:SetBucketEncryption Access Denied",
        Some("s3:PutEncryptionConfiguration"),
        None,
        Cause::NoStatement,
    ),
    ("API: s3:SetBucketSomething Access Denied", None, None, Cause::NoStatement),
    (
        "Resource handler returned message: \"Access Denied (Service: S3, Status Code: 403, Request ID: 4F, Extended \
         Request ID: x)\" (RequestToken: 1, HandlerErrorCode: AccessDenied)",
        None,
        None,
        Cause::NoStatement,
    ),
    (
        "User: ROLE is not authorized to perform: kms:CreateGrant on this resource because the resource does not exist \
         in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access \
         (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: 1)",
        Some("kms:CreateGrant"),
        None,
        Cause::NoStatement,
    ),
    (
        "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for \
         shop-code/functions/a.zip. S3 Error Code: AccessDenied. S3 Error Message: Access Denied (Service: AWSLambda; \
         Status Code: 403; Error Code: AccessDeniedException)",
        Some("s3:GetObject"),
        Some("arn:aws:s3:::shop-code/functions/a.zip"),
        Cause::NoStatement,
    ),
    (
        "User: ROLE is not authorized to perform: SNS:CreateTopic on resource: \
         arn:aws:sns:eu-west-1:222222222222:shop because no identity-based policy allows the SNS:CreateTopic action",
        Some("sns:CreateTopic"),
        Some("arn:aws:sns:eu-west-1:222222222222:shop"),
        Cause::NoStatement,
    ),
    (
        "Access to the resource https://sqs.eu-west-1.amazonaws.com/222222222222/orders is denied. (Service: \
         AmazonSQS; Status Code: 403; Error Code: AccessDenied)",
        None,
        Some("arn:aws:sqs:eu-west-1:222222222222:orders"),
        Cause::NoStatement,
    ),
    (
        "AccessDenied. User doesn't have permission to call iam:GetInstanceProfile",
        Some("iam:GetInstanceProfile"),
        None,
        Cause::NoStatement,
    ),
    (
        "API: elasticloadbalancingv2:CreateTargetGroup Access Denied",
        Some("elasticloadbalancing:CreateTargetGroup"),
        None,
        Cause::NoStatement,
    ),
    (
        "User: ROLE is not authorized to perform: iam:DeleteRole on resource: role shop-runner",
        Some("iam:DeleteRole"),
        Some("arn:aws:iam::222222222222:role/shop-runner"),
        Cause::NoStatement,
    ),
    ("Access denied for operation 'AWS::Events::Rule'.", None, None, Cause::NoStatement),
];

#[test]
fn each_services_wording_is_parsed() {
    for (message, action, resource, cause) in MESSAGES {
        let found = denial(&message.replace("ROLE", ROLE)).unwrap_or_else(|| panic!("{message}"));
        assert_eq!(found.action.as_deref(), action, "{message}");
        assert_eq!(found.cause, cause, "{message}");
        assert_eq!(found.resource.as_deref(), resource, "{message}");
        let principal = message.contains("ROLE").then_some(ROLE);
        assert_eq!(found.principal.as_deref(), principal, "{message}");
        assert_eq!(found.encoded, message.contains("Encoded"), "{message}");
    }
}

#[test]
fn other_failures_are_not_denials() {
    for reason in [
        "Bucket name already exists",
        "Resource creation cancelled",
        "The role defined for the function cannot be assumed by Lambda.",
        "Access to the resource is limited to 5 calls",
        "",
    ] {
        assert_eq!(denial(reason), None, "{reason}");
    }
}

#[test]
fn the_missing_statement_is_named() {
    let advice = denial(&MESSAGES[0].0.replace("ROLE", ROLE)).unwrap().advice();
    assert_eq!(
        advice,
        "the role lockstep-cloudformation lacks sqs:TagQueue on arn:aws:sqs:eu-west-1:222222222222:orders; add the \
         statement {\"Action\":\"sqs:TagQueue\",\"Effect\":\"Allow\",\"Resource\":\"arn:aws:sqs:eu-west-1:222222222222:orders\"}"
    );
}

#[test]
fn no_statement_is_named_that_would_not_help() {
    for (message, _, _, cause) in MESSAGES {
        let found = denial(&message.replace("ROLE", ROLE)).unwrap();
        let helps = cause == Cause::NoStatement && found.action.is_some();
        assert_eq!(found.statement().is_some(), helps, "{message}");
        assert_eq!(found.advice().contains("add the statement"), helps, "{message}");
    }
}

#[test]
fn an_encoded_message_comes_with_the_command_to_decode_it() {
    let found = denial(
        "You are not authorized to perform this operation. Encoded authorization failure message: 4Vk",
    );
    assert!(found.unwrap().advice().contains("aws sts decode-authorization-message"));
}
