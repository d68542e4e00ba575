//! Plain types of every area: identities, versions, states and failures.
//!
//! This area imports no other one.

pub mod canonical;
pub mod error;
pub mod ids;
pub mod partitions;
pub mod token;
pub mod toml_file;
pub mod version;
