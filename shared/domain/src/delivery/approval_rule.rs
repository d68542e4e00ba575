//! The approval rule of a stage, and the verdict of the answers to a question.
//!
//! The rule counts people, not answers. If the starter or the author is unknown, an approver may be that person. The rule
//! then asks for one approver more: of two different people, at least one is another person.

use crate::model::person::{Person, PersonId};
use crate::model::toml_file::{Problems, Table, integer, text, wrong_type};
use crate::records::{AnswerKind, ApprovalDecision};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Maximum number of approvals that a rule can ask for.
pub const MAX_COUNT: u32 = 10;

/// A part in a deployment that can exclude a person from approving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Excluded {
    /// The account that the git host authenticated as the pusher of the release.
    Author,
    /// The person who started the deployment.
    Starter,
}

impl Excluded {
    /// Returns the word in `stages.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Starter => "starter",
        }
    }
}

impl FromStr for Excluded {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "author" => Ok(Self::Author),
            "starter" => Ok(Self::Starter),
            _ => Err("write \"author\" or \"starter\""),
        }
    }
}

/// Conditions on the approvers of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default))]
pub struct ApprovalRule {
    /// The people who may approve. `None` admits each known person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BTreeSet<PersonId>>,
    /// Number of approvers.
    #[cfg_attr(test, schemars(range(min = 1, max = MAX_COUNT)))]
    pub count: u32,
    /// The parts whose people may not approve.
    pub not: BTreeSet<Excluded>,
}

/// The value of `approval` in `stages.toml`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the schema of the type is used")]
pub(crate) enum Written {
    /// True for one approver who is not the starter.
    Asks(bool),
    /// A rule of its own.
    Rule(ApprovalRule),
}

impl Default for ApprovalRule {
    /// Returns the rule of `approval = true`: one approver who is not the starter.
    fn default() -> Self {
        Self { from: None, count: 1, not: [Excluded::Starter].into() }
    }
}

impl ApprovalRule {
    /// Returns the rule for a question in a stage that asks for no approval: any known person confirms the loss.
    pub fn confirmation() -> Self {
        Self { from: None, count: 1, not: BTreeSet::new() }
    }

    /// Returns the rule without the author, for a deployment that deploys no release.
    pub fn without_author(&self) -> Self {
        let not = self.not.iter().copied().filter(|part| *part != Excluded::Author).collect();
        Self { not, ..self.clone() }
    }

    /// Reads `approval` of a stage: true, false or a table. A missing value asks for no approval.
    pub(crate) fn read(stage: &Table<'_, '_>, problems: &mut Problems) -> Option<Self> {
        let value = stage.get("approval")?;
        if let Some(asks) = value.get_ref().as_bool() {
            return asks.then(Self::default);
        }
        let name = stage.path("approval");
        if !value.get_ref().is_table() {
            problems.add(&value.span(), wrong_type(&name, "true, false or a table", value.get_ref()));
            return None;
        }
        let table = Table::of(name, value, problems)?;
        table.refuse_unknown(&["from", "count", "not"], problems);
        let rule = Self {
            from: names(&table, problems),
            count: count(&table, problems),
            not: excluded(&table, problems),
        };
        if let Some(few) = rule.from.as_ref().filter(|from| from.len() < rule.count as usize) {
            let message =
                format!("`{}` asks for {} approvers of {}", table.path("count"), rule.count, few.len());
            problems.add(&table.span_of("from"), message);
        }
        Some(rule)
    }
}

/// Returns the listed people; `None` if there is no list, or if the list has a problem.
fn names(table: &Table<'_, '_>, problems: &mut Problems) -> Option<BTreeSet<PersonId>> {
    table.get("from")?;
    let items = table.items("from", problems);
    let read: Vec<_> = items.into_iter().map(|(name, item)| text(&name, item, problems)).collect();
    read.into_iter().collect()
}

fn count(table: &Table<'_, '_>, problems: &mut Problems) -> u32 {
    let Some(value) = table.get("count") else { return 1 };
    let number = integer(value.get_ref()).and_then(|number| u32::try_from(number).ok());
    number.filter(|number| (1..=MAX_COUNT).contains(number)).unwrap_or_else(|| {
        problems.add(&value.span(), format!("`{}` must be from 1 to {MAX_COUNT}", table.path("count")));
        1
    })
}

fn excluded(table: &Table<'_, '_>, problems: &mut Problems) -> BTreeSet<Excluded> {
    if table.get("not").is_none() {
        return ApprovalRule::default().not;
    }
    let items = table.items("not", problems);
    items.into_iter().filter_map(|(name, item)| text(&name, item, problems)).collect()
}

impl fmt::Display for ApprovalRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", people(self.count))?;
        if let Some(from) = &self.from {
            write!(f, " of {}", list(from))?;
        }
        let (author, starter) = (self.not.contains(&Excluded::Author), self.not.contains(&Excluded::Starter));
        f.write_str(match (author, starter) {
            (true, true) => ", not the author and not who started it",
            (false, true) => ", not who started it",
            (true, false) => ", not the author; may be approved by who started it",
            (false, false) => "; may be approved by who started it",
        })
    }
}

fn people(count: u32) -> String {
    if count == 1 { "one approver".to_owned() } else { format!("{count} approvers") }
}

fn list<'a>(people: impl IntoIterator<Item = &'a PersonId>) -> String {
    people.into_iter().map(PersonId::as_str).collect::<Vec<_>>().join(", ")
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The person of the caller.
    pub person: Person,
    /// The answer.
    pub kind: AnswerKind,
    /// Time of the answer.
    pub at: Timestamp,
}

/// The people who took part in a deployment before its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The person who started it.
    pub starter: Person,
    /// The person who pushed its release.
    pub author: Person,
}

/// Verdict of the answers to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough people approved.
    Passed {
        /// Time at which the first of the needed approvals expires.
        until: Timestamp,
    },
    /// More people must approve.
    Waits {
        /// Number of missing approvers.
        more: u32,
        /// The people who may still approve; `None` if the rule lists none.
        from: Option<BTreeSet<PersonId>>,
        /// Reason for the number, as a sentence.
        why: String,
    },
    /// A caller refused.
    Refused {
        /// The person of the first refusal.
        by: Person,
    },
}

/// Judges the `answers`, oldest first, by the rule.
///
/// An approval of an unknown person never counts, and neither does one that expired or that its approver took back. A
/// refusal counts from any caller: the approvers' function admits no other.
pub fn judge(rule: &ApprovalRule, parts: &Parts, answers: &[Answer], now: Timestamp) -> Verdict {
    if let Some(refusal) = answers.iter().find(|answer| answer.kind == AnswerKind::Refuse) {
        return Verdict::Refused { by: refusal.person.clone() };
    }
    let mut ends: Vec<Timestamp> = approvals(rule, parts, answers, now).into_values().collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    let needed = needed(rule, parts);
    match ends.get(needed as usize - 1) {
        Some(until) => Verdict::Passed { until: *until },
        None => waits(rule, parts, answers, now),
    }
}

/// Returns the number of different people who must approve.
pub fn needed(rule: &ApprovalRule, parts: &Parts) -> u32 {
    let unknown = unknown_parts(rule, parts).len();
    rule.count.max(1) + u32::try_from(unknown).unwrap_or(u32::MAX)
}

/// Returns the excluded parts whose person is unknown.
fn unknown_parts(rule: &ApprovalRule, parts: &Parts) -> Vec<Excluded> {
    rule.not.iter().copied().filter(|part| person_of(*part, parts).known().is_none()).collect()
}

fn person_of(part: Excluded, parts: &Parts) -> &Person {
    match part {
        Excluded::Author => &parts.author,
        Excluded::Starter => &parts.starter,
    }
}

/// Returns true if an approval of this person counts.
pub fn may_approve(rule: &ApprovalRule, parts: &Parts, person: &PersonId) -> bool {
    let listed = rule.from.as_ref().is_none_or(|from| from.contains(person));
    listed && !rule.not.iter().any(|part| person_of(*part, parts).known() == Some(person))
}

/// Returns the approvers whose approval counts at `now`, each with its end.
fn approvals(
    rule: &ApprovalRule,
    parts: &Parts,
    answers: &[Answer],
    now: Timestamp,
) -> BTreeMap<PersonId, Timestamp> {
    let mut last = BTreeMap::new();
    for answer in answers {
        if let Some(person) = answer.person.known() {
            last.insert(person.clone(), answer);
        }
    }
    let counts = |person: &PersonId, answer: &Answer| {
        let end = answer.at.checked_add(ApprovalDecision::VALID_HOURS.hours()).ok()?;
        let approves = answer.kind == AnswerKind::Approve && now < end;
        (approves && may_approve(rule, parts, person)).then_some(end)
    };
    last.into_iter().filter_map(|(person, answer)| counts(&person, answer).map(|end| (person, end))).collect()
}

fn waits(rule: &ApprovalRule, parts: &Parts, answers: &[Answer], now: Timestamp) -> Verdict {
    let approved = approvals(rule, parts, answers, now);
    let needed = needed(rule, parts);
    let more = needed.saturating_sub(u32::try_from(approved.len()).unwrap_or(u32::MAX));
    let from = rule.from.as_ref().map(|from| {
        let open = |person: &&PersonId| may_approve(rule, parts, person) && !approved.contains_key(*person);
        from.iter().filter(open).cloned().collect::<BTreeSet<_>>()
    });
    let mut why = vec![format!("the stage asks for {rule}")];
    why.extend(unknown_parts(rule, parts).into_iter().map(|part| {
        format!(
            "one more because {}",
            match part {
                Excluded::Author => "its author is unknown, and one approver may be the author",
                Excluded::Starter => "it is unknown who started it, and one approver may be that person",
            }
        )
    }));
    if !approved.is_empty() {
        why.push(format!("{} approved", list(approved.keys())));
    }
    if from.as_ref().is_some_and(|from| from.len() < more as usize) {
        why.push("too few people of the list are left, so only another deployment can pass".to_owned());
    }
    Verdict::Waits { more, from, why: why.join("; ") }
}

/// Returns the names in `from` of the rule that no approver can have.
pub fn unknown_names(rule: &ApprovalRule, has: impl Fn(&PersonId) -> bool) -> Vec<&PersonId> {
    rule.from.iter().flatten().filter(|person| !has(person)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
