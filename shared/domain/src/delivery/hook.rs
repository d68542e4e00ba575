//! Address of a webhook: the repository's id and a MAC over it.
//!
//! The webhook's URL is open to the internet. The MAC proves without a call that this installation gave the address
//! out, so a made-up address costs nothing but the invocation.

use crate::model::ids::RepositoryId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Name of the secret that holds the installation's webhook key.
pub const KEY_SECRET: &str = "lockstep/webhook-key";

/// Path of every hook, up to its id.
pub const HOOKS: &str = "/hooks/";

/// Message of the log line that the webhook writes for each request.
pub const LOG_MESSAGE: &str = "answered a webhook request";

/// Minimum length of the key in bytes: that of the digest.
/// <https://www.rfc-editor.org/rfc/rfc2104#section-3>
const KEY_BYTES_MIN: usize = 32;

/// Prefix of the authenticated text. It separates this use of the key from any other.
const PURPOSE: &[u8] = b"lockstep webhook of repository ";

/// A key that is too short to authenticate anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook key has fewer than {KEY_BYTES_MIN} bytes")]
pub struct WeakKey;

/// Id of a repository's hook, `<repository id>/<64 hexadecimal digits>`: the part of the payload URL after [`HOOKS`].
#[derive(Clone, PartialEq, Eq)]
pub struct HookId {
    repository: RepositoryId,
    mac: [u8; 32],
}

/// Shows the repository alone: the id is what lets a request cost a call.
impl fmt::Debug for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookId({})", self.repository)
    }
}

impl fmt::Display for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repository, hex::encode(self.mac))
    }
}

impl HookId {
    /// Returns the id of the hook of `repository` under the installation's `key`.
    pub fn of(key: &[u8], repository: &RepositoryId) -> Result<Self, WeakKey> {
        let mac = keyed(key, repository)?.finalize().into_bytes().into();
        Ok(Self { repository: repository.clone(), mac })
    }

    /// Reads the id that the path of a request claims; `None` if the path has another form. Proves nothing.
    pub fn claimed(path: &str) -> Option<Self> {
        let (repository, digits) = path.strip_prefix(HOOKS)?.split_once('/')?;
        // One id has one form: hex would accept upper case too.
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut mac = [0; 32];
        hex::decode_to_slice(digits, &mut mac).ok()?;
        Some(Self { repository: repository.parse().ok()?, mac })
    }

    /// Returns the repository that the id names.
    pub fn repository(&self) -> &RepositoryId {
        &self.repository
    }

    /// Returns true if `key` made this id. The comparison takes constant time.
    pub fn fits(&self, key: &[u8]) -> Result<bool, WeakKey> {
        Ok(keyed(key, &self.repository)?.verify_slice(&self.mac).is_ok())
    }
}

/// Reason to deny a request before its sender is proven. The reply to all of them is the same; only the log names the
/// reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Denial {
    /// The request is no POST to a hook of this installation.
    UnknownHook,
    /// The body exceeds the cap.
    TooLarge,
    /// The request has no signature.
    NotSigned,
    /// The signature has another form than the git host's.
    MalformedSignature,
    /// The body cannot be read as it was sent, so no signature fits it.
    UnreadableBody,
    /// The repository has no webhook secret.
    NoSecret,
    /// The signature was made with another secret or over another body.
    WrongSignature,
    /// The repository of the hook is not registered.
    NotRegistered,
    /// The signed push is to another repository than the hook's.
    OtherRepository,
}

impl Denial {
    /// Every reason.
    pub const ALL: &[Denial] = Denial::VARIANTS;

    /// Returns the word of the reason in log lines.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the part of the request that was wrong: a dimension of the metric `Refusals`.
    pub fn part(self) -> &'static str {
        match self {
            Self::UnknownHook => "id",
            Self::TooLarge => "size",
            Self::NotSigned
            | Self::MalformedSignature
            | Self::UnreadableBody
            | Self::NoSecret
            | Self::WrongSignature => "signature",
            Self::NotRegistered | Self::OtherRepository => "repository",
        }
    }

    /// Returns the reason as a clause for an operator.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::UnknownHook => "it was no POST to a hook of this installation",
            Self::TooLarge => "its body exceeds the cap of 6 MiB",
            Self::NotSigned => "it was not signed",
            Self::MalformedSignature => "its signature has another form than the git host's",
            Self::UnreadableBody => "its body could not be read as it was sent",
            Self::NoSecret => "the repository has no webhook secret",
            Self::WrongSignature => "its signature was made with another secret, or over another body",
            Self::NotRegistered => "the repository is not registered",
            Self::OtherRepository => "the push was to another repository than the hook's",
        }
    }

    /// Returns the command or the change that corrects the cause.
    pub fn correction(self) -> &'static str {
        match self {
            Self::UnknownHook | Self::OtherRepository => {
                "paste the payload URL that lockstep repositories add prints into the webhook of that repository"
            }
            Self::TooLarge => "none is needed: the sweep finds the push by the head of the branch",
            Self::NotSigned | Self::MalformedSignature => "set the secret of the webhook on the git host",
            Self::UnreadableBody => "set the content type of the webhook to application/json",
            Self::NoSecret | Self::WrongSignature => {
                "store the secret of the git host: lockstep secrets set <repository> webhook --stdin"
            }
            Self::NotRegistered => "register it: lockstep repositories add, or remove the webhook",
        }
    }
}

fn keyed(key: &[u8], repository: &RepositoryId) -> Result<Hmac<Sha256>, WeakKey> {
    if key.len() < KEY_BYTES_MIN {
        return Err(WeakKey);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| WeakKey)?;
    mac.update(PURPOSE);
    mac.update(repository.as_str().as_bytes());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn id(key: &[u8], repository: &str) -> HookId {
        HookId::of(key, &repository.parse().unwrap()).unwrap()
    }

    fn claimed(path: &str) -> Option<HookId> {
        HookId::claimed(path)
    }

    #[test]
    fn the_id_of_a_repository_fits_the_key_that_made_it() {
        let made = id(KEY, "github.acme.my.repo_1");
        let read = claimed(&format!("/hooks/{made}")).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.fits(KEY), Ok(true));
        assert_eq!(read.fits(b"another key of more than 32 bytes"), Ok(false));
    }

    #[test]
    fn an_id_of_another_repository_does_not_fit() {
        let mac = id(KEY, "github.acme.logs").to_string();
        let mac = mac.split_once('/').unwrap().1;
        for other in ["github.acme.log", "github.acme.Logs", "github.acme.logs.", "github.acm.elogs"] {
            let forged = claimed(&format!("/hooks/{other}/{mac}")).unwrap();
            assert_eq!(forged.fits(KEY), Ok(false), "{other}");
        }
    }

    #[test]
    fn a_short_key_makes_and_admits_no_id() {
        let made = id(KEY, "github.acme.logs");
        for short in [&b""[..], &KEY[..31]] {
            assert_eq!(HookId::of(short, made.repository()), Err(WeakKey));
            assert_eq!(made.fits(short), Err(WeakKey));
        }
    }

    #[test]
    fn a_path_in_another_form_claims_no_id() {
        let made = id(KEY, "github.acme.logs").to_string();
        for path in [
            String::new(),
            "/hooks/".to_owned(),
            "/hooks/github.acme.logs".to_owned(),
            "/hooks/github.acme.logs/".to_owned(),
            format!("/hooks/{}", made.to_uppercase()),
            format!("/hooks/{}", made.replace('/', ".")),
            format!("/hooks/{}", &made[..made.len() - 1]),
            format!("/hooks/{made}0"),
            format!("/hooks/{made}/"),
            format!("/hooks//{made}"),
            format!("//hooks/{made}"),
            format!("/hooks/../{made}"),
            format!("/hooks/{made}?x"),
            made.clone(),
        ] {
            assert_eq!(claimed(&path), None, "{path}");
        }
    }

    #[test]
    fn a_debugged_id_does_not_show_its_mac() {
        let made = id(KEY, "github.acme.logs");
        assert_eq!(format!("{made:?}"), "HookId(github.acme.logs)");
    }

    #[test]
    fn each_denial_has_a_word_and_one_of_four_parts() {
        let words: std::collections::BTreeSet<&str> =
            Denial::ALL.iter().map(|denial| denial.as_str()).collect();
        assert_eq!(words.len(), Denial::ALL.len());
        for denial in Denial::ALL {
            assert_eq!(denial.as_str().parse(), Ok(*denial));
            assert!(["id", "signature", "repository", "size"].contains(&denial.part()), "{denial:?}");
            assert!(!denial.sentence().is_empty() && !denial.correction().is_empty());
        }
    }

    #[test]
    fn each_denial_has_a_sentence_and_a_correction_of_its_own_part() {
        let sentences: std::collections::BTreeSet<&str> =
            Denial::ALL.iter().map(|denial| denial.sentence()).collect();
        assert_eq!(sentences.len(), Denial::ALL.len());
        assert_eq!(Denial::NotSigned.sentence(), "it was not signed");
        for denial in Denial::ALL.iter().filter(|denial| denial.part() == "signature") {
            let correction = denial.correction();
            assert!(["secret", "content type"].iter().any(|word| correction.contains(word)), "{denial:?}");
        }
        assert!(Denial::UnknownHook.correction().contains("payload URL"));
    }

    proptest! {
        #[test]
        fn any_change_of_an_id_makes_it_unfit(at in 0usize..256) {
            let mut made = id(KEY, "github.acme.logs");
            made.mac[at / 8] ^= 1 << (at % 8);
            prop_assert_eq!(made.fits(KEY), Ok(false));
        }

        #[test]
        fn no_text_panics_or_fits(text in any::<String>()) {
            for path in [text.clone(), format!("/hooks/{text}"), format!("/hooks/github.acme.logs/{text}")] {
                prop_assert!(claimed(&path).is_none_or(|id| id.fits(KEY) == Ok(false)));
            }
        }
    }
}
