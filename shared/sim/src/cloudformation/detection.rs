//! Detection of drift, and the live models that Cloud Control returns.

use super::model::Resource;
use super::{SimCloudFormation, SimStacks};
use lockstep_aws::cloud_control::LiveModels;
use lockstep_aws::cloudformation::detection::{DetectionState, Detections};
use lockstep_domain::drift::look::{Detected, Reading};
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::NESTED_STACK;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Duration of a detection.
const DETECTION_TIME: Duration = Duration::from_secs(8);

/// Cloud Control over the resources of [`SimCloudFormation`].
#[derive(Clone)]
pub struct SimModels(SimCloudFormation);

impl SimCloudFormation {
    /// Returns Cloud Control.
    pub fn models(&self) -> SimModels {
        SimModels(self.clone())
    }
}

impl Detections for SimStacks {
    async fn detect(&self, stack: &str) -> Result<String, Failure> {
        let mut inner = self.0.0.borrow_mut();
        inner.settle();
        let unknown = || Failure::rejected(format!("DetectStackDrift: Stack [{stack}] does not exist"));
        let arn = inner.arn_of(stack).ok_or_else(unknown)?;
        let ends = inner.clock.now() + DETECTION_TIME;
        let id = format!("detection-{}", inner.detections.len());
        inner.detections.insert(id.clone(), (arn, ends));
        Ok(id)
    }

    async fn detection(&self, id: &str) -> Result<DetectionState, Failure> {
        let inner = self.0.0.borrow();
        let unknown = || Failure::rejected(format!("Drift detection with id [{id}] does not exist"));
        let (_, ends) = inner.detections.get(id).ok_or_else(unknown)?;
        Ok(if inner.clock.now() < *ends { DetectionState::Running } else { DetectionState::Ended })
    }

    async fn detected(&self, stack: &str, _id: &str) -> Result<BTreeMap<String, Detected>, Failure> {
        let inner = self.0.0.borrow();
        let held = inner.find(stack).into_iter().flat_map(|stack| &stack.holdings.resources);
        let compared = held.filter(|(_, one)| !inner.undetected.contains(&one.wanted.kind));
        let compared = compared.filter(|(_, one)| one.wanted.kind != NESTED_STACK);
        Ok(compared.map(|(id, resource)| (id.clone(), detected(resource))).collect())
    }
}

fn detected(resource: &Resource) -> Detected {
    let status = if resource.drift.is_empty() { DriftStatus::InSync } else { DriftStatus::Modified };
    let expected = Value::Object(resource.wanted.properties.clone());
    Detected { status, expected: Some(expected), actual: Some(live(resource)) }
}

fn live(resource: &Resource) -> Value {
    let mut properties = resource.wanted.properties.clone();
    properties.extend(resource.drift.clone());
    Value::Object(properties)
}

impl LiveModels for SimModels {
    async fn read(&self, resource_type: &str, identifier: &str) -> Result<Reading, Failure> {
        let inner = self.0.0.borrow();
        if let Some(answer) = inner.unread.get(resource_type) {
            return Ok(answer.clone());
        }
        let mut all = inner.stacks.iter().flat_map(|stack| stack.holdings.resources.values());
        let found = all.find(|one| one.wanted.kind == resource_type && one.physical_id == identifier);
        Ok(found.map_or(Reading::NotFound, |found| Reading::Model(live(found))))
    }
}
