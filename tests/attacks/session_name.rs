//! S9 S17 C6: one person approves twice, under two names of sessions, or under a name that the person chose.
//!
//! Fails without the rule that a name of a session counts only where the caller cannot choose it
//! (`domain::delivery::people`).

use lockstep_domain::delivery::people::People;
use lockstep_domain::model::person::{Caller, Person};

fn session(role: &str, name: &str) -> Caller {
    Caller {
        arn: format!("arn:aws:sts::111111111111:assumed-role/{role}/{name}"),
        user_id: format!("AROA0123456789ABCDEFG:{name}"),
        account: "111111111111".to_owned(),
    }
}

#[test]
fn a_chosen_name_makes_no_person() {
    let people = People::default();
    for name in ["ada@acme.example", "grace@acme.example"] {
        assert_eq!(people.person(&session("shared-operators", name)), Person::Unknown, "{name}");
    }
    // A role that looks like one of Identity Center and is none.
    assert_eq!(people.person(&session("AWSReservedSSO_Operators", "ada@acme.example")), Person::Unknown);
}

#[test]
fn two_roles_of_one_person_are_one_person() {
    let people = People::default();
    let of_center = |set: &str, name: &str| {
        people.person(&session(&format!("AWSReservedSSO_{set}_0123456789abcdef"), name))
    };
    let ada = of_center("Operators", "ada@acme.example");
    assert!(ada.known().is_some());
    assert_eq!(ada, of_center("Approvers", "Ada@acme.example"));
}
