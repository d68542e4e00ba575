use super::*;
use crate::model::deployment_path::DeploymentPath;
use jiff::Timestamp;

const HERE: &str = "111111111111";
const THERE: &str = "222222222222";
const SOURCE: &str = "ami-00000000000000001";
const COPY: &str = "ami-00000000000000002";

fn location(account_id: &str) -> Location {
    Location { account: account(account_id), region: "eu-west-1".parse().unwrap() }
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn ami(id: &str, owner: &str) -> Ami {
    Ami {
        id: id.parse().unwrap(),
        owner: account(owner),
        state: AmiState::Available,
        architecture: "arm64".into(),
        root_device: "/dev/xvda".into(),
        virtualization: "hvm".into(),
        devices: vec![Device {
            name: "/dev/xvda".into(),
            snapshot: Some("snap-00000000000000001".parse().unwrap()),
            size_gib: Some(8),
            volume_type: "gp3".into(),
            encrypted: false,
        }],
        platform_details: "Linux/UNIX".into(),
        usage_operation: "RunInstances".into(),
        product_codes: vec![],
        tags: [(TAG_IMAGE, "logstash"), (TAG_VERSION, "2.1.37"), (TAG_SOURCE, SOURCE)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
    }
}

pub(crate) fn record(owner: &str, id: Option<&str>, state: ImageState) -> Image {
    Image {
        name: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        location: location(owner),
        path: DeploymentPath::Delivery,
        state,
        ami: id.map(|id| id.parse().unwrap()),
        snapshots: BTreeSet::new(),
        source_ami: SOURCE.parse().unwrap(),
        commit: None,
        recorded_by: "person".into(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn snapshot(key: Option<&str>) -> Snapshot {
    Snapshot { id: "snap-00000000000000001".parse().unwrap(), completed: true, key: key.map(str::to_owned) }
}

struct PromotionFixture {
    record: Image,
    source: Option<Ami>,
    snapshots: Vec<Snapshot>,
    keys: BTreeMap<String, Key>,
    image_key: Option<ImageKey>,
    target: Location,
    target_record: Option<Image>,
    owned: Vec<Ami>,
}

impl PromotionFixture {
    fn new() -> Self {
        Self {
            record: record(HERE, Some(SOURCE), ImageState::Available),
            source: Some(ami(SOURCE, HERE)),
            snapshots: vec![snapshot(None)],
            keys: BTreeMap::new(),
            image_key: None,
            target: location(THERE),
            target_record: None,
            owned: vec![],
        }
    }

    fn inspect(&self) -> Inspect {
        inspect(&Inventory {
            record: &self.record,
            source: self.source.as_ref(),
            snapshots: &self.snapshots,
            keys: &self.keys,
            image_key: self.image_key.as_ref(),
            target: &self.target,
            partition: "aws",
            target_record: self.target_record.as_ref(),
            owned: &self.owned,
        })
    }

    fn refusal(&self) -> String {
        match self.inspect() {
            Inspect::Refuse(why) => why,
            other => panic!("{other:?}"),
        }
    }

    fn with_source(change: impl Fn(&mut Ami)) -> Self {
        let mut source = ami(SOURCE, HERE);
        change(&mut source);
        Self { source: Some(source), ..Self::new() }
    }
}

const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/source";
const IMAGE_KEY: &str = "arn:aws:kms:eu-west-1:222222222222:key/images";

fn key(arn: &str, managed_by_aws: bool) -> Key {
    Key { arn: arn.into(), managed_by_aws, state: "Enabled".into() }
}

/// Returns a source encrypted under a customer key, and a target with a usable key of its own.
fn encrypted() -> PromotionFixture {
    let grant = keys::Grant {
        id: "g".into(),
        name: None,
        grantee: keys::autoscaling_role("aws", THERE),
        operations: keys::GRANT_OPERATIONS.map(str::to_owned).into(),
    };
    PromotionFixture {
        snapshots: vec![snapshot(Some(KEY))],
        keys: [(KEY.to_owned(), key(KEY, false))].into(),
        image_key: Some(ImageKey { key: key(IMAGE_KEY, false), policy: String::new(), grants: vec![grant] }),
        ..PromotionFixture::with_source(|source| source.devices[0].encrypted = true)
    }
}

#[test]
fn an_image_missing_in_the_target_is_copied() {
    assert_eq!(PromotionFixture::new().inspect(), Inspect::Copy { key: None });
}

#[test]
fn an_encrypted_image_is_encrypted_again_under_a_key_of_the_target() {
    assert_eq!(encrypted().inspect(), Inspect::Copy { key: Some(IMAGE_KEY.into()) });
    let told_by_snapshots_alone = PromotionFixture { source: Some(ami(SOURCE, HERE)), ..encrypted() };
    assert_eq!(told_by_snapshots_alone.inspect(), Inspect::Copy { key: Some(IMAGE_KEY.into()) });
}

/// Row 33: an encrypted image is never copied with its source key.
#[test]
fn an_encrypted_image_is_refused_if_its_copy_cannot_be_encrypted() {
    let why = PromotionFixture { image_key: None, ..encrypted() }.refusal();
    assert!(why.contains("no key alias/lockstep-images"), "{why}");
}

/// Row 32.
#[test]
fn inspection_refuses_a_snapshot_under_the_aws_managed_key_with_remedy() {
    let managed = PromotionFixture { keys: [(KEY.to_owned(), key(KEY, true))].into(), ..encrypted() };
    let why = managed.refusal();
    assert!(why.contains("key that AWS manages") && why.contains("aws ec2 copy-image --encrypted"), "{why}");
    let mut within = PromotionFixture { keys: managed.keys.clone(), ..encrypted() };
    within.record.location = Location { region: "eu-central-1".parse().unwrap(), ..location(THERE) };
    within.source = Some(Ami { owner: account(THERE), ..within.source.unwrap() });
    assert_eq!(within.inspect(), Inspect::Copy { key: Some(IMAGE_KEY.into()) }, "within its account it may");
}

#[test]
fn a_snapshot_with_a_missing_or_disabled_key_is_refused() {
    assert!(
        PromotionFixture { keys: BTreeMap::new(), ..encrypted() }
            .refusal()
            .contains("does not exist any more")
    );
    let off = Key { state: "Disabled".into(), ..key(KEY, false) };
    assert!(
        PromotionFixture { keys: [(KEY.to_owned(), off)].into(), ..encrypted() }
            .refusal()
            .contains("is Disabled")
    );
}

/// Row 42.
#[test]
fn a_pending_image_is_awaited_and_not_shared() {
    assert_eq!(
        PromotionFixture::with_source(|source| source.state = AmiState::Pending).inspect(),
        Inspect::Wait
    );
}

/// Row 35.
#[test]
fn a_licensed_image_cannot_be_copied_and_must_be_built_in_the_target() {
    type Change = fn(&mut Ami);
    let cases: [(Change, &str); 3] = [
        (|a| a.platform_details = "Windows".into(), "licensed as Windows"),
        (|a| a.usage_operation = "RunInstances:0010".into(), "billed as RunInstances:0010"),
        (|a| a.product_codes = vec!["abc".into()], "the product abc"),
    ];
    for (change, expected) in cases {
        let Inspect::Stays(why) = PromotionFixture::with_source(change).inspect() else {
            panic!("{expected}")
        };
        assert!(why.contains(expected) && why.contains("build it in account 222222222222"), "{why}");
    }
}

#[test]
fn an_image_that_the_target_has_is_present() {
    let fixture = PromotionFixture {
        target_record: Some(record(THERE, Some(COPY), ImageState::Available)),
        owned: vec![ami(COPY, THERE)],
        ..PromotionFixture::new()
    };
    assert_eq!(fixture.inspect(), Inspect::Present { ami: COPY.parse().unwrap() });
}

#[test]
fn a_record_without_its_ami_is_refused() {
    let mut fixture = PromotionFixture {
        target_record: Some(record(THERE, Some(COPY), ImageState::Available)),
        ..PromotionFixture::new()
    };
    assert!(fixture.refusal().contains("is not there"));
    fixture.owned = vec![Ami { state: AmiState::Broken("failed: x".into()), ..ami(COPY, THERE) }];
    assert!(fixture.refusal().contains("is failed: x"));
}

#[test]
fn a_started_copy_is_resumed() {
    let mut fixture = PromotionFixture {
        target_record: Some(record(THERE, Some(COPY), ImageState::Promoting)),
        ..PromotionFixture::new()
    };
    assert_eq!(fixture.inspect(), Inspect::Resume { ami: COPY.parse().unwrap() });
    fixture.target_record = Some(record(THERE, None, ImageState::Promoting));
    assert_eq!(fixture.inspect(), Inspect::Copy { key: None });
}

#[test]
fn a_copy_without_a_recorded_id_is_found_by_its_tags() {
    let mut fixture = PromotionFixture { owned: vec![ami(COPY, THERE)], ..PromotionFixture::new() };
    assert_eq!(fixture.inspect(), Inspect::Resume { ami: COPY.parse().unwrap() });
    fixture.owned[0].tags.insert(TAG_SOURCE.into(), "ami-00000000000000009".into());
    assert_eq!(fixture.inspect(), Inspect::Copy { key: None });
    fixture.owned = vec![ami(COPY, THERE)];
    fixture.owned[0].tags.insert(TAG_BUILD.into(), "some-build".into());
    assert_eq!(fixture.inspect(), Inspect::Copy { key: None }, "a builder tags what it makes as it likes");
    fixture.owned[0].tags.insert(TAG_BUILD.into(), BUILD_ACCEPTED.into());
    assert_eq!(fixture.inspect(), Inspect::Resume { ami: COPY.parse().unwrap() });
    fixture.owned = vec![ami(COPY, THERE), ami("ami-00000000000000003", THERE)];
    assert!(fixture.refusal().contains("two copies"));
}

#[test]
fn images_that_cannot_leave_are_refused_before_anything_is_shared() {
    type Change = fn(&mut Ami);
    let cases: [(Change, &str); 4] = [
        (|a| a.state = AmiState::Other("disabled".into()), "it is disabled"),
        (|a| a.owner = "999999999999".parse().unwrap(), "account 999999999999 owns it"),
        (|a| a.devices.clear(), "no snapshots"),
        (|a| a.devices[0].snapshot = Some("snap-00000000000000007".parse().unwrap()), "is not there"),
    ];
    for (change, expected) in cases {
        let why = PromotionFixture::with_source(change).refusal();
        assert!(why.contains(expected), "{why}");
    }
    let open = PromotionFixture {
        snapshots: vec![Snapshot { completed: false, ..snapshot(None) }],
        ..PromotionFixture::new()
    };
    assert!(open.refusal().contains("not complete"));
    assert!(PromotionFixture { source: None, ..PromotionFixture::new() }.refusal().contains("no such AMI"));
}

#[test]
fn tags_have_a_fixed_order_and_unknown_ones_are_omitted() {
    let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
    let (source, commit) = (SOURCE.parse().unwrap(), "a".repeat(40).parse().unwrap());
    let promotion = DeploymentId::of_execution("arn");
    let full = Origin {
        name: &name,
        version: &version,
        commit: Some(&commit),
        repository: Some("github.acme.images"),
        source_ami: &source,
        built_at: Some("2026-01-01T00:00:00Z"),
        deployment: Some(&promotion),
    };
    let keys = |origin: &Origin<'_>| tags(origin).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(
        keys(&full),
        ["Name", "lockstep:image", "version", "commit", "repository", "source-ami", "built-at", "deployment"]
    );
    let bare = Origin { commit: None, repository: None, built_at: None, deployment: None, ..full };
    assert_eq!(keys(&bare), ["Name", "lockstep:image", "version", "source-ami"]);
}

#[test]
fn a_faithful_copy_has_no_differences() {
    let tags = vec![(TAG_IMAGE.to_owned(), "logstash".to_owned())];
    let mut copy = ami(COPY, THERE);
    copy.devices[0].snapshot = Some("snap-00000000000000009".parse().unwrap());
    assert_eq!(compare(&ami(SOURCE, HERE), &copy, &account(THERE), &tags), Vec::<String>::new());
}

#[test]
fn every_difference_of_a_copy_is_reported() {
    type Change = fn(&mut Ami);
    let cases: [(Change, &str); 9] = [
        (|a| a.owner = HERE.parse().unwrap(), "the owner is 111111111111, not 222222222222"),
        (|a| a.architecture = "x86_64".into(), "the architecture is x86_64, not arm64"),
        (|a| a.root_device = "/dev/sda1".into(), "the root device is /dev/sda1, not /dev/xvda"),
        (|a| a.state = AmiState::Pending, "the state is pending, not available"),
        (|a| drop(a.tags.remove(TAG_IMAGE)), "the tag lockstep:image is missing, not logstash"),
        (|a| a.devices[0].size_gib = Some(9), "the device /dev/xvda has 9 GiB, not 8 GiB"),
        (|a| a.devices[0].snapshot = None, "the device /dev/xvda lost or gained its snapshot"),
        (|a| a.devices.clear(), "the device /dev/xvda is missing"),
        (
            |a| a.devices.push(Device { name: "/dev/sdb".into(), ..a.devices[0].clone() }),
            "the device /dev/sdb is new",
        ),
    ];
    let tags = vec![(TAG_IMAGE.to_owned(), "logstash".to_owned())];
    for (change, expected) in cases {
        let mut copy = ami(COPY, THERE);
        change(&mut copy);
        assert_eq!(compare(&ami(SOURCE, HERE), &copy, &account(THERE), &tags), [expected]);
    }
    let mut source = ami(SOURCE, HERE);
    source.devices[0].encrypted = true;
    assert_eq!(compare(&source, &ami(COPY, THERE), &account(THERE), &tags).len(), 1);
}

#[test]
fn an_image_is_usable_only_if_the_ledger_and_the_account_agree() {
    let good = record(THERE, Some(COPY), ImageState::Available);
    let copy = ami(COPY, THERE);
    assert_eq!(unusable(&good, Some(&copy)), None);
    let reported = |record: &Image, ami: Option<&Ami>| unusable(record, ami).unwrap_or_default();
    assert!(
        reported(&record(THERE, Some(COPY), ImageState::Promoting), Some(&copy)).contains("not finished")
    );
    assert!(reported(&record(THERE, None, ImageState::Available), Some(&copy)).contains("not finished"));
    assert!(reported(&good, None).contains("does not exist"));
    assert!(reported(&good, Some(&ami(COPY, HERE))).contains("belongs to"));
    assert!(reported(&good, Some(&Ami { state: AmiState::Pending, ..copy.clone() })).contains("is pending"));
    let mut mistagged = copy.clone();
    mistagged.tags.insert(TAG_VERSION.into(), "9.9.9".into());
    assert!(reported(&good, Some(&mistagged)).contains("tags"));
    let built = Image { commit: Some("b".repeat(40).parse().unwrap()), ..good };
    assert!(reported(&built, Some(&copy)).contains("tag commit"));
}

#[test]
fn an_image_is_imported_once_by_its_owner_account() {
    let (id, here): (AmiId, _) = (SOURCE.parse().unwrap(), account(HERE));
    let mine = ami(SOURCE, HERE);
    assert_eq!(why_not_imported(Some(&mine), &id, &here, &[]), None);
    assert_eq!(
        why_not_imported(Some(&mine), &id, &here, &[record(HERE, Some(SOURCE), ImageState::Available)]),
        None
    );
    assert!(why_not_imported(None, &id, &here, &[]).unwrap().contains("does not exist"));
    assert!(why_not_imported(Some(&ami(SOURCE, THERE)), &id, &here, &[]).unwrap().contains("belongs to"));
    let pending = Ami { state: AmiState::Pending, ..mine.clone() };
    assert!(why_not_imported(Some(&pending), &id, &here, &[]).unwrap().contains("is pending"));
    let other =
        Image { source_ami: COPY.parse().unwrap(), ..record(HERE, Some(COPY), ImageState::Available) };
    assert!(why_not_imported(Some(&mine), &id, &here, &[other]).unwrap().contains("never given twice"));
}

#[test]
fn only_the_ec2_state_available_is_usable() {
    assert_eq!(AmiState::parse("available", ""), AmiState::Available);
    assert_eq!(AmiState::parse("transient", ""), AmiState::Pending);
    assert_eq!(AmiState::parse("failed", "no key"), AmiState::Broken("failed: no key".into()));
    assert_eq!(AmiState::parse("something-new", ""), AmiState::Other("something-new".into()));
}
