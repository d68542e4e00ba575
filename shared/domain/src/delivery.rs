//! A push on its way to production: webhook, packaging, parameters, gates, approvals and environments.

pub mod approval;
pub mod archive;
pub mod checks;
pub mod credentials;
pub mod environment;
pub mod function_code;
pub mod gate;
pub mod hints;
pub mod inbox;
pub mod intervene;
pub mod manifest;
pub mod packaging;
pub mod parameters;
pub mod stages;
pub mod sweep;
pub mod waiting;
pub mod webhook;
