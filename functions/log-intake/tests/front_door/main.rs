//! The function as its URL invokes it, with a real table within the process and a broker over real sockets: who is let in, and
//! that 202 is said only of what the broker acknowledged.

mod acknowledged;
mod admitted;
mod fixture;
mod told;
