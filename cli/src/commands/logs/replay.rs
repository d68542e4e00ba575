//! `lockstep logs replay`: ships logs of load balancers again. The ids of events are derived, so the store gets no
//! duplicates.

use super::StageArguments;
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::S3Uri;
use crate::report::Report;
use clap::Args;
use jiff::Timestamp;
use lockstep_aws::operator::dead_letters::{DeadLetters, PutBack};
use lockstep_domain::logs::delivery::Object;
use serde_json::json;

/// The arguments of `logs replay`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Objects to ship, even if they were shipped before; without any, all objects whose shipping failed
    #[arg(value_name = "S3-URI")]
    objects: Vec<S3Uri>,
    /// The environment of the component that ships the logs
    #[arg(long, default_value = "elb-logs", value_name = "NAME")]
    environment: String,
    #[command(flatten)]
    stage: StageArguments,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let shipper = arguments.stage.find(&arguments.environment, global, context).await?;
    let (queue, letters) = (shipper.output("QueueUrl")?, shipper.output("DeadLettersUrl")?);
    let letters = DeadLetters::new(&shipper.aws, queue, letters);
    if arguments.objects.is_empty() {
        put_back(&letters, context).await
    } else {
        ship(&letters, &arguments.objects, context).await
    }
}

async fn ship(letters: &DeadLetters, objects: &[S3Uri], context: &CommandContext) -> Result<Report, Failure> {
    for S3Uri { bucket, key } in objects {
        letters.send(&message(bucket, key)).await?;
    }
    let count = objects.len();
    context
        .output
        .line(format!("{count} {} shipped again", plural(count as u64, "object is", "objects are")));
    Ok(Report::done(json!({ "objects": count })))
}

/// Returns a message that requests an object from its first line; see [`lockstep_domain::logs::delivery::read`].
fn message(bucket: &str, key: &str) -> String {
    let object = Object {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version: None,
        etag: None,
        acknowledged: 0,
        quarantined: 0,
    };
    json!({ "lockstep": { "objects": [object] } }).to_string()
}

async fn put_back(letters: &DeadLetters, context: &CommandContext) -> Result<Report, Failure> {
    let began = Timestamp::now();
    let output = &context.output;
    let mut all = PutBack::default();
    loop {
        let some = letters.put_some_back(began).await?;
        all.moved += some.moved;
        all.came_back += some.came_back;
        if some.moved == 0 {
            break;
        }
    }
    let PutBack { moved, came_back } = all;
    output.line(match moved {
        0 => "there is no failed message to ship again".to_owned(),
        _ => format!("{moved} {} shipped again", plural(moved, "message is", "messages are")),
    });
    if came_back > 0 {
        let them = plural(came_back, "message", "messages");
        output.line(format!("{came_back} {them} failed again meanwhile: see the function's log"));
    }
    Ok(Report::done(json!({ "messages": moved, "failed_again": came_back })))
}

fn plural<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::logs::delivery::read;

    #[test]
    fn the_message_names_the_object_exactly() {
        let body = message("acme-logs", "a b/ü+.log.gz");
        let asked =
            read(&json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "1", "body": body }] }));
        let [message] = asked.messages.as_slice() else { panic!("{asked:?}") };
        assert_eq!((message.malformed.as_deref(), message.hops), (None, 0));
        assert_eq!(message.objects[0].bucket, "acme-logs");
        assert_eq!(message.objects[0].key, "a b/ü+.log.gz");
    }
}
