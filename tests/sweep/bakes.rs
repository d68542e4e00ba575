//! `bake-image` and `build-image` in the sweep, and the context that packages a recipe.

pub mod invariants;
pub mod recipes;
pub mod scenarios;

use crate::harness::Harness;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::records::{Key, Record, Repository};
use lockstep_domain::stacks::permissions::Table;
use lockstep_package::context::PackageContext;
use lockstep_package::source::Fetched;
use lockstep_platform::ledger::Order;
use lockstep_runtime::HasLedger as _;
use lockstep_sim::context::BUCKET;
use lockstep_sim::faults::Site;
use std::sync::Arc;

/// The newest image that AWS publishes.
pub const NEWEST: &str = "ami-0aaaaaaaaaaaaaaaa";

/// The context of the `package` function, for the packaging of recipes.
pub struct Packaging<'a>(pub &'a Harness);

impl PackageContext for Packaging<'_> {
    async fn fetch(&self, _: &Repository, commit: &CommitSha) -> Result<Fetched, Failure> {
        let context = &self.0.context;
        let fetch = async || Ok(Fetched { tarball: recipes::tarball(commit), author: "Ada".to_owned() });
        context.cross("GET tarball", Site::Consistent, fetch).await
    }

    async fn head(&self, _: &Repository, _: &str) -> Result<Option<CommitSha>, Failure> {
        unreachable!("who bakes an image names its commit")
    }

    async fn store(&self, key: &str, artifact: Vec<u8>) -> Result<(), Failure> {
        let context = &self.0.context;
        let store = async || {
            self.0.account.put_object(BUCKET, key, artifact.clone());
            Ok(())
        };
        context.cross("PutObject", Site::Write, store).await
    }

    fn shipped(&self) -> &FunctionLock {
        unreachable!("a recipe ships no function")
    }

    async fn permissions(&self) -> Result<Arc<Table>, Failure> {
        unreachable!("a recipe has no template")
    }

    async fn get<T: Record>(&self, key: &Key) -> Result<Option<T>, Failure> {
        Ok(self.0.context.ledger().get(key).await?.map(|found| found.record))
    }

    async fn newest<T: Record>(&self, pk: &str, sk_prefix: &str, limit: usize) -> Result<Vec<T>, Failure> {
        let found = self.0.context.ledger().list(pk, sk_prefix, Order::Newest, limit).await?;
        Ok(found.into_iter().map(|found| found.record).collect())
    }

    async fn change<T: Record>(
        &self,
        key: &Key,
        _: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        unreachable!("packaging one recipe changes no record, not {} either", key.pk)
    }
}
