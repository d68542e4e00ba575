//! Shipping events to a log broker: what is promised, and how each protocol keeps it, without a socket.
//!
//! Three ways lead to a broker ([`Target`]). Whoever ships gives batches to a [`Window`], which keeps each one until
//! the peer has taken it, and a [`Conversation`] says what one connection has to do next. When a connection is lost,
//! what it carried and was not acknowledged is sent again over the next one ([`Window::rewind`]): a line may arrive
//! twice, never not at all. What an acknowledgement proves is told in `docs/elb-logs.md`.

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
