//! Conformance of the in-process stand-ins for AWS: one set of scenarios runs on each stand-in and on the emulator.

mod cloud;
mod code;
mod dead_letters;
mod images;
mod machines;
mod script;
mod stacks;
