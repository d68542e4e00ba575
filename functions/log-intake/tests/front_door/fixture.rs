//! An account with a table, a broker, and a client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::function_url::{Invocation, UrlResponse};
use lockstep_aws::ledger::Ledger;
use lockstep_aws::shipper::Pace;
use lockstep_domain::logs::ingest::{ApiKey, Application, Rate, Which};
use lockstep_domain::logs::shipping::Protocol;
use lockstep_domain::records::Table;
use lockstep_log_intake::handler::{Answered, handle};
use lockstep_log_intake::{AwsContext, PACE};
use lockstep_sim::broker::{Broker, BrokerBehavior};
use lockstep_sim::{FakeAws, Interceptor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Administrator that creates keys.
pub const ADA: &str = "arn:aws:iam::222222222222:user/ada";

/// Shorter times than those of the function, to keep the tests fast.
const SHORT: Pace = Pace {
    connect: Duration::from_secs(1),
    stall: Duration::from_millis(300),
    pause_min: Duration::from_millis(1),
    pause_max: Duration::from_millis(20),
    ..PACE
};

/// Time limit of an invocation.
pub const LEFT: Duration = Duration::from_secs(60);

/// Documents that a broker took, by id, with their number of deliveries.
type ReceivedEvents = Arc<Mutex<BTreeMap<String, (u32, Value)>>>;

/// Broker that records the events it takes.
pub struct Watched {
    pub broker: Broker,
    taken: ReceivedEvents,
}

impl Watched {
    pub fn start(protocol: Protocol, manners: &[BrokerBehavior]) -> Self {
        let taken = ReceivedEvents::default();
        let sink = {
            let taken = Arc::clone(&taken);
            Box::new(move |event: &[u8]| {
                let event: Value = serde_json::from_slice(event).unwrap();
                let id = event["event"]["id"].as_str().or(event["id"].as_str()).unwrap().to_owned();
                let mut taken = taken.lock().unwrap();
                taken.entry(id).and_modify(|(times, _)| *times += 1).or_insert((1, event));
            })
        };
        Self { broker: Broker::start(protocol, None, manners.iter().copied(), sink), taken }
    }

    /// Waits until the broker has a connection. The kernel reports it to the client before the broker.
    pub async fn expect_connection(&self) {
        let began = Instant::now();
        while self.broker.connections() == 0 {
            assert!(began.elapsed() < LEFT, "no connection");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns the documents that were taken, by id, with their number of deliveries.
    pub fn taken(&self) -> BTreeMap<String, (u32, Value)> {
        self.taken.lock().unwrap().clone()
    }

    /// Returns the messages that were taken, sorted.
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> =
            self.taken().values().map(|(_, event)| event["message"].as_str().unwrap().to_owned()).collect();
        messages.sort();
        messages
    }
}

/// Account of the function, and its broker.
pub struct Fixture {
    pub cloud: FakeAws,
    pub watched: Watched,
    table: Ledger,
}

impl Fixture {
    pub fn new(protocol: Protocol, manners: &[BrokerBehavior]) -> Self {
        let cloud = FakeAws::new();
        let table = Ledger::of_component(&cloud.aws(), Table::Applications.name());
        Self { cloud, watched: Watched::start(protocol, manners), table }
    }

    /// Returns a fixture whose broker behaves well.
    pub fn honest() -> Self {
        Self::new(Protocol::Beats, &[])
    }

    /// Returns a new instance of the function.
    pub fn function(&self) -> AwsContext {
        self.function_of(&self.cloud)
    }

    /// Returns an instance of the function whose calls `by` intercepts.
    pub fn disturbed(&self, by: Arc<dyn Interceptor>) -> AwsContext {
        self.function_of(&self.cloud.behind(by))
    }

    /// Returns an instance of the function with plain names of fields.
    pub fn plain_function(&self) -> AwsContext {
        self.function_with(&self.cloud, "plain")
    }

    fn function_of(&self, cloud: &FakeAws) -> AwsContext {
        self.function_with(cloud, "ecs")
    }

    fn function_with(&self, cloud: &FakeAws, fields: &str) -> AwsContext {
        let url = self.watched.broker.url();
        let config = Config::of([
            (Setting::Table, Table::Applications.name()),
            (Setting::Output, &url),
            (Setting::EventsPerSecond, "1000"),
            (Setting::Burst, "5000"),
            (Setting::LogComponent, "desktop"),
            (Setting::LogEnvironment, "ci"),
            (Setting::LogType, "desktop"),
            (Setting::LogFields, fields),
        ]);
        AwsContext::new(&cloud.aws(), &config, None, SHORT).unwrap()
    }

    /// Adds an application with the default rate and returns its key.
    pub async fn key_of(&self, application: &str) -> ApiKey {
        self.limited_key_of(application, None).await
    }

    /// Adds an application with the given rate and returns its key.
    pub async fn limited_key_of(&self, application: &str, rate: Option<Rate>) -> ApiKey {
        let (mut made, key) =
            Application::new(application.parse().unwrap()).add([7; 32], ADA, Timestamp::now()).unwrap();
        made.rate = rate;
        self.table.insert(&made).await.unwrap();
        key
    }

    /// Replaces the key of an application. The old key remains valid for `keep`.
    pub async fn rotate(&self, key: &ApiKey, keep: SignedDuration) -> ApiKey {
        let found =
            self.table.get::<Application>(&Application::key_of(&key.id.application)).await.unwrap().unwrap();
        let (after, next) = found.record.clone().rotate([8; 32], keep, ADA, Timestamp::now()).unwrap();
        self.table.replace(&found, after).await.unwrap();
        next
    }

    /// Revokes every key of an application.
    pub async fn revoke(&self, key: &ApiKey) {
        let found =
            self.table.get::<Application>(&Application::key_of(&key.id.application)).await.unwrap().unwrap();
        let after = found.record.clone().revoke(Which::All, ADA, Timestamp::now()).unwrap();
        self.table.replace(&found, after).await.unwrap();
    }
}

/// A request. It is valid unless a test changes it.
#[derive(Clone)]
pub struct Post {
    method: &'static str,
    headers: BTreeMap<&'static str, String>,
    body: Vec<u8>,
    request: String,
}

/// Returns a request that posts the documents as one batch with `key`.
pub fn post(key: &ApiKey, documents: &Value) -> Post {
    let headers = [
        ("authorization", format!("Bearer {}", key.expose())),
        ("content-type", "application/json".to_owned()),
    ];
    Post {
        method: "POST",
        headers: headers.into(),
        body: documents.to_string().into_bytes(),
        request: "r-1".to_owned(),
    }
}

impl Post {
    pub fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.insert(header, value.to_owned());
        self
    }

    pub fn without(mut self, header: &str) -> Self {
        self.headers.remove(header);
        self
    }

    pub fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub fn saying(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub fn numbered(self, request: &str) -> Self {
        Self { request: request.to_owned(), ..self }
    }

    /// Sends the request and returns the response within the time that is `left`.
    pub async fn within(&self, context: &AwsContext, left: Duration) -> UrlResponse {
        let payload = json!({
            "version": "2.0", "rawPath": "/events", "headers": self.headers,
            "body": STANDARD.encode(&self.body), "isBase64Encoded": true,
            "requestContext": {"requestId": self.request, "timeEpoch": 0, "http": {"method": self.method, "path": "/events"}},
        });
        let invocation: Invocation<Value> = serde_json::from_value(payload).unwrap();
        match handle(context, invocation, left).await.unwrap() {
            Answered::Response(response) => response,
            Answered::Check { .. } => panic!("a request is no check"),
        }
    }

    pub async fn to(&self, context: &AwsContext) -> UrlResponse {
        self.within(context, LEFT).await
    }
}

/// Returns ten events, each with its own id.
pub fn ten() -> Value {
    let at = Timestamp::now().to_string();
    (0..10).map(|n| json!({"message": format!("m{n}"), "id": format!("id-{n}"), "@timestamp": at})).collect()
}

/// Returns the body of a response.
pub fn said(response: &UrlResponse) -> Value {
    serde_json::from_str(&response.body).unwrap()
}
