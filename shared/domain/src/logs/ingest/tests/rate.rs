use super::*;

fn took(taken: RateDecision) -> Bucket {
    match taken {
        RateDecision::Yes(bucket) => bucket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bucket_allows_its_burst_at_once_and_then_its_pace() {
    let rate = Rate::new(10, 100).unwrap();
    let limit_rate = |bucket: Option<&Bucket>, events, at| limit_rate(rate, &shop(), bucket, events, at);
    let empty = took(limit_rate(None, 100, now()));
    assert_eq!(limit_rate(Some(&empty), 1, now()), RateDecision::After(1));
    assert_eq!(limit_rate(Some(&empty), 100, now()), RateDecision::After(10));
    assert_eq!(limit_rate(Some(&empty), 11, later(1)), RateDecision::After(1));
    let again = took(limit_rate(Some(&empty), 10, later(1)));
    assert_eq!(limit_rate(Some(&again), 1, later(1)), RateDecision::After(1));
    assert_eq!(limit_rate(Some(&again), 100, later(11)), took(limit_rate(None, 100, later(11))).into_taken());
    assert_eq!(limit_rate(None, 101, now()), RateDecision::Never);
}

impl Bucket {
    fn into_taken(self) -> RateDecision {
        RateDecision::Yes(self)
    }
}

#[test]
fn a_bucket_of_another_clock_or_another_rate_is_at_worst_empty() {
    let rate = Rate::new(10, 100).unwrap();
    let odd = Bucket { application: shop(), full_at: later(1_000_000) };
    assert_eq!(limit_rate(rate, &shop(), Some(&odd), 1, now()), RateDecision::After(1));
    assert_eq!(Rate::new(0, 1), Err(InvalidRate));
    assert_eq!(Rate::new(1, 0), Err(InvalidRate));
    assert!(serde_json::from_value::<Rate>(json!({"events_per_second": 0, "burst": 1})).is_err());
}

proptest! {
    #[test]
    fn no_window_of_time_admits_more_than_burst_and_pace(
        events_per_second in 1u32..500,
        burst in 1u32..1000,
        requests in prop::collection::vec((0i64..3_000, 1u32..1200), 1..60),
    ) {
        let rate = Rate::new(events_per_second, burst).unwrap();
        let (mut at, mut bucket, mut let_in) = (now(), None, Vec::new());
        for (pause, events) in requests {
            at += SignedDuration::from_millis(pause);
            match limit_rate(rate, &shop(), bucket.as_ref(), events, at) {
                RateDecision::Yes(next) => {
                    bucket = Some(next);
                    let_in.push((at, u64::from(events)));
                }
                // The reported time is true: after it the same request is admitted.
                RateDecision::After(seconds) => {
                    let then = at + SignedDuration::from_secs(i64::try_from(seconds).unwrap());
                    prop_assert!(seconds > 0);
                    prop_assert!(matches!(limit_rate(rate, &shop(), bucket.as_ref(), events, then), RateDecision::Yes(_)));
                }
                RateDecision::Never => prop_assert!(events > burst),
            }
        }
        for (first, (from, _)) in let_in.iter().enumerate() {
            for (last, (until, _)) in let_in.iter().enumerate().skip(first) {
                let sum: u64 = let_in[first..=last].iter().map(|(_, events)| events).sum();
                let milliseconds = u64::try_from(until.duration_since(*from).as_millis()).unwrap();
                let most = u64::from(burst) * 1000 + u64::from(events_per_second) * milliseconds;
                prop_assert!(sum * 1000 <= most, "{sum} events in {milliseconds} ms");
            }
        }
    }
}
