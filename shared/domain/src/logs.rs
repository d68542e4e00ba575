//! Delivery of load-balancer logs and application events to Logstash.

pub mod delivery;
mod fields;
pub mod http_body;
pub mod ingest;
pub mod shipping;

pub use fields::{ECS_VERSION, Fields, UnknownFields};
