//! Delivering log objects: what an invocation asks for, how far it came, and what is left for the next one.

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
