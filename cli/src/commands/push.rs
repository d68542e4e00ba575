//! `lockstep push`: pushes the commits of a component, and follows the release through the stages of the delivery path.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::follow::follow_to_end;
use crate::git::{self, Clean};
use crate::global::Global;
use crate::report::Report;
use crate::runs::{self, Run};
use clap::Args;
use jiff::Timestamp;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::ids::{CommitSha, RepositoryId};
use lockstep_domain::records::Repository;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Number of newest executions among which the one of this commit is searched.
const LOOKED_AT: i32 = 20;

/// The arguments of `push`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The component's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The remote to push to
    #[arg(long, default_value = "origin")]
    remote: String,
    /// Number of seconds to wait for the webhook before this command starts the release
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    webhook_wait: u64,
}

impl Arguments {
    /// Returns the push of a folder to `origin`.
    pub fn of(folder: PathBuf) -> Self {
        Self { folder, remote: "origin".to_owned(), webhook_wait: 10 }
    }
}

/// Pushes the branch and follows its release.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let folder = context.path(&arguments.folder);
    let clean = git::clean(&folder).await?;
    let plane = ControlPlane::open(global, context).await?;
    let repository = subscribed(arguments, &folder, &plane).await?;
    let since = Timestamp::now();
    let refspec = format!("HEAD:refs/heads/{}", clean.branch);
    git::git(&folder, &["push", "--quiet", &arguments.remote, &refspec]).await?;
    context.output.line(format!("pushed {} of {} to {}", clean.commit.short(), clean.branch, repository.id));
    let time_limit = Duration::from_secs(arguments.webhook_wait);
    let execution = match by_webhook(&plane, &clean.commit, since, time_limit).await? {
        Some(execution) => execution,
        None => {
            context.output.note("no webhook has started a release of this commit; starting it from here");
            runs::start(&plane, &by_hand(&repository.id, &clean)).await?
        }
    };
    follow_to_end(&plane, &execution, context).await
}

/// Returns the registered repository of the remote.
async fn subscribed(
    arguments: &Arguments,
    folder: &std::path::Path,
    plane: &ControlPlane,
) -> Result<Repository, Failure> {
    let url = git::remote_url(folder, &arguments.remote).await?;
    let named = git::owner_and_name(&url).ok_or_else(|| {
        Failure::new(format!("the remote {} names no owner and repository", arguments.remote))
    })?;
    let id = RepositoryId::github(named.0, named.1).map_err(at("the remote"))?;
    let found = plane.ledger.get::<Repository>(&Repository::key_of(&id)).await?;
    found.map(|found| found.record).ok_or_else(|| {
        Failure::new(format!("repository {id} is not registered, so its pushes are ignored"))
            .next(format!("lockstep repositories add github:{}", id.full_name()))
    })
}

/// Waits for the execution that a webhook starts for this commit. Returns `None` after the timeout.
async fn by_webhook(
    plane: &ControlPlane,
    commit: &CommitSha,
    since: Timestamp,
    time_limit: Duration,
) -> Result<Option<String>, Failure> {
    let deadline = Instant::now() + time_limit;
    loop {
        let newest = plane.executions.newest(&plane.found.state_machines.release, LOOKED_AT).await?;
        for (arn, _) in newest.into_iter().filter(|(_, started_at)| not_before(*started_at, since)) {
            let input = plane.executions.describe(&arn).await?.map(|execution| execution.input);
            if input.is_some_and(|input| input["commit"] == commit.as_str()) {
                return Ok(Some(arn));
            }
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Allows two seconds: Step Functions may report times in whole seconds, and its clock differs from this machine's.
fn not_before(started_at: Timestamp, since: Timestamp) -> bool {
    since.as_second() - started_at.as_second() <= 2
}

/// Returns the run that the webhook would have started.
fn by_hand(repository: &RepositoryId, clean: &Clean) -> Run {
    Run::Release(inputs::Release {
        repository: repository.clone(),
        reference: format!("refs/heads/{}", clean.branch),
        commit: clean.commit.clone(),
        delivery: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_of_an_earlier_push_is_skipped() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(not_before(at(100), at(101)));
        assert!(!not_before(at(90), at(101)));
    }
}
