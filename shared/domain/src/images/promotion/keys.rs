//! KMS keys of encrypted images: their owners and their permitted users.
//!
//! A snapshot under a customer key can leave its account if the target may use that key, which a grant for the duration
//! of the copy allows. A snapshot under the AWS-managed key can never leave. The copy is encrypted under a customer key
//! of the target, [`KEY_ALIAS`], and the target's Auto Scaling groups must be able to launch with that key.
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html>,
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>

use super::KEY_ALIAS;
use crate::model::ids::SnapshotId;
use crate::model::location::Location;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Operations granted to a target on the key of a source during the copy: those that EBS needs to read a snapshot under
/// it.
pub const GRANT_OPERATIONS: [&str; 6] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// Operations that Auto Scaling needs on the key of an image, to launch from it.
const LAUNCH_OPERATIONS: [&str; 6] = GRANT_OPERATIONS;

/// Operations that AWS recommends to grant to Auto Scaling
/// (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>).
const ADVISED_OPERATIONS: [&str; 8] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// A KMS key, as DescribeKey returns it.
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// ARN of the key.
    pub arn: String,
    /// True if AWS manages the key. Only its own account can use such a key.
    pub managed_by_aws: bool,
    /// State of the key, such as `Enabled` or `PendingDeletion`.
    pub state: String,
}

impl Key {
    fn is_enabled(&self) -> bool {
        self.state == "Enabled"
    }
}

/// A grant on a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Id of the grant.
    pub id: String,
    /// Name that the maker of the grant gave it, if any.
    pub name: Option<String>,
    /// ARN of the principal that may use the key.
    pub grantee: String,
    /// Operations that the grant allows.
    pub operations: BTreeSet<String>,
}

/// Key that encrypts copies in a target, with its policy and grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageKey {
    /// Description of the key.
    pub key: Key,
    /// Key policy, a JSON document.
    pub policy: String,
    /// Grants on the key.
    pub grants: Vec<Grant>,
}

/// Returns the reason why a snapshot under the AWS-managed key cannot leave its account, and the remedy.
pub fn encrypted_for_its_account_only(snapshot: &SnapshotId) -> String {
    format!(
        "its snapshot {snapshot} is encrypted under the key that AWS manages, which no other account may use; copy the \
         image within its account under a customer key (aws ec2 copy-image --encrypted --kms-key-id {KEY_ALIAS}) and \
         import that copy"
    )
}

/// Returns the reason why a snapshot encrypted under `key` cannot be read, or `None`. `leaves` is true if another
/// account reads it.
pub fn why_it_stays(snapshot: &SnapshotId, key: Option<&Key>, leaves: bool) -> Option<String> {
    let Some(key) = key else {
        return Some(format!("the key of its snapshot {snapshot} does not exist any more"));
    };
    if key.managed_by_aws && leaves {
        return Some(encrypted_for_its_account_only(snapshot));
    }
    (!key.is_enabled())
        .then(|| format!("the key {} of its snapshot {snapshot} is {}; enable it", key.arn, key.state))
}

/// Returns the reason why copies cannot be encrypted and used at `target`, with the remedy, or `None`.
pub fn why_it_cannot_be_encrypted(
    key: Option<&ImageKey>,
    target: &Location,
    partition: &str,
) -> Option<String> {
    let Location { account, region } = target;
    let place = format!("account {account} ({region})");
    let Some(image_key) = key else {
        return Some(format!(
            "it is encrypted, and {place} has no key {KEY_ALIAS} to encrypt the copy under; run `lockstep accounts \
             add` again with --image-key, or create a customer key with that alias"
        ));
    };
    let key = &image_key.key;
    if key.managed_by_aws {
        return Some(format!(
            "the key {KEY_ALIAS} of {place} is one that AWS manages; give the alias to a customer key"
        ));
    }
    if !key.is_enabled() {
        return Some(format!("the key {KEY_ALIAS} of {place} is {}; enable it", key.state));
    }
    let autoscaling = autoscaling_role(partition, account.as_str());
    if may_use(image_key, &autoscaling, &LAUNCH_OPERATIONS) {
        return None;
    }
    Some(format!(
        "Auto Scaling may not launch from what is encrypted under {KEY_ALIAS} of {place}; run there: aws kms create-grant \
         --region {region} --key-id {} --grantee-principal {autoscaling} --operations {}",
        key.arn,
        ADVISED_OPERATIONS.join(" ")
    ))
}

/// Returns the role with which Auto Scaling launches instances in `account`.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html>
pub fn autoscaling_role(partition: &str, account: &str) -> String {
    format!(
        "arn:{partition}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    )
}

/// Returns true if `principal` certainly may run all of `operations` with the key, by one grant or by the key's policy.
/// Policies of the account itself do not count: those of a service-linked role cannot be changed.
fn may_use(key: &ImageKey, principal: &str, operations: &[&str]) -> bool {
    let granted = key.grants.iter().any(|grant| {
        grant.grantee == principal && operations.iter().all(|operation| grant.operations.contains(*operation))
    });
    granted || policy_allows(&key.policy, principal, operations)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    #[serde(default)]
    principal: Value,
    #[serde(default)]
    action: Value,
    #[serde(default)]
    condition: Value,
}

/// Returns true if the policy certainly allows the operations. A condition that is not understood allows nothing, and
/// forbids nothing.
fn policy_allows(policy: &str, principal: &str, operations: &[&str]) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(policy) else { return false };
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.clone(),
        one => vec![one.clone()],
    };
    let read = statements.into_iter().map(serde_json::from_value::<Statement>);
    let Ok(statements) = read.collect::<Result<Vec<_>, _>>() else { return false };
    operations.iter().all(|operation| {
        let mut about = statements.iter().filter(|one| one.names(principal) && one.covers(operation));
        let denied = about.clone().any(|one| one.effect == "Deny" && one.condition.is_null());
        !denied && about.any(|one| one.effect == "Allow" && one.holds_for(principal))
    })
}

impl Statement {
    fn names(&self, principal: &str) -> bool {
        let named = match &self.principal {
            Value::Object(kinds) => kinds.get("AWS").map(texts).unwrap_or_default(),
            other => texts(other),
        };
        named.iter().any(|name| *name == "*" || *name == principal)
    }

    fn covers(&self, operation: &str) -> bool {
        let wanted = format!("kms:{operation}");
        texts(&self.action).iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => wanted.to_lowercase().starts_with(&start.to_lowercase()),
            None => wanted.eq_ignore_ascii_case(pattern),
        })
    }

    /// Returns true if `principal` meets every condition when a service uses the key for it.
    fn holds_for(&self, principal: &str) -> bool {
        let Value::Object(operators) = &self.condition else { return self.condition.is_null() };
        operators.iter().all(|(operator, keys)| {
            let Value::Object(keys) = keys else { return false };
            keys.iter().all(|(key, wanted)| met(operator, key, &texts(wanted), principal))
        })
    }
}

fn met(operator: &str, key: &str, wanted: &[&str], principal: &str) -> bool {
    let account = principal.split(':').nth(4).unwrap_or_default();
    match (operator, key) {
        ("StringEquals" | "StringLike" | "ArnEquals" | "ArnLike", "aws:PrincipalArn") => {
            wanted.contains(&principal)
        }
        ("StringEquals" | "StringLike", "kms:CallerAccount" | "aws:PrincipalAccount") => {
            wanted.contains(&account)
        }
        ("Bool", "kms:GrantIsForAWSResource") => matches!(wanted, ["true"]),
        _ => false,
    }
}

/// Returns one text or a list of texts; an empty list for any other value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Bool(true) => vec!["true"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ACCOUNT: &str = "222222222222";

    fn target() -> Location {
        Location { account: ACCOUNT.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
    }

    fn key() -> Key {
        Key {
            arn: "arn:aws:kms:eu-west-1:222222222222:key/k".into(),
            managed_by_aws: false,
            state: "Enabled".into(),
        }
    }

    fn autoscaling() -> String {
        autoscaling_role("aws", ACCOUNT)
    }

    fn root() -> Value {
        json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"}, "Action": "kms:*"})
    }

    fn image_key(statements: Value) -> ImageKey {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        ImageKey { key: key(), policy, grants: vec![] }
    }

    fn refusal(key: Option<&ImageKey>) -> String {
        why_it_cannot_be_encrypted(key, &target(), "aws").unwrap_or_default()
    }

    fn snapshot() -> SnapshotId {
        "snap-00000000000000001".parse().unwrap()
    }

    #[test]
    fn a_snapshot_under_the_key_that_aws_manages_cannot_leave_its_account() {
        let managed = Key { managed_by_aws: true, ..key() };
        let why = why_it_stays(&snapshot(), Some(&managed), true).unwrap();
        assert!(why.contains("key that AWS manages") && why.contains("import that copy"), "{why}");
        assert_eq!(why_it_stays(&snapshot(), Some(&managed), false), None);
        assert_eq!(why_it_stays(&snapshot(), Some(&key()), true), None);
        assert!(why_it_stays(&snapshot(), None, true).unwrap().contains("does not exist"));
        let disabled = Key { state: "Disabled".into(), ..key() };
        assert!(
            why_it_stays(&snapshot(), Some(&disabled), false).unwrap().contains("is Disabled; enable it")
        );
    }

    #[test]
    fn a_target_without_a_usable_key_gets_the_remedy() {
        assert!(refusal(None).contains("has no key alias/lockstep-images"));
        let managed = ImageKey { key: Key { managed_by_aws: true, ..key() }, ..image_key(json!([root()])) };
        assert!(refusal(Some(&managed)).contains("one that AWS manages"));
        let dying =
            ImageKey { key: Key { state: "PendingDeletion".into(), ..key() }, ..image_key(json!([root()])) };
        assert!(refusal(Some(&dying)).contains("is PendingDeletion"));
    }

    /// The account's own policies do not help a role whose policies cannot be changed.
    #[test]
    fn auto_scaling_must_be_named_by_the_key_policy_or_by_a_grant() {
        let why = refusal(Some(&image_key(json!([root()]))));
        assert!(why.contains("aws kms create-grant --region eu-west-1"), "{why}");
        assert!(why.contains(&format!("--grantee-principal {}", autoscaling())), "{why}");
        let grant = Grant {
            id: "g".into(),
            name: None,
            grantee: autoscaling(),
            operations: LAUNCH_OPERATIONS.map(str::to_owned).into(),
        };
        let granted = ImageKey { grants: vec![grant.clone()], ..image_key(json!([root()])) };
        assert_eq!(refusal(Some(&granted)), "");
        let less = Grant { operations: ["Decrypt".to_owned()].into(), ..grant };
        assert_ne!(refusal(Some(&ImageKey { grants: vec![less], ..granted })), "");
    }

    #[test]
    fn only_the_understood_parts_of_a_policy_count() {
        let allow = |principal: Value, action: Value, condition: Value| {
            let mut one = json!({"Effect": "Allow", "Principal": principal, "Action": action});
            if !condition.is_null() {
                one["Condition"] = condition;
            }
            one
        };
        let role = || json!({"AWS": autoscaling()});
        let uses = || json!(["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncrypt*"]);
        let for_aws = || json!({"Bool": {"kms:GrantIsForAWSResource": "true"}});
        let all = json!("kms:*");
        let by_condition =
            json!({"StringEquals": {"aws:PrincipalArn": autoscaling(), "kms:CallerAccount": ACCOUNT}});
        let accepted = [
            json!([allow(role(), uses(), json!(null)), allow(role(), json!("kms:CreateGrant"), for_aws())]),
            json!([allow(json!("*"), all.clone(), by_condition)]),
            allow(json!({"AWS": [autoscaling(), "arn:aws:iam::1:root"]}), all.clone(), json!(null)),
        ];
        for statements in accepted {
            assert_eq!(refusal(Some(&image_key(statements.clone()))), "", "{statements}");
        }
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "kms:CreateGrant"});
        let refused = [
            json!([allow(role(), uses(), json!(null))]),
            json!([allow(json!("*"), all.clone(), json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}))]),
            json!([allow(
                json!("*"),
                all.clone(),
                json!({"StringEquals": {"aws:PrincipalArn": "arn:other"}})
            )]),
            json!([allow(role(), all, json!(null)), deny]),
            json!("nonsense"),
        ];
        for statements in refused {
            assert_ne!(refusal(Some(&image_key(statements.clone()))), "", "{statements}");
        }
        assert!(!policy_allows("not json", &autoscaling(), &["Decrypt"]));
    }
}
