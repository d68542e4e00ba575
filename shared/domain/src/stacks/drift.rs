//! Drift of a tree of stacks: resources that differ from their templates, resources that match, and resources that were
//! not compared.
//!
//! CloudFormation examines one stack at a time and reports nothing about nested stacks. Therefore resources that it did
//! not examine are separate from those that it found clean. The statuses are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackResourceDrift.html>.

use crate::model::drift_status::DriftStatus;
use crate::model::resource_change::NESTED_STACK;
use crate::records::NamedResource;
use crate::stacks::plan::LiveResource;
use std::collections::BTreeMap;

/// Every resource of a tree of stacks, in exactly one list, in listing order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Resources that were changed or deleted.
    pub drifted: Vec<NamedResource>,
    /// Resources that match their template.
    pub clean: Vec<NamedResource>,
    /// Resources that were not compared: their type does not support it, or they are in a nested stack that was not
    /// examined. Contains that nested stack too.
    pub unchecked: Vec<NamedResource>,
}

/// Drift status of each resource of the examined stacks. The outer key is the path of a stack (`""` is the root,
/// `Child.Inner` a stack within `Child`), the inner key the logical id.
pub type Examined = BTreeMap<String, BTreeMap<String, DriftStatus>>;

impl Drift {
    /// Sorts `resources`, the resources of a whole tree of stacks, each logical id prefixed with its path.
    ///
    /// The status that `CloudFormation` reports for a nested stack covers the resource in its parent, not its contents.
    /// A nested stack is clean only if it was examined itself.
    pub fn of(resources: &[LiveResource], examined: &Examined) -> Self {
        let mut drift = Self::default();
        for resource in resources.iter().filter(|resource| resource.survives()) {
            let list = match status(resource, examined) {
                DriftStatus::Modified | DriftStatus::Deleted => &mut drift.drifted,
                DriftStatus::InSync => &mut drift.clean,
                DriftStatus::NotChecked | DriftStatus::Unsupported | DriftStatus::Unknown => {
                    &mut drift.unchecked
                }
            };
            list.push(resource.named());
        }
        drift
    }

    /// Returns the nested stacks that were not examined.
    pub fn unexamined(&self) -> Vec<NamedResource> {
        self.unchecked.iter().filter(|resource| resource.resource_type == NESTED_STACK).cloned().collect()
    }
}

fn status(resource: &LiveResource, examined: &Examined) -> DriftStatus {
    let (path, own) = resource.logical_id.rsplit_once('.').unwrap_or(("", &resource.logical_id));
    let said = examined.get(path).and_then(|stack| stack.get(own)).copied();
    let said = said.unwrap_or(DriftStatus::NotChecked);
    let closed = resource.resource_type == NESTED_STACK && !examined.contains_key(&resource.logical_id);
    match said {
        DriftStatus::InSync if closed => DriftStatus::NotChecked,
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resource(logical_id: &str) -> LiveResource {
        let nested = logical_id.ends_with("Child") || logical_id.ends_with("Inner");
        LiveResource {
            logical_id: logical_id.into(),
            physical_id: "p".into(),
            resource_type: if nested { NESTED_STACK } else { "AWS::SNS::Topic" }.into(),
            status: "CREATE_COMPLETE".into(),
        }
    }

    fn examined(stacks: &[(&str, &[(&str, DriftStatus)])]) -> Examined {
        let stack = |found: &[(&str, DriftStatus)]| found.iter().map(|(id, s)| ((*id).into(), *s)).collect();
        stacks.iter().map(|(path, found)| ((*path).to_owned(), stack(found))).collect()
    }

    fn names(of: &[NamedResource]) -> Vec<&str> {
        of.iter().map(|resource| resource.name.as_str()).collect()
    }

    #[test]
    fn unexamined_resources_are_separate_from_clean_ones() {
        // FAILURES 26: detection on the root does not cover nested stacks.
        let tree = ["A", "B", "C", "Child", "Child.D", "Child.Inner", "Child.Inner.E"].map(resource);
        let root = [
            ("A", DriftStatus::InSync),
            ("B", DriftStatus::Modified),
            ("C", DriftStatus::Unsupported),
            ("Child", DriftStatus::InSync),
        ];
        let drift = Drift::of(&tree, &examined(&[("", &root)]));
        assert_eq!(names(&drift.clean), ["A"]);
        assert_eq!(names(&drift.drifted), ["B"]);
        assert_eq!(names(&drift.unchecked), ["C", "Child", "Child.D", "Child.Inner", "Child.Inner.E"]);
        assert_eq!(names(&drift.unexamined()), ["Child", "Child.Inner"]);
    }

    #[test]
    fn an_examined_nested_stack_has_its_own_status() {
        let tree = ["Child", "Child.D", "Child.Inner", "Child.Inner.E"].map(resource);
        let child = [("D", DriftStatus::Deleted), ("Inner", DriftStatus::InSync)];
        let of_child: &[(&str, DriftStatus)] = &child;
        let root: &[(&str, DriftStatus)] = &[("Child", DriftStatus::InSync)];
        let drift = Drift::of(&tree, &examined(&[("", root), ("Child", of_child)]));
        assert_eq!((names(&drift.clean), names(&drift.drifted)), (vec!["Child"], vec!["Child.D"]));
        assert_eq!(names(&drift.unchecked), ["Child.Inner", "Child.Inner.E"]);
        let inner: &[(&str, DriftStatus)] = &[("E", DriftStatus::InSync)];
        let all = Drift::of(&tree, &examined(&[("", root), ("Child", of_child), ("Child.Inner", inner)]));
        assert!(all.unchecked.is_empty(), "{all:?}");
    }

    #[test]
    fn an_unknown_status_is_not_clean() {
        for known in [
            DriftStatus::InSync,
            DriftStatus::Modified,
            DriftStatus::Deleted,
            DriftStatus::NotChecked,
            DriftStatus::Unsupported,
            DriftStatus::Unknown,
        ] {
            assert_eq!(DriftStatus::parse(known.as_str()), known);
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
        }
        assert_eq!(DriftStatus::parse("SOMETHING_NEW"), DriftStatus::Unknown);
    }

    fn any_status() -> impl Strategy<Value = DriftStatus> {
        "IN_SYNC|MODIFIED|DELETED|NOT_CHECKED|UNSUPPORTED|UNKNOWN|NEW"
            .prop_map(|word| DriftStatus::parse(&word))
    }

    proptest! {
        #[test]
        fn every_resource_is_in_one_list_and_clean_only_if_examined(
            found in proptest::collection::btree_map(
                "(Child|Child\\.Inner)?",
                proptest::collection::btree_map("[A-C]|Child|Inner", any_status(), 0..5), 0..4),
        ) {
            let ids = ["A", "B", "Child", "Child.A", "Child.C", "Child.Inner", "Child.Inner.B"];
            let drift = Drift::of(&ids.map(resource), &found);
            let mut all: Vec<&str> =
                [&drift.drifted, &drift.clean, &drift.unchecked].into_iter().flat_map(|l| names(l)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, ids);
            for clean in names(&drift.clean) {
                let (path, own) = clean.rsplit_once('.').unwrap_or(("", clean));
                prop_assert_eq!(found[path][own], DriftStatus::InSync);
                prop_assert!(!clean.ends_with("Child") && !clean.ends_with("Inner") || found.contains_key(clean));
            }
        }
    }
}
