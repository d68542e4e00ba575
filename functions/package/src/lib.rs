//! `lockstep-package`: a commit becomes the releases of its components.
//!
//! It reads what strangers wrote, so it holds no permission to deploy anything and never learns what runs where. A
//! retry after a crash finds what the first attempt left: the same commit gives the same bytes and the same version.

pub mod commit;
pub mod context;
pub mod handler;
pub mod recipes;
pub mod records;
pub mod release;
pub mod source;
pub mod surroundings;
