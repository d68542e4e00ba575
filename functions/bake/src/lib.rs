//! The `bake` function: builds images from recipes with CodeBuild.
//!
//! [`version`] assigns a version to a recipe and decides its state. [`build`] is one build in one account. A build is a
//! deployment of the ledger. Its id is derived from image, version and location, so its record prevents a second build.
//! The record holds the parameters of the build from the start.

pub mod build;
pub mod context;
pub mod discard;
pub mod handler;
pub mod load;
pub mod register;
pub mod version;
