//! Tests of the function as its URL invokes it, with a table within the process and a broker over real sockets:
//! admission, and the promise that 202 covers acknowledged events only.

mod acknowledged;
mod admitted;
mod disclosed;
mod fixture;
