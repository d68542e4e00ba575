//! Every decision of Lockstep, as pure functions over plain types.
//!
//! This crate uses no AWS clients, clocks, random numbers, files or networks: time, identities and
//! observations arrive as arguments. The dependency list in its `Cargo.toml` enforces this.

pub mod delivery;
pub mod drift;
pub mod images;
pub mod installation;
pub mod logs;
pub mod messages;
pub mod model;
pub mod records;
pub mod schemas;
pub mod stacks;
