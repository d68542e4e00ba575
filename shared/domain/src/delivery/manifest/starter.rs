use crate::model::ids::ComponentName;
use std::collections::BTreeMap;

/// Returns the files of a new component called `name`, by path below its folder, as `lockstep init` writes them.
///
/// The files pass the packaging check unchanged, and their comments explain each line to change.
pub fn template(name: &ComponentName) -> BTreeMap<String, String> {
    let fill = |text: &str| text.replace("{{name}}", name.as_str());
    [
        (super::FILE, include_str!("starter/lockstep.toml")),
        ("template.yaml", include_str!("starter/template.yaml")),
        ("parameters/default.toml", include_str!("starter/default.toml")),
        ("README.md", include_str!("starter/README.md")),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), fill(text)))
    .collect()
}
