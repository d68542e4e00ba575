//! Published images, for contexts.

use super::SimContext;
use lockstep_aws::public_images::PublicImages;
use lockstep_domain::model::base_image::{ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;
use lockstep_domain::model::location::Location;
use lockstep_runtime::PublicImagesOf;
use std::cell::RefCell;
use std::rc::Rc;

/// Images that AWS and others publish.
#[derive(Clone)]
pub struct SimPublished(Rc<RefCell<Vec<(String, NamePattern, AmiId)>>>, AmiId);

impl SimPublished {
    pub(super) fn new(newest: AmiId) -> Self {
        Self(Rc::default(), newest)
    }

    /// Lets the search for `pattern` find the image called `name`.
    pub fn publish(&self, pattern: &str, name: NamePattern, ami: AmiId) {
        self.0.borrow_mut().push((pattern.to_owned(), name, ami));
    }
}

impl PublicImages for SimPublished {
    async fn newest(&self, _: &ParameterName) -> Result<AmiId, Failure> {
        Ok(self.1.clone())
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        let published = self.0.borrow();
        let found = published
            .iter()
            .find(|(pattern, name, _)| [pattern.as_str(), name.as_str()].contains(&search.name.as_str()));
        match found {
            Some((_, name, ami)) => Ok((name.clone(), ami.clone())),
            None => Err(Failure::rejected(format!("no image in this region is called {search}"))),
        }
    }
}

impl PublicImagesOf for SimContext {
    type PublicImages = SimPublished;

    async fn public_images(&self, _: &Location, _: &str) -> Result<SimPublished, Failure> {
        Ok(self.published.clone())
    }
}

/// Returns the image that a public parameter names.
#[expect(clippy::expect_used, reason = "a constant")]
pub(super) fn newest() -> AmiId {
    "ami-0aaaaaaaaaaaaaaaa".parse().expect("an id")
}
