//! The ledger function as state machines and operators use it, over a DynamoDB engine within the process.

mod approvals;
mod callers;
mod configuration;
mod deployments;
mod fixture;
mod following;
mod images;
mod interventions;
mod ownership;
mod publications;
mod pushes;
mod starts;
mod teardowns;
mod turns;
mod weakenings;
