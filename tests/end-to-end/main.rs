//! The main job and the log stack from end to end, with the real functions, state machines and templates, each on a local
//! cloud of its own.

mod checks;
mod code;
mod deliveries;
mod doctor;
mod drift;
mod events;
mod first_steps;
mod gates;
mod harness;
mod images;
mod local_files;
mod log_stack;
mod operating;
mod promises;
mod recovery;
mod scenarios;
mod sweeps;
mod test_cloud;

use libtest_mimic::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run(Arguments::from_args(), &promises::SUITES)
}
