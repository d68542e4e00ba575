//! The main job from end to end: the story of the demo, and every promise around it, with the real functions, state
//! machines and templates on the local cloud; and the story of the log stack.
//!
//! One test each, because there is one cloud and its story has an order; each promise is a sentence that a failure names.

mod checks;
mod code;
mod deliveries;
mod doctor;
mod events;
mod gates;
mod images;
mod operating;
mod recovery;
mod sweeps;
mod test_cloud;

use lockstep_cli::failure::Failure;
use test_cloud::TestCloud;

/// A debug build keeps the futures of whole commands on the stack, and a test's thread has two megabytes.
const STACK_BYTES: usize = 32 << 20;

#[test]
fn a_push_becomes_a_release_in_ci_and_then_in_production_and_what_was_promised_around_it_holds() {
    in_a_cloud_of_its_own(async |cloud| promises(cloud).await);
}

#[test]
fn the_log_stack_reaches_production_and_every_line_and_event_sent_through_it_is_accounted_for() {
    in_a_cloud_of_its_own(async |cloud| cloud.demo.run_log_stack().await);
}

/// The clouds take turns, however many tests run at once.
fn in_a_cloud_of_its_own(kept: impl AsyncFnOnce(&mut TestCloud) -> Result<(), Failure> + Send + 'static) {
    let told = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(tell(kept));
    });
    told.expect("a thread").join().expect("the story ends well");
}

async fn tell(kept: impl AsyncFnOnce(&mut TestCloud) -> Result<(), Failure>) {
    let mut cloud = TestCloud::start().await.expect("the binaries are built and the cloud has a place");
    let kept = kept(&mut cloud).await;
    let stopped = cloud.demo.stop().await;
    if let Err(failure) = kept.and(stopped) {
        panic!("{failure}\n\nwhat was said before:\n{}", cloud.said());
    }
}

async fn promises(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.run_scenarios().await?;
    cloud.demo.summary().await?;
    cloud.promise("every function runs the code that was packed", code::is_what_was_packed).await?;

    let refused = "a delivery that is not the git host's is refused, and nothing is written";
    cloud.promise(refused, deliveries::are_refused).await?;
    let rejected = "a component with an unknown parameter is rejected, and the record says where it stands";
    cloud.promise(rejected, gates::reject_what_cannot_be_resolved).await?;
    let once = "twenty copies of one delivery at once are one execution";
    cloud.promise(once, deliveries::count_once).await?;

    let evidence =
        "a release that did not pass the stage before is not promoted, and the missing evidence is named";
    cloud.promise(evidence, gates::want_evidence).await?;
    let waits = "without an answer nothing is executed, and a refusal ends it";
    cloud.promise(waits, gates::wait_for_a_person).await?;

    let reach =
        "a check connects to this machine only where its stage says so, and asks until its page is ready";
    cloud.promise(reach, checks::reach_what_their_stage_allows).await?;

    recovery_promises(cloud).await?;

    let early = "an end that is told before anybody waits for it is not missed";
    cloud.promise(early, events::may_come_early).await?;
    let late = "an event that is late or comes twice delays a run and does not break it";
    cloud.promise(late, events::may_come_late_and_twice).await?;

    image_promises(cloud).await?;

    let root = "after the installation, nothing was done as root";
    cloud.promise(root, code::is_never_run_as_root).await?;
    let tokens = "nothing but resume answers a token";
    cloud.promise(tokens, events::are_answered_by_resume_alone).await?;
    // From here on the test itself is root: it does what nobody else may, and what an installer does.
    let trust = "what a push reaches cannot act in production, whatever it is told: IAM refuses it";
    cloud.promise(trust, gates::keep_delivery_out_of_production).await?;
    let named = "the parameters that name the newest image follow as soon as it is usable";
    cloud.promise(named, images::are_named_by_parameters_at_once).await?;
    let region = "a further region of an account is added, and a release and its image come there";
    cloud.promise(region, images::come_to_a_further_region).await?;
    let swept =
        "what no event told of is found by a sweep: a dead holder, a lost delivery, an old throw-away stack";
    cloud.promise(swept, sweeps::put_in_order).await?;
    let lost = "a lost event, and a forwarding rule that somebody deleted, delay a run and do not break it";
    cloud.promise(lost, events::may_be_lost).await?;
    cloud.promise("no image and no snapshot is shared with anybody", gates::share_nothing).await?;
    let doctor = "doctor finds nothing wrong, then sees each thing that somebody broke";
    // The last one: it repairs nothing.
    cloud.promise(doctor, doctor::sees_each_thing_that_somebody_broke).await?;
    cloud.named_promise_exists()
}

/// Images: everywhere or nowhere.
async fn image_promises(cloud: &mut TestCloud) -> Result<(), Failure> {
    let baked = "a recipe that is pushed is baked once, comes to both accounts, and is used by the release of the same push";
    cloud.promise(baked, images::are_baked_and_used_by_one_push).await?;
    let fails = "an image that cannot be built is nowhere, and the record says why";
    cloud.promise(fails, images::that_fail_are_discarded).await?;
    let branch = "an image of another branch stays in the first account and goes nowhere";
    cloud.promise(branch, images::of_a_branch_stay_where_they_are).await?;
    let twice = "an image that no account may copy is built in each account";
    cloud.promise(twice, images::that_cannot_be_copied_are_built_twice).await
}

/// What a person does when something went wrong, and what it must not do.
async fn recovery_promises(cloud: &mut TestCloud) -> Result<(), Failure> {
    let plan =
        "a plan shows what would change, and leaves no change set, no stack and no other release behind";
    cloud.promise(plan, recovery::plan_changes_nothing).await?;
    let unlock =
        "an older release is deployed like any other, and nobody unlocks what a living deployment holds";
    cloud.promise(unlock, operating::a_living_holder_keeps_its_environment).await?;
    let cancel = "a deployment that is cancelled before it changes the stack changes nothing";
    cloud.promise(cancel, operating::cancelled_in_time_changes_nothing).await?;
    let back = "a rollback brings back the release that ran before";
    cloud.promise(back, recovery::rollback_brings_the_previous_release_back).await?;
    let clone = "a clone has a stack of its own with another stage's parameters, and goes when what it holds is given \
                 up by name";
    cloud.promise(clone, recovery::a_clone_comes_and_goes).await?;
    let retry = "a delivery that failed is retried when the reason is gone";
    cloud.promise(retry, operating::a_failed_delivery_is_retried).await?;
    let glass = "a release without evidence gets in only by break-glass, which counts once and is on record";
    cloud.promise(glass, operating::glass_is_broken_once).await
}
