//! Values that CloudFormation reads from Parameter Store and Secrets Manager when it deploys, and what was read of them.

use super::ids::Digest;
use super::resource_change::{Change, NESTED_STACK, SYNC};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Maximum characters of a value that a record holds. A longer one is cut, with its digest.
const VALUE_CHARS: usize = 256;

/// The values of a release that may change without a release, by the text that names them to people: a parameter with the
/// name of its source, or a dynamic reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LateValues(pub BTreeMap<String, LateValue>);

/// A value that CloudFormation reads when it deploys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateValue {
    /// The place that holds the value.
    pub source: LateSource,
    /// True if the value may be a secret. Only its version is kept.
    pub is_hidden: bool,
    /// Logical ids of the resources with a dynamic reference. CloudFormation reads it again only with another change of the
    /// resource. Empty for a parameter, which each change set compares.
    pub resources: BTreeSet<String>,
}

/// The place that holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LateSource {
    /// The parameter of this name in Parameter Store.
    Parameter(String),
    /// The version of a secret that has a stage, such as `AWSCURRENT`.
    Secret {
        /// Name or ARN of the secret.
        id: String,
        /// Stage of the version.
        stage: String,
    },
    /// A place that cannot be read before the deployment, for this reason.
    Unreadable(String),
}

impl LateSource {
    /// Returns the name of a parameter in Parameter Store: equal for its name and its ARN, with a label and without.
    fn stored_name(&self) -> Option<&str> {
        let Self::Parameter(name) = self else { return None };
        let name = match name.split_once(":parameter/") {
            Some((arn, name)) if arn.starts_with("arn:") => name,
            _ => name,
        };
        name.trim_start_matches('/').split(':').next()
    }
}

/// Answer of a service about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The place holds this.
    Found(T),
    /// The place does not exist.
    Missing,
    /// The service refused the request for lack of permission.
    Refused,
}

/// A parameter in Parameter Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredParameter {
    /// Number of its version.
    pub version: i64,
    /// Its value; `None` for an encrypted one.
    pub value: Option<String>,
}

/// Answers about all places of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredAnswers {
    /// Parameters, by name.
    pub parameters: BTreeMap<String, Answer<StoredParameter>>,
    /// Ids of the versions of secrets, by the name or ARN of the secret and by stage.
    pub secrets: BTreeMap<String, Answer<BTreeMap<String, String>>>,
}

/// State of a late value when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateReading {
    /// A plain parameter.
    Text {
        /// Number of its version.
        version: i64,
        /// Its value.
        value: String,
    },
    /// A parameter whose value may be a secret, by the number of its version.
    Hidden(i64),
    /// A secret, by the id of its version.
    Secret(String),
    /// The state is not known, for this reason.
    Unknown(String),
}

impl LateReading {
    fn text(version: i64, value: &str) -> Self {
        let value = match value.chars().count() {
            0..=VALUE_CHARS => value.to_owned(),
            _ => {
                let start: String = value.chars().take(VALUE_CHARS).collect();
                format!("{start}… (SHA-256 {})", Digest::of(value.as_bytes()))
            }
        };
        Self::Text { version, value }
    }

    /// Returns the part that decides if two readings are the same state. A plain value with another version is the same one.
    fn state(&self) -> Option<String> {
        match self {
            Self::Text { value, .. } => Some(format!("text {value}")),
            Self::Hidden(version) => Some(format!("version {version}")),
            Self::Secret(version) => Some(format!("secret {version}")),
            Self::Unknown(_) => None,
        }
    }

    /// Returns true if both are known and the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.state().is_some() && self.state() == other.state()
    }
}

impl fmt::Display for LateReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { version, value } => write!(f, "{value} (version {version})"),
            Self::Hidden(version) => write!(f, "(hidden, version {version})"),
            Self::Secret(version) => write!(f, "(hidden, version {version})"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// A late value as a deployment records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRecord {
    /// Its state.
    pub reading: LateReading,
    /// As [`LateValue::resources`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resources: BTreeSet<String>,
}

/// A late value before and after a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateChange {
    /// The text that names the value.
    pub name: String,
    /// State with which the last deployment ended; `None` if it recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<LateReading>,
    /// State that this deployment read.
    pub new: LateReading,
}

impl fmt::Display for LateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.old {
            Some(old) => write!(f, "{}: {old} -> {}", self.name, self.new),
            None => write!(f, "{}: {}", self.name, self.new),
        }
    }
}

/// The late values of a deployment as it read them, by the text that names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateReadings(pub BTreeMap<String, LateRecord>);

impl LateReadings {
    /// Returns the state of each value. A parameter in Parameter Store that one value hides is hidden in all of them.
    pub fn of(values: &LateValues, answers: &StoredAnswers) -> Self {
        let hidden = values.0.values().filter(|value| value.is_hidden);
        let hidden: BTreeSet<&str> = hidden.filter_map(|value| value.source.stored_name()).collect();
        let record = |(name, value): (&String, &LateValue)| {
            let is_hidden =
                value.is_hidden || value.source.stored_name().is_some_and(|it| hidden.contains(it));
            let reading = reading(&value.source, is_hidden, answers);
            let record = LateRecord { reading, resources: value.resources.clone() };
            (name.clone(), record)
        };
        Self(values.0.iter().map(record).collect())
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the digest of all states; `None` if there are no values.
    pub fn digest(&self) -> Option<Digest> {
        let states = self
            .0
            .iter()
            .map(|(name, record)| format!("{name}\u{0}{}\u{0}", record.reading.state().unwrap_or_default()));
        (!self.is_empty()).then(|| Digest::of(states.collect::<String>().as_bytes()))
    }

    /// Returns true if every state is known, and the environment was deployed with exactly these.
    pub fn are_deployed(&self, recorded: Option<&Digest>) -> bool {
        let is_known = self.0.values().all(|record| record.reading.state().is_some());
        is_known && self.digest().as_ref() == recorded
    }

    /// Returns the values that differ from those with which the last deployment ended. An unknown one always differs.
    pub fn changes(&self, before: Option<&Self>) -> Vec<LateChange> {
        let old = |name: &String| before?.0.get(name).map(|record| record.reading.clone());
        let changes = self.0.iter().filter_map(|(name, LateRecord { reading, .. })| {
            let old = old(name);
            let is_same = old.as_ref().is_some_and(|old| old.is_same(reading));
            (!is_same).then(|| LateChange { name: name.clone(), old, new: reading.clone() })
        });
        changes.collect()
    }

    /// Returns the values as the stack has them after an operation that read the references of `updated` again.
    ///
    /// CloudFormation reads a dynamic reference again only with another change of its resource. Else the stack has the value
    /// with which the deployment before ended.
    #[must_use]
    pub fn reached(&self, before: Option<&Self>, updated: &BTreeSet<String>) -> Self {
        let kept = |name: &String, record: &LateRecord| {
            let is_read = record.resources.is_subset(updated);
            let old = before?.0.get(name)?;
            let stays = !is_read && old.reading.state().is_some();
            stays.then(|| LateRecord { reading: old.reading.clone(), ..record.clone() })
        };
        let reached = |(name, record): (&String, &LateRecord)| {
            (name.clone(), kept(name, record).unwrap_or_else(|| record.clone()))
        };
        Self(self.0.iter().map(reached).collect())
    }
}

/// Returns the places whose dynamic references CloudFormation reads again when it makes these changes: resources, and
/// the outputs of the stack and of each nested stack that it updates.
pub fn updated(changes: &[Change]) -> BTreeSet<String> {
    let made = || changes.iter().filter(|change| change.action != SYNC);
    let resources = made().filter(|change| !change.tags_only).map(|change| change.logical_id.clone());
    let nested = made().filter(|change| change.resource_type == NESTED_STACK);
    let outputs = nested.map(|change| format!("{}.Outputs", change.logical_id));
    resources.chain(outputs).chain(["Outputs".to_owned()]).collect()
}

fn reading(source: &LateSource, is_hidden: bool, answers: &StoredAnswers) -> LateReading {
    let unknown = |why: &str| LateReading::Unknown(why.to_owned());
    match source {
        LateSource::Unreadable(why) => LateReading::Unknown(why.clone()),
        LateSource::Parameter(name) => match answers.parameters.get(name) {
            Some(Answer::Found(StoredParameter { version, value: Some(text) })) if !is_hidden => {
                LateReading::text(*version, text)
            }
            Some(Answer::Found(StoredParameter { version, .. })) => LateReading::Hidden(*version),
            Some(Answer::Missing) => unknown("there is no such parameter"),
            Some(Answer::Refused) => unknown("the deployer may not read this parameter"),
            None => unknown("the parameter was not read"),
        },
        LateSource::Secret { id, stage } => match answers.secrets.get(id) {
            Some(Answer::Found(versions)) => match versions.get(stage) {
                Some(version) => LateReading::Secret(version.clone()),
                None => LateReading::Unknown(format!("the secret has no version with the stage {stage}")),
            },
            Some(Answer::Missing) => unknown("there is no such secret"),
            Some(Answer::Refused) => unknown("the deployer may not describe this secret"),
            None => unknown("the secret was not read"),
        },
    }
}

/// Returns the sentence about values that another deployment left as they are; empty if there are none.
pub fn unread(changes: &[LateChange]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = changes.iter().map(ToString::to_string).collect();
    format!(
        "; not covered: {}; CloudFormation reads such a value again only with another change of its resource",
        listed.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: LateSource, resources: &[&str]) -> LateValue {
        let resources = resources.iter().map(|id| (*id).to_owned()).collect();
        LateValue { source, is_hidden: false, resources }
    }

    fn values() -> LateValues {
        let parameter = |name: &str| LateSource::Parameter(name.to_owned());
        let secret = LateSource::Secret { id: "db".into(), stage: "AWSCURRENT".into() };
        let hidden = LateValue { is_hidden: true, ..value(parameter("/token"), &[]) };
        LateValues(
            [
                ("Limit (/limit)", value(parameter("/limit"), &[])),
                ("Token (/token)", hidden),
                ("{{resolve:ssm-secure:key}}", value(parameter("key"), &["Site"])),
                ("{{resolve:secretsmanager:db}}", value(secret, &["Db", "Proxy"])),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        )
    }

    fn answers(limit: (i64, &str), db: &str) -> StoredAnswers {
        let found = |version, value: Option<&str>| {
            Answer::Found(StoredParameter { version, value: value.map(str::to_owned) })
        };
        let versions = [("AWSCURRENT", db), ("AWSPREVIOUS", "v0")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        StoredAnswers {
            parameters: [
                ("/limit".to_owned(), found(limit.0, Some(limit.1))),
                ("/token".to_owned(), found(4, Some("s3cr3t"))),
                ("key".to_owned(), found(2, None)),
            ]
            .into(),
            secrets: [("db".to_owned(), Answer::Found(versions.into()))].into(),
        }
    }

    fn read(limit: (i64, &str), db: &str) -> LateReadings {
        LateReadings::of(&values(), &answers(limit, db))
    }

    fn lines(changes: &[LateChange]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_are_compared_and_secrets_by_their_versions() {
        let before = read((1, "7"), "v1");
        assert!(before.are_deployed(before.digest().as_ref()));
        let same = read((2, "7"), "v1");
        assert!(same.are_deployed(before.digest().as_ref()), "another version with the same value");
        let other = read((3, "8"), "v2");
        assert!(!other.are_deployed(before.digest().as_ref()));
        assert_eq!(
            lines(&other.changes(Some(&before))),
            [
                "Limit (/limit): 7 (version 1) -> 8 (version 3)",
                "{{resolve:secretsmanager:db}}: (hidden, version v1) -> (hidden, version v2)",
            ]
        );
        let stored = serde_json::to_string(&other).unwrap();
        assert!(!stored.contains("s3cr3t"), "{stored}");
        assert_eq!(serde_json::from_str::<LateReadings>(&stored).unwrap(), other);
    }

    #[test]
    fn an_unknown_value_is_never_the_deployed_one() {
        for refused in [
            StoredAnswers::default(),
            StoredAnswers { secrets: [("db".to_owned(), Answer::Refused)].into(), ..answers((1, "7"), "v1") },
            StoredAnswers {
                parameters: [("/limit".to_owned(), Answer::Missing)].into(),
                ..answers((1, "7"), "v1")
            },
        ] {
            let unknown = LateReadings::of(&values(), &refused);
            assert!(!unknown.are_deployed(unknown.digest().as_ref()));
            assert!(!unknown.changes(Some(&unknown)).is_empty());
        }
        assert!(LateReadings::default().are_deployed(None), "there is nothing to compare");
        let unrecorded = read((1, "7"), "v1");
        assert!(!unrecorded.are_deployed(None));
        assert_eq!(unrecorded.changes(None).len(), 4);
    }

    #[test]
    fn a_reference_reaches_the_stack_with_a_change_of_each_of_its_resources() {
        let (before, after) = (read((1, "7"), "v1"), read((2, "8"), "v2"));
        let reached = |changed: &[&str]| {
            let changed = changed.iter().map(|id| (*id).to_owned()).collect();
            lines(&after.changes(Some(&after.reached(Some(&before), &changed))))
        };
        let left = "{{resolve:secretsmanager:db}}: (hidden, version v1) -> (hidden, version v2)";
        assert_eq!(reached(&[]), [left], "a parameter is compared by each change set");
        assert_eq!(reached(&["Db"]), [left]);
        assert!(reached(&["Db", "Proxy"]).is_empty());
        assert_eq!(after.reached(None, &BTreeSet::new()), after, "what ran before is not known");
    }

    #[test]
    fn changes_update_resources_and_the_outputs_of_their_stacks() {
        let change = |logical_id: &str, resource_type: &str, action: &str, tags_only| Change {
            logical_id: logical_id.to_owned(),
            resource_type: resource_type.to_owned(),
            action: action.to_owned(),
            replacement: String::new(),
            properties: Vec::new(),
            tags_only,
            drift: None,
            impact: crate::model::resource_change::Impact::None,
        };
        let (topic, nested) = ("AWS::SNS::Topic", NESTED_STACK);
        let found = updated(&[
            change("Topic", topic, "Modify", false),
            change("Tagged", topic, "Modify", true),
            change("Synced", topic, "SyncWithActual", false),
            change("Child", nested, "Modify", true),
            change("Child.Queue", "AWS::SQS::Queue", "Add", false),
            change("Other", nested, "SyncWithActual", false),
        ]);
        assert_eq!(Vec::from_iter(&found), ["Child.Outputs", "Child.Queue", "Outputs", "Topic"]);
        assert_eq!(Vec::from_iter(updated(&[])), ["Outputs"]);
        let of = |limit| {
            let source = LateSource::Parameter("/limit".into());
            let reference = value(source, &["Outputs", "Child.Outputs"]);
            LateReadings::of(&LateValues([("r".to_owned(), reference)].into()), &answers(limit, "v1"))
        };
        let (before, after) = (of((1, "7")), of((2, "8")));
        assert_eq!(after.reached(Some(&before), &found), after);
        assert_ne!(after.reached(Some(&before), &BTreeSet::new()), after, "nothing was updated");
    }

    #[test]
    fn what_one_value_hides_no_other_shows() {
        let arn = "arn:aws:ssm:eu-west-1:111111111111:parameter/token";
        for name in ["/token", arn, "/token:live"] {
            let (hidden, visible) =
                (LateSource::Parameter(name.into()), LateSource::Parameter("/token".into()));
            let values = |is_hidden| {
                let secret = LateValue { is_hidden, ..value(hidden.clone(), &[]) };
                let both = [("Token", secret), ("reference", value(visible.clone(), &["Site"]))];
                LateValues(both.map(|(name, value)| (name.to_owned(), value)).into())
            };
            let reading = |is_hidden| {
                let read = LateReadings::of(&values(is_hidden), &answers((1, "7"), "v1"));
                read.0["reference"].reading.clone()
            };
            assert_eq!(reading(true), LateReading::Hidden(4), "{name}");
            assert_eq!(reading(false), LateReading::Text { version: 4, value: "s3cr3t".into() });
        }
    }

    #[test]
    fn a_long_value_is_cut_and_still_compared_as_a_whole() {
        let long = |end: &str| read((1, &format!("{}{end}", "x".repeat(4000))), "v1");
        assert!(!long("a").are_deployed(long("b").digest().as_ref()));
        let shown = lines(&long("a").changes(None))[0].clone();
        assert!(shown.len() < 500, "{shown}");
    }

    #[test]
    fn what_is_not_covered_is_told() {
        assert_eq!(unread(&[]), "");
        let text = unread(&read((1, "7"), "v1").changes(None));
        assert!(text.starts_with("; not covered: Limit (/limit): 7 (version 1), "), "{text}");
    }
}
