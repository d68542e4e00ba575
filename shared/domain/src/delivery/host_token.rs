//! Token of a repository, with the host that it was stored for.
//!
//! A repository's record names the host that is asked for commits. If the token were stored alone, a record that names
//! another host would send it there.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::{Host, Url};

/// Reason to withhold a token. No variant holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithheldToken {
    /// The secret has another form.
    #[error("is no JSON with a token and its host")]
    Unreadable,
    /// The token belongs to another host.
    #[error("holds a token for {stored}, and the repository is on {wanted}; it was not sent there")]
    OtherHost {
        /// Origin that the token was stored for.
        stored: String,
        /// Origin of the repository's base URL.
        wanted: String,
    },
}

/// Returns the origin of a base URL, such as `https://api.github.com`: scheme, host and port. `None` if it has no host.
pub fn origin(base_url: &str) -> Option<String> {
    let url = Url::parse(base_url).ok()?;
    url.has_host().then(|| url.origin().ascii_serialization()).filter(|origin| origin != "null")
}

/// Returns the text of the secret for a token of the host at `base_url`; `None` if the URL names no host.
pub fn stored(token: &SecretString, base_url: &str) -> Option<SecretString> {
    let host = origin(base_url)?;
    Some(json!({ "token": token.expose_secret(), "host": host }).to_string().into())
}

/// Returns the token in the text of a secret, if it was stored for the host at `base_url`.
pub fn for_host(secret: &SecretString, base_url: &str) -> Result<SecretString, WithheldToken> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stored {
        token: SecretText,
        host: String,
    }
    #[derive(Deserialize)]
    struct SecretText(String);
    let stored: Stored =
        serde_json::from_str(secret.expose_secret()).map_err(|_| WithheldToken::Unreadable)?;
    let token = SecretString::from(stored.token.0);
    let wanted = origin(base_url).unwrap_or_default();
    if token.expose_secret().is_empty() || stored.host.is_empty() {
        return Err(WithheldToken::Unreadable);
    }
    if stored.host != wanted {
        return Err(WithheldToken::OtherHost { stored: stored.host, wanted });
    }
    Ok(token)
}

/// Returns true if a URL names this machine itself.
pub fn is_loopback(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host().map(|host| host.to_owned()));
    match host {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = "https://api.github.com";

    fn secret(base_url: &str) -> SecretString {
        stored(&"t0ken".into(), base_url).unwrap()
    }

    fn read(secret: &SecretString, base_url: &str) -> Result<String, WithheldToken> {
        for_host(secret, base_url).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn a_token_is_given_to_the_host_it_was_stored_for() {
        for same in [GITHUB, "https://api.github.com/", "https://API.github.com:443/api/v3"] {
            assert_eq!(read(&secret(GITHUB), same).unwrap(), "t0ken", "{same}");
        }
        let local = "http://127.0.0.1:4577";
        assert_eq!(read(&secret(local), local).unwrap(), "t0ken");
    }

    #[test]
    fn a_token_is_withheld_from_every_other_host() {
        for other in [
            "http://api.github.com",
            "https://api.github.com:8443",
            "https://api.github.com.evil.example",
            "https://evil.example/https://api.github.com",
            "https://github.com",
            "https://api.github.com@evil.example",
            "http://127.0.0.1:9001",
            "data:,x",
            "",
        ] {
            let withheld = read(&secret(GITHUB), other).unwrap_err();
            assert!(matches!(withheld, WithheldToken::OtherHost { .. }), "{other}: {withheld}");
            assert!(!withheld.to_string().contains("t0ken"), "{withheld}");
        }
    }

    #[test]
    fn a_secret_without_a_host_is_no_token() {
        for text in [
            "t0ken",
            "",
            "\"t0ken\"",
            "{}",
            r#"{"token": "t0ken"}"#,
            r#"{"token": "t0ken", "host": ""}"#,
            r#"{"token": "", "host": "https://api.github.com"}"#,
            r#"{"token": "t0ken", "host": "https://api.github.com", "also": "https://evil.example"}"#,
        ] {
            assert_eq!(read(&text.into(), GITHUB), Err(WithheldToken::Unreadable), "{text}");
        }
        assert!(stored(&"t0ken".into(), "file:///etc").is_none());
    }

    #[test]
    fn this_machine_is_named_by_its_loopback_addresses() {
        for here in [
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://localhost/x",
            "http://[::1]:1",
            "http://0x7f.1",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in
            ["http://localhost.evil.example", "https://api.github.com", "", "127.0.0.1", "http://10.0.0.1"]
        {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
