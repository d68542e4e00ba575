//! The sweep as its schedule and operators start it, over a DynamoDB engine within the process.

mod deliveries;
mod environments;
mod fixture;
mod heads;
mod images;
mod promotions;
mod waits;
