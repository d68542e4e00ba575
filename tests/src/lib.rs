//! What the tests that span functions share: the language of the state machines, run within the process.

pub mod asl;
