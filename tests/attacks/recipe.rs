//! S2 C2: a recipe runs code on the builder, beside the role of builds.
//!
//! Fails without the allowlist of blocks, plugins and files (`domain::images::recipe`).

use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::recipe::{RecipeInput, VARIABLES, plan};
use lockstep_sim::recipe::recipe_text;

/// Path of the template of a recipe.
const TEMPLATE: &str = "image.pkr.hcl";

/// Returns the template of a recipe that is accepted.
fn accepted() -> String {
    recipe_text("a").files().into_iter().find(|(path, _)| *path == TEMPLATE).unwrap().1
}

/// Plans the accepted recipe with this template and these files.
fn planned(template: &str, further: &[(&str, &str)]) -> Result<(), String> {
    let mut files: Files = recipe_text("a")
        .files()
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.into_bytes()))
        .collect();
    for (path, text) in [(TEMPLATE, template), (VARIABLES, "")].iter().chain(further) {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    plan("images/a", &files, &RecipeInput::default()).map(drop).map_err(|problems| format!("{problems:?}"))
}

#[test]
fn a_recipe_reaches_nothing_beside_its_instance() {
    let own = accepted();
    planned(&own, &[]).unwrap();
    for (place, evil) in [
        ("build {\n", "  post-processor \"shell-local\" {\n    inline = [\"env\"]\n  }\n"),
        ("build {\n", "  provisioner \"shell-local\" {\n    inline = [\"env\"]\n  }\n"),
        ("build {\n", "  provisioner \"breakpoint\" {}\n"),
        ("build {\n", "  hcp_packer_registry {}\n"),
        (
            "required_plugins {\n",
            "    evil = {\n      source = \"github.com/mallory/anything\"\n      version = \"1.0.0\"\n    }\n",
        ),
        ("", "data \"external\" \"x\" {\n  program = [\"env\"]\n}\n"),
        ("", "locals {\n  x = file(\"/proc/self/environ\")\n}\n"),
        ("source \"amazon-ebs\" \"image\" {\n", "  subnet_id = \"subnet-production\"\n"),
        ("source \"amazon-ebs\" \"image\" {\n", "  iam_instance_profile = \"Administrator\"\n"),
    ] {
        let template = own.replacen(place, &format!("{place}{evil}"), 1);
        assert_ne!(template, own, "{place}");
        assert!(planned(&template, &[]).is_err(), "{evil}");
    }
    for (path, text) in
        [("evil.pkr.json", "{}"), ("evil.auto.pkrvars.hcl", "x = 1"), ("packer.d/evil", "#!/bin/sh")]
    {
        assert!(planned(&own, &[(path, text)]).is_err(), "{path}");
    }
}
