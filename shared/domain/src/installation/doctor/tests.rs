use super::*;
use crate::model::build_policy::BuildPolicy;
use std::collections::BTreeSet;

const HERE: &str = "111111111111";
const DEVELOPMENT: &str = "222222222222";
const PRODUCTION: &str = "333333333333";
const BUS: &str = "arn:aws:events:eu-west-1:111111111111:event-bus/lockstep-events";

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn stack(name: &str) -> StackFacts {
    let state = StackState { status: "UPDATE_COMPLETE".to_owned(), is_current: Ok(true) };
    StackFacts { name: name.to_owned(), found: Ok(Some(state)), install: "lockstep install".to_owned() }
}

fn resource(subject: &str, state: ResourceState) -> ResourceFacts {
    ResourceFacts {
        subject: subject.to_owned(),
        found: Ok(Some(state)),
        install: "lockstep install".to_owned(),
    }
}

fn function() -> FunctionState {
    FunctionState { code_sha256: "abc=".into(), wanted_sha256: Ok("abc=".into()), state: "Active".into() }
}

fn machine() -> MachineState {
    MachineState { is_as_installed: Ok(true), status: "ACTIVE".into(), validation: Ok(Vec::new()) }
}

fn role() -> RoleState {
    RoleState { principals: vec!["lambda.amazonaws.com".into()], denied: Ok(BTreeSet::new()) }
}

fn rule() -> RuleState {
    RuleState { is_enabled: true, targets: vec![BUS.into()], wanted: Some(BUS.into()) }
}

fn quota(subject: &str) -> QuotaFacts {
    QuotaFacts { subject: subject.into(), least: 10.0, why: "ten are used".into(), value: Ok(10.0) }
}

fn place(id: &str, sends_images: bool) -> TargetFacts {
    TargetFacts {
        account: account(id),
        region: "eu-west-1".parse().unwrap(),
        sends_images,
        caller: Ok(account(id)),
        stack: stack("lockstep-target"),
        resources: vec![
            resource("rule lockstep-forward-stacks", ResourceState::Rule(rule())),
            resource("bucket b", ResourceState::Other { status: None }),
        ],
        encryption: Ok(Encryption::Off),
        builds: Ok((!sends_images).then_some(BuildPolicy::Approved)),
        allowed_images: Ok(AllowedImages::Disabled),
        dry_runs: vec![("CopyImage".into(), Ok(DryRun::Allowed))],
        service_control_policies: Ok(Some(vec!["FullAWSAccess".into()])),
        quotas: vec![quota("quota there")],
    }
}

fn healthy() -> Facts {
    Facts {
        command_version: "1.0.0".into(),
        caller: Ok(account(HERE)),
        clock_ahead_seconds: Ok(-2),
        control_plane: Ok(Some(Installed {
            version: "1.0.0".into(),
            account: account(HERE),
            region: "eu-west-1".parse().unwrap(),
        })),
        stacks: vec![stack("lockstep-control-plane")],
        resources: vec![
            resource("function lockstep-ledger", ResourceState::Function(function())),
            resource("state machine lockstep-release", ResourceState::Machine(machine())),
            resource("role lockstep-ledger-role", ResourceState::Role(role())),
            resource("table lockstep-ledger", ResourceState::Other { status: Some("ACTIVE".into()) }),
        ],
        quotas: vec![quota("quota here")],
        unknown_roles: Ok(BTreeSet::new()),
        webhook: Ok(vec![WebhookFacts {
            repository: "github.acme.logs".into(),
            last_accepted: Some(Timestamp::UNIX_EPOCH),
            refusals: Vec::new(),
            days: 7,
        }]),
        abandoned_names: Ok(Vec::new()),
        places: Ok(vec![place(DEVELOPMENT, true), place(PRODUCTION, false)]),
    }
}

fn worst(facts: &Facts) -> Finding {
    examine(facts).into_iter().next().unwrap()
}

#[test]
fn a_healthy_installation_has_fine_findings_only() {
    let findings = examine(&healthy());
    let other: Vec<&Finding> = findings.iter().filter(|f| f.severity != Severity::Fine).collect();
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(verdict(&findings), Verdict::Healthy);
}

#[test]
fn a_report_without_a_finding_is_not_healthy() {
    assert_eq!(verdict(&[]), Verdict::Undecided);
}

type Break = fn(&mut Facts);

fn state_of(facts: &mut Facts, index: usize) -> &mut ResourceState {
    facts.resources[index].found.as_mut().unwrap().as_mut().unwrap()
}

fn function_of(facts: &mut Facts) -> &mut FunctionState {
    let ResourceState::Function(function) = state_of(facts, 0) else { panic!() };
    function
}

fn machine_of(facts: &mut Facts) -> &mut MachineState {
    let ResourceState::Machine(machine) = state_of(facts, 1) else { panic!() };
    machine
}

fn role_of(facts: &mut Facts) -> &mut RoleState {
    let ResourceState::Role(role) = state_of(facts, 2) else { panic!() };
    role
}

fn production(facts: &mut Facts) -> &mut TargetFacts {
    &mut facts.places.as_mut().unwrap()[1]
}

fn rule_of(facts: &mut Facts) -> &mut RuleState {
    let state = production(facts).resources[0].found.as_mut().unwrap().as_mut().unwrap();
    let ResourceState::Rule(rule) = state else { panic!() };
    rule
}

fn webhook_of(facts: &mut Facts) -> &mut WebhookFacts {
    &mut facts.webhook.as_mut().unwrap()[0]
}

/// Each break, its severity, and a part of the sentence.
const BREAKS: [(Break, Severity, &str); 35] = [
    (|f| f.clock_ahead_seconds = Ok(400), Severity::Broken, "400 s ahead of AWS"),
    (|f| f.clock_ahead_seconds = Ok(-400), Severity::Broken, "400 s behind AWS"),
    (|f| f.control_plane = Ok(None), Severity::Broken, "not installed"),
    (|f| f.command_version = "2.0.0".into(), Severity::Warning, "version 1.0.0 is installed"),
    (|f| f.caller = Ok(account(PRODUCTION)), Severity::Broken, "they are of account 333333333333"),
    (|f| f.stacks[0].found = Ok(None), Severity::Broken, "does not exist"),
    (
        |f| stack_of(f).status = "UPDATE_ROLLBACK_COMPLETE".into(),
        Severity::Broken,
        "UPDATE_ROLLBACK_COMPLETE",
    ),
    (|f| stack_of(f).status = "UPDATE_IN_PROGRESS".into(), Severity::Warning, "an operation runs"),
    (|f| stack_of(f).is_current = Ok(false), Severity::Warning, "not the one of this version"),
    (|f| f.resources[0].found = Ok(None), Severity::Broken, "does not exist"),
    (|f| function_of(f).code_sha256 = "other=".into(), Severity::Broken, "other="),
    (|f| function_of(f).state = "Failed".into(), Severity::Broken, "its state is Failed"),
    (|f| function_of(f).state = "Pending".into(), Severity::Warning, "still preparing"),
    (|f| machine_of(f).is_as_installed = Ok(false), Severity::Broken, "definition differs"),
    (|f| machine_of(f).status = "DELETING".into(), Severity::Broken, "DELETING"),
    (
        |f| machine_of(f).validation = Ok(vec![Diagnostic { is_error: true, message: "/States/A".into() }]),
        Severity::Broken,
        "/States/A",
    ),
    (|f| role_of(f).principals.push("AROA1234567890EXAMPLE".into()), Severity::Broken, "was deleted"),
    (
        |f| role_of(f).denied = Ok(BTreeSet::from(["s3:GetObject".to_owned()])),
        Severity::Broken,
        "s3:GetObject",
    ),
    (
        |f| *state_of(f, 3) = ResourceState::Other { status: Some("ARCHIVED".into()) },
        Severity::Broken,
        "its status is ARCHIVED",
    ),
    (|f| rule_of(f).is_enabled = false, Severity::Broken, "it is disabled"),
    (|f| rule_of(f).targets.clear(), Severity::Broken, "lack arn:aws:events"),
    (|f| f.quotas[0].value = Ok(9.0), Severity::Warning, "it is 9, and at least 10 are needed"),
    (
        |f| f.unknown_roles = Ok(["shared in account 111111111111".to_owned()].into()),
        Severity::Warning,
        "the role shared in account 111111111111 chose their own names",
    ),
    (|f| webhook_of(f).last_accepted = None, Severity::Warning, "no delivery came"),
    (|f| webhook_of(f).refusals.push(("signature".to_owned(), 3)), Severity::Warning, "3 for the signature"),
    (
        |f| {
            *webhook_of(f) = WebhookFacts {
                last_accepted: None,
                refusals: vec![("id".to_owned(), 2)],
                ..webhook_of(f).clone()
            }
        },
        Severity::Broken,
        "2 for the id",
    ),
    (
        |f| {
            let name = OwnedName::Component("payments".parse().unwrap());
            let owner = RepositoryId::github("acme", "gone").unwrap();
            f.abandoned_names = Ok(vec![(name, owner)]);
        },
        Severity::Warning,
        "acme/gone owns it and is not registered",
    ),
    (|f| f.places = Ok(Vec::new()), Severity::Warning, "no account was added"),
    (|f| production(f).caller = Ok(account(HERE)), Severity::Broken, "are of account 111111111111"),
    (|f| production(f).stack.found = Ok(None), Severity::Broken, "does not exist"),
    (
        |f| {
            production(f).encryption =
                Ok(Encryption::On { key: "alias/aws/ebs".into(), has_image_key: false })
        },
        Severity::Warning,
        "no image of this account can be shared",
    ),
    (
        |f| production(f).allowed_images = Ok(AllowedImages::Enabled { providers: vec!["amazon".into()] }),
        Severity::Broken,
        "images of 222222222222 cannot be seen",
    ),
    (
        |f| {
            let words = "with an explicit deny in a service control policy";
            production(f).dry_runs[0].1 = Ok(DryRun::Denied(words.into()));
        },
        Severity::Broken,
        "a service control policy denies it",
    ),
    (
        |f| production(f).service_control_policies = Ok(Some(vec!["FullAWSAccess".into(), "NoRoot".into()])),
        Severity::Warning,
        "NoRoot",
    ),
    (|f| production(f).quotas[0].value = Ok(1.0), Severity::Warning, "at least 10"),
];

fn stack_of(facts: &mut Facts) -> &mut StackState {
    facts.stacks[0].found.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn each_break_is_reported_with_its_severity_and_a_fix() {
    for (number, (break_it, severity, part)) in BREAKS.iter().enumerate() {
        let mut facts = healthy();
        break_it(&mut facts);
        let found = worst(&facts);
        assert_eq!(found.severity, *severity, "break {number}: {found:?}");
        assert!(found.sentence.contains(part), "break {number}: {found:?}");
        assert!(!found.remedy.is_empty(), "break {number}: {found:?}");
    }
}

/// Each fact, made unknown.
const UNKNOWNS: [Break; 22] = [
    |f| f.caller = Err(no()),
    |f| f.clock_ahead_seconds = Err(no()),
    |f| f.control_plane = Err(no()),
    |f| f.stacks[0].found = Err(no()),
    |f| stack_of(f).is_current = Err(no()),
    |f| f.resources[0].found = Err(no()),
    |f| function_of(f).wanted_sha256 = Err(no()),
    |f| machine_of(f).is_as_installed = Err(no()),
    |f| machine_of(f).validation = Err(no()),
    |f| role_of(f).denied = Err(no()),
    |f| f.quotas[0].value = Err(no()),
    |f| f.webhook = Err(no()),
    |f| f.unknown_roles = Err(no()),
    |f| f.abandoned_names = Err(no()),
    |f| f.places = Err(no()),
    |f| production(f).caller = Err(no()),
    |f| production(f).stack.found = Err(no()),
    |f| production(f).encryption = Err(no()),
    |f| production(f).builds = Err(no()),
    |f| production(f).allowed_images = Err(no()),
    |f| production(f).dry_runs[0].1 = Err(no()),
    |f| production(f).service_control_policies = Err(no()),
];

fn no() -> Unknown {
    Unknown::because("access is denied")
}

#[test]
fn an_unknown_reading_is_never_fine() {
    for (number, hide) in UNKNOWNS.iter().enumerate() {
        let mut facts = healthy();
        hide(&mut facts);
        let findings = examine(&facts);
        assert_eq!(findings[0].severity, Severity::Unknown, "reading {number}: {:?}", findings[0]);
        assert_eq!(findings[0].sentence, "access is denied", "reading {number}");
        assert_eq!(verdict(&findings), Verdict::Undecided, "reading {number}");
    }
}

#[test]
fn a_broken_finding_outweighs_an_unknown_one() {
    let mut facts = healthy();
    facts.webhook = Err(no());
    facts.unknown_roles = Err(no());
    facts.stacks[0].found = Ok(None);
    let findings = examine(&facts);
    assert_eq!(verdict(&findings), Verdict::Broken);
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
}

#[test]
fn a_dry_run_denied_to_the_caller_is_no_finding_about_the_roles() {
    let mut facts = healthy();
    production(&mut facts).dry_runs[0].1 = Ok(DryRun::Denied("no identity-based policy allows it".into()));
    let findings = examine(&facts);
    assert!(!findings.iter().any(|finding| finding.subject.starts_with("CopyImage in account 333333333333")));
    assert_eq!(verdict(&findings), Verdict::Healthy);
}

#[test]
fn an_account_that_sends_no_images_needs_no_permission() {
    let mut facts = healthy();
    facts.places.as_mut().unwrap()[0].allowed_images = Ok(AllowedImages::Enabled { providers: Vec::new() });
    assert_eq!(verdict(&examine(&facts)), Verdict::Healthy);
}
