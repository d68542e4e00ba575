//! The events of each format in the words of the Elastic Common Schema: which column becomes which field, in the
//! order of the event.
//!
//! A layout is the one place of this mapping. Both paths write by it, and tests compare it with
//! `docs/elb-logs.md`, with the published fields of the schema (`shared/ecs`), and with the index template of the
//! log stack. Columns for which the schema has no field are below `aws.elb`, under AWS's own name.

pub(crate) mod parts;
pub(crate) mod write;

use crate::format::Format;
use Step::{Close, Extra, Object, Open, Value};

/// Version of the schema that the events follow.
pub const VERSION: &str = "9.4.0";

/// Part of an event, in the order of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begins an object. An object without members is left out.
    Open(&'static str),
    /// Ends the object that began last.
    Close,
    /// Begins `aws.elb`, with the members that are the same for all lines of an object.
    Object,
    /// A field of a column.
    Value(Field),
    /// Values of columns that are not known yet, and the bytes of a line that is not UTF-8.
    Extra,
}

/// Field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name within its object.
    pub name: &'static str,
    /// Name of the column.
    pub column: &'static str,
    /// Part of the column's value.
    pub part: Part,
}

/// Part of a column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The value as it is.
    Whole,
    /// The address before the port.
    Ip,
    /// The port behind the address.
    Port,
    /// The time, with `Z`.
    Time,
    /// The duration in nanoseconds, of a value in seconds.
    OfSeconds,
    /// The duration in nanoseconds, of a value in milliseconds.
    OfMilliseconds,
    /// The sum, in nanoseconds, of this duration in seconds and those of the next two columns, if all have a value.
    OfThree,
    /// The method of a request line. The parts below are of the same line, and come after it.
    Method,
    /// The version of HTTP, without `HTTP/`.
    HttpVersion,
    /// The URL as the line has it.
    Url,
    /// The scheme of the URL.
    Scheme,
    /// The host of the URL.
    Domain,
    /// The port of the URL.
    UrlPort,
    /// The path of the URL.
    Path,
    /// The query of the URL, without `?`.
    Query,
    /// A request line that is not of the form `METHOD URL HTTP/version`.
    NoRequest,
    /// The version of the TLS protocol and its name, two fields. The second one is `<name>_protocol`.
    TlsVersion,
    /// The beginning of the validity of a certificate.
    NotBefore,
    /// The end of the validity of a certificate.
    NotAfter,
    /// A validity that is not of AWS's form.
    NoValidity,
}

const fn value(name: &'static str, column: &'static str) -> Step {
    part(name, column, Part::Whole)
}

const fn part(name: &'static str, column: &'static str, part: Part) -> Step {
    Value(Field { name, column, part })
}

/// A column below `aws.elb` under its own name.
const fn own(column: &'static str) -> Step {
    value(column, column)
}

const CLASSIC: &[Step] = &[
    part("duration", "request_processing_time", Part::OfThree),
    Close,
    Object,
    value("name", "elb"),
    own("request_processing_time"),
    own("backend_processing_time"),
    own("response_processing_time"),
    own("backend_status_code"),
    part("request", "request", Part::NoRequest),
    Extra,
    Close,
    Close,
    Open("source"),
    part("ip", "client", Part::Ip),
    part("port", "client", Part::Port),
    value("bytes", "received_bytes"),
    Close,
    Open("destination"),
    part("ip", "backend", Part::Ip),
    part("port", "backend", Part::Port),
    value("bytes", "sent_bytes"),
    Close,
    Open("http"),
    Open("request"),
    part("method", "request", Part::Method),
    Close,
    Open("response"),
    value("status_code", "elb_status_code"),
    Close,
    part("version", "request", Part::HttpVersion),
    Close,
    Open("url"),
    part("original", "request", Part::Url),
    part("scheme", "request", Part::Scheme),
    part("domain", "request", Part::Domain),
    part("port", "request", Part::UrlPort),
    part("path", "request", Part::Path),
    part("query", "request", Part::Query),
    Close,
    Open("user_agent"),
    value("original", "user_agent"),
    Close,
    Open("tls"),
    value("cipher", "ssl_cipher"),
    part("version", "ssl_protocol", Part::TlsVersion),
    Close,
];

const ALB: &[Step] = &[
    part("start", "request_creation_time", Part::Time),
    part("duration", "request_processing_time", Part::OfThree),
    Close,
    Object,
    own("type"),
    value("name", "elb"),
    own("request_processing_time"),
    own("target_processing_time"),
    own("response_processing_time"),
    own("target_status_code"),
    part("request", "request", Part::NoRequest),
    own("target_group_arn"),
    own("trace_id"),
    own("chosen_cert_arn"),
    own("matched_rule_priority"),
    own("actions_executed"),
    own("redirect_url"),
    own("error_reason"),
    own("target_port_list"),
    own("target_status_code_list"),
    own("classification"),
    own("classification_reason"),
    own("conn_trace_id"),
    own("transformed_host"),
    own("transformed_uri"),
    own("request_transform_status"),
    own("ip_address"),
    Extra,
    Close,
    Close,
    Open("source"),
    part("ip", "client", Part::Ip),
    part("port", "client", Part::Port),
    Close,
    Open("destination"),
    part("ip", "target", Part::Ip),
    part("port", "target", Part::Port),
    Close,
    Open("http"),
    Open("request"),
    part("method", "request", Part::Method),
    value("bytes", "received_bytes"),
    Close,
    Open("response"),
    value("status_code", "elb_status_code"),
    value("bytes", "sent_bytes"),
    Close,
    part("version", "request", Part::HttpVersion),
    Close,
    Open("url"),
    part("original", "request", Part::Url),
    part("scheme", "request", Part::Scheme),
    part("domain", "request", Part::Domain),
    part("port", "request", Part::UrlPort),
    part("path", "request", Part::Path),
    part("query", "request", Part::Query),
    Close,
    Open("user_agent"),
    value("original", "user_agent"),
    Close,
    Open("tls"),
    value("cipher", "ssl_cipher"),
    part("version", "ssl_protocol", Part::TlsVersion),
    Open("client"),
    value("server_name", "domain_name"),
    Close,
    Close,
];

const NLB: &[Step] = &[
    part("start", "tls_connection_creation_time", Part::Time),
    part("duration", "connection_time", Part::OfMilliseconds),
    Close,
    Object,
    own("type"),
    own("version"),
    value("name", "elb"),
    own("listener"),
    own("tls_handshake_time"),
    own("incoming_tls_alert"),
    own("chosen_cert_arn"),
    own("chosen_cert_serial"),
    own("alpn_be_protocol"),
    own("alpn_client_preference_list"),
    Extra,
    Close,
    Close,
    Open("source"),
    part("ip", "client", Part::Ip),
    part("port", "client", Part::Port),
    value("bytes", "received_bytes"),
    Close,
    Open("destination"),
    part("ip", "destination", Part::Ip),
    part("port", "destination", Part::Port),
    value("bytes", "sent_bytes"),
    Close,
    Open("tls"),
    value("cipher", "tls_cipher"),
    part("version", "tls_protocol_version", Part::TlsVersion),
    value("curve", "tls_named_group"),
    value("next_protocol", "alpn_fe_protocol"),
    Open("client"),
    value("server_name", "domain_name"),
    Close,
    Close,
];

const ALB_CONNECTION: &[Step] = &[
    Close,
    Object,
    value("name", "elb"),
    own("listener_port"),
    own("tls_handshake_latency"),
    part("leaf_client_cert_validity", "leaf_client_cert_validity", Part::NoValidity),
    own("tls_verify_status"),
    own("conn_trace_id"),
    own("ip_address"),
    Extra,
    Close,
    Close,
    Open("source"),
    value("ip", "client_ip"),
    value("port", "client_port"),
    Close,
    Open("tls"),
    value("cipher", "tls_cipher"),
    part("version", "tls_protocol", Part::TlsVersion),
    value("curve", "tls_keyexchange"),
    Open("client"),
    value("subject", "leaf_client_cert_subject"),
    part("not_before", "leaf_client_cert_validity", Part::NotBefore),
    part("not_after", "leaf_client_cert_validity", Part::NotAfter),
    Open("x509"),
    value("serial_number", "leaf_client_cert_serial_number"),
    Close,
    Close,
    Close,
];

const ALB_HEALTH_CHECK: &[Step] = &[
    part("duration", "latency", Part::OfSeconds),
    Close,
    Object,
    own("type"),
    value("name", "elb"),
    own("target_addr"),
    own("target_group_id"),
    own("status"),
    own("reason_code"),
    own("ip_address"),
    Extra,
    Close,
    Close,
    Open("http"),
    Open("response"),
    value("status_code", "status_code"),
    Close,
    Close,
];

impl Format {
    /// Returns the layout of the events of this format, from within the object `event`.
    pub const fn layout(self) -> &'static [Step] {
        match self {
            Self::Classic => CLASSIC,
            Self::Alb => ALB,
            Self::Nlb => NLB,
            Self::AlbConnection => ALB_CONNECTION,
            Self::AlbHealthCheck => ALB_HEALTH_CHECK,
        }
    }

    /// Returns the members of `event` that classify all events of this format.
    pub(crate) const fn classification(self) -> &'static str {
        match self {
            Self::Classic | Self::Alb => r#""kind":"event","category":["web"],"type":["access"]"#,
            Self::Nlb => r#""kind":"event","category":["network"],"type":["connection","end"]"#,
            Self::AlbConnection => r#""kind":"event","category":["network"],"type":["connection","start"]"#,
            Self::AlbHealthCheck => r#""kind":"event","category":["web"],"type":["info"]"#,
        }
    }

    /// Returns the index of the column with this name.
    pub(crate) const fn column(self, name: &str) -> usize {
        let columns = self.columns();
        let mut at = 0;
        while at < columns.len() {
            if is_same(columns[at].name, name) {
                return at;
            }
            at += 1;
        }
        panic!("a layout names a column that its format does not have");
    }

    /// Returns the fields of a column, with their paths.
    pub fn fields(self, column: &str) -> Vec<(String, Part)> {
        let mut path = vec!["event"];
        let mut fields = Vec::new();
        for step in self.layout() {
            match *step {
                Open(name) => path.push(name),
                Object => path.extend(["aws", "elb"]),
                Close => _ = path.pop(),
                Value(field) if field.column == column => {
                    let name = format!("{}.{}", path.join("."), field.name);
                    fields.push((name.clone(), field.part));
                    if field.part == Part::TlsVersion {
                        fields.push((format!("{name}_protocol"), field.part));
                    }
                }
                Value(_) | Extra => {}
            }
        }
        fields.sort_by_key(|(name, _)| name.starts_with("aws."));
        fields
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
