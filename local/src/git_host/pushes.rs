//! Watches the spool folder and turns each note of a push into deliveries.

use super::deliveries::Hook;
use super::payload::Push;
use super::repositories::Repository;
use super::{Shared, deliveries, payload};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::UnboundedReceiver;

/// Interval between two reads of the folder. There is one folder, so a read costs little.
const INTERVAL: Duration = Duration::from_millis(25);

/// A push, and the webhooks that existed at its time.
#[derive(Debug)]
pub(super) struct Noted {
    repository: Repository,
    pushes: Vec<Push>,
    hooks: Vec<Hook>,
}

/// Watches the spool folder for ever.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        take_notes(&shared).await;
    }
}

/// Takes the waiting notes and queues their deliveries to the current webhooks.
///
/// A caller also uses it before it adds a webhook, which must not receive earlier pushes.
pub(super) async fn take_notes(shared: &Shared) {
    let _turn = shared.taking.lock().await;
    for note in waiting_notes(&shared.repositories.spool()).await {
        let Ok(text) = tokio::fs::read_to_string(&note).await else { continue };
        // Removed before the delivery, so that a note that cannot be delivered is not retried for ever.
        let _ = tokio::fs::remove_file(&note).await;
        if let Some(noted) = understood(shared, &text) {
            // It only fails when the host ends.
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

/// Delivers the noted pushes, for ever and in their order.
pub(super) async fn deliver(shared: Arc<Shared>, mut noted: UnboundedReceiver<Noted>) {
    while let Some(Noted { repository, pushes, hooks }) = noted.recv().await {
        for push in pushes {
            // A reference that moved and was pruned has no payload any more.
            if let Ok(body) = payload::push(&repository, &shared.base_url, &push).await {
                deliveries::deliver_event(&shared, &hooks, "push", body).await;
            }
        }
    }
}

/// Returns the complete notes, oldest first.
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

/// Parses a note: `owner/name`, then a line `old new reference` for each updated reference.
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
