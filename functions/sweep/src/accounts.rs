//! The accounts whose images are kept: what retirement does there, and nothing else.

use jiff::Timestamp;
use lockstep_domain::images::orphans::Tagged;
use lockstep_domain::images::retention::Removed;
use lockstep_domain::installation::target_roles::IMAGE_KEEPER;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_platform::aws::Aws;
use lockstep_platform::channels::{Channels, ParameterStore};
use lockstep_platform::ec2::Ec2;
use lockstep_platform::ec2::keeping::Keeping;
use lockstep_platform::ec2::references::References;
use std::collections::{BTreeMap, BTreeSet};

/// An account and region, as far as this needs it.
pub trait Account: Keeping + References + Channels {}

impl<T: Keeping + References + Channels> Account for T {}

/// Every account there is.
pub trait Accounts {
    /// One of them.
    type Account: Account;

    /// The account and region of `location`.
    fn at(&self, location: &Location) -> impl Future<Output = Result<Self::Account, Failure>>;
}

/// AWS.
pub struct Cloud {
    aws: Aws,
    external_id: String,
}

impl Cloud {
    /// Wires it; nothing is called yet.
    pub fn new(aws: &Aws, external_id: &str) -> Self {
        Self { aws: aws.clone(), external_id: external_id.to_owned() }
    }
}

/// EC2 and the Parameter Store of one account and region.
pub struct Keeper(Ec2, ParameterStore);

impl Accounts for Cloud {
    type Account = Keeper;

    async fn at(&self, location: &Location) -> Result<Keeper, Failure> {
        let aws = self.aws.assume(location, IMAGE_KEEPER, &self.external_id, "lockstep-sweep").await?;
        Ok(Keeper(Ec2::new(&aws), ParameterStore::new(&aws)))
    }
}

impl Keeping for Keeper {
    async fn deprecate(&self, ami: &AmiId, at: Timestamp) -> Result<(), Failure> {
        self.0.deprecate(ami, at).await
    }

    async fn restore(&self, ami: &AmiId) -> Result<(), Failure> {
        self.0.restore(ami).await
    }

    async fn remove(&self, ami: &AmiId) -> Result<Removed, Failure> {
        self.0.remove(ami).await
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<Option<String>, Failure> {
        self.0.remove_snapshot(snapshot).await
    }

    async fn tagged(&self) -> Result<Tagged, Failure> {
        self.0.tagged().await
    }
}

impl References for Keeper {
    async fn references(&self, images: &BTreeSet<AmiId>) -> Result<BTreeMap<AmiId, Vec<String>>, Failure> {
        self.0.references(images).await
    }
}

impl Channels for Keeper {
    async fn all(&self) -> Result<BTreeMap<String, String>, Failure> {
        self.1.all().await
    }

    async fn put(&self, name: &str, ami: &AmiId) -> Result<(), Failure> {
        self.1.put(name, ami).await
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        Channels::remove(&self.1, name).await
    }
}
