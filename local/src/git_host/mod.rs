//! A git host with the part of GitHub's REST API and of its webhooks that Lockstep uses.
//!
//! Repositories are bare ones in a folder, and clients push to their path. A `post-receive` hook writes a
//! note to a spool folder, which the host watches, so a push never waits for a webhook. Webhooks, their
//! deliveries, commit statuses and comments last as long as the host. Repositories remain.

mod api;
mod deliveries;
mod guard;
mod payload;
mod pushes;
mod repositories;
mod tarball;

pub use repositories::Repository;

use crate::http::{Cause, Client};
use deliveries::Hooks;
use repositories::Repositories;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tarball::Tickets;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

/// Timeout of a delivery: GitHub waits ten seconds for the response.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(10);

/// Options of the git host.
#[derive(Clone, Debug)]
pub struct GitHostOptions {
    /// Folder of the bare repositories; created if it is absent.
    pub root: PathBuf,
    /// Token that every API request must carry.
    pub token: String,
}

/// Error of the git host.
#[derive(Debug, thiserror::Error)]
pub enum GitHostError {
    /// The host could not be started.
    #[error("could not {step}")]
    Start {
        /// Failed step, as a verb phrase.
        step: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A repository could not be created.
    #[error("could not create the repository {repository}")]
    Create {
        /// `owner/name`.
        repository: String,
        /// Reason, with the necessary change.
        source: Cause,
    },
}

/// A running git host. It ends with the value. The repositories remain.
#[derive(Debug)]
pub struct GitHost {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 3],
}

/// State that the API and the watcher share.
#[derive(Debug)]
struct Shared {
    base_url: String,
    token: String,
    repositories: Repositories,
    hooks: Mutex<Hooks>,
    tickets: Mutex<Tickets>,
    notes: Mutex<api::Notes>,
    client: Client,
    /// Lock for taking notes of pushes from the spool, so that each is taken once.
    taking: tokio::sync::Mutex<()>,
    noted: UnboundedSender<pushes::Noted>,
}

impl Shared {
    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        // The lists are consistent after every statement, so a panic elsewhere does not corrupt them.
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, api::Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitHost {
    /// Starts the host on a free port of the loopback address.
    ///
    /// # Errors
    ///
    /// [`GitHostError::Start`] if the folder cannot be created or no port is free.
    pub async fn start(options: GitHostOptions) -> Result<Self, GitHostError> {
        let failed = |step: String| move |source| GitHostError::Start { step, source };
        let repositories = Repositories::open(&options.root)
            .map_err(failed(format!("open the folder of repositories {}", options.root.display())))?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener =
            TcpListener::bind(loopback).await.map_err(failed("find a free port for the git host".into()))?;
        let address = listener.local_addr().map_err(failed("read the git host's port".into()))?;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            base_url: format!("http://{address}"),
            token: options.token,
            repositories,
            hooks: Mutex::default(),
            tickets: Mutex::default(),
            notes: Mutex::default(),
            client: Client::new(DELIVERY_DEADLINE),
            taking: tokio::sync::Mutex::default(),
            noted: sender,
        });
        let pages = axum::middleware::from_fn_with_state(address.port(), guard::refuse_pages);
        let router = api::router(shared.clone()).layer(pages);
        let server = tokio::spawn(async move {
            // The task ends when it is aborted. Axum retries a failed accept.
            let _ = axum::serve(listener, router).await;
        });
        let watcher = tokio::spawn(pushes::watch(shared.clone()));
        let deliverer = tokio::spawn(pushes::deliver(shared.clone(), receiver));
        Ok(Self { shared, tasks: [server, watcher, deliverer] })
    }

    /// Returns the address of the API, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// Returns the token that every API request must carry.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Creates a bare repository, or returns the existing one.
    ///
    /// # Errors
    ///
    /// [`GitHostError::Create`] if GitHub would not accept the name, or git fails.
    pub async fn create_repository(&self, owner: &str, name: &str) -> Result<Repository, GitHostError> {
        self.shared.repositories.create(owner, name).await.map_err(|source| GitHostError::Create {
            repository: format!("{owner}/{name}"),
            source: source.into(),
        })
    }

    /// Ends the host.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for GitHost {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
