//! Load-balancer logs and application events on their way to Logstash.

pub mod delivery;
pub mod http_body;
pub mod ingest;
pub mod shipping;
