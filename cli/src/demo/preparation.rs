//! Before the first commit: a cloud, and an organisation in it.

use super::{Demo, MARK, REPOSITORY, ensure};
use crate::commands::repositories::{webhook_secret, webhook_url};
use crate::failure::{Exit, Failure, at};
use crate::local::{Session, state_dir};
use lockstep_domain::model::ids::{AmiId, RepositoryId};
use lockstep_local::session;
use lockstep_platform::operator::base_images::BaseImages;
use lockstep_platform::operator::signed;
use serde_json::{Value, json};

impl Demo {
    /// Starts the cloud; one that an earlier demo left is replaced, one of somebody's own is left alone.
    pub(super) async fn cloud(&mut self) -> Result<(), Failure> {
        if let Some(session) = Session::load(&self.context)? {
            if !session.credentials.contains_key(MARK) {
                return Err(Failure::new(format!(
                    "a local cloud of yours is running at {}",
                    session.endpoint
                ))
                .next("stop it first: lockstep local down"));
            }
            self.say("an earlier demo left its cloud running; it goes first");
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
        session::update(&state_dir(&self.context), mark).map_err(at("the local cloud"))?;
        self.point_at_tooling().await
    }

    /// What `eval "$(lockstep local env tooling)"` does: from here on, nothing is done as root.
    async fn point_at_tooling(&mut self) -> Result<(), Failure> {
        self.say("$ eval \"$(lockstep local env tooling)\"");
        let variables = self.type_quietly(&["local", "env", "tooling"]).await?;
        let pairs = variables.as_object().into_iter().flatten();
        let pairs = pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        self.context.variables.extend(pairs);
        Ok(())
    }

    /// Stages, parameters, a base image, a subscribed repository.
    pub(super) async fn organisation(&mut self) -> Result<(), Failure> {
        let session = self.session()?;
        self.configure(&session).await?;
        self.base_image("logstash-2.1.0", "logstash@2.1.0").await?;
        self.component(&session).await?;
        self.subscribe(&session).await
    }

    /// The stages of the organisation, and the parameters that serve every component.
    pub(super) async fn configure(&self, session: &Session) -> Result<(), Failure> {
        self.write("stages.toml", &stages(session)?)?;
        self.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
        self.write("parameters.toml", &parameters(session)?)?;
        self.type_in(&["parameters", "apply", "parameters.toml"], Exit::Done).await.map(drop)
    }

    /// Registers an image in the development account and imports it.
    pub async fn base_image(&self, name: &str, version: &str) -> Result<AmiId, Failure> {
        self.say(&format!("(an image builder, Packer say, makes {name} in the development account)"));
        let ami = BaseImages::new(&self.session()?.operator("development")?).register(name).await?;
        self.type_in(&["images", "import", ami.as_str(), "--as", version], Exit::Done).await?;
        Ok(ami)
    }

    /// A repository with the broker of the log stack in it.
    async fn component(&self, session: &Session) -> Result<(), Failure> {
        let path = created(session).await?;
        let repository = self.repository();
        repository.create(&path).await?;
        repository.copy(&self.context.sources()?.join("infra/log-stack/broker"), "broker")?;
        // This organisation has no stage of that name.
        repository.remove("broker/parameters/staging.toml")?;
        // Nor a cache yet: `demo --log-stack` has.
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

    /// What a person pastes into the settings of a repository.
    async fn hook(&self, session: &Session) -> Result<(), Failure> {
        let id = RepositoryId::github("acme", "logs").map_err(at("the repository"))?;
        let plane = self.plane().await?;
        let secret = webhook_secret(&plane, &id).await?;
        let hook = json!({
            "name": "web",
            "events": ["push"],
            "config": { "url": webhook_url(&plane, &id), "content_type": "json", "secret": secret.expose() },
        });
        let answer = git_host(session, "repos/acme/logs/hooks", &hook).await?;
        ensure(answer["id"].is_number(), "the git host takes the webhook")
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Failure> {
        let path = self.work.join(file);
        std::fs::write(&path, text).map_err(at(path.display()))
    }
}

fn stages(session: &Session) -> Result<String, Failure> {
    let (development, production) = (session.account("development")?, session.account("production")?);
    let region = &session.region;
    Ok(format!(
        r#"# Every release is tried in a stack of its own, then comes to ci by itself; production is a person's decision.
[[stages]]
name = "test"
account = "{development}"
region = "{region}"

[[stages]]
name = "ci"
account = "{development}"
region = "{region}"
propagates = true

[[stages]]
name = "production"
account = "{production}"
region = "{region}"
approval = true
"#
    ))
}

/// The network of each account, which no component has to know.
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

/// Makes the bare repository on the git host; answers its path.
pub(super) async fn created(session: &Session) -> Result<String, Failure> {
    // Repositories outlive the cloud; that of an earlier demo has another history.
    let earlier = session.repositories.join("acme/logs.git");
    if earlier.exists() {
        std::fs::remove_dir_all(&earlier).map_err(at(earlier.display()))?;
    }
    let answer =
        git_host(session, "_lockstep/repositories", &json!({ "owner": "acme", "name": "logs" })).await?;
    let path = answer["path"].as_str().map(str::to_owned);
    path.ok_or_else(|| Failure::new(format!("the git host made no repository: {answer}")))
}

async fn git_host(session: &Session, path: &str, body: &Value) -> Result<Value, Failure> {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {}", session.git_token)),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), "lockstep".to_owned()),
    ];
    let url = format!("{}/{path}", session.git_host);
    let answer = signed::post_unsigned(&url, &headers, body.to_string().into_bytes()).await?;
    serde_json::from_slice(&answer.body).map_err(at(format!("the git host answered {}", answer.status)))
}
