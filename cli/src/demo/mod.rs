//! The demo: Lockstep's main job from beginning to end on the local cloud. `cargo demo` runs it, and the end-to-end tests
//! run it with further assertions. Each command runs exactly as it is printed, through the entry point of the binary.

mod applications;
mod broker;
pub mod log_stack;
mod preparation;
mod scenarios;
mod summary;

use crate::commands::local::OWNER;
use crate::context::{CommandContext, Input};
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure, at};
use crate::local::{Session, state_dir};
use crate::output::{Output, duration};
use crate::report::Report;
use crate::repository::Repository;
use lockstep_aws::operator::stacks::Installer;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::StageName;
use lockstep_local::session::{self, Status};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The component of the demo.
pub const COMPONENT: &str = "logs-broker";

/// The component's repository.
pub const REPOSITORY: &str = "github:acme/logs";

/// The mark on a session that a demo started. The next demo may replace such a session.
const MARK: &str = "story";

/// The options of the person who approves. Ada, who starts every run, may not.
pub const APPROVER: [&str; 2] = ["--as", "grace"];

/// Results of the demo, for the tests and the summary.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The version of the first release.
    pub first: String,
    /// The version that was promoted.
    pub promoted: String,
    /// The version that changes nothing in the stack.
    pub unchanged: String,
    /// The version whose update failed in ci.
    pub failed: String,
    /// The deployment to production.
    pub production: String,
    /// Each scenario with its duration in seconds.
    pub seconds: Vec<(String, f64)>,
}

/// A running demo.
pub struct Demo {
    /// The context of its commands.
    pub context: CommandContext,
    /// The results so far.
    pub facts: Facts,
    /// The folder of its files: `stages.toml`, `parameters.toml`, `logs/`.
    work: PathBuf,
    functions: Option<PathBuf>,
    /// True if this demo started the running or starting cloud.
    owns_cloud: bool,
}

impl Demo {
    /// Prepares a demo that writes its files into `work`. `functions` is a folder with built binaries.
    pub fn new(context: &CommandContext, work: &Path, functions: Option<PathBuf>) -> Self {
        // The state is in the folder where the demo was started. The commands run in the folder of the files.
        let mut variables = context.variables.clone();
        // Without a state directory, the first command refuses.
        if let Ok(state) = state_dir(context) {
            variables.insert("LOCKSTEP_STATE".to_owned(), state.display().to_string());
        }
        // The cloud ends with this process.
        variables.insert(OWNER.to_owned(), std::process::id().to_string());
        // The operator's own AWS accounts are out of reach.
        variables.retain(|name, _| !name.starts_with("AWS_"));
        let context = CommandContext { variables, directory: work.to_owned(), ..context.clone() };
        Self { context, facts: Facts::default(), work: work.to_owned(), functions, owns_cloud: false }
    }

    /// Runs all seven scenarios and prints the summary.
    pub async fn run_all(&mut self) -> Result<(), Failure> {
        self.run_scenarios().await?;
        let title =
            "7. a recipe: its image is copied to both accounts, and the release of the same push uses it";
        self.scenario(title, Demo::recipe).await?;
        self.summary().await
    }

    /// Runs the first six scenarios.
    pub async fn run_scenarios(&mut self) -> Result<(), Failure> {
        self.scenario("a cloud with three accounts, and Lockstep in it", Demo::cloud).await?;
        self.scenario("an organisation: stages, parameters, a base image, a repository", Demo::organisation)
            .await?;
        self.scenario("1. the first commit: packaged, tested, in ci", Demo::first_commit).await?;
        self.scenario("2. another parameter and another image: an update", Demo::update).await?;
        self.scenario("3. to production, in the other account", Demo::promotion).await?;
        self.scenario("4. a commit that changes nothing in the template", Demo::no_changes).await?;
        self.scenario("5. a commit that cannot work", Demo::failing_commit).await?;
        self.scenario("6. a commit whose check fails in the test stack", Demo::failing_check).await
    }

    /// Lets the cloud outlive this process, so that the operator can inspect it. Call it before the demo runs.
    pub fn keep(&mut self) {
        self.context.variables.remove(OWNER);
    }

    /// Stops the cloud if this demo started it. Waits for a starting cloud, which accepts no stop yet.
    pub async fn stop(&self) -> Result<(), Failure> {
        if !self.owns_cloud {
            return Ok(());
        }
        let state = state_dir(&self.context)?;
        while matches!(session::status(&state), Ok(Status::Starting)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.type_quietly(&["local", "down"]).await.map(drop)
    }

    async fn scenario(
        &mut self,
        title: &str,
        run: impl AsyncFnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        self.say("");
        self.say(&format!("== {title}"));
        run(self)
            .await
            .map_err(|failure| Failure { what: format!("{title}: {}", failure.what), ..failure })?;
        let seconds = began.elapsed().as_secs_f64();
        self.say(&format!("   ({})", duration(seconds)));
        self.facts.seconds.push((title.to_owned(), seconds));
        Ok(())
    }

    fn output(&self) -> &Output {
        &self.context.output
    }

    /// Prints a line of the demo itself.
    fn say(&self, text: &str) {
        self.output().line(text);
    }

    /// Runs a command and requires this exit code. Returns the command's document.
    pub async fn type_in(&self, arguments: &[&str], expected: Exit) -> Result<Value, Failure> {
        self.type_with(arguments, expected, None).await
    }

    /// Runs the command that `answer` prints for its approver, as the person of the demo who approves. Without a terminal it
    /// needs `--yes`.
    pub async fn approve(&self, answer: &Value, expected: Exit) -> Result<Value, Failure> {
        let printed = answer["approve_with"].as_str().unwrap_or_default();
        let arguments: Vec<&str> = printed.split(' ').skip(1).chain(["--yes"]).chain(APPROVER).collect();
        self.type_in(&arguments, expected).await
    }

    /// Runs a command with a text on standard input, which is not printed.
    async fn type_with(
        &self,
        arguments: &[&str],
        expected: Exit,
        input: Option<String>,
    ) -> Result<Value, Failure> {
        let pipe = if input.is_some() { "… | " } else { "" };
        self.say(&format!("$ {pipe}lockstep {}", arguments.join(" ")));
        let output = self.output().indented();
        let given = Input::Given(input.unwrap_or_default());
        let context = CommandContext { output, input: given, ..self.context.clone() };
        expect(crate::run(&owned(arguments), &context).await, arguments, expected)
    }

    /// Runs a command and prints its error alone.
    async fn type_for_the_end(&self, arguments: &[&str], expected: Exit) -> Result<Value, Failure> {
        self.say(&format!("$ lockstep {}", arguments.join(" ")));
        let context = CommandContext { output: Output::memory(false), ..self.context.clone() };
        let answer = expect(crate::run(&owned(arguments), &context).await, arguments, expected)?;
        let error = answer["error"].as_str().unwrap_or_default();
        self.output().indented().line(format!("… (the question again)\nerror: {error}"));
        Ok(answer)
    }

    /// Runs a command without printing its lines.
    async fn type_quietly(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let context = CommandContext { output: Output::memory(false), ..self.context.clone() };
        expect(crate::run(&owned(arguments), &context).await, arguments, Exit::Done)
    }

    /// Returns the session of the cloud.
    pub fn session(&self) -> Result<Session, Failure> {
        Session::expect(&self.context)
    }

    /// Opens the control plane as an operator.
    pub async fn plane(&self) -> Result<ControlPlane, Failure> {
        self.plane_for(Callers::Operators).await
    }

    /// Opens the control plane for requests of this kind of people.
    pub async fn plane_for(&self, people: Callers) -> Result<ControlPlane, Failure> {
        let quiet = CommandContext { output: Output::memory(false), ..self.context.clone() };
        let global =
            crate::global::Global { json: false, verbose: false, profile: None, person: None, region: None };
        ControlPlane::open_for(people, &global, &quiet).await
    }

    /// Returns access to the stacks of an account as its operator.
    pub fn stacks(&self, alias: &str) -> Result<Installer, Failure> {
        Ok(Installer::new(&self.session()?.operator(alias)?))
    }

    /// Returns the clone of the component's repository.
    pub fn repository(&self) -> Repository {
        Repository::at(self.work.join("logs"))
    }

    /// Returns the version of the demo's component that runs in a stage.
    pub async fn version_in(&self, stage: &str) -> Result<Option<String>, Failure> {
        self.version_of(COMPONENT, stage).await
    }

    /// Returns the version of a component that runs in a stage.
    pub async fn version_of(&self, component: &str, stage: &str) -> Result<Option<String>, Failure> {
        let stage: StageName = stage.parse().map_err(at("a stage"))?;
        let plane = self.plane().await?;
        let key = lockstep_domain::records::Environment::key_of(&stage, component);
        let found = plane.ledger.get::<lockstep_domain::records::Environment>(&key).await?;
        Ok(found.and_then(|found| found.record.deployed).map(|deployed| deployed.version.to_string()))
    }
}

/// Asserts a condition of the demo. Returns a failure, which ends the demo, if it does not hold.
pub fn ensure(holds: bool, what: impl AsRef<str>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(format!("this condition does not hold: {}", what.as_ref()))) }
}

fn expect(report: Report, arguments: &[&str], expected: Exit) -> Result<Value, Failure> {
    if report.exit == expected {
        return Ok(report.document);
    }
    Err(Failure::new(format!(
        "`lockstep {}` ended with {}, not {}: {}",
        arguments.join(" "),
        report.exit.code(),
        expected.code(),
        report.document["error"].as_str().unwrap_or("see its lines above")
    )))
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}
