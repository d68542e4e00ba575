//! Roles in other accounts.

use crate::aws::Aws;
use crate::clock;
use crate::failure::failure;
use aws_credential_types::Credentials;
use jiff::{Timestamp, ToSpan};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::SystemTime;

/// Maximum number of characters of a session name:
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
const SESSION_CHARS: usize = 64;

/// A role's ARN, a region and a session name.
type Assumed = (String, String, String);

/// Assumed roles, each cached until shortly before its credentials expire.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<Assumed, (Aws, Timestamp)>>);

impl Cache {
    fn get(&self, key: &Assumed, now: Timestamp) -> Option<Aws> {
        let cache = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.get(key).filter(|(_, until)| now < *until).map(|(aws, _)| aws.clone())
    }

    fn put(&self, key: Assumed, aws: &Aws, until: Timestamp) {
        let mut cache = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.insert(key, (aws.clone(), until));
    }
}

impl Aws {
    /// Returns the account and region of `location` with the credentials of its role `role_name`.
    ///
    /// `session` becomes the session name, visible in the other account's CloudTrail; a hyphen replaces each character
    /// that is not allowed. A refusal is `AccessDenied` and names the role. The credentials are cached until five
    /// minutes before they expire.
    pub async fn assume(
        &self,
        location: &Location,
        role_name: &str,
        external_id: &str,
        session: &str,
    ) -> Result<Aws, Failure> {
        let role = format!("arn:{}:iam::{}:role/{role_name}", self.partition(), location.account);
        let session = session_name(session);
        let key = (role.clone(), location.region.to_string(), session.clone());
        let now = clock::now();
        if let Some(aws) = self.assumed().get(&key, now) {
            return Ok(aws);
        }
        let answer = aws_sdk_sts::Client::new(self.sdk_config())
            .assume_role()
            .role_arn(&role)
            .external_id(external_id)
            .role_session_name(session)
            .send()
            .await
            .map_err(|error| failure("AssumeRole", &role, &error))?;
        let given =
            answer.credentials().ok_or_else(|| Failure::bug("AssumeRole answered without credentials"))?;
        let expiry = Timestamp::from_second(given.expiration().secs())
            .map_err(|error| Failure::bug("AssumeRole answered an impossible time").caused_by(&error))?;
        let credentials = Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            Some(SystemTime::from(expiry)),
            "assumed role",
        );
        let aws = self.with(&location.region, credentials);
        self.assumed().put(key, &aws, expiry.checked_sub(5.minutes()).unwrap_or(now));
        Ok(aws)
    }
}

/// Returns a valid session name: two to sixty-four letters, digits and `_+=,.@-`.
fn session_name(wanted: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    let name: String = wanted.chars().take(SESSION_CHARS).map(allowed).collect();
    if name.len() < 2 { format!("lockstep-{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::session_name;

    #[test]
    fn a_session_name_is_always_one_that_sts_takes() {
        assert_eq!(session_name("lockstep-2f1e"), "lockstep-2f1e");
        assert_eq!(session_name("a b/c:ü"), "a-b-c--");
        assert_eq!(session_name(""), "lockstep-");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
