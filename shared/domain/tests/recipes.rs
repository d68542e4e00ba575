//! Tests that `package` accepts every recipe in `infra/images`.

use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::recipe::{COMMON_FOLDER, PLUGIN, RecipeInput, find_recipes, plan};
use lockstep_domain::model::ids::AccountId;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/images")
}

#[expect(clippy::disallowed_methods, reason = "the recipes of this repository are what is tested")]
fn read(folder: &Path, below: &Path, into: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, below, into);
        } else {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            into.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

fn files(folder: &str) -> Files {
    let (below, mut files) = (images().join(folder), Files::new());
    read(&below, &below, &mut files);
    files
}

#[test]
fn every_recipe_of_the_log_stack_can_be_built_in_every_account() {
    let accounts: BTreeSet<AccountId> = ["222222222222", "333333333333"].map(|id| id.parse().unwrap()).into();
    let common = files(COMMON_FOLDER);
    let mut found = find_recipes(&files(""));
    found.sort();
    assert_eq!(found, ["elasticsearch", "logstash", "valkey"]);
    for folder in found {
        let input = RecipeInput { common: Some(&common), accounts: Some(&accounts), overrides: None };
        let planned = plan(&format!("infra/images/{folder}"), &files(&folder), &input);
        match planned {
            Ok(package) => assert_eq!(package.recipe.name.as_str(), folder),
            Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the documentation of this repository is what is tested")]
fn recipes_name_the_plugin_that_the_docs_tell_operators_to_provide() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, source, constraint) = PLUGIN;
    let version = constraint.trim_start_matches("= ");
    assert!(text.contains(&format!(
        "packer-plugin-amazon/releases/download/v{version}/packer-plugin-amazon_v{version}"
    )));
    assert!(text.contains(&format!("`{source}` in version `{constraint}`")));
}
