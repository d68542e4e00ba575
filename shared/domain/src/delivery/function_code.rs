//! The functions that Lockstep ships for components, such as the load-balancer log processor. A component's template
//! gets the code of a function by the value `${functions.<name>}`, so that no author types a key.
//!
//! `lockstep install` uploads the zips. Packaging pins the referenced functions in the release's function lock, and a
//! deployment copies the pinned zip into the target account's bucket under the same key. Production therefore runs the
//! tested code, whatever was installed since.

use crate::model::canonical::canonical_json;
use crate::model::ids::{Digest, FunctionName};
use crate::model::image_lock::ImageLock;
use crate::model::text::stored_as_text;
use crate::model::toml_file::suggestion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Maximum bytes of a function's zip: Lambda's limit for code and layers, unpacked
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub const MAX_ZIP_BYTES: usize = 250 << 20;

/// The code of one function: a zip whose key contains its digest, in any bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionCode {
    /// The function.
    pub name: FunctionName,
    /// SHA-256 of the zip; Lambda's `CodeSha256` is the same in base64.
    pub digest: Digest,
}

impl fmt::Display for FunctionCode {
    /// Writes the key of the zip in an artifact bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "functions/{}/{}.zip", self.name, self.digest)
    }
}

impl FromStr for FunctionCode {
    type Err = String;

    fn from_str(key: &str) -> Result<Self, String> {
        let refuse =
            || format!("'{key}' is not the key of a function's code (functions/<name>/<sha256>.zip)");
        let rest = key.strip_prefix("functions/").and_then(|rest| rest.strip_suffix(".zip"));
        let (name, digest) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(refuse)?;
        match (name.parse(), digest.parse()) {
            (Ok(name), Ok(digest)) => Ok(Self { name, digest }),
            _ => Err(refuse()),
        }
    }
}

stored_as_text!(FunctionCode);

/// Functions by name, each with its code: those of an installation, or those that a release pins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionLock(pub BTreeMap<FunctionName, FunctionCode>);

impl FunctionLock {
    /// Parses keys separated by commas, the form in which an installation lists its functions.
    ///
    /// # Errors
    /// Returns the first text that is not a key.
    pub fn of_keys(keys: &str) -> Result<Self, String> {
        let codes = keys.split(',').map(str::parse::<FunctionCode>);
        codes.map(|code| code.map(|code| (code.name.clone(), code))).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the code of `name`, or an error with the known names.
    pub fn code(&self, name: &FunctionName) -> Result<&FunctionCode, String> {
        self.0.get(name).ok_or_else(|| {
            let known = self.0.keys().map(FunctionName::as_str);
            format!("Lockstep ships no function `{name}`{}", suggestion(name.as_str(), known))
        })
    }

    /// Returns true if there are no functions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the lock as stored in the release: JSON with sorted keys and no spaces, so that equal locks are equal
    /// bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).map(canonical_json).unwrap_or_default()
    }
}

/// Returns the digest of all images and functions that a release pins. With the commit, it is the key of a build
/// number. A release without functions has the digest of its image lock.
pub fn lock_digest(images: &ImageLock, functions: &FunctionLock) -> Digest {
    if functions.is_empty() {
        return images.digest();
    }
    Digest::of(format!("{}{}", images.to_json(), functions.to_json()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn shipped() -> FunctionLock {
        FunctionLock::of_keys(&format!("functions/elb-logs/{DIGEST}.zip,functions/log-intake/{DIGEST}.zip"))
            .unwrap()
    }

    #[test]
    fn a_key_names_the_function_and_the_digest_of_its_zip() {
        let key = format!("functions/elb-logs/{DIGEST}.zip");
        let code: FunctionCode = key.parse().unwrap();
        assert_eq!((code.name.as_str(), code.digest.as_str()), ("elb-logs", DIGEST));
        assert_eq!(code.to_string(), key);
    }

    #[test]
    fn a_malformed_key_is_refused() {
        for wrong in [
            "",
            "functions/elb-logs/abc.zip",
            &format!("functions/../{DIGEST}.zip"),
            &format!("functions/a/b/{DIGEST}.zip"),
            &format!("releases/elb-logs/{DIGEST}.zip"),
            &format!("functions/elb-logs/{DIGEST}"),
        ] {
            assert!(wrong.parse::<FunctionCode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_function_that_is_not_shipped_is_refused_with_known_names() {
        let refusal = shipped().code(&"elb-log".parse().unwrap()).unwrap_err();
        assert_eq!(refusal, "Lockstep ships no function `elb-log`; did you mean `elb-logs`?");
    }

    #[test]
    fn the_lock_digest_depends_on_the_code_of_functions() {
        let images = ImageLock::default();
        assert_eq!(lock_digest(&images, &FunctionLock::default()), images.digest());
        assert_ne!(lock_digest(&images, &shipped()), images.digest());
        let other = FunctionLock::of_keys(&format!("functions/elb-logs/{DIGEST}.zip")).unwrap();
        assert_ne!(lock_digest(&images, &shipped()), lock_digest(&images, &other));
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let read: FunctionLock = serde_json::from_str(&shipped().to_json()).unwrap();
        assert_eq!(read, shipped());
    }
}
