use super::*;
use crate::delivery::packaging::{self, PackagingInput};
use crate::messages::package::PackagedRelease;
use crate::model::error::FailureKind;
use proptest::prelude::*;

fn name(text: &str) -> ComponentName {
    text.parse().unwrap()
}

/// Returns a graph of lines such as `b: a` for the consumer b of a.
fn graph(lines: &[&str]) -> Graph {
    let line = |line: &&str| {
        let (consumer, producers) = line.split_once(':').unwrap();
        (name(consumer), producers.split_whitespace().map(name).collect())
    };
    lines.iter().map(line).collect()
}

fn packaged(component: &str, producers: &[&str]) -> PackagedComponent {
    PackagedComponent::Packaged(PackagedRelease {
        component: name(component),
        version: "1.0.1".parse().unwrap(),
        environment: format!("{component}-1-0-1"),
        pre_release: false,
        producers: producers.iter().map(|producer| name(producer)).collect(),
        test_execution: "t".into(),
        deployments: Vec::new(),
    })
}

fn result(component: &str, outcome: Outcome, cause: &str) -> ComponentResult {
    let (component, version) = (component.to_owned(), "1.0.1".to_owned());
    ComponentResult { component, version, outcome, cause: cause.to_owned() }
}

fn ready(ordered: &Ordered) -> Vec<&str> {
    ordered.ready.iter().map(|release| release.component.as_str()).collect()
}

fn causes(ordered: &Ordered) -> Vec<(&str, Outcome, &str)> {
    ordered.not_begun.iter().map(|it| (it.component.as_str(), it.outcome, it.cause.as_str())).collect()
}

#[test]
fn independent_components_begin_side_by_side() {
    let push = [packaged("report", &["queue"]), packaged("queue", &[]), packaged("topic", &["elsewhere"])];
    let first = next(&push, &[]);
    assert_eq!(ready(&first), ["queue", "topic"]);
    assert_eq!(causes(&first), []);
}

#[test]
fn consumer_begins_once_its_producer_is_deployed() {
    let push = [packaged("report", &["queue"]), packaged("queue", &[])];
    let second = next(&push, &[result("queue", Outcome::Deployed, "")]);
    assert_eq!(ready(&second), ["report"]);
    let done = [result("queue", Outcome::Deployed, ""), result("report", Outcome::Deployed, "")];
    assert_eq!(next(&push, &done), Ordered::default());
}

#[test]
fn consumer_of_a_failed_producer_does_not_begin() {
    let push = [packaged("alarm", &["report"]), packaged("report", &["queue"]), packaged("queue", &[])];
    let after = next(&push, &[result("queue", Outcome::Failed, "no")]);
    assert_eq!(ready(&after), [""; 0]);
    // The producer that failed first is named, also to those that need it indirectly.
    let cause = "not begun: queue failed";
    let mut known = causes(&after);
    known.sort_by_key(|(component, ..)| *component);
    assert_eq!(known, [("alarm", Outcome::Failed, cause), ("report", Outcome::Failed, cause)]);
}

#[test]
fn consumer_of_a_rejected_producer_does_not_begin() {
    let rejected = PackagedComponent::Rejected { component: "queue".into(), problems: vec!["x".into()] };
    let after = next(&[rejected, packaged("report", &["queue"])], &[]);
    assert_eq!(causes(&after), [("report", Outcome::Failed, "not begun: queue failed")]);
}

#[test]
fn unchanged_producer_keeps_no_consumer_waiting() {
    let unchanged =
        PackagedComponent::Unchanged { component: name("queue"), version: "1.0.0".parse().unwrap() };
    assert_eq!(ready(&next(&[unchanged, packaged("report", &["queue"])], &[])), ["report"]);
}

#[test]
fn consumer_of_an_overtaken_producer_is_superseded() {
    let overtaken = format!(r#"{{"Error":"{}","Cause":"superseded"}}"#, FailureKind::Overtaken.error_type());
    let after = next(
        &[packaged("report", &["queue"]), packaged("queue", &[])],
        &[result("queue", Outcome::Failed, &overtaken)],
    );
    assert_eq!(causes(&after), [("report", Outcome::Superseded, "not begun: a later push overtook queue")]);
}

#[test]
fn consumer_of_a_stopped_producer_says_what_stopped_it() {
    for (error, outcome, cause) in [
        ("Cancelled", Outcome::Cancelled, "not begun: queue was cancelled"),
        ("Expired", Outcome::Expired, "not begun: queue waited too long for its turn"),
        ("ApprovalRefused", Outcome::Refused, "not begun: queue was refused"),
    ] {
        let nested = format!(r#"{{"Error":"{error}","Cause":"why"}}"#);
        let push = [packaged("report", &["queue"]), packaged("queue", &[])];
        let after = next(&push, &[result("queue", Outcome::Failed, &nested)]);
        assert_eq!(causes(&after), [("report", outcome, cause)]);
    }
}

#[test]
fn pre_releases_run_side_by_side() {
    let pre = |component: &str, producers: &[&str]| match packaged(component, producers) {
        PackagedComponent::Packaged(release) => {
            PackagedComponent::Packaged(PackagedRelease { pre_release: true, ..release })
        }
        other => other,
    };
    assert_eq!(ready(&next(&[pre("report", &["queue"]), pre("queue", &[])], &[])), ["report", "queue"]);
}

#[test]
fn shortest_cycle_of_a_component_is_found() {
    let graph = graph(&["a: b d", "b: c", "c: a", "d: a", "e: a"]);
    let path = |of: &str| {
        let path = cycle(&graph, &name(of))?;
        Some(path.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(" -> "))
    };
    assert_eq!(path("a").as_deref(), Some("a -> d -> a"));
    assert_eq!(path("b").as_deref(), Some("b -> c -> a -> b"));
    assert_eq!(path("e"), None);
    assert_eq!(path("unknown"), None);
}

#[test]
fn cycle_is_refused_at_the_line_of_its_reference() {
    let component = |own: &str, other: &str| {
        let manifest = format!(
            "[component]\nname = \"{own}\"\nteam = \"t\"\nfunction = \"f\"\nversion = \"1.0\"\ntemplate = \"template.yaml\"\n"
        );
        let template = "Parameters:\n  P:\n    Type: String\nResources:\n  T:\n    Type: AWS::SNS::Topic\nOutputs:\n  O:\n    Value: !Ref P\n";
        let values = format!("# comment\nP = \"${{outputs.{other}.O}}\"\n");
        let files = [
            ("lockstep.toml", manifest),
            ("template.yaml", template.to_owned()),
            ("parameters/default.toml", values),
        ];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect();
        packaging::plan(own, &files, &PackagingInput::default()).unwrap()
    };
    let packages = [component("a", "b"), component("b", "a")];
    let graph: Graph =
        packages.iter().map(|it| (it.manifest.component.name.clone(), it.producers())).collect();
    let shown: Vec<String> =
        packages.iter().map(|it| cycle_problem(it, &graph).unwrap().to_string()).collect();
    assert!(shown[0].starts_with("a/parameters/default.toml:2: `P`: these components need"), "{shown:?}");
    assert!(shown[0].contains("a -> b -> a") && shown[1].contains("b -> a -> b"), "{shown:?}");
}

proptest! {
    /// Whatever fails, a component begins after its producers, and each ends exactly once.
    #[test]
    fn every_component_ends_once_and_after_its_producers(
        edges in proptest::collection::vec(any::<u8>(), 1..8),
        fails in any::<u8>(),
    ) {
        let edges = &edges;
        let producers = |n: usize| (0..n).filter(move |p| edges[n] >> p & 1 == 1);
        let all: Vec<PackagedComponent> = (0..edges.len()).rev().map(|n| {
            let names: Vec<String> = producers(n).map(|p| format!("c{p}")).collect();
            packaged(&format!("c{n}"), &names.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let mut results: Vec<ComponentResult> = Vec::new();
        loop {
            let round = next(&all, &results);
            for release in &round.ready {
                for producer in &release.producers {
                    let known = results.iter().find(|known| known.component == producer.as_str());
                    prop_assert!(known.is_some_and(|known| known.outcome == Outcome::Deployed));
                }
            }
            results.extend(round.not_begun);
            if round.ready.is_empty() {
                break;
            }
            results.extend(round.ready.iter().map(|release| {
                let n: u32 = release.component.as_str()[1..].parse().unwrap();
                let outcome = if fails >> n & 1 == 1 { Outcome::Failed } else { Outcome::Deployed };
                result(release.component.as_str(), outcome, "")
            }));
        }
        let ended: BTreeSet<&str> = results.iter().map(|known| known.component.as_str()).collect();
        prop_assert_eq!(ended.len(), edges.len());
        prop_assert_eq!(results.len(), edges.len());
    }
}
