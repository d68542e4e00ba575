//! The installation: the caller's identity, the control plane's location, the code of its functions.

use crate::aws::Aws;
use crate::failure::{code, failure};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, Region};
use serde::{Deserialize, Serialize};

/// The SSM parameter that holds the control plane's addresses.
pub const PARAMETER: &str = "/lockstep/control-plane";

/// Addresses of the control plane, as the stack `lockstep-control-plane` published them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlane {
    /// The installed version.
    pub version: String,
    /// Its region.
    pub region: Region,
    /// Its account, the tooling account.
    pub account: AccountId,
    /// The bucket of artifacts.
    pub bucket: String,
    /// The base URL of webhooks; the repository's id follows it.
    pub webhook_url: String,
    /// The URLs of the functions that change the ledger for people.
    pub ledger_urls: LedgerUrls,
    /// The event bus that target accounts forward their events to.
    pub event_bus_arn: String,
    /// The external id that the control plane presents when it assumes a role in another account.
    pub external_id: String,
    /// The state machines.
    pub state_machines: StateMachines,
}

/// The URL of the authority's function for each kind of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUrls {
    /// That of operators.
    pub operators: String,
    /// That of approvers.
    pub approvers: String,
    /// That of administrators.
    pub administrators: String,
}

impl LedgerUrls {
    /// Returns the URL of the function that takes this action of a person.
    pub fn of(&self, request: &Request) -> Option<&str> {
        match request.callers() {
            Callers::Operators => Some(&self.operators),
            Callers::Approvers => Some(&self.approvers),
            Callers::Administrators => Some(&self.administrators),
            Callers::Delivery | Callers::Promotion | Callers::Sweep => None,
        }
    }
}

/// The ARNs of the state machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMachines {
    /// `release`.
    pub release: String,
    /// `promote`.
    pub promote: String,
    /// `promote-image`.
    pub promote_image: String,
    /// `bake-image`.
    pub bake_image: String,
    /// `build-image` of the delivery path.
    pub delivery_build_image: String,
    /// `build-image` of the promotion path.
    pub promotion_build_image: String,
    /// `deploy` of the delivery path.
    pub delivery_deploy: String,
    /// `deploy` of the promotion path.
    pub promotion_deploy: String,
    /// `teardown` of the delivery path.
    pub delivery_teardown: String,
    /// `teardown` of the promotion path.
    pub promotion_teardown: String,
    /// `drift` of the delivery path.
    pub delivery_drift: String,
    /// `drift` of the promotion path.
    pub promotion_drift: String,
}

impl std::fmt::Debug for ControlPlane {
    /// Omits the external id, which is confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ControlPlane({} {} {})", self.version, self.account, self.region)
    }
}

/// Returns the account of these credentials and the ARN of their principal.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
pub async fn identity(aws: &Aws) -> Result<(AccountId, String), Failure> {
    let client = aws_sdk_sts::Client::new(aws.sdk_config());
    let answer = client.get_caller_identity().send().await;
    let answer = answer.map_err(|error| failure("GetCallerIdentity", "of these credentials", &error))?;
    let account = answer.account().unwrap_or_default().parse();
    let account = account.map_err(|error| Failure::bug("GetCallerIdentity answered").caused_by(&error))?;
    Ok((account, answer.arn().unwrap_or_default().to_owned()))
}

/// Returns the addresses of the control plane of this account and region; `None` if none is installed.
pub async fn find(aws: &Aws) -> Result<Option<ControlPlane>, Failure> {
    let client = aws_sdk_ssm::Client::new(aws.sdk_config());
    let answer = match client.get_parameter().name(PARAMETER).send().await {
        Ok(answer) => answer,
        Err(error) if code(&error) == Some("ParameterNotFound") => return Ok(None),
        Err(error) => return Err(failure("GetParameter", PARAMETER, &error)),
    };
    let text = answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
    let read = serde_json::from_str(text);
    read.map(Some).map_err(|error| {
        let message = format!("{PARAMETER} was written by another version of Lockstep; install again");
        Failure::rejected(message).caused_by(&error)
    })
}

/// Returns the SHA-256 of a function's code as Lambda reports it; `None` if there is no such function.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>
pub async fn code_sha256(aws: &Aws, function: &str) -> Result<Option<String>, Failure> {
    let client = aws_sdk_lambda::Client::new(aws.sdk_config());
    match client.get_function().function_name(function).send().await {
        Ok(answer) => Ok(answer.configuration().and_then(|c| c.code_sha256()).map(str::to_owned)),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failure("GetFunction", function, &error)),
    }
}
