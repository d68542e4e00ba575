//! Taking over from an execution that has ended.

use lockstep_domain::model::error::FailureKind;
use lockstep_runtime::lease::{ensure_ended, has_ended};

#[test]
fn only_a_known_end_frees() {
    assert!(has_ended(Some(false)));
    ensure_ended(Some(false), || unreachable!("it has ended")).unwrap();
    for may_run in [Some(true), None] {
        assert!(!has_ended(may_run));
        let busy = ensure_ended(may_run, || "e builds it there already".to_owned()).unwrap_err();
        assert_eq!(busy.kind, FailureKind::EnvironmentBusy);
        assert_eq!(busy.message, "e builds it there already");
    }
}
