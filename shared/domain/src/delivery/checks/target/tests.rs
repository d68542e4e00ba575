//! Targets as they are written, filled in and followed.

use super::*;
use proptest::prelude::*;

fn outputs(entries: &[(&str, &str)]) -> Outputs {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn http(text: &str) -> Result<HttpTarget, InvalidTarget> {
    text.parse()
}

fn tcp(text: &str) -> Result<TcpTarget, InvalidTarget> {
    text.parse()
}

fn parsed(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn a_target_is_filled_in_with_the_stacks_outputs() {
    let outputs = outputs(&[("Host", "a.example"), ("Port", "8443"), ("Url", "https://b.example/x")]);
    let url = |text: &str| http(text).unwrap().resolve(&outputs).unwrap().to_string();
    assert_eq!(
        url("https://${outputs.Host}:${outputs.Port}/health?q=1"),
        "https://a.example:8443/health?q=1"
    );
    assert_eq!(url("${outputs.Url}/y"), "https://b.example/x/y");
    assert_eq!(url("http://c.${outputs.Host}"), "http://c.a.example/");
    let peer = |text: &str| tcp(text).unwrap().resolve(&outputs).unwrap().to_string();
    assert_eq!(peer("${outputs.Host}:5044"), "a.example:5044");
    assert_eq!(peer("${outputs.Host}:${outputs.Port}"), "a.example:8443");
    assert_eq!(peer("[::1]:22"), "[::1]:22");
}

#[test]
fn a_target_names_the_outputs_it_needs() {
    let target = http("https://${outputs.Host}:${outputs.Port}/${outputs.Host}").unwrap();
    assert_eq!(target.outputs().into_iter().map(LogicalId::as_str).collect::<Vec<_>>(), ["Host", "Port"]);
    let reported = target.resolve(&outputs(&[("Host", "a.example")])).unwrap_err();
    assert_eq!(reported, "the stack has no output Port; it has Host");
}

#[test]
fn an_invalid_target_is_refused_before_the_stack_exists() {
    for bad in
        ["", "a.example", "/health", "ftp://a.example", "file:///etc/passwd", "https://", "http://a b/"]
    {
        assert_eq!(http(bad), Err(InvalidTarget::Url), "{bad}");
    }
    for bad in ["https://u@a.example", "https://u:p@a.example", "https://${outputs.User}@a.example"] {
        assert_eq!(http(bad), Err(InvalidTarget::Credentials), "{bad}");
    }
    for bad in
        ["", "a.example", ":22", "a.example:", "a.example:0", "a.example:65536", "a.example:+22", "::1:22"]
    {
        assert_eq!(tcp(bad), Err(InvalidTarget::Address), "{bad}");
    }
    for bad in ["u@a.example:22", "a/b:22", "http://a:22", "a b:22"] {
        assert_eq!(tcp(bad), Err(InvalidTarget::Address), "{bad}");
    }
    assert_eq!(http("https://${outputs.Host"), Err(InvalidTarget::Unclosed));
    for other in ["stage", "outputs.", "outputs.other-component.Host", "env.SECRET"] {
        let text = format!("https://${{{other}}}/");
        assert_eq!(http(&text), Err(InvalidTarget::Reference(other.to_owned())));
    }
    assert_eq!(tcp(&format!("{}:1", "a".repeat(2000))), Err(InvalidTarget::TooLong));
}

#[test]
fn an_output_cannot_turn_a_target_into_a_refused_one() {
    let filled = |host: &str| http("https://${outputs.Host}/").unwrap().resolve(&outputs(&[("Host", host)]));
    for (host, why) in [
        ("user:secret@a.example", "a URL with credentials in it; a check sends none"),
        ("a.example\nHost: b", "not a URL with http:// or https:// and a host"),
        ("", "not a URL with http:// or https:// and a host"),
    ] {
        let reported = filled(host).unwrap_err();
        assert_eq!(reported, format!("with the stack's outputs, https://${{outputs.Host}}/ is {why}"));
    }
    let whole = http("${outputs.Url}").unwrap();
    assert!(whole.resolve(&outputs(&[("Url", "gopher://a.example")])).is_err());
    assert!(tcp("${outputs.Peer}").unwrap().resolve(&outputs(&[("Peer", "a.example")])).is_err());
}

#[test]
fn an_address_is_recognised_in_every_spelling() {
    let peer = |text: &str| Peer::of(&parsed(text)).unwrap();
    let loopback: Option<IpAddr> = "127.0.0.1".parse().ok();
    for spelled in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.01", "127。0。0。1"] {
        assert_eq!(peer(&format!("http://{spelled}/")).address(), loopback, "{spelled}");
        let tcp = tcp(&format!("{spelled}:22")).unwrap().resolve(&Outputs::new()).unwrap();
        assert_eq!(tcp.address(), loopback, "{spelled}");
    }
    assert_eq!(peer("http://[::ffff:7f00:1]/").host(), "::ffff:127.0.0.1");
    let name = peer("http://A.Example/");
    assert_eq!((name.host(), name.address()), ("a.example".to_owned(), None));
}

#[test]
fn a_url_connects_to_its_port_or_to_that_of_its_scheme() {
    let port = |text: &str| Peer::of(&parsed(text)).unwrap().port();
    assert_eq!([port("http://a/"), port("https://a/"), port("https://a:8080/")], [80, 443, 8080]);
}

#[test]
fn a_redirect_is_followed_within_http_and_never_down_from_https() {
    let from = parsed("https://a.example/one?q=1");
    let to = |location: &str| redirect(&from, location, 0).map(String::from);
    assert_eq!(to("/two"), Ok("https://a.example/two".to_owned()));
    assert_eq!(to("//b.example:8443/two"), Ok("https://b.example:8443/two".to_owned()));
    assert_eq!(to("http://a.example/one"), Err(NotFollowed::Downgrade));
    assert_eq!(to("https://u:p@a.example/"), Err(NotFollowed::Credentials));
    for bad in ["ftp://a.example/", "file:///etc/passwd", "data:text/plain,ok", "https://[", "javascript:1"] {
        assert_eq!(to(bad), Err(NotFollowed::NoUrl), "{bad}");
    }
    assert_eq!(to(&"x".repeat(2001)), Err(NotFollowed::NoUrl));
    let plain = parsed("http://a.example/");
    assert!(
        redirect(&plain, "http://b.example/", 0).is_ok() && redirect(&plain, "https://b.example/", 0).is_ok()
    );
}

#[test]
fn redirects_are_bounded() {
    let from = parsed("https://a.example/");
    assert!(redirect(&from, "/", REDIRECTS_MAX - 1).is_ok());
    assert_eq!(redirect(&from, "/", REDIRECTS_MAX), Err(NotFollowed::TooOften));
}

#[test]
fn a_url_is_shown_without_its_query() {
    assert_eq!(shown_url(&parsed("https://a.example/x?token=secret#y")), "https://a.example/x");
}

proptest! {
    #[test]
    fn a_parsed_target_survives_a_round_trip(text in "[a-z:/.@\\[\\]${}outpsN0-9]{0,40}") {
        if let Ok(target) = http(&text) {
            prop_assert_eq!(http(&String::from(target.clone())), Ok(target));
        }
        if let Ok(target) = tcp(&text) {
            prop_assert_eq!(tcp(&String::from(target.clone())), Ok(target));
        }
    }

    #[test]
    fn no_output_gives_a_url_with_credentials_or_another_scheme(value in "\\PC{0,40}|[a-z:/@.?#]{0,20}") {
        for text in ["https://${outputs.X}/", "${outputs.X}", "http://a.example/${outputs.X}"] {
            if let Ok(url) = http(text).unwrap().resolve(&outputs(&[("X", &value)])) {
                prop_assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
                prop_assert!(url.username().is_empty() && url.password().is_none());
            }
        }
    }
}
