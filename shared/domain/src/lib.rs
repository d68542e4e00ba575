//! Every decision Lockstep takes, as pure functions over plain types.
//!
//! This crate knows nothing of AWS clients, clocks, random numbers, files or networks: time, identities and the
//! world arrive as arguments. The dependency list in its `Cargo.toml` keeps it so.

pub mod delivery;
pub mod images;
pub mod installation;
pub mod logs;
pub mod messages;
pub mod model;
pub mod records;
pub mod stacks;
