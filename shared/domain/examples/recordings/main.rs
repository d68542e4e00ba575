//! Compares recordings of live resources of AWS with what was declared, and counts false, found, missed and unknown.
//!
//! ```sh
//! cargo run -p lockstep-domain --example recordings -- <folder>            # verdicts against the labels
//! cargo run -p lockstep-domain --example recordings -- <folder> --mutate   # changes each declared value: each is found
//! cargo run -p lockstep-domain --example recordings -- <folder> --permute  # swaps the members of each list
//! ```
//!
//! `--held-out` takes a third of the recordings, by the hash of their names, `--own` the other two. A recording is a
//! JSON file with `resource`, `liveRaw`, `schema`, `opts` and `expected`.
#![expect(
    clippy::disallowed_methods,
    reason = "the program reads files and arguments, which the crate itself never does"
)]

mod labels;
mod mutate;
mod permute;
mod recording;

use lockstep_domain::drift::Schemas;
use recording::Recording;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let folder = arguments.iter().find(|argument| !argument.starts_with("--"));
    let folder = folder.ok_or("usage: recordings <folder> [--mutate | --permute] [--held-out | --own]")?;
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drift/schemas.json.gz");
    let schemas = Schemas::read(&std::fs::read(table)?)?;
    let mut recordings = read(Path::new(folder), &schemas)?;
    recordings.retain(|recording| match (has("--held-out"), has("--own")) {
        (true, _) => recording.is_held_out(),
        (_, true) => !recording.is_held_out(),
        _ => true,
    });
    let is_clean = if has("--mutate") {
        mutate::report(&recordings)
    } else if has("--permute") {
        permute::report(&recordings)
    } else {
        labels::report(&recordings)
    };
    if is_clean { Ok(()) } else { Err("a value is false or missed".into()) }
}

fn read(folder: &Path, schemas: &Schemas) -> Result<Vec<Recording>, Box<dyn Error>> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?.iter().map(|f| f.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
        .iter()
        .map(|file| {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let recording = std::fs::read_to_string(file)
                .map_err(Box::<dyn Error>::from)
                .and_then(|text| Ok(Recording::new(name, &text, schemas)?));
            recording.inspect_err(|_| eprintln!("{} is no recording", file.display()))
        })
        .collect()
}
