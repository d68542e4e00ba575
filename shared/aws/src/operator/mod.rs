//! Operations in AWS that only the `lockstep` command performs: installing stacks, finding the control plane, following
//! executions, storing secrets, and requests signed by hand. They are behind the feature `operator`, so that no
//! function links them.

pub mod base_images;
pub mod control_plane;
pub mod dead_letters;
pub mod executions;
pub mod readings;
pub mod secrets;
pub mod signed;
pub mod stacks;
pub mod trial;

use crate::aws::Aws;
use crate::http;
use crate::secrets::{ExposeSecret as _, SecretString};
use aws_credential_types::Credentials;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::Region;

/// Access keys, as the AWS_* variables hold them.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The key's id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// The token of a temporary key.
    pub session_token: Option<SecretString>,
}

/// Connects to an account and region with an access key; `endpoint` is that of the local cloud, if there is one.
pub fn connect(region: &Region, endpoint: Option<&str>, key: &AccessKey) -> Result<Aws, Failure> {
    let token = key.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let credentials = Credentials::new(&key.id, key.secret.expose_secret(), token, None, "given");
    Aws::new(region.clone(), endpoint.map(str::to_owned), credentials, http::client()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_prints_neither_secret_nor_token() {
        let key = AccessKey {
            id: "AKIDEXAMPLE".into(),
            secret: "hunter2".into(),
            session_token: Some("hunter3".into()),
        };
        let printed = format!("{key:?} {key:#?}");
        assert!(printed.contains("AKIDEXAMPLE") && !printed.contains("hunter"), "{printed}");
    }
}
