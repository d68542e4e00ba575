//! The file `README.md` of the sources: people write it down to a mark, and below it are the graphs.

use crate::{Error, StateMachine, StateMachines};
use std::path::Path;

/// The last line that people write.
const MARK: &str = "<!-- Below this line: cargo run -p lockstep-statemachines --bin graphs -->\n";

/// Returns the `README.md` of a folder with the graphs of its state machines as they are now.
///
/// # Errors
/// A file that cannot be read, or sources that are wrong.
pub fn with_graphs(folder: &Path) -> Result<String, Error> {
    let machines = StateMachines::read(folder)?;
    let readme = crate::read_file(&folder.join("README.md"))?;
    Ok(with_graphs_of(&machines, &readme.text))
}

fn with_graphs_of(machines: &StateMachines, readme: &str) -> String {
    let written = readme.split_once(MARK).map_or(readme, |(written, _)| written);
    let sections: String = machines.iter().map(section).collect();
    format!("{written}{MARK}{sections}")
}

fn section(machine: &StateMachine) -> String {
    let comment = machine.comment();
    format!("\n### {}\n\n{comment}\n\n```mermaid\n{}```\n", machine.name(), machine.flowchart())
}
