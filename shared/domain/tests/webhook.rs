//! Tests of GitHub's deliveries.

use lockstep_domain::delivery::webhook::{
    BranchName, DeliveryId, MAX_BODY_BYTES, Push, Unverified, WebhookEvent, parse_push, verify_signature,
};
use lockstep_domain::model::visible::is_hidden;
use proptest::prelude::*;

const SECRET: &[u8] = b"It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
/// Signature from GitHub's page on validating webhook deliveries, for the secret and the body above.
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/webhook/", $name, ".json"))
    };
}

fn pushed(body: &[u8]) -> Push {
    match parse_push("push", body) {
        Ok(WebhookEvent::Push(push)) => push,
        other => panic!("expected a push, not {other:?}"),
    }
}

fn ignored(event: &str, body: &[u8]) -> String {
    match parse_push(event, body) {
        Ok(WebhookEvent::Ignored { reason }) => reason,
        other => panic!("expected to ignore this, not {other:?}"),
    }
}

/// Returns the ordinary push with the value at `pointer` changed.
fn push_with(pointer: &str, value: serde_json::Value) -> Vec<u8> {
    let mut payload: serde_json::Value = serde_json::from_slice(fixture!("push")).unwrap();
    *payload.pointer_mut(pointer).unwrap() = value;
    serde_json::to_vec(&payload).unwrap()
}

#[test]
fn githubs_own_example_of_a_signature_is_accepted() {
    assert_eq!(verify_signature(SECRET, Some(SIGNATURE), BODY), Ok(()));
}

#[test]
fn another_body_or_another_secret_does_not_match() {
    assert_eq!(verify_signature(SECRET, Some(SIGNATURE), b"Hello, World?"), Err(Unverified::Mismatch));
    assert_eq!(verify_signature(b"another", Some(SIGNATURE), BODY), Err(Unverified::Mismatch));
}

#[test]
fn a_missing_signature_is_refused() {
    assert_eq!(verify_signature(SECRET, None, BODY), Err(Unverified::Missing));
}

#[test]
fn only_githubs_exact_form_of_a_signature_is_accepted() {
    let digits = &SIGNATURE["sha256=".len()..];
    let malformed = [
        String::new(),
        digits.to_owned(),
        "sha256=".to_owned(),
        format!("sha1={digits}"),
        format!("SHA256={digits}"),
        format!("sha256={}", digits.to_uppercase()),
        format!(" {SIGNATURE}"),
        format!("{SIGNATURE}\n"),
        format!("{SIGNATURE}00"),
        format!("sha256={}g", &digits[1..]),
    ];
    for header in malformed {
        assert_eq!(verify_signature(SECRET, Some(&header), BODY), Err(Unverified::Malformed), "{header}");
    }
}

#[test]
fn a_signature_cut_anywhere_is_refused() {
    for length in 0..SIGNATURE.len() {
        assert!(verify_signature(SECRET, Some(&SIGNATURE[..length]), BODY).is_err(), "{length}");
    }
}

#[test]
fn without_a_secret_every_delivery_is_refused() {
    // HMAC-SHA256 with an empty key over an empty message.
    let signed = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    assert_eq!(verify_signature(b"", Some(signed), b""), Err(Unverified::NoSecret));
}

#[test]
fn a_body_beyond_the_cap_is_refused_before_hashing_and_parsing() {
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    assert_eq!(verify_signature(SECRET, Some(SIGNATURE), &large), Err(Unverified::TooLarge));
    assert!(parse_push("push", &large).unwrap_err().message.contains("too large"));
    assert_eq!(verify_signature(SECRET, Some(SIGNATURE), &large[1..]), Err(Unverified::Mismatch));
    assert!(parse_push("push", &large[1..]).unwrap_err().message.contains("it is not GitHub's JSON"));
    assert_eq!(Unverified::TooLarge.to_string(), "the body is larger than 6 MiB");
}

#[test]
fn a_push_to_a_branch_is_read() {
    let push = pushed(fixture!("push"));
    assert_eq!(push.repository.to_string(), "github.acme.logs-broker");
    assert_eq!(push.reference(), "refs/heads/main");
    assert!(push.is_default_branch() && !push.created && !push.forced);
    assert_eq!(push.before.unwrap().as_str(), "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c");
    assert_eq!(push.after.as_str(), "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b");
    assert_eq!((push.pusher.as_str(), push.author.as_str()), ("ada", "Ada Example"));
    assert_eq!(push.message, "Raise the broker's heap");
}

#[test]
fn a_new_branch_had_no_commit_before() {
    let push = pushed(fixture!("push-new-branch"));
    assert_eq!((push.before.as_ref(), push.created, push.branch.as_str()), (None, true, "fix/heap"));
    assert!(!push.is_default_branch());
}

#[test]
fn a_forced_push_is_marked_as_forced() {
    assert!(pushed(fixture!("push-forced")).forced);
}

#[test]
fn deleting_a_branch_releases_nothing() {
    let reason = "a branch was deleted; its releases remain";
    assert_eq!(ignored("push", fixture!("push-branch-deleted")), reason);
    // The null commit means the same as the flag, in case only one of them is there.
    assert_eq!(ignored("push", &push_with("/after", "0".repeat(40).into())), reason);
    assert_eq!(ignored("push", &push_with("/deleted", true.into())), reason);
}

#[test]
fn tags_and_other_refs_start_no_release() {
    assert_eq!(ignored("push", fixture!("push-tag")), "a tag was pushed; only branches are released");
    let other = push_with("/ref", "refs/pull/1/head".into());
    assert_eq!(ignored("push", &other), "a ref that is no branch was pushed; only branches are released");
}

#[test]
fn a_ping_is_answered_and_other_events_are_ignored() {
    assert_eq!(parse_push("ping", fixture!("ping")), Ok(WebhookEvent::Ping));
    assert_eq!(ignored("pull_request", b"not even JSON"), "events of type pull_request start nothing");
    assert_eq!(ignored("a\nb", b""), "events of type a start nothing");
}

#[test]
fn an_unreadable_push_is_a_problem_that_repeats_no_part_of_it() {
    for body in [&b""[..], b"{}", b"[1]", b"\"AKIA\"", b"{\"ref\": 3}", b"\xff\xfe", &fixture!("push")[..900]]
    {
        let problem = parse_push("push", body).unwrap_err();
        assert!(problem.message.starts_with("the push cannot be read: it is not GitHub's JSON"), "{problem}");
        assert!(!problem.message.contains("AKIA"));
    }
    for (pointer, value) in [
        ("/ref", "refs/heads/a b"),
        ("/ref", "refs/heads/"),
        ("/after", "abc"),
        ("/before", "main"),
        ("/repository/full_name", "logs-broker"),
        ("/repository/full_name", "acme/../x"),
        ("/repository/default_branch", ""),
    ] {
        assert!(parse_push("push", &push_with(pointer, value.into())).is_err(), "{pointer} {value}");
    }
}

#[test]
fn a_form_encoded_delivery_names_the_setting_on_github() {
    let problem = parse_push("push", b"payload=%7B%22ref%22").unwrap_err();
    assert!(problem.message.contains("set the webhook's content type to application/json"), "{problem}");
}

#[test]
fn texts_of_authors_are_shown_bounded_and_on_one_line() {
    let text = format!("\u{1b}[31m\u{202e}{}\nsecond line", "é".repeat(500));
    let push = pushed(&push_with("/head_commit/message", text.into()));
    assert_eq!(push.message.chars().count(), 200);
    assert!(!push.message.contains(is_hidden) && !push.message.contains("second"));
}

#[test]
fn a_push_without_a_head_commit_or_a_pusher_is_still_a_push() {
    let mut payload: serde_json::Value = serde_json::from_slice(fixture!("push")).unwrap();
    payload.as_object_mut().unwrap().remove("pusher");
    payload["head_commit"] = serde_json::Value::Null;
    let push = pushed(&serde_json::to_vec(&payload).unwrap());
    assert_eq!((push.pusher.as_str(), push.message.as_str(), push.author.as_str()), ("", "", ""));
}

#[test]
fn the_account_is_the_user_that_github_authenticated() {
    let account = |sender: serde_json::Value, pusher: &str| {
        let mut payload: serde_json::Value = serde_json::from_slice(fixture!("push")).unwrap();
        payload["sender"] = sender;
        payload["pusher"] = serde_json::json!({"name": pusher, "email": "ada@acme.example"});
        pushed(&serde_json::to_vec(&payload).unwrap()).account.map(|login| login.to_string())
    };
    let sender = |login: &str, kind: &str| serde_json::json!({"login": login, "type": kind});
    assert_eq!(account(sender("ada-l", "User"), "Ada-L").as_deref(), Some("ada-l"));
    assert_eq!(account(sender("ada-l", "User"), "grace"), None);
    for kind in ["Bot", "Organization", ""] {
        assert_eq!(account(sender("ada-l", kind), "ada-l"), None, "{kind}");
    }
    assert_eq!(account(sender("dependabot[bot]", "User"), "dependabot[bot]"), None);
    assert_eq!(account(serde_json::json!({"login": "ada-l"}), "ada-l"), None);
    assert_eq!(account(serde_json::Value::Null, "ada-l"), None);
}

#[test]
fn a_delivery_id_is_a_guid_and_never_a_path_or_a_key() {
    assert!("72d3162e-cc78-11e3-81ab-4c9367dc0958".parse::<DeliveryId>().is_ok());
    for bad in ["", "short", "72d3162e/cc78", "72d3162e#cc78", "72d3162e cc78", &"a".repeat(65)] {
        assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
    }
}

#[test]
fn branch_names_follow_gits_rules() {
    for good in [
        "main",
        "fix/heap",
        "dependabot/npm/x-1.2.3",
        "a@b",
        "ünï",
        "it's",
        "x$y",
        "fix\u{a0}prices",
        "\u{3000}x",
        "a\u{2028}b",
        "a\u{85}b",
    ] {
        assert!(good.parse::<BranchName>().is_ok(), "{good}");
    }
    let long = "a".repeat(245);
    for bad in [
        "", "@", "-x", "a b", "a\tb", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[0]", "a\\b", "/a", "a/",
        "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a@{1}", "a.", "a\u{0}", "a\u{7f}", "a\u{b}b", "a\nb",
        &long,
    ] {
        assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_body_changed_in_any_bit_is_refused(index in 0usize..13, bit in 0u8..8) {
        let mut body = BODY.to_vec();
        body[index] ^= 1 << bit;
        prop_assert_eq!(verify_signature(SECRET, Some(SIGNATURE), &body), Err(Unverified::Mismatch));
    }

    #[test]
    fn no_refusal_repeats_the_secret_or_the_signature(secret in "[a-z]{20,40}", header in "(sha256=)?[0-9a-f]{20,64}") {
        let message = verify_signature(secret.as_bytes(), Some(&header), BODY).unwrap_err().to_string();
        prop_assert!(!message.contains(&secret) && !message.contains(&header));
    }

    #[test]
    fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!matches!(parse_push("push", &body), Ok(WebhookEvent::Ping)));
    }
}
