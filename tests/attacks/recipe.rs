//! S2 C2: a recipe runs code on the builder, beside the role of builds.
//!
//! Fails without the allowlist of blocks, plugins and files (`domain::images::recipe`).

use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::recipe::{RecipeInput, VARIABLES, plan};

const IMAGE: &str = "[image]\nname = \"a\"\nversion = \"1.0\"\nteam = \"a\"\nbuilder = \"packer\"\n\n[base]\nssm = \"/aws/service/x\"\n";
const TEMPLATE: &str = include_str!("recipe.pkr.hcl");

fn planned(template: &str, further: &[(&str, &str)]) -> Result<(), String> {
    let own = [("image.toml", IMAGE), ("image.pkr.hcl", template), (VARIABLES, "")];
    let files: Files = own
        .iter()
        .chain(further)
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    plan("images/a", &files, &RecipeInput::default()).map(drop).map_err(|problems| format!("{problems:?}"))
}

#[test]
fn a_recipe_reaches_nothing_beside_its_instance() {
    planned(TEMPLATE, &[]).unwrap();
    for (place, evil) in [
        ("# in build", "  post-processor \"shell-local\" {\n    inline = [\"env\"]\n  }\n"),
        ("# in build", "  provisioner \"shell-local\" {\n    inline = [\"env\"]\n  }\n"),
        ("# in build", "  provisioner \"breakpoint\" {}\n"),
        ("# in build", "  hcp_packer_registry {}\n"),
        (
            "# in plugins",
            "    evil = {\n      source = \"github.com/mallory/anything\"\n      version = \"1.0.0\"\n    }\n",
        ),
        ("# at the end", "data \"external\" \"x\" {\n  program = [\"env\"]\n}\n"),
        ("# at the end", "locals {\n  x = file(\"/proc/self/environ\")\n}\n"),
        ("# in source", "  subnet_id = \"subnet-production\"\n"),
        ("# in source", "  iam_instance_profile = \"Administrator\"\n"),
    ] {
        let template = TEMPLATE.replace(place, evil);
        assert_ne!(template, TEMPLATE, "{place}");
        assert!(planned(&template, &[]).is_err(), "{evil}");
    }
    for (path, text) in
        [("evil.pkr.json", "{}"), ("evil.auto.pkrvars.hcl", "x = 1"), ("packer.d/evil", "#!/bin/sh")]
    {
        assert!(planned(TEMPLATE, &[(path, text)]).is_err(), "{path}");
    }
}
