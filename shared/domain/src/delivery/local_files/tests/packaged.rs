//! Local files in a planned release.

use super::*;
use crate::delivery::packaging::{Package, PackagingInput, open, plan};
use crate::delivery::stages::Stages;
use crate::delivery::stages::testing::{stage_text, with_production};

const MANIFEST: &str = "[component]
name = \"greeter\"
version = \"1.0\"
template = \"template.yaml\"
team = \"platform\"
function = \"greeting\"
";

fn planned(list: &[(&str, &str)]) -> Result<Package, Vec<Problem>> {
    let stages = Stages::parse(
        "stages.toml",
        &with_production("111111111111", stage_text("production", "333333333333").in_region("eu-central-1")),
    );
    let organisation = crate::delivery::parameters::OrganisationParameters::default();
    let input = PackagingInput {
        stages: Some(&stages.unwrap()),
        organisation: Some(&organisation),
        ..PackagingInput::default()
    };
    let list = [list, &[("lockstep.toml", MANIFEST)]].concat();
    plan("greeter", &files(&list), &input)
}

fn refusals(list: &[(&str, &str)]) -> Vec<String> {
    planned(list).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_artifact_holds_the_packaged_templates() {
    let package = planned(&nested()).unwrap();
    let contents = open(&package.artifact).unwrap();
    assert_eq!(Digest::of(contents.deployed.as_bytes()), package.template_digest);
    assert_eq!(contents.test_template, package.test_template);
    assert_ne!(package.template_digest, package.test_template_digest);
}

#[test]
fn no_stage_needs_a_value_for_the_bucket_and_none_may_set_one() {
    let list = [("template.yaml", FUNCTION), ("src/app.py", HANDLER)];
    assert_eq!(planned(&list).unwrap().unchecked, Vec::<String>::new());
    let offline =
        plan("", &files(&[list[0], list[1], ("lockstep.toml", MANIFEST)]), &PackagingInput::default());
    assert!(offline.unwrap().unchecked.iter().all(|what| !what.contains(ARTIFACT_BUCKET)));
    let value = format!("{ARTIFACT_BUCKET} = \"mine\"\n");
    let found = refusals(&[list[0], list[1], ("parameters/production.toml", &value)]);
    assert_eq!(
        found,
        [format!(
            "greeter/parameters/production.toml:1: `{ARTIFACT_BUCKET}` is set by Lockstep; remove this value"
        )]
    );
}

#[test]
fn code_that_cannot_run_refuses_the_release_and_hints_do_not() {
    let found = refusals(&[("template.yaml", FUNCTION), ("src/main.py", HANDLER)]);
    assert!(found[0].starts_with("greeter/template.yaml:8: Greeter: the handler"), "{found:?}");
    let list = [("template.yaml", FUNCTION), ("src/app.py", HANDLER), ("src/requirements.txt", "requests\n")];
    let package = planned(&list).unwrap();
    assert_eq!((package.hints[0].file.as_str(), package.hints[0].line), ("greeter/template.yaml", Some(8)));
}

#[test]
fn a_nested_template_is_guarded_like_the_root() {
    let mut list = nested();
    let unprotected = NETWORK.replace("    DeletionPolicy: Retain\n", "");
    list[1].1 = &unprotected;
    let found = refusals(&list);
    assert!(found[0].starts_with("greeter/stacks/network.yaml:7: Table"), "{found:?}");
    assert!(found[0].contains("is protected: set DeletionPolicy"), "{found:?}");
    let bounded = NETWORK.replace("{AssumeRolePolicyDocument: {}}", "{PermissionsBoundary: arn:mine}");
    list[1].1 = &bounded;
    let found = refusals(&list);
    assert!(
        found[0].starts_with("greeter/stacks/network.yaml:6: Role has a permissions boundary"),
        "{found:?}"
    );
}

#[test]
fn a_changed_file_is_another_release() {
    let digest = |text: &str| {
        let package = planned(&[("template.yaml", FUNCTION), ("src/app.py", text)]).unwrap();
        (package.digest, package.template_digest)
    };
    assert_eq!(digest(HANDLER), digest(HANDLER));
    let (release, template) = digest("def handler(event, context):\n    return 'bye'\n");
    assert_ne!(release, digest(HANDLER).0);
    assert_ne!(template, digest(HANDLER).1);
}
