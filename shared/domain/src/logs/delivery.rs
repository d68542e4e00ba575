//! Delivery of log objects: the objects of an invocation, the progress, and the continuation for the next
//! invocation.

mod account;
mod budget;
mod notification;
mod quarantine;
mod work;

pub use account::{AckTracker, LineCounts, PendingBatch};
pub use budget::Budget;
pub use notification::{Asked, Message, is_check, read};
pub use quarantine::{LINES_TYPE, UNREADABLE_TYPE, line_record, lines_key, unreadable_key};
pub use work::{Continuation, HOPS_MAX, Next, Object, go_on};

#[cfg(test)]
mod tests;
