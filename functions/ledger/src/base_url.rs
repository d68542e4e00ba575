//! The base URL of a git host's API, to which a token is sent.

use lockstep_domain::delivery::host_token::is_loopback;
use lockstep_domain::model::error::Failure;
use url::Url;

/// The longest base URL, in bytes.
const URL_BYTES: usize = 500;

/// Returns the URL without a trailing slash. Accepts https to another machine. In the local cloud (`is_local`), accepts http
/// to the loopback address too, where its git host is: on AWS, a function's own machine has Lambda's runtime API there.
///
/// Refuses credentials, because they would end in a record and in logs. Refuses a query or a fragment,
/// because no path can be appended to it.
pub fn check_base_url(text: &str, is_local: bool) -> Result<String, Failure> {
    // The message does not repeat the input, which may hold a password.
    let refused = |why: &str| {
        Err(Failure::rejected(format!("the base URL {why}; write one such as https://api.github.com")))
    };
    if text.len() > URL_BYTES {
        return refused("is too long");
    }
    let Ok(url) = Url::parse(text) else { return refused("is not a URL") };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("must not hold a user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refused("must not hold a query or fragment");
    }
    let here = is_loopback(text);
    if here && !is_local {
        return refused("names the machine of the function itself");
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => {}
        ("http", Some(_)) if here => {}
        ("http", Some(_)) => return refused("must be https: a token is sent there"),
        _ => return refused("must be https"),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::check_base_url;

    #[test]
    fn a_token_is_sent_over_https_or_to_the_loopback_address() {
        for (given, kept) in [
            ("https://api.github.com", "https://api.github.com"),
            ("https://git.acme.example/api/v3/", "https://git.acme.example/api/v3"),
            ("http://127.0.0.1:4577", "http://127.0.0.1:4577"),
            ("http://localhost:1/", "http://localhost:1"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(check_base_url(given, true).unwrap(), kept);
        }
        for bad in [
            "",
            "api.github.com",
            "http://git.acme.example",
            "http://localhost.evil.example",
            "ftp://x",
            "file:///etc",
        ] {
            assert!(check_base_url(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_function_on_aws_takes_no_url_of_its_own_machine() {
        for here in [
            "http://127.0.0.1:9001",
            "https://127.0.0.1",
            "http://localhost:1",
            "https://[::1]",
            "http://0177.1",
        ] {
            assert!(check_base_url(here, false).is_err(), "{here}");
        }
        assert!(check_base_url("https://api.github.com", false).is_ok());
    }

    #[test]
    fn a_url_with_credentials_is_refused_without_being_repeated() {
        let error = check_base_url("https://ada:hunter2@git.acme.example", false).unwrap_err();
        assert!(!error.message.contains("hunter2"));
        assert!(check_base_url("https://x.example/?token=a", false).is_err());
        assert!(check_base_url("https://x.example/#a", false).is_err());
    }
}
