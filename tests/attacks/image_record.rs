//! S1: a function of the delivery path gives production another image by a record.
//!
//! Fails without tables of images by path: what a push reaches cannot write the images of production, their shares or a
//! revocation, and what it writes in its own table about production is ignored.

use crate::{every_role, reached_by_a_push, role_of};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::promotion::places::of_its_path;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::records::{Image, ImageState, Table};
use lockstep_tests::installed::{DEVELOPMENT, PRODUCTION, TOOLING};
use lockstep_tests::policy::Role;
use lockstep_tests::stack::REGION;

const WRITES: [&str; 4] =
    ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"];

/// Returns true if the role may write an image, its share or its revocation in `table`.
fn writes_images(role: &Role, table: Table) -> bool {
    let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
    let keys = [("dynamodb:leadingkeys", "IMAGE#logstash")].into();
    WRITES.iter().any(|action| role.may(action, &arn, &keys))
}

#[test]
fn no_function_that_a_push_reaches_writes_an_image_of_production() {
    for role in reached_by_a_push() {
        for table in [Table::PromotionImages, Table::Authority] {
            assert!(!writes_images(&role, table), "{} writes {}", role.name, table.name());
        }
    }
    assert!(writes_images(&role_of("promotion-image"), Table::PromotionImages), "the evaluator decides");
    assert!(writes_images(&role_of("ledger-administrators"), Table::Authority));
}

#[test]
fn only_administrators_revoke_a_version_of_an_image() {
    let may = every_role().values().filter(|role| writes_images(role, Table::Authority));
    let names: Vec<&str> = may.map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["lockstep-ledger-administrators-role"]);
}

#[test]
fn a_forged_record_about_production_is_ignored() {
    let text = format!(
        "[[stages]]\nname = \"test\"\naccount = \"{DEVELOPMENT}\"\nregion = \"{REGION}\"\n\
         [[stages]]\nname = \"production\"\naccount = \"{PRODUCTION}\"\nregion = \"{REGION}\"\nbuilds = \"approved\"\n"
    );
    let stages = Stages::parse("stages.toml", &text).unwrap();
    let forged = |path| Image {
        name: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        location: stages.iter().last().unwrap().location(),
        path,
        state: ImageState::Available,
        ami: Some("ami-0bad0bad0bad0bad0".parse().unwrap()),
        snapshots: Default::default(),
        source_ami: "ami-0123456789abcdef0".parse().unwrap(),
        commit: None,
        recorded_by: "attacker".into(),
        recorded_at: Default::default(),
    };
    for path in DeploymentPath::ALL {
        assert!(!of_its_path(&forged(path), DeploymentPath::Delivery, &stages), "{path:?}");
    }
}
