//! `lockstep-webhook`: a push to a subscribed repository becomes one execution of `release`.
//!
//! It answers anybody on the internet, so it does as little as it can for those it does not know: until the
//! signature is verified it reads one secret, remembered with its absence, and nothing else; nothing is parsed and
//! nothing is written.

pub mod context;
pub mod decide;
pub mod handler;
