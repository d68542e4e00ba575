//! Public parameters: values that AWS publishes in Parameter Store of each region, such as the newest image of Amazon Linux.
//!
//! AWS moves such a value without a release. A release therefore pins version and value of each that its template names. A
//! version is a number of one region: `/aws/service/ami-amazon-linux-latest/amzn-ami-hvm-x86_64-gp2` ended in December
//! 2023 as version 73 in us-east-1 and as version 52 in ap-northeast-3. So each region has a pin of its own.

use crate::model::canonical::canonical_json;
use crate::model::ids::{LogicalId, Region};
use crate::model::late_values::{Answer, StoredParameter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Beginning of the names of public parameters.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html>
pub const PUBLIC: &str = "/aws/service/";

/// Returns true for the name of a public parameter that names no version.
pub fn is_public(name: &str) -> bool {
    name.starts_with(PUBLIC) && !name.contains(':')
}

/// What Parameter Store of each region holds under the names of public parameters.
pub type PublicParameters = BTreeMap<Region, BTreeMap<String, Answer<StoredParameter>>>;

/// A parameter of Parameter Store at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedValue {
    /// Number of the version.
    pub version: i64,
    /// Its value.
    pub value: String,
}

impl PinnedValue {
    /// Returns the plain value that Parameter Store holds.
    ///
    /// # Errors
    /// Returns the reason for which there is none, without the name.
    pub fn of(answer: Option<&Answer<StoredParameter>>) -> Result<Self, &'static str> {
        match answer {
            Some(Answer::Found(StoredParameter { version, value: Some(value) })) => {
                Ok(Self { version: *version, value: value.clone() })
            }
            Some(Answer::Found(_)) => Err("it is encrypted"),
            Some(Answer::Missing) => Err("there is no such parameter"),
            Some(Answer::Refused) => Err("the policy of the reader refuses it"),
            None => Err("it was not read"),
        }
    }
}

/// The public parameters of a release, and the template parameters that get the values of stored parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicParameterLock {
    /// The template parameters whose value is the name of a parameter in Parameter Store. Lockstep gives the stack its
    /// value.
    pub parameters: BTreeSet<LogicalId>,
    /// The pinned public parameters of each region, by name.
    pub regions: BTreeMap<Region, BTreeMap<String, PinnedValue>>,
}

impl PublicParameterLock {
    /// Returns true if no template parameter gets the value of a stored parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// Returns the pin of a public parameter in a region.
    pub fn pin(&self, region: &Region, name: &str) -> Option<&PinnedValue> {
        self.regions.get(region)?.get(name)
    }

    /// Returns the value that a stack in `region` gets for the template parameter `id`, whose own value is `name`: `None` if
    /// `name` is the value itself.
    ///
    /// The inner result is an error if the release pins no such parameter.
    pub fn value(&self, id: &LogicalId, region: &Region, name: &str) -> Option<Result<String, String>> {
        self.parameters.contains(id).then(|| {
            let pin = self.pin(region, name).map(|pin| pin.value.clone());
            pin.ok_or_else(|| format!("the release pins no parameter {name} in {region}"))
        })
    }

    /// Returns the lock as the release carries it: JSON with sorted keys and no spaces, so that equal locks have equal
    /// bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).map(canonical_json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_belongs_to_one_region() {
        let region = |name: &str| name.parse::<Region>().unwrap();
        let pin = |version, value: &str| PinnedValue { version, value: value.to_owned() };
        let pins = |pin| BTreeMap::from([("/aws/service/a".to_owned(), pin)]);
        let lock = PublicParameterLock {
            parameters: ["Base".parse().unwrap()].into(),
            regions: [
                (region("us-east-1"), pins(pin(73, "ami-1"))),
                (region("ap-northeast-3"), pins(pin(52, "ami-2"))),
            ]
            .into(),
        };
        let value = |id: &str, of: &str, name| lock.value(&id.parse().unwrap(), &region(of), name);
        assert_eq!(value("Base", "us-east-1", "/aws/service/a"), Some(Ok("ami-1".to_owned())));
        assert_eq!(value("Base", "ap-northeast-3", "/aws/service/a"), Some(Ok("ami-2".to_owned())));
        assert!(value("Base", "eu-west-1", "/aws/service/a").unwrap().is_err());
        assert!(value("Base", "us-east-1", "/own/a").unwrap().is_err());
        assert_eq!(value("Name", "us-east-1", "/aws/service/a"), None);
        assert_eq!(serde_json::from_str::<PublicParameterLock>(&lock.to_json()).unwrap(), lock);
    }

    #[test]
    fn a_name_with_a_version_is_pinned_by_its_author() {
        assert!(is_public("/aws/service/ami-amazon-linux-latest/al2023"));
        assert!(!is_public("/aws/service/ami-amazon-linux-latest/al2023:3"));
        assert!(!is_public("/shop/aws/service/a"));
    }

    #[test]
    fn each_answer_without_a_value_has_a_reason() {
        let found = |value: Option<&str>| {
            Answer::Found(StoredParameter { version: 3, value: value.map(str::to_owned) })
        };
        let of = |answer| PinnedValue::of(Some(&answer)).map_err(str::to_owned);
        assert_eq!(of(found(Some("a"))), Ok(PinnedValue { version: 3, value: "a".into() }));
        assert_eq!(of(found(None)), Err("it is encrypted".to_owned()));
        assert_eq!(of(Answer::Missing), Err("there is no such parameter".to_owned()));
        assert!(of(Answer::Refused).is_err() && PinnedValue::of(None).is_err());
    }
}
