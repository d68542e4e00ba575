//! The example entries of AWS's own documentation (`format.rs` lists the pages), unchanged except for line
//! breaks that AWS adds for readability. The events have AWS's names here; `examples_in_ecs.rs` has them in the
//! Elastic Common Schema.

use lockstep_access_log::{Fields, Format, Labels, Reader, Settings, Source};
use serde_json::{Value, json};

/// Returns the events of a fixture. Only its lines give its format.
fn events(format: Format) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{}.log", env!("CARGO_MANIFEST_DIR"), format.name());
    let text = std::fs::read(&path).unwrap();
    let source = Source { bucket: "logs".into(), key: "renamed".into(), version: "v1".into(), written: None };
    let labels = Labels { environment: Some("production".into()), ..Labels::default() };
    let mut reader = Reader::new(&source, &Settings { labels, fields: Fields::Plain, ..Settings::default() });
    assert_eq!(reader.read(&mut &text[..]), None);
    let batch = reader.finish().unwrap();
    assert_eq!(batch.quarantined, []);
    let lines = batch.events.split_inclusive(|&byte| byte == b'\n');
    let events: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!((events.len() as u64, batch.event_count), (batch.event_count, batch.lines.end - 1));
    for (event, line) in events.iter().zip(text.split(|&byte| byte == b'\n')) {
        assert_eq!(event["message"], str::from_utf8(line).unwrap());
        assert_eq!(event["elb"]["format"], format.name());
        assert_eq!(event["elb"]["extra"], Value::Null);
    }
    events
}

#[test]
fn every_field_of_a_classic_load_balancers_entries_is_parsed() {
    let events = events(Format::Classic);
    assert_eq!(events.len(), 4);
    assert_eq!(
        events[1],
        json!({
            "@timestamp": "2015-05-13T23:39:43.945958Z",
            "id": events[1]["id"],
            "index_date": "2015.05.13",
            "environment": "production",
            "source": {"bucket": "logs", "key": "renamed", "version": "v1", "line": 2},
            "elb": {
                "format": "classic",
                "timestamp": "2015-05-13T23:39:43.945958Z",
                "elb": "my-loadbalancer",
                "client_ip": "192.168.131.39",
                "client_port": 2817,
                "backend_ip": "10.0.0.1",
                "backend_port": 80,
                "request_processing_time": 0.000086,
                "backend_processing_time": 0.001048,
                "response_processing_time": 0.001337,
                "elb_status_code": 200,
                "backend_status_code": 200,
                "received_bytes": 0,
                "sent_bytes": 57,
                "request": "GET https://www.example.com:443/ HTTP/1.1",
                "user_agent": "curl/7.38.0",
                "ssl_cipher": "DHE-RSA-AES128-SHA",
                "ssl_protocol": "TLSv1.2",
            },
            "message": events[1]["message"],
        })
    );
    // A TCP listener has no status and no user agent.
    assert_eq!(events[2]["elb"]["request"], "- - - ");
    for absent in ["elb_status_code", "backend_status_code", "user_agent", "ssl_cipher"] {
        assert_eq!(events[2]["elb"].get(absent), None);
    }
}

#[test]
fn every_field_of_an_application_load_balancers_entries_is_parsed() {
    let events = events(Format::Alb);
    assert_eq!(events.len(), 7);
    assert_eq!(
        events[1]["elb"],
        json!({
            "format": "alb",
            "type": "https",
            "time": "2018-07-02T22:23:00.186641Z",
            "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "client_ip": "192.168.131.39",
            "client_port": 2817,
            "target_ip": "10.0.0.1",
            "target_port": 80,
            "request_processing_time": 0.086,
            "target_processing_time": 0.048,
            "response_processing_time": 0.037,
            "elb_status_code": 200,
            "target_status_code": 200,
            "received_bytes": 0,
            "sent_bytes": 57,
            "request": "GET https://www.example.com:443/ HTTP/1.1",
            "user_agent": "curl/7.46.0",
            "ssl_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "ssl_protocol": "TLSv1.2",
            "target_group_arn":
                "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067",
            "trace_id": "Root=1-58337281-1d84f3d73c47ec4e58577259",
            "domain_name": "www.example.com",
            "chosen_cert_arn": "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
            "matched_rule_priority": 1,
            "request_creation_time": "2018-07-02T22:22:48.364000Z",
            "actions_executed": "authenticate,forward",
            "target_port_list": "10.0.0.1:80",
            "target_status_code_list": "200",
        })
    );
    assert_eq!(events[2]["elb"]["redirect_url"], "https://example.com:80/");
    // A failed function has no address and gave no status.
    assert_eq!(events[6]["elb"]["error_reason"], "LambdaInvalidResponse");
    for absent in ["target_ip", "target_port", "target_status_code"] {
        assert_eq!(events[6]["elb"].get(absent), None);
    }
}

#[test]
fn every_field_of_a_network_load_balancers_entries_is_parsed() {
    let events = events(Format::Nlb);
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["@timestamp"], "2020-04-01T08:51:42Z");
    assert_eq!(
        events[1]["elb"],
        json!({
            "format": "nlb",
            "type": "tls",
            "version": "2.0",
            "time": "2020-04-01T08:51:42",
            "elb": "net/my-network-loadbalancer/c6e77e28c25b2234",
            "listener": "g3d4b5e8bb8464cd",
            "client_ip": "72.21.218.154",
            "client_port": 51341,
            "destination_ip": "172.100.100.185",
            "destination_port": 443,
            "connection_time": 5,
            "tls_handshake_time": 2,
            "received_bytes": 98,
            "sent_bytes": 246,
            "chosen_cert_arn": "arn:aws:acm:us-east-2:671290407336:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99",
            "tls_cipher": "ECDHE-RSA-AES128-SHA",
            "tls_protocol_version": "tlsv12",
            "domain_name": "my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com",
            "alpn_fe_protocol": "h2",
            "alpn_be_protocol": "h2",
            "alpn_client_preference_list": "\"h2\",\"http/1.1\"",
            "tls_connection_creation_time": "2020-04-01T08:51:20",
        })
    );
}

#[test]
fn every_field_of_a_connection_log_is_parsed() {
    let events = events(Format::AlbConnection);
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[0]["elb"],
        json!({
            "format": "alb-connection",
            "timestamp": "2023-10-04T17:05:15.514108Z",
            "client_ip": "203.0.113.1",
            "client_port": 36280,
            "listener_port": 443,
            "tls_protocol": "TLSv1.2",
            "tls_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "tls_handshake_latency": 4.036,
            "leaf_client_cert_subject": "CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US",
            "leaf_client_cert_validity": "NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z",
            "leaf_client_cert_serial_number": "FEF257372D5C14D4",
            "tls_verify_status": "Success",
            "conn_trace_id": "TID_3180a73013c8ca4bac2f731159d4b0fe",
        })
    );
    assert_eq!(events[1]["elb"]["tls_verify_status"], "Failed:ClientCertUntrusted");
    assert_eq!(events[1]["elb"].get("tls_handshake_latency"), None);
}

#[test]
fn every_field_of_a_health_check_log_is_parsed() {
    let events = events(Format::AlbHealthCheck);
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[1]["elb"],
        json!({
            "format": "alb-health-check",
            "type": "http",
            "time": "2025-10-31T12:44:58.901409Z",
            "latency": 1.121980746,
            "target_addr": "172.31.31.9:80",
            "target_group_id": "HCLogsTestIPs",
            "status": "FAIL",
            "status_code": 502,
            "reason_code": "TargetError",
        })
    );
}
