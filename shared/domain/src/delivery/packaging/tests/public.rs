//! Public parameters in a planned release.

use super::*;
use crate::delivery::parameters::Layers;
use crate::model::late_values::{Answer, StoredParameter};
use crate::model::public_parameters::{PinnedValue, PublicParameters};

const NAME: &str = "/aws/service/ami-amazon-linux-latest/al2023";

/// Returns the component with a parameter `Base` that names a public parameter, unless a stage says otherwise.
fn files() -> Files {
    let text = String::from_utf8(component()["template.yaml"].clone()).unwrap();
    let base = format!(
        "Parameters:\n  Base: {{Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: {NAME}}}\n"
    );
    with("template.yaml", &text.replacen("Parameters:\n", &base, 1))
}

/// Returns what each region holds under the names.
fn public(images: &[(&str, i64, &str)]) -> PublicParameters {
    let mut found = PublicParameters::new();
    for (region, version, value) in images {
        let answer = Answer::Found(StoredParameter { version: *version, value: Some((*value).to_owned()) });
        found.entry(region.parse().unwrap()).or_default().insert(NAME.to_owned(), answer);
    }
    found
}

fn planned(files: &Files, public: &PublicParameters) -> Result<Package, Vec<Problem>> {
    plan("broker", files, &PackagingInput { public: Some(public), ..Fixture::new().input() })
}

/// Returns the regions of the stages, each once.
fn regions() -> Vec<String> {
    let regions: BTreeSet<String> =
        Fixture::new().stages.iter().map(|stage| stage.region.to_string()).collect();
    regions.into_iter().collect()
}

#[test]
fn a_public_parameter_is_pinned_in_the_region_of_each_stage() {
    let regions = regions();
    let images: Vec<(&str, i64, String)> =
        regions.iter().zip(7..).map(|(region, n)| (region.as_str(), n, format!("ami-{n}"))).collect();
    let held: Vec<(&str, i64, &str)> = images.iter().map(|(r, n, ami)| (*r, *n, ami.as_str())).collect();
    let package = planned(&files(), &public(&held)).unwrap();
    assert!(package.unchecked.iter().all(|what| !what.contains("Base")), "{:?}", package.unchecked);
    let contents = open(&package.artifact).unwrap();
    assert_eq!(contents.public_lock, package.public_lock);
    for (region, version, value) in held {
        let pin = contents.public_lock.pin(&region.parse().unwrap(), NAME);
        assert_eq!(pin, Some(&PinnedValue { version, value: value.to_owned() }), "{region}");
    }
    let known = Fixture::new();
    let release = crate::records::testing::release();
    for stage in known.stages.iter() {
        let layers =
            Layers { organisation: Some(&known.organisation), component: &contents.layers, overrides: None };
        let settled = contents.settled_parameters(&known.stages, stage, &stage.name, &release, layers);
        let pin = contents.public_lock.pin(&stage.region, NAME).unwrap();
        assert_eq!(settled["Base"], pin.value, "the authority compares it with the stack of {}", stage.name);
    }
}

#[test]
fn an_alias_that_moved_gives_another_release_of_the_same_files() {
    let regions = regions();
    let at = |version, ami: &str| {
        let held: Vec<(&str, i64, &str)> =
            regions.iter().map(|region| (region.as_str(), version, ami)).collect();
        planned(&files(), &public(&held)).unwrap()
    };
    let (first, same, moved) = (at(1, "ami-1"), at(1, "ami-1"), at(2, "ami-2"));
    assert_eq!(first.digest, same.digest);
    assert_ne!(first.digest, moved.digest);
    assert_eq!(
        (first.source_digest, first.template_digest, first.test_template_digest),
        (moved.source_digest, moved.template_digest, moved.test_template_digest)
    );
}

#[test]
fn a_public_parameter_that_a_region_lacks_is_refused() {
    let mut held = public(&[]);
    for region in regions() {
        held.insert(region.parse().unwrap(), [(NAME.to_owned(), Answer::Missing)].into());
    }
    let found = reported(planned(&files(), &held));
    assert_eq!(found.len(), regions().len(), "{found:?}");
    assert!(found[0].starts_with("broker/template.yaml:2: the public parameter /aws/service/"), "{found:?}");
    assert!(found[0].ends_with("the region of a stage: there is no such parameter"), "{found:?}");
}

#[test]
fn a_stage_may_name_another_public_parameter() {
    let mut files = files();
    files.insert("parameters/production.toml".to_owned(), b"Base = \"/aws/service/other\"\n".to_vec());
    let known = Fixture::new();
    let found = sketch(&files, &known.stages, &known.organisation).unwrap();
    let region = |stage: &str| known.stages.get(&stage.parse().unwrap()).unwrap().region.clone();
    assert!(found.public.contains(&(region("production"), "/aws/service/other".to_owned())), "{found:?}");
    assert!(found.public.contains(&(region("ci"), NAME.to_owned())), "{found:?}");
}

#[test]
fn what_no_release_pins_is_listed() {
    let listed = |files: &Files, input: &PackagingInput<'_>| {
        let package = plan("broker", files, input).unwrap();
        package
            .unchecked
            .into_iter()
            .filter(|what| what.contains("/aws/service/") || what.contains("Base"))
            .collect::<Vec<_>>()
    };
    let offline = format!("{NAME}: the values that a release pins are not read here");
    assert_eq!(listed(&files(), &PackagingInput::default()), std::slice::from_ref(&offline));
    assert_eq!(listed(&files(), &Fixture::new().input()), [offline]);
    let text = String::from_utf8(files()["template.yaml"].clone()).unwrap().replace(NAME, "/golden/ami");
    let own = with("template.yaml", &text);
    let (public, known) = (PublicParameters::new(), Fixture::new());
    let input = PackagingInput { public: Some(&public), ..known.input() };
    let found = listed(&own, &input);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a stage may run an image that no stage before tested"), "{found:?}");
}
