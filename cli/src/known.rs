//! Existence of what a command line names, checked before anything is started.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::names::{ImageVersionName, ReleaseName};
use lockstep_domain::delivery::gate;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::suggestion::suggestion;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{ImageVersion, OwnedName, Release};

/// Number of versions that a failure lists.
const LISTED: usize = 5;

/// Returns the release, published or not. Refuses one that does not exist, and suggests another.
pub async fn release(plane: &ControlPlane, wanted: &ReleaseName) -> Result<Release, Failure> {
    let releases = plane.releases(Some(&wanted.component)).await?;
    let versions: Vec<Version> = releases.iter().map(|release| release.version.clone()).collect();
    match releases.into_iter().find(|release| release.version == wanted.version) {
        Some(release) => Ok(release),
        None if versions.is_empty() => Err(no_component(&wanted.component, &components(plane).await?)),
        None => Err(no_release(wanted, &versions)),
    }
}

/// Refuses a component or a stage that does not exist, and suggests another.
pub async fn environment(
    plane: &ControlPlane,
    component: &ComponentName,
    stage: &StageName,
) -> Result<(), Failure> {
    gate::stage(&plane.stages().await?, stage)?;
    self::component(plane, component).await
}

/// Refuses a component that has neither a release nor an owner, and suggests another.
pub async fn component(plane: &ControlPlane, wanted: &ComponentName) -> Result<(), Failure> {
    let owned = OwnedName::Component(wanted.clone());
    if plane.owner_of(&owned).await?.is_some() || !plane.releases(Some(wanted)).await?.is_empty() {
        return Ok(());
    }
    Err(no_component(wanted, &components(plane).await?))
}

async fn components(plane: &ControlPlane) -> Result<Vec<String>, Failure> {
    let owners = plane.owners().await?.into_iter();
    let names = owners.filter(|claim| matches!(claim.of, OwnedName::Component(_)));
    Ok(names.map(|claim| claim.of.as_str().to_owned()).collect())
}

fn no_component(wanted: &ComponentName, known: &[String]) -> Failure {
    let hint = suggestion(wanted.as_str(), known);
    Failure::usage(format!("there is no component {wanted}{hint}"))
        .next("lockstep releases lists every release; lockstep push makes one")
}

fn no_release(wanted: &ReleaseName, versions: &[Version]) -> Failure {
    let ReleaseName { component, version } = wanted;
    Failure::usage(format!(
        "there is no release {component}@{version}; {}",
        newest(component.as_str(), versions)
    ))
    .next(format!("lockstep releases {component}"))
}

/// Returns the failure of a version of an image that does not exist, with a suggestion.
pub fn no_image(wanted: &ImageVersionName, known: &[ImageVersion]) -> Failure {
    let ImageVersionName { image, version } = wanted;
    let mut versions: Vec<Version> =
        known.iter().filter(|other| other.name == *image).map(|other| other.version.clone()).collect();
    versions.sort_by(|a, b| b.cmp(a));
    let what = if versions.is_empty() {
        let mut names: Vec<&str> = known.iter().map(|other| other.name.as_str()).collect();
        names.dedup();
        format!("there is no image and no component {image}{}", suggestion(image.as_str(), names))
    } else {
        format!("there is no image {image}@{version}; {}", newest(image.as_str(), &versions))
    };
    Failure::usage(what).next("lockstep images lists every version of every image")
}

/// Returns a sentence with the newest versions. `versions` has the newest first.
fn newest(name: &str, versions: &[Version]) -> String {
    let shown: Vec<String> = versions.iter().take(LISTED).map(ToString::to_string).collect();
    let more = if versions.len() > LISTED { " and older ones" } else { "" };
    format!("{name} has {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn versions(texts: &[&str]) -> Vec<Version> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_misspelt_component_is_suggested() {
        let known = ["orders-queue".to_owned(), "shop".to_owned()];
        let failure = no_component(&"order-queue".parse().unwrap(), &known);
        assert_eq!(failure.what, "there is no component order-queue; did you mean `orders-queue`?");
        assert_eq!(failure.exit, Exit::Usage);
        let failure = no_component(&"web".parse().unwrap(), &known);
        assert_eq!(failure.what, "there is no component web; known: orders-queue, shop");
    }

    #[test]
    fn an_unknown_version_lists_the_newest_ones() {
        let wanted: ReleaseName = "shop@1.0.9".parse().unwrap();
        let failure = no_release(&wanted, &versions(&["1.0.2", "1.0.1"]));
        assert_eq!(failure.what, "there is no release shop@1.0.9; shop has 1.0.2, 1.0.1");
        let many = versions(&["1.0.6", "1.0.5", "1.0.4", "1.0.3", "1.0.2", "1.0.1"]);
        let what = no_release(&wanted, &many).what;
        assert!(what.ends_with("shop has 1.0.6, 1.0.5, 1.0.4, 1.0.3, 1.0.2 and older ones"), "{what}");
    }

    #[test]
    fn an_unknown_image_is_refused_with_a_next_step() {
        let failure = no_image(&"logstsh@2.1.0".parse().unwrap(), &[]);
        assert_eq!(failure.what, "there is no image and no component logstsh");
        assert!(failure.next.starts_with("lockstep images"));
    }
}
