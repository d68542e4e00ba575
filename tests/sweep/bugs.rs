//! Known mistakes, planted in what passes between the parts: the product carries no switches.
//!
//! Each is one that deployers have made. A mistake in a function is planted as what that function would send, believe
//! or answer if it made it; one in a state machine is planted in its text.

use crate::workflows::Work;
use lockstep_domain::images::promotion::Ami;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::token::client_token;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::plan::{LiveResource, StackStatus};
use lockstep_platform::cloudformation::{ChangeSetView, Stack};
use lockstep_sim::faulty::Mistake;
use lockstep_sim::{Reply, Request};
use serde_json::{Value, json};
use std::cell::Cell;

/// What [`Bug::ApprovalByName`] calls every change set.
pub const BY_NAME: &str = "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/by-name";

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Each call gets a token of its own.
    RandomToken,
    /// The token contains the epoch.
    EpochInToken,
    /// Writes to the ledger have no condition.
    NoCondition,
    /// Decisions read what may be stale.
    StaleLedger,
    /// An effect is not on record before it happens.
    NoIntent,
    /// A stack that cannot be read is taken for none.
    EmptyIsAbsent,
    /// A stack whose rollback failed is deleted and made again.
    OnceStableRecreated,
    /// What survives in a failed stack is not looked at.
    SurvivorsIgnored,
    /// A replacement that is conditional is taken for none.
    ConditionalIgnored,
    /// Removals are not judged.
    RemovalsIgnored,
    /// An approval names the change set, not its ARN.
    ApprovalByName,
    /// What was approved is executed without another look at what is wanted.
    NoReplan,
    /// A stack that was only reviewed is taken for a created one.
    ReviewIsFinal,
    /// A stack is well if its status ends in COMPLETE.
    SuccessByStatus,
    /// An operation that still runs is taken for done.
    RunningIsDone,
    /// Nobody asks for a wait to be looked at.
    NoWake,
    /// A failure that is not retried is not recorded either.
    NoCatch,
    /// Releases are not checked.
    NoChecks,
    /// What was shared is not withdrawn when a promotion fails.
    ForgottenUnshare,
    /// An image is shared without its snapshots.
    ImageAlone,
    /// Each copy of an image gets a token of its own.
    RandomCopyToken,
    /// A copy gets its tags in a call of their own.
    TagLater,
    /// What must stay in its account is taken for what may leave.
    LicenceIgnored,
    /// The use of a key is granted for good.
    GrantKept,
    /// Each build of an image gets a token of its own.
    RandomBuildToken,
    /// A version that is withheld is taken for usable.
    WithheldIsResolved,
    /// A version that is withheld is deployed.
    WithheldIsDeployed,
    /// A version stays usable though an account could not get it.
    LackingIsUsable,
    /// What is given up is removed although something uses it.
    UsedIsDiscarded,
    /// What a build left that failed is not looked for.
    DebrisIgnored,
}

impl Bug {
    /// Every one.
    pub const ALL: [Bug; 30] = [
        Self::RandomToken,
        Self::EpochInToken,
        Self::NoCondition,
        Self::StaleLedger,
        Self::NoIntent,
        Self::EmptyIsAbsent,
        Self::OnceStableRecreated,
        Self::SurvivorsIgnored,
        Self::ConditionalIgnored,
        Self::RemovalsIgnored,
        Self::ApprovalByName,
        Self::NoReplan,
        Self::ReviewIsFinal,
        Self::SuccessByStatus,
        Self::RunningIsDone,
        Self::NoWake,
        Self::NoCatch,
        Self::NoChecks,
        Self::ForgottenUnshare,
        Self::ImageAlone,
        Self::RandomCopyToken,
        Self::TagLater,
        Self::LicenceIgnored,
        Self::GrantKept,
        Self::RandomBuildToken,
        Self::WithheldIsResolved,
        Self::WithheldIsDeployed,
        Self::LackingIsUsable,
        Self::UsedIsDiscarded,
        Self::DebrisIgnored,
    ];

    /// A state machine with the mistake in it.
    pub fn twist_machine(self, work: Work, machine: &mut Value) {
        let states = &mut machine["States"];
        match (self, work) {
            (Self::ForgottenUnshare, Work::PromoteImage) => {
                states["UnshareAfterFailure"] = json!({"Type": "Pass", "Next": "RecordFailure"});
            }
            (Self::NoReplan, Work::Deploy) => states["Retake"]["Next"] = json!("Execute"),
            (Self::RunningIsDone, Work::Deploy) => states["Observed"]["Choices"][0]["Next"] = json!("Check"),
            (Self::NoCatch, Work::Deploy) => {
                states["Execute"]["Catch"].as_array_mut().into_iter().for_each(Vec::clear)
            }
            (Self::NoChecks, Work::Deploy) => {
                states["Check"] = json!({"Type": "Pass", "Next": "Complete"});
            }
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

    /// What is sent in place of a request.
    pub fn twist_request(self, request: &mut Request) {
        let Ok(mut body) = serde_json::from_str::<Value>(&request.body) else { return };
        match self {
            Self::NoCondition => {
                without_condition(&mut body);
                for item in body["TransactItems"].as_array_mut().into_iter().flatten() {
                    without_condition(&mut item["Put"]);
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
            Self::LackingIsUsable if body["Item"]["kind"]["S"] == "IMAGEVERSION" => {
                let state = &mut body["Item"]["body"]["M"]["state"]["S"];
                if *state == "discarding" {
                    *state = json!("usable");
                }
            }
            _ => return,
        }
        request.body = body.to_string();
    }

    /// The reply to a request that the mistake never makes.
    pub fn swallows(self, request: &Request) -> Option<Reply> {
        match (self, request.operation.as_str()) {
            (Self::NoWake, "Invoke") => Some((202, String::new())),
            _ => None,
        }
    }

    /// What is believed of a reply.
    pub fn twist_reply(self, request: &Request, reply: &mut Reply) {
        if self == Self::OnceStableRecreated && request.operation == "GetItem" {
            reply.1 = reply.1.replace("\"ever_stable\":{\"BOOL\":true}", "\"ever_stable\":{\"BOOL\":false}");
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

    fn revokes_grants(&self) -> bool {
        *self != Self::GrantKept
    }
}

/// A number that no call had before.
fn next_call() -> u32 {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    CALLS.set(CALLS.get() + 1);
    CALLS.get()
}

fn without_condition(put: &mut Value) {
    if let Some(put) = put.as_object_mut().filter(|put| put.contains_key("ConditionExpression")) {
        put.remove("ConditionExpression");
        put.remove("ExpressionAttributeValues");
    }
}
