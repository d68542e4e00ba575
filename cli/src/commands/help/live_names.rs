//! Names that exist now, for completions in a shell.
//!
//! A shell waits for each completion, so a reading that takes longer than [`PATIENCE`] gives no names. The variables of the
//! process choose the account, as for a command without `--profile`.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::Output;
use clap_complete::engine::CompletionCandidate;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

/// The longest time that a shell waits for names.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the stages.
pub fn stages() -> Vec<CompletionCandidate> {
    read(|plane| async move {
        let stages = plane.stages().await?;
        Ok(stages.iter().map(|stage| stage.name.to_string()).collect())
    })
}

/// Returns the components that have a release.
pub fn components() -> Vec<CompletionCandidate> {
    read(|plane| async move {
        let releases = plane.releases(None).await?;
        Ok(releases.into_iter().map(|release| release.component.to_string()).collect())
    })
}

/// Returns the releases.
pub fn releases() -> Vec<CompletionCandidate> {
    read(|plane| async move {
        let releases = plane.releases(None).await?;
        Ok(releases.iter().map(|release| format!("{}@{}", release.component, release.version)).collect())
    })
}

/// Returns the versions of images.
pub fn image_versions() -> Vec<CompletionCandidate> {
    read(|plane| async move {
        let versions = plane.image_versions().await?;
        Ok(versions.iter().map(|version| format!("{}@{}", version.name, version.version)).collect())
    })
}

/// Reads names on a thread of its own, because the process has a runtime already. Returns no name after an error.
fn read<F>(names: impl FnOnce(ControlPlane) -> F + Send + 'static) -> Vec<CompletionCandidate>
where
    F: Future<Output = Result<BTreeSet<String>, Failure>>,
{
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.ok().and_then(|runtime| runtime.block_on(open_and_read(names)).ok());
        drop(sender.send(found.unwrap_or_default()));
    });
    let found = receiver.recv_timeout(PATIENCE).unwrap_or_default();
    found.into_iter().map(CompletionCandidate::new).collect()
}

async fn open_and_read<F>(names: impl FnOnce(ControlPlane) -> F) -> Result<BTreeSet<String>, Failure>
where
    F: Future<Output = Result<BTreeSet<String>, Failure>>,
{
    // A completion prints nothing but names.
    let context = CommandContext { output: Output::memory(false), ..CommandContext::of_process()? };
    names(ControlPlane::open(&Global::default(), &context).await?).await
}
