//! HTTP requests that reach a function through its URL.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use lockstep_domain::logs::http_body::Body;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::person::Caller;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest as UrlRequest;

/// Source of an invocation of a function that also has a URL.
#[derive(Clone, Debug)]
pub enum Invocation<T> {
    /// A state machine or the AWS API, with the function's own payload.
    Direct(T),
    /// A caller on the network.
    Url(Box<UrlRequest>),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Invocation<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = Value::deserialize(deserializer)?;
        // Only the URL front end can write this object: no payload of ours has the field.
        if value.get("requestContext").is_some() {
            return serde_json::from_value(value).map(|r| Self::Url(Box::new(r))).map_err(D::Error::custom);
        }
        serde_json::from_value(value).map(Self::Direct).map_err(D::Error::custom)
    }
}

/// Returns the body as the URL encoded it.
pub fn body(request: &UrlRequest) -> Body<'_> {
    Body { text: request.body.as_deref().unwrap_or_default(), base64: request.is_base64_encoded }
}

/// Returns the caller as IAM established it; `None` on a URL without authentication.
pub fn caller(request: &UrlRequest) -> Option<Caller> {
    let iam = request.request_context.authorizer.as_ref()?.iam.as_ref()?;
    let arn = iam.user_arn.clone().filter(|arn| !arn.is_empty())?;
    let (user_id, account) = (iam.user_id.clone(), iam.account_id.clone());
    Some(Caller { arn, user_id: user_id.unwrap_or_default(), account: account.unwrap_or_default() })
}

/// Response of a function with a URL, in payload format 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlResponse {
    /// The HTTP status.
    pub status_code: u16,
    /// The headers.
    pub headers: std::collections::BTreeMap<&'static str, String>,
    /// The body.
    pub body: String,
}

impl UrlResponse {
    /// Creates a response of `status` with `body` as JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_string(body)
            .map_err(|error| Failure::bug("an answer cannot be written as JSON").caused_by(&error))?;
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        Ok(Self { status_code: status, headers: headers.into(), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::borrow::Cow;

    fn request(body: &str, base64: bool, authorizer: Value) -> Value {
        json!({
            "version": "2.0", "rawPath": "/", "headers": {}, "body": body, "isBase64Encoded": base64,
            "requestContext": { "authorizer": authorizer, "timeEpoch": 0, "http": { "method": "POST", "path": "/" } },
        })
    }

    fn url(value: Value) -> UrlRequest {
        match serde_json::from_value::<Invocation<Value>>(value).unwrap() {
            Invocation::Url(request) => *request,
            Invocation::Direct(value) => panic!("read as direct: {value}"),
        }
    }

    #[test]
    fn a_payload_of_our_own_is_a_direct_invocation() {
        let read = serde_json::from_value::<Invocation<Value>>(json!({"action": "begin"})).unwrap();
        assert!(matches!(read, Invocation::Direct(v) if v["action"] == "begin"));
    }

    #[test]
    fn a_base64_body_is_decoded_and_a_broken_one_refused() {
        let sent = |text, base64| body(&url(request(text, base64, json!(null)))).bytes().map(Cow::into_owned);
        assert_eq!(sent("aGk=", true).unwrap(), b"hi");
        assert_eq!(sent("hi", false).unwrap(), b"hi");
        assert_eq!(sent("!", true), None);
    }

    #[test]
    fn the_caller_is_the_principal_that_iam_established() {
        let ada = Caller {
            arn: "arn:aws:iam::111111111111:user/ada".into(),
            user_id: "AIDACKCEVSQ6C2EXAMPLE".into(),
            account: "111111111111".into(),
        };
        let iam = json!({"userArn": ada.arn, "userId": ada.user_id, "accountId": ada.account});
        assert_eq!(caller(&url(request("", false, json!({"iam": iam})))), Some(ada.clone()));
        let without = Caller { user_id: String::new(), account: String::new(), ..ada.clone() };
        assert_eq!(caller(&url(request("", false, json!({"iam": {"userArn": ada.arn}})))), Some(without));
        for anonymous in [json!(null), json!({}), json!({"iam": {}}), json!({"iam": {"userArn": ""}})] {
            assert_eq!(caller(&url(request("", false, anonymous))), None);
        }
    }
}
