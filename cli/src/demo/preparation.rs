//! The preparation of the demo: starts a cloud and configures an organisation.

use super::{Demo, MARK, REPOSITORY};
use crate::commands::local::git_host;
use crate::commands::r#try::example_stages;
use crate::failure::{Exit, Failure, at};
use crate::local::{Session, state_dir};
use lockstep_aws::operator::base_images::BaseImages;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::{AmiId, RepositoryId};
use lockstep_local::session;
use serde_json::json;

impl Demo {
    /// Starts the cloud. Replaces the cloud of an earlier demo. Refuses to replace an operator's own cloud.
    pub async fn cloud(&mut self) -> Result<(), Failure> {
        if let Some(session) = Session::load(&self.context)? {
            if !session.credentials.contains_key(MARK) {
                return Err(Failure::new(format!(
                    "a local cloud of yours is running at {}",
                    session.endpoint
                ))
                .next("stop it first: lockstep local down"));
            }
            self.say("an earlier demo left its cloud running; it is stopped first");
            self.type_in(&["local", "down"], Exit::Done).await?;
        }
        self.owns_cloud = true;
        let mut arguments = vec!["local", "up"];
        let folder = self.functions.as_ref().map(|folder| folder.display().to_string());
        if let Some(folder) = &folder {
            arguments.extend(["--functions", folder.as_str()]);
        }
        self.type_in(&arguments, Exit::Done).await?;
        let mark =
            |session: &mut session::Session| drop(session.credentials.insert(MARK.to_owned(), json!(true)));
        session::update(&state_dir(&self.context)?, mark).map_err(at("the local cloud"))?;
        self.point_at_tooling().await
    }

    /// Sets the variables of `lockstep local env tooling`. After that, no command acts as root.
    async fn point_at_tooling(&mut self) -> Result<(), Failure> {
        self.say("$ eval \"$(lockstep local env tooling)\"");
        let variables = self.type_quietly(&["local", "env", "tooling"]).await?;
        let pairs = variables.as_object().into_iter().flatten();
        let pairs = pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        self.context.variables.extend(pairs);
        Ok(())
    }

    /// Applies stages and parameters, imports a base image, and registers a repository.
    pub async fn organisation(&mut self) -> Result<(), Failure> {
        let session = self.session()?;
        self.configure(&session).await?;
        self.base_image("logstash-2.1.0", "logstash@2.1.0").await?;
        self.component(&session).await?;
        self.subscribe(&session).await
    }

    /// Applies the stages of the organisation, and the parameters for every component.
    pub(super) async fn configure(&self, session: &Session) -> Result<(), Failure> {
        self.write("stages.toml", &example_stages(session)?)?;
        self.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
        self.write("parameters.toml", &parameters(session)?)?;
        self.type_in(&["parameters", "apply", "parameters.toml"], Exit::Done).await.map(drop)
    }

    /// Registers an image in the development account and imports it.
    pub async fn base_image(&self, name: &str, version: &str) -> Result<AmiId, Failure> {
        self.say(&format!("(an image builder, Packer say, makes {name} in the development account)"));
        let ami = BaseImages::new(&self.session()?.operator("development")?).register(name).await?;
        self.type_in(&["images", "import", ami.as_str(), "--image", version], Exit::Done).await?;
        Ok(ami)
    }

    /// Creates a repository with the broker of the log stack.
    async fn component(&self, session: &Session) -> Result<(), Failure> {
        let path = created(session).await?;
        let repository = self.repository();
        repository.create(&path).await?;
        repository.copy(&self.context.sources()?.join("infra/log-stack/broker"), "broker")?;
        // This organisation has no stage of that name.
        repository.remove("broker/parameters/staging.toml")?;
        // It has no cache either: only `demo --log-stack` deploys one.
        for (output, value) in [
            ("Endpoint", "cache.acme.internal"),
            ("Port", "6379"),
            ("SecretArn", "arn:aws:secretsmanager:eu-west-1:222222222222:secret:logs-cache"),
            ("ClientSecurityGroup", "sg-0123456789abcdef0"),
        ] {
            let reference = format!("${{outputs.logs-cache.{output}}}");
            repository.replace("broker/parameters/default.toml", &reference, value)?;
        }
        repository.commit("The broker of the log stack").await?;
        self.say("(a repository acme/logs with the component logs-broker in the folder broker/)");
        let check = ["check", "logs/broker", "--stages", "stages.toml", "--parameters", "parameters.toml"];
        self.type_in(&check, Exit::Done).await.map(drop)
    }

    pub(super) async fn subscribe(&self, session: &Session) -> Result<(), Failure> {
        self.type_in(&["repositories", "add", REPOSITORY, "--branch", "main"], Exit::Done).await?;
        let token = Some(session.git_token.clone());
        self.type_with(&["secrets", "set", REPOSITORY, "token", "--stdin"], Exit::Done, token).await?;
        self.hook(session).await?;
        self.say(
            "(the webhook is registered with the git host, as you would in the settings of a repository)",
        );
        self.type_in(&["repositories", "test", REPOSITORY], Exit::Done).await.map(drop)
    }

    /// Registers the webhook with the git host.
    async fn hook(&self, session: &Session) -> Result<(), Failure> {
        let plane = self.plane_for(Callers::Administrators).await?;
        git_host::register_hook(session, &plane, &repository_id()?).await.map(drop)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Failure> {
        let path = self.work.join(file);
        std::fs::write(&path, text).map_err(at(path.display()))
    }
}

/// Returns the parameters with the network of each account.
fn parameters(session: &Session) -> Result<String, Failure> {
    let network = |alias: &str| {
        let kept =
            session.stored(alias).ok_or_else(|| Failure::new(format!("account {alias} is not set up")))?;
        let output = |name: &str| kept.outputs.get(name).cloned().unwrap_or_default();
        let list = |name: &str| output(name).replace(',', "\", \"");
        Ok::<_, Failure>(format!(
            "VpcId = \"{}\"\nSubnetIds = [\"{}\"]\nAvailabilityZones = [\"{}\"]\n",
            output("VpcId"),
            list("SubnetIds"),
            list("AvailabilityZones")
        ))
    };
    let (development, production) = (network("development")?, network("production")?);
    Ok(format!(
        r#"[default]
{development}ClientCidr = "10.0.0.0/8"
ReaderCidr = "10.0.0.0/8"

[production]
{production}"#
    ))
}

/// Creates the bare repository on the git host. Returns its path.
pub(super) async fn created(session: &Session) -> Result<String, Failure> {
    // Repositories outlive the cloud, and that of an earlier demo has another history.
    let earlier = session.repositories.join("acme/logs.git");
    if earlier.exists() {
        std::fs::remove_dir_all(&earlier).map_err(at(earlier.display()))?;
    }
    let path = git_host::create(session, &repository_id()?).await?;
    Ok(path.display().to_string())
}

fn repository_id() -> Result<RepositoryId, Failure> {
    RepositoryId::github("acme", "logs").map_err(at("the repository"))
}
