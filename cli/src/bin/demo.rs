//! `cargo demo`: the main job of Lockstep on this machine.

fn main() {}
