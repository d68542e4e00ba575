//! What stands in for AWS within the process, held against the emulator: one body of scenarios, two runs each.

mod cloud;
mod dead_letters;
mod images;
mod machines;
mod script;
mod stacks;
