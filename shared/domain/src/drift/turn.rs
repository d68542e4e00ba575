//! The turns of environments in the schedule of looks.
//!
//! Time is cut into windows as long as the interval of the stage. An environment has one look in each window. The look
//! begins at the first tick of the schedule in the window, unless a person has started one in the window before that. So
//! two ticks at once look once, and the next tick catches up on a lost one.

use crate::model::look_interval::LookInterval;
use crate::records::{DriftReport, Environment, LookTurn};
use jiff::Timestamp;

/// Returns the turn of an environment that `execution` may take; `None` if it has none now. An execution that took a turn
/// and has not looked yet, because it was interrupted, may take the same one again.
pub fn turn(
    interval: LookInterval,
    environment: &Environment,
    report: Option<&DriftReport>,
    execution: &str,
    now: Timestamp,
) -> Option<LookTurn> {
    // A release that was deployed in this window waits for the next one, which spreads the first looks.
    let deployed = environment.deployed.as_ref()?;
    let begin = interval.window(&format!("{}/{}", environment.stage, environment.name), now);
    let looked_at = report.and_then(DriftReport::looked_at).unwrap_or(deployed.since);
    let is_taken = report
        .and_then(|report| report.turn.as_ref())
        .is_some_and(|turn| turn.window >= begin && turn.execution != execution);
    (looked_at < begin && !is_taken).then(|| LookTurn { window: begin, execution: execution.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment_path::DeploymentPath;
    use crate::model::ids::{DeploymentId, Digest};
    use crate::records::{Deployed, FailedLook, Inconclusive};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn environment() -> Environment {
        Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
    }

    fn running() -> Environment {
        let digest = Digest::of(b"d");
        let deployed = Deployed {
            version: "1.0.0".parse().unwrap(),
            digest: digest.clone(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
            stack_version: "1.0.0".parse().unwrap(),
            deployment: DeploymentId::of_execution("e"),
            checked: true,
            overridden: BTreeSet::new(),
            since: Timestamp::UNIX_EPOCH,
        };
        Environment { deployed: Some(deployed), ..environment() }
    }

    fn looked(report: &DriftReport, now: Timestamp) -> DriftReport {
        let failed = FailedLook { at: now, reason: Inconclusive::NotStable, message: String::new() };
        DriftReport { failed: Some(failed), ..report.clone() }
    }

    #[test]
    fn an_environment_without_a_release_has_no_turn() {
        let interval = "rate(1 hour)".parse().unwrap();
        assert_eq!(turn(interval, &environment(), None, "e", at(1_800_000_000)), None);
        assert!(turn(interval, &running(), None, "e", at(1_800_000_000)).is_some());
    }

    #[test]
    fn a_release_waits_for_its_first_window() {
        let (interval, now) = ("rate(6 hours)".parse::<LookInterval>().unwrap(), at(1_800_000_000));
        let mut fresh = running();
        let begin = interval.window(&format!("{}/{}", fresh.stage, fresh.name), now);
        fresh.deployed.as_mut().unwrap().since = begin;
        assert_eq!(turn(interval, &fresh, None, "e", now), None);
        let next = at(begin.as_second() + 6 * HOUR);
        assert_eq!(turn(interval, &fresh, None, "e", next).map(|turn| turn.window), Some(next));
    }

    #[test]
    fn a_turn_belongs_to_the_execution_that_took_it() {
        let (interval, now) = ("rate(1 hour)".parse().unwrap(), at(1_800_000_000));
        let taken = turn(interval, &running(), None, "first", now).unwrap();
        let report = DriftReport {
            turn: Some(taken.clone()),
            ..DriftReport::new(DeploymentPath::Promotion, &running(), now)
        };
        assert_eq!(turn(interval, &running(), Some(&report), "second", now), None);
        assert_eq!(turn(interval, &running(), Some(&report), "first", now), Some(taken));
        assert_eq!(turn(interval, &running(), Some(&looked(&report, now)), "first", now), None);
    }

    proptest! {
        /// Ticks come in any order of gaps, twice at once, or not at all; looks end before the next tick.
        #[test]
        fn each_window_with_a_tick_has_exactly_one_look(
            hours in 1u32..48, gaps in prop::collection::vec((60i64..20_000, 1usize..3, any::<bool>()), 1..200)
        ) {
            let interval: LookInterval =
                if hours == 1 { "rate(1 hour)".to_owned() } else { format!("rate({hours} hours)") }.parse().unwrap();
            let environment = running();
            let key = format!("{}/{}", environment.stage, environment.name);
            let mut report = DriftReport::new(DeploymentPath::Promotion, &environment, at(0));
            let (mut now, mut looks, mut ticked) = (1_800_000_000, Vec::new(), Vec::new());
            for (number, (gap, copies, is_interrupted)) in gaps.into_iter().enumerate() {
                now += gap;
                ticked.push(interval.window(&key, at(now)));
                let mut winner = None;
                for copy in 0..copies {
                    let execution = format!("{number}-{copy}");
                    if let Some(taken) = turn(interval, &environment, Some(&report), &execution, at(now)) {
                        prop_assert!(winner.is_none(), "two executions took one turn");
                        report.turn = Some(taken);
                        winner = Some(execution);
                    }
                }
                if let Some(execution) = winner {
                    if is_interrupted {
                        // The list is asked again by the same execution.
                        let again = turn(interval, &environment, Some(&report), &execution, at(now));
                        prop_assert_eq!(&again, &report.turn);
                    }
                    looks.push(interval.window(&key, at(now)));
                    report = looked(&report, at(now));
                }
            }
            ticked.dedup();
            prop_assert_eq!(looks, ticked);
        }
    }
}
