//! The parameters that name the newest images, stored beside them.

use super::SimImages;
use lockstep_aws::channels::Channels;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;
use std::collections::BTreeMap;

impl Channels for SimImages {
    async fn all(&self) -> Result<BTreeMap<String, String>, Failure> {
        self.change("GetParametersByPath", |inner, here| {
            Ok(inner.parameters.get(here).cloned().unwrap_or_default())
        })
    }

    async fn put(&self, name: &str, ami: &AmiId) -> Result<(), Failure> {
        self.change("PutParameter", |inner, here| {
            let parameters = inner.parameters.entry(here.clone()).or_default();
            parameters.insert(name.to_owned(), ami.to_string());
            Ok(())
        })
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        self.change("DeleteParameter", |inner, here| {
            inner.parameters.entry(here.clone()).or_default().remove(name);
            Ok(())
        })
    }
}
