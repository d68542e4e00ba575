//! Delivery of load-balancer logs and application events to Logstash.

pub mod delivery;
pub mod http_body;
pub mod ingest;
pub mod shipping;
