//! The cloud under test, and the story that is told in it.

use lockstep_cli::context::{CommandContext, Input};
use lockstep_cli::demo::Demo;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::functions::{self, Profile};
use lockstep_cli::output::Output;
use lockstep_domain::records::{Key, Record};
use lockstep_local::session::{self, SessionError};
use lockstep_local::{Faults, Journal};
use lockstep_platform::operator::executions::{Execution, Status};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest anything here is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Names a folder of binaries, so that they are not built again: `lockstep` and one for each function.
const BINARIES: &str = "LOCKSTEP_TEST_BINARIES";

/// Holds a part of a promise's sentence: the promises end with the first one that has it. Those before it are kept too, as
/// each starts from what the ones before it left.
const LAST: &str = "LOCKSTEP_PROMISE";

/// The cloud and the story.
pub struct TestCloud {
    /// The story; its commands are how the test does things.
    pub demo: Demo,
    /// The binaries under test.
    pub binaries: PathBuf,
    output: Output,
    last: Option<String>,
    reached: bool,
    _work: tempfile::TempDir,
    _turn: File,
}

impl TestCloud {
    /// Builds what is tested and prepares the story. The cloud starts with its first chapter.
    pub async fn start() -> Result<Self, Failure> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned();
        let binaries = match std::env::var_os(BINARIES) {
            Some(folder) => folder.into(),
            None => build(&sources).await?,
        };
        let work = tempfile::tempdir().map_err(at("a folder for the story"))?;
        // Beside other output of the build, so that the emulator is installed once.
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end-to-end");
        std::fs::create_dir_all(&state).map_err(at(state.display()))?;
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
        let demo = Demo::new(&context, work.path(), Some(binaries.clone()));
        let last = std::env::var_os(LAST).map(|text| text.to_string_lossy().into_owned());
        let last = last.filter(|text| !text.is_empty());
        Ok(Self { demo, binaries, output, last, reached: false, _work: work, _turn: turn })
    }

    /// Checks one promise, and says which if it is not kept. Skips it after the one that [`LAST`] names.
    pub async fn promise(
        &mut self,
        sentence: &str,
        holds: impl AsyncFnOnce(&mut TestCloud) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.reached {
            return Ok(());
        }
        self.reached = self.last.as_deref().is_some_and(|last| sentence.contains(last));
        let began = Instant::now();
        self.output.line(format!("\n== {sentence}"));
        holds(self)
            .await
            .map_err(|failure| Failure { what: format!("{sentence}: {}", failure.what), ..failure })?;
        println!("{:6.1} s  {sentence}", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Fails if [`LAST`] names no promise.
    pub fn named_promise_exists(&self) -> Result<(), Failure> {
        match &self.last {
            Some(last) if !self.reached => Err(Failure::new(format!("no promise says '{last}'"))),
            _ => Ok(()),
        }
    }

    /// Everything that was printed.
    pub fn said(&self) -> String {
        self.output.captured()
    }

    /// Commits what was changed in the repository, pushes it, and expects this end.
    pub async fn push(&self, message: &str, expected: Exit) -> Result<Value, Failure> {
        self.demo.repository().commit(message).await?;
        self.demo.push(expected).await
    }

    /// The faults of the cloud.
    pub fn faults(&self) -> Result<Faults, Failure> {
        Ok(Faults::at(&self.demo.session()?.endpoint))
    }

    /// The journal of calls.
    pub fn calls(&self) -> Result<Journal<lockstep_local::CallRecord>, Failure> {
        Ok(Journal::at(&self.demo.session()?.endpoint))
    }

    /// Every record of one kind.
    pub async fn records<T: Record>(&self) -> Result<Vec<T>, Failure> {
        let found = self.demo.plane().await?.ledger.list_kind::<T>(1000).await?;
        Ok(found.into_iter().map(|found| found.record).collect())
    }

    /// The record at a key, which must be there.
    pub async fn record<T: Record>(&self, key: &Key) -> Result<T, Failure> {
        Ok(self.demo.plane().await?.ledger.expect(key, &format!("{key:?}")).await?.record)
    }

    /// How many executions of `release` there are.
    pub async fn releases_started(&self) -> Result<usize, Failure> {
        let plane = self.demo.plane().await?;
        Ok(plane.executions.newest(&plane.found.state_machines.release, 1000).await?.len())
    }

    /// The execution, which must be there.
    pub async fn execution(&self, arn: &str) -> Result<Execution, Failure> {
        let found = self.demo.plane().await?.executions.describe(arn).await?;
        found.ok_or_else(|| Failure::new(format!("execution {arn} does not exist")))
    }

    /// The execution once it is over.
    pub async fn ended(&self, arn: &str) -> Result<Execution, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let execution = self.execution(arn).await?;
            if execution.status != Status::Running {
                return Ok(execution);
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!("execution {arn} does not end")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// One test at a time uses the place. What runs there once it is our turn was left by one that was killed.
async fn take_turn(state: &Path) -> Result<File, Failure> {
    let path = state.join("turn.lock");
    let turn =
        tokio::task::spawn_blocking(move || File::create(&path).and_then(|file| file.lock().map(|()| file)));
    let turn = turn.await.map_err(at("waiting for our turn"))?.map_err(at(state.display()))?;
    match session::down(state, PATIENCE).await {
        Ok(_) | Err(SessionError::NotRunning(_)) => Ok(turn),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// A text in an answer.
pub fn text(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("the answer lacks something: {value}")))
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> Result<bool, Failure>) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("waited in vain: {what}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Builds the command and the functions, the way everything else that runs them builds them.
async fn build(sources: &Path) -> Result<PathBuf, Failure> {
    let built = functions::build(sources, env!("CARGO"), Profile::Dev, sources, |_| ()).await?;
    let folder = built.values().next().and_then(|binary| binary.parent());
    folder.map(Path::to_owned).ok_or_else(|| Failure::new("cargo built no function"))
}
