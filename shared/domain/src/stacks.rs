//! CloudFormation: templates, identity of stacks, plans of stack operations, comparison of stacks with reports about
//! them, reviews of change sets, drift, diagnosis and permissions.

pub mod access;
pub mod change_set_review;
pub mod diagnosis;
pub mod drift;
pub mod exports;
pub mod identity;
pub mod late_values;
pub(crate) mod names;
pub mod permissions;
pub mod plan;
pub mod protected;
pub mod readback;
pub(crate) mod resource_rules;
pub mod resource_types;
pub mod review;
pub mod template;
