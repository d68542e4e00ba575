//! A small TTL cache, negative entries included: repeated lookups of one key cost one call.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Capacity; one more entry evicts the oldest.
const KEPT: usize = 100;

/// Cached values by key.
pub struct Remembered<K, V> {
    max_age: SignedDuration,
    answers: Mutex<HashMap<K, (V, Timestamp)>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Remembered<K, V> {
    /// Creates a cache whose entries live for `max_age`.
    pub fn new(max_age: SignedDuration) -> Self {
        Self { max_age, answers: Mutex::default() }
    }

    /// Returns the entry of `key` if it has not expired at `now`.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        self.younger(key, self.max_age, now)
    }

    /// Returns the entry of `key` if it is younger than `age`: for values that deserve a shorter lifetime.
    pub fn younger(&self, key: &K, age: SignedDuration, now: Timestamp) -> Option<V> {
        let answers = self.answers();
        let (answer, at) = answers.get(key)?;
        (now.duration_since(*at) < age.min(self.max_age)).then(|| answer.clone())
    }

    /// Caches the value of `key` at `now`.
    pub fn put(&self, key: K, answer: V, now: Timestamp) {
        let mut answers = self.answers();
        if answers.len() >= KEPT && !answers.contains_key(&key) {
            let oldest = answers.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|key| answers.remove(&key));
        }
        answers.insert(key, (answer, now));
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<K, (V, Timestamp)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_entry_lives_until_it_expires_and_absence_is_an_entry() {
        let known = Remembered::new(SignedDuration::from_secs(60));
        assert_eq!(known.get(&"a", at(0)), None);
        known.put("a", None::<u8>, at(0));
        assert_eq!(known.get(&"a", at(59)), Some(None));
        assert_eq!(known.get(&"a", at(60)), None);
        let two = SignedDuration::from_secs(2);
        assert_eq!((known.younger(&"a", two, at(1)), known.younger(&"a", two, at(2))), (Some(None), None));
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let known = Remembered::new(SignedDuration::from_secs(60));
        for second in 0..=100 {
            known.put(second, (), at(0) + SignedDuration::from_millis(second));
        }
        assert_eq!(known.answers().len(), KEPT);
        assert_eq!((known.get(&0, at(1)), known.get(&100, at(1))), (None, Some(())));
    }
}
