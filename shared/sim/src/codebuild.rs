//! CodeBuild in memory, whose project makes images in a [`SimEc2`].
//!
//! It remembers a token for five minutes, as CodeBuild does. A build takes time, and EventBridge receives its end. A
//! build that is new, or ended recently, may be invisible. A test sets in advance how builds end.

use super::clock::VirtualClock;
use super::ec2::SimEc2;
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::codebuild::{Builds, NewBuild};
use lockstep_domain::images::bake::{Build, BuildStatus};
use lockstep_domain::images::promotion::{AmiState, TAG_BUILD};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::AmiId;
use lockstep_domain::model::location::Location;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Lifetime of a token in CodeBuild.
/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// Default duration of a build.
const PACE: Duration = Duration::from_secs(600);

/// Time after a change for which a stale read may still show the previous state.
const STALENESS: SignedDuration = SignedDuration::from_secs(10);

/// End of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// CodeBuild's status, such as `FAILED`; `None` for success.
    pub status: Option<String>,
    /// The billed platform of the image, such as `Windows`.
    pub platform: Option<String>,
    /// True if a failed build leaves an image.
    pub leaves_debris: bool,
    /// True if Packer's manifest names no image, although there is one.
    pub names_nothing: bool,
    /// True if the named image will never be usable.
    pub is_broken: bool,
    /// A user of the image from its first moment, such as the ARN of an instance.
    pub used_by: Option<String>,
}

/// A build that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its ARN.
    pub arn: String,
    /// Its account and region.
    pub location: Location,
    /// Its request.
    pub wanted: NewBuild,
    /// Its start time.
    pub at: Timestamp,
    /// Its end time and status.
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
    recipes: BTreeMap<(Location, String), Vec<Vec<u8>>>,
    lose_next_answer: bool,
    outbox: Vec<Value>,
    reads_stale: bool,
}

/// CodeBuild of every account and region. Clones are the same one.
#[derive(Clone)]
pub struct SimCodeBuild(Rc<RefCell<Inner>>);

impl SimCodeBuild {
    /// Creates one without builds, whose images are in `ec2`.
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

    /// Returns another one in the same state, with `clock` as its time and its images in `ec2`.
    pub fn duplicate(&self, clock: &VirtualClock, ec2: &SimEc2) -> Self {
        let mut inner = self.0.borrow().clone();
        (inner.clock, inner.ec2) = (clock.clone(), ec2.clone());
        Self(Rc::new(RefCell::new(inner)))
    }

    /// Returns the port, as one account in one region.
    pub fn builds(&self, location: &Location) -> SimBuilds {
        SimBuilds { cloud: self.clone(), here: location.clone() }
    }

    /// Sets the duration of later builds.
    pub fn set_pace(&self, pace: Duration) {
        self.0.borrow_mut().pace = pace;
    }

    /// Sets the end of the next build.
    pub fn expect(&self, ending: Ending) {
        self.0.borrow_mut().next.push_back(ending);
    }

    /// Sets the end of every later build without an end of its own.
    pub fn always(&self, ending: Ending) {
        self.0.borrow_mut().usual = ending;
    }

    /// Lets every build that is not started yet succeed.
    pub fn end_trouble(&self) {
        let mut inner = self.0.borrow_mut();
        inner.next.clear();
        inner.usual = Ending::default();
    }

    /// Loses the response of the next StartBuild after its effect.
    pub fn lose_next_answer(&self) {
        self.0.borrow_mut().lose_next_answer = true;
    }

    /// Lets the next read show the state of a moment ago.
    pub fn read_stale_once(&self) {
        self.0.borrow_mut().reads_stale = true;
    }

    /// Returns every build that was started, the first one first.
    pub fn started(&self) -> Vec<Started> {
        self.0.borrow().builds.clone()
    }

    /// Returns true if the account has this recipe.
    pub fn has_recipe(&self, location: &Location, key: &str) -> bool {
        self.0.borrow().recipes.contains_key(&(location.clone(), key.to_owned()))
    }

    /// Returns the AMI that the build `arn` named as its result.
    pub fn made(&self, arn: &str) -> Option<AmiId> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let build = inner.builds.iter().find(|build| build.arn == arn)?;
        match &build.ended {
            Some((_, BuildStatus::Succeeded { made })) => made.rsplit(':').next()?.parse().ok(),
            _ => None,
        }
    }

    /// Returns the time of the next end of a build.
    pub fn next_moment(&self) -> Option<Timestamp> {
        let inner = self.0.borrow();
        inner.builds.iter().filter(|build| build.ended.is_none()).map(|build| build.at + inner.pace).min()
    }

    /// Returns the events sent to EventBridge since the last call.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        std::mem::take(&mut inner.outbox)
    }
}

impl Inner {
    /// Ends every build that is due.
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

    /// Returns the result of a build at the moment of its end.
    fn end(&self, build: &Started) -> BuildStatus {
        let ending = &build.ending;
        let mut made = String::new();
        if ending.status.is_none() || ending.leaves_debris {
            let text = build.wanted.variables.iter().find(|(name, _)| name == "LOCKSTEP_TAGS");
            let given =
                text.and_then(|(_, text)| serde_json::from_str::<BTreeMap<String, String>>(text).ok());
            let mut tags = given.unwrap_or_default();
            tags.insert(TAG_BUILD.to_owned(), build.arn.clone());
            let ami = self.ec2.register_tagged(&build.location, &tags);
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

    /// Sends a "CodeBuild Build State Change", see
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
                "build-status": word, "build-id": build.arn, "project-name": lockstep_aws::codebuild::PROJECT,
            },
        }));
    }

    /// Returns the builds at `here`: their current state or, for a stale read, the previous one.
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
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<String, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        let versions = inner.recipes.entry((self.here.clone(), key.to_owned())).or_default();
        versions.push(recipe);
        Ok(versions.len().to_string())
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.settle();
        let now = inner.clock.now();
        let versions = inner.recipes.get(&(self.here.clone(), wanted.recipe.clone())).map_or(0, Vec::len);
        if !wanted.version.parse::<usize>().is_ok_and(|version| (1..=versions).contains(&version)) {
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
                let arn =
                    format!("arn:aws:codebuild:{place}:build/{}:{number}", lockstep_aws::codebuild::PROJECT);
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
