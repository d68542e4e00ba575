//! Redrive of a dead-letter queue.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;

/// Maximum number of messages of one ReceiveMessage request.
const BATCH: i32 = 10;

/// Seconds of long polling, which queries every server of the queue rather than a subset.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>
const WAIT_SECONDS: i32 = 2;

/// Visibility timeout in seconds of a received message: enough to move ten of them.
const HIDDEN_SECONDS: i32 = 60;

/// A queue and its dead-letter queue.
pub struct DeadLetters {
    client: Client,
    queue: String,
    letters: String,
}

/// Result of a redrive of some messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Number of messages moved to the queue.
    pub moved: u64,
    /// Number of messages that were moved before and failed again: they remain in the dead-letter queue.
    pub came_back: u64,
}

impl DeadLetters {
    /// Creates the redrive from the dead-letter queue at `letters` to the queue at `queue`.
    pub fn new(aws: &Aws, queue: &str, letters: &str) -> Self {
        Self { client: Client::new(aws.sdk_config()), queue: queue.to_owned(), letters: letters.to_owned() }
    }

    /// Sends a message to the queue itself.
    ///
    /// # Errors
    /// The failures of SendMessage.
    pub async fn send(&self, body: &str) -> Result<(), Failure> {
        let request = self.client.send_message().queue_url(&self.queue).message_body(body);
        request.send().await.map(drop).map_err(|error| failure("SendMessage", &self.queue, &error))
    }

    /// Moves some of the messages that were first sent before `began`. A later message has failed again and remains, so
    /// that the redrive ends even if the cause of the failure persists. If both counts are zero, no message is left.
    ///
    /// Each message is sent before it is deleted, so that an interruption loses none; a message may then be in the
    /// queue twice.
    ///
    /// # Errors
    /// The failures of ReceiveMessage, SendMessage and DeleteMessage.
    pub async fn put_some_back(&self, began: Timestamp) -> Result<PutBack, Failure> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.letters)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(HIDDEN_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let received = request.send().await;
        let received = received.map_err(|error| failure("ReceiveMessage", &self.letters, &error))?;
        let mut put_back = PutBack::default();
        for letter in received.messages() {
            if sent_at(letter).is_some_and(|sent| sent >= began) {
                put_back.came_back += 1;
                continue;
            }
            self.send(letter.body().unwrap_or_default()).await?;
            let handle = letter.receipt_handle().unwrap_or_default();
            let request = self.client.delete_message().queue_url(&self.letters).receipt_handle(handle);
            request.send().await.map_err(|error| failure("DeleteMessage", &self.letters, &error))?;
            put_back.moved += 1;
        }
        Ok(put_back)
    }
}

/// Returns the time at which a message was first sent. A dead-letter queue keeps that time.
fn sent_at(message: &Message) -> Option<Timestamp> {
    let milliseconds = message.attributes()?.get(&MessageSystemAttributeName::SentTimestamp)?;
    Timestamp::from_millisecond(milliseconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_message_is_that_of_its_first_sending() {
        let message = |value: &str| {
            Message::builder().attributes(MessageSystemAttributeName::SentTimestamp, value).build()
        };
        let sent = sent_at(&message("1767225600123")).unwrap();
        assert_eq!(sent.to_string(), "2026-01-01T00:00:00.123Z");
        assert_eq!(sent_at(&message("soon")), None);
        assert_eq!(sent_at(&Message::builder().build()), None);
    }
}
