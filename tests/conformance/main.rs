//! The sweep.
fn main() {}
