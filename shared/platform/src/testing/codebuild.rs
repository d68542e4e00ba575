//! CodeBuild in memory, whose project makes images in a [`SimEc2`].
//!
//! A token is remembered for five minutes, as CodeBuild does; a build takes its time; how the next ones end is said
//! beforehand.

use super::clock::VirtualClock;
use super::ec2::SimEc2;
use crate::codebuild::{Builds, NewBuild};
use crate::ec2::Images as _;
use jiff::{SignedDuration, Timestamp};
use lockstep_domain::bake::{Build, BuildStatus};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::records::Location;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// How long CodeBuild remembers a token.
/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// How long a build takes.
const PACE: SignedDuration = SignedDuration::from_mins(10);

/// How a build ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// CodeBuild's word, such as `FAILED`; it succeeds without one.
    pub status: Option<String>,
    /// What the platform of the image is billed as, such as `Windows`.
    pub platform: Option<String>,
    /// Whether it leaves an image although it failed.
    pub leaves_debris: bool,
}

#[derive(Clone)]
struct Held {
    arn: String,
    location: Location,
    wanted: NewBuild,
    started: Timestamp,
    ending: Ending,
    /// Its last word, once it was looked at after its end.
    status: Option<BuildStatus>,
}

struct Inner {
    clock: VirtualClock,
    ec2: SimEc2,
    builds: Vec<Held>,
    endings: VecDeque<Ending>,
    recipes: BTreeMap<(Location, String), Vec<u8>>,
    lose_next_answer: bool,
}

/// CodeBuild everywhere. Clones are the same one.
#[derive(Clone)]
pub struct SimCodeBuild(Rc<RefCell<Inner>>);

impl SimCodeBuild {
    /// One without builds, whose images are `ec2`'s.
    pub fn new(clock: &VirtualClock, ec2: &SimEc2) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            clock: clock.clone(),
            ec2: ec2.clone(),
            builds: Vec::new(),
            endings: VecDeque::new(),
            recipes: BTreeMap::new(),
            lose_next_answer: false,
        })))
    }

    /// The port, as one account in one region.
    pub fn builds(&self, location: &Location) -> SimBuilds {
        SimBuilds { cloud: self.clone(), here: location.clone() }
    }

    /// The next build ends so.
    pub fn expect(&self, ending: Ending) {
        self.0.borrow_mut().endings.push_back(ending);
    }

    /// The answer of the next StartBuild is lost after its effect.
    pub fn lose_next_answer(&self) {
        self.0.borrow_mut().lose_next_answer = true;
    }

    /// How many builds were started.
    pub fn started(&self) -> usize {
        self.0.borrow().builds.len()
    }

    /// Whether the account has this recipe.
    pub fn has_recipe(&self, location: &Location, key: &str) -> bool {
        self.0.borrow().recipes.contains_key(&(location.clone(), key.to_owned()))
    }
}

/// [`SimCodeBuild`] as one account reaches it in one region.
#[derive(Clone)]
pub struct SimBuilds {
    cloud: SimCodeBuild,
    here: Location,
}

impl SimBuilds {
    /// What a build made, at the moment of its end.
    async fn make(&self, held: &Held) -> Result<BuildStatus, Failure> {
        let succeeds = held.ending.status.is_none();
        let mut made = String::new();
        if succeeds || held.ending.leaves_debris {
            let ec2 = self.cloud.0.borrow().ec2.clone();
            let ami = ec2.register(&held.location);
            if let Some(platform) = &held.ending.platform {
                ec2.change(&ami, |ami| ami.platform_details.clone_from(platform));
            }
            let text = held.wanted.variables.iter().find(|(name, _)| name == "LOCKSTEP_TAGS");
            let tags: BTreeMap<String, String> = text
                .and_then(|(_, text)| serde_json::from_str(text).ok())
                .ok_or_else(|| Failure::bug("a build without tags"))?;
            let images = ec2.images(&held.location);
            let snapshots: BTreeSet<_> =
                images.describe(&ami).await?.map(|ami| ami.snapshots()).unwrap_or_default();
            images.tag(&ami, &snapshots, &tags.into_iter().collect::<Vec<_>>()).await?;
            made = format!("{}:{ami}", held.location.region);
        }
        Ok(match &held.ending.status {
            None => BuildStatus::Succeeded { made },
            Some(status) => BuildStatus::Ended { status: status.clone(), why: "BUILD: exit status 1".into() },
        })
    }
}

impl Builds for SimBuilds {
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<(), Failure> {
        self.cloud.0.borrow_mut().recipes.insert((self.here.clone(), key.to_owned()), recipe);
        Ok(())
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        let now = inner.clock.now();
        if !inner.recipes.contains_key(&(self.here.clone(), wanted.recipe.clone())) {
            return Err(Failure::rejected("StartBuild: the source is not there"));
        }
        let remembered = inner.builds.iter().find(|held| {
            held.location == self.here
                && held.wanted.token == wanted.token
                && now.duration_since(held.started) < TOKEN_LIFE
        });
        let arn = match remembered {
            Some(held) if held.wanted != *wanted => {
                return Err(Failure::rejected("StartBuild: the same token with other parameters"));
            }
            Some(held) => held.arn.clone(),
            None => {
                let number = inner.builds.len() + 1;
                let place = format!("{}:{}", self.here.region, self.here.account);
                let arn = format!("arn:aws:codebuild:{place}:build/lockstep-image-build:{number}");
                let ending = inner.endings.pop_front().unwrap_or_default();
                let (location, wanted) = (self.here.clone(), wanted.clone());
                let held = Held { arn: arn.clone(), location, wanted, started: now, ending, status: None };
                inner.builds.push(held);
                arn
            }
        };
        match std::mem::take(&mut inner.lose_next_answer) {
            true => Err(Failure::new(FailureKind::Transient, "StartBuild: the answer was lost")),
            false => Ok(arn),
        }
    }

    async fn find(&self, token: &str) -> Result<Option<String>, Failure> {
        let inner = self.cloud.0.borrow();
        let found =
            inner.builds.iter().rev().find(|held| held.location == self.here && held.wanted.token == token);
        Ok(found.map(|held| held.arn.clone()))
    }

    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure> {
        let found = self
            .cloud
            .0
            .borrow()
            .builds
            .iter()
            .position(|held| held.location == self.here && held.arn == arn);
        let Some(index) = found else { return Ok(None) };
        let (held, now) = {
            let inner = self.cloud.0.borrow();
            (inner.builds[index].clone(), inner.clock.now())
        };
        let status = match &held.status {
            Some(status) => status.clone(),
            None if now.duration_since(held.started) < PACE => BuildStatus::Running,
            None => {
                let status = self.make(&held).await?;
                self.cloud.0.borrow_mut().builds[index].status = Some(status.clone());
                status
            }
        };
        Ok(Some(Build { arn: arn.to_owned(), status, log: None }))
    }
}
