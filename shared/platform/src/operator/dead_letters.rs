//! What a queue gave up, put back into it.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;

/// The most messages that one ReceiveMessage gives.
const BATCH: i32 = 10;

/// Seconds for which ReceiveMessage asks every server of the queue, rather than a few of them.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>
const WAIT_SECONDS: i32 = 2;

/// Seconds that what was received is hidden from others: time to put ten of them back.
const HIDDEN_SECONDS: i32 = 60;

/// A queue, and the one that has what it gave up.
pub struct DeadLetters {
    client: Client,
    queue: String,
    letters: String,
}

/// What became of some dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// How many are in the queue again.
    pub moved: u64,
    /// How many were put back before and failed anew: they stay where they are.
    pub came_back: u64,
}

impl DeadLetters {
    /// What the queue at `queue` gave up into the one at `letters`.
    pub fn new(aws: &Aws, queue: &str, letters: &str) -> Self {
        Self { client: Client::new(aws.sdk_config()), queue: queue.to_owned(), letters: letters.to_owned() }
    }

    /// Sends a message to the queue itself.
    ///
    /// # Errors
    /// Whatever SendMessage answers.
    pub async fn send(&self, body: &str) -> Result<(), Failure> {
        let request = self.client.send_message().queue_url(&self.queue).message_body(body);
        request.send().await.map(drop).map_err(|error| failure("SendMessage", &self.queue, &error))
    }

    /// Puts some of the letters back that were first sent before `began`: what comes later came back, and is left alone,
    /// so that this ends though the cause of the failure remains. Nothing moved and nothing that came back means that
    /// there is no more.
    ///
    /// Each is sent before it is deleted, so that whatever ends this loses none; one may be there twice then.
    ///
    /// # Errors
    /// Whatever ReceiveMessage, SendMessage or DeleteMessage answers.
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

/// When a message was first sent. A queue that gives a message up keeps that time.
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
