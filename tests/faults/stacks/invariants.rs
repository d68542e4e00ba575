//! The invariants that hold after every case, whatever the fault: those of the design, one function each.

use crate::harness::Harness;
use crate::images::scenarios::location_of;
use crate::organisation::release;
use crate::scenarios::Scenario;
use crate::wire::Written;
use crate::workflows::{deployment_of, word};
use lockstep_domain::model::ids::Digest;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::resource_change::{Change, Impact};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    Approval, ApprovalDecision, Decision, Deployed, Deployment, DeploymentState, Environment, Evidence,
    Image, ImageVersion, ProposedAction, Subject,
};
use lockstep_domain::stacks::change_set_review::NestedChanges;
use lockstep_domain::stacks::plan::{Phase, StackStatus};
use lockstep_domain::stacks::protected::is_protected;
use lockstep_sim::cloudformation::{Effect, Loss};
use lockstep_tests::asl::{End, Run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The steps whose tokens functions make, and the number of attempts of each whose tokens the invariants know.
const STEPS: [&str; 8] =
    ["change-set", "execute", "clear", "rollback", "continue-rollback", "delete", "cancel", "destroy"];
const ATTEMPTS: u32 = 10;

/// The most transitions of one execution.
const TRANSITIONS_MAX: usize = 150;

/// The state after a case.
pub struct Remains<'a> {
    pub harness: &'a Harness,
    pub scenario: &'a Scenario,
    pub deployments: Vec<Deployment>,
    /// The answers of approvers.
    pub decisions: Vec<ApprovalDecision>,
    pub environment: Option<Environment>,
    /// The evidence of the scenario's release in its stage, and in the stage before production.
    pub evidence: [Option<Evidence>; 2],
    pub effects: Vec<Effect>,
    pub losses: Vec<Loss>,
    /// The copies of images that may be used.
    pub usable: Vec<Image>,
}

impl<'a> Remains<'a> {
    /// Collects the state.
    pub async fn of(harness: &'a Harness, scenario: &'a Scenario) -> Self {
        let release = &release(scenario.version).release;
        let evidence = async |stage: &str| {
            let stage = stage.parse().expect("a stage");
            let key = Evidence::key_of(&release.component, &release.digest, &stage);
            harness.ledger.get::<Evidence>(&key).await.expect("a read").map(|found| found.record)
        };
        let versions = harness.ledger.list_kind::<ImageVersion>(1000).await.expect("a list");
        let is_usable = |image: &Image| {
            image.is_usable()
                && versions.iter().map(|found| &found.record).any(|version| {
                    version.version == image.version && version.state == ImageVersionState::Usable
                })
        };
        let images = harness.ledger.list_kind::<Image>(1000).await.expect("a list");
        Self {
            usable: images.into_iter().map(|found| found.record).filter(is_usable).collect(),
            harness,
            scenario,
            deployments: harness.deployments().await,
            decisions: harness.decisions().await,
            environment: harness.environment(scenario.stage).await,
            evidence: [evidence(scenario.stage).await, evidence("ci").await],
            effects: harness.cloud.effects(),
            losses: harness.cloud.losses(),
        }
    }

    /// Returns the state that decides about the next deployment: two harnesses with equal states behave alike.
    pub fn in_short(&self) -> String {
        let runs = self.harness.cloud.runs(&format!("{}-logs", self.scenario.stage));
        let runs = runs.map(|(template, parameters, status)| {
            (Digest::of(template.as_bytes()).to_string(), parameters, status.to_string())
        });
        let environment = self.environment.as_ref().map(|it| {
            let deployed = it.deployed.as_ref().map(|deployed| (&deployed.digest, deployed.checked));
            let holder = it.holder.as_ref().map(|holder| &holder.execution);
            (deployed, holder, it.stack_arn.is_some(), it.ever_stable, &it.taint)
        });
        let states: Vec<_> = self.deployments.iter().map(|deployment| deployment.state).collect();
        format!("{runs:?} {environment:?} {states:?} {:?}", self.evidence[0].is_some())
    }

    /// Returns each broken invariant as a sentence.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        broken.extend(self.one_holder_and_a_rising_epoch());
        broken.extend(self.a_lower_epoch_never_commits());
        broken.extend(self.every_write_of_another_domain_is_fenced());
        broken.extend(self.every_effect_has_its_token_and_happens_once());
        broken.extend(self.every_executed_change_set_was_approved());
        broken.extend(self.production_runs_what_passed_before());
        broken.extend(self.a_stack_that_was_ever_stable_is_kept());
        broken.extend(self.a_protected_resource_is_lost_only_if_approved());
        broken.extend(self.every_deployment_is_closed());
        broken.extend(self.evidence_follows_checks());
        broken.extend(self.every_stack_starts_from_usable_images());
        broken.extend(self.every_stack_finds_its_files());
        broken
    }

    /// Invariant 1: an execution takes an environment from another one only after the other one has ended.
    fn one_holder_and_a_rising_epoch(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut last: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
        for write in self.harness.written().iter().filter(|write| write.kind == "ENVIRONMENT") {
            let epoch = number(&write.body["epoch"]);
            let holder = write.body["holder"]["M"]["execution"]["S"].as_str().map(str::to_owned);
            let before = last.insert(write.pk.clone(), (epoch, holder.clone()));
            let Some((epoch_before, holder_before)) = before else { continue };
            if epoch < epoch_before {
                broken.push(format!("1: the epoch of {} fell from {epoch_before} to {epoch}", write.pk));
            }
            let (Some(old), Some(new)) = (holder_before, holder) else { continue };
            let ended = self
                .harness
                .executions
                .borrow()
                .get(&old)
                .is_some_and(|(status, at)| *status != "RUNNING" && *at <= write.at);
            if old != new && !ended {
                broken.push(format!("1: {} was taken from {old}, which runs", write.pk));
            }
        }
        broken
    }

    /// Invariant 1: an execution that lost its environment closes no deployment as done.
    fn a_lower_epoch_never_commits(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut current: BTreeMap<String, u64> = BTreeMap::new();
        for write in self.harness.written() {
            match write.kind.as_str() {
                "ENVIRONMENT" => drop(current.insert(write.pk.clone(), number(&write.body["epoch"]))),
                // A record about an image holds no environment.
                "DEPLOYMENT"
                    if matches!(text(&write.body["state"]), "succeeded" | "no_changes")
                        && !text(&write.body["component"]).is_empty() =>
                {
                    let stage = format!("STAGE#{}", text(&write.body["stage"]));
                    let (own, now) = (number(&write.body["epoch"]), current.get(&stage));
                    if now.is_some_and(|now| own < *now) {
                        broken.push(format!("1: {} committed at the past epoch {own}", write.pk));
                    }
                }
                _ => {}
            }
        }
        broken
    }

    /// Invariant 1: `stack` owns no environment, so each of its writes of a deployment checks the environment that it read.
    fn every_write_of_another_domain_is_fenced(&self) -> Vec<String> {
        let of_stack = |write: &Written| write.kind == "DEPLOYMENT" && write.by.starts_with("stack ");
        let is_fenced = |write: &Written| {
            let environments = format!("STAGE#{}", text(&write.body["stage"]));
            write.checked.contains(&environments)
        };
        let written = self.harness.written();
        let unfenced = written.iter().filter(|write| of_stack(write) && !is_fenced(write));
        unfenced
            .map(|write| format!("1: {} wrote {} without a check of its environment", write.by, write.pk))
            .collect()
    }

    /// Returns the deployment of each token.
    fn tokens(&self) -> BTreeMap<String, &Deployment> {
        let mut tokens = BTreeMap::new();
        for deployment in &self.deployments {
            for step in STEPS {
                for attempt in 1..=ATTEMPTS {
                    tokens.insert(client_token(deployment.id.as_str(), step, attempt), deployment);
                }
            }
        }
        tokens
    }

    /// Invariant 2: each deployment, step and attempt has at most one effect, unless it was undone in between.
    fn every_effect_has_its_token_and_happens_once(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let (tokens, mut seen) = (self.tokens(), BTreeMap::new());
        let before = client_token("an earlier deployment", "change-set", 1);
        for effect in self.effects.iter().filter(|effect| effect.token != before) {
            if effect.call == "DeleteChangeSet" {
                seen.retain(|_, (_, change_set)| *change_set != effect.change_set);
                continue;
            }
            if effect.call == "DeleteStack" {
                // The change sets of a stack go with it.
                seen.retain(|(call, _), (stack, _)| *call != "CreateChangeSet" || *stack != effect.stack);
            }
            if !tokens.contains_key(&effect.token) {
                broken.push(format!("2: {} has the token of no step: {}", effect.call, effect.token));
            }
            let key = (effect.call, effect.token.clone());
            if seen.insert(key, (effect.stack.clone(), effect.change_set.clone())).is_some() {
                broken.push(format!("2: {} happened twice under {}", effect.call, effect.token));
            }
        }
        broken
    }

    /// Returns the questions that were approved before an effect of their deployment.
    fn approvals(&self, tokens: &BTreeMap<String, &Deployment>, effect: &Effect) -> Vec<&Approval> {
        let Some(deployment) = tokens.get(&effect.token) else { return Vec::new() };
        let given = |decision: &&ApprovalDecision| {
            decision.deployment == deployment.id
                && decision.decision == Some(Decision::Approve)
                && decision.last().is_some_and(|answer| answer.at <= effect.at)
        };
        self.decisions.iter().filter(given).map(|decision| &decision.question).collect()
    }

    /// Invariants 6 and 7: the executed change set is the approved one, if it needed an approval, and its changes are
    /// those that the question showed.
    fn every_executed_change_set_was_approved(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let tokens = self.tokens();
        for effect in self.effects.iter().filter(|effect| effect.call == "ExecuteChangeSet") {
            let arn = effect.change_set.as_deref().unwrap_or_default();
            let changes = truth(effect);
            let destroys = changes.iter().any(|change| change.impact == Impact::DataLoss);
            if !destroys && !effect.stack.contains("/production-") {
                continue;
            }
            let fits = self.approvals(&tokens, effect).iter().any(|approval| match &approval.subject {
                Subject::ChangeSet(approved) => approved.arn == arn && approved.changes == changes,
                Subject::Proposal(_) | Subject::Build(_) | Subject::Publish(_) => false,
            });
            if !fits {
                broken.push(format!("7: {arn} was executed without an approval"));
            }
        }
        broken
    }

    /// Invariant 4: production runs a release that passed the stage before.
    fn production_runs_what_passed_before(&self) -> Vec<String> {
        let executed = self
            .effects
            .iter()
            .any(|effect| effect.call == "ExecuteChangeSet" && effect.stack.contains("/production-"));
        let proven = self.evidence[1].is_some();
        if executed && self.scenario.stage == "production" && !proven {
            return vec!["4: production runs what did not pass ci".to_owned()];
        }
        Vec::new()
    }

    /// Invariant 5: a stack that was ever stable is deleted only with an approval that names it.
    fn a_stack_that_was_ever_stable_is_kept(&self) -> Vec<String> {
        let tokens = self.tokens();
        let deleted = self.effects.iter().filter(|effect| effect.call == "DeleteStack" && effect.was_stable);
        let unapproved = deleted.filter(|effect| {
            !self.approvals(&tokens, effect).iter().any(|approval| match &approval.subject {
                Subject::Proposal(proposal) => {
                    proposal.stack == effect.stack && proposal.action != ProposedAction::Skip
                }
                Subject::ChangeSet(_) | Subject::Build(_) | Subject::Publish(_) => false,
            })
        });
        unapproved.map(|effect| format!("5: {} was stable once, and was deleted", effect.stack)).collect()
    }

    /// Invariant 6: a protected resource is deleted only if the approval listed it.
    fn a_protected_resource_is_lost_only_if_approved(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let tokens = self.tokens();
        let lost = self.losses.iter().filter(|loss| is_protected(&loss.resource_type) && !loss.was_new);
        for loss in lost {
            let effects = self.effects.iter().filter(|effect| effect.token == loss.token);
            let named = effects.flat_map(|effect| self.approvals(&tokens, effect)).any(|approval| {
                match &approval.subject {
                    Subject::ChangeSet(set) => set.changes.iter().any(|change| {
                        change.logical_id == loss.logical_id && change.impact == Impact::DataLoss
                    }),
                    Subject::Proposal(proposal) => {
                        proposal.resources.iter().any(|resource| resource.name == loss.logical_id)
                    }
                    Subject::Build(_) | Subject::Publish(_) => false,
                }
            });
            if !named {
                broken.push(format!("6: {} left {} without an approval", loss.logical_id, loss.stack));
            }
        }
        broken
    }

    /// Invariant 10: no record is left open.
    fn every_deployment_is_closed(&self) -> Vec<String> {
        let open = self.deployments.iter().filter(|deployment| !deployment.state.is_final());
        let mut broken: Vec<String> =
            open.map(|open| format!("10: deployment {} is still {:?}", open.execution, open.state)).collect();
        if let Some(holder) = self.environment.as_ref().and_then(|environment| environment.holder.as_ref()) {
            broken.push(format!("10: {} still holds the environment", holder.execution));
        }
        broken
    }

    /// A stage grants evidence only after checks that passed.
    fn evidence_follows_checks(&self) -> Vec<String> {
        let unproven = self.evidence.iter().flatten().filter(|evidence| {
            let earlier =
                evidence.deployment == lockstep_domain::model::ids::DeploymentId::of_execution("earlier");
            let ground = !self
                .deployments
                .iter()
                .any(|d| d.id == evidence.deployment && self.harness.is_of_this_case(&d.execution));
            !earlier && !ground && !self.harness.checked.borrow().contains(&evidence.deployment)
        });
        unproven.map(|evidence| format!("4: {} passed without its checks", evidence.version)).collect()
    }

    /// A running stack starts instances from its own account's copy of a version that may be used.
    fn every_stack_starts_from_usable_images(&self) -> Vec<String> {
        let stack = format!("{}-logs", self.scenario.stage);
        let runs = self.harness.cloud.runs(&stack);
        let image = runs.and_then(|(_, parameters, _)| parameters.get("Image").cloned());
        let here = location_of(self.scenario.stage);
        let is_it = |ami: &String, usable: &Image| {
            usable.location == here && usable.ami.as_ref().is_some_and(|known| known.as_str() == ami)
        };
        let wrong = image.filter(|ami| !self.usable.iter().any(|usable| is_it(ami, usable)));
        wrong.map(|ami| format!("{stack} starts from {ami}, which may not be used")).into_iter().collect()
    }

    /// A stack finds each file that its template names in the bucket of its account.
    fn every_stack_finds_its_files(&self) -> Vec<String> {
        let stack = format!("{}-logs", self.scenario.stage);
        let Some((template, _, _)) = self.harness.cloud.runs(&stack) else { return Vec::new() };
        let account = location_of(self.scenario.stage).account;
        let copied = self.harness.context.accounts().files.borrow();
        let named = template.split('"').filter(|text| text.starts_with("files/"));
        let lost = named.filter(|key| !copied.contains(&format!("{key} to {account}")));
        lost.map(|key| format!("{stack} does not find {key} in the bucket of {account}")).collect()
    }

    /// Invariant 10: an execution that succeeded deployed its release to the stack, and recorded that in the ledger.
    pub fn success_is_true(&self, run: &Run) -> Vec<String> {
        if !matches!(run.end, End::Succeeded(_)) {
            return Vec::new();
        }
        if self.scenario.is_teardown() {
            return self.a_torn_down_stack_is_deleted();
        }
        let mut broken = Vec::new();
        let wanted = &release(self.scenario.version).release;
        let stack = format!("{}-logs", self.scenario.stage);
        let ended =
            |status: &StackStatus| status.phase() == Phase::Ended && *status != StackStatus::ReviewInProgress;
        match self.harness.cloud.runs(&stack) {
            Some((template, _, status)) if ended(&status) => {
                if Digest::of(template.as_bytes()) != wanted.template_digest {
                    broken.push(format!("10: {stack} does not run the template of {}", wanted.version));
                }
            }
            other => {
                broken.push(format!("10: success, and {stack} is {:?}", other.map(|(_, _, status)| status)))
            }
        }
        if self.scenario.revert_drift && !self.harness.cloud.drifted(&stack).is_empty() {
            broken.push(format!("10: success, and {stack} has drifted still"));
        }
        let says = |deployed: &Deployed| deployed.digest == wanted.digest && deployed.checked;
        let deployed = self.environment.as_ref().and_then(|environment| environment.deployed.as_ref());
        if !deployed.is_some_and(says) {
            broken.push("10: success, and the environment does not say so".to_owned());
        }
        let id = deployment_of(run);
        let state = self.deployments.iter().find(|deployment| deployment.id == id).map(|found| found.state);
        if !matches!(state, Some(DeploymentState::Succeeded | DeploymentState::NoChanges)) {
            broken.push(format!("10: success, and the deployment is {state:?}"));
        }
        let tokens: Vec<String> =
            (1..=ATTEMPTS).map(|attempt| client_token(id.as_str(), "execute", attempt)).collect();
        let executed = self.effects.iter().any(|effect| tokens.contains(&effect.token));
        if executed != (state == Some(DeploymentState::Succeeded)) {
            broken
                .push(format!("10: a change set was executed: {executed}, and the deployment is {state:?}"));
        }
        if self.evidence[0].is_none() {
            broken.push("10: success, and there is no evidence of it".to_owned());
        }
        broken
    }
}

impl Remains<'_> {
    fn a_torn_down_stack_is_deleted(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if let Some((_, _, status)) = self.harness.cloud.runs(&format!("{}-logs", self.scenario.stage)) {
            broken.push(format!("10: torn down, and the stack is {status}"));
        }
        if self.environment.as_ref().is_some_and(|environment| environment.deployed.is_some()) {
            broken.push("10: torn down, and the environment still says what it runs".to_owned());
        }
        broken
    }
}

/// Invariant 10: in bounded steps.
pub fn steps_are_bounded(run: &Run) -> Vec<String> {
    if run.transitions <= TRANSITIONS_MAX {
        return Vec::new();
    }
    vec![format!("10: {} transitions, ended {}", run.transitions, word(run))]
}

/// Returns the changes of a change set, judged at the time of its execution.
fn truth(effect: &Effect) -> Vec<Change> {
    let none = BTreeSet::new();
    effect.changes.iter().map(|change| change.clone().judged(&[], &none, NestedChanges::NotNested)).collect()
}

fn number(value: &Value) -> u64 {
    value["N"].as_str().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value["S"].as_str().unwrap_or_default()
}
