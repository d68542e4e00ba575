//! `cargo demo` starts this program. It says at once what happens, builds the demo and every function with one invocation of
//! cargo, whose progress is visible, and becomes the demo.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write, stderr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The option of the demo that names a folder with built functions.
const FUNCTIONS: &str = "--functions";

/// The reason why the demo did not start.
struct Failure {
    what: String,
    cause: Option<io::Error>,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Err(Failure { what, cause }) = launch(&arguments);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    say(&format!("error: {what}{cause}"));
    ExitCode::FAILURE
}

/// Builds the demo, and becomes it: Ctrl-C reaches it alone, and the caller gets its exit code.
fn launch(arguments: &[OsString]) -> Result<Infallible, Failure> {
    let binaries = folder_of_binaries()?;
    say(&first_lines(binaries.join("demo").is_file()));
    let status = build(arguments).status().map_err(at("cargo could not be started"))?;
    if !status.success() {
        return Err(Failure {
            what: "cargo could not build Lockstep: see its messages".to_owned(),
            cause: None,
        });
    }
    let what = format!("the demo in {} could not be started", binaries.display());
    Err(at(what)(demo(&binaries, arguments).exec()))
}

/// Returns the folder of this program. cargo puts the other binaries of the workspace there, too.
fn folder_of_binaries() -> Result<PathBuf, Failure> {
    let mut program = std::env::current_exe().map_err(at("the path of this program is not known"))?;
    program.pop();
    Ok(program)
}

fn at(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    |cause| Failure { what: what.into(), cause: Some(cause) }
}

/// Returns the lines that a person reads first.
fn first_lines(is_built: bool) -> String {
    let duration = match is_built {
        true => "earlier builds are there, so cargo compiles what has changed: seconds to a few minutes",
        false => "cargo compiles Lockstep and the AWS SDKs first: about 15 minutes on two idle cores, once",
    };
    format!(
        "Lockstep's demo: {duration}.\nThen a cloud with three AWS accounts starts on this machine, a git push becomes a \
         release, and an approval brings it to production. Nothing leaves this machine."
    )
}

/// Returns the build of the demo and of the functions, which one invocation compiles side by side. A caller who has built
/// functions gets the demo alone.
fn build(arguments: &[OsString]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("build");
    match has_functions(arguments) {
        true => command.args(["--bin", "demo"]),
        // The whole workspace: with fewer packages, cargo chooses other features, and compiles the SDKs once more.
        false => command.args(["--workspace", "--bins"]),
    };
    command
}

/// Returns the demo, with the functions that were built beside it.
fn demo(binaries: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(binaries.join("demo"));
    if !has_functions(arguments) {
        command.arg(FUNCTIONS).arg(binaries);
    }
    command.args(arguments);
    command
}

fn has_functions(arguments: &[OsString]) -> bool {
    let is_option = |argument: &OsStr| argument.to_string_lossy().split('=').next() == Some(FUNCTIONS);
    arguments.iter().any(|argument| is_option(argument))
}

/// Prints on standard error, where cargo prints, too.
fn say(text: &str) {
    let mut stderr = stderr().lock();
    let bold = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (begin, end) = if bold { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    // A closed stream is no reason to stop.
    drop(writeln!(stderr, "{begin}{text}{end}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    fn given(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn one_build_makes_the_demo_and_its_functions() {
        let arguments = given(&["--log-stack"]);
        assert_eq!(words(&build(&arguments)), ["build", "--workspace", "--bins"]);
        let demo = demo(Path::new("/t/debug"), &arguments);
        assert_eq!(demo.get_program(), "/t/debug/demo");
        assert_eq!(words(&demo), ["--functions", "/t/debug", "--log-stack"]);
    }

    #[test]
    fn given_functions_are_not_built() {
        for arguments in [given(&["--functions", "/f"]), given(&["--keep", "--functions=/f"])] {
            assert_eq!(words(&build(&arguments)), ["build", "--bin", "demo"]);
            let given: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
            assert_eq!(demo(Path::new("/t"), &arguments).get_args().collect::<Vec<_>>(), given);
        }
    }

    #[test]
    fn the_first_lines_say_how_long_it_takes() {
        assert!(first_lines(false).contains("about 15 minutes"));
        assert!(first_lines(true).contains("seconds"));
    }
}
