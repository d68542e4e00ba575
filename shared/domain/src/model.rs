//! Plain types of every area: identities, versions, states and failures.
//!
//! This area imports no other area.

pub mod administrators;
pub mod base_image;
pub mod branch_pattern;
pub mod build_policy;
pub mod canonical;
pub mod caught_error;
pub mod denial;
pub mod deployment_path;
pub mod difference;
pub mod drift_status;
pub mod error;
pub mod ids;
pub mod image_constraint;
pub mod image_lock;
pub mod image_version_state;
pub mod late_values;
pub mod location;
pub mod look_interval;
pub mod metric;
pub mod missing_permissions;
pub mod operator_action;
pub mod orphan;
pub mod outcome;
pub mod output_name;
pub mod partitions;
pub mod permission;
pub mod person;
pub mod policies;
pub mod public_parameters;
pub mod resource_change;
pub mod suggestion;
pub mod test_difference;
pub mod text;
pub mod token;
pub mod toml_file;
pub mod version;
pub mod visible;
