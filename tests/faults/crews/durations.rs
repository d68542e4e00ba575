//! Real durations in virtual time: the slowest common types, a day of pushes, and an approval after two days.

use super::acts::{Act, Acted, Cue, act_all};
use super::invariants::CrewRemains;
use super::scenarios::Crew;
use crate::cases::{block_on, with_room};
use crate::harness::Harness;
use crate::organisation::{CONDITIONAL, NEXT, SAFE, evidence, numbered};
use lockstep_domain::records::Decision;
use lockstep_sim::context::BUCKET;
use std::collections::BTreeSet;
use std::time::Duration;

/// Source of a duration.
enum Source {
    /// An address that states it.
    At(&'static str),
    /// None. The test tries a tenth and ten times of it too.
    Assumed,
}

use Source::{Assumed, At};

/// The slowest common resource types, each with the minutes that its creation, update or deletion can take.
const SLOWEST: [(&str, u64, Source); 20] = [
    (
        "AWS::CloudFormation::WaitCondition",
        720,
        At(
            "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-waitcondition.html",
        ),
    ),
    (
        "AWS::CloudFormation::CustomResource",
        60,
        At(
            "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html",
        ),
    ),
    (
        "AWS::AutoScaling::AutoScalingGroup",
        60,
        At(
            "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html",
        ),
    ),
    (
        "AWS::DirectoryService::SimpleAD",
        45,
        At("https://docs.aws.amazon.com/directoryservice/latest/admin-guide/simple_ad_directory_status.html"),
    ),
    ("AWS::MSK::Cluster", 60, At("https://github.com/hashicorp/terraform-provider-aws/issues/17726")),
    (
        "AWS::NetworkFirewall::Firewall",
        28,
        At("https://github.com/hashicorp/terraform-provider-aws/issues/34918"),
    ),
    (
        "AWS::RDS::DBCluster",
        19,
        At("https://github.com/terraform-providers/terraform-provider-aws/issues/14862"),
    ),
    // The release of the network interfaces of a function.
    ("AWS::Lambda::Function", 45, Assumed),
    ("AWS::RDS::DBInstance", 30, Assumed),
    ("AWS::CloudFront::Distribution", 15, Assumed),
    ("AWS::OpenSearchService::Domain", 30, Assumed),
    ("AWS::ElastiCache::ReplicationGroup", 20, Assumed),
    ("AWS::EKS::Cluster", 15, Assumed),
    ("AWS::EKS::Nodegroup", 10, Assumed),
    ("AWS::ECS::Service", 15, Assumed),
    ("AWS::Redshift::Cluster", 20, Assumed),
    ("AWS::AmazonMQ::Broker", 20, Assumed),
    ("AWS::FSx::FileSystem", 40, Assumed),
    ("AWS::CertificateManager::Certificate", 30, Assumed),
    ("AWS::EC2::VPNConnection", 10, Assumed),
];

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Returns the durations to try: each that has a source, and a tenth and ten times of each other one.
fn durations() -> BTreeSet<Duration> {
    let of = |(_, long, source): &(&str, u64, Source)| match source {
        At(_) => vec![minutes(*long)],
        Assumed => vec![minutes(*long) / 10, minutes(*long), minutes(*long) * 10],
    };
    SLOWEST.iter().flat_map(of).collect()
}

const TWO_PUSHES: [Cue; 2] = [
    Cue { at: 0, act: Act::Push(SAFE), ends: "SUCCEEDED" },
    Cue { at: 30, act: Act::Push(NEXT), ends: "SUCCEEDED" },
];

/// Performs the cues with operations that take `pace`. Returns the acts and the time that passed.
async fn perform(harness: &Harness, cues: &[Cue], pace: Duration) -> (Vec<Acted>, Duration) {
    harness.cloud.set_pace(pace);
    let began = harness.clock.now();
    let acted = act_all(harness, cues, 1).await;
    let took = harness.clock.now().duration_since(began);
    harness.faults.suspend(true);
    let broken = CrewRemains::of(harness, &acted).await.broken_in_any_time();
    assert_eq!(broken, Vec::<String>::new(), "operations of {pace:?}");
    (acted, took.try_into().expect("time passes forward"))
}

#[test]
fn every_source_is_an_address_and_every_type_is_listed_once() {
    let types: BTreeSet<&str> = SLOWEST.iter().map(|(name, ..)| *name).collect();
    assert_eq!(types.len(), SLOWEST.len());
    for (name, _, source) in &SLOWEST {
        let At(address) = source else { continue };
        assert!(address.starts_with("https://"), "{name}: {address}");
    }
}

#[test]
fn a_second_push_waits_as_long_as_the_slowest_types_take() {
    with_room(|| {
        let ground = block_on(Crew::named("crew-pushes").expect("a crew").prepare());
        for pace in durations() {
            let harness = ground.case(&[], None);
            let (acted, took) = block_on(perform(&harness, &TWO_PUSHES, pace));
            for (cue, acted) in TWO_PUSHES.iter().zip(&acted) {
                assert_eq!(acted.word, cue.ends, "{:?} with operations of {pace:?}", cue.act);
                // A state that waits looks each 22 minutes, and each hour in the queue.
                let looks = usize::try_from(pace.as_secs() / 1320).expect("a small number");
                let run = acted.run.as_ref().expect("a run");
                assert!(run.transitions <= 40 + 10 * looks, "{} of {pace:?}", run.transitions);
            }
            assert!(
                took >= 2 * pace && took <= 3 * pace + minutes(90),
                "{took:?} with operations of {pace:?}"
            );
        }
    });
}

#[test]
fn three_pushes_an_hour_for_a_day_end_with_the_newest() {
    with_room(|| {
        let ground = block_on(Crew::named("crew-pushes").expect("a crew").prepare());
        let harness = ground.case(&[], None);
        let made = numbered();
        block_on(async {
            for made in made {
                harness.account.put_object(BUCKET, &made.release.artifact, made.artifact.clone());
                harness.ledger.insert(&made.release).await.expect("a release");
                harness.ledger.insert(&evidence(&made.release, "test")).await.expect("evidence");
            }
        });
        let cue = |(number, version): (usize, &'static str)| {
            let at = 20 * 60 * i64::try_from(number).expect("a small number");
            Cue { at, act: Act::Push(version), ends: "" }
        };
        let versions: Vec<&'static str> = made.iter().map(|made| made.version()).collect();
        let cues: Vec<Cue> = versions.iter().copied().enumerate().map(cue).collect();
        // An update takes longer than the time between two pushes.
        let (acted, took) = block_on(perform(&harness, &cues, minutes(35)));
        let count = |word: &str| acted.iter().filter(|acted| acted.word == word).count();
        let (done, overtaken) = (count("SUCCEEDED"), count("Overtaken"));
        println!("{} pushes: {done} deployed, {overtaken} superseded, in {took:?}", acted.len());
        assert_eq!(done + overtaken, 72);
        assert!(done >= 24 && overtaken >= 20, "{done} deployed, {overtaken} superseded");
        let runs = block_on(harness.environment("ci")).expect("it is there").deployed.expect("a release");
        assert_eq!(runs.version.to_string(), *versions.last().expect("a version"));
        assert!(took < Duration::from_secs(26 * 3600), "{took:?}");
    });
}

#[test]
fn pushes_wait_two_days_for_an_approval_and_the_newest_follows() {
    with_room(|| {
        let ground = block_on(Crew::named("crew-pushes").expect("a crew").prepare());
        let harness = ground.case(&[], None);
        harness.answers.replace(vec![Decision::Approve]);
        harness.thought.set(Duration::from_secs(2 * 24 * 3600));
        let cues = [
            Cue { at: 0, act: Act::Deploy(CONDITIONAL), ends: "SUCCEEDED" },
            Cue { at: 600, act: Act::Push(SAFE), ends: "Overtaken" },
            Cue { at: 24 * 3600, act: Act::Push(NEXT), ends: "SUCCEEDED" },
        ];
        let (acted, took) = block_on(perform(&harness, &cues, minutes(1)));
        for (cue, acted) in cues.iter().zip(&acted) {
            assert_eq!(acted.word, cue.ends, "{:?}", cue.act);
        }
        // The question of the push takes two days too.
        assert!(took > Duration::from_secs(2 * 24 * 3600), "{took:?}");
    });
}
