//! Contents of target accounts other than stacks, images and builds.

use super::SimContext;
use lockstep_domain::delivery::function_code::FunctionCode;
use lockstep_domain::delivery::local_files::artifact_bucket;
use lockstep_domain::images::bake::Encryption;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::permissions::missing::{Decision, SimulationRequest, SimulationResult};
use lockstep_runtime::{EncryptionOf, PolicySimulation, TargetBuckets};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Contents of target accounts other than stacks, images and builds.
#[derive(Default)]
pub struct SimAccounts {
    /// The default encryption of volumes.
    pub encryption: RefCell<Encryption>,
    /// The actions that execution roles lack.
    pub lacks: RefCell<BTreeSet<String>>,
    /// True if IAM does not answer.
    pub is_mute: Cell<bool>,
    /// The buckets that were emptied.
    pub emptied: RefCell<Vec<String>>,
    /// The functions whose code was copied, each with the account.
    pub functions: RefCell<Vec<String>>,
    /// The packaged files that were copied, each with the account.
    pub files: RefCell<Vec<String>>,
    /// The accounts that cannot be reached.
    pub closed: RefCell<BTreeSet<String>>,
}

impl TargetBuckets for SimContext {
    async fn empty_bucket(&self, _: &Location, _: &str, bucket: &str) -> Result<(), Failure> {
        self.accounts.emptied.borrow_mut().push(bucket.to_owned());
        Ok(())
    }

    async fn put_function(&self, location: &Location, _: &str, code: &FunctionCode) -> Result<(), Failure> {
        self.accounts.functions.borrow_mut().push(format!("{code} to {}", location.account));
        Ok(())
    }

    async fn put_file(&self, location: &Location, _: &str, key: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let (account, region) = (&location.account, &location.region);
            let url = format!("https://{}.s3.{region}.amazonaws.com/{key}", artifact_bucket(account, region));
            self.cloudformation.put_template(&url, text);
        }
        self.accounts.files.borrow_mut().push(format!("{key} to {}", location.account));
        Ok(())
    }

    async fn put_template(&self, _: &Location, _: &str, key: &str, text: String) -> Result<String, Failure> {
        let url = format!("https://bucket/{key}");
        self.cloudformation.put_template(&url, &text);
        Ok(url)
    }
}

impl PolicySimulation for SimContext {
    async fn simulate(
        &self,
        _: &Location,
        _: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        if self.accounts.is_mute.get() {
            return Err(Failure::new(FailureKind::AccessDenied, "the deployer may not ask"));
        }
        let decision = |action: &str| match self.accounts.lacks.borrow().contains(action) {
            true => Decision::NotAllowed,
            false => Decision::Allowed,
        };
        let pairs = questions.iter().flat_map(|question| {
            question.actions.iter().map(|action| (action.clone(), question.resource.clone()))
        });
        let answer = |(action, resource): (String, _)| SimulationResult {
            decision: decision(&action),
            action,
            resource,
            missing_context: Vec::new(),
        };
        Ok(pairs.map(answer).collect())
    }
}

impl EncryptionOf for SimContext {
    async fn encryption(&self, _: &Location, _: &str) -> Result<Encryption, Failure> {
        Ok(self.accounts.encryption.borrow().clone())
    }
}
