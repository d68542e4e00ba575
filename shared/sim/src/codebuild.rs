//! CodeBuild in memory, whose project makes images in a [`SimEc2`].
//!
//! A token is remembered for five minutes, as CodeBuild does; a build takes its time, and its end is told to EventBridge;
//! what is new, or ended a moment ago, may not be seen yet; how builds end is said beforehand.

use super::clock::VirtualClock;
use super::ec2::SimEc2;
use jiff::{SignedDuration, Timestamp};
use lockstep_domain::images::bake::{Build, BuildStatus};
use lockstep_domain::images::promotion::AmiState;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::location::Location;
use lockstep_platform::codebuild::{Builds, NewBuild};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// How long CodeBuild remembers a token.
/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// How long a build takes unless a test says otherwise.
const PACE: Duration = Duration::from_secs(600);

/// How long after a change a stale read may still show what was before.
const STALENESS: SignedDuration = SignedDuration::from_secs(10);

/// How a build ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// CodeBuild's word, such as `FAILED`; it succeeds without one.
    pub status: Option<String>,
    /// What the platform of the image is billed as, such as `Windows`.
    pub platform: Option<String>,
    /// Whether it leaves an image although it failed.
    pub leaves_debris: bool,
    /// Whether Packer's manifest names nothing, although there is an image.
    pub names_nothing: bool,
    /// Whether the image that is named will never be usable.
    pub is_broken: bool,
    /// What uses the image from its first moment, such as the ARN of an instance.
    pub used_by: Option<String>,
}

/// A build that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its ARN.
    pub arn: String,
    /// Where.
    pub location: Location,
    /// What it was given.
    pub wanted: NewBuild,
    /// When.
    pub at: Timestamp,
    /// When it ended, and how.
    pub ended: Option<(Timestamp, BuildStatus)>,
    ending: Ending,
}

#[derive(Clone)]
struct Inner {
    clock: VirtualClock,
    ec2: SimEc2,
    pace: Duration,
    builds: Vec<Started>,
    next: VecDeque<Ending>,
    usual: Ending,
    recipes: BTreeMap<(Location, String), Vec<u8>>,
    lose_next_answer: bool,
    outbox: Vec<Value>,
    reads_stale: bool,
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
            pace: PACE,
            builds: Vec::new(),
            next: VecDeque::new(),
            usual: Ending::default(),
            recipes: BTreeMap::new(),
            lose_next_answer: false,
            outbox: Vec::new(),
            reads_stale: false,
        })))
    }

    /// Another one in the same state, whose time is `clock`'s and whose images are `ec2`'s.
    pub fn duplicate(&self, clock: &VirtualClock, ec2: &SimEc2) -> Self {
        let mut inner = self.0.borrow().clone();
        (inner.clock, inner.ec2) = (clock.clone(), ec2.clone());
        Self(Rc::new(RefCell::new(inner)))
    }

    /// The port, as one account in one region.
    pub fn builds(&self, location: &Location) -> SimBuilds {
        SimBuilds { cloud: self.clone(), here: location.clone() }
    }

    /// How long a build takes from now on.
    pub fn set_pace(&self, pace: Duration) {
        self.0.borrow_mut().pace = pace;
    }

    /// The next build ends so.
    pub fn expect(&self, ending: Ending) {
        self.0.borrow_mut().next.push_back(ending);
    }

    /// Every build of which nothing else is expected ends so from now on.
    pub fn always(&self, ending: Ending) {
        self.0.borrow_mut().usual = ending;
    }

    /// Every build that is not started yet will end well.
    pub fn mend(&self) {
        let mut inner = self.0.borrow_mut();
        inner.next.clear();
        inner.usual = Ending::default();
    }

    /// The answer of the next StartBuild is lost after its effect.
    pub fn lose_next_answer(&self) {
        self.0.borrow_mut().lose_next_answer = true;
    }

    /// The next read shows what was there a moment ago.
    pub fn read_stale_once(&self) {
        self.0.borrow_mut().reads_stale = true;
    }

    /// Every build that was started, the first one first.
    pub fn started(&self) -> Vec<Started> {
        self.0.borrow().builds.clone()
    }

    /// Whether the account has this recipe.
    pub fn has_recipe(&self, location: &Location, key: &str) -> bool {
        self.0.borrow().recipes.contains_key(&(location.clone(), key.to_owned()))
    }

    /// When a build ends next.
    pub fn next_moment(&self) -> Option<Timestamp> {
        let inner = self.0.borrow();
        inner.builds.iter().filter(|build| build.ended.is_none()).map(|build| build.at + inner.pace).min()
    }

    /// What was told to EventBridge since the last time.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        std::mem::take(&mut inner.outbox)
    }
}

impl Inner {
    /// Lets every build end that is due.
    fn settle(&mut self) {
        let now = self.clock.now();
        for index in 0..self.builds.len() {
            let build = &self.builds[index];
            if build.ended.is_none() && build.at + self.pace <= now {
                let status = self.end(build);
                self.announce(index, &status);
                self.builds[index].ended = Some((now, status));
            }
        }
    }

    /// What a build made, at the moment of its end.
    fn end(&self, build: &Started) -> BuildStatus {
        let ending = &build.ending;
        let mut made = String::new();
        if ending.status.is_none() || ending.leaves_debris {
            let text = build.wanted.variables.iter().find(|(name, _)| name == "LOCKSTEP_TAGS");
            let tags = text.and_then(|(_, text)| serde_json::from_str(text).ok());
            let ami = self.ec2.register_tagged(&build.location, &tags.unwrap_or_default());
            if let Some(platform) = &ending.platform {
                self.ec2.change(&ami, |ami| ami.platform_details.clone_from(platform));
            }
            if ending.is_broken {
                self.ec2.end(&ami, AmiState::parse("failed", "a snapshot of it failed"));
            }
            if let Some(user) = &ending.used_by {
                self.ec2.refer(&ami, user);
            }
            if !ending.names_nothing {
                made = format!("{}:{ami}", build.location.region);
            }
        }
        match &ending.status {
            None => BuildStatus::Succeeded { made },
            Some(status) => BuildStatus::Ended { status: status.clone(), why: "BUILD: exit status 1".into() },
        }
    }

    /// "CodeBuild Build State Change", see
    /// <https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html>.
    fn announce(&mut self, index: usize, status: &BuildStatus) {
        let word = match status {
            BuildStatus::Running => "IN_PROGRESS",
            BuildStatus::Succeeded { .. } => "SUCCEEDED",
            BuildStatus::Ended { status, .. } => status,
        };
        let build = &self.builds[index];
        self.outbox.push(json!({
            "source": "aws.codebuild",
            "detail-type": "CodeBuild Build State Change",
            "account": build.location.account,
            "region": build.location.region,
            "resources": [build.arn],
            "detail": {
                "build-status": word, "build-id": build.arn, "project-name": lockstep_platform::codebuild::PROJECT,
            },
        }));
    }

    /// The builds as they are at `here`, or, to a stale read, as they were a moment ago.
    fn seen(&mut self, here: &Location) -> Vec<Started> {
        self.settle();
        let stale = std::mem::take(&mut self.reads_stale);
        let now = self.clock.now();
        let is_recent = |at: Timestamp| stale && now.duration_since(at) < STALENESS;
        let there = self.builds.iter().filter(|build| build.location == *here && !is_recent(build.at));
        let seen = there
            .cloned()
            .map(|build| Started { ended: build.ended.filter(|(at, _)| !is_recent(*at)), ..build });
        seen.collect()
    }
}

/// [`SimCodeBuild`] as one account reaches it in one region.
#[derive(Clone)]
pub struct SimBuilds {
    cloud: SimCodeBuild,
    here: Location,
}

impl SimBuilds {
    fn seen(&self) -> Vec<Started> {
        self.cloud.0.borrow_mut().seen(&self.here)
    }
}

impl Builds for SimBuilds {
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<(), Failure> {
        self.cloud.0.borrow_mut().recipes.insert((self.here.clone(), key.to_owned()), recipe);
        Ok(())
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.settle();
        let now = inner.clock.now();
        if !inner.recipes.contains_key(&(self.here.clone(), wanted.recipe.clone())) {
            return Err(Failure::rejected("StartBuild: the source is not there"));
        }
        let remembered = inner.builds.iter().find(|build| {
            build.location == self.here
                && build.wanted.token == wanted.token
                && now.duration_since(build.at) < TOKEN_LIFE
        });
        let arn = match remembered {
            Some(build) if build.wanted != *wanted => {
                return Err(Failure::rejected("StartBuild: the same token with other parameters"));
            }
            Some(build) => build.arn.clone(),
            None => {
                let number = inner.builds.len() + 1;
                let place = format!("{}:{}", self.here.region, self.here.account);
                let arn = format!(
                    "arn:aws:codebuild:{place}:build/{}:{number}",
                    lockstep_platform::codebuild::PROJECT
                );
                let usual = inner.usual.clone();
                let ending = inner.next.pop_front().unwrap_or(usual);
                let (location, wanted) = (self.here.clone(), wanted.clone());
                inner.builds.push(Started {
                    arn: arn.clone(),
                    location,
                    wanted,
                    at: now,
                    ended: None,
                    ending,
                });
                arn
            }
        };
        match std::mem::take(&mut inner.lose_next_answer) {
            true => Err(Failure::new(FailureKind::Transient, "StartBuild: the answer was lost")),
            false => Ok(arn),
        }
    }

    async fn find(&self, token: &str) -> Result<Option<String>, Failure> {
        let seen = self.seen().into_iter().rev();
        Ok(seen.into_iter().find(|build| build.wanted.token == token).map(|build| build.arn))
    }

    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure> {
        let found = self.seen().into_iter().find(|build| build.arn == arn);
        Ok(found.map(|build| {
            let status = build.ended.map_or(BuildStatus::Running, |(_, status)| status);
            Build { arn: build.arn, status, log: None }
        }))
    }
}
