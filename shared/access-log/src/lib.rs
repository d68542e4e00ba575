//! Load-balancer logs, from the bytes of an S3 object to events for Logstash.
//!
//! Nothing here does I/O: whoever reads the object feeds its bytes to a [`Reader`] as they come, compressed or not, and
//! gets [`Batch`]es of newline-delimited JSON back, each with the lines it accounts for. What cannot be an event is
//! handed out byte for byte with the reason ([`Quarantined`], [`Unreadable`]): nothing is dropped. Memory does not grow
//! with the object.
//!
//! The fields of an event are described in `docs/elb-logs.md`; the columns of each format stand in [`mod@format`].
//!
//! This is a crate of its own, beside `domain`, because it alone is worth compiling for speed.

mod event;
mod fast;
pub mod format;
mod gunzip;
mod line;
mod lines;
mod reader;
pub mod synthetic;
mod time;

pub use event::{Labels, Source};
pub use fast::count_values;
pub use format::Format;
pub use gunzip::{Unreadable, Why};
pub use line::Malformed;
pub use reader::{Batch, Quarantined, Reader, Settings};
