//! KMS keys in one account and region: their managers, their users, and the grants that share them for a limited time.
//!
//! [`Keys`] is the port, [`Kms`] its adapter. An absent key is a result; a read that failed is a failure.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{GrantListEntry, GrantOperation, KeyManagerType, KeyMetadata};
use lockstep_domain::images::promotion::keys::{Grant, Key};
use lockstep_domain::model::error::Failure;
use std::sync::OnceLock;

/// Maximum number of grants of a key to read; KMS allows 50,000, and a key for images has a few.
const GRANTS_MAX: usize = 5_000;

/// Request for a grant. Equal requests of one name make one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The ARN of the key.
    pub key: String,
    /// The ARN of the principal that may use it.
    pub grantee: String,
    /// The permitted operations.
    pub operations: Vec<String>,
    /// The name that identifies the grant later.
    pub name: String,
}

/// The operations of KMS that Lockstep needs.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Keys {
    /// Returns the key with this id, ARN or alias, or `None` if it does not exist.
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure>;

    /// Returns the policy of the key with this ARN.
    async fn policy(&self, key: &str) -> Result<String, Failure>;

    /// Returns the grants of the key with this ARN; an empty list if the key is gone.
    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure>;

    /// Grants a principal the use of a key; a repeated call changes nothing. Undone by [`Keys::revoke`].
    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure>;

    /// Revokes a grant; it may be gone.
    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure>;
}

/// KMS in the account and region of an [`Aws`].
pub struct Kms {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Kms {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

impl Keys for Kms {
    /// <https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html>
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure> {
        match self.client().describe_key().key_id(key).send().await {
            Ok(answer) => answer.key_metadata().map(read_key).transpose(),
            Err(error) if code(&error) == Some("NotFoundException") => Ok(None),
            Err(error) => Err(failure("DescribeKey", key, &error)),
        }
    }

    /// <https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html>
    async fn policy(&self, key: &str) -> Result<String, Failure> {
        let answer = self.client().get_key_policy().key_id(key).policy_name("default").send().await;
        let answer = answer.map_err(|error| failure("GetKeyPolicy", key, &error))?;
        Ok(answer.policy.unwrap_or_default())
    }

    /// <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListGrants.html>
    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure> {
        let mut grants = Vec::new();
        let mut marker = None;
        loop {
            let request = self.client().list_grants().key_id(key).limit(100).set_marker(marker);
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) if code(&error) == Some("NotFoundException") => return Ok(Vec::new()),
                Err(error) => return Err(failure("ListGrants", key, &error)),
            };
            grants.extend(page.grants().iter().map(read_grant));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                return Ok(grants);
            }
            if grants.len() >= GRANTS_MAX {
                return Err(Failure::rejected(format!("the key {key} has more than {GRANTS_MAX} grants")));
            }
        }
    }

    /// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html>
    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure> {
        let operations = wanted.operations.iter().map(|operation| GrantOperation::from(operation.as_str()));
        let request = self
            .client()
            .create_grant()
            .key_id(&wanted.key)
            .grantee_principal(&wanted.grantee)
            .set_operations(Some(operations.collect()))
            .name(&wanted.name);
        request.send().await.map(drop).map_err(|error| failure("CreateGrant", &wanted.key, &error))
    }

    /// <https://docs.aws.amazon.com/kms/latest/APIReference/API_RevokeGrant.html>
    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure> {
        match self.client().revoke_grant().key_id(key).grant_id(grant).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(code(&error), Some("NotFoundException" | "InvalidGrantIdException")) => {
                Ok(())
            }
            Err(error) => Err(failure("RevokeGrant", key, &error)),
        }
    }
}

fn read_key(key: &KeyMetadata) -> Result<Key, Failure> {
    let arn = key.arn().filter(|arn| !arn.is_empty());
    Ok(Key {
        arn: arn.ok_or_else(|| Failure::bug("KMS answered with a key that has no ARN"))?.to_owned(),
        // A key of unknown manager is not ours to share.
        managed_by_aws: key.key_manager() != Some(&KeyManagerType::Customer),
        state: key.key_state().map_or("unknown", |state| state.as_str()).to_owned(),
    })
}

fn read_grant(grant: &GrantListEntry) -> Grant {
    Grant {
        id: grant.grant_id().unwrap_or_default().to_owned(),
        name: grant.name().filter(|name| !name.is_empty()).map(str::to_owned),
        grantee: grant.grantee_principal().unwrap_or_default().to_owned(),
        operations: grant.operations().iter().map(|operation| operation.as_str().to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_kms::types::KeyState;

    #[test]
    fn a_key_of_unknown_manager_counts_as_managed_by_aws() {
        let bare = KeyMetadata::builder().key_id("k").arn("arn:k").build().unwrap();
        let read = read_key(&bare).unwrap();
        assert_eq!((read.managed_by_aws, read.state.as_str()), (true, "unknown"));
        let customer = KeyMetadata::builder()
            .key_id("k")
            .arn("arn:k")
            .key_manager(KeyManagerType::Customer)
            .key_state(KeyState::Enabled);
        let read = read_key(&customer.build().unwrap()).unwrap();
        assert_eq!((read.managed_by_aws, read.state.as_str()), (false, "Enabled"));
        assert!(read_key(&KeyMetadata::builder().key_id("k").build().unwrap()).is_err());
    }

    #[test]
    fn a_grant_is_read_with_its_operations() {
        let entry = GrantListEntry::builder()
            .grant_id("g")
            .name("ours")
            .grantee_principal("arn:role")
            .operations(GrantOperation::Decrypt)
            .operations(GrantOperation::from("SomethingNew"));
        let read = read_grant(&entry.build());
        assert_eq!(
            (read.id.as_str(), read.name.as_deref(), read.grantee.as_str()),
            ("g", Some("ours"), "arn:role")
        );
        assert_eq!(read.operations, ["Decrypt", "SomethingNew"].map(str::to_owned).into());
    }
}
