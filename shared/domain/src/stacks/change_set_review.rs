//! Review of a change set: the impact of each change, and the reasons for an approval.
//!
//! A change that is not certainly harmless counts as the worst it could be. An action or a replacement that
//! CloudFormation cannot predict (`Dynamic`, `Conditional`) counts as a replacement. A nested stack whose own changes
//! cannot be read has the impact of its contents. The values are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html>.

use crate::model::drift_status::DriftStatus;
use crate::model::ids::{Digest, LogicalId};
use crate::model::resource_change::{Change, Impact, NESTED_STACK, SYNC};
use crate::records::{ApprovalDecision, ChangeSet, NamedResource, Subject};
use crate::stacks::protected::is_protected;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// One change as a change set shows it, before its impact is determined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedChange {
    /// Logical id within its own stack.
    pub logical_id: String,
    /// Physical id of the resource; empty for an added resource.
    pub physical_id: String,
    /// Type of the resource.
    pub resource_type: String,
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic` or `SyncWithActual`.
    pub action: String,
    /// `True`, `False` or `Conditional`; empty if it does not apply.
    pub replacement: String,
    /// `Delete`, `Retain`, `Snapshot`, or one of them after `ReplaceAnd`; empty if it does not apply.
    pub policy_action: String,
    /// Changed properties.
    pub properties: Vec<String>,
    /// True if only tags change.
    pub tags_only: bool,
    /// Change set of a nested stack, if it has one.
    pub change_set: Option<String>,
    /// Current drift status of the resource, from a change set that reverts drift.
    pub drift: Option<DriftStatus>,
}

/// Available information about the nested stack that a change affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedChanges {
    /// The resource is not a nested stack.
    NotNested,
    /// The changes of the nested stack are listed, and each has an impact of its own.
    Listed,
    /// The changes of the nested stack are not listed; only its current contents are known.
    Holds {
        /// True if the nested stack holds a protected resource at any depth.
        protected: bool,
    },
}

impl ProposedChange {
    /// Returns true if the resource may be removed or replaced.
    fn may_lose_the_resource(&self) -> bool {
        !matches!(self.action.as_str(), "Add" | "Import" | "Modify" | SYNC)
            || matches!(self.replacement.as_str(), "True" | "Conditional")
            || !matches!(self.policy_action.as_str(), "" | "Retain")
    }

    /// Returns true if the contents of this nested stack must be read to determine the impact.
    pub fn needs_a_look_beneath(&self) -> bool {
        self.resource_type == NESTED_STACK
            && !matches!(self.action.as_str(), "Add" | "Import" | SYNC)
            && (self.may_lose_the_resource() || self.change_set.is_none())
            && !self.tags_only
    }

    /// Returns the impact of the change; `protect` holds the logical ids that the manifest protects.
    pub fn impact(&self, protect: &BTreeSet<LogicalId>, beneath: NestedChanges) -> Impact {
        let named = self.logical_id.parse::<LogicalId>().is_ok_and(|id| protect.contains(&id));
        let protected = named || is_protected(&self.resource_type);
        match beneath {
            NestedChanges::Holds { protected: true } => Impact::DataLoss,
            NestedChanges::Holds { protected: false } if !named => Impact::Interruption,
            _ if !self.may_lose_the_resource() => Impact::None,
            _ if protected => Impact::DataLoss,
            _ => Impact::Interruption,
        }
    }

    /// Returns the change as it is recorded and shown; `path` holds the logical ids of the nested stacks above it.
    pub fn judged(self, path: &[String], protect: &BTreeSet<LogicalId>, beneath: NestedChanges) -> Change {
        let impact = self.impact(protect, beneath);
        let mut logical_id = path.join(".");
        if !logical_id.is_empty() {
            logical_id.push('.');
        }
        logical_id.push_str(&self.logical_id);
        Change {
            logical_id,
            resource_type: self.resource_type,
            action: self.action,
            replacement: self.replacement,
            properties: self.properties,
            tags_only: self.tags_only,
            drift: self.drift,
            impact,
        }
    }
}

/// Returns the reasons why this change set needs an approval: the stage requires one, each resource that would be
/// destroyed, and each nested stack that was not examined. Returns an empty list if no approval is needed.
pub fn reasons(change_set: &ChangeSet, stage_wants_approval: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if stage_wants_approval {
        reasons.push("every deployment to this stage needs an approval".to_owned());
    }
    let destroying = change_set.changes.iter().filter(|change| change.impact == Impact::DataLoss);
    reasons.extend(destroying.map(|change| {
        let what = match (change.action.as_str(), change.replacement.as_str()) {
            ("Remove", _) => "would be removed",
            ("Modify", "True") => "would be replaced",
            _ => "may be removed or replaced",
        };
        format!("{} ({}) {what}, with the data it holds", change.logical_id, change.resource_type)
    }));
    reasons.extend(change_set.unexamined.iter().map(not_examined));
    reasons
}

/// Returns the reason for a nested stack that the change set does not cover.
fn not_examined(nested: &NamedResource) -> String {
    format!(
        "{} (nested stack {}) was not examined: its drift, and the changes that would be made to it, are unknown",
        nested.name, nested.physical_id
    )
}

/// Returns true if one of `decisions` allows exactly this change set, template, parameters, late values and artifact
/// (which implies the commit), not too long ago.
pub fn is_approved(
    decisions: &[ApprovalDecision],
    change_set: &ChangeSet,
    artifact: &Digest,
    now: Timestamp,
) -> bool {
    decisions.iter().any(|decision| {
        let same = match &decision.question.subject {
            // The ARN of a change set contains its attempt.
            Subject::ChangeSet(approved) => {
                approved.arn == change_set.arn
                    && approved.template_digest == change_set.template_digest
                    && approved.parameters_digest == change_set.parameters_digest
                    && approved.late_digest == change_set.late_digest
                    && approved.changes == change_set.changes
                    && approved.unexamined == change_set.unexamined
                    && approved.review == change_set.review
            }
            Subject::Proposal(_) | Subject::Build(_) | Subject::Publish(_) => false,
        };
        same && decision.allows(now) && decision.question.digest.as_ref() == Some(artifact)
    })
}

/// Returns the change set as readable lines: one for each relevant change, and one for all changes of tags.
pub fn summary(change_set: &ChangeSet) -> Vec<String> {
    let (tags, real): (Vec<&Change>, Vec<&Change>) =
        change_set.changes.iter().partition(|change| change.tags_only && change.impact == Impact::None);
    let mut lines: Vec<String> = real.into_iter().map(line).collect();
    if !tags.is_empty() {
        let noun = if tags.len() == 1 { "resource" } else { "resources" };
        lines.push(format!("Tags of {} {noun}", tags.len()));
    }
    lines.extend(change_set.unexamined.iter().map(|nested| format!("not examined: {}", nested.name)));
    lines
}

fn line(change: &Change) -> String {
    let mut line = format!("{} {} ({})", change.action, change.logical_id, change.resource_type);
    match change.replacement.as_str() {
        "True" => line.push_str(", replaced"),
        "Conditional" => line.push_str(", perhaps replaced"),
        _ => {}
    }
    if let Some(drift @ (DriftStatus::Modified | DriftStatus::Deleted)) = change.drift {
        line.push_str(", drifted: ");
        line.push_str(drift.as_str());
    }
    if !change.properties.is_empty() {
        line.push_str(": ");
        line.push_str(&change.properties.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn modify(resource_type: &str) -> ProposedChange {
        ProposedChange {
            logical_id: "Thing".into(),
            resource_type: resource_type.into(),
            action: "Modify".into(),
            replacement: "False".into(),
            ..ProposedChange::default()
        }
    }

    fn impact(proposed: &ProposedChange) -> Impact {
        proposed.impact(&BTreeSet::new(), NestedChanges::NotNested)
    }

    fn change_set(changes: &[Change]) -> ChangeSet {
        ChangeSet {
            review: Default::default(),
            arn: "arn".into(),
            attempt: 1,
            changes: changes.to_vec(),
            unexamined: Vec::new(),
            template_digest: Digest::of(b"template"),
            parameters_digest: Digest::of(b"parameters"),
            late_digest: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const BUCKET: &str = "AWS::S3::Bucket";
    const TOPIC: &str = "AWS::SNS::Topic";

    #[test]
    fn adding_importing_and_changing_in_place_is_safe() {
        assert_eq!(impact(&modify(BUCKET)), Impact::None);
        for action in ["Add", "Import"] {
            let proposed =
                ProposedChange { action: action.into(), replacement: String::new(), ..modify(BUCKET) };
            assert_eq!(impact(&proposed), Impact::None, "{action}");
        }
    }

    #[test]
    fn removing_or_replacing_data_destroys_and_other_resources_interrupt() {
        for (action, replacement) in [
            ("Remove", ""),
            ("Dynamic", ""),
            ("Modify", "True"),
            ("Modify", "Conditional"),
            ("NewAction", ""),
        ] {
            let change = |kind: &str| ProposedChange {
                action: action.into(),
                replacement: replacement.into(),
                ..modify(kind)
            };
            assert_eq!(impact(&change(BUCKET)), Impact::DataLoss, "{action} {replacement}");
            assert_eq!(impact(&change(TOPIC)), Impact::Interruption, "{action} {replacement}");
        }
    }

    #[test]
    fn a_replacing_policy_counts_although_the_replacement_is_not_reported() {
        let proposed = ProposedChange { policy_action: "ReplaceAndDelete".into(), ..modify(BUCKET) };
        assert_eq!(impact(&proposed), Impact::DataLoss);
    }

    #[test]
    fn a_retained_resource_that_leaves_the_stack_needs_approval() {
        let proposed = ProposedChange {
            action: "Remove".into(),
            replacement: String::new(),
            policy_action: "Retain".into(),
            ..modify(BUCKET)
        };
        assert_eq!(impact(&proposed), Impact::DataLoss);
    }

    #[test]
    fn resources_named_by_the_manifest_are_protected() {
        let protect = BTreeSet::from(["Thing".parse().unwrap()]);
        let proposed = ProposedChange { action: "Remove".into(), ..modify(TOPIC) };
        assert_eq!(proposed.impact(&protect, NestedChanges::NotNested), Impact::DataLoss);
        assert_eq!(modify(TOPIC).impact(&protect, NestedChanges::NotNested), Impact::None);
    }

    #[test]
    fn the_impact_of_a_nested_stack_is_that_of_its_contents() {
        let removed = ProposedChange { action: "Remove".into(), ..modify(NESTED_STACK) };
        assert!(removed.needs_a_look_beneath());
        let judged = |protected| removed.impact(&BTreeSet::new(), NestedChanges::Holds { protected });
        assert_eq!(judged(true), Impact::DataLoss);
        assert_eq!(judged(false), Impact::Interruption);
    }

    #[test]
    fn the_contents_of_a_nested_stack_are_read_if_no_changes_are_listed() {
        assert!(modify(NESTED_STACK).needs_a_look_beneath());
        let listed = ProposedChange { change_set: Some("arn".into()), ..modify(NESTED_STACK) };
        assert!(!listed.needs_a_look_beneath());
        assert_eq!(listed.impact(&BTreeSet::new(), NestedChanges::Listed), Impact::None);
        assert!(ProposedChange { replacement: "True".into(), ..listed }.needs_a_look_beneath());
        assert!(!ProposedChange { action: "Add".into(), ..modify(NESTED_STACK) }.needs_a_look_beneath());
        assert!(!modify(TOPIC).needs_a_look_beneath());
    }

    #[test]
    fn a_nested_change_carries_the_path_to_it() {
        let change = modify(TOPIC).judged(
            &["Child".into(), "Inner".into()],
            &BTreeSet::new(),
            NestedChanges::NotNested,
        );
        assert_eq!(change.logical_id, "Child.Inner.Thing");
    }

    #[test]
    fn the_stage_and_each_destroyed_resource_are_reasons_for_approval() {
        let judge =
            |proposed: ProposedChange| proposed.judged(&[], &BTreeSet::new(), NestedChanges::NotNested);
        let changes = [
            judge(modify(TOPIC)),
            judge(ProposedChange { action: "Remove".into(), replacement: String::new(), ..modify(BUCKET) }),
        ];
        assert_eq!(reasons(&change_set(&changes[..1]), false), Vec::<String>::new());
        assert_eq!(
            reasons(&change_set(&changes), false),
            ["Thing (AWS::S3::Bucket) would be removed, with the data it holds"]
        );
        assert_eq!(reasons(&change_set(&changes), true).len(), 2);
    }

    #[test]
    fn a_nested_stack_that_the_manifest_names_is_protected() {
        let protect = BTreeSet::from(["Thing".parse().unwrap()]);
        let removed = ProposedChange { action: "Remove".into(), ..modify(NESTED_STACK) };
        assert_eq!(removed.impact(&protect, NestedChanges::Holds { protected: false }), Impact::DataLoss);
    }

    #[test]
    fn unknown_changes_beneath_a_modified_nested_stack_interrupt() {
        let modified = modify(NESTED_STACK);
        let judged = |protected| modified.impact(&BTreeSet::new(), NestedChanges::Holds { protected });
        assert_eq!((judged(true), judged(false)), (Impact::DataLoss, Impact::Interruption));
    }

    #[test]
    fn a_reason_names_removal_replacement_and_what_may_be_either() {
        let reason = |action: &str, replacement: &str| {
            let proposed =
                ProposedChange { action: action.into(), replacement: replacement.into(), ..modify(BUCKET) };
            let change = proposed.judged(&[], &BTreeSet::new(), NestedChanges::NotNested);
            reasons(&change_set(&[change]), false).join("; ")
        };
        for (action, replacement, what) in [
            ("Remove", "", "would be removed"),
            ("Modify", "True", "would be replaced"),
            ("Modify", "Conditional", "may be removed or replaced"),
            ("Dynamic", "", "may be removed or replaced"),
        ] {
            let expected = format!("Thing (AWS::S3::Bucket) {what}, with the data it holds");
            assert_eq!(reason(action, replacement), expected, "{action} {replacement}");
        }
    }

    #[test]
    fn a_replacement_and_a_deleted_resource_are_shown_in_the_summary() {
        let replaced = ProposedChange { replacement: "True".into(), ..modify(TOPIC) };
        let deleted = ProposedChange { drift: Some(DriftStatus::Deleted), ..modify(TOPIC) };
        let same = ProposedChange { drift: Some(DriftStatus::InSync), ..modify(TOPIC) };
        let tags = ProposedChange { tags_only: true, ..modify(TOPIC) };
        let changes = [replaced, deleted, same, tags]
            .map(|proposed| proposed.judged(&[], &BTreeSet::new(), NestedChanges::NotNested));
        assert_eq!(
            summary(&change_set(&changes)),
            [
                "Modify Thing (AWS::SNS::Topic), replaced",
                "Modify Thing (AWS::SNS::Topic), drifted: DELETED",
                "Modify Thing (AWS::SNS::Topic)",
                "Tags of 1 resource"
            ]
        );
    }

    fn unexamined(name: &str) -> NamedResource {
        NamedResource {
            name: name.into(),
            resource_type: NESTED_STACK.into(),
            physical_id: format!("arn:{name}"),
        }
    }

    #[test]
    fn an_unexamined_nested_stack_needs_approval_even_without_changes() {
        // FAILURES 25: a change set that reverts drift does not cover nested stacks.
        let seen = ChangeSet { unexamined: vec![unexamined("Child")], ..change_set(&[]) };
        let reasons_found = reasons(&seen, false);
        assert_eq!(reasons_found.len(), 1);
        assert!(
            reasons_found[0].starts_with("Child (nested stack arn:Child) was not examined"),
            "{reasons_found:?}"
        );
        assert_eq!(summary(&seen), ["not examined: Child"]);
    }

    #[test]
    fn a_change_that_only_syncs_the_record_has_no_impact() {
        let sync = |kind: &str| ProposedChange {
            action: "SyncWithActual".into(),
            replacement: String::new(),
            ..modify(kind)
        };
        assert_eq!(impact(&sync(BUCKET)), Impact::None);
        assert!(!sync(NESTED_STACK).needs_a_look_beneath());
    }

    #[test]
    fn an_approval_is_bound_to_every_byte_and_counts_for_a_day() {
        // FAILURES 54: a force-push changes the commit, and so the artifact's digest.
        let digest = |of: &str| Digest::of(of.as_bytes());
        let change_set = change_set(&[]);
        let question = crate::records::Approval {
            shown: None,
            number: 1,
            reasons: vec![],
            subject: Subject::ChangeSet(change_set.clone()),
            digest: Some(digest("artifact")),
            asked_at: at(0),
        };
        let approval = ApprovalDecision {
            deployment: crate::model::ids::DeploymentId::of_execution("e"),
            question,
            answers: vec![],
            decision: Some(crate::records::Decision::Approve),
            valid_until: Some(at(ApprovalDecision::VALID_HOURS * 3600)),
        };
        let artifact = digest("artifact");
        let is_approved = |approval: &ApprovalDecision, change_set: &ChangeSet, artifact: &Digest, now| {
            is_approved(std::slice::from_ref(approval), change_set, artifact, now)
        };
        assert!(is_approved(&approval, &change_set, &artifact, at(1)));
        let a_day_later = at(ApprovalDecision::VALID_HOURS * 3600);
        assert!(!is_approved(&approval, &change_set, &artifact, a_day_later));
        for other in [
            ChangeSet { arn: "other".into(), ..change_set.clone() },
            ChangeSet { template_digest: digest("other"), ..change_set.clone() },
            ChangeSet { parameters_digest: digest("other"), ..change_set.clone() },
            ChangeSet { late_digest: Some(digest("other")), ..change_set.clone() },
            ChangeSet { unexamined: vec![unexamined("Child")], ..change_set.clone() },
            ChangeSet {
                changes: vec![modify(TOPIC).judged(&[], &BTreeSet::new(), NestedChanges::NotNested)],
                ..change_set.clone()
            },
        ] {
            assert!(!is_approved(&approval, &other, &artifact, at(1)));
        }
        assert!(!is_approved(&approval, &change_set, &digest("other"), at(1)));
        let refusal = ApprovalDecision { decision: Some(crate::records::Decision::Refuse), ..approval };
        assert!(!is_approved(&refusal, &change_set, &artifact, at(1)));
    }

    #[test]
    fn changes_of_tags_are_folded_into_one_line() {
        let judge =
            |proposed: ProposedChange| proposed.judged(&[], &BTreeSet::new(), NestedChanges::NotNested);
        let tags = judge(ProposedChange { tags_only: true, ..modify(TOPIC) });
        let real = judge(ProposedChange {
            replacement: "Conditional".into(),
            properties: vec!["TopicName".into()],
            ..modify(TOPIC)
        });
        let drifted = judge(ProposedChange { drift: Some(DriftStatus::Modified), ..modify(TOPIC) });
        assert_eq!(
            summary(&change_set(&[tags.clone(), real, drifted, tags])),
            [
                "Modify Thing (AWS::SNS::Topic), perhaps replaced: TopicName",
                "Modify Thing (AWS::SNS::Topic), drifted: MODIFIED",
                "Tags of 2 resources"
            ]
        );
    }

    proptest! {
        #[test]
        fn only_known_harmless_values_make_a_change_to_data_safe(
            action in "Add|Modify|Remove|Import|Dynamic|SyncWithActual|[A-Z][a-z]{0,9}", replacement in "|True|False|Conditional",
            policy in "|Delete|Retain|Snapshot|ReplaceAndDelete|ReplaceAndRetain|ReplaceAndSnapshot",
        ) {
            let proposed = ProposedChange { action: action.clone(), replacement: replacement.clone(),
                policy_action: policy.clone(), ..modify(BUCKET) };
            if impact(&proposed) != Impact::DataLoss {
                prop_assert!(["Add", "Modify", "Import", "SyncWithActual"].contains(&action.as_str()));
                prop_assert!(["", "False"].contains(&replacement.as_str()));
                prop_assert!(["", "Retain"].contains(&policy.as_str()));
            }
        }
    }
}
