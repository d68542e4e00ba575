//! Records of EC2 and KMS, with the times from which they are visible.

use jiff::{SignedDuration, Timestamp};
use lockstep_domain::images::promotion::{Ami, Snapshot};
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time after a change for which a stale read may still show the previous state.
const STALENESS: SignedDuration = SignedDuration::from_secs(10);

/// An AMI.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The owner's view of it.
    pub(super) ami: Ami,
    pub(super) name: String,
    pub(super) location: Location,
    /// The accounts that may launch it, each with the time of the share.
    pub(super) shared_with: BTreeMap<AccountId, Timestamp>,
    /// Time of the registration.
    pub(super) since: Timestamp,
    /// End of its pending state: the time, and the reason if it fails.
    pub(super) ends: Option<(Timestamp, Option<String>)>,
    pub(super) is_protected: bool,
    pub(super) is_deprecated: bool,
    /// Its users, such as the ARN of a launch template.
    pub(super) references: BTreeSet<String>,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) snapshot: Snapshot,
    pub(super) location: Location,
    /// The accounts that may read it, each with the time of the share.
    pub(super) shared_with: BTreeMap<AccountId, Timestamp>,
    pub(super) tags: BTreeMap<String, String>,
    /// Time of its start.
    pub(super) since: Timestamp,
}

/// A grant on a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) name: String,
    pub(super) grantee: String,
    pub(super) operations: BTreeSet<String>,
}

/// A KMS key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) location: Location,
    pub(super) is_managed_by_aws: bool,
    /// The other accounts that its policy allows.
    pub(super) users: BTreeSet<AccountId>,
    /// Its grants, by their ids.
    pub(super) grants: BTreeMap<String, Granted>,
    /// True if its policy lets Auto Scaling launch from images under it.
    pub(super) launches: bool,
}

impl Key {
    pub(super) fn is_usable_by(&self, account: &AccountId) -> bool {
        let own = self.location.account == *account;
        let of_account = |arn: &str| arn.split(':').nth(4) == Some(account.as_str());
        let granted = self.grants.values().any(|granted| of_account(&granted.grantee));
        own || (!self.is_managed_by_aws && (self.users.contains(account) || granted))
    }
}

/// Returns true if a permission given at `since` is visible everywhere at `now`.
fn is_seen(since: Option<&Timestamp>, lag: Duration, now: Timestamp) -> bool {
    since.is_some_and(|since| *since + lag <= now)
}

impl Image {
    /// Returns true if `account` owns it, or sees it at `now` because it is shared.
    pub(super) fn is_seen_by(&self, account: &AccountId, lag: Duration, now: Timestamp) -> bool {
        let own = self.location.account == *account && self.since + lag <= now;
        own || is_seen(self.shared_with.get(account), lag, now)
    }

    /// Returns the view of `account`: only the owner sees the tags.
    pub(super) fn seen_by(&self, account: &AccountId) -> Ami {
        let mut ami = self.ami.clone();
        if self.location.account != *account {
            ami.tags.clear();
        }
        ami
    }
}

impl Stored {
    pub(super) fn is_read_by(&self, account: &AccountId, lag: Duration, now: Timestamp) -> bool {
        self.location.account == *account || is_seen(self.shared_with.get(account), lag, now)
    }
}

/// Records, each with its state before its last change.
#[derive(Clone, Debug)]
pub(super) struct Shelf<T> {
    now: BTreeMap<String, T>,
    past: BTreeMap<String, (Timestamp, Option<T>)>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), past: BTreeMap::new() }
    }
}

impl<T: Clone> Shelf<T> {
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.now.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.now.values()
    }

    /// Adds a record or replaces it.
    pub(super) fn put(&mut self, id: &str, record: T, at: Timestamp) {
        self.remember(id, at);
        self.now.insert(id.to_owned(), record);
    }

    /// Changes an existing record.
    pub(super) fn change(&mut self, id: &str, at: Timestamp, change: impl FnOnce(&mut T)) {
        self.remember(id, at);
        if let Some(record) = self.now.get_mut(id) {
            change(record);
        }
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, id: &str, at: Timestamp) {
        self.remember(id, at);
        self.now.remove(id);
    }

    fn remember(&mut self, id: &str, at: Timestamp) {
        match self.past.get(id) {
            Some((then, _)) if *then == at => {}
            _ => drop(self.past.insert(id.to_owned(), (at, self.now.get(id).cloned()))),
        }
    }

    /// Returns the wanted records: their current state or, for a stale read at `now`, the previous one.
    pub(super) fn seen(&self, stale: bool, now: Timestamp, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        if !stale {
            return self.iter().filter(|record| wanted(record)).cloned().collect();
        }
        let ids: BTreeSet<&String> = self.now.keys().chain(self.past.keys()).collect();
        let seen = ids.into_iter().filter_map(|id| match self.past.get(id) {
            Some((at, before)) if now.duration_since(*at) < STALENESS => before.as_ref(),
            _ => self.now.get(id),
        });
        seen.filter(|record| wanted(record)).cloned().collect()
    }
}
