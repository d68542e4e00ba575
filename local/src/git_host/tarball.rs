//! Source archives: a redirect with a short-lived ticket, then `git archive` as a stream.

use super::repositories::{Repository, command};
use axum::body::Body;
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

/// Lifetime of a link: five minutes, as at GitHub.
const TICKET_LIFETIME: Duration = Duration::from_secs(300);

/// Issued links.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: HashMap<String, Ticket>,
}

#[derive(Debug)]
struct Ticket {
    repository: String,
    commit: String,
    until: Instant,
}

impl Tickets {
    /// Issues a ticket for one commit of one repository.
    pub(super) fn issue(&mut self, repository: &Repository, commit: &str, now: Instant) -> String {
        self.open.retain(|_, ticket| ticket.until > now);
        let ticket = Ticket {
            repository: repository.full_name(),
            commit: commit.to_owned(),
            until: now + TICKET_LIFETIME,
        };
        let name = Uuid::new_v4().simple().to_string();
        self.open.insert(name.clone(), ticket);
        name
    }

    /// Returns true if a ticket is for this commit and still valid.
    pub(super) fn admits(&self, name: &str, repository: &Repository, commit: &str, now: Instant) -> bool {
        self.open.get(name).is_some_and(|ticket| {
            ticket.repository == repository.full_name() && ticket.commit == commit && ticket.until > now
        })
    }
}

/// Returns the top folder of an archive: `<owner>-<repository>-<first seven of the commit>`.
pub(super) fn top_folder(repository: &Repository, commit: &str) -> String {
    format!("{}-{}-{}", repository.owner, repository.name, commit.get(..7).unwrap_or(commit))
}

/// Returns the gzipped tar of a commit from git, as a stream.
pub(super) fn stream(repository: &Repository, commit: &str) -> std::io::Result<Body> {
    let prefix = format!("--prefix={}/", top_folder(repository, commit));
    let mut child = command(&repository.path, &["archive", "--format=tar.gz", &prefix, commit])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let Some(output) = child.stdout.take() else {
        return Err(std::io::Error::other("git archive has no output"));
    };
    // The runtime reaps the child when it ends, and kills it (see `command`) when it shuts down.
    tokio::spawn(async move { child.wait().await });
    Ok(Body::from_stream(ReaderStream::new(output)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_commit_and_five_minutes() {
        let repository = |name: &str| Repository { owner: "o".into(), name: name.into(), path: "/".into() };
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.issue(&repository("a"), "c1", now);
        assert!(tickets.admits(&ticket, &repository("a"), "c1", now));
        assert!(!tickets.admits(&ticket, &repository("a"), "c2", now));
        assert!(!tickets.admits(&ticket, &repository("b"), "c1", now));
        assert!(!tickets.admits(&ticket, &repository("a"), "c1", now + TICKET_LIFETIME));
        assert!(!tickets.admits("invented", &repository("a"), "c1", now));
    }
}
