//! Parameters and secrets of target accounts.

use super::SimContext;
use lockstep_aws::stored_values::StoredValues;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::Region;
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::model::location::Location;
use lockstep_runtime::{PublishedParameters, StoredValuesOf};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Parameters and secrets, the same in every account. Clones share them.
#[derive(Clone, Default)]
pub struct SimStored {
    parameters: Rc<RefCell<BTreeMap<String, StoredParameter>>>,
    secrets: Rc<RefCell<BTreeMap<String, String>>>,
    refused: Rc<RefCell<Vec<String>>>,
}

impl SimStored {
    /// Stores the next version of a parameter; one without a value is encrypted.
    pub fn put_parameter(&self, name: &str, value: Option<&str>) {
        let mut parameters = self.parameters.borrow_mut();
        let version = parameters.get(name).map_or(1, |before| before.version + 1);
        let value = value.map(str::to_owned);
        parameters.insert(name.to_owned(), StoredParameter { version, value });
    }

    /// Makes `version` the current version of a secret.
    pub fn put_secret(&self, id: &str, version: &str) {
        self.secrets.borrow_mut().insert(id.to_owned(), version.to_owned());
    }

    /// Lets the policy refuse the parameter or secret of this name.
    pub fn refuse(&self, name: &str) {
        self.refused.borrow_mut().push(name.to_owned());
    }

    fn answer<T>(&self, name: &str, found: Option<T>) -> Answer<T> {
        match found {
            _ if self.refused.borrow().iter().any(|refused| refused == name) => Answer::Refused,
            Some(found) => Answer::Found(found),
            None => Answer::Missing,
        }
    }
}

impl StoredValues for SimStored {
    async fn parameters(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        let parameters = self.parameters.borrow();
        let of = |name: &String| (name.clone(), self.answer(name, parameters.get(name).cloned()));
        Ok(names.iter().map(of).collect())
    }

    async fn secret_versions(&self, id: &str) -> Result<Answer<BTreeMap<String, String>>, Failure> {
        let version = self.secrets.borrow().get(id).cloned();
        let by_stage = version.map(|version| BTreeMap::from([("AWSCURRENT".to_owned(), version)]));
        Ok(self.answer(id, by_stage))
    }
}

impl StoredValuesOf for SimContext {
    type StoredValues = SimStored;

    async fn stored_values(&self, location: &Location, _: &str) -> Result<SimStored, Failure> {
        self.reach(location)?;
        Ok(self.stored.clone())
    }
}

impl PublishedParameters for SimContext {
    async fn public_parameters(
        &self,
        _: &Region,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        self.stored.parameters(names).await
    }
}
