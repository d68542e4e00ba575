//! AWS in-process, for tests: the real adapters and the real SDK, with an HTTP client that never leaves the process.
//!
//! DynamoDB is the engine of `dynoxide-rs`, which evaluates real items, conditions and transactions. Step Functions
//! knows the executions that a test sets, and records the requested starts. S3 has the objects of the test. Invocations
//! of Lambda are recorded. Any other call answers 501, so that an unexpected call fails the test.

pub mod boundary;
#[cfg(feature = "shipper")]
pub mod broker;
pub mod clock;
#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(feature = "codebuild")]
pub mod codebuild;
pub mod conformance;
#[cfg(feature = "context")]
pub mod context;
#[cfg(feature = "ec2")]
pub mod ec2;
pub mod faults;
#[cfg(feature = "context")]
pub mod faulty;
pub mod logged;
pub mod manifest;
pub mod recipe;
#[path = "../../domain/src/delivery/stages/testing.rs"]
pub mod stages;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use dynoxide::{Database, DynoxideError};
use lockstep_aws::aws::Aws;
use lockstep_aws::ledger::{Inserted, Ledger};
use lockstep_domain::messages::resume::{Register, Waiting};
use lockstep_domain::model::error::chain;
use lockstep_domain::records::{Key, Record, Table};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An AWS account in-process. Clones are the same account.
#[derive(Clone)]
pub struct FakeAws {
    inner: Arc<Inner>,
    between: Option<Arc<dyn Interceptor>>,
}

/// A request to the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The API operation, such as `PutItem`.
    pub operation: String,
    /// The function that is invoked; empty for every other operation.
    pub function: String,
    /// The body.
    pub body: String,
}

/// The account's reply: an HTTP status and a body.
pub type Reply = (u16, String);

/// Interceptor between the SDK and the account. It may handle each request once, twice or never, change it, delay it,
/// and lose the reply.
pub trait Interceptor: Send + Sync {
    /// Returns the reply to `request`; `None` if the connection breaks.
    fn intercept<'a>(
        &'a self,
        request: Request,
        account: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>>;
}

struct Inner {
    database: Database,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    executions: BTreeMap<String, &'static str>,
    others: Option<&'static str>,
    started: Vec<(String, Value)>,
    objects: BTreeMap<String, Vec<u8>>,
    secrets: BTreeMap<String, String>,
    invocations: Vec<(String, Value)>,
    awaited: Vec<Value>,
    lost: BTreeSet<String>,
    calls: Vec<String>,
    written: Vec<Key>,
}

impl fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeAws")
    }
}

/// Returns a table as the infrastructure's template defines it; the contract tests compare both.
fn definition(table: Table) -> Value {
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    json!({
        "TableName": table.name(),
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [text("pk"), text("sk"), text("kind"), text("listed_at")],
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "GlobalSecondaryIndexes": [{
            "IndexName": "listing",
            "KeySchema": [key("kind", "HASH"), key("listed_at", "RANGE")],
            "Projection": {"ProjectionType": "ALL"},
        }],
    })
}

impl FakeAws {
    /// Creates an account with empty tables.
    ///
    /// # Panics
    /// If the engine cannot create a table: then no test can run.
    #[expect(
        clippy::new_without_default,
        clippy::expect_used,
        reason = "a test's ground either stands or does not"
    )]
    pub fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        for table in Table::ALL {
            let request = serde_json::from_value(definition(*table)).expect("a table");
            database.create_table(request).expect("the table is made");
        }
        Self { inner: Arc::new(Inner { database, state: Mutex::default() }), between: None }
    }

    /// Returns another account with the same records.
    ///
    /// # Panics
    /// If the engine cannot read its own records.
    #[expect(clippy::expect_used, reason = "a test's ground either stands or does not")]
    pub fn duplicate(&self) -> Self {
        let other = Self::new();
        for table in Table::ALL {
            for item in self.items(*table) {
                let put = json!({"TableName": table.name(), "Item": item}).to_string();
                run(&put, |request| other.inner.database.put_item(request)).expect("a copy");
            }
        }
        other.state().objects = self.objects();
        other.state().secrets = self.state().secrets.clone();
        other
    }

    /// Returns the items of `table`.
    #[expect(clippy::expect_used, reason = "a test's ground either stands or does not")]
    fn items(&self, table: Table) -> Vec<Value> {
        let mut items = Vec::new();
        let mut from = Value::Null;
        loop {
            let mut request = json!({"TableName": table.name(), "ConsistentRead": true});
            if !from.is_null() {
                request["ExclusiveStartKey"] = from;
            }
            let page =
                run(&request.to_string(), |request| self.inner.database.scan(request)).expect("a scan");
            let mut page: Value = serde_json::from_str(&page).expect("a page");
            if let Value::Array(found) = page["Items"].take() {
                items.extend(found);
            }
            from = page["LastEvaluatedKey"].take();
            if from.is_null() {
                return items;
            }
        }
    }

    /// Returns the records of one kind, in the order of their keys.
    ///
    /// # Panics
    /// If the ledger cannot be read.
    pub fn records<T: Record>(&self) -> Vec<T> {
        let keys_in = |table: &Table| {
            let items = self.items(*table).into_iter().filter(|item| item["kind"]["S"] == T::KIND);
            items.filter_map(|item| key_of(*table, &item)).collect::<Vec<_>>()
        };
        let keys: BTreeSet<Key> = T::TABLES.iter().flat_map(keys_in).collect();
        keys.iter().filter_map(|key| self.find(key)).collect()
    }

    /// Returns the same account behind an interceptor. The SDK does not retry these requests, so that every failure is
    /// visible.
    pub fn behind(&self, interceptor: Arc<dyn Interceptor>) -> Self {
        Self { inner: Arc::clone(&self.inner), between: Some(interceptor) }
    }

    /// Returns the account for the adapters.
    ///
    /// # Panics
    /// Never: the region is well-formed.
    #[expect(clippy::expect_used, reason = "constants")]
    pub fn aws(&self) -> Aws {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let retries = match self.between {
            Some(_) => RetryConfig::disabled(),
            None => RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)),
        };
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_types::region::Region::new("eu-west-1"))
            .endpoint_url("http://aws.invalid")
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .retry_config(retries)
            .http_client(self.clone())
            .build();
        Aws::from_sdk_config(config).expect("a region")
    }

    /// Returns the object at `key` of a bucket.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.state().objects.get(&format!("/{bucket}/{key}")).cloned()
    }

    /// Returns the objects of all buckets, by `/bucket/key`.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().objects.clone()
    }

    /// Returns the keys of the records that were written, in order.
    pub fn written(&self) -> Vec<Key> {
        self.state().written.clone()
    }

    /// Returns the operations that a task waits for, as they were registered, in order.
    pub fn registered(&self) -> Vec<String> {
        self.waiting().into_iter().map(|waiting| waiting.operation).collect()
    }

    /// Returns the states that functions had registered with `resume`, each with its operation, in order.
    pub fn waiting(&self) -> Vec<Waiting> {
        let invocations = self.invocations().into_iter();
        let register = |(_, payload): (String, Value)| serde_json::from_value::<Register>(payload).ok();
        invocations.filter_map(register).map(|request| request.register).collect()
    }

    /// Returns the operations that were reported to `resume` as possibly ended, in order.
    pub fn woken(&self) -> Vec<String> {
        let invocations = self.invocations().into_iter();
        invocations.filter_map(|(_, payload)| payload["wake"].as_str().map(str::to_owned)).collect()
    }

    /// Writes `record` over any previous one, as another process would.
    ///
    /// # Panics
    /// If the ledger refuses it.
    pub fn put<T: Record>(&self, record: &T) {
        let ledger = Ledger::new(&self.aws());
        let written = self.written();
        at_once(async {
            match ledger.insert(record).await.expect("an insertion") {
                Inserted::New(_) => {}
                Inserted::Exists(old) => drop(ledger.replace(&old, record.clone()).await.expect("a write")),
            }
        });
        self.state().written = written;
    }

    /// Sets a field of the record at `key`, as a writer would that ignores the types of the ledger.
    ///
    /// # Panics
    /// If there is no such record.
    #[expect(clippy::expect_used, reason = "a test's ground either stands or does not")]
    pub fn forge(&self, key: &Key, field: &str, text: &str) {
        let is_it = |item: &Value| key_of(key.table, item).as_ref() == Some(key);
        let mut item = self.items(key.table).into_iter().find(is_it).expect("a record");
        item["body"]["M"][field] = json!({"S": text});
        let put = json!({"TableName": key.table.name(), "Item": item}).to_string();
        run(&put, |request| self.inner.database.put_item(request)).expect("a write");
    }

    /// Returns the record at `key`.
    ///
    /// # Panics
    /// If the ledger cannot be read.
    pub fn find<T: Record>(&self, key: &Key) -> Option<T> {
        let ledger = Ledger::new(&self.aws());
        at_once(async { ledger.get::<T>(key).await.expect("a read").map(|found| found.record) })
    }

    /// Sets the status of `arn` in `DescribeExecution`; other executions do not exist.
    pub fn set_execution(&self, arn: &str, status: &'static str) {
        self.state().executions.insert(arn.to_owned(), status);
    }

    /// Sets the status of every execution without one of its own in `DescribeExecution`; with `None` they do not exist.
    pub fn set_other_executions(&self, status: Option<&'static str>) {
        self.state().others = status;
    }

    /// Returns the started executions, each with its input, in order. They run until a test sets another status.
    pub fn started(&self) -> Vec<(String, Value)> {
        self.state().started.clone()
    }

    /// Puts an object into a bucket.
    pub fn put_object(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.state().objects.insert(format!("/{bucket}/{key}"), bytes);
    }

    /// Sets the text of a secret.
    pub fn set_secret(&self, name: &str, text: &str) {
        self.state().secrets.insert(name.to_owned(), text.to_owned());
    }

    /// Loses the reply of the next `operation` (such as `PutItem`) after its effect.
    pub fn lose_next_answer(&self, operation: &str) {
        self.state().lost.insert(operation.to_owned());
    }

    /// Returns the functions that were invoked, each with its payload, in order.
    pub fn invocations(&self) -> Vec<(String, Value)> {
        self.state().invocations.clone()
    }

    /// Returns the payloads of the invocations whose callers waited for the function, in order.
    pub fn awaited(&self) -> Vec<Value> {
        self.state().awaited.clone()
    }

    /// Returns the invocations since the last call, in order.
    pub fn take_invocations(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.state().invocations)
    }

    /// Returns the names of the operations that were called since the last time, in order.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles a request.
    pub fn serve(&self, request: &Request) -> Reply {
        match request.operation.as_str() {
            "DescribeExecution" => self.describe_execution(&request.body),
            "StartExecution" => self.start_execution(&request.body),
            "GetSecretValue" => self.secret_value(&request.body),
            "Invoke" => self.invoke(&request.function, &request.body),
            operation => self.dynamodb(operation, &request.body),
        }
    }

    /// Returns the object of a GetObject, which a custom endpoint receives in path style. No interceptor sees it.
    fn requested_object(&self, request: &HttpRequest) -> Option<Vec<u8>> {
        let found = self.state().objects.get(path(request)).cloned();
        found.filter(|_| request.method() == "GET")
    }

    fn dynamodb(&self, operation: &str, body: &str) -> (u16, String) {
        self.state().calls.push(operation.to_owned());
        let database = &self.inner.database;
        let done = match operation {
            "GetItem" => run(body, |request| database.get_item(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
            _ => return (501, String::new()),
        };
        if done.is_ok() {
            self.state().written.extend(keys_of(operation, body));
        }
        match done {
            Ok(answer) => (200, answer),
            Err(error) => (error.status_code(), error.to_json()),
        }
    }

    fn describe_execution(&self, body: &str) -> (u16, String) {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let arn = request["executionArn"].as_str().unwrap_or_default();
        let state = self.state();
        match state.executions.get(arn).or(state.others.as_ref()) {
            Some(status) => {
                let answer = json!({
                    "executionArn": arn, "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:x",
                    "status": status, "startDate": 0,
                });
                (200, answer.to_string())
            }
            None => (400, json!({"__type": "ExecutionDoesNotExist"}).to_string()),
        }
    }

    fn start_execution(&self, body: &str) -> (u16, String) {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let arn = lockstep_domain::model::token::execution_arn(text("stateMachineArn"), text("name"));
        let input: Value = serde_json::from_str(text("input")).unwrap_or_default();
        let mut state = self.state();
        let same = state.started.iter().any(|(known, with)| *known == arn && *with == input);
        match state.executions.get(&arn) {
            Some(&"RUNNING") if same => {}
            Some(_) => return (400, json!({"__type": "ExecutionAlreadyExists"}).to_string()),
            None => {
                state.executions.insert(arn.clone(), "RUNNING");
                state.started.push((arn.clone(), input));
            }
        }
        (200, json!({"executionArn": arn, "startDate": 0}).to_string())
    }

    fn secret_value(&self, body: &str) -> (u16, String) {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        match self.state().secrets.get(request["SecretId"].as_str().unwrap_or_default()) {
            Some(text) => (200, json!({"SecretString": text}).to_string()),
            None => (400, json!({"__type": "ResourceNotFoundException"}).to_string()),
        }
    }

    fn invoke(&self, function: &str, body: &str) -> (u16, String) {
        let payload = serde_json::from_str(body).unwrap_or_default();
        self.state().invocations.push((function.to_owned(), payload));
        (202, String::new())
    }

    fn is_lost(&self, request: &Request) -> bool {
        self.state().lost.remove(&request.operation)
    }
}

impl Request {
    /// Reads an HTTP request; an unexpected call gets an operation that the account does not handle.
    fn of(request: &HttpRequest) -> Self {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if let Some((_, operation)) = target.split_once('.') {
            return Self { operation: operation.to_owned(), function: String::new(), body };
        }
        let function = path(request).split_once("/functions/");
        let function = function.and_then(|(_, rest)| rest.strip_suffix("/invocations"));
        let operation = if function.is_some() { "Invoke" } else { "" };
        Self { operation: operation.to_owned(), function: function.unwrap_or_default().to_owned(), body }
    }
}

/// Runs the account's own work at once, outside of a test's own awaiting.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(tokio::task::unconstrained(work));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}

/// Returns the keys of the records that a request writes.
fn keys_of(operation: &str, body: &str) -> Vec<Key> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let puts = match operation {
        "PutItem" => vec![&body],
        "TransactWriteItems" => {
            body["TransactItems"].as_array().into_iter().flatten().map(|item| &item["Put"]).collect()
        }
        _ => Vec::new(),
    };
    let written = |put: &Value| {
        let table = Table::ALL.iter().find(|table| put["TableName"] == table.name())?;
        key_of(*table, &put["Item"])
    };
    puts.into_iter().filter_map(written).collect()
}

fn key_of(table: Table, item: &Value) -> Option<Key> {
    let text = |value: &Value| value["S"].as_str().map(str::to_owned);
    Some(Key { table, pk: text(&item["pk"])?, sk: text(&item["sk"])? })
}

/// Returns the path of a request, without its query.
fn path(request: &HttpRequest) -> &str {
    let path = request.uri().split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    path.and_then(|path| path.split('?').next()).unwrap_or_default()
}

fn run<Q, A>(body: &str, call: impl Fn(Q) -> Result<A, DynoxideError>) -> Result<String, DynoxideError>
where
    Q: serde::de::DeserializeOwned,
    A: serde::Serialize,
{
    let malformed = |error: serde_json::Error| DynoxideError::SerializationException(chain(&error));
    let answer = call(serde_json::from_str(body).map_err(malformed)?)?;
    serde_json::to_string(&answer).map_err(malformed)
}

impl HttpClient for FakeAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(object) = self.requested_object(&request) {
            return HttpConnectorFuture::ready(response(Some((200, object))));
        }
        let waits = request.headers().get("x-amz-invocation-type") == Some("RequestResponse");
        let request = Request::of(&request);
        if waits {
            self.state().awaited.push(serde_json::from_str(&request.body).unwrap_or_default());
        }
        let Some(between) = self.between.clone() else {
            let reply = self.serve(&request);
            return HttpConnectorFuture::ready(response((!self.is_lost(&request)).then_some(reply)));
        };
        let account = Self { inner: Arc::clone(&self.inner), between: None };
        HttpConnectorFuture::new(async move { response(between.intercept(request, &account).await) })
    }
}

fn response(reply: Option<(u16, impl Into<SdkBody>)>) -> Result<HttpResponse, ConnectorError> {
    let Some((status, body)) = reply else {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        return Err(ConnectorError::io(reset.into()));
    };
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    Ok(HttpResponse::new(status, body.into()))
}
