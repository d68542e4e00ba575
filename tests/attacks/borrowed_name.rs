//! S13: a push replaces a release of another repository under its name.
//!
//! Fails without the split of drafts from releases: `package` writes drafts in `lockstep-intake`, and only the
//! authority writes what is deployed.

use crate::role_of;
use lockstep_domain::records::Table;
use lockstep_tests::installed::TOOLING;
use lockstep_tests::stack::REGION;

#[test]
fn the_function_that_reads_a_push_writes_drafts_alone() {
    let package = role_of("package");
    for table in Table::OF_CONTROL_PLANE {
        let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
        let writes =
            package.may("dynamodb:PutItem", &arn, &[("dynamodb:leadingkeys", "COMPONENT#logs")].into());
        assert_eq!(writes, *table == Table::Intake, "{}", table.name());
    }
}
