//! Bringing an image to another account: what is found decides what is done.
//!
//! [`places`] says where a copy comes from, [`inspect`] decides before anything is shared or copied, [`keys`] judges
//! encryption, [`compare`] judges the copy before it is recorded, and [`tags`] are what a copy carries. What AWS lets leave an account is said by
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html> and
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html>.

pub mod keys;
pub mod places;

use crate::model::ids::{AccountId, AmiId, CommitSha, DeploymentId, ImageName, SnapshotId};
use crate::model::location::Location;
use crate::model::version::Version;
use crate::records::{Image, ImageState};
use keys::{ImageKey, Key};
use std::collections::{BTreeMap, BTreeSet};

/// The tag that names the image of an AMI of ours.
pub const TAG_IMAGE: &str = "lockstep:image";

/// The tag of an AMI's version.
pub const TAG_VERSION: &str = "version";

/// The tag of the commit an AMI was built from.
pub const TAG_COMMIT: &str = "commit";

/// The tag of the repository of its recipe.
pub const TAG_REPOSITORY: &str = "repository";

/// The tag of the AMI that all copies descend from.
pub const TAG_SOURCE: &str = "source-ami";

/// The tag of the time at which it was built.
pub const TAG_BUILT_AT: &str = "built-at";

/// The tag of the deployment or promotion that made an AMI.
pub const TAG_DEPLOYMENT: &str = "deployment";

/// The tag of all that one build of an image makes, from the call that makes it on: its value is the build's id. A builder
/// may touch what carries it, and nothing else.
pub const TAG_BUILD: &str = "lockstep:build";

/// The value of [`TAG_BUILD`] once an image is accepted. No builder may touch the image any more.
pub const BUILD_ACCEPTED: &str = "accepted";

/// The alias of the customer key in a target account under which encrypted images are encrypted anew.
pub const KEY_ALIAS: &str = "alias/lockstep-images";

/// The state of an AMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmiState {
    /// Being made.
    Pending,
    /// Usable.
    Available,
    /// Not usable, and never will be; the text is AWS's state and reason.
    Broken(String),
    /// Not usable now; the text is AWS's state.
    Other(String),
}

impl AmiState {
    /// The state that EC2 writes as `text`, with its reason.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>
    pub fn parse(text: &str, reason: &str) -> Self {
        let told = if reason.is_empty() { text.to_owned() } else { format!("{text}: {reason}") };
        match text {
            "pending" | "transient" => Self::Pending,
            "available" => Self::Available,
            "failed" | "error" | "invalid" | "deregistered" => Self::Broken(told),
            _ => Self::Other(told),
        }
    }

    /// Whether it is usable, or about to be.
    pub fn may_become_available(&self) -> bool {
        match self {
            Self::Pending | Self::Available => true,
            Self::Broken(_) | Self::Other(_) => false,
        }
    }
}

/// A block device of an AMI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Where it is attached, such as `/dev/xvda`.
    pub name: String,
    /// Its snapshot; none for an instance store.
    pub snapshot: Option<SnapshotId>,
    /// Its size in GiB, if it is an EBS volume.
    pub size_gib: Option<u32>,
    /// The kind of its volume, such as `gp3`.
    pub volume_type: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// An AMI as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ami {
    /// Its id.
    pub id: AmiId,
    /// The account that owns it.
    pub owner: AccountId,
    /// Its state.
    pub state: AmiState,
    /// Its architecture.
    pub architecture: String,
    /// The device it boots from.
    pub root_device: String,
    /// How it is virtualised.
    pub virtualization: String,
    /// Its devices.
    pub devices: Vec<Device>,
    /// `Linux/UNIX`, or what its licence is billed as.
    pub platform_details: String,
    /// The operation its usage is billed as: `RunInstances`, and a code after a colon if there is a licence.
    pub usage_operation: String,
    /// The codes of products it holds.
    pub product_codes: Vec<String>,
    /// Its tags, those of the account that looks.
    pub tags: BTreeMap<String, String>,
}

impl Ami {
    /// Its snapshots.
    pub fn snapshots(&self) -> BTreeSet<SnapshotId> {
        self.devices.iter().filter_map(|device| device.snapshot.clone()).collect()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether its tags say that it is `version` of `image`.
    pub fn is_tagged(&self, image: &ImageName, version: &Version) -> bool {
        self.tag(TAG_IMAGE) == Some(image.as_str())
            && self.tag(TAG_VERSION) == Some(version.to_string().as_str())
    }
}

/// A snapshot as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Whether it is complete.
    pub completed: bool,
    /// The key it is encrypted under, if it is.
    pub key: Option<String>,
}

/// What was found, here and there.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'a> {
    /// The ledger's record of the image that would be copied; see [`places::sources`].
    pub record: &'a Image,
    /// That image as its own account sees it; none if it is not there.
    pub source: Option<&'a Ami>,
    /// Its snapshots.
    pub snapshots: &'a [Snapshot],
    /// The keys of encrypted snapshots, by how the snapshots name them; those that exist.
    pub keys: &'a BTreeMap<String, Key>,
    /// The key of the target that copies are encrypted under, if there is one; looked at if the source is encrypted.
    pub image_key: Option<&'a ImageKey>,
    /// The target.
    pub target: &'a Location,
    /// The partition of all ARNs.
    pub partition: &'a str,
    /// The ledger's record of the target.
    pub target_record: Option<&'a Image>,
    /// The AMIs that the target owns and that are tagged as this version; with the one that the record names.
    pub owned: &'a [Ami],
}

impl Inventory<'_> {
    fn leaves_its_account(&self) -> bool {
        self.record.location.account != self.target.account
    }
}

/// What is to be done about an image that a target needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspect {
    /// The target has it.
    Present {
        /// Its id there.
        ami: AmiId,
    },
    /// A copy was begun: go on with it.
    Resume {
        /// Its id.
        ami: AmiId,
    },
    /// Share it and copy it.
    Copy {
        /// The ARN of the key to encrypt the copy under, if the source is encrypted.
        key: Option<String>,
    },
    /// The source is not finished: wait for it.
    Wait,
    /// It cannot leave its account, and why: build it in the target instead.
    Stays(String),
    /// It cannot be used, and why.
    Refuse(String),
}

/// What is to be done about an image that a target needs. That its version may be promoted is asked before, see
/// [`crate::images::lifecycle::obstacle`].
pub fn inspect(found: &Inventory<'_>) -> Inspect {
    let label = format!("The image {}@{}", found.record.name, found.record.version);
    if let Some(present) = present(found, &label) {
        return present;
    }
    match resumable(found) {
        Ok(Some(ami)) => return Inspect::Resume { ami },
        Ok(None) => {}
        Err(why) => return Inspect::Refuse(format!("{label}: {why}.")),
    }
    let Some(source) = found.source else {
        let (ami, at) = (found.record.ami.as_ref().map_or("no id", AmiId::as_str), &found.record.location);
        return Inspect::Refuse(format!(
            "{label} is recorded as {ami} in account {}, {}, but no such AMI is there; import it again.",
            at.account, at.region
        ));
    };
    if source.state == AmiState::Pending {
        return Inspect::Wait;
    }
    if let Some(licence) = licence(source).filter(|_| found.leaves_its_account()) {
        return Inspect::Stays(format!(
            "{label} ({}) cannot leave account {}: {licence}; build it in account {} from the same recipe.",
            source.id, found.record.location.account, found.target.account
        ));
    }
    if let Some(why) = why_it_stays(found, source).or_else(|| why_it_is_not_encrypted(found, source)) {
        return Inspect::Refuse(format!("{label} ({}) cannot be copied: {why}.", source.id));
    }
    let key = found.image_key.filter(|_| is_encrypted(source, found.snapshots));
    Inspect::Copy { key: key.map(|image_key| image_key.key.arn.clone()) }
}

/// Whether any part of it is encrypted, by what the image or its snapshots say.
pub fn is_encrypted(source: &Ami, snapshots: &[Snapshot]) -> bool {
    source.devices.iter().any(|device| device.encrypted)
        || snapshots.iter().any(|snapshot| snapshot.key.is_some())
}

/// Whether the ledger says that the target has it, and whether that is so.
fn present(found: &Inventory<'_>, label: &str) -> Option<Inspect> {
    let record = found.target_record.filter(|record| record.state == ImageState::Available)?;
    let account = &found.target.account;
    let refuse =
        |why: &str| Some(Inspect::Refuse(format!("{label} is recorded for account {account}, but {why}.")));
    let Some(ami) = &record.ami else { return refuse("without an id") };
    match found.owned.iter().find(|owned| owned.id == *ami) {
        None => refuse(&format!("{ami} is not there; remove the record or import the image again")),
        Some(owned) => match &owned.state {
            AmiState::Available => Some(Inspect::Present { ami: ami.clone() }),
            AmiState::Pending => refuse(&format!("{ami} is pending")),
            AmiState::Broken(state) | AmiState::Other(state) => refuse(&format!("{ami} is {state}")),
        },
    }
}

/// Why the source cannot be copied, if so.
fn why_it_stays(found: &Inventory<'_>, source: &Ami) -> Option<String> {
    let record = found.record;
    match &source.state {
        AmiState::Available | AmiState::Pending => {}
        AmiState::Broken(state) | AmiState::Other(state) => return Some(format!("it is {state}")),
    }
    if source.owner != record.location.account {
        return Some(format!("account {} owns it, so it cannot be shared", source.owner));
    }
    let known: BTreeSet<&SnapshotId> = found.snapshots.iter().map(|snapshot| &snapshot.id).collect();
    let wanted = source.snapshots();
    if wanted.is_empty() {
        return Some("it has no snapshots: only images on EBS can be copied".into());
    }
    if let Some(missing) = wanted.iter().find(|id| !known.contains(id)) {
        return Some(format!("its snapshot {missing} is not there"));
    }
    if let Some(open) = found.snapshots.iter().find(|snapshot| !snapshot.completed) {
        return Some(format!("its snapshot {} is not complete", open.id));
    }
    let encrypted =
        found.snapshots.iter().filter_map(|snapshot| Some((&snapshot.id, snapshot.key.as_ref()?)));
    let mut judged =
        encrypted.map(|(id, key)| keys::why_it_stays(id, found.keys.get(key), found.leaves_its_account()));
    judged.find_map(|why| why)
}

/// Why its copy cannot be encrypted in the target, if it must be and cannot.
fn why_it_is_not_encrypted(found: &Inventory<'_>, source: &Ami) -> Option<String> {
    if !is_encrypted(source, found.snapshots) {
        return None;
    }
    keys::why_it_cannot_be_encrypted(found.image_key, found.target, found.partition)
}

/// What is billed for using the image, beside the instance; such images do not leave their account.
fn licence(ami: &Ami) -> Option<String> {
    if let Some(code) = ami.product_codes.first() {
        return Some(format!("it holds the product {code}"));
    }
    let plain = matches!(ami.platform_details.as_str(), "" | "Linux/UNIX");
    if !plain {
        return Some(format!("it is licensed as {}", ami.platform_details));
    }
    let usage = ami.usage_operation.as_str();
    (!matches!(usage, "" | "RunInstances")).then(|| format!("its usage is billed as {usage}"))
}

/// The copy that was begun before: the one recorded, or the one whose id was never recorded, found by its tags.
fn resumable(found: &Inventory<'_>) -> Result<Option<AmiId>, String> {
    if let Some(ami) = found.target_record.and_then(|record| record.ami.as_ref()) {
        return Ok(Some(ami.clone()));
    }
    let source = found.record.source_ami.as_str();
    let mut copies = found.owned.iter().filter(|ami| {
        ami.is_tagged(&found.record.name, &found.record.version)
            && ami.tag(TAG_SOURCE) == Some(source)
            // What a build tags before it is accepted is only its own word.
            && ami.tag(TAG_BUILD).is_none_or(|build| build == BUILD_ACCEPTED)
            && !matches!(ami.state, AmiState::Broken(_))
    });
    match (copies.next(), copies.next()) {
        (None, _) => Ok(None),
        (Some(copy), None) => Ok(Some(copy.id.clone())),
        (Some(one), Some(other)) => Err(format!(
            "account {} has two copies, {} and {}; deregister the one that nothing uses",
            found.target.account, one.id, other.id
        )),
    }
}

/// What a copy of an image is tagged with, as the journal keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The image.
    pub name: &'a ImageName,
    /// Its version.
    pub version: &'a Version,
    /// The commit of its recipe, if it is known.
    pub commit: Option<&'a CommitSha>,
    /// The repository of its recipe, if it is known.
    pub repository: Option<&'a str>,
    /// The AMI that all copies descend from.
    pub source_ami: &'a AmiId,
    /// When it was built, if that is known.
    pub built_at: Option<&'a str>,
    /// The deployment or promotion that makes this AMI; none for an imported one.
    pub deployment: Option<&'a DeploymentId>,
}

/// The tags of an AMI and its snapshots, always in this order: the same token with other parameters is refused.
pub fn tags(origin: &Origin<'_>) -> Vec<(String, String)> {
    let tags = [
        ("Name", Some(format!("{}-{}", origin.name, origin.version))),
        (TAG_IMAGE, Some(origin.name.to_string())),
        (TAG_VERSION, Some(origin.version.to_string())),
        (TAG_COMMIT, origin.commit.map(ToString::to_string)),
        (TAG_REPOSITORY, origin.repository.map(str::to_owned)),
        (TAG_SOURCE, Some(origin.source_ami.to_string())),
        (TAG_BUILT_AT, origin.built_at.map(str::to_owned)),
        (TAG_DEPLOYMENT, origin.deployment.map(ToString::to_string)),
    ];
    tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// How the copy differs from its source where it must not, each as a sentence; empty if it may be used.
pub fn compare(
    source: &Ami,
    copy: &Ami,
    target: &AccountId,
    wanted_tags: &[(String, String)],
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, here: &str, there: &str| {
        if here != there {
            differences.push(format!("the {what} is {there}, not {here}"));
        }
    };
    differs("owner", target.as_str(), copy.owner.as_str());
    differs("architecture", &source.architecture, &copy.architecture);
    differs("root device", &source.root_device, &copy.root_device);
    differs("virtualisation", &source.virtualization, &copy.virtualization);
    differs("state", "available", state(&copy.state));
    for (key, value) in wanted_tags {
        differs(&format!("tag {key}"), value, copy.tag(key).unwrap_or("missing"));
    }
    differences.extend(compare_devices(source, copy));
    differences
}

fn state(state: &AmiState) -> &str {
    match state {
        AmiState::Available => "available",
        AmiState::Pending => "pending",
        AmiState::Broken(text) | AmiState::Other(text) => text,
    }
}

fn compare_devices(source: &Ami, copy: &Ami) -> Vec<String> {
    let by_name = |ami: &Ami| -> BTreeMap<String, Device> {
        ami.devices.iter().map(|device| (device.name.clone(), device.clone())).collect()
    };
    let (here, there) = (by_name(source), by_name(copy));
    let mut differences = Vec::new();
    for (name, device) in &here {
        let Some(copied) = there.get(name) else {
            differences.push(format!("the device {name} is missing"));
            continue;
        };
        let size = |device: &Device| device.size_gib.map_or("no size".to_owned(), |gib| format!("{gib} GiB"));
        if device.size_gib != copied.size_gib {
            differences.push(format!("the device {name} has {}, not {}", size(copied), size(device)));
        }
        if device.snapshot.is_some() != copied.snapshot.is_some() {
            differences.push(format!("the device {name} lost or gained its snapshot"));
        }
        if device.encrypted && !copied.encrypted {
            differences.push(format!("the device {name} is no longer encrypted"));
        }
    }
    let added = there.keys().filter(|name| !here.contains_key(*name));
    differences.extend(added.map(|name| format!("the device {name} is new")));
    differences
}

/// Why an image may not be used in a deployment, if so: it is looked at again when it is used. What its version lets
/// happen is asked before, see [`crate::images::lifecycle::obstacle`].
pub fn unusable(record: &Image, found: Option<&Ami>) -> Option<String> {
    let (label, account) = (format!("{}@{}", record.name, record.version), &record.location.account);
    let refuse = |why: String| Some(format!("The image {label} cannot be used in account {account}: {why}."));
    let (ImageState::Available, Some(id)) = (record.state, &record.ami) else {
        return refuse("its copy is not finished; promote it again".into());
    };
    let Some(ami) = found else { return refuse(format!("{id} does not exist")) };
    if ami.owner != *account {
        return refuse(format!("{id} belongs to account {}", ami.owner));
    }
    if ami.state != AmiState::Available {
        return refuse(format!("{id} is {}", state(&ami.state)));
    }
    if !ami.is_tagged(&record.name, &record.version) {
        return refuse(format!("the tags of {id} do not say that it is this image and version"));
    }
    // An imported image's tag may be anything its maker wrote; only a commit that the ledger knows is a promise.
    let Some(commit) = &record.commit else { return None };
    let told = ami.tag(TAG_COMMIT).unwrap_or("missing");
    if told != commit.as_str() {
        return refuse(format!("the tag commit of {id} is {told}, the ledger says {commit}"));
    }
    None
}

/// Why an AMI made elsewhere cannot be taken over as `version` of `image` in `account`, if so; `same_version` is
/// what the ledger has for that version there, whatever the account.
pub fn why_not_imported(
    ami: Option<&Ami>,
    id: &AmiId,
    account: &AccountId,
    same_version: &[Image],
) -> Option<String> {
    let Some(ami) = ami else { return Some(format!("{id} does not exist in account {account}")) };
    if ami.owner != *account {
        return Some(format!("{id} belongs to account {}; copy it into {account} first", ami.owner));
    }
    if ami.state != AmiState::Available {
        return Some(format!("{id} is {}", state(&ami.state)));
    }
    let other = same_version.iter().find(|record| record.source_ami != *id);
    other.map(|record| {
        format!(
            "{}@{} is {} already; a version is never given twice, so choose another",
            record.name, record.version, record.source_ami
        )
    })
}

#[cfg(test)]
mod tests;
