//! `lockstep-package`: builds the releases of the components of a commit.
//!
//! Its input is untrusted, so the function has no permission to deploy and cannot read what runs where. A retry after a
//! crash finds the results of the first attempt: the same commit gives the same bytes and the same version.

pub mod commit;
pub mod context;
pub mod handler;
pub mod input;
pub mod recipes;
pub mod records;
pub mod release;
pub mod source;
