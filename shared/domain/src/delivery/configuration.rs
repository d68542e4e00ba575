//! The parts of the organisation's configuration together: whether they fit each other, and what a new version of one
//! changes.

use crate::delivery::parameters::OrganisationParameters;
use crate::delivery::people::{self, People};
use crate::delivery::stages::{self, Stages};
use crate::delivery::weakening;
use crate::model::administrators::Administrators;
use crate::model::difference::Difference;
use crate::model::error::Problem;
use crate::records::ConfigKind;

/// The texts of all parts of the configuration. `None` is a part that was never applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// `stages.toml`.
    pub stages: Option<String>,
    /// The organisation's parameter layers.
    pub parameters: Option<String>,
    /// `people.toml`.
    pub people: Option<String>,
    /// The number of administrators, in a word.
    pub administrators: Option<String>,
}

impl Texts {
    /// Returns the texts with a new version of one part.
    pub fn with(&self, kind: ConfigKind, text: &str) -> Self {
        let mut texts = self.clone();
        *texts.part(kind) = Some(text.to_owned());
        texts
    }

    fn part(&mut self, kind: ConfigKind) -> &mut Option<String> {
        match kind {
            ConfigKind::Stages => &mut self.stages,
            ConfigKind::Parameters => &mut self.parameters,
            ConfigKind::People => &mut self.people,
            ConfigKind::Administrators => &mut self.administrators,
        }
    }

    /// Returns the number of administrators; `initial` if none was ever applied.
    pub fn administrators(&self, initial: Administrators) -> Result<Administrators, Vec<Problem>> {
        self.administrators.as_deref().map_or(Ok(initial), read_administrators)
    }

    /// Returns the people. Without a file each identity is a person by itself.
    pub fn people(&self) -> Result<People, Vec<Problem>> {
        self.people.as_deref().map_or_else(|| Ok(People::default()), read_people)
    }
}

fn read_stages(text: &str) -> Result<Stages, Vec<Problem>> {
    Stages::parse("stages.toml", text)
}

fn read_people(text: &str) -> Result<People, Vec<Problem>> {
    People::parse("people.toml", text)
}

fn read_administrators(text: &str) -> Result<Administrators, Vec<Problem>> {
    text.trim().parse().map_err(|_| {
        let message = format!("`{}` is no number of administrators; write one or many", text.trim());
        vec![Problem::at("administrators", None, message)]
    })
}

/// Checks that the parts fit each other: no parameters name a stage that does not exist, and no rule an approver whom the
/// people do not include.
pub fn check(texts: &Texts) -> Result<(), Vec<Problem>> {
    texts.administrators(Administrators::Many)?;
    let parsed = texts.stages.as_deref().map(read_stages).transpose()?;
    let parameters = texts.parameters.as_deref();
    let parameters =
        parameters.map(|text| OrganisationParameters::parse("parameters.toml", text)).transpose()?;
    let people = texts.people()?;
    let Some(stages) = parsed else { return Ok(()) };
    let mut problems = parameters.map_or_else(Vec::new, |parameters| parameters.check_stages(&stages));
    problems.extend(stages::check_approvers(&stages, &people));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Returns the differences that a new version of one part makes. The first version of a part replaces no protection, with
/// one exception: people, once a stage asks for an approval.
///
/// Parameters have no differences here: each question of a deployment shows the values that change.
pub fn differences(
    texts: &Texts,
    kind: ConfigKind,
    text: &str,
    initial: Administrators,
) -> Result<Vec<Difference>, Vec<Problem>> {
    match kind {
        ConfigKind::Parameters => Ok(Vec::new()),
        ConfigKind::Stages => {
            let Some(old) = &texts.stages else { return Ok(Vec::new()) };
            Ok(weakening::differences(&read_stages(old)?, &read_stages(text)?))
        }
        ConfigKind::Administrators => {
            let (old, new) = (texts.administrators(initial)?, read_administrators(text)?);
            Ok(weakening::of_administrators(old, new))
        }
        ConfigKind::People => {
            let stages = texts.stages.as_deref().map(read_stages).transpose()?;
            let asks = stages.is_some_and(|stages| stages.iter().any(|stage| stage.approval.is_some()));
            let many = texts.people.is_some() && texts.administrators(initial)? == Administrators::Many;
            let found = people::differences(&texts.people()?, &read_people(text)?);
            Ok(if asks || many { found } else { weakening::harmless(found) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::weakening::weakens;

    const ADA: &str = "[[people]]\nname = \"ada\"\ngithub = \"ada-l\"\n";

    fn stages(approval: &str) -> String {
        stages::EXAMPLE.replace("approval = true", &format!("approval = {approval}"))
    }

    fn texts(stages: Option<String>, parameters: Option<&str>, people: Option<&str>) -> Texts {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Texts { stages, parameters: owned(parameters), people: owned(people), administrators: None }
    }

    fn weakens_people(texts: &Texts, text: &str, administrators: Administrators) -> bool {
        weakens(&differences(texts, ConfigKind::People, text, administrators).unwrap())
    }

    #[test]
    fn parameters_of_an_unknown_stage_are_refused() {
        let with = |stages: Option<&str>, parameters: &str| {
            check(&texts(stages.map(str::to_owned), Some(parameters), None))
        };
        assert!(with(Some(stages::EXAMPLE), "[ci]\nSize = \"1\"\n").is_ok());
        let problems = with(Some(stages::EXAMPLE), "[nowhere]\nSize = \"1\"\n").unwrap_err();
        assert!(problems[0].message.contains("nowhere"), "{problems:?}");
        assert!(with(None, "[nowhere]\nSize = \"1\"\n").is_ok());
    }

    #[test]
    fn a_rule_names_approvers_of_the_applied_people() {
        let with = |people: Option<&str>| check(&texts(Some(stages("{ from = [\"ada\"] }")), None, people));
        assert!(with(Some("[[people]]\nname = \"ada\"\n")).is_ok());
        for people in [None, Some("[[people]]\nname = \"grace\"\n")] {
            let problems = with(people).unwrap_err();
            assert!(problems[0].message.contains("`ada`, whom people.toml does not name"), "{problems:?}");
        }
    }

    #[test]
    fn a_number_of_administrators_is_one_or_many() {
        let with = |word: &str| check(&Texts::default().with(ConfigKind::Administrators, word));
        assert!(with("one").is_ok() && with("many\n").is_ok());
        assert!(with("two").unwrap_err()[0].message.contains("write one or many"));
    }

    #[test]
    fn the_first_stages_weaken_nothing_and_later_ones_are_compared() {
        let open = stages("false");
        let of = |texts: &Texts| differences(texts, ConfigKind::Stages, &open, Administrators::One).unwrap();
        assert!(of(&Texts::default()).is_empty());
        assert!(weakens(&of(&texts(Some(stages("true")), None, None))));
    }

    #[test]
    fn fewer_administrators_weaken_and_the_initial_number_counts() {
        let to = |texts: &Texts, word: &str, initial| {
            weakens(&differences(texts, ConfigKind::Administrators, word, initial).unwrap())
        };
        assert!(to(&Texts::default(), "one", Administrators::Many));
        assert!(!to(&Texts::default(), "many", Administrators::One));
        let one = Texts::default().with(ConfigKind::Administrators, "one");
        assert!(!to(&one, "one", Administrators::Many), "the applied number replaces the initial one");
    }

    #[test]
    fn people_weaken_once_a_stage_asks_or_two_administrators_must_agree() {
        use Administrators::{Many, One};
        let asks = texts(Some(stages("true")), None, None);
        assert!(weakens_people(&asks, ADA, One) && weakens_people(&asks, ADA, Many));
        let asks_nothing = texts(Some(stages("false")), None, None);
        assert!(!weakens_people(&asks_nothing, ADA, One) && !weakens_people(&asks_nothing, ADA, Many));
        let later = texts(None, None, Some(""));
        assert!(!weakens_people(&later, ADA, One) && weakens_people(&later, ADA, Many));
    }

    #[test]
    fn parameters_have_no_differences() {
        let found = differences(&Texts::default(), ConfigKind::Parameters, "", Administrators::One);
        assert_eq!(found, Ok(Vec::new()));
    }
}
