//! `lockstep-elb-logs`: ships the access logs of load balancers from S3 to a log broker without the loss of a line.
//!
//! An invocation reads each object of its messages as a stream and ships the lines as events. It accounts for every
//! line: the broker acknowledged it, or it is in quarantine with the reason. An object that is not finished in time is
//! sent to the queue with its progress. A message that fails remains in the queue and ends in the dead-letter queue.
//! `docs/elb-logs.md` gives the guarantees of each protocol.

mod context;
pub mod handler;
mod quarantine;
mod ship;

pub use context::{AwsContext, OPTIONAL, SETTINGS};
