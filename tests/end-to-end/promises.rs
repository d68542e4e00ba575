//! The promises, in the order in which they are checked.

use crate::harness::{Promise, Suite};
use crate::{
    checks, code, deliveries, doctor, drift, events, first_steps, gates, images, local_files, log_stack,
    operating, recovery, scenarios, sweeps,
};

/// Declares the promise that a function checks, after those whose state it needs.
macro_rules! promise {
    ($module:ident::$name:ident $(, after $($need:ident),+)?) => {
        Promise {
            name: stringify!($name),
            needs: &[$($(stringify!($need)),+)?],
            check: |cloud| Box::pin($module::$name(cloud)),
        }
    };
}

/// The suites. They run side by side.
pub const SUITES: [Suite; 2] =
    [Suite { name: "main-job", promises: &MAIN_JOB }, Suite { name: "log-stack", promises: &LOG_STACK }];

const MAIN_JOB: [Promise; 47] = [
    // The scenarios of `cargo demo`.
    promise!(scenarios::lockstep_is_installed_for_three_accounts),
    promise!(scenarios::an_organisation_is_configured, after lockstep_is_installed_for_three_accounts),
    promise!(scenarios::a_first_commit_is_tested_and_runs_in_ci, after an_organisation_is_configured),
    promise!(scenarios::a_changed_parameter_and_image_update_the_stack, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(scenarios::a_promotion_waits_for_its_approval, after a_changed_parameter_and_image_update_the_stack),
    promise!(
        scenarios::a_commit_without_template_changes_touches_no_stack,
        after a_changed_parameter_and_image_update_the_stack
    ),
    promise!(
        scenarios::a_failed_update_is_rolled_back_and_explained,
        after a_commit_without_template_changes_touches_no_stack
    ),
    promise!(
        scenarios::a_failed_check_ends_a_release_in_its_test_stack,
        after a_failed_update_is_rolled_back_and_explained
    ),
    promise!(scenarios::doctor_finds_no_fault_after_the_scenarios, after a_promotion_waits_for_its_approval),
    // Around them.
    promise!(code::each_function_runs_the_packed_code, after lockstep_is_installed_for_three_accounts),
    promise!(deliveries::forged_and_oversized_deliveries_are_refused, after an_organisation_is_configured),
    promise!(first_steps::the_commands_of_the_readme_reach_ci, after an_organisation_is_configured),
    promise!(gates::an_unknown_parameter_is_rejected_with_its_line, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(gates::a_push_of_a_foreign_name_changes_nothing, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(
        deliveries::twenty_copies_of_a_delivery_start_one_execution,
        after a_first_commit_is_tested_and_runs_in_ci
    ),
    promise!(
        gates::a_release_without_evidence_is_not_promoted,
        after a_failed_update_is_rolled_back_and_explained
    ),
    promise!(gates::a_refusal_ends_a_deployment_that_did_nothing, after a_promotion_waits_for_its_approval),
    promise!(
        checks::a_check_reaches_this_machine_if_its_stage_allows_it,
        after a_first_commit_is_tested_and_runs_in_ci
    ),
    promise!(recovery::a_plan_changes_nothing, after a_refusal_ends_a_deployment_that_did_nothing),
    promise!(
        operating::an_environment_with_a_live_holder_is_not_unlocked,
        after a_changed_parameter_and_image_update_the_stack
    ),
    promise!(
        operating::a_deployment_cancelled_in_time_changes_nothing,
        after an_environment_with_a_live_holder_is_not_unlocked
    ),
    promise!(
        recovery::a_rollback_restores_the_previous_release,
        after an_environment_with_a_live_holder_is_not_unlocked
    ),
    promise!(recovery::a_clone_exists_until_its_data_is_given_up, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(
        operating::a_failed_delivery_is_retried_once_its_cause_is_gone,
        after a_first_commit_is_tested_and_runs_in_ci
    ),
    promise!(
        operating::a_break_glass_admits_one_release_and_is_recorded,
        after a_promotion_waits_for_its_approval, a_failed_update_is_rolled_back_and_explained
    ),
    promise!(events::an_event_before_its_callback_is_not_missed, after a_promotion_waits_for_its_approval),
    promise!(events::a_late_or_repeated_event_does_not_break_a_run, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(images::a_pushed_recipe_is_baked_for_its_release, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(images::a_failed_image_is_discarded_with_its_reason, after a_pushed_recipe_is_baked_for_its_release),
    promise!(images::a_recipe_of_a_foreign_name_builds_nothing, after a_pushed_recipe_is_baked_for_its_release),
    promise!(images::an_image_of_a_branch_remains_in_one_account, after a_pushed_recipe_is_baked_for_its_release),
    promise!(
        images::a_licensed_image_is_built_in_production_once_approved,
        after a_pushed_recipe_is_baked_for_its_release
    ),
    promise!(
        images::a_refused_build_discards_the_image_everywhere,
        after a_licensed_image_is_built_in_production_once_approved
    ),
    promise!(
        images::a_licensed_image_is_built_without_a_person_if_allowed,
        after a_pushed_recipe_is_baked_for_its_release
    ),
    promise!(code::no_call_after_the_installation_is_made_by_root, after an_organisation_is_configured),
    promise!(events::only_resume_answers_task_tokens, after a_promotion_waits_for_its_approval),
    // From here on the test acts as root: it does what no role may do, and what an installer does.
    promise!(
        local_files::local_files_run_in_ci_and_in_production,
        after a_promotion_waits_for_its_approval
    ),
    promise!(drift::changes_by_hand_are_found_explained_and_gone, after a_promotion_waits_for_its_approval),
    promise!(gates::the_delivery_path_cannot_act_in_production, after a_promotion_waits_for_its_approval),
    promise!(
        gates::a_component_cannot_change_what_lockstep_builds,
        after a_first_commit_is_tested_and_runs_in_ci
    ),
    promise!(
        images::parameters_of_ci_name_the_newest_image_at_once,
        after a_pushed_recipe_is_baked_for_its_release
    ),
    promise!(
        images::parameters_of_production_move_with_its_deployments,
        after a_promotion_waits_for_its_approval, a_pushed_recipe_is_baked_for_its_release
    ),
    promise!(images::a_release_and_its_image_reach_a_further_region, after a_promotion_waits_for_its_approval),
    promise!(sweeps::a_sweep_finds_what_no_event_reported, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(events::a_lost_event_or_deleted_rule_delays_a_run, after a_first_commit_is_tested_and_runs_in_ci),
    promise!(gates::no_image_and_no_snapshot_is_shared, after a_promotion_waits_for_its_approval),
    // The last one: it repairs nothing.
    promise!(doctor::doctor_finds_each_planted_fault, after an_organisation_is_configured),
];

const LOG_STACK: [Promise; 7] = [
    promise!(log_stack::the_log_stack_has_a_cloud_with_lockstep),
    promise!(log_stack::the_log_stack_has_an_organisation, after the_log_stack_has_a_cloud_with_lockstep),
    promise!(log_stack::the_log_stack_runs_in_ci, after the_log_stack_has_an_organisation),
    promise!(log_stack::the_log_stack_runs_in_production, after the_log_stack_runs_in_ci),
    promise!(
        log_stack::each_log_line_is_acknowledged_or_in_quarantine,
        after the_log_stack_runs_in_production
    ),
    promise!(
        log_stack::a_log_that_is_shipped_again_keeps_its_event_ids,
        after each_log_line_is_acknowledged_or_in_quarantine
    ),
    promise!(
        log_stack::an_accepted_event_of_an_application_arrives,
        after the_log_stack_runs_in_production
    ),
];
