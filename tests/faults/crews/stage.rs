//! Several executions in one virtual time. They take turns at each call, in an order that a seed decides.

use crate::harness::Harness;
use jiff::Timestamp;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// The wait of an execution: until a moment, or until a token has its answer.
#[derive(Clone, Debug)]
pub struct Parked {
    until: Timestamp,
    token: Option<String>,
}

impl Harness {
    /// Lets the other executions of the crew run until then.
    pub async fn park(&self, until: Timestamp, token: Option<&str>) {
        let mut wait = Some(Parked { until, token: token.map(str::to_owned) });
        poll_fn(|_| match wait.take() {
            Some(wait) => {
                self.parked.replace(Some(wait));
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
    }

    fn is_ready(&self, parked: &Parked) -> bool {
        parked.until <= self.clock.now() || parked.token.as_ref().is_some_and(|token| self.is_answered(token))
    }
}

/// The work of one member of a crew.
pub type Acting<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Performs the works to their ends. Each begins at its time. Returns the results in the same order.
pub async fn perform<'a, T>(
    harness: &'a Harness,
    works: Vec<(Timestamp, Acting<'a, T>)>,
    seed: u64,
) -> Vec<T> {
    harness.crew.set(true);
    let mut waits: Vec<Option<Parked>> =
        works.iter().map(|(at, _)| Some(Parked { until: *at, token: None })).collect();
    let mut works: Vec<Acting<'a, T>> = works.into_iter().map(|(_, work)| work).collect();
    let mut results: Vec<Option<T>> = works.iter().map(|_| None).collect();
    let mut state = seed;
    loop {
        let ready: Vec<usize> = waits
            .iter()
            .enumerate()
            .filter(|(_, wait)| wait.as_ref().is_some_and(|wait| harness.is_ready(wait)))
            .map(|(number, _)| number)
            .collect();
        if ready.is_empty() {
            let Some(end) = waits.iter().flatten().map(|wait| wait.until).min() else { break };
            let tokens: Vec<String> = waits.iter().flatten().filter_map(|wait| wait.token.clone()).collect();
            harness.until(end, || tokens.iter().any(|token| harness.is_answered(token))).await;
            continue;
        }
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let turn = usize::try_from((mixed ^ (mixed >> 27)) % ready.len() as u64).unwrap_or_default();
        let chosen = ready[turn];
        match step(harness, &mut works[chosen]).await {
            Ok(result) => (results[chosen], waits[chosen]) = (Some(result), None),
            Err(wait) => waits[chosen] = Some(wait),
        }
    }
    harness.crew.set(false);
    results.into_iter().map(|result| result.expect("every work has ended")).collect()
}

/// Lets one work continue until it ends or parks.
async fn step<T>(harness: &Harness, work: &mut Acting<'_, T>) -> Result<T, Parked> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => match harness.parked.take() {
            Some(wait) => Poll::Ready(Err(wait)),
            None => Poll::Pending,
        },
    })
    .await
}
