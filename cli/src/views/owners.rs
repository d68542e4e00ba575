//! Tables of the names of components and images with their repositories.

use super::time;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::{ClaimOrigin, Ownership};

/// The head of [`rows`].
pub const HEAD: [&str; 5] = ["kind", "name", "repository", "since", "by"];

/// Returns a row for each name. `unregistered` are the owners whose registration was removed.
pub fn rows(owners: &[Ownership], unregistered: &[RepositoryId]) -> Vec<[String; 5]> {
    let row = |claim: &Ownership| {
        [
            claim.of.kind().to_owned(),
            claim.of.as_str().to_owned(),
            repository(claim, unregistered),
            time(claim.at),
            origin(claim),
        ]
    };
    owners.iter().map(row).collect()
}

fn repository(claim: &Ownership, unregistered: &[RepositoryId]) -> String {
    match &claim.owner {
        None => "none: no push may use the name".to_owned(),
        Some(owner) if unregistered.contains(owner) => {
            format!("{}, which is not registered any more", owner.full_name())
        }
        Some(owner) => owner.full_name(),
    }
}

/// Returns the act that made the claim, with its author if that is a person.
pub fn origin(claim: &Ownership) -> String {
    match claim.origin {
        ClaimOrigin::Push => "the first push".to_owned(),
        ClaimOrigin::Import => format!("an import of {}", claim.by),
        ClaimOrigin::Assignment => format!("an assignment of {}", claim.by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lockstep_domain::records::OwnedName;

    #[test]
    fn a_name_has_its_owner_and_the_origin_of_the_claim() {
        let claim = |origin, owner: Option<&str>| Ownership {
            of: OwnedName::Image("logstash".parse().unwrap()),
            owner: owner.map(|name| RepositoryId::github("acme", name).unwrap()),
            origin,
            by: "arn:ada".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        let owners = [
            claim(ClaimOrigin::Push, Some("logs")),
            claim(ClaimOrigin::Import, None),
            claim(ClaimOrigin::Assignment, Some("gone")),
        ];
        let rows = rows(&owners, &[RepositoryId::github("acme", "gone").unwrap()]);
        let shown: Vec<_> = rows.iter().map(|row| (row[2].as_str(), row[4].as_str())).collect();
        assert_eq!(
            shown,
            [
                ("acme/logs", "the first push"),
                ("none: no push may use the name", "an import of arn:ada"),
                ("acme/gone, which is not registered any more", "an assignment of arn:ada"),
            ]
        );
    }
}
