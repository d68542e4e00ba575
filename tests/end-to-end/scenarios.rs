//! The scenarios of `cargo demo`, with their assertions.

use crate::test_cloud::TestCloud;
use lockstep_cli::failure::Failure;

pub async fn lockstep_is_installed_for_three_accounts(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.cloud().await
}

pub async fn an_organisation_is_configured(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.organisation().await
}

pub async fn a_first_commit_is_tested_and_runs_in_ci(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.first_commit().await
}

pub async fn a_changed_parameter_and_image_update_the_stack(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.update().await
}

pub async fn a_promotion_waits_for_its_approval(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.promotion().await
}

pub async fn a_commit_without_template_changes_touches_no_stack(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    cloud.demo.no_changes().await
}

pub async fn a_failed_update_is_rolled_back_and_explained(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.failing_commit().await
}

pub async fn a_failed_check_ends_a_release_in_its_test_stack(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.failing_check().await
}

pub async fn doctor_finds_no_fault_after_the_scenarios(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.summary().await
}
