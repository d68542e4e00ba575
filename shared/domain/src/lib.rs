//! Every decision Lockstep takes, as pure functions over plain types.
//!
//! This crate knows nothing of AWS clients, clocks, random numbers, files or networks: time, identities and the
//! world arrive as arguments. The dependency list in its `Cargo.toml` keeps it so.

pub mod accounts;
pub mod approval;
pub mod archive;
pub mod bake;
mod canonical;
pub mod channels;
pub mod checks;
pub mod credentials;
pub mod diagnosis;
pub mod doctor;
pub mod drift;
pub mod environment;
pub mod error;
pub mod exports;
pub mod function_code;
pub mod gate;
pub mod guard;
pub mod hints;
pub mod http_body;
pub mod ids;
pub mod image_settings;
pub mod images;
pub mod inbox;
pub mod intake;
pub mod intervene;
pub mod log_delivery;
pub mod manifest;
pub mod orphans;
pub mod packaging;
pub mod parameters;
pub mod partitions;
pub mod payloads;
pub mod permissions;
pub mod ping;
pub mod promotion;
pub mod protected;
pub mod recipe;
pub mod records;
pub mod retirement;
pub mod shipping;
pub mod stack_plan;
pub mod stages;
pub mod sweep;
pub mod target_roles;
pub mod template;
pub mod token;
mod toml_file;
pub mod traffic;
pub mod version;
pub mod waiting;
pub mod webhook;
pub mod written_names;
