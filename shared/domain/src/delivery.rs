//! A push on its way to production: webhook, packaging, parameters, gates, approvals and environments.

pub mod answers;
pub mod approval;
pub mod approval_rule;
pub mod archive;
pub mod aws_events;
pub mod callbacks;
pub mod checks;
pub mod credentials;
pub mod environment;
pub mod function_code;
pub mod gate;
pub mod hook;
pub mod host_token;
pub mod manifest;
pub mod operator_actions;
pub mod ownership;
pub mod packaging;
pub mod parameters;
pub mod pending_change;
pub mod people;
pub mod stages;
pub mod sweep;
pub mod weakening;
pub mod webhook;
pub mod webhook_delivery;
