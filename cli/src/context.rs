//! The inputs of a command besides its arguments. Only this module reads them from the process.

use crate::failure::{Failure, at};
use crate::output::Output;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// The folder, variables, input and output of a command.
#[derive(Clone, Debug)]
pub struct CommandContext {
    /// The working directory.
    pub directory: PathBuf,
    /// The environment variables.
    pub variables: BTreeMap<String, String>,
    /// The standard input.
    pub input: Input,
    /// The output.
    pub output: Output,
}

/// The source of the standard input. Its `Debug` form hides the text, which may be a secret.
#[derive(Clone)]
pub enum Input {
    /// The standard input of the process.
    Process,
    /// This text.
    Given(String),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input(…)")
    }
}

impl CommandContext {
    /// Reads the context of this process.
    pub fn of_process() -> Result<Self, Failure> {
        let directory = std::env::current_dir().map_err(at("the working directory"))?;
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let output = Output::process(false).with_colour(|name| variables.get(name).cloned());
        Ok(Self { directory, variables, input: Input::Process, output })
    }

    /// Returns a context with a folder and an output, without variables and with an empty input.
    pub fn bare(directory: &Path, output: Output) -> Self {
        Self {
            directory: directory.to_owned(),
            variables: BTreeMap::new(),
            input: Input::Given(String::new()),
            output,
        }
    }

    /// Reads the whole standard input. Refuses more than `most` bytes.
    pub fn read_input(&self, most: usize) -> Result<String, Failure> {
        let text = match &self.input {
            Input::Given(text) => text.clone(),
            Input::Process => {
                let mut text = String::new();
                let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
                std::io::stdin()
                    .lock()
                    .take(limit)
                    .read_to_string(&mut text)
                    .map_err(at("standard input"))?;
                text
            }
        };
        if text.len() > most {
            return Err(Failure::usage(format!("standard input is longer than {most} bytes")));
        }
        Ok(text)
    }

    /// Returns true if a person sits at a terminal and reads the lines of this command.
    pub fn is_terminal(&self) -> bool {
        matches!(self.input, Input::Process) && std::io::stdin().is_terminal() && self.output.is_terminal()
    }

    /// Prints a question and returns the line that a person types. The end of the input is an empty line.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        self.output.prompt(question);
        match &self.input {
            Input::Given(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
            Input::Process => {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).map_err(at("standard input"))?;
                Ok(line)
            }
        }
    }

    /// Returns a variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Resolves a path of the command line.
    pub fn path(&self, typed: &Path) -> PathBuf {
        self.directory.join(typed)
    }

    /// Reads a text file. `-` has no special meaning: secrets have `--stdin`.
    pub fn read(&self, typed: &Path) -> Result<String, Failure> {
        std::fs::read_to_string(self.path(typed)).map_err(at(typed.display()))
    }

    /// Returns the directory of Lockstep's sources, with the functions and templates: that of a variable, or the one in
    /// which this command was built.
    pub fn sources(&self) -> Result<PathBuf, Failure> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
        let candidates =
            self.variable("LOCKSTEP_SOURCES").map(PathBuf::from).into_iter().chain([built_in.to_owned()]);
        candidates.into_iter().find(|path| path.join("infra").is_dir()).ok_or_else(|| {
            Failure::new(
                "the sources of Lockstep (folders infra, statemachines, functions) are not on this machine",
            )
            .next("run this from a checkout, or set LOCKSTEP_SOURCES to one")
        })
    }
}
