//! Load-balancer logs, from the bytes of an S3 object to events for Logstash.
//!
//! This crate does no I/O. The caller feeds the bytes of the object to a [`Reader`] as they arrive,
//! compressed or not. It gets [`Batch`]es of newline-delimited JSON, each with the lines that it accounts
//! for. A line or bytes without an event are returned unchanged with the reason ([`Quarantined`],
//! [`Unreadable`]): no input is dropped. Memory does not grow with the object.
//!
//! `docs/elb-logs.md` describes the fields of an event. [`mod@format`] lists the columns of each format, and
//! [`mod@ecs`] their fields.
//!
//! This crate is separate from `domain`, because it alone is worth compiling for speed.

pub mod ecs;
mod event;
mod fast;
pub mod format;
mod gunzip;
mod line;
mod lines;
mod reader;
pub mod synthetic;
mod time;
mod values;

pub use event::{Fields, Labels, Source, UnknownFields};
pub use fast::count_values;
pub use format::Format;
pub use gunzip::{Unreadable, Why};
pub use line::Malformed;
pub use reader::{Batch, Quarantined, Reader, Settings};
