//! CopyImage: the immediate refusals of AWS, and its later failures.

use super::Inner;
use super::model::{Image, Stored};
use lockstep_aws::ec2::{Copied, NewCopy};
use lockstep_domain::images::promotion::{Ami, AmiState, Device, Snapshot};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, AmiId};
use lockstep_domain::model::location::Location;
use std::collections::BTreeMap;

/// Reason why a copy does not start.
enum Refusal {
    NotVisible(String),
    Refused(String),
    /// The request is wrong, regardless of the image.
    Rejected(&'static str, String),
    LimitExceeded(String),
}

impl Inner {
    pub(super) fn copy(&mut self, into: &Location, wanted: &NewCopy) -> Result<Copied, Failure> {
        let message = |code: &str, why: &str| format!("CopyImage {}: {code}: {why}", wanted.source);
        let token = (into.clone(), wanted.token.clone());
        if let Some((before, ami)) = self.tokens.get(&token) {
            if before != wanted {
                let why = "the same client token as a previous, but non-identical request";
                return Err(Failure::rejected(message("IdempotentParameterMismatch", why)));
            }
            return Ok(Copied::Begun(ami.clone()));
        }
        match self.refusal(into, wanted) {
            None => {}
            Some(Refusal::NotVisible(why)) => {
                return Ok(Copied::NotVisible(message("InvalidRequest", &why)));
            }
            Some(Refusal::Refused(why)) => return Ok(Copied::Refused(message("InvalidRequest", &why))),
            Some(Refusal::Rejected(code, why)) => return Err(Failure::rejected(message(code, &why))),
            Some(Refusal::LimitExceeded(why)) => {
                return Ok(Copied::Full(message("ResourceLimitExceeded", &why)));
            }
        }
        let ami = self.begin_copy(into, wanted);
        self.tokens.insert(token, (wanted.clone(), ami.clone()));
        self.effect("CopyImage", into, ami.as_str(), None, &wanted.token);
        Ok(Copied::Begun(ami))
    }

    fn refusal(&self, into: &Location, wanted: &NewCopy) -> Option<Refusal> {
        let now = self.clock.now();
        let visible = |image: &&Image| {
            let hidden = image.location.account != into.account && self.closed.contains(&into.account);
            image.location.region == wanted.source_region
                && image.is_seen_by(&into.account, self.lag, now)
                && !hidden
        };
        let Some(source) = self.images.get(wanted.source.as_str()).filter(visible) else {
            return Some(Refusal::NotVisible("The image id does not exist".into()));
        };
        if source.ami.state != AmiState::Available {
            let why = "the image may not be copied in its state";
            return Some(Refusal::Rejected("InvalidAMIID.Unavailable", why.into()));
        }
        let same_name = |image: &&Image| image.location == *into && image.name == wanted.name;
        let broken = |image: &&Image| matches!(image.ami.state, AmiState::Broken(_));
        if let Some(other) = self.images.iter().filter(same_name).find(|image| !broken(image)) {
            let why = format!("AMI name {} is already in use by AMI {}", wanted.name, other.ami.id);
            return Some(Refusal::Rejected("InvalidAMIName.Duplicate", why));
        }
        if source.location.account != into.account
            && let Some(why) = self.copy_refusal(&source.ami, &into.account)
        {
            return Some(why);
        }
        let pending = |image: &&Image| image.location == *into && image.ami.state == AmiState::Pending;
        let copies = self.images.iter().filter(pending).count();
        let most = self.copies_at_once;
        (copies >= most).then(|| Refusal::LimitExceeded(format!("{copies} copies run, and {most} may")))
    }

    /// Returns the reason why AWS does not let `account` copy another account's image.
    fn copy_refusal(&self, source: &Ami, account: &AccountId) -> Option<Refusal> {
        if !source.product_codes.is_empty() {
            let why = "Images from AWS Marketplace cannot be copied to another AWS account";
            return Some(Refusal::Refused(why.into()));
        }
        if source.platform_details.contains("Windows") || source.usage_operation.contains(':') {
            let why = "Images with EC2 BillingProduct codes cannot be copied to another AWS account";
            return Some(Refusal::Refused(why.into()));
        }
        let unreadable = source.snapshots().into_iter().any(|id| {
            let found = self.snapshots.get(id.as_str());
            !found.is_some_and(|found| found.is_read_by(account, self.lag, self.clock.now()))
        });
        let why = "You do not have permission to access the storage of this ami";
        unreadable.then(|| Refusal::NotVisible(why.into()))
    }

    fn begin_copy(&mut self, into: &Location, wanted: &NewCopy) -> AmiId {
        let now = self.clock.now();
        let id = self.new_ami();
        let source = self.images.get(wanted.source.as_str()).map(|image| image.ami.clone());
        let source = source.unwrap_or_else(|| panic!("{} was looked at just now", wanted.source));
        let tags: BTreeMap<String, String> = wanted.tags.iter().cloned().collect();
        let devices = source.devices.iter().map(|device| self.copy_device(into, wanted, device, &tags));
        let devices = devices.collect();
        let why_not = self.copy_failure(into, &source, wanted);
        let ami = Ami {
            id: id.clone(),
            owner: into.account.clone(),
            state: AmiState::Pending,
            devices,
            tags,
            ..source
        };
        let image = Image {
            ami,
            name: wanted.name.clone(),
            location: into.clone(),
            shared_with: BTreeMap::new(),
            since: now,
            ends: Some((now + self.pace, why_not)),
            is_protected: false,
            is_deprecated: false,
            references: Default::default(),
        };
        self.images.put(id.as_str(), image, now);
        id
    }

    fn copy_device(
        &mut self,
        into: &Location,
        wanted: &NewCopy,
        device: &Device,
        tags: &BTreeMap<String, String>,
    ) -> Device {
        if device.snapshot.is_none() {
            return device.clone();
        }
        let encrypted = device.encrypted || wanted.key.is_some();
        // Without a key of its own, an encrypted copy is under the key that AWS manages.
        let alias = wanted.key.clone().unwrap_or_else(|| super::MANAGED_ALIAS.to_owned());
        let key = encrypted.then(|| self.key_of_alias(into, &alias).unwrap_or(alias));
        let id = self.new_snapshot();
        let stored = Stored {
            snapshot: Snapshot { id: id.clone(), completed: false, key },
            location: into.clone(),
            shared_with: BTreeMap::new(),
            tags: tags.clone(),
            since: self.clock.now(),
        };
        self.snapshots.put(id.as_str(), stored, self.clock.now());
        Device { snapshot: Some(id), encrypted, ..device.clone() }
    }

    /// Returns the reason why the copy will fail, if it will: a key that the caller may not use, on either side, or a
    /// failure that a test set.
    fn copy_failure(&mut self, into: &Location, source: &Ami, wanted: &NewCopy) -> Option<String> {
        if let Some((times, why)) = self.failing.get_mut(&into.account).filter(|(times, _)| *times > 0) {
            *times -= 1;
            return Some(why.clone());
        }
        let theirs = source.snapshots().into_iter().filter_map(|id| {
            let found = self.snapshots.get(id.as_str())?;
            found.snapshot.key.clone()
        });
        let own = wanted.key.iter().map(|alias| match self.key_of_alias(into, alias) {
            Some(key) => key,
            None => alias.clone(),
        });
        let usable = |key: &String| self.keys.get(key).is_some_and(|it| it.is_usable_by(&into.account));
        let unusable = theirs.chain(own).find(|key| !usable(key));
        unusable.map(|key| format!("Given key ID is not accessible: {key}"))
    }
}
