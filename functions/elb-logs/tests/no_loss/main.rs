//! Not one line is lost: a broker that behaves badly, a bucket that breaks off, a function that is killed anywhere.
//!
//! Every test ends with the same account: each line of the object was taken by the broker or is in quarantine, byte for
//! byte. What came twice is counted, and has the same id.

mod cloud;
mod delivery;
mod killed;
mod planted;
mod soak;
mod tally;
