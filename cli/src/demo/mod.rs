//! The main job of Lockstep, told from beginning to end on the local cloud: what `cargo demo` shows and what the
//! end-to-end test asserts. Every command in it is run as it is printed, through the same entry as the binary's.

mod applications;
mod broker;
mod log_stack;
mod preparation;
pub mod repository;
mod scenarios;
mod summary;

use crate::commands::local::OWNER;
use crate::context::{CommandContext, Input};
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure, at};
use crate::local::{Session, state_dir};
use crate::output::{Output, duration};
use crate::report::Report;
use lockstep_domain::model::ids::StageName;
use lockstep_local::session::{self, Status};
use lockstep_platform::operator::stacks::Installer;
use repository::Repository;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The component of the demo.
pub const COMPONENT: &str = "logs-broker";

/// Its repository.
pub const REPOSITORY: &str = "github:acme/logs";

/// The mark on a session that a demo started: the next demo may replace it.
const MARK: &str = "story";

/// What the demo left, for whoever wants to know more.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The version of the first release.
    pub first: String,
    /// The version that was promoted.
    pub promoted: String,
    /// The version that changed nothing.
    pub unchanged: String,
    /// The deployment to production.
    pub production: String,
    /// Each scenario and how many seconds it took.
    pub seconds: Vec<(String, f64)>,
}

/// A demo that is being told.
pub struct Demo {
    /// Where its commands are typed.
    pub context: CommandContext,
    /// What is known so far.
    pub facts: Facts,
    /// The folder of its files: `stages.toml`, `parameters.toml`, `logs/`.
    work: PathBuf,
    functions: Option<PathBuf>,
    /// Whether the cloud that runs, or starts, is this demo's.
    owns_cloud: bool,
}

impl Demo {
    /// Prepares a demo that writes its files into `work`; `functions` is a folder of binaries, if they are built.
    pub fn new(context: &CommandContext, work: &Path, functions: Option<PathBuf>) -> Self {
        // The state belongs where the command was started, the commands are typed where the files are.
        let mut variables = context.variables.clone();
        let state = state_dir(context).display().to_string();
        variables.insert("LOCKSTEP_STATE".to_owned(), state);
        // Whatever ends this process ends its cloud.
        variables.insert(OWNER.to_owned(), std::process::id().to_string());
        // Nothing of the person's own AWS accounts gets in.
        variables.retain(|name, _| !name.starts_with("AWS_"));
        let context = CommandContext { variables, directory: work.to_owned(), ..context.clone() };
        Self { context, facts: Facts::default(), work: work.to_owned(), functions, owns_cloud: false }
    }

    /// Tells it all, and sums up.
    pub async fn run_all(&mut self) -> Result<(), Failure> {
        self.run_scenarios().await?;
        let title = "7. a recipe: its image comes to both accounts, and the release of the same push uses it";
        self.scenario(title, Demo::recipe).await?;
        self.summary().await
    }

    /// Tells the first six steps.
    pub async fn run_scenarios(&mut self) -> Result<(), Failure> {
        self.scenario("a cloud with three accounts, and Lockstep in it", Demo::cloud).await?;
        self.scenario("an organisation: stages, parameters, a base image, a repository", Demo::organisation)
            .await?;
        self.scenario("1. the first commit: packaged, tested, in ci", Demo::first_commit).await?;
        self.scenario("2. another parameter and another image: an update", Demo::update).await?;
        self.scenario("3. to production, in the other account", Demo::promotion).await?;
        self.scenario("4. a commit that changes nothing in the template", Demo::no_changes).await?;
        self.scenario("5. a commit that cannot work", Demo::failing_commit).await?;
        self.scenario("6. a commit whose check fails in the throw-away stack", Demo::failing_check).await
    }

    /// Lets the cloud outlive this process: for whoever wants to look around in it. Call it before the demo is told.
    pub fn keep(&mut self) {
        self.context.variables.remove(OWNER);
    }

    /// Stops the cloud, if it is this demo's; one that is only starting is waited for, so that it can be told.
    pub async fn stop(&self) -> Result<(), Failure> {
        if !self.owns_cloud {
            return Ok(());
        }
        let state = state_dir(&self.context);
        while matches!(session::status(&state), Ok(Status::Starting)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.type_quietly(&["local", "down"]).await.map(drop)
    }

    async fn scenario(
        &mut self,
        title: &str,
        tell: impl AsyncFnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        self.say("");
        self.say(&format!("== {title}"));
        tell(self)
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

    /// The narrator.
    fn say(&self, text: &str) {
        self.output().line(text);
    }

    /// Types a command, and expects it to end like this. Its answer is what a script would get.
    pub async fn type_in(&self, arguments: &[&str], expected: Exit) -> Result<Value, Failure> {
        self.type_with(arguments, expected, None).await
    }

    /// The same, with something on standard input that is not shown.
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

    /// Types a command whose lines nobody needs to see.
    async fn type_quietly(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let context = CommandContext { output: Output::memory(false), ..self.context.clone() };
        expect(crate::run(&owned(arguments), &context).await, arguments, Exit::Done)
    }

    /// The session of the cloud.
    pub fn session(&self) -> Result<Session, Failure> {
        Session::expect(&self.context)
    }

    /// The control plane, as the person at the keyboard.
    pub async fn plane(&self) -> Result<ControlPlane, Failure> {
        let quiet = CommandContext { output: Output::memory(false), ..self.context.clone() };
        ControlPlane::open(&crate::global::Global { json: false, profile: None, region: None }, &quiet).await
    }

    /// The stacks of an account, as the person at the keyboard.
    pub fn stacks(&self, alias: &str) -> Result<Installer, Failure> {
        Ok(Installer::new(&self.session()?.operator(alias)?))
    }

    /// The clone of the component's repository.
    pub fn repository(&self) -> Repository {
        Repository::at(self.work.join("logs"))
    }

    /// The version of the component of the demo that runs in a stage.
    pub async fn version_in(&self, stage: &str) -> Result<Option<String>, Failure> {
        self.version_of(COMPONENT, stage).await
    }

    /// The version of a component that runs in a stage.
    pub async fn version_of(&self, component: &str, stage: &str) -> Result<Option<String>, Failure> {
        let stage: StageName = stage.parse().map_err(at("a stage"))?;
        let plane = self.plane().await?;
        let key = lockstep_domain::records::Environment::key_of(&stage, component);
        let found = plane.ledger.get::<lockstep_domain::records::Environment>(&key).await?;
        Ok(found.and_then(|found| found.record.deployed).map(|deployed| deployed.version.to_string()))
    }
}

/// Says what the demo relies on; if it does not hold, the demo is wrong and ends.
pub fn ensure(holds: bool, what: impl AsRef<str>) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(format!("this should hold and does not: {}", what.as_ref())))
    }
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
        report.document["error"].as_str().unwrap_or("its lines above say why")
    )))
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}
