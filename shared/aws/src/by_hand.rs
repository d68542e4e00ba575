//! Changes of resources outside of CloudFormation, as a person makes them in the console: for tests of drift.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_ec2::types::{IpPermission, IpRange};
use aws_sdk_sqs::types::QueueAttributeName;
use lockstep_domain::model::error::Failure;

/// Changes in the account and region of an [`Aws`].
pub struct ByHand {
    aws: Aws,
}

impl ByHand {
    /// Returns the changes in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone() }
    }

    /// Sets the delay of a queue, in seconds.
    pub async fn set_delay(&self, queue: &str, seconds: u32) -> Result<(), Failure> {
        let request = aws_sdk_sqs::Client::new(self.aws.sdk_config()).set_queue_attributes();
        let request =
            request.queue_url(queue).attributes(QueueAttributeName::DelaySeconds, seconds.to_string());
        request.send().await.map(drop).map_err(|error| failure("SetQueueAttributes", queue, &error))
    }

    /// Sets the retention of a log group, in days.
    pub async fn set_retention(&self, group: &str, days: i32) -> Result<(), Failure> {
        let request = aws_sdk_cloudwatchlogs::Client::new(self.aws.sdk_config()).put_retention_policy();
        let sent = request.log_group_name(group).retention_in_days(days).send().await;
        sent.map(drop).map_err(|error| failure("PutRetentionPolicy", group, &error))
    }

    /// Opens a port of a security group to a range of addresses.
    pub async fn open(&self, group: &str, port: i32, range: &str) -> Result<(), Failure> {
        let request = aws_sdk_ec2::Client::new(self.aws.sdk_config()).authorize_security_group_ingress();
        let sent = request.group_id(group).ip_permissions(rule(port, range)).send().await;
        sent.map(drop).map_err(|error| failure("AuthorizeSecurityGroupIngress", group, &error))
    }

    /// Closes a port of a security group to a range of addresses.
    pub async fn close(&self, group: &str, port: i32, range: &str) -> Result<(), Failure> {
        let request = aws_sdk_ec2::Client::new(self.aws.sdk_config()).revoke_security_group_ingress();
        let sent = request.group_id(group).ip_permissions(rule(port, range)).send().await;
        sent.map(drop).map_err(|error| failure("RevokeSecurityGroupIngress", group, &error))
    }
}

fn rule(port: i32, range: &str) -> IpPermission {
    let range = IpRange::builder().cidr_ip(range).build();
    IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port).ip_ranges(range).build()
}
