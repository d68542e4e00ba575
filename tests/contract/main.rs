//! The contracts between parts that the compiler cannot check together: templates, policies, state machines and
//! functions.
//!
//! These tests need neither AWS nor the local cloud. They check what the local cloud does not enforce: roles of state
//! machines, resource policies, PassRole and leading keys.

mod accounts;
mod bounds;
mod builds;
mod callers;
mod checks;
mod components;
mod draining;
mod drift;
mod environment;
mod examples;
mod expressions;
mod failure_modes;
mod iam;
mod installation;
mod intake;
mod log_fields;
mod log_lines;
mod machine;
mod machines;
mod observability;
mod operations;
mod packer;
mod payloads;
mod permissions;
mod pipelines;
mod tables;
mod tags;
mod variables;

use lockstep_tests::{installed, policy, stack};
