//! The AWS account that a command uses.
//!
//! `--profile` and the `AWS_*` variables choose it, as for the AWS CLI. `--as` chooses a person of the local cloud. If
//! none is given and a local cloud runs, the command uses its tooling account, and prints one line on standard error
//! about it.

use crate::context::CommandContext;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::local::{Session, TOOLING};
use aws_config::{BehaviorVersion, Region};
use lockstep_aws::aws::Aws;
use lockstep_aws::http;
use lockstep_aws::operator::{AccessKey, connect, control_plane};
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::callers::Callers;

/// The managed policy of commands that install something.
const INSTALLER: &str = "installer";

/// Access to an account.
#[derive(Clone)]
pub struct Connection {
    /// The account.
    pub aws: Aws,
    /// The session of the local cloud, if the account is in it.
    pub local: Option<Session>,
}

impl Connection {
    /// Opens the account that the command line and the variables name, for a command of operators.
    pub async fn open(global: &Global, context: &CommandContext) -> Result<Self, Failure> {
        Self::open_for(Callers::Operators, global, context).await
    }

    /// Opens the account that the command line and the variables name, for a command of this kind of people. Its
    /// requests name their managed policy.
    pub async fn open_for(
        people: Callers,
        global: &Global,
        context: &CommandContext,
    ) -> Result<Self, Failure> {
        let found = Self::found(global, context).await?;
        Ok(Self { aws: found.aws.claiming(policy(people)), ..found })
    }

    async fn found(global: &Global, context: &CommandContext) -> Result<Self, Failure> {
        match choose(global, context) {
            Choice::Person(name) => {
                let session = Session::expect(context)?;
                Ok(Self { aws: session.person(name)?, local: Some(session) })
            }
            Choice::Profile => {
                Ok(Self { aws: by_profile(global.profile.as_deref(), global).await?, local: None })
            }
            Choice::Keys => {
                let aws = by_keys(global, context)?;
                let session = Session::load(context)?;
                let local = session.filter(|session| Some(session.endpoint.as_str()) == aws.endpoint_url());
                Ok(Self { aws, local })
            }
            Choice::LocalCloud => {
                let session = Session::load(context)?.ok_or_else(nowhere)?;
                let aws = session.operator("tooling")?;
                context.output.note(format!("using the local cloud at {}", session.endpoint));
                Ok(Self { aws, local: Some(session) })
            }
        }
    }

    /// Opens the account and region of a stage with the operator's own credentials: those of `profile`, or of the local
    /// cloud. Refuses credentials of another account.
    pub async fn of_stage(
        &self,
        stage: &Stage,
        profile: Option<&str>,
        global: &Global,
    ) -> Result<Aws, Failure> {
        let aws = match (profile, &self.local) {
            (Some(profile), _) => {
                let region = Some(stage.region.to_string());
                by_profile(Some(profile), &Global { region, ..global.clone() }).await?
            }
            (None, Some(session)) => {
                session.operator_in(&session.alias_of(&stage.account)?, &stage.region)?
            }
            (None, None) => {
                let what = format!("{} is in account {}", stage.name, stage.account);
                return Err(Failure::usage(what).next("name a profile of it with --target-profile"));
            }
        };
        let aws = aws.claiming(policy(Callers::Operators));
        let (account, _) = control_plane::identity(&aws).await?;
        if account == stage.account {
            return Ok(aws);
        }
        let place =
            format!("{} is in account {}, and these credentials are of {account}", stage.name, stage.account);
        Err(Failure::usage(place).next("name a profile of the stage's account with --target-profile"))
    }

    /// Opens the account of another profile, to install something in a target account.
    pub async fn of_profile(profile: &str, global: &Global) -> Result<Aws, Failure> {
        Ok(by_profile(Some(profile), global).await?.claiming(INSTALLER))
    }

    /// Returns the command's account with the rights to install. In the local cloud, that is the account's root.
    pub fn installer(&self) -> Result<Aws, Failure> {
        match &self.local {
            Some(session) => session.installer(TOOLING),
            None => Ok(self.aws.claiming(INSTALLER)),
        }
    }
}

/// Returns the managed policy of a kind of people.
fn policy(people: Callers) -> &'static str {
    people.policy().unwrap_or_default()
}

/// The source of the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice<'a> {
    Person(&'a str),
    Profile,
    Keys,
    LocalCloud,
}

/// Variables that choose an account, if any of them is set.
const CHOSEN_BY: [&str; 5] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

fn choose<'a>(global: &'a Global, context: &CommandContext) -> Choice<'a> {
    let set = |name: &str| context.variable(name).is_some();
    if let Some(name) = &global.person {
        Choice::Person(name)
    } else if global.profile.is_some() {
        Choice::Profile
    } else if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        Choice::Keys
    } else if CHOSEN_BY.iter().any(|name| set(name)) || !Session::exists(context) {
        // Without a local cloud, the SDK's default chain continues with the default profile and the machine's role.
        Choice::Profile
    } else {
        Choice::LocalCloud
    }
}

async fn by_profile(profile: Option<&str>, global: &Global) -> Result<Aws, Failure> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http::client()?);
    if let Some(name) = profile {
        loader = loader.profile_name(name);
    }
    if let Some(region) = &global.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(profile.map_or_else(nowhere, without_region));
    }
    Ok(Aws::from_sdk_config(config)?)
}

fn by_keys(global: &Global, context: &CommandContext) -> Result<Aws, Failure> {
    let get = |name: &str| context.variable(name).map(str::to_owned);
    let key = AccessKey {
        id: get("AWS_ACCESS_KEY_ID").unwrap_or_default(),
        secret: get("AWS_SECRET_ACCESS_KEY").unwrap_or_default().into(),
        session_token: get("AWS_SESSION_TOKEN").map(Into::into),
    };
    let region = global.region.clone().or_else(|| get("AWS_REGION")).or_else(|| get("AWS_DEFAULT_REGION"));
    let region = region.ok_or_else(|| {
        Failure::usage("there is an access key, but no region").next("set AWS_REGION, or give --region")
    })?;
    let region = region.parse().map_err(at("the region"))?;
    Ok(connect(&region, context.variable("AWS_ENDPOINT_URL"), &key)?)
}

fn without_region(profile: &str) -> Failure {
    Failure::usage(format!("the profile {profile} does not exist, or names no region"))
        .next("list the profiles: aws configure list-profiles; give the region of a profile without one with --region")
}

fn nowhere() -> Failure {
    Failure::new("no AWS account is chosen")
        .next("start a local one with `lockstep local up`, or name one with --profile, or AWS_PROFILE and AWS_REGION")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    fn context(variables: &[(&str, &str)], folder: &std::path::Path) -> CommandContext {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        CommandContext { variables, ..CommandContext::bare(folder, Output::memory(false)) }
    }

    fn global(profile: Option<&str>) -> Global {
        Global {
            json: false,
            verbose: false,
            profile: profile.map(str::to_owned),
            person: None,
            region: None,
        }
    }

    #[test]
    fn a_person_or_profile_precedes_keys_and_keys_the_local_cloud() {
        let folder = tempfile::tempdir().unwrap();
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        assert_eq!(choose(&global(Some("x")), &context(&keys, folder.path())), Choice::Profile);
        assert_eq!(choose(&global(None), &context(&keys, folder.path())), Choice::Keys);
        let grace = Global { person: Some("grace".to_owned()), ..global(None) };
        assert_eq!(choose(&grace, &context(&keys, folder.path())), Choice::Person("grace"));
    }

    #[test]
    fn without_a_local_cloud_the_default_chain_is_used() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(choose(&global(None), &context(&[], folder.path())), Choice::Profile);
    }

    #[test]
    fn keys_without_a_region_are_refused_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let context =
            context(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "hunter2")], folder.path());
        let failure = by_keys(&global(None), &context).err().unwrap();
        assert!(failure.to_string().contains("AWS_REGION") && !failure.to_string().contains("hunter2"));
    }
}
