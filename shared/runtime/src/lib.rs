//! Shared edge of the functions: capabilities and services.
//!
//! A *capability* is a trait ([`context`]): a function names those it uses, and reaches no other. Tests implement the
//! same traits over simulated clouds.
//!
//! Each service is written once, over the ledger and the adapters of `lockstep_aws`: [`retry`] for lost writes,
//! [`deployment_log`] for the lines that operators read, [`answers`] for those of approvers, [`charters`] for
//! deployments as they were begun, [`releases`] for drafts and published releases, [`images`] for versions and images,
//! [`retention`] for the steps of their retirement,
//! [`deployment_end`] for the metrics of an end, [`stages`] for the applied configuration, and `lease` for taking over
//! from an execution that has ended. This crate makes no decisions: they are functions of `lockstep_domain`.

pub mod answers;
#[cfg(feature = "lambda")]
pub mod callbacks;
pub mod charters;
pub mod clock;
pub mod context;
pub mod deployment_end;
pub mod deployment_log;
pub mod images;
#[cfg(feature = "sfn")]
pub mod lease;
pub mod releases;
pub mod retention;
pub mod retry;
#[cfg(feature = "sts")]
pub mod roles;
pub mod stages;

#[cfg(feature = "lambda")]
pub use callbacks::Callbacks;
pub use clock::Clock;
pub use context::*;
#[cfg(feature = "sts")]
pub use roles::AssumedRoles;
