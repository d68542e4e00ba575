//! Shipping events to a log broker: the guarantee, and its implementation by each protocol, without a socket.
//!
//! Three protocols lead to a broker ([`Target`]). The shipper gives batches to a [`Window`], which keeps each
//! one until the peer has taken it. A [`Conversation`] returns the next step of one connection. After the
//! loss of a connection, every batch that was not acknowledged is sent again over the next one
//! ([`Window::rewind`]). A line may arrive twice, and never fails to arrive. `docs/elb-logs.md` describes the
//! proof that an acknowledgement gives.

mod batch;
mod conversation;
mod http;
mod lumberjack;
mod retry;
mod target;
mod window;

pub use batch::Batch;
pub use conversation::{Conversation, Goal, Lost, Next};
pub use http::{Answered, RETRY_AFTER_MAX, body, judge};
pub use retry::{FRUITLESS_MAX, Patience, Verdict};
pub use target::{BodyShape, InvalidTarget, Protocol, Target};
pub use window::Window;

#[cfg(test)]
mod tests;
