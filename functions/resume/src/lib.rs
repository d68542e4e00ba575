//! The `resume` function: an event, or a request to look, becomes the answer to a task token.

pub mod context;
pub mod handler;
