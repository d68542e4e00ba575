//! Watches the spool folder and turns each note of a push into deliveries.

use super::deliveries::Hook;
use super::payload::Push;
use super::repositories::Repository;
use super::{Shared, deliveries, payload};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::UnboundedReceiver;

/// How often the folder is looked at. There is one folder, so a look costs next to nothing.
const INTERVAL: Duration = Duration::from_millis(25);

/// A push and the webhooks that were there when it was made.
#[derive(Debug)]
pub(super) struct Noted {
    repository: Repository,
    pushes: Vec<Push>,
    hooks: Vec<Hook>,
}

/// Look at the spool folder for ever.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        take_notes(&shared).await;
    }
}

/// Take the notes that are waiting and queue their deliveries to the webhooks there are now.
///
/// Also called before a webhook is added: what was pushed before is not for it.
pub(super) async fn take_notes(shared: &Shared) {
    let _turn = shared.taking.lock().await;
    for note in waiting_notes(&shared.repositories.spool()).await {
        let Ok(text) = tokio::fs::read_to_string(&note).await else { continue };
        // Taken before it is delivered: a note that cannot be delivered must not come back for ever.
        let _ = tokio::fs::remove_file(&note).await;
        if let Some(noted) = understood(shared, &text) {
            // It only fails when the host is ending.
            let _ = shared.noted.send(noted);
        }
    }
}

fn understood(shared: &Shared, text: &str) -> Option<Noted> {
    let (full_name, pushes) = parse(text)?;
    let (owner, name) = full_name.split_once('/')?;
    let repository = shared.repositories.find(owner, name)?;
    let hooks = shared.hooks().of(&repository);
    Some(Noted { repository, pushes, hooks })
}

/// Deliver what was noted, for ever and in the order it was pushed.
pub(super) async fn deliver(shared: Arc<Shared>, mut noted: UnboundedReceiver<Noted>) {
    while let Some(Noted { repository, pushes, hooks }) = noted.recv().await {
        for push in pushes {
            // A reference that moved on and was pruned meanwhile has no payload any more.
            if let Ok(body) = payload::push(&repository, &shared.base_url, &push).await {
                deliveries::deliver_event(&shared, &hooks, "push", body).await;
            }
        }
    }
}

/// The complete notes, oldest first.
async fn waiting_notes(spool: &Path) -> Vec<PathBuf> {
    let Ok(mut entries) = tokio::fs::read_dir(spool).await else { return Vec::new() };
    let mut notes: Vec<(SystemTime, PathBuf)> = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name().to_string_lossy().starts_with("push-") {
            let written =
                entry.metadata().await.and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            notes.push((written, entry.path()));
        }
    }
    notes.sort();
    notes.into_iter().map(|(_, path)| path).collect()
}

/// A note: `owner/name`, then a line `old new reference` per updated reference.
fn parse(note: &str) -> Option<(String, Vec<Push>)> {
    let mut lines = note.lines();
    let full_name = lines.next()?.to_owned();
    let pushes = lines
        .filter_map(|line| {
            let mut fields = line.splitn(3, ' ').map(str::to_owned);
            Some(Push { before: fields.next()?, after: fields.next()?, reference: fields.next()? })
        })
        .collect();
    Some((full_name, pushes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_repository_and_every_updated_reference() {
        let (name, pushes) = parse("acme/logs\nold new refs/heads/main\na b refs/tags/v1\n").expect("a note");
        assert_eq!(name, "acme/logs");
        assert_eq!(pushes.len(), 2);
        assert_eq!(pushes[1].reference, "refs/tags/v1");
        assert_eq!(parse(""), None);
    }
}
