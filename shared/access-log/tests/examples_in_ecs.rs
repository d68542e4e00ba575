//! The example entries of AWS's documentation, as events in the Elastic Common Schema. `examples_of_aws.rs` has them
//! under AWS's names.

use lockstep_access_log::{Format, Labels, Reader, Settings, Source};
use serde_json::{Value, json};

fn events(format: Format) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{}.log", env!("CARGO_MANIFEST_DIR"), format.name());
    let text = std::fs::read(&path).unwrap();
    let source = Source {
        bucket: "logs".into(),
        key: "AWSLogs/123456789012/elasticloadbalancing/us-east-2/renamed".into(),
        version: "v1".into(),
        written: Some("2026-11-26T12:00:00Z".into()),
    };
    let labels =
        Labels { application: Some("shop".into()), event_type: Some("elb".into()), ..Labels::default() };
    let mut reader = Reader::new(&source, &Settings { labels, format: Some(format), ..Settings::default() });
    assert_eq!(reader.read(&mut &text[..]), None);
    let batch = reader.finish().unwrap();
    assert_eq!(batch.quarantined, []);
    let lines = batch.events.split_inclusive(|&byte| byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Returns the event without what is the same in all: the head, and the line.
fn own(event: &Value) -> Value {
    let mut own = event.clone();
    for name in ["@timestamp", "ecs", "cloud", "service", "log", "event", "message"] {
        own.as_object_mut().unwrap().remove(name).unwrap();
    }
    let elb = own["aws"]["elb"].as_object_mut().unwrap();
    assert_eq!(elb.remove("object_version"), Some(json!("v1")));
    elb.remove("format").unwrap();
    own
}

#[test]
fn an_application_load_balancers_entry_has_the_fields_of_the_schema() {
    let events = events(Format::Alb);
    let mut head = events[1].clone();
    for name in ["aws", "source", "destination", "http", "url", "user_agent", "tls", "message"] {
        head.as_object_mut().unwrap().remove(name).unwrap();
    }
    assert_eq!(
        head,
        json!({
            "@timestamp": "2018-07-02T22:23:00.186641Z",
            "ecs": {"version": "9.4.0"},
            "cloud": {"provider": "aws", "region": "us-east-2", "account": {"id": "123456789012"}},
            "service": {"name": "shop"},
            "log": {"file": {"path": "s3://logs/AWSLogs/123456789012/elasticloadbalancing/us-east-2/renamed"}},
            "event": {
                "kind": "event", "category": ["web"], "type": ["access"], "dataset": "elb",
                "created": "2026-11-26T12:00:00Z", "id": events[1]["event"]["id"], "sequence": 2,
                "start": "2018-07-02T22:22:48.364000Z", "duration": 171_000_000,
            },
        })
    );
    assert_eq!(
        own(&events[1]),
        json!({
            "aws": {"elb": {
                "type": "https",
                "name": "app/my-loadbalancer/50dc6c495c0c9188",
                "request_processing_time": 0.086,
                "target_processing_time": 0.048,
                "response_processing_time": 0.037,
                "target_status_code": 200,
                "target_group_arn":
                    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067",
                "trace_id": "Root=1-58337281-1d84f3d73c47ec4e58577259",
                "chosen_cert_arn":
                    "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                "matched_rule_priority": 1,
                "actions_executed": "authenticate,forward",
                "target_port_list": "10.0.0.1:80",
                "target_status_code_list": "200",
            }},
            "source": {"ip": "192.168.131.39", "port": 2817},
            "destination": {"ip": "10.0.0.1", "port": 80},
            "http": {
                "request": {"method": "GET", "bytes": 0},
                "response": {"status_code": 200, "bytes": 57},
                "version": "1.1",
            },
            "url": {
                "original": "https://www.example.com:443/", "scheme": "https", "domain": "www.example.com",
                "port": 443, "path": "/",
            },
            "user_agent": {"original": "curl/7.46.0"},
            "tls": {
                "cipher": "ECDHE-RSA-AES128-GCM-SHA256", "version": "1.2", "version_protocol": "tls",
                "client": {"server_name": "www.example.com"},
            },
        })
    );
    // Without a target there is no destination, and without TLS no such object.
    for absent in ["destination", "tls"] {
        assert_eq!(events[6].get(absent), None);
    }
}

#[test]
fn a_classic_load_balancers_entry_has_the_fields_of_the_schema() {
    let events = events(Format::Classic);
    assert_eq!(events[1]["event"]["duration"], 2_471_000);
    assert_eq!(
        own(&events[1]),
        json!({
            "aws": {"elb": {
                "name": "my-loadbalancer",
                "request_processing_time": 0.000086,
                "backend_processing_time": 0.001048,
                "response_processing_time": 0.001337,
                "backend_status_code": 200,
            }},
            "source": {"ip": "192.168.131.39", "port": 2817, "bytes": 0},
            "destination": {"ip": "10.0.0.1", "port": 80, "bytes": 57},
            "http": {"request": {"method": "GET"}, "response": {"status_code": 200}, "version": "1.1"},
            "url": {
                "original": "https://www.example.com:443/", "scheme": "https", "domain": "www.example.com",
                "port": 443, "path": "/",
            },
            "user_agent": {"original": "curl/7.38.0"},
            "tls": {"cipher": "DHE-RSA-AES128-SHA", "version": "1.2", "version_protocol": "tls"},
        })
    );
    // A TCP listener has no request.
    assert_eq!(events[2]["aws"]["elb"]["request"], "- - - ");
    for absent in ["http", "url", "user_agent", "tls"] {
        assert_eq!(events[2].get(absent), None);
    }
}

#[test]
fn a_network_load_balancers_entry_has_the_fields_of_the_schema() {
    let events = events(Format::Nlb);
    let event = &events[1]["event"];
    assert_eq!(events[1]["@timestamp"], "2020-04-01T08:51:42Z");
    assert_eq!((&event["start"], &event["duration"]), (&json!("2020-04-01T08:51:20Z"), &json!(5_000_000)));
    assert_eq!(event["type"], json!(["connection", "end"]));
    assert_eq!(
        own(&events[1]),
        json!({
            "aws": {"elb": {
                "type": "tls",
                "version": "2.0",
                "name": "net/my-network-loadbalancer/c6e77e28c25b2234",
                "listener": "g3d4b5e8bb8464cd",
                "tls_handshake_time": 2,
                "chosen_cert_arn":
                    "arn:aws:acm:us-east-2:671290407336:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99",
                "alpn_be_protocol": "h2",
                "alpn_client_preference_list": "\"h2\",\"http/1.1\"",
            }},
            "source": {"ip": "72.21.218.154", "port": 51341, "bytes": 98},
            "destination": {"ip": "172.100.100.185", "port": 443, "bytes": 246},
            "tls": {
                "cipher": "ECDHE-RSA-AES128-SHA", "version": "1.2", "version_protocol": "tls", "next_protocol": "h2",
                "client": {"server_name": "my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com"},
            },
        })
    );
}

#[test]
fn a_connection_logs_entry_has_the_fields_of_the_schema() {
    let events = events(Format::AlbConnection);
    assert_eq!(
        own(&events[0]),
        json!({
            "aws": {"elb": {
                "listener_port": 443,
                "tls_handshake_latency": 4.036,
                "tls_verify_status": "Success",
                "conn_trace_id": "TID_3180a73013c8ca4bac2f731159d4b0fe",
            }},
            "source": {"ip": "203.0.113.1", "port": 36280},
            "tls": {
                "cipher": "ECDHE-RSA-AES128-GCM-SHA256", "version": "1.2", "version_protocol": "tls",
                "client": {
                    "subject": "CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US",
                    "not_before": "2023-09-21T22:43:21Z",
                    "not_after": "2026-06-17T22:43:21Z",
                    "x509": {"serial_number": "FEF257372D5C14D4"},
                },
            },
        })
    );
}

#[test]
fn a_health_check_logs_entry_has_the_fields_of_the_schema() {
    let events = events(Format::AlbHealthCheck);
    assert_eq!(events[1]["event"]["duration"], 1_121_980_746);
    assert_eq!(
        own(&events[1]),
        json!({
            "aws": {"elb": {
                "type": "http",
                "target_addr": "172.31.31.9:80",
                "target_group_id": "HCLogsTestIPs",
                "status": "FAIL",
                "reason_code": "TargetError",
            }},
            "http": {"response": {"status_code": 502}},
        })
    );
}
