use super::*;
use proptest::prelude::*;

fn repository(name: &str) -> RepositoryId {
    RepositoryId::github("acme", name).unwrap()
}

fn component() -> OwnedName {
    OwnedName::Component("payments".parse().unwrap())
}

fn image() -> ImageName {
    "logstash".parse().unwrap()
}

fn claim(owner: Option<&RepositoryId>) -> Ownership {
    Ownership {
        of: component(),
        owner: owner.cloned(),
        origin: ClaimOrigin::Push,
        by: "arn:first".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn of(
    found: Option<&Ownership>,
    repository: &RepositoryId,
    is_default_branch: bool,
) -> Result<Right, String> {
    right(&component(), found, Push { repository, is_default_branch }).map_err(|failure| failure.message)
}

#[test]
fn a_push_may_use_a_name_of_its_own_or_claim_one_from_main() {
    let (ours, theirs) = (repository("alpha"), repository("beta"));
    let (own, foreign, reserved) = (claim(Some(&ours)), claim(Some(&theirs)), claim(None));
    for is_default_branch in [true, false] {
        assert_eq!(of(Some(&own), &ours, is_default_branch), Ok(Right::Owns));
        let refused = of(Some(&foreign), &ours, is_default_branch).unwrap_err();
        assert!(refused.contains("belongs to acme/beta"), "{refused}");
        assert!(refused.ends_with("lockstep components assign payments --to github:acme/alpha"), "{refused}");
        let refused = of(Some(&reserved), &ours, is_default_branch).unwrap_err();
        assert!(refused.contains("belongs to no repository"), "{refused}");
    }
    assert_eq!(of(None, &ours, true), Ok(Right::MayClaim));
    let refused = of(None, &ours, false).unwrap_err();
    assert!(refused.contains("no owner yet") && refused.contains("components assign"), "{refused}");
}

#[test]
fn an_import_claims_a_new_name_and_never_moves_one() {
    let (ours, theirs) = (repository("alpha"), repository("beta"));
    let import = |found: Option<&Ownership>, owner: Option<&RepositoryId>| {
        imported(&image(), found, owner, "arn:ada", Timestamp::UNIX_EPOCH)
            .map(|claim| claim.map(|claim| claim.owner))
            .map_err(|failure| failure.message)
    };
    assert_eq!(import(None, None), Ok(Some(None)));
    assert_eq!(import(None, Some(&ours)), Ok(Some(Some(ours.clone()))));
    assert_eq!(import(Some(&claim(Some(&theirs))), None), Ok(None));
    assert_eq!(import(Some(&claim(Some(&ours))), Some(&ours)), Ok(None));
    for found in [claim(Some(&theirs)), claim(None)] {
        let refused = import(Some(&found), Some(&ours)).unwrap_err();
        assert!(refused.contains("lockstep images assign logstash --to github:acme/alpha"), "{refused}");
    }
}

#[test]
fn an_assignment_gives_a_name_to_its_repository_once() {
    let ours = repository("alpha");
    let assign = |found: Option<&Ownership>| {
        assigned(&component(), found, &ours, "arn:ada", Timestamp::UNIX_EPOCH).and_then(|claim| claim.owner)
    };
    for found in [None, Some(&claim(None)), Some(&claim(Some(&repository("beta"))))] {
        assert_eq!(assign(found), Some(ours.clone()));
    }
    assert_eq!(assign(Some(&claim(Some(&ours)))), None);
}

/// A table with one item, whose writes are conditional on the revision that was read.
#[derive(Default)]
struct Item {
    rev: u32,
    claim: Option<Ownership>,
}

impl Item {
    fn read(&self) -> (u32, Option<Ownership>) {
        (self.rev, self.claim.clone())
    }

    fn write(&mut self, read: u32, claim: Ownership) -> bool {
        let fits = self.rev == read;
        if fits {
            (self.rev, self.claim) = (self.rev + 1, Some(claim));
        }
        fits
    }
}

/// One push: it reads the claim, and writes one if it may. A lost race starts it again.
struct Pushing {
    repository: RepositoryId,
    is_default_branch: bool,
    read: Option<(u32, Option<Ownership>)>,
    admitted: Option<bool>,
}

impl Pushing {
    fn step(&mut self, item: &mut Item) {
        let push = Push { repository: &self.repository, is_default_branch: self.is_default_branch };
        match (self.admitted, self.read.take()) {
            (Some(_), _) => {}
            (None, None) => self.read = Some(item.read()),
            (None, Some((rev, found))) => match right(&component(), found.as_ref(), push) {
                Ok(Right::Owns) => self.admitted = Some(true),
                Ok(Right::MayClaim) => {
                    let claim = claimed(component(), push, "arn:push", Timestamp::UNIX_EPOCH);
                    if item.write(rev, claim) {
                        self.admitted = Some(true);
                    }
                }
                Err(_) => self.admitted = Some(false),
            },
        }
    }
}

proptest! {
    #[test]
    fn any_interleaving_of_pushes_leaves_one_owner(
        pushes in prop::collection::vec((0..4usize, any::<bool>()), 1..8),
        order in prop::collection::vec(0..8usize, 0..60),
    ) {
        let names = ["alpha", "beta", "gamma", "delta"];
        let mut item = Item::default();
        let mut running: Vec<Pushing> = pushes
            .iter()
            .map(|(name, is_default_branch)| Pushing {
                repository: repository(names[*name]),
                is_default_branch: *is_default_branch,
                read: None,
                admitted: None,
            })
            .collect();
        let count = running.len();
        for index in order {
            running[index % count].step(&mut item);
        }
        // At last every push runs to its end.
        while let Some(waiting) = running.iter_mut().find(|push| push.admitted.is_none()) {
            waiting.step(&mut item);
        }
        prop_assert!(item.rev <= 1, "the claim was written {} times", item.rev);
        let owner = item.claim.and_then(|claim| claim.owner);
        for push in &running {
            let admitted = push.admitted == Some(true);
            prop_assert!(!admitted || owner.as_ref() == Some(&push.repository));
        }
        let claimants = running.iter().filter(|push| push.is_default_branch);
        prop_assert_eq!(owner.is_some(), claimants.clone().count() > 0);
        prop_assert!(owner.is_none_or(|owner| claimants.clone().any(|push| push.repository == owner)));
    }
}
