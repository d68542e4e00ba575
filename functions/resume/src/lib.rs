//! The `resume` function: answers the task token of an operation after an event or a request to look.

pub mod context;
pub mod handler;
