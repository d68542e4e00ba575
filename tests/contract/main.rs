//! The contracts between what the compiler cannot see together: templates, policies, state machines and functions.
//!
//! Nothing here needs AWS or the local cloud. What the local cloud does not enforce (roles of state machines, resource
//! policies, PassRole, leading keys) is held here instead.

mod accounts;
mod checks;
mod components;
mod draining;
mod environment;
mod examples;
mod expressions;
mod failure_modes;
mod iam;
mod installation;
mod installed;
mod intake;
mod machine;
mod machines;
mod operations;
mod packer;
mod payloads;
mod permissions;
mod pipelines;
mod policy;
mod stack;
mod variables;
