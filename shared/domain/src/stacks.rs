//! CloudFormation: templates, plans of stack operations, reviews of change sets, drift, diagnosis and permissions.

pub mod diagnosis;
pub mod drift;
pub mod exports;
pub mod guard;
pub mod permissions;
pub mod protected;
pub mod stack_plan;
pub mod template;
