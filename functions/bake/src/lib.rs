//! The `bake` function: images are built, by CodeBuild, from recipes.
//!
//! [`version`] gives a recipe its version and says what becomes of it; [`build`] is one build in one account, which is a
//! deployment of the ledger: its id is made from image, version and place, so that the record is what keeps a second
//! build from being begun. What a build is given is written into it when it begins.

pub mod build;
pub mod context;
pub mod discard;
pub mod handler;
pub mod load;
pub mod register;
pub mod version;
