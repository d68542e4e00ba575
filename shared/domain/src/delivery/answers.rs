//! The answers to one question: admits an answer, and judges all of them by the rule of the stage.

use crate::delivery::approval_rule::{self, Answer, ApprovalRule, Parts, Verdict};
use crate::delivery::people::People;
use crate::model::error::{Failure, FailureKind};
use crate::model::person::{Person, Starter};
use crate::records::{AnswerKind, Deployment, GivenAnswer};
use jiff::Timestamp;

/// Maximum number of answers to one question. Each is kept, and an item has a limited size.
const MAX_ANSWERS: usize = 50;

/// The facts by which answers are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jury<'a> {
    /// Rule of the stage.
    pub rule: ApprovalRule,
    /// The people of the organisation.
    pub people: &'a People,
    /// The people who took part in the deployment.
    pub parts: Parts,
}

impl<'a> Jury<'a> {
    /// Returns the jury of a deployment with `rule`. A teardown and a publication deploy no release and have no author.
    /// The starter and the author of the build of an image are unknown: no record that only the authority writes names
    /// them.
    pub fn new(rule: &ApprovalRule, people: &'a People, deployment: &Deployment) -> Self {
        let has_author = deployment.teardown().is_none() && deployment.publication().is_none();
        let rule = if has_author { rule.clone() } else { rule.without_author() };
        Self { rule, people, parts: parts(deployment, people) }
    }

    /// Returns the verdict of `answers` at `now`.
    pub fn verdict(&self, answers: &[GivenAnswer], now: Timestamp) -> Verdict {
        let judged: Vec<Answer> = answers
            .iter()
            .map(|given| Answer { person: self.people.person(&given.by), kind: given.kind, at: given.at })
            .collect();
        approval_rule::judge(&self.rule, &self.parts, &judged, now)
    }

    /// Returns the answers with one more. Refuses an approval that cannot count, and explains why.
    pub fn admit(&self, answers: &[GivenAnswer], answer: GivenAnswer) -> Result<Vec<GivenAnswer>, Failure> {
        match answer.kind {
            AnswerKind::Refuse => {}
            AnswerKind::Approve => self.may_approve(&answer)?,
            AnswerKind::Withdraw => self.may_withdraw(answers, &answer)?,
        }
        if answer.kind != AnswerKind::Refuse && answers.len() >= MAX_ANSWERS {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("the question has {MAX_ANSWERS} answers already; refuse it, and deploy again"),
            ));
        }
        Ok(answers.iter().cloned().chain([answer]).collect())
    }

    fn may_approve(&self, answer: &GivenAnswer) -> Result<(), Failure> {
        let arn = &answer.by.arn;
        let person = self.people.person(&answer.by);
        match person.known() {
            None => Err(Failure::rejected(format!(
                "{arn} may be any person, so its approval does not count: approve as an IAM user, through IAM Identity \
                 Center, or through a role that people.toml registers"
            ))),
            Some(id) if approval_rule::may_approve(&self.rule, &self.parts, id) => Ok(()),
            Some(id) => Err(Failure::rejected(format!(
                "the approval of {id} does not count: the stage asks for {}{}",
                self.rule,
                self.part_of(&person)
            ))),
        }
    }

    /// Returns the part that a person took in the deployment, as the end of a sentence.
    fn part_of(&self, person: &Person) -> &'static str {
        match (self.parts.starter == *person, self.parts.author == *person) {
            (true, _) => "; this person started it",
            (false, true) => "; this person is the author",
            (false, false) => "",
        }
    }

    fn may_withdraw(&self, answers: &[GivenAnswer], answer: &GivenAnswer) -> Result<(), Failure> {
        let person = self.people.person(&answer.by);
        let last = answers.iter().rev().find(|given| self.people.person(&given.by) == person);
        match last {
            Some(given) if person != Person::Unknown && given.kind == AnswerKind::Approve => Ok(()),
            _ => Err(Failure::rejected(format!("{} has no approval to withdraw", answer.by.arn))),
        }
    }
}

/// Returns the people who took part in a deployment.
pub fn parts(deployment: &Deployment, people: &People) -> Parts {
    let starter = match &deployment.starter {
        // A build has no charter, so its record is only a claim of the functions that build.
        _ if deployment.build().is_some() => Person::Unknown,
        Starter::Caller(caller) => people.person(caller),
        Starter::Pusher(login) => people.author(login),
        // The producer may belong to another team, and its starter did not ask for this deployment.
        Starter::Deployment(_) | Starter::Unknown => Person::Unknown,
    };
    let pusher = deployment.deploy().and_then(|deploy| deploy.pusher.as_ref());
    Parts { starter, author: pusher.map_or(Person::Unknown, |login| people.author(login)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::person::testing::{session, user};
    use crate::records::testing;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn given(name: &str, kind: AnswerKind) -> GivenAnswer {
        let by = if name == "?" { session("shared", "ada") } else { user(name) };
        GivenAnswer { by, kind, reason: None, at: at(1) }
    }

    fn people() -> People {
        People::parse(
            "people.toml",
            "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE0000ADA\"]\ngithub = \"ada-l\"\n",
        )
        .unwrap()
    }

    fn deployment(starter: Starter, pusher: Option<&str>) -> Deployment {
        let mut body = testing::deploy("logs", "production-logs");
        body.pusher = pusher.map(|login| login.parse().unwrap());
        Deployment { starter, ..Deployment::new(testing::start("e", "1.0.0", "production"), body) }
    }

    fn admit(starter: Starter, answers: &[GivenAnswer], answer: GivenAnswer) -> Result<usize, String> {
        let (people, rule) = (people(), ApprovalRule::default());
        let jury = Jury::new(&rule, &people, &deployment(starter, None));
        jury.admit(answers, answer).map(|answers| answers.len()).map_err(|failure| failure.message)
    }

    #[test]
    fn the_parts_of_a_deployment_are_people_of_the_file() {
        let (people, ada) = (people(), Person::Known("ada".parse().unwrap()));
        let of = |starter, pusher| parts(&deployment(starter, pusher), &people);
        let both = Parts { starter: ada.clone(), author: ada.clone() };
        assert_eq!(of(Starter::Caller(user("ada")), Some("Ada-L")), both);
        assert_eq!(of(Starter::Pusher("ada-l".parse().unwrap()), Some("ada-l")), both);
        let unknown = Parts { starter: Person::Unknown, author: Person::Unknown };
        assert_eq!(of(Starter::Unknown, None), unknown);
        assert_eq!(of(Starter::Caller(session("shared", "ada")), Some("mallory")), unknown);
    }

    #[test]
    fn an_approval_that_cannot_count_is_refused_with_its_reason() {
        let starter = || Starter::Caller(user("ada"));
        let approve = |name| admit(starter(), &[], given(name, AnswerKind::Approve));
        assert_eq!(approve("grace"), Ok(1));
        assert!(approve("?").unwrap_err().contains("may be any person"));
        assert_eq!(
            approve("ada").unwrap_err(),
            "the approval of ada does not count: the stage asks for one approver, not who started it; this person \
             started it"
        );
        for name in ["ada", "?"] {
            assert_eq!(admit(starter(), &[], given(name, AnswerKind::Refuse)), Ok(1));
        }
    }

    #[test]
    fn a_refused_approval_names_the_part_of_its_person() {
        let (people, rule) = (
            People::default(),
            ApprovalRule { from: Some(["session:eve".parse().unwrap()].into()), ..ApprovalRule::default() },
        );
        let person = |name| people.person(&user(name));
        for (starter, author, part) in [
            ("ada", "grace", "; this person started it"),
            ("ada", "ada", "; this person started it"),
            ("grace", "ada", "; this person is the author"),
            ("grace", "lin", ""),
        ] {
            let parts = Parts { starter: person(starter), author: person(author) };
            let jury = Jury { rule: rule.clone(), people: &people, parts };
            let refused = jury.admit(&[], given("ada", AnswerKind::Approve)).unwrap_err().message;
            let expected = format!("the stage asks for {rule}{part}");
            assert!(refused.ends_with(&expected), "{starter} {author}: {refused}");
        }
    }

    #[test]
    fn only_an_own_approval_is_withdrawn() {
        let approved = [given("grace", AnswerKind::Approve)];
        let withdraw = |answers: &[GivenAnswer], name| {
            admit(Starter::Unknown, answers, given(name, AnswerKind::Withdraw))
        };
        assert_eq!(withdraw(&approved, "grace"), Ok(2));
        for name in ["ada", "?"] {
            assert!(withdraw(&approved, name).unwrap_err().contains("has no approval to withdraw"));
        }
        let withdrawn = [approved.to_vec(), vec![given("grace", AnswerKind::Withdraw)]].concat();
        assert!(withdraw(&withdrawn, "grace").is_err());
    }

    #[test]
    fn a_question_takes_a_bounded_number_of_answers_and_any_refusal() {
        let many = vec![given("grace", AnswerKind::Approve); MAX_ANSWERS];
        assert!(admit(Starter::Unknown, &many, given("eve", AnswerKind::Approve)).is_err());
        assert_eq!(admit(Starter::Unknown, &many, given("eve", AnswerKind::Refuse)), Ok(MAX_ANSWERS + 1));
    }

    #[test]
    fn the_starter_and_the_author_of_a_build_are_unknown() {
        let build = Deployment {
            starter: Starter::Caller(user("grace")),
            ..Deployment::new(testing::start("e", "1.0.0", "production"), testing::build())
        };
        let (people, all) = (
            people(),
            ApprovalRule {
                not: [approval_rule::Excluded::Author, approval_rule::Excluded::Starter].into(),
                ..ApprovalRule::default()
            },
        );
        let jury = Jury::new(&all, &people, &build);
        assert_eq!(jury.parts, Parts { starter: Person::Unknown, author: Person::Unknown });
        assert_eq!(approval_rule::needed(&jury.rule, &jury.parts), 3);
    }

    #[test]
    fn a_teardown_has_no_author_to_exclude() {
        let body = testing::teardown("logs", "production-logs");
        let teardown = Deployment::new(testing::start("e", "1.0.0", "production"), body);
        let (people, all) = (
            People::default(),
            ApprovalRule {
                not: [approval_rule::Excluded::Author, approval_rule::Excluded::Starter].into(),
                ..ApprovalRule::default()
            },
        );
        let jury = Jury::new(&all, &people, &teardown);
        assert_eq!(approval_rule::needed(&jury.rule, &jury.parts), 2);
    }
}
