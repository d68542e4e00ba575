//! Verdicts against the labels of the recordings.

use crate::recording::Recording;
use lockstep_domain::drift::{Facts, UnknownReason};

#[derive(Default)]
struct Counts {
    wrong: usize,
    found: usize,
    missed: usize,
    unknown: usize,
    listed: usize,
}

/// Prints what is false, missed and unknown by name, and the sums. Returns true if nothing is false or missed.
pub fn report(recordings: &[Recording]) -> bool {
    let mut counts = Counts::default();
    for recording in recordings {
        judge(recording, &mut counts);
    }
    println!(
        "{} recordings: {} false, {} found, {} missed, {} unknown, {} undeclared listed",
        recordings.len(),
        counts.wrong,
        counts.found,
        counts.missed,
        counts.unknown,
        counts.listed
    );
    counts.wrong == 0 && counts.missed == 0
}

fn judge(recording: &Recording, counts: &mut Counts) {
    let compared = recording.compare(&recording.declared, &recording.live);
    let name = &recording.name;
    for difference in &compared.drifted {
        if !recording.is_labelled(&difference.path.to_string(), &["declared"]) {
            counts.wrong += 1;
            println!("false   {name} {}: {} -> {}", difference.path, difference.wanted, difference.found);
        }
    }
    for unknown in &compared.unknown {
        let path = unknown.path.to_string();
        let is_allowed = match unknown.reason {
            UnknownReason::WriteOnly => Facts::covers(&recording.facts.write_only, unknown.path.schema()),
            _ => recording.is_labelled(&path, &["readGap", "unresolved"]),
        };
        if is_allowed {
            counts.unknown += 1;
            println!("unknown {name} {path}: {}", unknown.reason);
        } else {
            counts.missed += 1;
            println!("missed  {name} {path}: unknown, {}", unknown.reason);
        }
    }
    for label in &recording.expected {
        let is_at = |path: &str| crate::recording::is_near(&label.path, path);
        match label.tier.as_str() {
            "declared" if compared.drifted.iter().any(|difference| is_at(&difference.path.to_string())) => {
                counts.found += 1;
                println!("found   {name} {}", label.path);
            }
            "declared" => {
                counts.missed += 1;
                println!("missed  {name} {}: no drift", label.path);
            }
            "undeclared" if compared.undeclared.iter().any(|(path, _)| is_at(&path.to_string())) => {
                counts.listed += 1
            }
            "undeclared" => {
                counts.missed += 1;
                println!("missed  {name} {}: not listed as undeclared", label.path);
            }
            _ => {}
        }
    }
}
