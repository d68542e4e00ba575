//! The state machines. This folder holds them as YAML, `<name>.asl.yaml`; this crate renders the JSON that AWS gets.
//!
//! A source file is Amazon States Language, except for `Retry`: a state names a policy of `retries.yaml`, and the
//! renderer puts the policy there. Nothing else is replaced; the placeholders are CloudFormation's.

mod graph;
mod node;
mod problem;
mod readme;
mod retries;
mod scalar;
mod source;

use node::Node;
pub use problem::{Problem, Source};
pub use readme::with_graphs;
use retries::Policies;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of the sources in the checkout that this crate was built from.
pub const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The end of the name of a source file.
const SUFFIX: &str = ".asl.yaml";

/// The file of the retry policies.
const RETRIES: &str = "retries.yaml";

/// Says why the sources cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{} cannot be read or written", path.display())]
    File {
        /// The file, or its folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The sources are wrong, each problem at its position.
    #[error("{}", lines(.0))]
    Sources(Vec<Problem>),
}

impl Error {
    /// Returns the error with its cause: the text for the boundary.
    pub fn chain(&self) -> String {
        match self {
            Self::File { source, .. } => format!("{self}: {source}"),
            Self::Sources(_) => self.to_string(),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A state machine as AWS gets it.
#[derive(Debug)]
pub struct StateMachine {
    name: String,
    root: Node,
}

impl StateMachine {
    /// Returns the name of its file, without `.asl.yaml`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its JSON: indented, in the order of the source, and the same bytes in every build.
    pub fn json(&self) -> String {
        let mut json = serde_json::to_string_pretty(&self.root).expect("a tree with keys of text is JSON");
        json.push('\n');
        json
    }

    /// Returns its `Comment`, which says what it is for.
    pub fn comment(&self) -> &str {
        self.root.get("Comment").and_then(Node::text).unwrap_or_default()
    }

    /// Returns its graph, as a flowchart of Mermaid.
    pub fn flowchart(&self) -> String {
        graph::flowchart(&self.root)
    }

    /// Returns its JSON as a value.
    pub fn definition(&self) -> serde_json::Value {
        self.root.to_json()
    }
}

/// Every state machine of a folder, and the retry policies.
#[derive(Debug)]
pub struct StateMachines {
    machines: Vec<StateMachine>,
    policies: BTreeMap<String, serde_json::Value>,
}

impl StateMachines {
    /// Renders the sources of a folder.
    ///
    /// # Errors
    /// A file that cannot be read; else every problem of every file.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let retries = read_file(&folder.join(RETRIES))?;
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            if path.to_str().is_some_and(|name| name.ends_with(SUFFIX)) {
                paths.push(path);
            }
        }
        paths.sort();
        let sources = paths.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
        Self::render(&sources, &retries).map_err(Error::Sources)
    }

    /// Renders the sources of this crate's own folder.
    ///
    /// # Errors
    /// As [`StateMachines::read`].
    pub fn own() -> Result<Self, Error> {
        Self::read(Path::new(FOLDER))
    }

    /// Renders sources.
    ///
    /// # Errors
    /// Every problem, by file and position.
    pub fn render(sources: &[Source], retries: &Source) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let policies = collected(Policies::read(retries), &mut problems);
        let mut definitions = Vec::new();
        for source in sources {
            definitions.extend(collected(definition(source), &mut problems).map(|root| (source, root)));
        }
        let Some(mut policies) = policies.filter(|_| problems.is_empty()) else { return Err(problems) };
        let mut machines = Vec::new();
        for (source, mut root) in definitions {
            policies.apply(&source.file, &mut root, &mut problems);
            machines.push(StateMachine { name: name_of(&source.file), root });
        }
        // A misspelled name leaves its policy unused, too: that is one mistake.
        if problems.is_empty() {
            problems.extend(policies.unused());
        }
        if problems.is_empty() {
            Ok(Self { machines, policies: policies.into_values() })
        } else {
            Err(problems)
        }
    }

    /// Returns the state machines, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &StateMachine> {
        self.machines.iter()
    }

    /// Returns the state machine of a name.
    pub fn get(&self, name: &str) -> Option<&StateMachine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// Returns the retry policies by name, each as the list that a state gets.
    pub fn policies(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.policies
    }

    /// Writes each state machine as `<name>.asl.json` into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        for machine in &self.machines {
            let path = folder.join(format!("{}.asl.json", machine.name));
            std::fs::write(&path, machine.json()).map_err(at(&path))?;
        }
        Ok(())
    }
}

/// Reads the tree of one state machine.
fn definition(source: &Source) -> Result<Node, Vec<Problem>> {
    let root = source::read(source)?;
    if root.get("States").is_some_and(|states| !states.entries().is_empty()) {
        Ok(root)
    } else {
        Err(vec![Problem::new(&source.file, root.at, "a state machine is a map with States")])
    }
}

fn name_of(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(SUFFIX).unwrap_or(name).to_owned()
}

fn read_file(path: &Path) -> Result<Source, Error> {
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    Ok(Source { file: path.display().to_string(), text })
}

/// Adds the path to an error of the file system.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

/// Returns the value, or adds its problems to the others.
fn collected<T>(outcome: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|found| problems.extend(found)).ok()
}

#[cfg(test)]
mod tests;
