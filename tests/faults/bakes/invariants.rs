//! The invariants that hold after every case about a bake, whatever the fault. [`crate::images::invariants`] holds
//! those of every image.

use super::NEWEST;
use super::scenarios::{BASE, BakeStep};
use crate::harness::Harness;
use crate::images::invariants::ImageRemains;
use crate::images::scenarios::{IMAGE, location_of};
use crate::scenarios::{Scenario, Step};
use lockstep_domain::images::promotion::{TAG_IMAGE, TAG_VERSION};
use lockstep_domain::model::ids::AmiId;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    ApprovalDecision, Decision, Deployment, DeploymentState, Image, ImageVersion, Record as _, Subject,
};
use lockstep_sim::codebuild::Started;
use lockstep_sim::ec2::Held;
use lockstep_tests::asl::{End, Run};
use serde_json::Value;
use std::collections::BTreeSet;

/// Number of attempts of a build whose tokens the invariants know.
const ATTEMPTS: u32 = 5;

/// The state after a case.
pub struct BakeRemains<'a> {
    images: ImageRemains<'a>,
    builds: Vec<Deployment>,
    decisions: Vec<ApprovalDecision>,
    is_automatic: bool,
    started: Vec<Started>,
}

impl<'a> BakeRemains<'a> {
    /// Collects the state.
    pub async fn of(harness: &'a Harness, scenario: &'a Scenario) -> Self {
        let mut builds = harness.deployments().await;
        builds.retain(|it| it.build().is_some());
        let started = harness.codebuild.started();
        let is_automatic = scenario.ground.iter().any(|step| matches!(step, Step::Bake(BakeStep::Automatic)));
        let decisions = harness.decisions().await;
        Self { images: ImageRemains::of(harness, scenario).await, builds, decisions, is_automatic, started }
    }

    /// Returns the state that decides about the next run: two harnesses with equal states behave alike.
    pub fn in_short(&self) -> String {
        let versions: Vec<_> = self.images.versions.iter().map(|it| (it.version.clone(), it.state)).collect();
        let builds: Vec<_> = self.builds.iter().map(|it| it.state).collect();
        format!("{versions:?} {builds:?} {} {}", self.started.len(), self.images.in_short())
    }

    /// Returns each broken invariant as a sentence.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = self.images.broken();
        broken.extend(self.every_build_has_its_token_and_is_started_once());
        broken.extend(self.one_build_at_a_time());
        broken.extend(self.every_build_in_production_is_permitted());
        broken.extend(self.every_build_starts_from_a_usable_image());
        broken.extend(self.every_version_is_usable_everywhere_or_nowhere());
        broken.extend(self.a_version_is_usable_only_once_it_is_everywhere());
        broken.extend(self.every_failure_has_a_reason());
        broken.extend(self.every_build_is_closed());
        broken
    }

    /// Returns the versions of the image that is baked.
    fn versions(&self) -> impl Iterator<Item = &ImageVersion> {
        self.images.versions.iter().filter(|version| version.name.as_str() == IMAGE)
    }

    fn records_of(&self, version: &ImageVersion) -> Vec<Image> {
        let of_it = |image: &&Image| image.name == version.name && image.version == version.version;
        self.images.records.iter().filter(of_it).cloned().collect()
    }

    fn held_of(&self, version: &ImageVersion) -> impl Iterator<Item = &Held> {
        let (name, version) = (version.name.to_string(), version.version.to_string());
        let all = self.images.images.iter().chain(&self.images.snapshots);
        all.filter(move |held| {
            held.tags.get(TAG_IMAGE) == Some(&name) && held.tags.get(TAG_VERSION) == Some(&version)
        })
    }

    /// Invariant 2: each build has the token of an attempt, and at most one build was started under it.
    fn every_build_has_its_token_and_is_started_once(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let tokens: BTreeSet<String> = self
            .builds
            .iter()
            .flat_map(|build| (1..=ATTEMPTS).map(|attempt| client_token(build.id.as_str(), "build", attempt)))
            .collect();
        let mut seen = BTreeSet::new();
        for started in &self.started {
            let token = &started.wanted.token;
            if !tokens.contains(token) {
                broken.push(format!("2: {} has the token of no attempt: {token}", started.arn));
            }
            if !seen.insert(token) {
                broken.push(format!("2: two builds were started under {token}"));
            }
        }
        broken
    }

    /// Invariant 2: an account has no second build of a version, neither during the first build nor after it.
    fn one_build_at_a_time(&self) -> Vec<String> {
        let of =
            |started: &Started| (started.location.clone(), variable(started, "LOCKSTEP_TAGS").to_owned());
        let mut broken = Vec::new();
        for (index, started) in self.started.iter().enumerate() {
            let before = self.started[..index].iter().filter(|before| of(before) == of(started));
            let ended_before =
                |before: &Started| before.ended.as_ref().is_some_and(|(at, _)| *at <= started.at);
            if let Some(other) = before.into_iter().find(|before| !ended_before(before)) {
                broken.push(format!("2: {} was started while {} ran", started.arn, other.arn));
            }
        }
        broken
    }

    /// Invariant 14: no code of an author runs in an account of the promotion path without an approval of this recipe,
    /// unless an administrator let builds begin there.
    fn every_build_in_production_is_permitted(&self) -> Vec<String> {
        let production = location_of("production").account;
        let approved = |started: &Started| {
            self.decisions.iter().any(|given| {
                let covers = matches!(&given.question.subject, Subject::Build(build)
                    if build.artifact == started.wanted.recipe
                        && build.location == started.location
                        && build.base.as_str() == variable(started, "LOCKSTEP_SOURCE_AMI"));
                let before = given.last().is_some_and(|answer| answer.at <= started.at);
                covers && before && given.decision == Some(Decision::Approve)
            })
        };
        let there = self.started.iter().filter(|started| started.location.account == production);
        let wrong = there.filter(|started| !self.is_automatic && !approved(started));
        wrong
            .map(|it| format!("14: {} was started in production, and no person approved it", it.arn))
            .collect()
    }

    /// No build starts from a withheld image.
    fn every_build_starts_from_a_usable_image(&self) -> Vec<String> {
        let usable = |version: &&ImageVersion| {
            version.name.as_str() == BASE && version.state == ImageVersionState::Usable
        };
        let bases: Vec<&AmiId> =
            self.images.versions.iter().filter(usable).filter_map(|it| it.source_ami.as_ref()).collect();
        let wrong = self.started.iter().filter(|started| {
            let from = variable(started, "LOCKSTEP_SOURCE_AMI");
            from != NEWEST && !bases.iter().any(|base| base.as_str() == from)
        });
        wrong.map(|it| format!("{} starts from an image that may not be used", it.arn)).collect()
    }

    /// A version is usable in every account that must have it, or it is deleted everywhere. An image in use is deleted
    /// later.
    fn every_version_is_usable_everywhere_or_nowhere(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for version in self.versions() {
            let label = format!("{}@{}", version.name, version.version);
            let records = self.records_of(version);
            let missing = version.missing(&records);
            let held: Vec<&Held> = self.held_of(version).collect();
            match version.state {
                ImageVersionState::Usable if missing.is_empty() => {}
                ImageVersionState::Usable => {
                    broken.push(format!("10: {label} is usable, and {missing:?} lack it"));
                }
                ImageVersionState::Discarded if records.is_empty() && held.is_empty() => {}
                ImageVersionState::Discarded => {
                    let ids: Vec<&String> = held.iter().map(|held| &held.id).collect();
                    broken.push(format!("10: {label} is discarded, and {ids:?} are there"));
                }
                ImageVersionState::Discarding if held.iter().any(|held| !held.used_by.is_empty()) => {}
                other => broken.push(format!("10: {label} is still {other}")),
            }
        }
        broken
    }

    /// A version was never usable before every account that must have it had it.
    fn a_version_is_usable_only_once_it_is_everywhere(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let written = self.images.harness.written();
        let usable = written
            .iter()
            .filter(|write| write.kind == ImageVersion::KIND && write.body["state"]["S"] == "usable");
        for write in usable {
            let has = |place: &Value| {
                let known = self.images.records.iter().any(|image| {
                    image.recorded_at < self.images.harness.began
                        && place["account"]["S"] == image.location.account.as_str()
                });
                known
                    || written.iter().any(|other| {
                        other.kind == Image::KIND
                            && other.at <= write.at
                            && other.body["state"]["S"] == "available"
                            && other.body["version"] == write.body["version"]
                            && other.body["location"]["M"] == *place
                    })
            };
            let required = write.body["required"]["L"].as_array().into_iter().flatten();
            for place in required.map(|place| &place["M"]).filter(|place| !has(place)) {
                broken.push(format!("10: {} was usable before {place} had it", write.body["version"]));
            }
        }
        broken
    }

    /// The ledger holds the reason for each failure.
    fn every_failure_has_a_reason(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for version in self.versions() {
            let failed =
                matches!(version.state, ImageVersionState::Discarding | ImageVersionState::Discarded);
            if failed && version.why.as_ref().is_none_or(String::is_empty) {
                broken.push(format!("10: nothing says why {} is {}", version.version, version.state));
            }
        }
        for build in self.builds.iter().filter(|build| build.state == DeploymentState::Failed) {
            if build.failure.as_ref().is_none_or(|failure| failure.message.is_empty()) {
                broken.push(format!("10: nothing says why build {} failed", build.id));
            }
        }
        broken
    }

    /// Invariant 10: no record is left open.
    fn every_build_is_closed(&self) -> Vec<String> {
        let open = self.builds.iter().filter(|build| !build.state.is_final());
        open.map(|open| format!("10: build {} is still {:?}", open.execution, open.state)).collect()
    }

    /// Invariant 10: an execution that succeeded made a usable version, and one that failed made none.
    pub fn success_is_true(&self, run: &Run) -> Vec<String> {
        let claimed = match &run.end {
            End::Succeeded(output) => self.versions().find(|it| it.version.to_string() == output["version"]),
            End::Failed(_) | End::TimedOut => self.versions().find(|it| it.recorded_by == run.execution),
        };
        let state = claimed.map(|version| version.state);
        let succeeded = matches!(run.end, End::Succeeded(_));
        if succeeded == (state == Some(ImageVersionState::Usable)) {
            return Vec::new();
        }
        vec![format!("10: it ended {}, and the version is {state:?}", run.end.status())]
    }
}

fn variable<'s>(started: &'s Started, name: &str) -> &'s str {
    let found = started.wanted.variables.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}
