//! Installation of Lockstep: registered accounts, the roles in them, and the checks of `lockstep doctor`.

pub mod accounts;
pub mod doctor;
pub mod target_roles;
pub mod written_names;
