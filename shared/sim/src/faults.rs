//! Where a run can be struck, and with what.
//!
//! Every call that crosses a boundary is met here and counted: an invocation by the state machine, a call of
//! CloudFormation, a request to DynamoDB or Lambda, an event, the answer to a task token. A fault is a number and a
//! kind, so that a case is a scenario and a few faults, and replays from one line.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::oneshot;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It fails, and has no effect. Of an event: it never comes.
    Before,
    /// It has its effect, and the reply is lost.
    Lost,
    /// It is throttled.
    Throttled,
    /// It shows what was there a moment ago.
    Stale,
    /// It happens twice.
    Twice,
    /// It has its effect, and the function dies before it goes on.
    Crash,
    /// Before it, the execution is aborted and a later deployment takes the environment; the function goes on.
    Superseded,
    /// Before it the world goes on for a while: operations end, events come.
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

/// What kind of boundary a call crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The state machine invokes a function.
    Invocation,
    /// A read that may be stale.
    Read,
    /// A strongly consistent read: it fails, or tells the truth.
    Consistent,
    /// A call that changes something.
    Write,
    /// An event of AWS comes.
    Event,
    /// What happens while an event is dealt with: no deployment is at work there.
    Aside,
}

impl Site {
    /// What can go wrong there. A read whose reply is lost is a read that failed.
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

/// A fault: the boundary's number, counted from 0, and what happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// The boundary.
    pub at: usize,
    /// What happens.
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
    /// What was called, by whom.
    pub name: String,
    /// Its kind.
    pub site: Site,
}

/// Why a function does not go on by itself.
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
    /// These.
    pub fn of(faults: &[Fault]) -> Arc<Self> {
        let planned = faults.iter().map(|fault| (fault.at, fault.kind)).collect();
        Arc::new(Self(Mutex::new(State { planned, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A boundary is crossed: what befalls it.
    pub fn meet(&self, name: &str, site: Site) -> Option<Kind> {
        let mut state = self.state();
        if state.suspended {
            return None;
        }
        let site = if state.aside > 0 && site != Site::Event { Site::Aside } else { site };
        let at = state.crossed.len();
        let name = format!("{}: {name}", state.caller);
        state.crossed.push(Crossing { name, site });
        let kind = state.planned.get(&at).copied().filter(|kind| site.kinds().contains(kind));
        state.struck.extend(kind.map(|kind| Fault { at, kind }));
        kind
    }

    /// Who crosses boundaries from now on.
    pub fn set_caller(&self, caller: &str) {
        self.state().caller = caller.to_owned();
    }

    /// Who does now.
    pub fn caller(&self) -> String {
        self.state().caller.clone()
    }

    /// An event begins to be dealt with, or has been.
    pub fn set_aside(&self, begins: bool) {
        let mut state = self.state();
        state.aside = if begins { state.aside + 1 } else { state.aside - 1 };
    }

    /// Whether nothing is counted or struck from now on; answers what was so before.
    pub fn suspend(&self, suspended: bool) -> bool {
        std::mem::replace(&mut self.state().suspended, suspended)
    }

    /// The boundaries that were crossed.
    pub fn crossed(&self) -> Vec<Crossing> {
        self.state().crossed.clone()
    }

    /// The faults that came true.
    pub fn struck(&self) -> Vec<Fault> {
        self.state().struck.clone()
    }

    /// Stops the function that calls this until whoever drives it lets it go on.
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

/// How far a function came.
pub enum Driven<T> {
    /// To its end.
    Done(T),
    /// It waits for somebody to let it go on.
    Paused(Pause, oneshot::Sender<()>),
}
