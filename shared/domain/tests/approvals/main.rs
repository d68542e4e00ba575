//! Random histories of questions: the product and the reference model of `docs/security.md` reach the same verdict after
//! each answer.
//!
//! `LOCKSTEP_APPROVAL_HISTORIES` sets the number of histories, `LOCKSTEP_APPROVAL_SEED` repeats a run.

mod model;
mod random;

use jiff::Timestamp;
use lockstep_domain::delivery::answers::Jury;
use lockstep_domain::delivery::approval::{self, ApprovalAnswer, Decided};
use lockstep_domain::delivery::approval_rule::{ApprovalRule, Excluded, Verdict};
use lockstep_domain::delivery::people::{People, differences};
use lockstep_domain::delivery::start;
use lockstep_domain::delivery::weakening::weakens;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::run::Run;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::person::{Caller, Person, Starter};
use lockstep_domain::records::{
    AnswerKind, ApprovalDecision, ChangeSet, Decision, DeployBody, Deployment, DeploymentStart, GivenAnswer,
    StackRun,
};
use model::{Answer, Book, Identity, Rule};
use random::Random;
use std::fmt::Write as _;
use std::time::Instant;

/// Histories of a run without a setting.
const HISTORIES: u64 = 20_000;

/// Answers of a history.
const ANSWERS: usize = 12;

const HOUR: i64 = 3600;

/// The role that some books register.
const ROLE: &str = "deployers";

#[expect(clippy::disallowed_methods, reason = "a setting of a test is no setting of the product")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// Returns a seed that no earlier run had.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The identities of a history: users, sessions of Identity Center, sessions of the role, of a shared role, and the root.
fn identities() -> Vec<Identity> {
    let mut all = Vec::new();
    for name in ["ADA", "EVE", "GRACE"] {
        all.push(("user", format!("AIDAEXAMPLE00000{name}")));
        all.push(("center", format!("{}@x", name.to_lowercase())));
        all.push(("center", format!("{}@X", name.to_lowercase())));
        all.push(("role", format!("{}@x", name.to_lowercase())));
        all.push(("shared", format!("{}@x", name.to_lowercase())));
    }
    all.push(("root", "111111111111".to_owned()));
    all
}

/// Returns the caller of an identity, as the product gets it.
fn caller((kind, key): &Identity) -> Caller {
    let session = |role: &str| {
        (
            format!("arn:aws:sts::111111111111:assumed-role/{role}/{key}"),
            format!("AROAEXAMPLE0000000000:{key}"),
        )
    };
    let (arn, user_id) = match *kind {
        "user" => (format!("arn:aws:iam::111111111111:user/of-{key}"), key.clone()),
        "center" => session("AWSReservedSSO_Operators_0123456789abcdef"),
        "role" => session(ROLE),
        "shared" => session("shared"),
        "root" => ("arn:aws:iam::111111111111:root".to_owned(), key.clone()),
        other => panic!("no caller is a {other}"),
    };
    Caller { arn, user_id, account: "111111111111".into() }
}

const LOGINS: [&str; 4] = ["ada-l", "Eve", "ghopper", "mallory"];

/// A book of people, for both sides.
struct Organisation {
    book: Book,
    people: People,
    strangers: People,
    identities: Vec<Identity>,
    names: Vec<String>,
}

/// Returns a book in which each identity belongs to one of three people, or to none.
fn organisation(random: &mut Random) -> Organisation {
    let names = ["ada", "eve", "grace"];
    let mut entries: Vec<(String, Vec<(&'static str, String)>)> =
        names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let mut taken: Vec<(&str, String)> = Vec::new();
    let logins = LOGINS.iter().map(|login| ("github", (*login).to_owned()));
    for (kind, key) in identities().into_iter().chain(logins) {
        let list = match kind {
            "user" => "users",
            "center" | "role" => "sessions",
            "github" => "github",
            _ => continue,
        };
        let folded = (list, key.to_lowercase());
        if taken.contains(&folded) || random.once_in(3) {
            continue;
        }
        taken.push(folded);
        let owner = random.below(entries.len());
        entries[owner].1.push((list, key));
    }
    organisation_of(entries, !random.once_in(3))
}

/// Returns the organisation with these entries.
fn organisation_of(
    entries: Vec<(String, Vec<(&'static str, String)>)>,
    role_is_registered: bool,
) -> Organisation {
    let mut text = String::new();
    if role_is_registered {
        writeln!(text, "[[roles]]\narn = \"arn:aws:iam::111111111111:role/{ROLE}\"").expect("a text");
    }
    for (name, identities) in &entries {
        writeln!(text, "[[people]]\nname = \"{name}\"").expect("a text");
        for list in ["users", "sessions", "github"] {
            let keys: Vec<&str> =
                identities.iter().filter(|(of, _)| *of == list).map(|(_, key)| key.as_str()).collect();
            writeln!(text, "{list} = {keys:?}").expect("a text");
        }
    }
    let people =
        People::parse("people.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let book = Book { entries, role_is_registered };
    let mut names: Vec<String> = identities().iter().map(|identity| model::person(&book, identity)).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    Organisation { book, people, strangers: People::default(), identities: identities(), names }
}

/// Returns a rule for both sides.
fn rule(random: &mut Random, names: &[String]) -> (Rule, ApprovalRule) {
    let from = random.once_in(2).then(|| {
        let mut from: Vec<String> = names.iter().filter(|_| !random.once_in(3)).cloned().collect();
        from.push(random.pick(names).clone());
        from
    });
    let (count, starter, author) = (1 + random.below(3), !random.once_in(3), random.once_in(2));
    let not = [(starter, Excluded::Starter), (author, Excluded::Author)];
    let product = ApprovalRule {
        from: from.as_ref().map(|from| from.iter().map(|name| name.parse().expect("a person")).collect()),
        count: u32::try_from(count).expect("a small number"),
        not: not.into_iter().filter(|(excluded, _)| *excluded).map(|(_, part)| part).collect(),
    };
    (Rule { from, count, not_starter: starter, not_author: author }, product)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// Returns a deployment that awaits the answers to its first question.
fn asking(starter: Starter, pusher: Option<&str>) -> Deployment {
    let digest = Digest::of(b"artifact");
    let run = StackRun::new(
        "logs".parse().expect("a component"),
        "logs".into(),
        "production-logs".parse().expect("a stack"),
    );
    let mut body = DeployBody::new(
        run,
        digest.clone(),
        digest.clone(),
        "github.acme.logs".parse().expect("a repository"),
    );
    body.pusher = pusher.map(|login| login.parse().expect("a login"));
    body.change_set = Some(change_set(1));
    let start = DeploymentStart {
        id: DeploymentId::of_execution("e"),
        execution: "e".into(),
        version: "1.0.0".parse().expect("a version"),
        stage: "production".parse().expect("a stage"),
        location: Location {
            account: "111111111111".parse().expect("an account"),
            region: "eu-west-1".parse().expect("a region"),
        },
        path: DeploymentPath::Promotion,
        at: at(0),
    };
    let deployment = Deployment { starter, ..Deployment::new(start, body) };
    approval::ask(&deployment, true, at(0)).expect("a question")
}

fn change_set(number: u32) -> ChangeSet {
    ChangeSet {
        review: Default::default(),
        arn: format!("arn:change-set/{number}"),
        attempt: number,
        changes: Vec::new(),
        unexamined: Vec::new(),
        template_digest: Digest::of(b"template"),
        parameters_digest: Digest::of(b"parameters"),
        late_digest: None,
    }
}

/// A mistake that is planted between the history and the product, to prove that histories find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// An unknown starter or author is taken for a person who approves nothing.
    UnknownIsAnother,
    /// Each identity is a person by itself.
    IdentitiesAreNotJoined,
    /// The starter and the author may approve.
    NoPersonIsExcluded,
    /// People outside the list may approve.
    AnyPersonMayApprove,
    /// One approver fewer is enough.
    OneApproverFewer,
    /// Time does not pass.
    TheClockStands,
    /// An answer to an earlier question counts for the open one.
    AnswersAreNotBound,
    /// A deployment has the recorded starter, whatever its input.
    AnyInputHasTheStarter,
}

/// One history: the record of the product beside the answers of the model.
struct History<'a> {
    organisation: &'a Organisation,
    rule: (Rule, ApprovalRule),
    parts: [String; 2],
    deployment: Deployment,
    /// The record of the answers to the open question, if there is one.
    given: Option<ApprovalDecision>,
    /// Number of writes to the deployment and to that record. A write that names an older number is refused, as
    /// DynamoDB refuses it.
    revision: u64,
    question: u32,
    answers: Vec<Answer>,
    now: i64,
    mistake: Option<Mistake>,
}

/// An answer that was decided on a reading of the deployment, and is not written yet.
struct Reading {
    revision: u64,
    question: u32,
    identity: Identity,
    word: &'static str,
}

/// Returns a random answer, by the current question or by an earlier one.
fn reading(random: &mut Random, history: &History<'_>) -> Reading {
    let word = match random.below(40) {
        0 => "refuse",
        1..8 => "withdraw",
        _ => "approve",
    };
    let stale = history.question > 1 && random.once_in(4);
    Reading {
        revision: history.revision,
        question: history.question - u32::from(stale),
        identity: random.pick(&history.organisation.identities).clone(),
        word,
    }
}

impl History<'_> {
    fn jury(&self) -> Jury<'_> {
        let (organisation, rule) = (self.organisation, &self.rule.1);
        let people = match self.mistake {
            Some(Mistake::IdentitiesAreNotJoined) => &organisation.strangers,
            _ => &organisation.people,
        };
        let mut jury = Jury::new(rule, people, &self.deployment);
        match self.mistake {
            Some(Mistake::UnknownIsAnother) => {
                for part in [&mut jury.parts.starter, &mut jury.parts.author] {
                    if part.known().is_none() {
                        *part = Person::Known("another".parse().expect("a person"));
                    }
                }
            }
            Some(Mistake::NoPersonIsExcluded) => jury.rule.not.clear(),
            Some(Mistake::AnyPersonMayApprove) => jury.rule.from = None,
            Some(Mistake::OneApproverFewer) => jury.rule.count = (jury.rule.count - 1).max(1),
            _ => {}
        }
        jury
    }

    /// Returns the time that the product sees.
    fn clock(&self) -> Timestamp {
        at(if self.mistake == Some(Mistake::TheClockStands) { 0 } else { self.now })
    }

    /// Returns the verdict of the model on the answers to the open question.
    fn expected(&self) -> &'static str {
        let [starter, author] = &self.parts;
        model::outcome(&self.organisation.book, &self.rule.0, starter, author, &self.answers, self.now)
    }

    /// Returns the verdict of the product on its own record.
    fn judged(&self) -> &'static str {
        let answers = self.given.as_ref().map_or(&[][..], |given| &given.answers);
        match self.jury().verdict(answers, self.clock()) {
            Verdict::Passed { .. } => "passes",
            Verdict::Waits { .. } => "waits",
            Verdict::Refused { .. } => "refused",
        }
    }

    /// Answers as the function of the approvers does: decides on the record, writes if no other write came first, and
    /// decides again if one did.
    fn answer(&mut self, reading: &Reading) {
        let kind = match reading.word {
            "approve" => AnswerKind::Approve,
            "refuse" => AnswerKind::Refuse,
            _ => AnswerKind::Withdraw,
        };
        let bound = self.mistake != Some(Mistake::AnswersAreNotBound);
        let asked = if bound { reading.question } else { self.question };
        let (by, subject) = (caller(&reading.identity), change_set(asked).arn);
        let digest = Digest::of(b"artifact");
        let open = self.deployment.approvals.last().expect("a question");
        // The question has the digest on record, and the product computes it again.
        let shown = open.shown.clone().expect("a digest");
        let answer = ApprovalAnswer {
            shown: &shown,
            subject: &subject,
            digest: Some(&digest),
            names: &[],
            kind,
            reason: None,
            by: &by,
        };
        let mut revision = reading.revision;
        loop {
            let given = self.given.as_ref();
            let decided = approval::decide(&self.deployment, given, &answer, &self.jury(), self.clock());
            if revision != self.revision {
                revision = self.revision;
                continue;
            }
            match decided {
                Ok((_, Decided::Now(written) | Decided::Waits(written, _))) => {
                    self.given = Some(*written);
                    self.revision += 1;
                }
                Ok((_, Decided::Before)) | Err(_) => {}
            }
            break;
        }
        // The model takes each answer to the open question, and ignores those that cannot count by itself.
        if reading.question == self.question {
            self.answers.push((self.now, reading.identity.clone(), reading.word));
        }
    }

    /// Plans anew: the question of the changed plan is another one, and earlier answers do not count for it.
    fn ask_again(&mut self) {
        self.question += 1;
        let mut running = self.deployment.clone();
        running.state = lockstep_domain::records::DeploymentState::Running;
        running.deploy_mut().expect("a deploy").change_set = Some(change_set(self.question));
        self.deployment = approval::ask(&running, true, at(self.now)).expect("a question");
        self.given = None;
        self.revision += 1;
        self.answers.clear();
    }

    fn decision(&self) -> Option<Decision> {
        self.given.as_ref().and_then(|given| given.decision)
    }
}

/// Returns the starter that the product takes from the record of a start. `same` is true if the deployment has the
/// input that the caller asked for.
fn starter_of(by: Option<&Identity>, same: bool) -> Starter {
    let input = inputs::Deploy::new(
        "logs".parse().expect("a component"),
        "1.0.0".parse().expect("a version"),
        "production".parse().expect("a stage"),
    );
    let other = inputs::Deploy { revert_drift: true, ..input.clone() };
    let asked = Run::PromotionDeploy(if same { input.clone() } else { other });
    let machines = "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep";
    let record = by.map(|by| start::record(machines, "run-1", &asked, &caller(by), at(0)).expect("a start"));
    start::of_deploy(record.as_ref(), &input).unwrap_or_default()
}

/// What a run met, to prove that it met everything.
#[derive(Default)]
struct Tally {
    passed: u64,
    refused: u64,
    waiting: u64,
    expired: u64,
}

fn run(
    seed: u64,
    organisations: &[Organisation],
    mistake: Option<Mistake>,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut random = Random(seed);
    let organisation = random.pick(organisations);
    let rule = rule(&mut random, &organisation.names);
    let starter = random.pick(&organisation.identities).clone();
    // An execution by hand has no record, and another input under a recorded name is not what its caller asked for.
    let (recorded, same) = (!random.once_in(4), !random.once_in(4));
    let started = recorded && same;
    let login = (!random.once_in(4)).then(|| *random.pick(&LOGINS));
    let of = |identity: Option<Identity>| {
        identity.map_or_else(String::new, |identity| model::person(&organisation.book, &identity))
    };
    let parts = [of(started.then(|| starter.clone())), of(login.map(|login| ("github", login.to_owned())))];
    let any_input = mistake == Some(Mistake::AnyInputHasTheStarter);
    let start = starter_of(recorded.then_some(&starter), same || any_input);
    let mut history = History {
        organisation,
        rule,
        parts,
        deployment: asking(start, login),
        given: None,
        revision: 0,
        question: 1,
        answers: Vec::new(),
        now: 0,
        mistake,
    };
    let mut late: Option<Reading> = None;
    for _ in 0..ANSWERS {
        if random.once_in(2) {
            history.now += i64::try_from(random.below(20)).expect("a small number") * HOUR;
        }
        if random.once_in(12) {
            history.ask_again();
            continue;
        }
        let before = history.expected();
        let reading = reading(&mut random, &history);
        // A concurrent approver has read the question, and answers after this answer was written.
        let concurrent = late.take().unwrap_or_else(|| self::reading(&mut random, &history));
        history.answer(&reading);
        if history.decision().is_none() && random.once_in(3) {
            history.answer(&concurrent);
        } else if random.once_in(2) {
            late = Some(concurrent);
        }
        let (expected, judged, decision) = (history.expected(), history.judged(), history.decision());
        let agreed = match decision {
            Some(Decision::Approve) => expected == "passes" && judged == "passes",
            Some(Decision::Refuse) => expected == "refused" && judged == "refused",
            None => expected == "waits" && judged == "waits",
        };
        if !agreed {
            return Err(format!(
                "seed {seed}: the model says {expected}, the answers {judged}, the record {decision:?}; parts {:?}, \
                 rule {}, answers {:?} at {}",
                history.parts, history.rule.1, history.answers, history.now
            ));
        }
        tally.expired += u64::from(before == "waits" && expected == "waits" && history.now > 24 * HOUR);
        if decision.is_some() {
            break;
        }
    }
    match history.decision() {
        Some(Decision::Approve) => tally.passed += 1,
        Some(Decision::Refuse) => tally.refused += 1,
        None => tally.waiting += 1,
    }
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test prints its duration")]
fn product_and_model_agree_on_every_random_history() {
    let (count, seed) = (
        setting("LOCKSTEP_APPROVAL_HISTORIES").unwrap_or(HISTORIES),
        setting("LOCKSTEP_APPROVAL_SEED").unwrap_or_else(fresh_seed),
    );
    println!("{count} histories from LOCKSTEP_APPROVAL_SEED={seed}");
    let (began, mut random, mut tally) = (Instant::now(), Random(seed), Tally::default());
    let organisations: Vec<Organisation> = (0..64).map(|_| organisation(&mut random)).collect();
    for _ in 0..count {
        if let Err(difference) = run(random.next(), &organisations, None, &mut tally) {
            panic!("LOCKSTEP_APPROVAL_SEED={seed}: {difference}");
        }
    }
    let Tally { passed, refused, waiting, expired } = tally;
    println!(
        "{passed} passed, {refused} refused, {waiting} waited, {expired} looks after a day, in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert!(passed > count / 20 && refused > count / 20 && waiting > count / 20 && expired > 0);
}

#[test]
fn every_planted_mistake_is_found() {
    let seed = setting("LOCKSTEP_APPROVAL_SEED").unwrap_or_else(fresh_seed);
    println!("planted mistakes from LOCKSTEP_APPROVAL_SEED={seed}");
    for mistake in [
        Mistake::UnknownIsAnother,
        Mistake::IdentitiesAreNotJoined,
        Mistake::NoPersonIsExcluded,
        Mistake::AnyPersonMayApprove,
        Mistake::OneApproverFewer,
        Mistake::TheClockStands,
        Mistake::AnswersAreNotBound,
        Mistake::AnyInputHasTheStarter,
    ] {
        let mut random = Random(seed);
        let organisations: Vec<Organisation> = (0..64).map(|_| organisation(&mut random)).collect();
        let finds =
            |_: &u32| run(random.next(), &organisations, Some(mistake), &mut Tally::default()).is_err();
        let found = (1..=50_000_u32).find(finds);
        println!("{mistake:?}: found after {found:?} histories");
        assert!(found.is_some(), "LOCKSTEP_APPROVAL_SEED={seed}: {mistake:?} is not found");
    }
}

/// Returns the entries after one identity left its person, or joined one, perhaps a new one.
fn changed(
    random: &mut Random,
    entries: &[(String, Vec<(&'static str, String)>)],
) -> Vec<(String, Vec<(&'static str, String)>)> {
    let mut entries = entries.to_vec();
    if random.once_in(2) {
        entries.push(("zoe".to_owned(), Vec::new()));
    }
    let lists = [("user", "users"), ("center", "sessions"), ("github", "github")];
    let logins = LOGINS.iter().map(|login| ("github", (*login).to_owned()));
    let all: Vec<Identity> = identities().into_iter().chain(logins).collect();
    let (kind, key) = random.pick(&all).clone();
    let Some((_, list)) = lists.into_iter().find(|(of, _)| *of == kind) else { return entries };
    let same = |(of, text): &(&str, String)| *of == list && text.eq_ignore_ascii_case(&key);
    let owned = entries.iter().any(|(_, identities)| identities.iter().any(same));
    entries.iter_mut().for_each(|(_, identities)| identities.retain(|identity| !same(identity)));
    if !owned || random.once_in(3) {
        let owner = random.below(entries.len());
        entries[owner].1.push((list, key));
    }
    entries
}

/// A change of the people that weakens nothing lets no question pass that did not pass before it.
#[test]
fn people_that_weaken_nothing_let_nothing_new_pass() {
    let seed = setting("LOCKSTEP_APPROVAL_SEED").unwrap_or_else(fresh_seed);
    println!("changes of people from LOCKSTEP_APPROVAL_SEED={seed}");
    let mut random = Random(seed);
    let (mut harmless, mut weakening) = (0, 0);
    for _ in 0..1_500 {
        let before = organisation(&mut random);
        let registered = before.book.role_is_registered != random.once_in(6);
        let after = organisation_of(changed(&mut random, &before.book.entries), registered);
        let weakens = weakens(&differences(&before.people, &after.people));
        weakening += u32::from(weakens);
        harmless += u32::from(!weakens);
        for _ in 0..10 {
            let (_, rule) = rule(&mut random, &before.names);
            let known = |people: &People| rule.from.iter().flatten().all(|person| people.has(person));
            if !known(&before.people) || !known(&after.people) {
                continue;
            }
            let starter = (!random.once_in(4)).then(|| random.pick(&before.identities).clone());
            let login = (!random.once_in(4)).then(|| *random.pick(&LOGINS));
            let deployment = asking(starter_of(starter.as_ref(), true), login);
            let answers: Vec<GivenAnswer> = (0..1 + random.below(4))
                .map(|_| {
                    let by = caller(random.pick(&before.identities));
                    GivenAnswer { by, kind: AnswerKind::Approve, reason: None, at: at(1) }
                })
                .collect();
            let passes = |people: &People| {
                let jury = Jury::new(&rule, people, &deployment);
                matches!(jury.verdict(&answers, at(2)), Verdict::Passed { .. })
            };
            if !weakens && passes(&after.people) {
                assert!(
                    passes(&before.people),
                    "LOCKSTEP_APPROVAL_SEED={seed}: {:?} -> {:?}, rule {rule}, starter {:?}, author {login:?}, {answers:?}",
                    before.book.entries,
                    after.book.entries,
                    deployment.starter
                );
            }
        }
    }
    assert!(harmless > 200 && weakening > 200, "{harmless} harmless, {weakening} weakening");
}

#[test]
fn the_model_shares_nothing_with_the_product() {
    let text = include_str!("model.rs");
    assert!(!text.contains("lockstep_") && !text.contains("\nuse "), "the model imports");
}
