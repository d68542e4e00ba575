//! The local cloud: an AWS emulator with three accounts, its missing parts, and a git host.
//!
//! * [`Emulator`] installs the pinned emulator into its own virtual environment.
//! * [`LocalCloud`] runs it for the lifetime of the value. No process that it started outlives this process.
//! * [`GitHost`] hosts bare repositories behind the part of GitHub's API that Lockstep uses.
//! * [`session`] is the daemon form of both, for `lockstep local up`, `status` and `down`.
//!
//! The emulator is only reachable from this machine. This crate's `README.md` describes its functions and its
//! limits.

#![cfg(unix)]

mod accounts;
mod calls;
mod cloud;
mod controls;
mod emulator;
mod faults;
mod git_host;
mod http;
mod overlay;
pub mod session;
mod state_dir;
mod virtual_environment;

pub use accounts::{Account, Accounts, PEOPLE, REGION, RootSecrets};
pub use calls::{CallFilter, CallLog, CallLogPage, CallRecord, EventFilter, EventRecord};
pub use cloud::{CloudError, CloudOptions, LocalCloud};
pub use controls::{BuildOutcome, Controls, ImageAttributes, ProductCode};
pub use emulator::Emulator;
pub use faults::{
    AwaitedEvent, CallEffect, CallFault, EventEffect, EventFault, FaultId, FaultStatus, Faults,
};
pub use git_host::{GitHost, GitHostError, GitHostOptions, Repository};
pub use http::HttpError;
pub use state_dir::default_state_dir;
pub use virtual_environment::{PythonError, VirtualEnvironment};
