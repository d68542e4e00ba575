use crate::stacks::permissions::Table;
use serde_json::json;

/// Returns a table with the rows that the tests use, in the format of the real one.
pub(in crate::stacks::permissions) fn table() -> Table {
    serde_json::from_value(json!({
        "types": {
            "AWS::SQS::Queue": {
                "create": ["sqs:CreateQueue", "sqs:GetQueueAttributes"],
                "read": ["sqs:GetQueueAttributes"],
                "update": ["sqs:SetQueueAttributes"],
                "delete": ["sqs:DeleteQueue"],
                "list": ["sqs:ListQueues"],
                "when": [{"property": "/KmsMasterKeyId", "actions": ["kms:DescribeKey"], "handlers": ["create"]}],
                "tagging": {"property": "/Tags", "actions": ["sqs:TagQueue", "sqs:UntagQueue"]},
                "name": "/QueueName",
                "arn": "arn:${Partition}:sqs:${Region}:${Account}:${/QueueName}",
            },
            "AWS::Lambda::Function": {
                "create": ["lambda:CreateFunction", "iam:PassRole"],
                "when": [
                    {"property": "/VpcConfig/SubnetIds/*", "actions": ["ec2:DescribeSubnets"]},
                    {"property": "/Layers", "actions": ["lambda:GetLayerVersion"]},
                    {"property": "/Code/S3Bucket", "actions": ["s3:GetObject"]},
                ],
                "unmapped": {"create": ["lambda:AssociateRuntimeAlias"], "list": ["lambda:ListFunctions"]},
                "pass_role": ["/Role"],
                "passed_to": ["lambda.amazonaws.com"],
                "name": "/FunctionName",
                "arn": "arn:${Partition}:lambda:${Region}:${Account}:function:${/FunctionName}",
                "touches": [{"actions": ["s3:GetObject"], "property": "/Code/S3Bucket",
                             "arn": "arn:${Partition}:s3:::${/Code/S3Bucket}/${/Code/S3Key}"}],
            },
            "AWS::Lambda::LayerVersion": {
                "create": ["lambda:PublishLayerVersion", "lambda:GetLayerVersion"],
                "delete": ["lambda:DeleteLayerVersion"],
                "arn": "arn:${Partition}:lambda:${Region}:${Account}:layer:${/LayerName}",
                "touches": [{"actions": ["lambda:DeleteLayerVersion"], "property": "/Content",
                             "arn": "arn:${Partition}:lambda:${Region}:${Account}:layer:${/LayerName}:*"}],
            },
            "AWS::Lambda::Permission": {"create": ["lambda:AddPermission"]},
            "AWS::AutoScaling::AutoScalingGroup": {
                "create": ["autoscaling:CreateAutoScalingGroup", "iam:CreateServiceLinkedRole"],
                "when": [
                    {"property": "@UpdatePolicy", "actions": ["autoscaling:SuspendProcesses"]},
                    {"property": "/Mixed", "actions": ["iam:CreateServiceLinkedRole"], "service": "spot.amazonaws.com"},
                ],
                "service_linked_role": "autoscaling.amazonaws.com",
                "pass_role": ["/LaunchTemplate"],
                "name": "/AutoScalingGroupName",
                "arn": "arn:${Partition}:autoscaling:${Region}:${Account}:autoScalingGroup:*:\
                        autoScalingGroupName/${/AutoScalingGroupName}",
            },
            "AWS::EC2::Volume": {
                "create": ["ec2:CreateVolume"],
                "when": [{"property": "@Snapshot", "actions": ["ec2:CreateSnapshot"]}],
                "arn": "arn:${Partition}:ec2:${Region}:${Account}:volume/*",
            },
            "AWS::EC2::Instance": {
                "create": ["ec2:RunInstances"],
                "tagging": {"property": "/Tags", "actions": ["ec2:CreateTags"]},
                "pass_role": ["/IamInstanceProfile"],
                "arn": "arn:${Partition}:ec2:${Region}:${Account}:instance/*",
                "touches": [{"actions": ["ec2:RunInstances"], "property": "/SubnetId",
                             "arn": "arn:${Partition}:ec2:${Region}:${Account}:subnet/${/SubnetId}"}],
            },
            "AWS::Logs::LogGroup": {
                "create": ["logs:CreateLogGroup"],
                "name": "/LogGroupName",
                "arn": "arn:${Partition}:logs:${Region}:${Account}:log-group:${/LogGroupName}",
            },
            "AWS::IAM::Role": {
                "create": ["iam:CreateRole"],
                "name": "/RoleName",
                "arn": "arn:${Partition}:iam::${Account}:role${/Path:/}${/RoleName}",
            },
            "AWS::Events::Rule": {
                "create": ["events:PutRule"],
                "name": "/Name",
                "arn": "arn:${Partition}:events:${Region}:${Account}:rule/${/EventBusName?}${/Name}",
            },
            "AWS::IAM::InstanceProfile": {"create": ["iam:CreateInstanceProfile"]},
            "AWS::Old::Thing": {"list": ["old:List"]},
            "AWS::CloudFormation::Stack": {"create": ["cloudformation:CreateStack"]},
        },
        "actions": {
            "sqs:CreateQueue": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "sqs:GetQueueAttributes": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "sqs:SetQueueAttributes": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "sqs:DeleteQueue": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "sqs:TagQueue": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "sqs:UntagQueue": {"resources": ["arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"]},
            "kms:DescribeKey": {"resources": ["arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"]},
            "lambda:CreateFunction":
                {"resources": ["arn:${Partition}:lambda:${Region}:${Account}:function:${FunctionName}"]},
            "lambda:AddPermission":
                {"resources": ["arn:${Partition}:lambda:${Region}:${Account}:function:${FunctionName}"]},
            "lambda:GetLayerVersion": {"resources":
                ["arn:${Partition}:lambda:${Region}:${Account}:layer:${LayerName}:${LayerVersion}"]},
            "lambda:PublishLayerVersion":
                {"resources": ["arn:${Partition}:lambda:${Region}:${Account}:layer:${LayerName}"]},
            "lambda:DeleteLayerVersion": {"resources":
                ["arn:${Partition}:lambda:${Region}:${Account}:layer:${LayerName}:${LayerVersion}"]},
            "lambda:AssociateRuntimeAlias": {"resources": []},
            "ec2:DescribeSubnets": {"resources": []},
            "ec2:RunInstances": {"resources": [
                "arn:${Partition}:ec2:${Region}::image/${ImageId}",
                "arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}",
                "arn:${Partition}:ec2:${Region}:${Account}:subnet/${SubnetId}"]},
            "ec2:CreateVolume": {"resources": ["arn:${Partition}:ec2:${Region}:${Account}:volume/${VolumeId}"]},
            "ec2:CreateSnapshot": {"resources": ["arn:${Partition}:ec2:${Region}:${Account}:volume/${VolumeId}"]},
            "s3:GetObject": {"resources": ["arn:${Partition}:s3:::${BucketName}/${ObjectName}"]},
            "events:PutRule":
                {"resources": [
                    "arn:${Partition}:events:${Region}:${Account}:rule/${RuleName}",
                    "arn:${Partition}:events:${Region}:${Account}:rule/${EventBusName}/${RuleName}"]},
            "ec2:CreateTags": {"resources": [
                "arn:${Partition}:ec2:${Region}::image/${ImageId}",
                "arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}",
                "arn:${Partition}:ec2:${Region}:${Account}:subnet/${SubnetId}"]},
            "autoscaling:CreateAutoScalingGroup": {"resources": [
                "arn:${Partition}:autoscaling:${Region}:${Account}:autoScalingGroup:${GroupId}:\
                 autoScalingGroupName/${GroupFriendlyName}"]},
            "autoscaling:SuspendProcesses": {"resources": []},
            "logs:CreateLogGroup":
                {"resources": ["arn:${Partition}:logs:${Region}:${Account}:log-group:${LogGroupName}"]},
            "iam:CreateRole": {"resources": ["arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"]},
            "iam:CreateInstanceProfile":
                {"resources": ["arn:${Partition}:iam::${Account}:instance-profile/${InstanceProfileNameWithPath}"]},
        },
        "references": {
            "ssm": ["ssm:GetParameters"],
            "ssm-secure": ["ssm:GetParameters"],
            "secretsmanager": ["secretsmanager:GetSecretValue"],
        },
    }))
    .unwrap()
}
