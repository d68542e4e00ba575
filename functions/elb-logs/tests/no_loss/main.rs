//! Tests that no line is lost with a faulty broker, an interrupted read, or a function that is killed at any point.
//!
//! Each test ends with the same account: the broker took each line of the object, or the line is in quarantine byte for
//! byte. Duplicates are counted and have the same id.

mod account;
mod delivery;
mod killed;
mod planted;
mod soak;
mod tally;
