use super::*;
use crate::model::person::testing::{session, user};
use proptest::prelude::*;

const SSO: &str = "AWSReservedSSO_Admin_0123456789abcdef";

fn parse(text: &str) -> Result<People, Vec<String>> {
    People::parse("people.toml", text).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn people() -> People {
    parse(
        "[[roles]]\narn = \"arn:aws:iam::111111111111:role/team/deployers\"\n\
         [[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE0000ADA\"]\nsessions = [\"Ada@acme.example\", \"ada\"]\n\
         github = \"Ada-L\"\n[[people]]\nname = \"grace\"\ngithub = [\"ghopper\", \"grace\"]\n",
    )
    .unwrap()
}

fn known(name: &str) -> Person {
    Person::Known(name.parse().unwrap())
}

fn login(text: &str) -> GithubLogin {
    text.parse().unwrap()
}

#[test]
fn the_example_names_two_people_and_one_role() {
    let people = parse(EXAMPLE).unwrap();
    assert_eq!(people.names().map(PersonId::as_str).collect::<Vec<_>>(), ["ada", "grace"]);
    assert_eq!(people.person(&session("deployers", "ada@acme.example")), known("ada"));
    assert_eq!(people.author(&login("grace-hopper")), known("grace"));
}

#[test]
fn each_identity_of_a_person_is_that_person() {
    let people = people();
    for caller in
        [user("ada"), session(SSO, "ada@acme.example"), session("deployers", "ada"), session(SSO, "ADA")]
    {
        assert_eq!(people.person(&caller), known("ada"), "{caller:?}");
    }
    assert_eq!(people.author(&login("ada-l")), known("ada"));
    assert_eq!(people.author(&login("GHOPPER")), known("grace"));
}

#[test]
fn an_unclaimed_user_or_session_is_a_person_by_itself() {
    let empty = People::default();
    assert_eq!(empty.person(&user("ada")), known("user:AIDAEXAMPLE0000ADA"));
    assert_eq!(empty.person(&session(SSO, "Ada@acme.example")), known("session:ada@acme.example"));
}

#[test]
fn sessions_of_two_roles_under_one_name_are_one_person() {
    let people = people();
    let (center, registered) = (session(SSO, "eve@acme.example"), session("deployers", "Eve@acme.example"));
    assert_eq!(people.person(&center), people.person(&registered));
}

#[test]
fn a_session_whose_caller_chose_its_name_is_unknown() {
    let people = people();
    let other_account = Caller {
        arn: "arn:aws:sts::222222222222:assumed-role/deployers/ada".into(),
        account: "222222222222".into(),
        ..session("deployers", "ada")
    };
    for caller in [
        session("shared-operators", "ada@acme.example"),
        session("AWSReservedSSO_Admin", "ada"),
        session("AWSReservedSSO_Admin_0123456789abcdeX", "ada"),
        session("AWSReservedSSO__0123456789abcdef", "ada"),
        session("xAWSReservedSSO_Admin_0123456789abcdef", "ada"),
        other_account,
    ] {
        assert_eq!(people.person(&caller), Person::Unknown, "{caller:?}");
    }
    assert_eq!(People::default().person(&session("deployers", "ada")), Person::Unknown);
}

#[test]
fn root_and_an_unmapped_git_account_are_unknown() {
    let root = Caller {
        arn: "arn:aws:iam::111111111111:root".into(),
        user_id: "111111111111".into(),
        account: "111111111111".into(),
    };
    assert_eq!(people().person(&root), Person::Unknown);
    assert_eq!(people().author(&login("mallory")), Person::Unknown);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let text = "[[roles]]\narn = \"deployers\"\n\
                [[people]]\nname = \"Ada\"\nusers = [\"ada\"]\n\
                [[people]]\nname = \"grace\"\nsessions = [\"grace\", 3]\nmail = \"g@acme.example\"\n\
                [[people]]\nname = \"grace\"\n\
                [[people]]\nname = \"eve\"\nsessions = \"Grace\"\n\
                [[people]]\nsessions = true\n";
    assert_eq!(
        parse(text).unwrap_err(),
        [
            "people.toml:2: `roles[0].arn`: 'deployers' is not the ARN of a role (arn:aws:iam::<account>:role/<name>)",
            "people.toml:4: `people[0].name`: 'Ada' is not a person's name (lower-case letters, digits, `.`, `_` and \
             `-`, at most 64, starting with a letter)",
            "people.toml:5: `people[0].users[0]`: 'ada' is not the unique id of an IAM user (AIDA and upper-case \
             letters or digits)",
            "people.toml:8: `people[1].sessions[1]` must be text in quotes, not integer",
            "people.toml:9: `people[1].mail` is not known; known: name, users, sessions, github",
            "people.toml:11: the name `grace` is taken by a person above",
            "people.toml:14: an identity of `eve` belongs to `grace` already",
            "people.toml:15: `people[4].name` is missing",
            "people.toml:16: `people[4].sessions` must be an array, not true or false",
        ]
    );
}

#[test]
fn a_role_is_registered_once() {
    let role = "[[roles]]\narn = \"arn:aws:iam::111111111111:role/";
    let twice = format!("{role}a/deployers\"\n{role}b/deployers\"\n");
    assert_eq!(parse(&twice).unwrap_err(), ["people.toml:4: a role above has this account and name"]);
}

#[test]
fn an_approver_is_a_name_or_an_unclaimed_identity() {
    let has = |text: &str| people().has(&text.parse().unwrap());
    for possible in ["ada", "grace", "user:AIDAEXAMPLE0000EVE", "session:eve@acme.example"] {
        assert!(has(possible), "{possible}");
    }
    for impossible in ["eve", "user:AIDAEXAMPLE0000ADA", "session:ada", "session:Eve@acme.example"] {
        assert!(!has(impossible), "{impossible}");
    }
}

proptest! {
    #[test]
    fn a_chosen_session_name_never_makes_a_person(role in "[A-Za-z_]{1,30}", name in "[a-z@.]{2,20}") {
        prop_assume!(role != "deployers");
        prop_assert_eq!(people().person(&session(&role, &name)), Person::Unknown);
    }

    #[test]
    fn any_caller_has_an_answer(arn in ".{0,60}", user_id in ".{0,40}", account in ".{0,14}") {
        let caller = Caller { arn, user_id, account };
        prop_assert_eq!(people().person(&caller), Person::Unknown);
    }
}

#[test]
fn a_role_whose_sessions_choose_their_names_is_unknown() {
    let callers = [session("shared", "ada"), session("shared", "eve"), session(SSO, "ada"), user("ada")];
    let callers =
        callers.iter().chain(std::iter::once(&session("deployers", "ada"))).cloned().collect::<Vec<_>>();
    assert_eq!(people().unknown_roles(&callers), ["shared in account 111111111111".to_owned()].into());
    let strangers = People::default().unknown_roles(&callers);
    assert!(strangers.contains("deployers in account 111111111111") && strangers.len() == 2, "{strangers:?}");
}
