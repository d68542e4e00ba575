//! The invariants that hold after every case about an image, whatever the fault.

use super::scenarios::{home, location_of};
use crate::harness::Harness;
use crate::scenarios::Scenario;
use crate::wire::Written;
use crate::workflows::deployment_of;
use lockstep_aws::ledger::Order;
use lockstep_domain::images::lifecycle::{Purpose, obstacle, with_revocations};
use lockstep_domain::images::promotion::{AmiState, TAG_COMMIT, TAG_DEPLOYMENT, TAG_IMAGE, TAG_VERSION};
use lockstep_domain::model::ids::AmiId;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    CopySlots, Deployment, DeploymentState, Environment, Image, ImageShare, ImageState, ImageVersion,
    Record as _, Revocation,
};
use lockstep_sim::ec2::{Effect, Held};
use lockstep_tests::asl::{End, Run};
use std::collections::{BTreeMap, BTreeSet};

/// Number of attempts of a copy whose tokens the invariants know.
const ATTEMPTS: u32 = 10;

/// The stages that images are promoted to.
const PLACES: [&str; 3] = ["production", "frankfurt", "staging"];

/// The state after a case.
pub struct ImageRemains<'a> {
    pub harness: &'a Harness,
    target: Location,
    promotions: Vec<Deployment>,
    pub versions: Vec<ImageVersion>,
    pub records: Vec<Image>,
    shares: Vec<ImageShare>,
    effects: Vec<Effect>,
    pub images: Vec<Held>,
    pub snapshots: Vec<Held>,
    /// The grants: each key, and its grantee.
    grants: BTreeSet<(String, String)>,
    traffic: Vec<CopySlots>,
    /// AMIs of the newest deployments that succeeded in production.
    proven: BTreeSet<String>,
}

async fn proven(harness: &Harness) -> BTreeSet<String> {
    let partition = Environment::all_of(&"production".parse().expect("a stage"));
    let environments =
        harness.ledger.list::<Environment>(&partition, Order::Oldest, 1000).await.expect("a list");
    let proven = environments.into_iter().filter_map(|found| found.record.proven_images);
    proven.flat_map(|proven| proven.images).map(|image| image.ami.to_string()).collect()
}

impl<'a> ImageRemains<'a> {
    /// Collects the state.
    pub async fn of(harness: &'a Harness, scenario: &'a Scenario) -> Self {
        let records = harness.ledger.list_kind::<Image>(1000).await.expect("a list");
        let versions = harness.ledger.list_kind::<ImageVersion>(1000).await.expect("a list");
        let revocations = harness.ledger.list_kind::<Revocation>(1000).await.expect("a list");
        let revocations: Vec<Revocation> = revocations.into_iter().map(|found| found.record).collect();
        let shares = harness.ledger.list_kind::<ImageShare>(1000).await.expect("a list");
        let mut traffic = Vec::new();
        for place in PLACES.map(location_of) {
            let found = harness.ledger.get::<CopySlots>(&CopySlots::key_of(&place)).await.expect("a read");
            traffic.extend(found.map(|found| found.record));
        }
        let mut promotions = harness.deployments().await;
        promotions.retain(|it| it.promotion().is_some());
        Self {
            harness,
            target: location_of(scenario.stage),
            promotions,
            versions: with_revocations(
                versions.into_iter().map(|found| found.record).collect(),
                &revocations,
            ),
            records: records.into_iter().map(|found| found.record).collect(),
            shares: shares.into_iter().map(|found| found.record).collect(),
            effects: harness.ec2.effects(),
            images: harness.ec2.held_images(),
            snapshots: harness.ec2.held_snapshots(),
            grants: harness.ec2.held_grants(),
            traffic,
            proven: proven(harness).await,
        }
    }

    /// Returns the state that decides about the next promotion: two harnesses with equal states behave alike.
    pub fn in_short(&self) -> String {
        let records = self.records.iter().map(|it| (&it.location, it.state, it.ami.is_some()));
        let held = |all: &[Held]| -> Vec<(Location, usize)> {
            all.iter().map(|it| (it.location.clone(), it.shared_with.len())).collect()
        };
        let states: Vec<DeploymentState> = self.promotions.iter().map(|it| it.state).collect();
        let records: Vec<_> = records.collect();
        let (images, snapshots) = (held(&self.images), held(&self.snapshots));
        let room: Vec<_> = self.traffic.iter().map(|it| (it.slots.len(), it.queue.len())).collect();
        format!("{records:?} {images:?} {snapshots:?} {states:?} {} {room:?}", self.grants.len())
    }

    /// Returns each broken invariant as a sentence.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        broken.extend(self.every_copy_has_its_token_and_is_made_once());
        broken.extend(self.every_copy_is_tagged_from_the_first_moment());
        broken.extend(self.every_location_has_one_copy_at_a_time());
        broken.extend(self.every_sharing_was_recorded_before());
        broken.extend(self.no_bound_image_is_shared());
        broken.extend(self.no_sharing_is_left());
        broken.extend(self.every_image_and_snapshot_has_its_record());
        broken.extend(self.every_usable_record_is_true());
        broken.extend(self.no_used_image_is_removed());
        broken.extend(self.every_channel_names_a_usable_image());
        broken.extend(self.production_names_proven_images_alone());
        broken.extend(self.every_promotion_is_closed());
        broken
    }

    fn effects_of(&self, call: &'static str) -> impl Iterator<Item = &Effect> {
        self.effects.iter().filter(move |effect| effect.call == call)
    }

    /// A channel parameter names an image that exists and that may be used.
    fn every_channel_names_a_usable_image(&self) -> Vec<String> {
        let may_be_used = |image: &Image| {
            let of_it = |it: &&ImageVersion| it.name == image.name && it.version == image.version;
            let version = self.versions.iter().find(of_it);
            image.is_usable() && version.is_some_and(|it| obstacle(it, Purpose::Pin).is_none())
        };
        let mut broken = Vec::new();
        for location in self.records.iter().map(|image| &image.location).collect::<BTreeSet<_>>() {
            let usable: BTreeSet<&str> = (self.records.iter())
                .filter(|image| image.is_at(location) && may_be_used(image))
                .filter_map(|image| image.ami.as_ref().map(AmiId::as_str))
                .collect();
            for (name, ami) in self.harness.ec2.parameters(location) {
                if !usable.contains(ami.as_str()) {
                    broken.push(format!("{name} names {ami}, which may not be used"));
                }
            }
        }
        broken
    }

    /// A parameter of production names an image of a deployment that succeeded there, and never one that a push brought.
    fn production_names_proven_images_alone(&self) -> Vec<String> {
        let named = self.harness.ec2.parameters(&location_of("production"));
        let unproven = named.into_iter().filter(|(_, ami)| !self.proven.contains(ami.as_str()));
        unproven.map(|(name, ami)| format!("{name} names {ami}, which no deployment proved")).collect()
    }

    /// Invariant 2: each copy has the token of a promotion's attempt, and at most one copy was made under it.
    fn every_copy_has_its_token_and_is_made_once(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let ids = self.promotions.iter().map(|promotion| promotion.id.as_str());
        let tokens: BTreeSet<String> =
            ids.flat_map(|id| (1..=ATTEMPTS).map(move |attempt| client_token(id, "copy", attempt))).collect();
        let mut seen = BTreeSet::new();
        for copy in self.effects_of("CopyImage") {
            if !tokens.contains(&copy.token) {
                broken.push(format!("2: a copy has the token of no attempt: {}", copy.token));
            }
            if !seen.insert((&copy.location, &copy.token)) {
                broken.push(format!("2: two copies were made under {}", copy.token));
            }
        }
        broken
    }

    /// Invariant 9: a copy has its tags from the first moment. A copy whose id is lost is found by its tags.
    fn every_copy_is_tagged_from_the_first_moment(&self) -> Vec<String> {
        let wanted = [TAG_IMAGE, TAG_VERSION, TAG_DEPLOYMENT];
        let untagged =
            self.effects_of("CopyImage").filter(|copy| !wanted.iter().all(|it| copy.tags.contains_key(*it)));
        untagged.map(|copy| format!("9: {} was copied without its tags", copy.subject)).collect()
    }

    /// Invariant 2: a location never has a second copy of a version.
    fn every_location_has_one_copy_at_a_time(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut there: BTreeMap<(&Location, Option<&String>), BTreeSet<&str>> = BTreeMap::new();
        for effect in &self.effects {
            let copies = there.entry((&effect.location, effect.tags.get(TAG_VERSION))).or_default();
            match effect.call {
                "CopyImage" => drop(copies.insert(&effect.subject)),
                "DeregisterImage" => drop(copies.remove(effect.subject.as_str())),
                _ => {}
            }
            if effect.call == "CopyImage" && copies.len() > 1 {
                broken.push(format!("2: {copies:?} are copies of one version in one place"));
            }
        }
        broken
    }

    /// Invariant 8: the ledger records the sharing before it happens.
    fn every_sharing_was_recorded_before(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let written = self.harness.written();
        let granted = self.effects_of("CreateGrant");
        let shared = self.effects_of("Share").chain(granted);
        for share in shared.filter(|share| share.at >= self.harness.began) {
            let account = share.account.as_ref().unwrap_or(&self.target.account).to_string();
            let recorded = written.iter().any(|write| {
                write.kind == "SHARE" && write.at <= share.at && write.body["account"]["S"] == account
            });
            let earlier =
                |effect: &&Effect| effect.at < self.harness.began && effect.account == share.account;
            if !recorded && !self.effects_of("Share").any(|effect| earlier(&effect)) {
                broken.push(format!("8: {} was shared with {account}, and no record said so", share.subject));
            }
        }
        broken
    }

    /// An image that cannot be copied is not shared either.
    fn no_bound_image_is_shared(&self) -> Vec<String> {
        let licensed = |id: &str| {
            let ami = id.parse::<AmiId>().ok().and_then(|id| self.harness.ec2.ami(&id));
            ami.is_some_and(|ami| ami.platform_details != "Linux/UNIX" || !ami.product_codes.is_empty())
        };
        let shared = self.effects_of("Share").filter(|share| licensed(&share.subject));
        shared.map(|share| format!("8: {} is licensed, and was shared", share.subject)).collect()
    }

    /// Invariant 8: outside a promotion nothing is shared, and no record says that anything is.
    fn no_sharing_is_left(&self) -> Vec<String> {
        let held = self.images.iter().chain(&self.snapshots).filter(|held| !held.shared_with.is_empty());
        let held = held.map(|held| format!("8: {} is still shared with {:?}", held.id, held.shared_with));
        let records = self.shares.iter().map(|share| {
            format!("8: {}@{} is still recorded as shared with {}", share.image, share.version, share.account)
        });
        let grants = self.grants.iter();
        let grants = grants.map(|(key, grantee)| format!("8: {grantee} may still use {key}"));
        held.chain(records).chain(grants).collect()
    }

    /// Invariant 9: a record names every image and snapshot.
    fn every_image_and_snapshot_has_its_record(&self) -> Vec<String> {
        let images = self.images.iter().filter(|held| {
            !self.records.iter().any(|it| it.ami.as_ref().is_some_and(|ami| ami.as_str() == held.id))
        });
        let snapshots = self.snapshots.iter().filter(|held| {
            !self.records.iter().any(|it| it.snapshots.iter().any(|snapshot| snapshot.as_str() == held.id))
        });
        images.chain(snapshots).map(|held| format!("9: no record names {}", held.id)).collect()
    }

    /// A version is usable in a location, or it is not there at all: the record is true.
    fn every_usable_record_is_true(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for record in &self.records {
            let label = format!("{}@{} in {}", record.name, record.version, record.location.account);
            if record.state != ImageState::Available {
                broken.push(format!("10: {label} is neither usable nor gone"));
                continue;
            }
            let ami = record.ami.as_ref().and_then(|ami| self.harness.ec2.ami(ami));
            let usable = ami.is_some_and(|ami| {
                let tag = |key: &str| ami.tags.get(key).map(String::as_str);
                ami.state == AmiState::Available
                    && ami.owner == record.location.account
                    && ami.snapshots() == record.snapshots
                    && tag(TAG_IMAGE) == Some(record.name.as_str())
                    && tag(TAG_VERSION) == Some(record.version.to_string().as_str())
                    && tag(TAG_COMMIT) == record.commit.as_ref().map(|commit| commit.as_str())
            });
            if !usable {
                broken.push(format!("10: {label} is recorded as usable, and is not"));
            }
        }
        broken
    }

    /// Invariant 9: an image is not removed while it is used. The source of all copies is not removed unless its
    /// version was discarded.
    fn no_used_image_is_removed(&self) -> Vec<String> {
        let removed = self.effects_of("DeregisterImage");
        let wrong =
            removed.filter(|effect| !effect.references.is_empty() || self.others_descend_from(effect));
        wrong.map(|effect| format!("9: {} was deregistered while it was needed", effect.subject)).collect()
    }

    /// Returns true if the removed image is the source of a version that was not discarded.
    fn others_descend_from(&self, removal: &Effect) -> bool {
        let mut written = self.harness.written().into_iter();
        let of_it = |write: &Written| {
            write.kind == ImageVersion::KIND
                && write.at <= removal.at
                && write.body["source_ami"]["S"] == removal.subject
        };
        match written.rfind(of_it) {
            Some(write) => write.body["state"]["S"] != "discarding",
            None => self.versions.iter().any(|version| {
                version.source_ami.as_ref().is_some_and(|source| source.as_str() == removal.subject)
            }),
        }
    }

    /// Invariant 10: no record is left open.
    fn every_promotion_is_closed(&self) -> Vec<String> {
        let open = self.promotions.iter().filter(|promotion| !promotion.state.is_final());
        let open = open.map(|open| format!("10: promotion {} is still {:?}", open.execution, open.state));
        let room =
            self.traffic.iter().filter(|traffic| !traffic.slots.is_empty() || !traffic.queue.is_empty());
        let room = room.map(|traffic| format!("10: room is still taken: {traffic:?}"));
        open.chain(room).collect()
    }

    /// Invariant 10: an execution that succeeded copied the image to its target, and re-encrypted it there if it was
    /// encrypted. An execution that failed left nothing there.
    pub fn success_is_true(&self, run: &Run) -> Vec<String> {
        let there = self.records.iter().find(|record| record.location == self.target);
        let id = deployment_of(run);
        let state = self.promotions.iter().find(|promotion| promotion.id == id).map(|found| found.state);
        let End::Succeeded(_) = run.end else {
            let lies = state.is_some_and(|state| state == DeploymentState::Succeeded);
            return lies.then(|| "10: failure, and the promotion succeeded".to_owned()).into_iter().collect();
        };
        let mut broken = Vec::new();
        if state != Some(DeploymentState::Succeeded) {
            broken.push(format!("10: success, and the promotion is {state:?}"));
        }
        let Some(there) = there else {
            broken.push("10: success, and the image is not there".to_owned());
            return broken;
        };
        let keys_of = |location: &Location| -> BTreeSet<Option<&String>> {
            let held = self.snapshots.iter().filter(|held| held.location == *location);
            held.map(|held| held.key.as_ref()).collect()
        };
        let (ours, theirs) = (keys_of(&home()), keys_of(&there.location));
        let own_key =
            |key: &Option<&String>| key.is_some_and(|key| key.contains(there.location.account.as_str()));
        if ours.iter().any(Option::is_some)
            && self.target.account != home().account
            && !theirs.iter().all(own_key)
        {
            broken.push(format!("10: the copy is encrypted under {theirs:?}"));
        }
        broken
    }
}
