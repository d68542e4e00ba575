//! `bake-image` and `build-image` in the sweep: what lies between their functions and CodeBuild, the git host and the
//! bucket, and the world around the functions. What lies between them and EC2 is [`crate::images`].

pub mod invariants;
pub mod recipes;
pub mod scenarios;

use crate::boundary::Boundary;
use crate::bugs::Bug;
use crate::faults::Site;
use crate::harness::Harness;
use crate::images::StruckImages;
use jiff::Timestamp;
use lockstep_bake::world::World;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::images::bake::{Build, Encryption};
use lockstep_domain::model::base_image::{ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, CommitSha};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Key, Record, Repository};
use lockstep_domain::stacks::permissions::Table;
use lockstep_package::ports::Ports;
use lockstep_package::source::Fetched;
use lockstep_platform::codebuild::{Builds, NewBuild};
use lockstep_platform::ledger::{Ledger, Order};
use lockstep_platform::public_images::PublicImages;
use lockstep_platform::waits::Waits;
use lockstep_sim::codebuild::{SimBuilds, SimCodeBuild};
use std::sync::Arc;

/// What AWS publishes as its newest image.
pub const NEWEST: &str = "ami-0aaaaaaaaaaaaaaaa";

/// CodeBuild in one account and region, struck where the case says so.
pub struct StruckBuilds {
    codebuild: SimCodeBuild,
    builds: SimBuilds,
    boundary: Boundary,
    bug: Option<Bug>,
}

impl StruckBuilds {
    fn new(harness: &Harness, location: &Location) -> Self {
        Self {
            codebuild: harness.codebuild.clone(),
            builds: harness.codebuild.builds(location),
            boundary: Boundary::new(&harness.faults, &harness.clock),
            bug: harness.bug,
        }
    }

    async fn call<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.boundary.cross(name, site, || self.codebuild.read_stale_once(), call).await
    }
}

impl Builds for StruckBuilds {
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<(), Failure> {
        self.call("PutObject", Site::Write, async || self.builds.store(key, recipe.clone()).await).await
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let mut wanted = wanted.clone();
        if let Some(bug) = self.bug {
            bug.twist_build_token(&mut wanted.token);
        }
        self.call("StartBuild", Site::Write, async || self.builds.start(&wanted).await).await
    }

    async fn find(&self, token: &str) -> Result<Option<String>, Failure> {
        self.call("ListBuildsForProject", Site::Read, async || self.builds.find(token).await).await
    }

    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure> {
        self.call("BatchGetBuilds", Site::Read, async || self.builds.describe(arn).await).await
    }
}

/// What AWS publishes, struck where the case says so.
pub struct StruckParameters(Boundary);

impl PublicImages for StruckParameters {
    async fn newest(&self, _: &ParameterName) -> Result<AmiId, Failure> {
        let newest = async || Ok(NEWEST.parse().expect("an id"));
        self.0.cross("GetParameter", Site::Consistent, || {}, newest).await
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        let found = async || Ok((search.name.clone(), NEWEST.parse().expect("an id")));
        self.0.cross("DescribeImages", Site::Consistent, || {}, found).await
    }
}

/// The world of the `bake` function.
pub struct BakeWorld<'a>(pub &'a Harness);

impl World for BakeWorld<'_> {
    type Records = Ledger;
    type Waits = Waits;
    type Images = StruckImages;
    type Builds = StruckBuilds;
    type PublicImages = StruckParameters;

    fn records(&self) -> &Ledger {
        &self.0.struck_ledger
    }

    fn waits(&self) -> &Waits {
        &self.0.waits
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn is_running(&self, execution: &str) -> Option<bool> {
        self.0.holders.is_running(execution).await
    }

    async fn recipe(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let boundary = Boundary::new(&self.0.faults, &self.0.clock);
        let get = async || {
            let found = self.0.recipes.borrow().get(key).cloned();
            found.ok_or_else(|| Failure::not_found(format!("{key} does not exist")))
        };
        boundary.cross("GetObject", Site::Consistent, || {}, get).await
    }

    async fn images(&self, location: &Location, _session: &str) -> Result<StruckImages, Failure> {
        Ok(StruckImages::new(self.0, location))
    }

    async fn builds(&self, location: &Location, _session: &str) -> Result<StruckBuilds, Failure> {
        Ok(StruckBuilds::new(self.0, location))
    }

    async fn encryption(&self, _location: &Location, _session: &str) -> Result<Encryption, Failure> {
        Ok(Encryption::default())
    }

    async fn public_images(&self, _location: &Location, _session: &str) -> Result<StruckParameters, Failure> {
        Ok(StruckParameters(Boundary::new(&self.0.faults, &self.0.clock)))
    }
}

/// The world of the `package` function, as far as it packages recipes.
pub struct RecipePorts<'a>(pub &'a Harness);

impl Ports for RecipePorts<'_> {
    async fn fetch(&self, _: &Repository, commit: &CommitSha) -> Result<Fetched, Failure> {
        let boundary = Boundary::new(&self.0.faults, &self.0.clock);
        let fetch = async || Ok(Fetched { tarball: recipes::tarball(commit), author: "Ada".to_owned() });
        boundary.cross("GET tarball", Site::Consistent, || {}, fetch).await
    }

    async fn head(&self, _: &Repository, _: &str) -> Result<Option<CommitSha>, Failure> {
        unreachable!("who bakes an image names its commit")
    }

    async fn store(&self, key: &str, artifact: Vec<u8>) -> Result<(), Failure> {
        let boundary = Boundary::new(&self.0.faults, &self.0.clock);
        let store = async || {
            self.0.recipes.borrow_mut().insert(key.to_owned(), artifact.clone());
            Ok(())
        };
        boundary.cross("PutObject", Site::Write, || {}, store).await
    }

    fn shipped(&self) -> &FunctionLock {
        unreachable!("a recipe ships no function")
    }

    async fn permissions(&self) -> Result<Arc<Table>, Failure> {
        unreachable!("a recipe has no template")
    }

    async fn get<T: Record>(&self, key: &Key) -> Result<Option<T>, Failure> {
        Ok(self.0.struck_ledger.get(key).await?.map(|found| found.record))
    }

    async fn newest<T: Record>(&self, pk: &str, sk_prefix: &str, limit: usize) -> Result<Vec<T>, Failure> {
        let found = self.0.struck_ledger.list(pk, sk_prefix, Order::Newest, limit).await?;
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
