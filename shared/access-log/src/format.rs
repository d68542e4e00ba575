//! The formats Elastic Load Balancing writes: their columns, in order, under AWS's names.
//!
//! AWS adds columns at the end of a line and never moves one, so a line may have fewer columns than are listed here
//! (an old one) or more (a new one). The pages:
//! [Classic](https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html),
//! [ALB](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html),
//! [NLB](https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-access-logs.html),
//! [ALB connections](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-connection-logs.html),
//! [ALB health checks](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-health-check-logs.html).

use crate::line::Quoting;
use crate::time;
use Kind::{Address, EventTime, Ip, Number, Seconds, Text, Time};
use std::net::IpAddr;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Kind of log, which decides the columns of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case", parse_err_ty = UnknownFormat, parse_err_fn = UnknownFormat::new)]
pub enum Format {
    /// Access log of a Classic Load Balancer.
    Classic,
    /// Access log of an Application Load Balancer.
    Alb,
    /// Access log of a Network Load Balancer, which logs TLS connections only.
    Nlb,
    /// Connection log of an Application Load Balancer.
    AlbConnection,
    /// Health-check log of an Application Load Balancer.
    AlbHealthCheck,
}

/// One column of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// AWS's name, with `_` for `:`. A [`Kind::Address`] becomes two fields instead, `<name>_ip` and
    /// `<name>_port`.
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
}

/// Kind of a column's values. `-` and an empty value mean absence, and the event then has no such field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The time of the event, ISO 8601; always UTC, with or without a `Z`. Every line must have it.
    EventTime,
    /// Any text.
    Text,
    /// A further time, in the same form.
    Time,
    /// A whole number.
    Number,
    /// A duration as a decimal number; `-1` means absence.
    Seconds,
    /// An IP address.
    Ip,
    /// An IP address and a port, joined by `:`.
    Address {
        /// Field of the address.
        ip: &'static str,
        /// Field of the port.
        port: &'static str,
    },
}

/// Quotes around the values of a column. They tell where a value ends that holds quotes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// No value holds a quote.
    Bare,
    /// No value holds a quote, and each is an IP address. The columns around it have quotes, so it is a fixed point.
    Address,
    /// Each value is in quotes, also an absent one.
    Quoted,
    /// Lines with and without quotes exist.
    Either,
    /// A list without spaces, with quotes around each of its items.
    List,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const CLIENT: Column = column("client", Address { ip: "client_ip", port: "client_port" });

const CLASSIC: &[Column] = &[
    column("timestamp", EventTime),
    column("elb", Text),
    CLIENT,
    column("backend", Address { ip: "backend_ip", port: "backend_port" }),
    column("request_processing_time", Seconds),
    column("backend_processing_time", Seconds),
    column("response_processing_time", Seconds),
    column("elb_status_code", Number),
    column("backend_status_code", Number),
    column("received_bytes", Number),
    column("sent_bytes", Number),
    column("request", Text),
    column("user_agent", Text),
    column("ssl_cipher", Text),
    column("ssl_protocol", Text),
];

const ALB: &[Column] = &[
    column("type", Text),
    column("time", EventTime),
    column("elb", Text),
    CLIENT,
    column("target", Address { ip: "target_ip", port: "target_port" }),
    column("request_processing_time", Seconds),
    column("target_processing_time", Seconds),
    column("response_processing_time", Seconds),
    column("elb_status_code", Number),
    column("target_status_code", Number),
    column("received_bytes", Number),
    column("sent_bytes", Number),
    column("request", Text),
    column("user_agent", Text),
    column("ssl_cipher", Text),
    column("ssl_protocol", Text),
    column("target_group_arn", Text),
    column("trace_id", Text),
    column("domain_name", Text),
    column("chosen_cert_arn", Text),
    // -1 is a value here: the rules could not be evaluated.
    column("matched_rule_priority", Number),
    column("request_creation_time", Time),
    column("actions_executed", Text),
    column("redirect_url", Text),
    column("error_reason", Text),
    column("target_port_list", Text),
    column("target_status_code_list", Text),
    column("classification", Text),
    column("classification_reason", Text),
    column("conn_trace_id", Text),
    column("transformed_host", Text),
    column("transformed_uri", Text),
    column("request_transform_status", Text),
    // This column occurs in logs and in AWS's list of fields for CloudWatch, but not on the page of this
    // format.
    column("ip_address", Text),
];

const NLB: &[Column] = &[
    column("type", Text),
    column("version", Text),
    column("time", EventTime),
    column("elb", Text),
    column("listener", Text),
    CLIENT,
    column("destination", Address { ip: "destination_ip", port: "destination_port" }),
    column("connection_time", Seconds),
    column("tls_handshake_time", Seconds),
    column("received_bytes", Number),
    column("sent_bytes", Number),
    column("incoming_tls_alert", Number),
    column("chosen_cert_arn", Text),
    column("chosen_cert_serial", Text),
    column("tls_cipher", Text),
    column("tls_protocol_version", Text),
    column("tls_named_group", Text),
    column("domain_name", Text),
    column("alpn_fe_protocol", Text),
    column("alpn_be_protocol", Text),
    column("alpn_client_preference_list", Text),
    column("tls_connection_creation_time", Time),
];

const ALB_CONNECTION: &[Column] = &[
    column("timestamp", EventTime),
    column("client_ip", Ip),
    column("client_port", Number),
    column("listener_port", Number),
    column("tls_protocol", Text),
    column("tls_cipher", Text),
    column("tls_handshake_latency", Seconds),
    column("leaf_client_cert_subject", Text),
    column("leaf_client_cert_validity", Text),
    column("leaf_client_cert_serial_number", Text),
    column("tls_verify_status", Text),
    column("conn_trace_id", Text),
    column("tls_keyexchange", Text),
    column("elb", Text),
    column("ip_address", Text),
];

const ALB_HEALTH_CHECK: &[Column] = &[
    column("type", Text),
    column("time", EventTime),
    column("latency", Seconds),
    // ARN of the function, if the target is one.
    column("target_addr", Text),
    column("target_group_id", Text),
    column("status", Text),
    column("status_code", Number),
    column("reason_code", Text),
    column("elb", Text),
    column("ip_address", Text),
];

impl Format {
    /// Every format.
    pub const ALL: &[Format] = Format::VARIANTS;

    /// Returns the name in configuration, and in the field `elb.format` of an event.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns every column that AWS documents, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Classic => CLASSIC,
            Self::Alb => ALB,
            Self::Nlb => NLB,
            Self::AlbConnection => ALB_CONNECTION,
            Self::AlbHealthCheck => ALB_HEALTH_CHECK,
        }
    }

    /// Returns the number of columns of the oldest lines of this format. A line with fewer is not of this
    /// format.
    pub const fn columns_min(self) -> usize {
        match self {
            Self::Classic => 12,       // before user_agent
            Self::Alb => 17,           // before trace_id
            Self::Nlb => 18,           // before ALPN
            Self::AlbConnection => 11, // before conn_trace_id
            Self::AlbHealthCheck => 8, // before elb
        }
    }

    /// Returns true if lines of the format with so many columns exist. AWS adds several columns at once to some
    /// formats, and may add more at the end.
    #[inline(always)]
    pub(crate) const fn has_columns(self, count: usize) -> bool {
        let gaps: &[usize] = match self {
            Self::Classic => &[13, 14],
            Self::Alb => &[19, 26, 28, 31, 32],
            Self::Nlb | Self::AlbConnection | Self::AlbHealthCheck => &[],
        };
        let mut without = 0_u64;
        let mut at = 0;
        while at < gaps.len() {
            without |= 1 << gaps[at];
            at += 1;
        }
        count >= self.columns_min() && (count >= 64 || without >> count & 1 == 0)
    }

    /// Returns the quotes around the values of the column at `index`, from 0. Columns behind the known ones may
    /// be of either shape in the format that AWS extends. In the others a quote there belongs to an earlier
    /// value, whose quotes broke the line.
    pub(crate) const fn shape(self, index: usize) -> Shape {
        match (self, index + 1) {
            (Self::AlbConnection, 8) => Shape::Either,
            (Self::Classic, 12 | 13) => Shape::Quoted,
            (Self::Alb, 13 | 14 | 18 | 23..=25 | 28 | 29 | 31..=33 | 35 | 36) => Shape::Quoted,
            (Self::Alb, 19 | 20 | 26 | 27 | 37..) => Shape::Either,
            (Self::Alb, 34) => Shape::Address,
            (Self::Nlb, 21) => Shape::List,
            _ => Shape::Bare,
        }
    }

    /// Returns true for a column that holds a text of the client in full: the request, the user agent, and the
    /// subject of a certificate.
    pub(crate) const fn is_of_client(self, index: usize) -> bool {
        matches!(
            (self, index + 1),
            (Self::Classic, 12 | 13) | (Self::Alb, 13 | 14) | (Self::AlbConnection, 8) | (Self::Nlb, 21)
        )
    }

    /// Returns the quoting of the format. NLB encodes its values as URLs do, and a quote is an ordinary
    /// character there.
    pub(crate) fn quoting(self) -> Quoting {
        match self {
            Self::Nlb => Quoting::Never,
            Self::Classic | Self::Alb | Self::AlbConnection | Self::AlbHealthCheck => Quoting::Values,
        }
    }

    /// Returns the format that the key of a log object implies, if AWS chose the key.
    pub fn of_key(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next().unwrap_or(key);
        if name.starts_with("conn_log") {
            return Some(Self::AlbConnection);
        }
        if name.starts_with("health_check_log") {
            return Some(Self::AlbHealthCheck);
        }
        let (_account, rest) = name.split_once("_elasticloadbalancing_")?;
        let (_region, balancer) = rest.split_once('_')?;
        // Id of a load balancer, its `/` replaced by `.`, which the name of a Classic one cannot hold.
        Some(match balancer.split_once('.') {
            Some(("app", _)) => Self::Alb,
            Some(("net", _)) => Self::Nlb,
            _ => Self::Classic,
        })
    }

    /// Returns the format that matches the shape of a line's first columns.
    pub fn of_line(line: &[u8]) -> Option<Self> {
        let mut tokens = line.split(|&byte| byte == b' ');
        let (first, second, third) = (tokens.next()?, tokens.next()?, tokens.next()?);
        let is_time = |token| time::parse(token).is_some();
        if is_time(first) {
            Some(if is_ip(second) { Self::AlbConnection } else { Self::Classic })
        } else if is_time(second) {
            Some(if third.contains(&b'/') { Self::Alb } else { Self::AlbHealthCheck })
        } else if first == b"tls" && is_time(third) {
            Some(Self::Nlb)
        } else {
            None
        }
    }

    /// Returns true for the file that Elastic Load Balancing writes once as a test: it holds no log line.
    pub fn is_test_file(key: &str) -> bool {
        let name = key.rsplit('/').next().unwrap_or(key);
        name.starts_with("ELB") && name.ends_with("TestFile")
    }
}

/// Returns true for an IP address of either version.
pub(crate) fn is_ip(token: &[u8]) -> bool {
    str::from_utf8(token).is_ok_and(|token| token.parse::<IpAddr>().is_ok())
}

/// A name of no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no format of load-balancer logs; it is one of classic, alb, nlb, alb-connection, alb-health-check"
)]
pub struct UnknownFormat(String);

impl UnknownFormat {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_object_implies_its_format() {
        let day = "logs/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/05/01";
        for (name, format) in [
            (
                "123456789012_elasticloadbalancing_us-east-2_my-loadbalancer_20140215T2340Z_172.160.001.192_20sg8hgm.log",
                Some(Format::Classic),
            ),
            (
                "123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20140215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                Some(Format::Alb),
            ),
            (
                "123456789012_elasticloadbalancing_us-east-2_net.my-loadbalancer.1234567890abcdef_2018122T2340Z_20sg8hgm.log.gz",
                Some(Format::Nlb),
            ),
            (
                "conn_log_123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                Some(Format::AlbConnection),
            ),
            (
                "conn_log.123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                Some(Format::AlbConnection),
            ),
            (
                "health_check_log_123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                Some(Format::AlbHealthCheck),
            ),
            ("renamed.log.gz", None),
        ] {
            assert_eq!(Format::of_key(&format!("{day}/{name}")), format, "{name}");
        }
    }

    #[test]
    fn a_format_name_parses_back_and_another_is_refused_with_the_choices() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(*format));
        }
        let refused = "elb".parse::<Format>().unwrap_err().to_string();
        assert!(Format::ALL.iter().all(|format| refused.contains(format.name())), "{refused}");
    }

    #[test]
    fn the_test_file_is_no_log() {
        assert!(Format::is_test_file("p/AWSLogs/123456789012/ELBAccessLogTestFile"));
        assert!(Format::is_test_file("p/AWSLogs/123456789012/ELBConnectionLogTestFile"));
        assert!(!Format::is_test_file("p/AWSLogs/1/x.log.gz"));
    }

    #[test]
    fn no_two_fields_of_a_format_have_the_same_name() {
        for format in Format::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for column in format.columns() {
                let fields = match column.kind {
                    Kind::Address { ip, port } => vec![ip, port],
                    _ => vec![column.name],
                };
                assert!(fields.into_iter().all(|field| seen.insert(field)), "{column:?}");
            }
            assert!(format.columns_min() <= format.columns().len());
        }
    }
}
