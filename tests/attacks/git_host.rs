//! S16 C6: an operator, or a bug, points a repository to another host to receive its token.
//!
//! Fails without the origin in the stored secret (`domain::delivery::host_token`).

use lockstep_domain::delivery::host_token::{WithheldToken, for_host, stored};

#[test]
fn a_token_is_sent_to_the_host_it_was_stored_for_alone() {
    let secret = stored(&"t0ken".to_owned().into(), "https://api.github.com").unwrap();
    assert!(for_host(&secret, "https://api.github.com").is_ok());
    for evil in [
        "https://evil.example",
        "https://api.github.com.evil.example",
        "https://api.github.com:8443",
        "http://api.github.com",
        "https://api.github.com@evil.example",
        "not a url",
    ] {
        assert!(matches!(for_host(&secret, evil), Err(WithheldToken::OtherHost { .. })), "{evil}");
    }
}
