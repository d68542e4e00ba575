//! `lockstep-webhook`: starts one execution of `release` for each push to a registered repository.
//!
//! The function is open to the internet, so an unauthenticated caller costs as little as possible. A request to a hook
//! that this installation did not give out, without a well-formed signature or over the cap costs no call. Any other
//! request costs one read of a secret, which the function remembers with its absence. Before the signature is verified
//! the function parses nothing and writes nothing.
//!
//! The function owns webhook deliveries, so the sweep sends it what it found about them ([`proposals`]).

pub mod context;
pub mod decide;
pub mod handler;
pub mod proposals;
