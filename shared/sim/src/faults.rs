//! Fault points of a run, and their faults.
//!
//! Every call that crosses a boundary is counted here: an invocation by the state machine, a call of CloudFormation, a
//! request to DynamoDB or Lambda, an event, the answer to a task token. A fault is a number and a kind. A case is
//! therefore a scenario and a few faults, and replays from one line.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::oneshot;

/// Kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The call fails without effect. An event never arrives.
    Before,
    /// The call takes effect, and the reply is lost.
    Lost,
    /// The call is throttled.
    Throttled,
    /// The read shows the state of a moment ago.
    Stale,
    /// The call happens twice.
    Twice,
    /// The call takes effect, and the function dies before it continues.
    Crash,
    /// Before the call, the execution is aborted and a later deployment takes the environment; the function continues.
    Superseded,
    /// Before the call, time passes: operations end, events arrive.
    Slow,
}

/// Every kind with its name in a case.
const NAMES: [(Kind, &str); 8] = [
    (Kind::Before, "before"),
    (Kind::Lost, "lost"),
    (Kind::Throttled, "throttled"),
    (Kind::Stale, "stale"),
    (Kind::Twice, "twice"),
    (Kind::Crash, "crash"),
    (Kind::Superseded, "superseded"),
    (Kind::Slow, "slow"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// Kind of the boundary that a call crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The state machine invokes a function.
    Invocation,
    /// A read that may be stale.
    Read,
    /// A strongly consistent read: it fails, or returns the current state.
    Consistent,
    /// A call that makes a change.
    Write,
    /// An event of AWS arrives.
    Event,
    /// A call during the handling of an event: no deployment is at work there.
    Aside,
}

impl Site {
    /// Returns the kinds of faults at this site. A read whose reply is lost is a read that failed.
    pub fn kinds(self) -> &'static [Kind] {
        use Kind::{Before, Crash, Lost, Slow, Stale, Superseded, Throttled, Twice};
        match self {
            Self::Invocation => &[Before, Lost, Throttled, Twice, Superseded, Slow],
            Self::Read => &[Before, Throttled, Stale, Crash, Superseded, Slow],
            Self::Consistent => &[Before, Crash, Superseded],
            Self::Write => &[Before, Lost, Throttled, Twice, Crash, Superseded, Slow],
            Self::Event => &[Before, Twice, Slow],
            Self::Aside => &[Before, Lost, Twice, Crash],
        }
    }
}

/// A fault: the boundary's number, counted from 0, and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// The boundary.
    pub at: usize,
    /// The kind.
    pub kind: Kind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.at, self.kind)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("'{text}' is no fault: write 17=lost");
        let (at, name) = text.split_once('=').ok_or_else(malformed)?;
        let kind = NAMES.iter().find(|(_, known)| *known == name).ok_or_else(malformed)?.0;
        Ok(Self { at: at.parse().map_err(|_| malformed())?, kind })
    }
}

/// A boundary that a run crossed.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The call and its caller.
    pub name: String,
    /// Its kind.
    pub site: Site,
}

/// Reason why a function is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It is dead.
    Crash,
    /// A later deployment takes the environment.
    Superseded,
    /// Time passes.
    Slow,
}

#[derive(Default)]
struct State {
    planned: BTreeMap<usize, Kind>,
    next: BTreeMap<String, Kind>,
    crossed: Vec<Crossing>,
    struck: Vec<Fault>,
    caller: String,
    aside: u32,
    suspended: bool,
    pause: Option<(Pause, oneshot::Sender<()>)>,
}

/// The faults of one case.
#[derive(Default)]
pub struct Faults(Mutex<State>);

impl Faults {
    /// Creates the faults of a case.
    pub fn of(faults: &[Fault]) -> Arc<Self> {
        let planned = faults.iter().map(|fault| (fault.at, fault.kind)).collect();
        Arc::new(Self(Mutex::new(State { planned, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Crosses a boundary and returns its fault.
    pub fn meet(&self, name: &str, site: Site) -> Option<Kind> {
        let mut state = self.state();
        if state.suspended {
            return None;
        }
        let site = if state.aside > 0 && site != Site::Event { Site::Aside } else { site };
        let at = state.crossed.len();
        let crossing = Crossing { name: format!("{}: {name}", state.caller), site };
        state.crossed.push(crossing);
        let kind = state.planned.get(&at).copied().or_else(|| state.next.remove(name));
        let kind = kind.filter(|kind| site.kinds().contains(kind));
        state.struck.extend(kind.map(|kind| Fault { at, kind }));
        kind
    }

    /// Lets a fault occur in the next call of `name`, such as `ExecuteChangeSet`.
    pub fn strike_next(&self, name: &str, kind: Kind) {
        self.state().next.insert(name.to_owned(), kind);
    }

    /// Sets the caller that crosses boundaries from now on.
    pub fn set_caller(&self, caller: &str) {
        self.state().caller = caller.to_owned();
    }

    /// Returns the current caller.
    pub fn caller(&self) -> String {
        self.state().caller.clone()
    }

    /// Marks the start or the end of the handling of an event.
    pub fn set_aside(&self, begins: bool) {
        let mut state = self.state();
        state.aside = if begins { state.aside + 1 } else { state.aside - 1 };
    }

    /// Sets if counting and faults are suspended from now on; returns the previous setting.
    pub fn suspend(&self, suspended: bool) -> bool {
        std::mem::replace(&mut self.state().suspended, suspended)
    }

    /// Returns the boundaries that were crossed.
    pub fn crossed(&self) -> Vec<Crossing> {
        self.state().crossed.clone()
    }

    /// Returns the faults that occurred.
    pub fn struck(&self) -> Vec<Fault> {
        self.state().struck.clone()
    }

    /// Suspends the calling function until its driver resumes it.
    pub async fn pause(&self, why: Pause) {
        let (go_on, waiting) = oneshot::channel();
        self.state().pause = Some((why, go_on));
        if why == Pause::Crash || waiting.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Drives `function` until it is done or pauses.
    pub async fn drive<T>(&self, function: &mut (impl Future<Output = T> + Unpin)) -> Driven<T> {
        let mut function = std::pin::pin!(function);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = function.as_mut().poll(context) {
                return Poll::Ready(Driven::Done(done));
            }
            match self.state().pause.take() {
                Some((why, go_on)) => Poll::Ready(Driven::Paused(why, go_on)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// Progress of a function.
pub enum Driven<T> {
    /// The function ended.
    Done(T),
    /// The function waits for its driver to resume it.
    Paused(Pause, oneshot::Sender<()>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strike_is_on_the_next_call_of_its_name_alone() {
        let faults = Faults::of(&[]);
        faults.strike_next("ExecuteChangeSet", Kind::Lost);
        assert_eq!(faults.meet("CreateChangeSet", Site::Write), None);
        assert_eq!(faults.meet("ExecuteChangeSet", Site::Write), Some(Kind::Lost));
        assert_eq!(faults.meet("ExecuteChangeSet", Site::Write), None);
        assert_eq!(faults.struck(), [Fault { at: 1, kind: Kind::Lost }]);
    }
}
