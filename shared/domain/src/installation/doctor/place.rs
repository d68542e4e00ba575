//! Judges one account and region that Lockstep deploys to.

use super::resource;
use super::{Finding, QuotaFacts, Reading, ResourceFacts, StackFacts, limits};
use crate::model::build_policy::BuildPolicy;
use crate::model::ids::{AccountId, Region};

/// Facts of one account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// True if images are promoted out of the account: it is on the delivery path.
    pub sends_images: bool,
    /// Permission of builds of images there; `None` if each push builds there, or no stage is there.
    pub builds: Reading<Option<BuildPolicy>>,
    /// Account of the credentials that were used in this location.
    pub caller: Reading<AccountId>,
    /// The stack `lockstep-target` of the location.
    pub stack: StackFacts,
    /// Resources of that stack.
    pub resources: Vec<ResourceFacts>,
    /// EBS encryption by default.
    pub encryption: Reading<Encryption>,
    /// The setting "Allowed AMIs".
    pub allowed_images: Reading<AllowedImages>,
    /// Dry runs: calls that EC2 judges and does not make.
    pub dry_runs: Vec<(String, Reading<DryRun>)>,
    /// Service control policies that apply to the account; `None` if the caller may not read them.
    pub service_control_policies: Reading<Option<Vec<String>>>,
    /// Quotas of the account.
    pub quotas: Vec<QuotaFacts>,
}

/// EBS encryption by default.
/// <https://docs.aws.amazon.com/ebs/latest/userguide/encryption-by-default.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Encryption is off.
    Off,
    /// Encryption is on, with the key of this alias or ARN.
    On {
        /// The default key.
        key: String,
        /// True if the account has the key `alias/lockstep-images`.
        has_image_key: bool,
    },
}

/// The setting "Allowed AMIs".
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedImages {
    /// Every image is allowed.
    Disabled,
    /// Images outside the criteria are reported, and allowed.
    Audit,
    /// Only images of these providers are allowed: account ids, and AWS's aliases.
    Enabled {
        /// Image providers of all criteria.
        providers: Vec<String>,
    },
}

/// EC2's answer to a dry run. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// The call would succeed.
    Allowed,
    /// The caller may not make the call; EC2's message.
    Denied(String),
    /// The account has no image for the dry run.
    NotAsked,
}

pub(super) fn judge(place: &TargetFacts, providers: &[&AccountId]) -> Vec<Finding> {
    let name = format!("account {} in {}", place.account, place.region);
    let caller = match &place.caller {
        // No fact of the location can be read, so there is one finding instead of many.
        Err(unknown) => return vec![Finding::unknown(&name, unknown)],
        Ok(caller) if *caller != place.account => {
            let sentence = format!("the credentials given for it are of account {caller}");
            return vec![Finding::broken(
                &name,
                sentence,
                "name a profile of the account with --target-profile",
            )];
        }
        Ok(_) => Finding::fine(&name, "the credentials given for it are its own"),
    };
    let mut findings = vec![caller];
    findings.extend(super::judge::judge_stack(&place.stack, &format!(" in {}", place.account)));
    findings.extend(place.resources.iter().flat_map(resource::judge));
    findings.push(judge_encryption(&format!("EBS encryption of {name}"), &place.encryption));
    findings.extend(judge_builds(&format!("builds of images in {name}"), &place.builds));
    findings.push(judge_allowed(&format!("Allowed AMIs of {name}"), &place.allowed_images, providers));
    findings.extend(
        place
            .dry_runs
            .iter()
            .filter_map(|(call, answer)| judge_dry_run(&format!("{call} in {name}"), answer)),
    );
    findings.extend(judge_policies(
        &format!("service control policies of {name}"),
        &place.service_control_policies,
    ));
    findings.extend(place.quotas.iter().map(limits::judge));
    findings
}

fn judge_encryption(subject: &str, encryption: &Reading<Encryption>) -> Finding {
    match encryption {
        Err(unknown) => Finding::unknown(subject, unknown),
        Ok(Encryption::Off) => Finding::fine(subject, "it is off by default"),
        Ok(Encryption::On { key, has_image_key }) => {
            let is_aws_managed = key.is_empty() || key.ends_with("alias/aws/ebs");
            if is_aws_managed && !has_image_key {
                Finding::warning(
                    subject,
                    "it is on by default under the key of AWS, so no image of this account can be shared",
                    "lockstep accounts add ... --image-key makes the key alias/lockstep-images, which bakes then use",
                )
            } else {
                Finding::fine(subject, "it is on by default under a key that can be shared")
            }
        }
    }
}

/// Judges the permission of builds. Automatic builds are a choice of an administrator, and no fault.
fn judge_builds(subject: &str, builds: &Reading<Option<BuildPolicy>>) -> Option<Finding> {
    let sentence = match builds {
        Err(unknown) => return Some(Finding::unknown(subject, unknown)),
        Ok(None) => return None,
        Ok(Some(BuildPolicy::Approved)) => "a person approves each one",
        Ok(Some(BuildPolicy::Automatic)) => {
            "they begin without a person, so each push to a default branch can run code there"
        }
    };
    Some(Finding::fine(subject, sentence))
}

fn judge_allowed(subject: &str, allowed: &Reading<AllowedImages>, providers: &[&AccountId]) -> Finding {
    match allowed {
        Err(unknown) => Finding::unknown(subject, unknown),
        Ok(AllowedImages::Disabled) => Finding::fine(subject, "every image is allowed"),
        Ok(AllowedImages::Audit) => {
            Finding::fine(subject, "images outside the criteria are reported, and allowed")
        }
        Ok(AllowedImages::Enabled { providers: known }) => {
            let missing: Vec<&str> = providers
                .iter()
                .map(|account| account.as_str())
                .filter(|account| !known.iter().any(|provider| provider == account))
                .collect();
            if missing.is_empty() {
                Finding::fine(subject, "the criteria name every account that images come from")
            } else {
                Finding::broken(
                    subject,
                    format!("images of {} cannot be seen or copied here", missing.join(", ")),
                    "add those accounts to the criteria: aws ec2 replace-image-criteria-in-allowed-images-settings",
                )
            }
        }
    }
}

/// Judges a dry run. The caller's credentials may allow less than the roles of Lockstep, so a denial counts
/// only if it binds the roles too.
fn judge_dry_run(subject: &str, answer: &Reading<DryRun>) -> Option<Finding> {
    match answer {
        Err(unknown) => Some(Finding::unknown(subject, unknown)),
        Ok(DryRun::Allowed) => Some(Finding::fine(subject, "EC2 would make the call")),
        Ok(DryRun::Denied(words)) if words.contains("service control policy") => Some(Finding::broken(
            subject,
            "a service control policy denies it, also to the roles of Lockstep",
            "ask the administrator of the organization to allow it",
        )),
        Ok(DryRun::Denied(_) | DryRun::NotAsked) => None,
    }
}

/// Judges service control policies. Most accounts may not read the policies that bind them. The finding of
/// each role reports the actions that they deny.
fn judge_policies(subject: &str, policies: &Reading<Option<Vec<String>>>) -> Option<Finding> {
    let policies = match policies {
        Err(unknown) => return Some(Finding::unknown(subject, unknown)),
        Ok(policies) => policies.as_ref()?,
    };
    if policies.iter().all(|name| name == "FullAWSAccess") {
        return Some(Finding::fine(subject, "none restricts the account"));
    }
    Some(Finding::warning(
        subject,
        format!("these apply: {}", policies.join(", ")),
        "read them: a denied action fails a deployment half-way",
    ))
}
