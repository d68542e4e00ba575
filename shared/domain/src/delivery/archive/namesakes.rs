//! Names that more than one folder of a commit has.

use std::collections::BTreeMap;

/// Returns each name that more than one folder has, with these folders as one text: `a and b`.
pub(crate) fn namesakes<'s, N: Ord + Clone + 's>(
    folders: impl Iterator<Item = (Option<&'s N>, &'s str)>,
) -> BTreeMap<N, String> {
    let mut by_name: BTreeMap<N, Vec<&str>> = BTreeMap::new();
    for (name, folder) in folders {
        if let Some(name) = name {
            by_name.entry(name.clone()).or_default().push(folder);
        }
    }
    let shared = by_name.into_iter().filter(|(_, folders)| folders.len() > 1);
    shared.map(|(name, folders)| (name, folders.join(" and "))).collect()
}
