//! Load-balancer logs and application events on their way to Logstash.

pub mod http_body;
pub mod intake;
pub mod log_delivery;
pub mod shipping;
