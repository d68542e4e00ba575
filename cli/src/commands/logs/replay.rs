//! `lockstep logs replay`: logs of load balancers are shipped again. Their ids stay the same, so nothing doubles.

use super::StageArguments;
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::S3Uri;
use crate::report::Report;
use clap::Args;
use jiff::Timestamp;
use lockstep_domain::logs::delivery::Object;
use lockstep_platform::operator::dead_letters::{DeadLetters, PutBack};
use serde_json::json;

/// What `logs replay` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Objects to ship, whether or not they were; without any, what could not be shipped until now
    #[arg(value_name = "S3-URI")]
    objects: Vec<S3Uri>,
    /// What the component that ships is called there
    #[arg(long, default_value = "elb-logs", value_name = "NAME")]
    environment: String,
    #[command(flatten)]
    stage: StageArguments,
}

/// Carries it out.
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

/// A message that asks for an object from its first line; see [`lockstep_domain::logs::delivery::read`].
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
        0 => "nothing waits to be shipped again".to_owned(),
        _ => format!("{moved} {} shipped again", plural(moved, "message is", "messages are")),
    });
    if came_back > 0 {
        let them = plural(came_back, "message", "messages");
        output.line(format!("{came_back} {them} failed again meanwhile: the function's log says why"));
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
    fn what_is_sent_asks_the_function_for_the_object_as_it_is() {
        let body = message("acme-logs", "a b/ü+.log.gz");
        let asked =
            read(&json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "1", "body": body }] }));
        let [message] = asked.messages.as_slice() else { panic!("{asked:?}") };
        assert_eq!((message.malformed.as_deref(), message.hops), (None, 0));
        assert_eq!(message.objects[0].bucket, "acme-logs");
        assert_eq!(message.objects[0].key, "a b/ü+.log.gz");
    }
}
