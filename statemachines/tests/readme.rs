//! The graphs in `README.md` are those of the state machines.

use lockstep_statemachines::{FOLDER, with_graphs};
use std::path::Path;

#[test]
fn the_readme_shows_the_state_machines_as_they_are() {
    let folder = Path::new(FOLDER);
    let written = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rendered = with_graphs(folder).unwrap();
    assert!(
        written == rendered,
        "statemachines/README.md shows other graphs; write them with: \
         cargo run -p lockstep-statemachines --bin graphs"
    );
}
