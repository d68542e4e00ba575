//! Conversion of errors of the AWS SDK to failures of the domain: by code, never by the text of a message.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::error::Error;

/// Maximum number of characters of a service's message to repeat.
const MESSAGE_CHARS: usize = 500;

/// Returns the failure of `operation` on `subject`.
///
/// Throttles, timeouts, network faults and 5xx responses are retryable. A refusal for lack of permission is
/// `AccessDenied`, and any other response of the service is `Rejected`. A request that could not be built is a bug.
/// Callers look for expected errors (a missing object, a lost condition) with [`code`] first.
pub fn failure<E>(operation: &str, subject: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let kind = kind(error);
    match answer(error) {
        Some(answer) => Failure::new(kind, format!("{operation} {subject}: {answer}")),
        None => Failure::new(kind, format!("{operation} {subject}")).caused_by(error),
    }
}

/// Returns the error code of the service's response, such as `ResourceNotFoundException`.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn kind<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> FailureKind {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            FailureKind::Transient
        }
        SdkError::ServiceError(service) => {
            kind_of(service.err().code().unwrap_or_default(), service.raw().status().as_u16())
        }
        _ => FailureKind::Bug,
    }
}

/// Returns the failure kind of a service's response.
///
/// Codes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.
fn kind_of(code: &str, status: u16) -> FailureKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "SlowDown"
        | "EC2ThrottledException" => FailureKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnauthorizedAccess"
        | "AuthFailure"
        | "NotAuthorized"
        | "AuthorizationError" => FailureKind::AccessDenied,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "ServiceUnavailable"
        | "ServiceException"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => FailureKind::Transient,
        "ConditionalCheckFailedException"
        | "TransactionConflictException"
        | "TransactionInProgressException" => FailureKind::Conflict,
        // Wrong signatures and credentials are bugs of Lockstep.
        "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "SerializationException"
        | "UnknownOperationException"
        | "InvalidAction" => FailureKind::Bug,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => FailureKind::Transient,
        // In use by an image that was deregistered recently, or by one that is not visible yet.
        "InvalidSnapshot.InUse" => FailureKind::Transient,
        _ if status == 429 => FailureKind::Throttled,
        _ if status >= 500 => FailureKind::Transient,
        _ if status == 403 => FailureKind::AccessDenied,
        _ => FailureKind::Rejected,
    }
}

/// Returns the answer of the service, or `None` if it gave none. It never shows the response itself, which may hold a
/// secret.
fn answer<E>(error: &SdkError<E, HttpResponse>) -> Option<String>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let service = error.as_service_error()?;
    match (service.code(), service.message()) {
        // The message of a wrong signature repeats the request's headers, the session token among them.
        (Some(code), Some(message)) if code.contains("Signature") && is_of_the_clock(message) => {
            Some(format!("{code}: the clock of this machine differs from that of AWS"))
        }
        (Some(code), _) if code.contains("Signature") => Some(code.to_owned()),
        (Some(code), Some(message)) => Some(bounded(&format!("{code}: {message}"))),
        (code, _) => code.map(str::to_owned),
    }
}

/// Returns true if a signature was refused for its time.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
fn is_of_the_clock(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    #[derive(Debug, thiserror::Error)]
    #[error("service error")]
    struct Modelled(ErrorMetadata);

    impl ProvideErrorMetadata for Modelled {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn answered(code: &str, message: &str, status: u16) -> SdkError<Modelled, HttpResponse> {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        let status = StatusCode::try_from(status).unwrap();
        SdkError::service_error(Modelled(meta), HttpResponse::new(status, SdkBody::from("<secret/>")))
    }

    #[test]
    fn the_code_decides_and_the_message_never_does() {
        let table = [
            ("ThrottlingException", 400, FailureKind::Throttled),
            ("RequestLimitExceeded", 503, FailureKind::Throttled),
            ("SlowDown", 503, FailureKind::Throttled),
            ("AccessDenied", 403, FailureKind::AccessDenied),
            ("UnauthorizedOperation", 403, FailureKind::AccessDenied),
            ("ConditionalCheckFailedException", 400, FailureKind::Conflict),
            ("InternalFailure", 500, FailureKind::Transient),
            ("Whatever", 502, FailureKind::Transient),
            ("Whatever", 429, FailureKind::Throttled),
            ("InvalidSnapshot.InUse", 400, FailureKind::Transient),
            ("ValidationError", 400, FailureKind::Rejected),
            ("SignatureDoesNotMatch", 403, FailureKind::Bug),
        ];
        for (code, status, kind) in table {
            let made = failure("Call", "thing", &answered(code, "Throttling AccessDenied", status));
            assert_eq!(made.kind, kind, "{code} {status}");
        }
    }

    #[test]
    fn a_failure_names_operation_subject_and_the_services_reason() {
        let made = failure("CreateStack", "ci-logs", &answered("ValidationError", "no such thing", 400));
        assert_eq!(made.message, "CreateStack ci-logs: ValidationError: no such thing");
    }

    #[test]
    fn the_response_and_the_words_of_a_wrong_signature_are_never_repeated() {
        let made = failure("Call", "x", &answered("SignatureDoesNotMatch", "x-amz-security-token:abc", 403));
        assert_eq!(made.message, "Call x: SignatureDoesNotMatch");
        let late = "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z x-amz-security-token:abc";
        let made = failure("Call", "x", &answered("SignatureDoesNotMatch", late, 403));
        let wanted = "Call x: SignatureDoesNotMatch: the clock of this machine differs from that of AWS";
        assert_eq!(made.message, wanted);
        let made = failure("Call", "x", &answered("Odd", &"y".repeat(2000), 400));
        assert!(!made.message.contains("secret") && made.message.chars().count() < 600);
    }

    #[test]
    fn a_network_fault_is_transient_and_names_its_cause() {
        let refused = ConnectorError::io(Box::new(std::io::Error::other("connection refused")));
        let made = failure("Call", "x", &SdkError::<Modelled, HttpResponse>::dispatch_failure(refused));
        assert_eq!(made.kind, FailureKind::Transient);
        assert_eq!(made.message, "Call x");
        assert_eq!(made.chain().matches("connection refused").count(), 1, "{}", made.chain());
    }
}
