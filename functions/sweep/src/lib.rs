//! The `sweep` function: scheduled, it finds what no event told of, and puts it in order.
//!
//! What can be lost is an event, an execution, or somebody's attention; so it looks at environments whose holder has
//! ended, heads of branches that no delivery told of, deliveries that were accepted and never started, throw-away
//! environments that outlived their time, waits that nobody ends, promotions of images that died, and images that nobody
//! needs. It takes no input and remembers nothing: to run it twice, or twice at once, changes nothing more.
//! One thing that cannot be put in order does not keep it from the next; the report says what is left, and why.
//!
//! Because it alone keeps images in every account, it is also who lets the parameters follow that name the newest of them
//! ([`handler::serve`]).

mod channels;
pub mod context;
mod environments;
mod events;
pub mod handler;
mod heads;
mod images;
mod orphans;
mod promotions;
mod report;
mod waits;

use lockstep_platform::ledger::Versioned;

fn records<T>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}
