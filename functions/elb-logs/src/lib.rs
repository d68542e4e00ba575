//! `lockstep-elb-logs`: the access logs of load balancers, from S3 to a log broker, and not one line lost on the way.
//!
//! An invocation reads each object that it is told of as a stream, ships its lines as events, and accounts for every one
//! of them: acknowledged by the broker, or in quarantine with the reason. What it does not get through before its time
//! is over goes back to the queue, with how far it came; what fails stays in the queue, and ends in the dead-letter
//! queue. What each way to the broker can promise is told in `docs/elb-logs.md`.

mod context;
pub mod handler;
mod quarantine;
mod ship;

pub use context::{AwsContext, OPTIONAL, SETTINGS};
