//! Task tokens that wait for the end of an AWS operation, or for an operator. `resume` alone stores and answers them.

use lockstep_aws::aws::Aws;
use lockstep_aws::functions::Receiver;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::resume::{Register, Waiting, Wake};
use lockstep_domain::model::error::Failure;

/// Requests to the function that stores task tokens and answers them.
#[derive(Clone)]
pub struct Callbacks {
    resume: Receiver,
}

impl Callbacks {
    /// Returns the callbacks that the function named `resume_function` owns.
    pub fn new(aws: &Aws, resume_function: &str) -> Self {
        Self { resume: Receiver::new(aws, resume_function) }
    }

    /// Has the task token of `task` registered for the end of `operation` (see
    /// [`lockstep_domain::records::Callback::operation`]).
    ///
    /// Waits until `resume` has stored the token or refused it, so that no registration is lost: the caller's state
    /// tries again after a failure. If the operation ended before, its end left a record, and the task is answered at
    /// once. A repeated call with the same task changes nothing.
    pub async fn register(&self, operation: &str, task: &Task) -> Result<(), Failure> {
        let register = Waiting { operation: operation.to_owned(), task: task.clone() };
        self.resume.ask(&Register { register }).await
    }

    /// Asks `resume` to answer the task that waits for `operation`, which the caller found ended.
    ///
    /// Does not wait for that: Lambda delivers the request at least once, and the sweep repeats a lost one.
    pub async fn wake(&self, operation: &str) -> Result<(), Failure> {
        self.resume.send(&Wake { wake: operation.to_owned() }).await
    }
}
