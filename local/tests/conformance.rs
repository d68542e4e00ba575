//! The overlay's conformance suite (`overlay/tests`, Python's unittest), each part with its own cloud.

mod support;

use lockstep_local::{LocalCloud, VirtualEnvironment};
use lockstep_statemachines::StateMachines;
use std::path::Path;

/// Packages for the comparison with moto only.
const MOTO: VirtualEnvironment<'_> = VirtualEnvironment {
    folder: "moto-venv",
    requirements: include_str!("../overlay/tests/requirements.txt"),
    content: "moto (about 130 MB, once)",
};

async fn the_suite_passes(part: &str) {
    let cloud = support::cloud().await;
    the_suite_passes_with(&cloud, &support::emulator_python(), &[], part);
}

fn the_suite_passes_with(cloud: &LocalCloud, python: &Path, variables: &[(&str, &Path)], part: &str) {
    let module = format!("overlay.tests.test_{part}");
    let arguments = ["-m", "unittest", &module];
    let output = tokio::task::block_in_place(|| support::run_with(python, cloud, &arguments, variables));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\nthe emulator's log: {}", cloud.log().display());
    assert!(!printed.contains("Ran 0 tests"), "{printed}");
}

#[test]
fn every_part_of_the_suite_is_run() {
    let this = include_str!("conformance.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("overlay/tests");
    for entry in std::fs::read_dir(folder).expect("the suite") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        if let Some(part) = name.strip_prefix("test_").and_then(|name| name.strip_suffix(".py")) {
            assert!(this.contains(&format!("\"{part}\")")), "nothing runs {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_another_signature_is_not_replaced() {
    the_suite_passes("contracts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_emit_events_fail_and_roll_back_as_on_aws() {
    the_suite_passes("stacks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_snapshots_cross_accounts_under_the_rules_of_aws() {
    the_suite_passes("images").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_create_images_fail_and_stop_as_in_codebuild() {
    the_suite_passes("image_builder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_described_as_by_the_emulator_itself() {
    the_suite_passes("second_opinion").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_keys_and_parameters_are_described_as_by_moto() {
    let cloud = support::cloud().await;
    let python = MOTO.install(&support::state_dir(), |step| eprintln!("{step}")).await.expect("moto");
    the_suite_passes_with(&cloud, &python, &[], "moto");
}

#[test]
fn moto_is_pinned_with_the_hash_of_every_file_and_names_no_host() {
    assert!(!MOTO.requirements.contains("://") && !MOTO.requirements.contains("--index"));
    let mut pins = MOTO.requirements.lines().filter(|line| line.contains("==")).peekable();
    assert!(pins.peek().is_some() && pins.all(|line| line.ends_with('\\')), "a pin without a hash");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_in_place_and_is_deleted_with_its_stack() {
    the_suite_passes("volumes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_other_accounts_and_can_be_lost_duplicated_and_held() {
    the_suite_passes("events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_machines_nest_wait_and_stop_as_on_aws() {
    the_suite_passes("step_functions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn function_urls_answer_and_authenticate_their_caller() {
    the_suite_passes("function_urls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_apply_to_calls_and_the_call_log_records_them() {
    the_suite_passes("faults").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_every_request_unchanged() {
    the_suite_passes("recording").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn native_functions_run_as_their_role() {
    the_suite_passes("functions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_authorised_on_the_resource_of_the_aws_documentation() {
    the_suite_passes("authorization").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overlay_resource_types_are_created_updated_replaced_and_deleted() {
    the_suite_passes("handlers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_resources_of_a_failed_stack_can_be_imported() {
    the_suite_passes("retention").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_authorised_by_the_leading_keys_of_a_policy() {
    the_suite_passes("leading_keys").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_authorised_caller_can_pass_a_role() {
    the_suite_passes("pass_role").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn used_and_tagged_resources_of_a_call_are_authorised() {
    the_suite_passes("tagging").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn references_of_images_are_looked_up_with_the_callers_rights() {
    the_suite_passes("image_references").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_machine_definitions_that_aws_refuses_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let machines = StateMachines::own().expect("the sources are sound");
    machines.write(folder.path()).expect("the JSON is written");
    let cloud = support::cloud().await;
    let variables = [("LOCKSTEP_STATE_MACHINES", folder.path())];
    the_suite_passes_with(&cloud, &support::emulator_python(), &variables, "definitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn default_encryption_and_allowed_images_follow_the_account_settings() {
    the_suite_passes("account_settings").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_set_reverts_manual_changes() {
    the_suite_passes("drift").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_parameters_are_looked_up_with_the_callers_rights() {
    the_suite_passes("parameter_types").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_simulation_returns_the_result_of_iam() {
    the_suite_passes("simulation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_and_a_caller_without_a_valid_signature_are_refused() {
    the_suite_passes("front").await;
}
