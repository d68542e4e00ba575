//! Changes of the local cloud that no AWS call can make: delays, licences, outcomes of builds, events.

use crate::cloud::CONTROL_DEADLINE;
use crate::http::{Client, HttpError};
use axum::http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Controls for changes that no AWS call can make: delays, licences, outcomes.
#[derive(Clone, Debug)]
pub struct Controls {
    client: Client,
    endpoint: String,
}

/// Outcome of a future build of an image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BuildOutcome {
    /// `FAILED`, `FAULT`, `TIMED_OUT` or `STOPPED`. `None` succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Message of CodeBuild about the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Billing product of the built image, such as `bp-6ba54002`, Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_product: Option<String>,
}

/// AWS's attributes of an image's licence. `None` leaves an attribute unchanged.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageAttributes {
    /// Platform, such as `Windows` or `Red Hat Enterprise Linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_details: Option<String>,
    /// Usage operation, such as `RunInstances:0002`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_operation: Option<String>,
    /// Billing products. They prevent copies to other accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_products: Option<Vec<String>>,
    /// Product codes. Those of the type `marketplace` prevent copies to other accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_codes: Option<Vec<ProductCode>>,
}

/// A product code of an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProductCode {
    /// The code.
    pub product_code_id: String,
    /// `marketplace` or `devpay`.
    pub product_code_type: String,
}

impl Controls {
    /// Returns the controls of a cloud at `endpoint`, in this process or another one.
    pub fn new(endpoint: &str) -> Self {
        Self { client: Client::new(CONTROL_DEADLINE), endpoint: endpoint.to_owned() }
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, HttpError> {
        self.client.json(method, &format!("{}/_lockstep/{path}", self.endpoint), Some(&body)).await
    }

    /// Sets the time for which new images remain `pending`.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn image_delay(&self, delay: Duration) -> Result<(), HttpError> {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.send(Method::PUT, "settings", json!({"image_delay_ms": milliseconds})).await.map(drop)
    }

    /// Sets the duration of new builds. `None` lets them run until [`Controls::finish_build`].
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn build_delay(&self, delay: Option<Duration>) -> Result<(), HttpError> {
        let milliseconds = delay.map_or(-1, |delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        self.send(Method::PUT, "settings", json!({"build_delay_ms": milliseconds})).await.map(drop)
    }

    /// Lets the public parameter `name` have this value in every region.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn publish_parameter(&self, name: &str, value: &str) -> Result<(), HttpError> {
        self.send(Method::PUT, "public-parameters", json!({"name": name, "value": value})).await.map(drop)
    }

    /// Makes the next new image end in `failed` with this message. With a name, the next image of that name.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn fail_next_image(&self, message: &str, name: Option<&str>) -> Result<(), HttpError> {
        self.send(Method::POST, "images/fail-next", json!({"message": message, "name": name})).await.map(drop)
    }

    /// Makes the next creation or import of a resource of a stack fail.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn fail_next_resource(
        &self,
        account: &str,
        stack: &str,
        resource: &str,
    ) -> Result<(), HttpError> {
        let body = json!({"account": account, "stack": stack, "resource": resource});
        self.send(Method::POST, "resources/fail-next", body).await.map(drop)
    }

    /// Ends an image's pending time now.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if there is no such image or the emulator does not answer.
    pub async fn finish_image(&self, account: &str, region: &str, image: &str) -> Result<(), HttpError> {
        let body = json!({"account": account, "region": region, "finish": true});
        self.send(Method::POST, &format!("images/{image}"), body).await.map(drop)
    }

    /// Sets the attributes of an image's licence.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if there is no such image or the emulator does not answer.
    pub async fn license_image(
        &self,
        account: &str,
        region: &str,
        image: &str,
        attributes: &ImageAttributes,
    ) -> Result<(), HttpError> {
        let body = json!({"account": account, "region": region, "attributes": attributes});
        self.send(Method::POST, &format!("images/{image}"), body).await.map(drop)
    }

    /// Ends a build: `SUCCEEDED`, `FAILED`, `FAULT`, `TIMED_OUT` or `STOPPED`.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if no such build is in progress or the emulator does not answer.
    pub async fn finish_build(
        &self,
        account: &str,
        region: &str,
        build: &str,
        status: &str,
    ) -> Result<(), HttpError> {
        let body = json!({"account": account, "region": region, "status": status});
        self.send(Method::POST, &format!("builds/{build}"), body).await.map(drop)
    }

    /// Sets the outcome of the next build of the image `name`, or the licence of the built image.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn expect_build(&self, name: &str, outcome: &BuildOutcome) -> Result<(), HttpError> {
        let mut body = json!(outcome);
        body["name"] = json!(name);
        self.send(Method::POST, "builds/expect", body).await.map(drop)
    }

    /// Publishes an event on an account's default bus as a service would, also with a source `aws.*`.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn publish(
        &self,
        account: &str,
        region: &str,
        source: &str,
        detail_type: &str,
        detail: Value,
    ) -> Result<(), HttpError> {
        let body = json!({
            "account": account, "region": region, "source": source, "detail_type": detail_type, "detail": detail,
        });
        self.send(Method::POST, "events", body).await.map(drop)
    }
}
