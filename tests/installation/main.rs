//! Installs on the local cloud while resources fail, each once. Repeated runs of `install` and `accounts add` must end
//! with a complete installation.
//!
//! This is one test, because there is one cloud and each step continues from the state that the previous one left.

mod functions;
mod kept;
mod resources;

use aws_credential_types::Credentials;
use jiff::Timestamp;
use lockstep_aws::aws::Aws;
use lockstep_cli::failure::{Failure, at};
use lockstep_cli::functions::{self as built, Profile};
use lockstep_cli::installation::{ImageBuilds, Installation, Packages, TargetAccount};
use lockstep_cli::output::Output;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_local::{CloudOptions, Controls, LocalCloud, REGION};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A debug build keeps the futures of whole commands on the stack, and a test thread has only two megabytes.
const STACK_BYTES: usize = 32 << 20;

/// The account of the control plane, and an account that is added.
const TOOLING: &str = "111111111111";
const TARGET: &str = "222222222222";

#[test]
fn an_installation_that_failed_at_any_resource_completes_when_repeated() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(run());
    });
    thread.expect("a thread").join().expect("the installation is complete");
}

async fn run() {
    let here = Here::start().await.expect("the binaries are built and the cloud starts");
    let outcome = promises(&here).await;
    let said = here.output.captured();
    if let Err(failure) = outcome {
        panic!("{failure}\n\noutput before the failure:\n{said}");
    }
}

async fn promises(here: &Here) -> Result<(), Failure> {
    here.promise("a resource of each type fails once in each stack", resources::each_fails_once(here))
        .await?;
    here.promise(
        "an account is added although a resource of each type fails once",
        resources::of_an_account(here),
    )
    .await?;
    here.promise("an account is removed, and added again", resources::of_a_removed_account(here)).await?;
    here.promise("a ping is answered to a direct invocation alone", functions::answer_pings(here)).await?;
    here.promise("a function that does not start is reported", functions::must_start(here)).await?;
    here.promise("what uninstall keeps is there after the next install", kept::is_there_again(here)).await
}

/// A cloud for this test alone, and the packages to install into it.
struct Here {
    cloud: LocalCloud,
    tooling: Aws,
    target: Aws,
    sources: PathBuf,
    packages: Packages,
    output: Output,
}

impl Here {
    async fn start() -> Result<Self, Failure> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let binaries = match std::env::var_os("LOCKSTEP_TEST_BINARIES") {
            Some(folder) => built::in_folder(Path::new(&folder))?,
            None => built::build(&sources, env!("CARGO"), Profile::Dev, &sources, |_| ()).await?,
        };
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installation");
        let cloud =
            LocalCloud::start(CloudOptions::new(state), |_| ()).await.map_err(at("the local cloud"))?;
        let account = |id: &str| {
            let secret = cloud.root_secrets().of(id).expect("an account of the local cloud");
            Aws::at(REGION, cloud.endpoint(), Credentials::new(id, secret, None, None, "test"))
        };
        let (tooling, target) = (account(TOOLING)?, account(TARGET)?);
        let output = Output::memory(false);
        let packages = Installation::new(&tooling, sources.clone(), &output)
            .await?
            .pack(&binaries, Profile::Dev)
            .await?;
        Ok(Self { cloud, tooling, target, sources, packages, output })
    }

    async fn installation(&self) -> Result<Installation<'_>, Failure> {
        let installation = Installation::new(&self.tooling, self.sources.clone(), &self.output).await?;
        Ok(installation.governed_by(Some(Administrators::Many)))
    }

    async fn install(&self) -> Result<(), Failure> {
        self.installation().await?.install(&self.packages).await.map(drop)
    }

    async fn add_account(&self) -> Result<(), Failure> {
        let policy = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
        let wanted = TargetAccount {
            path: DeploymentPath::Delivery,
            policies: vec![policy.clone()],
            boundary: policy,
            image_key: true,
            image_builds: ImageBuilds::default(),
        };
        self.installation().await?.add_account(&self.target, &wanted).await.map(drop)
    }

    fn controls(&self) -> Controls {
        self.cloud.controls()
    }

    async fn promise(
        &self,
        sentence: &str,
        holds: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        self.output.line(format!("\n== {sentence} ({})", Timestamp::now()));
        holds
            .await
            .map_err(|failure| Failure { what: format!("{sentence}: {}", failure.what), ..failure })?;
        println!("{:6.1} s  {sentence}", began.elapsed().as_secs_f64());
        Ok(())
    }
}
