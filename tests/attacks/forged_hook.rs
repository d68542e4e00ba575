//! S14: a stranger makes up hooks, to make Lockstep read secrets or to learn which repositories are registered.
//!
//! Fails without the MAC in the URL (`domain::delivery::hook`), which is judged before any call.

use lockstep_domain::delivery::hook::HookId;

#[test]
fn three_hundred_made_up_hooks_fit_no_key() {
    let key = [7; 32];
    let repository = |n: usize| format!("github.x{n}.y{n}").parse().unwrap();
    for n in 0..300 {
        let own = HookId::of(&key, &repository(n)).unwrap();
        assert!(own.fits(&key).unwrap());
        let mac = own.to_string().rsplit('/').next().unwrap().to_owned();
        let of_another = HookId::claimed(&format!("/hooks/{}/{mac}", repository(n + 1))).unwrap();
        assert!(!of_another.fits(&key).unwrap(), "the MAC of one repository fits another");
        let guessed = HookId::claimed(&format!("/hooks/{}/{}", repository(n), "0".repeat(64))).unwrap();
        assert!(!guessed.fits(&key).unwrap());
        assert!(HookId::claimed(&format!("/hooks/{}", repository(n))).is_none(), "a hook without a MAC");
    }
}
