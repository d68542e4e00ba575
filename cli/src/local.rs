//! The local cloud's session: its endpoints, accounts and credentials.

use crate::context::CommandContext;
use crate::failure::{Failure, at};
use lockstep_aws::aws::Aws;
use lockstep_aws::operator::{AccessKey, connect};
use lockstep_domain::model::ids::{AccountId, Region};
use lockstep_local::session::{self, Daemon, Status};
use lockstep_local::{PEOPLE, default_state_dir};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The name of the account that holds the control plane.
pub const TOOLING: &str = "tooling";

/// The session of a running local cloud.
#[derive(Clone, Debug)]
pub struct Session(session::Session);

impl Deref for Session {
    type Target = session::Session;

    fn deref(&self) -> &session::Session {
        &self.0
    }
}

/// The key of an account's operator or of a person, and the outputs that components there need. `local up` stores them.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredCredentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key's secret, which has no use outside this machine.
    pub secret_access_key: String,
    /// The outputs of the account's stack, without secrets.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
}

/// Returns the folder of the local cloud's files: that of the variable `LOCKSTEP_STATE`, or the one of this user.
pub fn state_dir(context: &CommandContext) -> Result<PathBuf, Failure> {
    if let Some(named) = context.variable("LOCKSTEP_STATE") {
        return Ok(context.directory.join(named));
    }
    let path = |name: &str| context.variable(name).map(Path::new);
    default_state_dir(path("XDG_STATE_HOME"), path("HOME")).ok_or_else(|| {
        Failure::new("the local cloud has no folder: HOME is not set")
            .next("name a folder for its files in the variable LOCKSTEP_STATE")
    })
}

impl Session {
    /// Returns the running session, or `None`. Creates no folder.
    pub fn load(context: &CommandContext) -> Result<Option<Self>, Failure> {
        // Without a folder there can be no cloud.
        let Some(folder) = state_dir(context).ok().filter(|folder| folder.is_dir()) else { return Ok(None) };
        match session::status(&folder).map_err(at("the local cloud"))? {
            Status::Running(session) => Ok(Some(Self(*session))),
            Status::Stopped | Status::Starting => Ok(None),
            Status::OtherVersion(daemon) => Err(other_version(&daemon)),
        }
    }

    /// Returns the running session. Refuses with the command that starts one.
    pub fn expect(context: &CommandContext) -> Result<Self, Failure> {
        Self::load(context)?
            .ok_or_else(|| Failure::new("no local cloud is running").next("start it: lockstep local up"))
    }

    /// Returns true if a local cloud is running, of this version or another one.
    pub fn exists(context: &CommandContext) -> bool {
        !matches!(Self::load(context), Ok(None))
    }

    /// Returns true if Lockstep and its people are in the cloud.
    pub fn is_set_up(&self) -> bool {
        let accounts: Vec<String> = self.accounts.iter().map(|account| account.alias).collect();
        accounts.iter().map(String::as_str).chain(PEOPLE).all(|name| self.stored(name).is_some())
    }

    /// Wraps a session.
    pub fn new(session: session::Session) -> Self {
        Self(session)
    }

    /// Returns the stored credentials of the account or person `alias`, or `None` if it is not set up.
    pub fn stored(&self, alias: &str) -> Option<StoredCredentials> {
        self.credentials.get(alias).cloned().and_then(|stored| serde_json::from_value(stored).ok())
    }

    /// Stores the credentials of an account for later commands.
    pub fn store(context: &CommandContext, alias: &str, stored: &StoredCredentials) -> Result<Self, Failure> {
        let value = serde_json::to_value(stored).unwrap_or(Value::Null);
        let change =
            |session: &mut session::Session| drop(session.credentials.insert(alias.to_owned(), value));
        session::update(&state_dir(context)?, change).map(Self).map_err(at("the local cloud"))
    }

    /// Returns access to the account `alias` as its operator.
    pub fn operator(&self, alias: &str) -> Result<Aws, Failure> {
        let region = self.region.parse().map_err(at("the local cloud's region"))?;
        self.operator_in(alias, &region)
    }

    /// Returns access to any region of the account `alias` as its operator.
    pub fn operator_in(&self, alias: &str, region: &Region) -> Result<Aws, Failure> {
        self.account(alias)?;
        self.with_key_of(alias, region)
    }

    /// Returns access with the key that is stored under the name of an account or of a person.
    fn with_key_of(&self, name: &str, region: &Region) -> Result<Aws, Failure> {
        let stored = self.stored(name).ok_or_else(|| {
            Failure::new(format!("{name} of the local cloud is not set up"))
                .next("set it up: lockstep local up")
        })?;
        let key = AccessKey {
            id: stored.access_key_id,
            secret: stored.secret_access_key.into(),
            session_token: None,
        };
        Ok(connect(region, Some(&self.endpoint), &key)?)
    }

    /// Returns access to the account of the control plane as this person.
    pub fn person(&self, name: &str) -> Result<Aws, Failure> {
        if !PEOPLE.contains(&name) {
            return Err(Failure::usage(format!("the local cloud has no person called {name}"))
                .next(format!("name one of {}", PEOPLE.join(", "))));
        }
        let region = self.region.parse().map_err(at("the local cloud's region"))?;
        self.with_key_of(name, &region)
    }

    /// Returns access to the account `alias` as its root. Only an installation uses it.
    pub fn root(&self, alias: &str) -> Result<Aws, Failure> {
        let id = self.account(alias)?.to_owned();
        let secret = self.root_secrets.of(&id);
        let secret =
            secret.ok_or_else(|| Failure::new(format!("the local cloud has no root of {id}")))?.into();
        let key = AccessKey { id, secret, session_token: None };
        let region = self.region.parse().map_err(at("the local cloud's region"))?;
        Ok(connect(&region, Some(&self.endpoint), &key)?)
    }

    /// Returns access to the account `alias` as an installer.
    pub fn installer(&self, alias: &str) -> Result<Aws, Failure> {
        Ok(self.root(alias)?.claiming("installer"))
    }

    /// Returns the name of the account `id`.
    pub fn alias_of(&self, id: &AccountId) -> Result<String, Failure> {
        let account = self.accounts.iter().find(|account| account.id == id.as_str());
        let account = account.ok_or_else(|| Failure::new(format!("the local cloud has no account {id}")))?;
        Ok(account.alias)
    }

    /// Returns the id of the account `alias`.
    pub fn account(&self, alias: &str) -> Result<&str, Failure> {
        self.accounts.id(alias).ok_or_else(|| {
            let known: Vec<String> = self.accounts.iter().map(|account| account.alias).collect();
            Failure::usage(format!("the local cloud has no account called {alias}"))
                .next(format!("name one of {}", known.join(", ")))
        })
    }
}

/// Returns the refusal of a cloud that another version started.
pub fn other_version(daemon: &Daemon) -> Failure {
    let version = if daemon.version.is_empty() { "an older version" } else { &daemon.version };
    let mine = env!("CARGO_PKG_VERSION");
    let what = format!("the local cloud at {} is of {version}, and this command of {mine}", daemon.endpoint);
    Failure::new(what)
        .next("use that version, or replace the cloud: lockstep local down, then lockstep local up")
}
