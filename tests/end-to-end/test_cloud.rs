//! The cloud under test.

use lockstep_aws::operator::executions::{Execution, Status};
use lockstep_cli::context::{CommandContext, Input};
use lockstep_cli::demo::Demo;
use lockstep_cli::demo::log_stack::{Brokers, Shipped};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::functions::{self, Profile};
use lockstep_cli::git::git;
use lockstep_cli::output::Output;
use lockstep_domain::records::{Key, Record};
use lockstep_local::session::{self, SessionError};
use lockstep_local::{CallLog, Emulator, Faults};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Timeout of a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Variable with a folder of binaries that are not built again: `lockstep` and one for each function.
const BINARIES: &str = "LOCKSTEP_TEST_BINARIES";

/// The cloud of a suite, and the demo whose commands the tests use. The first promise starts the cloud.
pub struct TestCloud {
    /// The demo.
    pub demo: Demo,
    /// Folder of the binaries under test.
    pub binaries: PathBuf,
    /// Brokers of the log stack.
    pub brokers: Brokers,
    /// Logs that the log stack has shipped.
    pub shipped: Vec<Shipped>,
    output: Output,
    /// Length of the output before the current promise.
    output_before: usize,
    /// Commit of the repository before the current promise. `None` without a repository.
    commit_before: Option<String>,
    _work: tempfile::TempDir,
    _turn: File,
}

impl TestCloud {
    /// Applies a `stages.toml` that weakens a stage: Ada proposes the change, and Grace confirms it.
    pub async fn weaken_stages(&self) -> Result<(), Failure> {
        self.weaken_stages_with(&[]).await
    }

    /// Does so with these arguments.
    pub async fn weaken_stages_with(&self, arguments: &[&str]) -> Result<(), Failure> {
        let apply = [&["stages", "apply", "stages.toml"], arguments].concat();
        let proposed = self.demo.type_in(&apply, Exit::NeedsHuman).await?;
        let number = proposed["pending"]["number"].to_string();
        let confirm = ["pending", "confirm", "stages", number.as_str()];
        self.demo.type_in(&["pending", "show"], Exit::NeedsHuman).await?;
        self.demo.type_in(&confirm, Exit::Failed).await?;
        self.demo.type_in(&[&confirm[..], &["--as", "grace"]].concat(), Exit::Done).await?;
        self.demo.type_in(&["pending", "show"], Exit::Done).await.map(drop)
    }

    /// Builds the binaries and prepares a demo in the folder of this name.
    pub async fn prepare(name: &str) -> Result<Self, Failure> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned();
        let binaries = binaries(&sources).await?;
        let work = tempfile::tempdir().map_err(at("a folder for the demo"))?;
        let state = state(name).await?;
        let turn = take_turn(&state).await?;
        let variables = [
            ("LOCKSTEP_STATE", state.display().to_string()),
            ("LOCKSTEP_SOURCES", sources.display().to_string()),
            ("LOCKSTEP_PROGRAM", binaries.join("lockstep").display().to_string()),
        ];
        let output = Output::memory(false);
        let context = CommandContext {
            directory: work.path().to_owned(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            input: Input::Given(String::new()),
            output: output.clone(),
        };
        Ok(Self {
            demo: Demo::new(&context, work.path(), Some(binaries.clone())),
            binaries,
            brokers: Brokers::listen().await?,
            shipped: Vec::new(),
            output,
            output_before: 0,
            commit_before: None,
            _work: work,
            _turn: turn,
        })
    }

    /// Stops the cloud, if it was started.
    pub async fn stop(&self) -> Result<(), Failure> {
        self.demo.stop().await
    }

    /// Begins a promise.
    pub async fn begin(&mut self, promise: &str) {
        self.commit_before = self.demo.repository().head().await.ok();
        self.output_before = self.output().len();
        self.output.line(format!("\n== {promise}"));
    }

    /// Removes what a failed promise may have left: faults, another branch, changed files.
    pub async fn clean_up(&self) {
        if let Ok(faults) = self.faults() {
            // The failure that is reported is that of the promise.
            let _ = faults.clear().await;
        }
        let repository = self.demo.repository();
        let Some(commit) = &self.commit_before else { return };
        // A new commit with the files of the earlier one can be pushed, whatever the failed promise has pushed.
        for command in [
            ["switch", "--quiet", "--discard-changes", "main"].as_slice(),
            &["clean", "--quiet", "--force", "-d"],
            &["read-tree", "--reset", "-u", commit],
            &["commit", "--quiet", "--allow-empty", "--message", "The files before a failed promise"],
        ] {
            let _ = git(repository.folder(), command).await;
        }
    }

    /// Returns everything that the commands have printed.
    pub fn output(&self) -> String {
        self.output.captured()
    }

    /// Returns what the commands of the current promise have printed.
    pub fn output_of_promise(&self) -> String {
        self.output().get(self.output_before..).unwrap_or_default().to_owned()
    }

    /// Commits the changes in the repository, pushes them, and requires this exit code.
    pub async fn push(&self, message: &str, expected: Exit) -> Result<Value, Failure> {
        self.demo.repository().commit(message).await?;
        self.demo.push(expected).await
    }

    /// Adds a line to a file of the repository.
    pub fn append(&self, file: &str, line: &str) -> Result<(), Failure> {
        let repository = self.demo.repository();
        repository.write(file, &format!("{}{line}\n", repository.read(file)?))
    }

    /// Raises the parameter `MaxSize` of a layer by one, which changes the stacks of that layer.
    pub fn raise_max_size(&self, layer: &str) -> Result<(), Failure> {
        let (repository, file) = (self.demo.repository(), format!("broker/parameters/{layer}.toml"));
        let text = repository.read(&file)?;
        let size = text.lines().find_map(|line| line.strip_prefix("MaxSize = ")?.parse::<u32>().ok());
        let size = size.ok_or_else(|| Failure::new(format!("{file} has no MaxSize")))?;
        repository.replace(&file, &format!("MaxSize = {size}\n"), &format!("MaxSize = {}\n", size + 1))
    }

    /// Returns the faults of the cloud.
    pub fn faults(&self) -> Result<Faults, Failure> {
        Ok(Faults::at(&self.demo.session()?.endpoint))
    }

    /// Returns the log of calls.
    pub fn calls(&self) -> Result<CallLog<lockstep_local::CallRecord>, Failure> {
        Ok(CallLog::at(&self.demo.session()?.endpoint))
    }

    /// Returns every record of one kind.
    pub async fn records<T: Record>(&self) -> Result<Vec<T>, Failure> {
        let found = self.demo.plane().await?.ledger.list_kind::<T>(1000).await?;
        Ok(found.into_iter().map(|found| found.record).collect())
    }

    /// Returns the record of a key. Its absence is a failure.
    pub async fn record<T: Record>(&self, key: &Key) -> Result<T, Failure> {
        Ok(self.demo.plane().await?.ledger.expect(key, &format!("{key:?}")).await?.record)
    }

    /// Returns the number of executions of `release`.
    pub async fn releases_started(&self) -> Result<usize, Failure> {
        let plane = self.demo.plane().await?;
        Ok(plane.executions.newest(&plane.found.state_machines.release, 1000).await?.len())
    }

    /// Returns an execution. Its absence is a failure.
    pub async fn execution(&self, arn: &str) -> Result<Execution, Failure> {
        let found = self.demo.plane().await?.executions.describe(arn).await?;
        found.ok_or_else(|| Failure::new(format!("execution {arn} does not exist")))
    }

    /// Waits until an execution has ended, and returns it.
    pub async fn ended(&self, arn: &str) -> Result<Execution, Failure> {
        until(&format!("execution {arn} has ended"), async || {
            Ok(self.execution(arn).await?.status != Status::Running)
        })
        .await?;
        self.execution(arn).await
    }
}

/// Returns the folder of the binaries. The suites build them once.
async fn binaries(sources: &Path) -> Result<PathBuf, Failure> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let built = BUILT.get_or_try_init(async || match std::env::var_os(BINARIES) {
        Some(folder) => Ok(folder.into()),
        None => build(sources).await,
    });
    built.await.cloned()
}

/// Builds the command and the functions, as `lockstep local up` does.
async fn build(sources: &Path) -> Result<PathBuf, Failure> {
    let built = functions::build(sources, env!("CARGO"), Profile::Dev, sources, |_| ()).await?;
    let folder = built.values().next().and_then(|binary| binary.parent());
    folder.map(Path::to_owned).ok_or_else(|| Failure::new("cargo built no function"))
}

/// Returns the folder of a cloud, with a link to the emulator that the tests of the local cloud use.
async fn state(name: &str) -> Result<PathBuf, Failure> {
    let outputs = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let emulator = Emulator::install(&outputs.join("local"), |_| ()).await.map_err(at("the emulator"))?;
    let environment = emulator.python().ancestors().nth(2).unwrap_or(outputs);
    let state = outputs.join("end-to-end").join(name);
    std::fs::create_dir_all(&state).map_err(at(state.display()))?;
    let link = state.join(environment.file_name().unwrap_or_default());
    if !link.exists() {
        std::os::unix::fs::symlink(environment, &link).map_err(at(link.display()))?;
    }
    Ok(state)
}

/// Waits until no other test process uses the folder. Stops the cloud that a killed one left there.
async fn take_turn(state: &Path) -> Result<File, Failure> {
    let path = state.join("turn.lock");
    let turn =
        tokio::task::spawn_blocking(move || File::create(&path).and_then(|file| file.lock().map(|()| file)));
    let turn = turn.await.map_err(at("waiting for the folder"))?.map_err(at(state.display()))?;
    match session::down(state, PATIENCE).await {
        Ok(_) | Err(SessionError::NotRunning(_)) => Ok(turn),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// Returns a text of a document. Its absence is a failure.
pub fn text(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("the document has no text here: {value}")))
}

/// Polls until a condition holds.
pub async fn until(condition: &str, holds: impl AsyncFn() -> Result<bool, Failure>) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("not within {} seconds: {condition}", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
