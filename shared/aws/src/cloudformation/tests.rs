//! Tests of the requests that the adapter sends, by the SDK's own client over a stub connection.

use super::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use std::sync::{Arc, Mutex};

/// Connection that answers every request with the same XML and records the requests.
#[derive(Clone, Debug)]
struct Stub {
    answer: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpClient for Stub {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Stub {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        self.asked.lock().unwrap().push(body);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(self.answer))))
    }
}

/// Returns CloudFormation with a connection that answers with `answer`, and the recorded requests: `Name=value` each,
/// as in the query protocol.
fn stubbed(answer: &'static str) -> (CloudFormation, impl Fn() -> Vec<String>) {
    let stub = Stub { answer, asked: Arc::default() };
    let asked = Arc::clone(&stub.asked);
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = aws_types::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_types::region::Region::new("eu-west-1"))
        .endpoint_url("http://aws.invalid")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(stub)
        .build();
    let cloud = CloudFormation::new(&Aws::from_sdk_config(config).unwrap());
    let last = move || {
        let last = asked.lock().unwrap().pop().expect("it was asked");
        last.split('&').map(str::to_owned).collect()
    };
    (cloud, last)
}

fn wanted(revert_drift: bool) -> NewChangeSet {
    NewChangeSet {
        stack: "ci-logs".into(),
        name: "t1".into(),
        token: "t1".into(),
        kind: ChangeSetKind::Update,
        template: TemplateSource::Url("https://bucket/t".into()),
        parameters: BTreeMap::new(),
        tags: Vec::new(),
        capabilities: Vec::new(),
        role: "arn:aws:iam::111111111111:role/lockstep-delivery-cloudformation".into(),
        imports_existing: false,
        revert_drift,
        with_nested: true,
        description: "d".into(),
    }
}

const CREATED: &str = "<CreateChangeSetResponse><CreateChangeSetResult><Id>arn:x</Id></CreateChangeSetResult>\
                       </CreateChangeSetResponse>";

#[tokio::test]
async fn a_change_set_is_executed_so_that_a_failure_keeps_nothing_new() {
    // FAILURES 19.
    let (cloud, asked) =
        stubbed("<ExecuteChangeSetResponse><ExecuteChangeSetResult/></ExecuteChangeSetResponse>");
    assert_eq!(cloud.execute_change_set("arn:x", "t1").await.unwrap(), Execution::Accepted);
    let asked = asked();
    for part in ["Action=ExecuteChangeSet", "ClientRequestToken=t1", "RetainExceptOnCreate=true"] {
        assert!(asked.iter().any(|sent| sent == part), "{part}: {asked:?}");
    }
    assert!(!asked.iter().any(|sent| sent.starts_with("DisableRollback")), "{asked:?}");
}

#[tokio::test]
async fn a_change_set_includes_nested_stacks_or_reverts_drift_never_both() {
    // FAILURES 25.
    for (revert_drift, there, not_there) in [
        (false, "IncludeNestedStacks=true", "DeploymentMode"),
        (true, "DeploymentMode=REVERT_DRIFT", "IncludeNestedStacks=true"),
    ] {
        let (cloud, asked) = stubbed(CREATED);
        assert_eq!(cloud.create_change_set(&wanted(revert_drift)).await.unwrap(), Creation::Begun);
        let asked = asked();
        assert!(asked.iter().any(|sent| sent == there), "{asked:?}");
        assert!(!asked.iter().any(|sent| sent.starts_with(not_there)), "{asked:?}");
    }
}

#[tokio::test]
async fn the_drift_in_a_change_set_is_read() {
    let (cloud, _) = stubbed(
        "<DescribeChangeSetResponse><DescribeChangeSetResult><ChangeSetId>arn:x</ChangeSetId><StackId>arn:s</StackId>\
         <Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes>\
         <member><Type>Resource</Type><ResourceChange><Action>SyncWithActual</Action>\
         <LogicalResourceId>Topic</LogicalResourceId><ResourceType>AWS::SNS::Topic</ResourceType>\
         <ResourceDriftStatus>MODIFIED</ResourceDriftStatus></ResourceChange></member>\
         <member><Type>Resource</Type><ResourceChange><Action>Modify</Action>\
         <LogicalResourceId>Queue</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType>\
         </ResourceChange></member></Changes></DescribeChangeSetResult></DescribeChangeSetResponse>",
    );
    let view = cloud.describe_change_set("", "arn:x").await.unwrap().unwrap();
    let changes = view.changes.unwrap();
    assert_eq!(changes[0].action, "SyncWithActual");
    use lockstep_domain::model::drift_status::DriftStatus;
    assert_eq!((changes[0].drift, changes[1].drift), (Some(DriftStatus::Modified), None));
}

#[tokio::test]
async fn an_installer_imports_existing_resources_with_its_own_permissions() {
    let (cloud, asked) = stubbed(CREATED);
    let wanted = NewChangeSet {
        template: TemplateSource::Body("Resources: {}".into()),
        role: String::new(),
        imports_existing: true,
        ..wanted(false)
    };
    cloud.create_change_set(&wanted).await.unwrap();
    let asked = asked();
    assert!(asked.contains(&"ImportExistingResources=true".to_owned()), "{asked:?}");
    assert!(asked.iter().any(|name| name.starts_with("TemplateBody=")), "{asked:?}");
    for other in ["RoleARN=", "TemplateURL="] {
        assert!(!asked.iter().any(|name| name.starts_with(other)), "{asked:?}");
    }
}

#[tokio::test]
async fn a_failed_validation_is_reported_for_its_own_operation_only() {
    let (cloud, asked) = stubbed(
        "<DescribeEventsResponse><DescribeEventsResult><OperationEvents>\
         <member><EventId>1</EventId><OperationId>new</OperationId><Timestamp>2026-11-02T00:00:00Z</Timestamp>\
         <LogicalResourceId>Ledger</LogicalResourceId><ResourceType>AWS::DynamoDB::Table</ResourceType>\
         <ValidationPath>/TableName</ValidationPath><ValidationStatusReason>taken</ValidationStatusReason></member>\
         <member><EventId>2</EventId><OperationId>new</OperationId><Timestamp>2026-11-02T00:00:00Z</Timestamp>\
         <ClientRequestToken>t1</ClientRequestToken><LogicalResourceId>Bus</LogicalResourceId>\
         <ResourceType>AWS::Events::EventBus</ResourceType><ResourceStatusReason>quota</ResourceStatusReason></member>\
         <member><EventId>3</EventId><OperationId>old</OperationId><Timestamp>2026-11-01T00:00:00Z</Timestamp>\
         <LogicalResourceId>Old</LogicalResourceId><ValidationStatusReason>long ago</ValidationStatusReason></member>\
         <member><EventId>4</EventId><OperationId>old</OperationId><Timestamp>2026-11-01T00:00:00Z</Timestamp>\
         <ClientRequestToken>t0</ClientRequestToken><ValidationStatusReason>long ago</ValidationStatusReason></member>\
         </OperationEvents></DescribeEventsResult></DescribeEventsResponse>",
    );
    let failed = cloud.failed_validations("lockstep-it", "t1").await.unwrap();
    assert_eq!(
        failed,
        ["Ledger (AWS::DynamoDB::Table, /TableName): taken", "Bus (AWS::Events::EventBus): quota"]
    );
    let asked = asked();
    assert!(asked.contains(&"Filters.FailedEvents=true".to_owned()), "{asked:?}");
    assert!(asked.contains(&"StackName=lockstep-it".to_owned()), "{asked:?}");
}
