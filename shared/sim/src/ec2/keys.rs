//! The port of KMS: every call of [`Keys`], for the keys that the simulated EC2 encrypts under.

use super::model::Granted;
use super::{Inner, SimEc2};
use lockstep_aws::kms::{Keys, NewGrant};
use lockstep_domain::images::promotion::keys::{Grant, Key, autoscaling_role};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::location::Location;
use serde_json::json;

/// KMS of [`SimEc2`] as one account reaches it in one region.
#[derive(Clone)]
pub struct SimKeys {
    cloud: SimEc2,
    here: Location,
}

impl SimKeys {
    pub(super) fn new(cloud: SimEc2, here: Location) -> Self {
        Self { cloud, here }
    }

    fn call<T>(
        &self,
        call: &'static str,
        answer: impl FnOnce(&mut Inner, &Location) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.calls.push(call);
        let done = answer(&mut inner, &self.here)?;
        match inner.lost.remove(call) {
            true => Err(Failure::new(FailureKind::Transient, format!("{call}: the answer was lost"))),
            false => Ok(done),
        }
    }
}

fn denied(key: &str) -> Failure {
    Failure::new(FailureKind::AccessDenied, format!("AccessDeniedException: no use of {key} is allowed"))
}

impl Keys for SimKeys {
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure> {
        self.call("DescribeKey", |inner, here| {
            let arn = match key.starts_with("alias/") {
                true => inner.key_of_alias(here, key),
                false => Some(key.to_owned()),
            };
            let Some(arn) = arn else { return Ok(None) };
            let Some(found) = inner.keys.get(&arn) else { return Ok(None) };
            if !found.is_usable_by(&here.account) {
                return Err(denied(&arn));
            }
            Ok(Some(Key { arn, managed_by_aws: found.is_managed_by_aws, state: "Enabled".into() }))
        })
    }

    async fn policy(&self, key: &str) -> Result<String, Failure> {
        self.call("GetKeyPolicy", |inner, here| {
            let found = inner.keys.get(key).filter(|found| found.location == *here);
            let found = found.ok_or_else(|| denied(key))?;
            let mut named = vec![format!("arn:aws:iam::{}:root", here.account)];
            if found.launches {
                named.push(autoscaling_role("aws", here.account.as_str()));
            }
            let statement = json!({"Effect": "Allow", "Principal": {"AWS": named}, "Action": "kms:*"});
            Ok(json!({"Version": "2012-10-17", "Statement": [statement]}).to_string())
        })
    }

    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure> {
        self.call("ListGrants", |inner, here| {
            let Some(found) = inner.keys.get(key) else { return Ok(Vec::new()) };
            if found.location != *here {
                return Err(denied(key));
            }
            let grant = |(id, granted): (&String, &Granted)| Grant {
                id: id.clone(),
                name: Some(granted.name.clone()),
                grantee: granted.grantee.clone(),
                operations: granted.operations.clone(),
            };
            Ok(found.grants.iter().map(grant).collect())
        })
    }

    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure> {
        self.call("CreateGrant", |inner, here| {
            let granted = Granted {
                name: wanted.name.clone(),
                grantee: wanted.grantee.clone(),
                operations: wanted.operations.iter().cloned().collect(),
            };
            let number = inner.number + 1;
            let found = inner.keys.get_mut(&wanted.key).filter(|found| found.location == *here);
            let found = found.ok_or_else(|| denied(&wanted.key))?;
            if found.grants.values().any(|known| *known == granted) {
                return Ok(());
            }
            found.grants.insert(format!("grant-{number}"), granted);
            inner.number = number;
            inner.effect("CreateGrant", here, &wanted.key, None, &wanted.name);
            Ok(())
        })
    }

    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure> {
        self.call("RevokeGrant", |inner, here| {
            let found = inner.keys.get_mut(key).filter(|found| found.location == *here);
            let found = found.ok_or_else(|| denied(key))?;
            if let Some(gone) = found.grants.remove(grant) {
                inner.effect("RevokeGrant", here, key, None, &gone.name);
            }
            Ok(())
        })
    }
}
