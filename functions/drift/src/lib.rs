//! `lockstep-<path>-drift`: looks for drift of the environments of its path.
//!
//! A look begins with CloudFormation's detection on the stack and its nested stacks. Once they have ended, Cloud Control
//! reads what the detection could not check, and what it calls changed. The domain judges the answers. The report is a
//! claim: it decides about no deployment.

pub mod begin;
pub mod collect;
pub mod context;
pub mod due;
pub mod handler;
pub mod note;
