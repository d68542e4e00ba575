//! `lockstep-webhook`: starts one execution of `release` for each push to a registered repository.
//!
//! The function is open to the internet, so an unauthenticated caller costs as little as possible. Before the signature is
//! verified, the function reads one secret, which it remembers with its absence. It parses nothing and writes nothing.

pub mod context;
pub mod decide;
pub mod handler;
