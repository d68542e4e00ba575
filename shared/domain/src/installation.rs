//! Installation of Lockstep: registered accounts, the roles in them, and the checks of `lockstep doctor`.

pub mod accounts;
pub mod advice;
pub mod doctor;
pub mod target_roles;
pub mod versions;
pub mod written_names;
