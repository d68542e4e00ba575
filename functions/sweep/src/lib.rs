//! The `sweep` function: it runs on a schedule, finds what no event reported, and proposes the repair.
//!
//! An event or an execution can be lost, and a leftover can remain unnoticed. So the sweep examines:
//!
//! - environments whose holder's execution has ended, and test environments older than their time to live
//! - heads of branches that no webhook delivery reported
//! - webhook deliveries that were accepted and never started
//! - callbacks that no function completes
//! - image promotions whose execution has ended
//! - images without a reference or without a record
//!
//! It writes only its report. The function that owns a record looks itself and changes it ([`owners`]).
//!
//! It takes no input and keeps no state in memory. A second run, even at the same time, changes nothing more.
//! A part that fails does not stop the next one. The report lists what is left, and why.

mod channels;
pub mod context;
mod environments;
mod events;
pub mod handler;
mod heads;
mod images;
mod orphans;
mod owners;
mod promotions;
mod report;
mod waits;
