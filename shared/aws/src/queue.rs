//! A queue that a function sends to.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_sqs::Client;
use lockstep_domain::model::error::Failure;
use std::sync::OnceLock;

/// One queue.
pub struct Queue {
    aws: Aws,
    client: OnceLock<Client>,
    url: String,
}

impl Queue {
    /// Creates the client of the queue at `url`.
    pub fn new(aws: &Aws, url: &str) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), url: url.to_owned() }
    }

    /// Sends a message that becomes visible after `delay_seconds` (900 at most).
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
    pub async fn send(&self, body: String, delay_seconds: i32) -> Result<(), Failure> {
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let request =
            client.send_message().queue_url(&self.url).message_body(body).delay_seconds(delay_seconds);
        request.send().await.map(drop).map_err(|error| failure("SendMessage", &self.url, &error))
    }
}
