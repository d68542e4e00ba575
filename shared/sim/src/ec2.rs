//! An EC2 in memory that treats images as the real one does, with the KMS keys they are encrypted under; in virtual
//! time, for any number of accounts and regions.
//!
//! An image is seen where it is shared, a copy wants the permission of the snapshots too, is pending first, and fails
//! under a key that cannot be used; client tokens are idempotent and refused with other parameters; tags stay with the
//! account that made them; a name is given once; a snapshot that an image needs cannot be deleted; what is new, or
//! newly shared, may take a moment to be seen. The end of a copy is told to EventBridge. `tests/conformance` holds it
//! against the adapter on an emulator.
mod channels;
mod copies;
mod keeping;
mod keys;
mod model;
mod port;

use super::clock::VirtualClock;
use jiff::Timestamp;
pub use keys::SimKeys;
use lockstep_domain::images::promotion::{Ami, AmiState, Device, Snapshot};
use lockstep_domain::model::ids::{AccountId, AmiId, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::Image as Recorded;
use lockstep_platform::ec2::NewCopy;
use model::{Image, Key, Shelf, Stored};
pub use port::SimImages;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The alias of the key that AWS manages in every account and region, which no other account may use.
pub const MANAGED_ALIAS: &str = "alias/aws/ebs";

/// How long a copy takes unless a test says otherwise.
const PACE: Duration = Duration::from_secs(300);

/// How many copies may run at once into one account and region.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html>
const COPIES_AT_ONCE: usize = 20;

/// Something that was changed, and how: the same again is no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// When.
    pub at: Timestamp,
    /// The API call; `Share` and `Unshare` for the two directions of an attribute.
    pub call: &'static str,
    /// As which account, in which region.
    pub location: Location,
    /// The image or snapshot.
    pub subject: String,
    /// The account it is shared with, or no longer.
    pub account: Option<AccountId>,
    /// The client token, if the call has one.
    pub token: String,
    /// The tags that it has then.
    pub tags: BTreeMap<String, String>,
    /// What used the image then.
    pub references: BTreeSet<String>,
}

/// An image or a snapshot as it is, whoever looks.
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
    /// The key it is encrypted under; of a snapshot alone.
    pub key: Option<String>,
    /// What uses it; of an image alone.
    pub used_by: BTreeSet<String>,
}

#[derive(Clone)]
struct Inner {
    clock: VirtualClock,
    pace: Duration,
    lag: Duration,
    copies_at_once: usize,
    /// The accounts that see no image of another.
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

/// EC2 everywhere. Clones are the same one.
#[derive(Clone)]
pub struct SimEc2(Rc<RefCell<Inner>>);

impl SimEc2 {
    /// One without images, in which a copy takes five minutes and everything is seen at once.
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

    /// Another one in the same state, whose time is `clock`'s.
    pub fn duplicate(&self, clock: &VirtualClock) -> Self {
        let mut inner = self.0.borrow().clone();
        inner.clock = clock.clone();
        Self(Rc::new(RefCell::new(inner)))
    }

    /// The port, as one account in one region.
    pub fn images(&self, location: &Location) -> SimImages {
        SimImages::new(self.clone(), location.clone())
    }

    /// The parameters that name images, as they are at `location`.
    pub fn parameters(&self, location: &Location) -> BTreeMap<String, String> {
        self.0.borrow().parameters.get(location).cloned().unwrap_or_default()
    }

    /// Somebody writes something into a parameter.
    pub fn write_parameter(&self, location: &Location, name: &str, value: &str) {
        let mut inner = self.0.borrow_mut();
        inner.parameters.entry(location.clone()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// The port of KMS, as one account in one region.
    pub fn keys(&self, location: &Location) -> SimKeys {
        SimKeys::new(self.clone(), location.clone())
    }

    /// How long a copy takes from now on.
    pub fn set_pace(&self, pace: Duration) {
        self.0.borrow_mut().pace = pace;
    }

    /// How long what is new, or newly shared, is not seen, from now on.
    pub fn set_lag(&self, lag: Duration) {
        self.0.borrow_mut().lag = lag;
    }

    /// How many copies may run at once into one account and region, from now on.
    pub fn set_copies_at_once(&self, most: usize) {
        self.0.borrow_mut().copies_at_once = most;
    }

    /// Enables "Allowed AMIs" in an account, without a provider that is allowed.
    pub fn close(&self, account: &AccountId) {
        self.0.borrow_mut().closed.insert(account.clone());
    }

    /// A new available image with one snapshot, neither encrypted nor licensed.
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

    /// As [`SimEc2::register`], with these tags on the image and its snapshots from the first moment.
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

    /// Changes an image as its owner sees it.
    pub fn change(&self, ami: &AmiId, change: impl FnOnce(&mut Ami)) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| change(&mut image.ami));
    }

    /// The image stops being pending now, in this state.
    pub fn end(&self, ami: &AmiId, state: AmiState) {
        let mut inner = self.0.borrow_mut();
        inner.end(ami, state);
    }

    /// The image cannot be deregistered from now on, or can.
    pub fn protect(&self, ami: &AmiId, is_protected: bool) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| image.is_protected = is_protected);
    }

    /// `user`, such as a launch template, uses the image.
    pub fn refer(&self, ami: &AmiId, user: &str) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        inner.images.change(ami.as_str(), now, |image| {
            image.references.insert(user.to_owned());
        });
    }

    /// Nothing uses any image any more.
    pub fn refer_no_more(&self) {
        let mut inner = self.0.borrow_mut();
        let now = inner.clock.now();
        let used = inner.images.iter().filter(|image| !image.references.is_empty());
        for ami in used.map(|image| image.ami.id.clone()).collect::<Vec<_>>() {
            inner.images.change(ami.as_str(), now, |image| image.references.clear());
        }
    }

    /// A customer key, under its alias; its ARN.
    pub fn add_key(&self, location: &Location, alias: &str) -> String {
        self.0.borrow_mut().add_key(location, alias, false)
    }

    /// The key's policy lets `account` use it from now on.
    pub fn open_key(&self, key: &str, account: &AccountId) {
        if let Some(key) = self.0.borrow_mut().keys.get_mut(key) {
            key.users.insert(account.clone());
        }
    }

    /// Whether the key's policy lets Auto Scaling launch from what is encrypted under it, from now on.
    pub fn let_launch(&self, key: &str, launches: bool) {
        if let Some(key) = self.0.borrow_mut().keys.get_mut(key) {
            key.launches = launches;
        }
    }

    /// The grantees of every grant there is, by the key's ARN.
    pub fn held_grants(&self) -> BTreeSet<(String, String)> {
        let inner = self.0.borrow();
        let of = |(arn, key): (&String, &Key)| {
            key.grants.values().map(|granted| (arn.clone(), granted.grantee.clone())).collect::<Vec<_>>()
        };
        inner.keys.iter().flat_map(of).collect()
    }

    /// Every grant there is ends, as if somebody else had revoked it.
    pub fn revoke_all(&self) {
        self.0.borrow_mut().keys.values_mut().for_each(|key| key.grants.clear());
    }

    /// The image and its snapshots are encrypted under a key: `key`, or else the one that AWS manages.
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

    /// The next so many copies into `account` fail after their time, for this reason.
    pub fn fail_copies(&self, account: &AccountId, times: u32, reason: &str) {
        self.0.borrow_mut().failing.insert(account.clone(), (times, reason.to_owned()));
    }

    /// No copy fails any more.
    pub fn mend(&self) {
        self.0.borrow_mut().failing.clear();
    }

    /// The next read shows what was before the last change of each image and snapshot, if that is a moment ago.
    pub fn read_stale_once(&self) {
        self.0.borrow_mut().reads_stale = true;
    }

    /// The next `call`, such as `CopyImage`, takes effect, and its answer is lost.
    pub fn lose_next_answer(&self, call: &str) {
        self.0.borrow_mut().lost.insert(call.to_owned());
    }

    /// When something happens next by itself.
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.0.borrow().images.iter().filter_map(|image| image.ends.as_ref()).map(|(at, _)| *at).min()
    }

    /// What was told to EventBridge since the last time.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        std::mem::take(&mut inner.outbox)
    }

    /// The names of the calls since the last time, in order, whatever was answered.
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// Everything that was done, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.borrow().effects.clone()
    }

    /// An image as its owner sees it.
    pub fn ami(&self, ami: &AmiId) -> Option<Ami> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        inner.images.get(ami.as_str()).map(|image| image.ami.clone())
    }

    /// Every image there is.
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

    /// Every snapshot there is.
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

    /// The key under this alias; a new one if there is none.
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

    /// Lets everything happen that is due.
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

    /// An image is not pending any more: its snapshots are complete, or will never be.
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

    /// "EC2 AMI State Change", see <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html>.
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
