//! The event of a line: one line of JSON.

use crate::ecs;
use crate::format::Format;
use crate::line::{Parsed, PlainValue};
use crate::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The object that lines are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Name of its bucket.
    pub bucket: String,
    /// Key of the object, not URL-encoded.
    pub key: String,
    /// Identity of the bytes under the key: the version id, or the ETag in a bucket without versions.
    pub version: String,
    /// Time at which the load balancer wrote the object, in ISO 8601 with `Z`, if known.
    pub written: Option<String>,
}

impl Source {
    /// Returns the prefix of each event's id: a hash of key and version. The line's number follows, so the
    /// same line of the same object has the same id in every delivery.
    pub fn id_prefix(&self) -> String {
        // No key holds a NUL, so no two pairs have the same input.
        let digest =
            Sha256::new().chain_update(&self.key).chain_update([0]).chain_update(&self.version).finalize();
        format!("{}-", hex::encode(&digest[..16]))
    }

    /// Returns the account and the region of the load balancer, if the key has the form that AWS gives it:
    /// `AWSLogs/<account>/elasticloadbalancing/<region>/`.
    fn account_and_region(&self) -> [Option<&str>; 2] {
        let parts: Vec<&str> = self.key.split('/').collect();
        let found = parts.windows(3).find(|parts| parts[1] == "elasticloadbalancing");
        match found {
            Some(&[account, _, region]) if is_account(account) => [Some(account), Some(region)],
            _ => [None, None],
        }
    }
}

/// Returns true for the id of an AWS account.
fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Labels of the load balancer from the operator. An absent label is absent in the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Component that owns the load balancer.
    pub component: Option<String>,
    /// Application behind the load balancer.
    pub application: Option<String>,
    /// Environment: `ci`, `production`.
    pub environment: Option<String>,
    /// Type of the events, by which Logstash selects their index.
    pub event_type: Option<String>,
}

/// Names of the fields of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownFields, parse_err_fn = UnknownFields::new)]
pub enum Fields {
    /// Those of the Elastic Common Schema, and `aws.elb.*` for what it does not name.
    #[default]
    Ecs,
    /// AWS's column names, below `elb`.
    Plain,
}

/// A name of no choice of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no choice of field names; it is ecs or plain")]
pub struct UnknownFields(String);

impl UnknownFields {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// Constant parts of every event of one object.
pub(crate) struct Template {
    pub fields: Fields,
    /// Parts for each format, in the order of [`Format::ALL`].
    pieces: Vec<Pieces>,
}

/// Constant parts of every event of one object and one format, as JSON. An event consists of the parts in order, with
/// the named values in between.
pub(crate) struct Pieces {
    /// Part before `@timestamp`.
    pub before_time: Vec<u8>,
    /// Part before the line number that ends the id.
    pub before_id_line: Vec<u8>,
    /// Part before the day of `index_date`. `None` if the event has no such field.
    pub before_date: Option<Vec<u8>>,
    /// Part before the line number.
    pub before_line: Vec<u8>,
    /// Part before the columns.
    pub before_columns: Vec<u8>,
    /// Beginning of `aws.elb`; empty in plain events.
    pub before_elb: Vec<u8>,
}

impl Template {
    pub fn new(fields: Fields, source: &Source, labels: &Labels) -> Self {
        let pieces = |&format: &Format| match fields {
            Fields::Ecs => Pieces::ecs(source, labels, format),
            Fields::Plain => Pieces::plain(source, labels, format),
        };
        Self { fields, pieces: Format::ALL.iter().map(pieces).collect() }
    }

    /// Returns the parts for a format.
    pub fn of(&self, format: Format) -> &Pieces {
        &self.pieces[format as usize]
    }
}

impl Pieces {
    fn plain(source: &Source, labels: &Labels, format: Format) -> Self {
        let mut before_line = br#"","#.to_vec();
        let labels = [
            ("type", &labels.event_type),
            ("component", &labels.component),
            ("application", &labels.application),
            ("environment", &labels.environment),
        ];
        for (name, label) in labels {
            member(&mut before_line, name, label.as_deref());
        }
        before_line.extend_from_slice(br#""source":{"#);
        member(&mut before_line, "bucket", Some(&source.bucket));
        member(&mut before_line, "key", Some(&source.key));
        member(&mut before_line, "version", Some(&source.version));
        before_line.extend_from_slice(br#""line":"#);
        Self {
            before_time: br#"{"@timestamp":""#.to_vec(),
            before_id_line: format!(r#"Z","id":"{}"#, source.id_prefix()).into_bytes(),
            before_date: Some(br#"","index_date":""#.to_vec()),
            before_line,
            before_columns: format!(r#"}},"elb":{{"format":"{}""#, format.name()).into_bytes(),
            before_elb: Vec::new(),
        }
    }

    fn ecs(source: &Source, labels: &Labels, format: Format) -> Self {
        let mut head = format!(r#"Z","ecs":{{"version":"{}"}},"cloud":{{"#, ecs::VERSION).into_bytes();
        member(&mut head, "provider", Some("aws"));
        let [account, region] = source.account_and_region();
        member(&mut head, "region", region);
        object(&mut head, "account", &[("id", account)]);
        close(&mut head);
        let service =
            [("name", labels.application.as_deref()), ("environment", labels.environment.as_deref())];
        object(&mut head, "service", &service);
        object(&mut head, "labels", &[("component", labels.component.as_deref())]);
        head.extend_from_slice(br#""log":{"#);
        object(&mut head, "file", &[("path", Some(&format!("s3://{}/{}", source.bucket, source.key)))]);
        close(&mut head);
        head.extend_from_slice(format!(r#""event":{{{},"#, format.classification()).as_bytes());
        member(&mut head, "dataset", labels.event_type.as_deref());
        member(&mut head, "created", source.written.as_deref());
        head.extend_from_slice(format!(r#""id":"{}"#, source.id_prefix()).as_bytes());
        let mut before_elb = br#""aws":{"elb":{"#.to_vec();
        member(&mut before_elb, "object_version", Some(&source.version));
        member(&mut before_elb, "format", Some(format.name()));
        Self {
            before_time: br#"{"@timestamp":""#.to_vec(),
            before_id_line: head,
            before_date: None,
            before_line: br#"","sequence":"#.to_vec(),
            before_columns: b",".to_vec(),
            before_elb,
        }
    }

    /// Writes what stands before the columns, on the plain path.
    pub fn write_head(&self, out: &mut Vec<u8>, number: u64, time: Time<'_>) {
        let number = number.to_string();
        out.extend_from_slice(&self.before_time);
        out.extend_from_slice(time.text);
        out.extend_from_slice(&self.before_id_line);
        out.extend_from_slice(number.as_bytes());
        if let Some(before_date) = &self.before_date {
            out.extend_from_slice(before_date);
            out.extend_from_slice(&time.index_date());
        }
        out.extend_from_slice(&self.before_line);
        out.extend_from_slice(number.as_bytes());
        out.extend_from_slice(&self.before_columns);
    }
}

/// Writes the event of a parsed line on the plain path.
pub(crate) fn write(
    out: &mut Vec<u8>,
    template: &Template,
    format: Format,
    number: u64,
    line: &[u8],
    parsed: &Parsed<'_>,
) {
    let pieces = template.of(format);
    match template.fields {
        Fields::Ecs => ecs::write::write(out, pieces, format, number, line, parsed),
        Fields::Plain => write_plain(out, pieces, format, number, line, parsed),
    }
}

/// Writes an event under AWS's column names.
fn write_plain(
    out: &mut Vec<u8>,
    pieces: &Pieces,
    format: Format,
    number: u64,
    line: &[u8],
    parsed: &Parsed<'_>,
) {
    pieces.write_head(out, number, parsed.time);
    for (name, value) in parsed.fields(format) {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        match value {
            PlainValue::Text(text) => string(out, text),
            PlainValue::Number(digits) => out.extend_from_slice(digits),
        }
    }
    if !parsed.extra.is_empty() {
        out.extend_from_slice(br#","extra":["#);
        for (index, text) in parsed.extra.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string(out, text);
        }
        out.push(b']');
    }
    out.extend_from_slice(br#"},"message":"#);
    string(out, line);
    if str::from_utf8(line).is_err() {
        out.extend_from_slice(br#","message_base64":"#);
        base64(out, line);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes a member of an object, with a comma behind it; none without a value.
fn member(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        string(out, value.as_bytes());
        out.push(b',');
    }
}

/// Writes an object with a comma behind it; none without members that have a value.
fn object(out: &mut Vec<u8>, name: &str, members: &[(&str, Option<&str>)]) {
    if members.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    out.extend_from_slice(format!("\"{name}\":{{").as_bytes());
    for (name, value) in members {
        member(out, name, *value);
    }
    close(out);
}

/// Ends an object that has a member.
fn close(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"},");
}

/// Writes bytes as a JSON string in base64.
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Writes bytes as a JSON string. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(out, &text).expect("memory takes every byte, and a string is always JSON");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_of_fields_parses_back_and_another_is_refused() {
        for &fields in Fields::VARIANTS {
            assert_eq!(<&str>::from(fields).parse(), Ok(fields));
        }
        let refused = "ECS".parse::<Fields>().unwrap_err().to_string();
        assert!(refused.contains("ecs or plain"), "{refused}");
    }

    #[test]
    fn account_and_region_come_from_a_key_of_the_form_of_aws() {
        let of = |key: &str| {
            let source = Source { key: key.into(), ..Source::default() };
            source.account_and_region().map(|part| part.map(str::to_owned))
        };
        let both = [Some("123456789012".to_owned()), Some("eu-west-1".to_owned())];
        assert_eq!(of("p/AWSLogs/123456789012/elasticloadbalancing/eu-west-1/2026/x.gz"), both);
        assert_eq!(of("AWSLogs/o-1/123456789012/elasticloadbalancing/eu-west-1/2026/x.gz"), both);
        for key in
            ["x.gz", "AWSLogs/1/elasticloadbalancing/eu-west-1/x.gz", "123456789012/elasticloadbalancing"]
        {
            assert_eq!(of(key), [None, None], "{key}");
        }
    }
}
