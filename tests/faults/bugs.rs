//! Known mistakes, planted in the messages between the parts, because the product carries no switches.
//!
//! Each is a mistake that deployers have made. A mistake in a function is planted as the request that the function
//! would send, the reply that it would believe, or the answer that it would return. A mistake in a state machine is
//! planted in its text.

use crate::workflows::Work;
use lockstep_aws::cloudformation::{ChangeSetView, Stack};
use lockstep_domain::images::promotion::Ami;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::token::client_token;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::plan::{LiveResource, StackStatus};
use lockstep_sim::faulty::Mistake;
use lockstep_sim::{Reply, Request};
use serde_json::{Value, json};
use std::cell::Cell;
use strum::VariantArray;

/// The ARN of every change set under [`Bug::ApprovalByName`].
pub const BY_NAME: &str = "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/by-name";

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Bug {
    /// Each call gets a token of its own.
    RandomToken,
    /// The token contains the epoch.
    EpochInToken,
    /// Writes to the ledger have no condition.
    NoCondition,
    /// A function of a path writes a deployment without a check of the environment's epoch.
    NoFence,
    /// Decisions use inconsistent reads.
    StaleLedger,
    /// An effect happens before it is on record.
    NoIntent,
    /// A stack that cannot be read counts as absent.
    EmptyIsAbsent,
    /// A stack whose rollback failed is deleted and created again.
    OnceStableRecreated,
    /// Resources that survive in a failed stack are ignored.
    SurvivorsIgnored,
    /// A conditional replacement counts as none.
    ConditionalIgnored,
    /// Removals are not judged.
    RemovalsIgnored,
    /// An approval names the change set by its name, not by its ARN.
    ApprovalByName,
    /// An approved change set is executed without a second plan.
    NoReplan,
    /// A stack in review counts as a created one.
    ReviewIsFinal,
    /// A stack counts as healthy if its status ends in COMPLETE.
    SuccessByStatus,
    /// The files that a template names are not copied to the account.
    FileIsLost,
    /// A running operation counts as done.
    RunningIsDone,
    /// No wake is requested for a wait.
    NoWake,
    /// A deployment that meets a busy environment does not wait for its turn.
    NoTurn,
    /// A failure that is not retried is not recorded either.
    NoCatch,
    /// Releases are not checked.
    NoChecks,
    /// A failed promotion does not withdraw the sharing.
    ForgottenUnshare,
    /// An image is shared without its snapshots.
    ImageAlone,
    /// Each copy of an image gets a token of its own.
    RandomCopyToken,
    /// A copy gets its tags in a separate call.
    TagLater,
    /// An image whose licence binds it to its account counts as free to copy.
    LicenceIgnored,
    /// The grant of a key is never revoked.
    GrantKept,
    /// Each build of an image gets a token of its own.
    RandomBuildToken,
    /// A withheld version counts as usable.
    WithheldIsResolved,
    /// A withheld version is deployed.
    WithheldIsDeployed,
    /// A version remains usable although an account lacks it.
    LackingIsUsable,
    /// A discarded image is removed while an instance uses it.
    UsedIsDiscarded,
    /// The debris of a failed build is ignored.
    DebrisIgnored,
    /// A build in an account of the promotion path needs no approval.
    BuildsUnasked,
    /// The inputs of an environment are not on record, so it never counts as stale.
    InputsForgotten,
    /// All components of a push begin at once.
    NoOrder,
    /// The redeployment of a stale environment is not on record.
    FollowedForgotten,
    /// A deployment whose turn came begins without the lease.
    TurnTakesNoLease,
    /// A push that a later one overtook continues.
    OvertakenGoesOn,
    /// An environment forgets which release the newest push brought.
    NewestIsForgotten,
    /// No deployment is woken for its turn.
    NoWakeOfTurn,
    /// The last of a queue comes first.
    LastComesFirst,
    /// The record of a cancelled deployment is not written.
    CancelledBegins,
    /// An environment forgets its hold.
    HoldIsForgotten,
    /// A release whose checks failed counts as one that passed.
    FailedCountsAsPassed,
    /// An environment with an open question counts as free.
    QuestionFreesEnvironment,
    /// A deployment asks again after its answer.
    AnswerIsForgotten,
    /// Success is reported before the deployment is closed.
    SuccessBeforeEnd,
}

impl Bug {
    /// Every mistake.
    pub const ALL: &[Bug] = Bug::VARIANTS;

    /// Plants the mistake in a state machine.
    pub fn twist_machine(self, work: Work, machine: &mut Value) {
        let states = &mut machine["States"];
        match (self, work) {
            (Self::ForgottenUnshare, Work::PromoteImage) => {
                states["UnshareAfterFailure"] = json!({"Type": "Pass", "Next": "RecordFailure"});
            }
            (Self::NoOrder, Work::Release) => {
                states["Components"]["Items"] = json!("{% [$components[outcome = 'packaged']] %}");
            }
            (Self::NoReplan, Work::Deploy) => states["Proceed"]["Next"] = json!("Execute"),
            (Self::NoTurn, Work::Deploy) => states["Begun"]["Choices"][0]["Next"] = json!("Plan"),
            (Self::RunningIsDone, Work::Deploy) => states["Observed"]["Choices"][0]["Next"] = json!("Check"),
            (Self::NoCatch, Work::Deploy) => {
                states["Execute"]["Catch"].as_array_mut().into_iter().for_each(Vec::clear)
            }
            (Self::NoChecks, Work::Deploy) => {
                states["Check"] = json!({"Type": "Pass", "Next": "Complete"});
            }
            (Self::TurnTakesNoLease, Work::Deploy) => states["AwaitTurn"]["Next"] = json!("Plan"),
            (Self::OvertakenGoesOn, Work::Deploy) => {
                let goes_on = json!({"ErrorEquals": ["Overtaken"], "Output": {}, "Next": "Plan"});
                if let Some(catches) = states["Begin"]["Catch"].as_array_mut() {
                    catches.insert(0, goes_on);
                }
            }
            (Self::AnswerIsForgotten, Work::Deploy) => states["AskApproval"]["Next"] = json!("Plan"),
            (Self::SuccessBeforeEnd, Work::Deploy) => states["Check"]["Next"] = json!("Done"),
            _ => {}
        }
    }

    fn status(self, status: &str) -> &str {
        match (self, status) {
            (Self::OnceStableRecreated, "UPDATE_ROLLBACK_FAILED") => "ROLLBACK_COMPLETE",
            (Self::ReviewIsFinal, "REVIEW_IN_PROGRESS") => "CREATE_COMPLETE",
            (Self::SuccessByStatus, "UPDATE_ROLLBACK_COMPLETE") => "UPDATE_COMPLETE",
            (Self::SuccessByStatus, "ROLLBACK_COMPLETE") => "CREATE_COMPLETE",
            (_, status) => status,
        }
    }

    /// Replaces a request by the one that the mistake sends.
    pub fn twist_request(self, request: &mut Request) {
        let Ok(mut body) = serde_json::from_str::<Value>(&request.body) else { return };
        match self {
            Self::NoCondition => {
                without_condition(&mut body);
                for item in body["TransactItems"].as_array_mut().into_iter().flatten() {
                    without_condition(&mut item["Put"]);
                }
            }
            Self::NoFence => {
                if let Some(items) = body["TransactItems"].as_array_mut() {
                    items.retain(|item| !item["ConditionCheck"].is_object());
                }
            }
            Self::StaleLedger => drop(body.as_object_mut().and_then(|body| body.remove("ConsistentRead"))),
            Self::NoIntent => {
                if let Some(deployment) = body["Item"]["body"]["M"].as_object_mut() {
                    deployment.insert("operations".to_owned(), json!({"L": []}));
                }
                for item in body["TransactItems"].as_array_mut().into_iter().flatten() {
                    if let Some(deployment) = item["Put"]["Item"]["body"]["M"].as_object_mut() {
                        deployment.insert("operations".to_owned(), json!({"L": []}));
                    }
                }
            }
            Self::InputsForgotten => without_field(&mut body, "ENVIRONMENT", "inputs"),
            Self::FollowedForgotten => without_field(&mut body, "ENVIRONMENT", "followed"),
            Self::LackingIsUsable if body["Item"]["kind"]["S"] == "IMAGEVERSION" => {
                let state = &mut body["Item"]["body"]["M"]["state"]["S"];
                if *state == "discarding" {
                    *state = json!("usable");
                }
            }
            Self::CancelledBegins if cancels(&body) => {
                if let Some(items) = body["TransactItems"].as_array_mut() {
                    items.retain(|item| item["Put"]["Item"]["kind"]["S"] != "DEPLOYMENT");
                }
            }
            _ => {
                if !self.twist_environments(&mut body) {
                    return;
                }
            }
        }
        request.body = body.to_string();
    }

    /// Changes each environment that a request writes. Returns false if the mistake is about something else.
    fn twist_environments(self, body: &mut Value) -> bool {
        let change: fn(&mut serde_json::Map<String, Value>) = match self {
            Self::NewestIsForgotten => |environment| drop(environment.remove("newest_push")),
            Self::HoldIsForgotten => |environment| drop(environment.remove("hold")),
            Self::LastComesFirst => |environment| {
                if let Some(queue) = environment.get_mut("queue").and_then(|queue| queue["L"].as_array_mut())
                {
                    let pushed =
                        |entry: &Value| entry["M"]["since"]["S"].as_str().unwrap_or_default().to_owned();
                    queue.sort_by_key(|entry| std::cmp::Reverse(pushed(entry)));
                }
            },
            Self::FailedCountsAsPassed => |environment| {
                if let Some(deployed) = environment.get_mut("deployed") {
                    deployed["M"]["checked"] = json!({"BOOL": true});
                }
            },
            _ => return false,
        };
        let plain = body["Item"]["kind"]["S"] == "ENVIRONMENT";
        if plain && let Some(environment) = body["Item"]["body"]["M"].as_object_mut() {
            change(environment);
        }
        let items = body["TransactItems"].as_array_mut().into_iter().flatten();
        for item in items.filter(|item| item["Put"].is_object()) {
            let item = &mut item["Put"]["Item"];
            if item["kind"]["S"] == "ENVIRONMENT"
                && let Some(environment) = item["body"]["M"].as_object_mut()
            {
                change(environment);
            }
        }
        true
    }

    /// Returns the reply to a request that the mistake omits.
    pub fn swallows(self, request: &Request) -> Option<Reply> {
        match (self, request.operation.as_str()) {
            (Self::NoWake, "Invoke") => Some((202, String::new())),
            (Self::NoWakeOfTurn, "Invoke") if request.body.contains("\"wake\":\"turn#") => {
                Some((202, String::new()))
            }
            _ => None,
        }
    }

    /// Replaces a reply by the one that the mistake believes.
    pub fn twist_reply(self, request: &Request, reply: &mut Reply) {
        if self == Self::OnceStableRecreated && request.operation == "GetItem" {
            reply.1 = reply.1.replace("\"ever_stable\":{\"BOOL\":true}", "\"ever_stable\":{\"BOOL\":false}");
        }
        if self == Self::QuestionFreesEnvironment && request.operation == "GetItem" {
            free_after_question(reply);
        }
        if self == Self::BuildsUnasked {
            reply.1 = reply.1.replace(r#"builds = \"approved\""#, r#"builds = \"automatic\""#);
        }
        let believes = match self {
            Self::WithheldIsResolved => request.operation == "Query",
            Self::WithheldIsDeployed => request.operation == "GetItem",
            _ => false,
        };
        if believes {
            reply.1 = reply.1.replace("\"S\":\"withheld\"", "\"S\":\"usable\"");
        }
    }
}

impl Mistake for Bug {
    fn build_token(&self, token: &mut String) {
        if *self == Self::RandomBuildToken {
            *token = client_token(token, "random", next_call());
        }
    }

    fn token(&self, token: &mut String) {
        match self {
            Self::RandomToken | Self::RandomCopyToken => *token = client_token(token, "random", next_call()),
            Self::EpochInToken => *token = client_token(token, "epoch", 1),
            _ => {}
        }
    }

    fn change_set_id(&self, asked: &str, newest: Option<String>) -> String {
        match newest {
            Some(newest) if *self == Self::ApprovalByName && asked == BY_NAME => newest,
            _ => asked.to_owned(),
        }
    }

    fn stack(&self, seen: Result<Option<Stack>, Failure>) -> Result<Option<Stack>, Failure> {
        let mut seen = match (self, seen) {
            (Self::EmptyIsAbsent, Err(_)) => return Ok(None),
            (_, seen) => seen?,
        };
        if let Some(stack) = &mut seen {
            stack.status = StackStatus::parse(self.status(stack.status.as_str()));
        }
        Ok(seen)
    }

    fn events(&self, seen: Result<Vec<StackEvent>, Failure>) -> Result<Vec<StackEvent>, Failure> {
        if *self == Self::EmptyIsAbsent {
            return Ok(seen.unwrap_or_default());
        }
        let mut events = seen?;
        if *self == Self::SuccessByStatus {
            events.iter_mut().for_each(|event| event.status = self.status(&event.status).to_owned());
        }
        Ok(events)
    }

    fn resources(&self, seen: Result<Vec<LiveResource>, Failure>) -> Result<Vec<LiveResource>, Failure> {
        match self {
            Self::SurvivorsIgnored | Self::OnceStableRecreated => seen.map(|_| Vec::new()),
            Self::EmptyIsAbsent => Ok(seen.unwrap_or_default()),
            _ => seen,
        }
    }

    fn change_set(&self, mut view: ChangeSetView) -> ChangeSetView {
        match self {
            Self::ConditionalIgnored => {
                for change in view.changes.iter_mut().flatten().filter(|c| c.replacement == "Conditional") {
                    change.replacement = "False".to_owned();
                    change.policy_action.clear();
                }
            }
            Self::RemovalsIgnored => {
                view.changes.iter_mut().for_each(|all| all.retain(|c| c.action != "Remove"))
            }
            Self::ApprovalByName => view.arn = BY_NAME.to_owned(),
            _ => {}
        }
        view
    }

    fn ami(&self, mut ami: Ami) -> Ami {
        if *self == Self::LicenceIgnored {
            ami.platform_details = "Linux/UNIX".to_owned();
        }
        ami
    }

    fn looks_for_debris(&self) -> bool {
        *self != Self::DebrisIgnored
    }

    fn shares_snapshots(&self) -> bool {
        *self != Self::ImageAlone
    }

    fn tags_at_once(&self) -> bool {
        *self != Self::TagLater
    }

    fn looks_for_references(&self) -> bool {
        *self != Self::UsedIsDiscarded
    }

    fn copies_files(&self) -> bool {
        *self != Self::FileIsLost
    }

    fn revokes_grants(&self) -> bool {
        *self != Self::GrantKept
    }
}

/// Returns a number that is unique among calls.
fn next_call() -> u32 {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    CALLS.set(CALLS.get() + 1);
    CALLS.get()
}

/// Removes a field from each record of `kind` that a request writes.
fn without_field(body: &mut Value, kind: &str, field: &str) {
    let remove = |put: &mut Value| {
        if put["Item"]["kind"]["S"] == kind
            && let Some(record) = put["Item"]["body"]["M"].as_object_mut()
        {
            record.remove(field);
        }
    };
    if body["Item"].is_object() {
        remove(body);
    }
    for item in body["TransactItems"].as_array_mut().into_iter().flatten() {
        if item["Put"].is_object() {
            remove(&mut item["Put"]);
        }
    }
}

/// Returns true if a request closes a deployment that an operator cancelled before it began.
fn cancels(body: &Value) -> bool {
    let items = body["TransactItems"].as_array().into_iter().flatten();
    let mut records = items.map(|item| &item["Put"]["Item"]);
    records.any(|item| item["kind"]["S"] == "DEPLOYMENT" && item["body"]["M"]["state"]["S"] == "cancelled")
}

/// Removes the holder from an environment of production: its deployments ask before they do anything.
fn free_after_question(reply: &mut Reply) {
    let Ok(mut found) = serde_json::from_str::<Value>(&reply.1) else { return };
    let item = &mut found["Item"];
    let asked = item["kind"]["S"] == "ENVIRONMENT" && item["body"]["M"]["stage"]["S"] == "production";
    if asked && let Some(environment) = item["body"]["M"].as_object_mut() {
        environment.remove("holder");
        reply.1 = found.to_string();
    }
}

fn without_condition(put: &mut Value) {
    if let Some(put) = put.as_object_mut().filter(|put| put.contains_key("ConditionExpression")) {
        put.remove("ConditionExpression");
        put.remove("ExpressionAttributeValues");
    }
}
