//! KMS keys in one account and region: who manages them, who may use them, and the grants that share them for a while.
//!
//! [`Keys`] is the port, [`Kms`] its adapter. What does not exist is an answer; anything that could not be read is a failure.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{GrantListEntry, GrantOperation, KeyManagerType, KeyMetadata};
use lockstep_domain::images::promotion::keys::{Grant, Key};
use lockstep_domain::model::error::Failure;
use std::sync::OnceLock;

/// The most grants of a key that are read; KMS allows 50,000, and a key for images has a few.
const GRANTS_MAX: usize = 5_000;

/// A grant that is wanted. Equal wishes of one name are one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The ARN of the key.
    pub key: String,
    /// The ARN of who may use it.
    pub grantee: String,
    /// What for.
    pub operations: Vec<String>,
    /// The name by which it is found again.
    pub name: String,
}

/// KMS, as far as Lockstep needs it.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Keys {
    /// The key with this id, ARN or alias, or nothing if there is none.
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure>;

    /// The policy of the key with this ARN.
    async fn policy(&self, key: &str) -> Result<String, Failure>;

    /// The grants of the key with this ARN; none if the key is gone.
    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure>;

    /// Lets somebody use a key; the same again changes nothing. Undone by [`Keys::revoke`].
    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure>;

    /// Takes a grant back; it may be gone.
    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure>;
}

/// KMS in the account and region of an [`Aws`].
pub struct Kms {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Kms {
    /// KMS as `aws` reaches it.
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
        // Unknown is not ours to share.
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
    fn a_key_of_whom_nothing_is_said_is_taken_for_one_that_aws_manages() {
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
    fn a_grant_is_read_with_what_it_allows() {
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
