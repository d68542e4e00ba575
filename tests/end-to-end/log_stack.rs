//! The scenarios of `cargo demo --log-stack`, with their assertions.

use crate::test_cloud::TestCloud;
use lockstep_cli::failure::Failure;

pub async fn the_log_stack_has_a_cloud_with_lockstep(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.cloud().await
}

pub async fn the_log_stack_has_an_organisation(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.log_organisation().await
}

pub async fn the_log_stack_runs_in_ci(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.layers_to_ci(&cloud.brokers).await
}

pub async fn the_log_stack_runs_in_production(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.layers_to_production().await
}

pub async fn each_log_line_is_acknowledged_or_in_quarantine(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.shipped = cloud.demo.logs(&cloud.brokers).await?;
    Ok(())
}

pub async fn a_log_that_is_shipped_again_keeps_its_event_ids(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.replay(&cloud.brokers, &cloud.shipped).await
}

pub async fn an_accepted_event_of_an_application_arrives(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.applications(&cloud.brokers).await
}
