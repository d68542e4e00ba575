//! An EC2 in memory that treats images as the real one does, with their KMS keys; in virtual time, for any number of
//! accounts and regions.
//!
//! An image is visible to the accounts that it is shared with. A copy needs permission for the snapshots too, is
//! pending first, and fails under an unusable key. Client tokens are idempotent and refused with other parameters. Tags
//! belong to the account that made them. A name is unique. A snapshot that an image needs cannot be deleted. A new or
//! newly shared image may be invisible for a while. EventBridge receives the end of a copy. `tests/conformance`
//! compares it with the adapter on an emulator.
mod channels;
mod copies;
mod keys;
mod model;
mod port;
mod retention;

use super::clock::VirtualClock;
use jiff::Timestamp;
pub use keys::SimKeys;
use lockstep_aws::ec2::NewCopy;
use lockstep_domain::images::promotion::{Ami, AmiState, Device, Snapshot};
use lockstep_domain::model::ids::{AccountId, AmiId, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::Image as Recorded;
use model::{Image, Key, Shelf, Stored};
pub use port::SimImages;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The alias of the key that AWS manages in every account and region, which no other account may use.
pub const MANAGED_ALIAS: &str = "alias/aws/ebs";

/// Default duration of a copy.
const PACE: Duration = Duration::from_secs(300);

/// Maximum number of concurrent copies into one account and region.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html>
const COPIES_AT_ONCE: usize = 20;

/// A change. A repeated call without a change is no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The time.
    pub at: Timestamp,
    /// The API call; `Share` and `Unshare` for the two directions of an attribute.
    pub call: &'static str,
    /// The calling account and the region.
    pub location: Location,
    /// The image or snapshot.
    pub subject: String,
    /// The account that gains or loses the share.
    pub account: Option<AccountId>,
    /// The client token, if the call has one.
    pub token: String,
    /// Its tags at that time.
    pub tags: BTreeMap<String, String>,
    /// The users of the image at that time.
    pub references: BTreeSet<String>,
}

/// An image or a snapshot as it is, regardless of the viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: String,
    /// Its account and region.
    pub location: Location,
    /// The accounts it is shared with.
    pub shared_with: BTreeSet<AccountId>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The key it is encrypted under; only of a snapshot.
    pub key: Option<String>,
    /// Its users; only of an image.
    pub used_by: BTreeSet<String>,
}

#[derive(Clone)]
struct Inner {
    clock: VirtualClock,
    pace: Duration,
    lag: Duration,
    copies_at_once: usize,
    /// The accounts that see no image of another account.
    closed: BTreeSet<AccountId>,
    images: Shelf<Image>,
    snapshots: Shelf<Stored>,
    keys: BTreeMap<String, Key>,
    parameters: BTreeMap<Location, BTreeMap<String, String>>,
    aliases: BTreeMap<(Location, String), String>,
    tokens: BTreeMap<(Location, String), (NewCopy, AmiId)>,
    failing: BTreeMap<AccountId, (u32, String)>,
    effects: Vec<Effect>,
    calls: Vec<&'static str>,
    lost: BTreeSet<String>,
    outbox: Vec<Value>,
    number: u32,
    reads_stale: bool,
}

/// EC2 of every account and region. Clones are the same one.
#[derive(Clone)]
pub struct SimEc2(Rc<RefCell<Inner>>);

impl SimEc2 {
    /// Creates one without images, in which a copy takes five minutes and every change is visible at once.
    pub fn new(clock: &VirtualClock) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            clock: clock.clone(),
            pace: PACE,
            lag: Duration::ZERO,
            copies_at_once: COPIES_AT_ONCE,
            closed: BTreeSet::new(),
            images: Shelf::default(),
            snapshots: Shelf::default(),
            keys: BTreeMap::new(),
            parameters: BTreeMap::new(),
            aliases: BTreeMap::new(),
            tokens: BTreeMap::new(),
            failing: BTreeMap::new(),
            effects: Vec::new(),
            calls: Vec::new(),
            lost: BTreeSet::new(),
            outbox: Vec::new(),
            number: 0,
            reads_stale: false,
        })))
    }

    /// Returns another one in the same state, with `clock` as its time.
    pub fn duplicate(&self, clock: &VirtualClock) -> Self {
        let mut inner = self.0.borrow().clone();
        inner.clock = clock.clone();
        Self(Rc::new(RefCell::new(inner)))
    }

    /// Returns the port, as one account in one region.
    pub fn images(&self, location: &Location) -> SimImages {
        SimImages::new(self.clone(), location.clone())
    }

    /// Returns the parameters that name images at `location`.
    pub fn parameters(&self, location: &Location) -> BTreeMap<String, String> {
        self.0.borrow().parameters.get(location).cloned().unwrap_or_default()
    }

    /// Writes a parameter as another writer.
    pub fn write_parameter(&self, location: &Location, name: &str, value: &str) {
        let mut inner = self.0.borrow_mut();
        inner.parameters.entry(location.clone()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// Returns the port of KMS, as one account in one region.
    pub fn keys(&self, location: &Location) -> SimKeys {
        SimKeys::new(self.clone(), location.clone())
    }

    /// Sets the duration of later copies.
    pub fn set_pace(&self, pace: Duration) {
        self.0.borrow_mut().pace = pace;
    }

    /// Sets the time for which a new or newly shared image is invisible.
    pub fn set_lag(&self, lag: Duration) {
        self.0.borrow_mut().lag = lag;
    }

    /// Sets the maximum number of concurrent copies into one account and region.
    pub fn set_copies_at_once(&self, most: usize) {
        self.0.borrow_mut().copies_at_once = most;
    }

    /// Enables "Allowed AMIs" in an account, without an allowed provider.
    pub fn close(&self, account: &AccountId) {
        self.0.borrow_mut().closed.insert(account.clone());
    }

    /// Registers an available image with one snapshot, neither encrypted nor licensed.
    pub fn register(&self, location: &Location) -> AmiId {
        let mut inner = self.0.borrow_mut();
        let (now, id, snapshot) = (inner.clock.now(), inner.new_ami(), inner.new_snapshot());
        let device = Device {
            name: "/dev/xvda".into(),
            snapshot: Some(snapshot.clone()),
            size_gib: Some(8),
            volume_type: "gp3".into(),
            encrypted: false,
        };
        let ami = Ami {
            id: id.clone(),
            owner: location.account.clone(),
            state: AmiState::Available,
            architecture: "arm64".into(),
            root_device: "/dev/xvda".into(),
            virtualization: "hvm".into(),
            devices: vec![device],
            platform_details: "Linux/UNIX".into(),
            usage_operation: "RunInstances".into(),
            product_codes: Vec::new(),
            tags: BTreeMap::new(),
        };
        let image = Image {
            ami,
            name: format!("image {id}"),
            location: location.clone(),
            shared_with: BTreeMap::new(),
            since: now,
            ends: None,
            is_protected: false,
            is_deprecated: false,
            references: BTreeSet::new(),
        };
        let stored = Stored {
            snapshot: Snapshot { id: snapshot.clone(), completed: true, key: None },
            location: location.clone(),
            shared_with: BTreeMap::new(),
            tags: BTreeMap::new(),
            since: now,
        };
        inner.images.put(id.as_str(), image, now);
        inner.snapshots.put(snapshot.as_str(), stored, now);
        id
    }

    /// Registers an image as [`SimEc2::register`] does, with these tags on the image and its snapshots from the first
    /// moment.
    pub fn register_tagged(&self, location: &Location, tags: &BTreeMap<String, String>) -> AmiId {
        let id = self.register(location);
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        let snapshots = inner.images.get(id.as_str()).map(|image| image.ami.snapshots()).unwrap_or_default();
        inner.images.change(id.as_str(), now, |image| image.ami.tags.clone_from(tags));
        for snapshot in snapshots {
            inner.snapshots.change(snapshot.as_str(), now, |stored| stored.tags.clone_from(tags));
        }
        id
    }

    /// Changes an image for its owner.
    pub fn change(&self, ami: &AmiId, change: impl FnOnce(&mut Ami)) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| change(&mut image.ami));
    }

    /// Ends the image's pending state now, with this state.
    pub fn end(&self, ami: &AmiId, state: AmiState) {
        let mut inner = self.0.borrow_mut();
        inner.end(ami, state);
    }

    /// Sets the image's protection against deregistration.
    pub fn protect(&self, ami: &AmiId, is_protected: bool) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| image.is_protected = is_protected);
    }

    /// Adds `user`, such as a launch template, as a user of the image.
    pub fn refer(&self, ami: &AmiId, user: &str) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| {
            image.references.insert(user.to_owned());
        });
    }

    /// Removes every user of every image.
    pub fn refer_no_more(&self) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        let used = inner.images.iter().filter(|image| !image.references.is_empty());
        for ami in used.map(|image| image.ami.id.clone()).collect::<Vec<_>>() {
            inner.images.change(ami.as_str(), now, |image| image.references.clear());
        }
    }

    /// Adds a customer key under its alias; returns its ARN.
    pub fn add_key(&self, location: &Location, alias: &str) -> String {
        self.0.borrow_mut().add_key(location, alias, false)
    }

    /// Lets the key's policy allow `account` from now on.
    pub fn open_key(&self, key: &str, account: &AccountId) {
        if let Some(key) = self.0.borrow_mut().keys.get_mut(key) {
            key.users.insert(account.clone());
        }
    }

    /// Sets if the key's policy lets Auto Scaling launch from images under it.
    pub fn let_launch(&self, key: &str, launches: bool) {
        if let Some(key) = self.0.borrow_mut().keys.get_mut(key) {
            key.launches = launches;
        }
    }

    /// Returns the grantees of every existing grant, by the key's ARN.
    pub fn held_grants(&self) -> BTreeSet<(String, String)> {
        let inner = self.0.borrow();
        let of = |(arn, key): (&String, &Key)| {
            key.grants.values().map(|granted| (arn.clone(), granted.grantee.clone())).collect::<Vec<_>>()
        };
        inner.keys.iter().flat_map(of).collect()
    }

    /// Revokes every grant, as another writer would.
    pub fn revoke_all(&self) {
        self.0.borrow_mut().keys.values_mut().for_each(|key| key.grants.clear());
    }

    /// Encrypts the image and its snapshots under `key`, or else under the key that AWS manages.
    pub fn encrypt(&self, ami: &AmiId, key: Option<&str>) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        let Some(image) = inner.images.get(ami.as_str()).cloned() else { return };
        let key = match key {
            Some(key) => key.to_owned(),
            None => inner.add_key(&image.location, MANAGED_ALIAS, true),
        };
        for snapshot in image.ami.snapshots() {
            inner.snapshots.change(snapshot.as_str(), now, |it| it.snapshot.key = Some(key.clone()));
        }
        let encrypted = |image: &mut Image| image.ami.devices.iter_mut().for_each(|it| it.encrypted = true);
        inner.images.change(ami.as_str(), now, encrypted);
    }

    /// Lets the next `times` copies into `account` fail after their duration, for this reason.
    pub fn fail_copies(&self, account: &AccountId, times: u32, reason: &str) {
        self.0.borrow_mut().failing.insert(account.clone(), (times, reason.to_owned()));
    }

    /// Lets every later copy succeed.
    pub fn end_trouble(&self) {
        self.0.borrow_mut().failing.clear();
    }

    /// Lets the next read show the state before the last change of each image and snapshot, if that change is recent.
    pub fn read_stale_once(&self) {
        self.0.borrow_mut().reads_stale = true;
    }

    /// Loses the response of the next `call`, such as `CopyImage`, after its effect.
    pub fn lose_next_answer(&self, call: &str) {
        self.0.borrow_mut().lost.insert(call.to_owned());
    }

    /// Returns the time of the next scheduled event.
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.0.borrow().images.iter().filter_map(|image| image.ends.as_ref()).map(|(at, _)| *at).min()
    }

    /// Returns the events sent to EventBridge since the last call.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        std::mem::take(&mut inner.outbox)
    }

    /// Returns the names of the calls since the last time, in order, regardless of their results.
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// Returns every change, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.borrow().effects.clone()
    }

    /// Returns an image as its owner sees it.
    pub fn ami(&self, ami: &AmiId) -> Option<Ami> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        inner.images.get(ami.as_str()).map(|image| image.ami.clone())
    }

    /// Returns every image.
    pub fn held_images(&self) -> Vec<Held> {
        let held = |image: &Image| Held {
            id: image.ami.id.to_string(),
            location: image.location.clone(),
            shared_with: image.shared_with.keys().cloned().collect(),
            tags: image.ami.tags.clone(),
            key: None,
            used_by: image.references.clone(),
        };
        self.0.borrow().images.iter().map(held).collect()
    }

    /// Returns every snapshot.
    pub fn held_snapshots(&self) -> Vec<Held> {
        let held = |stored: &Stored| Held {
            id: stored.snapshot.id.to_string(),
            location: stored.location.clone(),
            shared_with: stored.shared_with.keys().cloned().collect(),
            tags: stored.tags.clone(),
            key: stored.snapshot.key.clone(),
            used_by: BTreeSet::new(),
        };
        self.0.borrow().snapshots.iter().map(held).collect()
    }
}

impl Inner {
    fn new_ami(&mut self) -> AmiId {
        self.number += 1;
        let id = format!("ami-{:017x}", self.number).parse();
        id.unwrap_or_else(|error| panic!("{error}"))
    }

    fn new_snapshot(&mut self) -> SnapshotId {
        self.number += 1;
        let id = format!("snap-{:017x}", self.number).parse();
        id.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the key under this alias; a new one if there is none.
    fn add_key(&mut self, location: &Location, alias: &str, is_managed_by_aws: bool) -> String {
        if let Some(known) = self.key_of_alias(location, alias) {
            return known;
        }
        self.number += 1;
        let arn = format!("arn:aws:kms:{}:{}:key/{:08}", location.region, location.account, self.number);
        let key = Key {
            location: location.clone(),
            is_managed_by_aws,
            users: BTreeSet::new(),
            grants: BTreeMap::new(),
            launches: true,
        };
        self.keys.insert(arn.clone(), key);
        self.aliases.insert((location.clone(), alias.to_owned()), arn.clone());
        arn
    }

    fn key_of_alias(&self, location: &Location, alias: &str) -> Option<String> {
        self.aliases.get(&(location.clone(), alias.to_owned())).cloned()
    }

    /// Applies every event that is due.
    fn settle(&mut self) {
        let now = self.clock.now();
        let due = self.images.iter().filter_map(|image| {
            let (at, why_not) = image.ends.clone().filter(|(at, _)| *at <= now)?;
            Some((at, image.ami.id.clone(), why_not))
        });
        let mut due: Vec<_> = due.collect();
        due.sort();
        for (_, ami, why_not) in due {
            let state = match why_not {
                None => AmiState::Available,
                Some(why) => AmiState::parse("failed", &why),
            };
            self.end(&ami, state);
        }
    }

    /// Ends an image's pending state: its snapshots are complete, or will never be.
    fn end(&mut self, ami: &AmiId, state: AmiState) {
        let now = self.clock.now();
        let Some(image) = self.images.get(ami.as_str()).cloned() else { return };
        for snapshot in image.ami.snapshots() {
            let completed = state == AmiState::Available;
            self.snapshots.change(snapshot.as_str(), now, |it| it.snapshot.completed = completed);
        }
        let (word, why) = match &state {
            AmiState::Available => ("available", ""),
            AmiState::Pending => ("pending", ""),
            AmiState::Broken(why) | AmiState::Other(why) => ("failed", why.as_str()),
        };
        self.announce(&image.location, ami, word, why);
        self.images.change(ami.as_str(), now, |image| {
            image.ends = None;
            image.ami.state = state;
        });
    }

    /// Sends an "EC2 AMI State Change", see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html>.
    fn announce(&mut self, location: &Location, ami: &AmiId, state: &str, why: &str) {
        self.outbox.push(json!({
            "source": "aws.ec2",
            "detail-type": "EC2 AMI State Change",
            "account": location.account,
            "region": location.region,
            "resources": [Recorded::arn("aws", &location.region, ami)],
            "detail": {"RequestId": "request", "ImageId": ami, "State": state, "ErrorMessage": why},
        }));
    }

    fn effect(
        &mut self,
        call: &'static str,
        location: &Location,
        subject: &str,
        account: Option<&AccountId>,
        token: &str,
    ) {
        let image = self.images.get(subject);
        let stored = self.snapshots.get(subject).map(|stored| stored.tags.clone());
        self.effects.push(Effect {
            at: self.clock.now(),
            call,
            location: location.clone(),
            subject: subject.to_owned(),
            account: account.cloned(),
            token: token.to_owned(),
            tags: image.map(|image| image.ami.tags.clone()).or(stored).unwrap_or_default(),
            references: image.map(|image| image.references.clone()).unwrap_or_default(),
        });
    }
}
