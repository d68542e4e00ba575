use super::*;

const ADA: &str = "arn:aws:iam::222222222222:user/ada";

fn secret(seed: u8) -> [u8; SECRET_BYTES] {
    [seed; SECRET_BYTES]
}

fn with_key() -> (Application, ApiKey) {
    Application::new(shop()).add(secret(1), ADA, now()).unwrap()
}

#[test]
fn a_key_is_parsed_from_its_own_text_only() {
    let (_, key) = with_key();
    let text = key.expose();
    assert_eq!(text, format!("lsk_shop.1_{}", "01".repeat(32)));
    assert_eq!(text.parse::<ApiKey>().unwrap().digest(), key.digest());
    for wrong in [
        String::new(),
        text.to_uppercase(),
        text.replace("lsk", "sk"),
        text.replace("shop.1", "shop.01"),
        text.replace("shop.1", "shop.+1"),
        text.replace("shop.1", "shop.0"),
        text.replace("shop.1", "shop"),
        text.replace("shop.1", "Shop.1"),
        text.replace("_01", "_0A"),
        format!("{text}00"),
        format!("{text} "),
        text[..text.len() - 2].to_owned(),
    ] {
        assert!(wrong.parse::<ApiKey>().is_err(), "{wrong}");
    }
}

#[test]
fn a_key_is_a_bearer_token_and_is_never_printed() {
    let (_, key) = with_key();
    for header in [format!("Bearer {}", key.expose()), format!("bearer  {} ", key.expose())] {
        assert_eq!(authenticate(Some(&header)).unwrap().id, key.id);
    }
    let basic = format!("Basic {}", key.expose());
    for header in
        [None, Some(""), Some("Bearer"), Some("Bearer x"), Some(key.expose().as_str()), Some(basic.as_str())]
    {
        assert_eq!(authenticate(header).unwrap_err(), Refused::Unknown, "{header:?}");
    }
    let printed = format!("{key:?} {key:#?}");
    assert!(
        printed.contains("shop") && !printed.contains(&"01".repeat(4)) && !printed.contains("1, 1"),
        "{printed}"
    );
}

#[test]
fn the_stored_digest_is_that_of_the_whole_key() {
    let (application, key) = with_key();
    let kept = serde_json::to_string(&application).unwrap();
    assert!(kept.contains(key.digest().as_str()) && !kept.contains(&"01".repeat(8)), "{kept}");
    assert_ne!(key.digest(), ApiKey::new("shop.2".parse().unwrap(), secret(1)).digest());
}

#[test]
fn only_a_caller_with_the_secret_learns_the_state_of_a_key() {
    let (application, key) = with_key();
    let forged = ApiKey::new(key.id.clone(), secret(2));
    let elsewhere = ApiKey::new("shop.7".parse().unwrap(), secret(1));
    let authorize = |application: Option<&Application>, key: &ApiKey| authorize(application, key, later(60));
    assert_eq!(authorize(Some(&application), &key), Ok(()));
    let (rotated, next) =
        application.clone().rotate(secret(3), SignedDuration::from_secs(61), ADA, now()).unwrap();
    assert_eq!((authorize(Some(&rotated), &key), authorize(Some(&rotated), &next)), (Ok(()), Ok(())));
    let (over, _) = application.clone().rotate(secret(3), SignedDuration::from_secs(60), ADA, now()).unwrap();
    assert_eq!(authorize(Some(&over), &key), Err(Refused::Retired(later(60))));
    let revoked = application.clone().revoke(Which::All, ADA, now()).unwrap();
    assert_eq!(authorize(Some(&revoked), &key), Err(Refused::Revoked));
    for application in [None, Some(&application), Some(&over), Some(&revoked)] {
        for key in [&forged, &elsewhere] {
            assert_eq!(authorize(application, key), Err(Refused::Unknown), "{application:?} {key:?}");
        }
    }
}

#[test]
fn at_most_two_keys_are_valid_at_once() {
    let (application, _) = with_key();
    let week = SignedDuration::from_hours(7 * 24);
    let works = Unissued::Works("shop.1".parse().unwrap());
    assert_eq!(application.clone().add(secret(2), ADA, now()).unwrap_err(), works);
    let (two, key) = application.rotate(secret(2), week, ADA, now()).unwrap();
    assert_eq!(key.id.to_string(), "shop.2");
    let both = ["shop.1", "shop.2"].map(|id| id.parse::<KeyId>().unwrap());
    assert_eq!(two.working(now()).collect::<Vec<_>>(), both);
    let [first, second] = both;
    assert_eq!(
        two.clone().rotate(secret(3), week, ADA, now()).unwrap_err(),
        Unissued::TwoWork(first, second)
    );
    // Once the first one has expired or is revoked, another one can be issued.
    assert!(two.clone().rotate(secret(3), week, ADA, now() + week).is_ok());
    let one = two.clone().revoke(Which::One(1), ADA, now()).unwrap();
    assert!(one.rotate(secret(3), week, ADA, now()).is_ok());
    let none = two.revoke(Which::All, ADA, now()).unwrap();
    assert_eq!(none.clone().rotate(secret(3), week, ADA, now()).unwrap_err(), Unissued::NoneWorks(shop()));
    // A number is never issued again.
    assert_eq!(none.add(secret(3), ADA, now()).unwrap().1.id.to_string(), "shop.3");
}

#[test]
fn a_revocation_is_final_and_keeps_its_first_author() {
    let (application, _) = with_key();
    let unknown = application.clone().revoke(Which::One(7), ADA, now());
    assert_eq!(unknown.unwrap_err(), Unissued::NoSuchKey("shop.7".parse().unwrap()));
    let once = application.revoke(Which::One(1), ADA, now()).unwrap();
    assert_eq!(once.clone().revoke(Which::All, "arn:bob", later(5)).unwrap(), once);
}

#[test]
fn old_keys_are_removed_and_valid_ones_never() {
    let (mut application, mut at) = (with_key().0, now());
    for seed in 0..50 {
        at += SignedDuration::from_hours(1);
        application = application.rotate(secret(seed), SignedDuration::from_mins(30), ADA, at).unwrap().0;
        assert!(application.keys.len() <= KEYS_KEPT);
        assert_eq!(application.working(at).count(), 2);
    }
    assert_eq!(application.issued, 51);
}
