//! Promotion of an image to another account: the inventory determines the next step.
//!
//! [`places`] returns the sources of a copy, [`inspect`] decides before anything is shared or copied, [`keys`] checks
//! encryption, [`compare`] checks the copy before it is recorded, and [`tags`] returns the tags of a copy. AWS's rules
//! for images that leave an account are in
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

/// Tag with the name of the image.
pub const TAG_IMAGE: &str = "lockstep:image";

/// Tag with the version of the image.
pub const TAG_VERSION: &str = "version";

/// Tag with the commit that the AMI was built from.
pub const TAG_COMMIT: &str = "commit";

/// Tag with the repository of the recipe.
pub const TAG_REPOSITORY: &str = "repository";

/// Tag with the AMI that all copies descend from.
pub const TAG_SOURCE: &str = "source-ami";

/// Tag with the time of the build.
pub const TAG_BUILT_AT: &str = "built-at";

/// Tag with the deployment or promotion that made the AMI.
pub const TAG_DEPLOYMENT: &str = "deployment";

/// Tag of every resource that one build of an image makes, set by the creating call. Its value is the ARN of the build,
/// which AWS compares: a build can change only resources with its own ARN.
pub const TAG_BUILD: &str = "lockstep:build";

/// Value of [`TAG_BUILD`] on an accepted image. No builder may change the image any more.
pub const BUILD_ACCEPTED: &str = "accepted";

/// Alias of the customer key in a target account that encrypts the copies of encrypted images.
pub const KEY_ALIAS: &str = "alias/lockstep-images";

/// State of an AMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmiState {
    /// The AMI is being created.
    Pending,
    /// The AMI is usable.
    Available,
    /// The AMI is not usable and never will be; the text is AWS's state and reason.
    Broken(String),
    /// The AMI is not usable now; the text is AWS's state.
    Other(String),
}

impl AmiState {
    /// Parses the state that EC2 writes as `text`, with its reason.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>
    pub fn parse(text: &str, reason: &str) -> Self {
        let reported = if reason.is_empty() { text.to_owned() } else { format!("{text}: {reason}") };
        match text {
            "pending" | "transient" => Self::Pending,
            "available" => Self::Available,
            "failed" | "error" | "invalid" | "deregistered" => Self::Broken(reported),
            _ => Self::Other(reported),
        }
    }

    /// Returns true if the AMI is usable or may become so.
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
    /// Device name, such as `/dev/xvda`.
    pub name: String,
    /// Snapshot of the device; `None` for an instance store.
    pub snapshot: Option<SnapshotId>,
    /// Size in GiB; `None` if it is not an EBS volume.
    pub size_gib: Option<u32>,
    /// Type of the volume, such as `gp3`.
    pub volume_type: String,
    /// True if the device is encrypted.
    pub encrypted: bool,
}

/// An AMI as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ami {
    /// Id of the AMI.
    pub id: AmiId,
    /// Account that owns the AMI.
    pub owner: AccountId,
    /// State of the AMI.
    pub state: AmiState,
    /// Processor architecture.
    pub architecture: String,
    /// Name of the root device.
    pub root_device: String,
    /// Virtualisation type.
    pub virtualization: String,
    /// Block devices.
    pub devices: Vec<Device>,
    /// Platform: `Linux/UNIX`, or the name under which the licence is billed.
    pub platform_details: String,
    /// Operation under which usage is billed: `RunInstances`, followed by a colon and a code if there is a licence.
    pub usage_operation: String,
    /// Product codes.
    pub product_codes: Vec<String>,
    /// Tags, as the reading account sees them.
    pub tags: BTreeMap<String, String>,
}

impl Ami {
    /// Returns the ids of the snapshots.
    pub fn snapshots(&self) -> BTreeSet<SnapshotId> {
        self.devices.iter().filter_map(|device| device.snapshot.clone()).collect()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Returns true if the tags name `version` of `image`.
    pub fn is_tagged(&self, image: &ImageName, version: &Version) -> bool {
        self.tag(TAG_IMAGE) == Some(image.as_str())
            && self.tag(TAG_VERSION) == Some(version.to_string().as_str())
    }
}

/// A snapshot as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the snapshot.
    pub id: SnapshotId,
    /// True if the snapshot is complete.
    pub completed: bool,
    /// Key that encrypts the snapshot, if it is encrypted.
    pub key: Option<String>,
}

/// Inventory of source and target.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'a> {
    /// The ledger's record of the image to copy; see [`places::sources`].
    pub record: &'a Image,
    /// The image as its own account sees it; `None` if it does not exist.
    pub source: Option<&'a Ami>,
    /// Snapshots of the image.
    pub snapshots: &'a [Snapshot],
    /// Existing keys of encrypted snapshots, by the name that the snapshots use.
    pub keys: &'a BTreeMap<String, Key>,
    /// Key of the target that encrypts copies; read only if the source is encrypted.
    pub image_key: Option<&'a ImageKey>,
    /// Target location.
    pub target: &'a Location,
    /// Partition of all ARNs.
    pub partition: &'a str,
    /// The ledger's record of the target.
    pub target_record: Option<&'a Image>,
    /// AMIs that the target owns and that are tagged as this version, and the one that the record names.
    pub owned: &'a [Ami],
}

impl Inventory<'_> {
    fn leaves_its_account(&self) -> bool {
        self.record.location.account != self.target.account
    }
}

/// Next step for an image that a target needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspect {
    /// The target has the image.
    Present {
        /// Id of the AMI in the target.
        ami: AmiId,
    },
    /// A copy has started: resume it.
    Resume {
        /// Id of the copy.
        ami: AmiId,
    },
    /// Share the image and copy it.
    Copy {
        /// ARN of the key that encrypts the copy, if the source is encrypted.
        key: Option<String>,
    },
    /// The source is not complete: wait for it.
    Wait,
    /// The image cannot leave its account, for this reason: build it in the target.
    Stays(String),
    /// The image cannot be used, for this reason.
    Refuse(String),
}

/// Returns the next step for an image that a target needs. The caller first checks that the version may be promoted,
/// see [`crate::images::lifecycle::obstacle`].
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

/// Returns true if any part of the image is encrypted, according to the image or its snapshots.
pub fn is_encrypted(source: &Ami, snapshots: &[Snapshot]) -> bool {
    source.devices.iter().any(|device| device.encrypted)
        || snapshots.iter().any(|snapshot| snapshot.key.is_some())
}

/// Returns the result for a target that has the image on record, after checking the record; `None` without a record.
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

/// Returns the reason why the source cannot be copied, or `None`.
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

/// Returns the reason why a required encryption of the copy is impossible in the target, or `None`.
fn why_it_is_not_encrypted(found: &Inventory<'_>, source: &Ami) -> Option<String> {
    if !is_encrypted(source, found.snapshots) {
        return None;
    }
    keys::why_it_cannot_be_encrypted(found.image_key, found.target, found.partition)
}

/// Returns the licence or product that is billed beside the instance, or `None`. Such images cannot leave their
/// account.
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

/// Returns the copy that an earlier attempt started: the recorded one, or one whose id was never recorded, found by its
/// tags.
fn resumable(found: &Inventory<'_>) -> Result<Option<AmiId>, String> {
    if let Some(ami) = found.target_record.and_then(|record| record.ami.as_ref()) {
        return Ok(Some(ami.clone()));
    }
    let source = found.record.source_ami.as_str();
    let mut copies = found.owned.iter().filter(|ami| {
        ami.is_tagged(&found.record.name, &found.record.version)
            && ami.tag(TAG_SOURCE) == Some(source)
            // Tags of a build that was not accepted are not trusted: the build itself wrote them.
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

/// Origin of an image, from which the tags of a copy are made and recorded.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Name of the image.
    pub name: &'a ImageName,
    /// Version of the image.
    pub version: &'a Version,
    /// Commit of the recipe, if known.
    pub commit: Option<&'a CommitSha>,
    /// Repository of the recipe, if known.
    pub repository: Option<&'a str>,
    /// AMI that all copies descend from.
    pub source_ami: &'a AmiId,
    /// Time of the build, if known.
    pub built_at: Option<&'a str>,
    /// Deployment or promotion that makes this AMI; `None` for an imported one.
    pub deployment: Option<&'a DeploymentId>,
}

/// Returns the tags of an AMI and its snapshots, always in this order: AWS refuses the same token with other
/// parameters.
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

/// Returns the forbidden differences between a copy and its source, each as a sentence; an empty list if the copy may
/// be used.
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

/// Returns the reason why an image may not be used in a deployment, or `None`. Each use checks the image again. The
/// caller first checks that the version permits the use, see [`crate::images::lifecycle::obstacle`].
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
    // The maker of an imported image chooses its tags freely, so only a commit that the ledger knows is checked.
    let Some(commit) = &record.commit else { return None };
    let reported = ami.tag(TAG_COMMIT).unwrap_or("missing");
    if reported != commit.as_str() {
        return refuse(format!("the tag commit of {id} is {reported}, the ledger says {commit}"));
    }
    None
}

/// Returns the reason why an AMI made elsewhere cannot be imported as `version` of `image` in `account`, or `None`.
/// `same_version` is the ledger's record of that version in any account.
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
