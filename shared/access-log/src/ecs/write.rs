//! The plain path's writer of events in the Elastic Common Schema.

use super::parts::{Request, TLS_VERSIONS, scaled, tls_version, validity};
use super::{Field, Part, Step};
use crate::event::{Pieces, base64, string};
use crate::format::Format;
use crate::line::{Parsed, Value};

/// Writes the event of a parsed line.
pub(crate) fn write(
    out: &mut Vec<u8>,
    pieces: &Pieces,
    format: Format,
    number: u64,
    line: &[u8],
    parsed: &Parsed<'_>,
) {
    pieces.write_head(out, number, parsed.time);
    let mut writer = Writer { out, format, parsed, line, opened: vec![usize::MAX] };
    for &step in format.layout() {
        writer.step(step, pieces);
    }
    out.extend_from_slice(br#""message":"#);
    string(out, line);
    out.extend_from_slice(b"}\n");
}

struct Writer<'e, 'l> {
    out: &'e mut Vec<u8>,
    format: Format,
    parsed: &'e Parsed<'l>,
    line: &'l [u8],
    /// Positions of the objects that are open.
    opened: Vec<usize>,
}

impl Writer<'_, '_> {
    fn step(&mut self, step: Step, pieces: &Pieces) {
        match step {
            Step::Open(name) => {
                self.opened.push(self.out.len());
                self.out.extend_from_slice(format!("\"{name}\":{{").as_bytes());
            }
            Step::Object => {
                self.opened.extend([self.out.len(); 2]);
                self.out.extend_from_slice(&pieces.before_elb);
            }
            Step::Close => {
                let start = self.opened.pop().expect("a layout closes what it opens");
                if self.out.ends_with(b"{") {
                    self.out.truncate(start);
                } else {
                    // The comma behind the last member.
                    self.out.pop();
                    self.out.extend_from_slice(b"},");
                }
            }
            Step::Value(field) => self.value(field),
            Step::Extra => self.extra(),
        }
    }

    fn value(&mut self, Field { name, column, part }: Field) {
        let index = self.format.column(column);
        let Some(&value) = self.parsed.values.get(index) else { return };
        match (part, value) {
            (_, Value::Absent) => {}
            (Part::Whole, Value::Text(text)) => self.text(name, text),
            (Part::Whole | Part::Port, Value::Number(digits) | Value::Address(_, digits)) => {
                self.number(name, digits);
            }
            (Part::Ip, Value::Address(ip, _)) => self.text(name, ip),
            (Part::Time, Value::Text(text)) => {
                let text = text.strip_suffix(b"Z").unwrap_or(text);
                self.text(name, &[text, b"Z"].concat());
            }
            (Part::OfSeconds, Value::Number(digits)) => self.duration(name, scaled(digits, 9)),
            (Part::OfMilliseconds, Value::Number(digits)) => self.duration(name, scaled(digits, 6)),
            (Part::OfThree, Value::Number(_)) => {
                let three = self.parsed.values[index..].iter().take(3).map(|value| match value {
                    Value::Number(digits) => scaled(digits, 9),
                    _ => None,
                });
                let sum: Option<u64> = three.sum();
                self.duration(name, sum.filter(|&sum| i64::try_from(sum).is_ok()));
            }
            (Part::TlsVersion, Value::Text(text)) => match tls_version(text) {
                Some(known) => {
                    let (_, version, protocol) = TLS_VERSIONS[known];
                    self.text(name, version.as_bytes());
                    self.text(&format!("{name}_protocol"), protocol.as_bytes());
                }
                None => self.text(name, text),
            },
            (Part::NotBefore | Part::NotAfter | Part::NoValidity, Value::Text(text)) => {
                match (part, validity(text)) {
                    (Part::NoValidity, None) => self.text(name, text),
                    (Part::NotBefore, Some([from, _])) => self.text(name, from.of(text)),
                    (Part::NotAfter, Some([_, until])) => self.text(name, until.of(text)),
                    _ => {}
                }
            }
            (_, Value::Text(text)) => self.of_request(name, part, text),
            (_, _) => unreachable!("{part:?} of a column of another kind"),
        }
    }

    /// Writes a part of a request line.
    fn of_request(&mut self, name: &str, part: Part, text: &[u8]) {
        let Some(request) = Request::split(text) else {
            if part == Part::NoRequest {
                self.text(name, text);
            }
            return;
        };
        match (request.span(part).of(text), part) {
            (b"", _) => {}
            (digits, Part::UrlPort) => self.number(name, digits),
            (text, _) => self.text(name, text),
        }
    }

    fn duration(&mut self, name: &str, nanoseconds: Option<u64>) {
        if let Some(nanoseconds) = nanoseconds {
            self.number(name, nanoseconds.to_string().as_bytes());
        }
    }

    fn text(&mut self, name: &str, text: &[u8]) {
        self.out.extend_from_slice(format!("\"{name}\":").as_bytes());
        string(self.out, text);
        self.out.push(b',');
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        self.out.extend_from_slice(format!("\"{name}\":").as_bytes());
        self.out.extend_from_slice(digits);
        self.out.push(b',');
    }

    fn extra(&mut self) {
        if !self.parsed.extra.is_empty() {
            self.out.extend_from_slice(br#""extra":["#);
            for text in &self.parsed.extra {
                string(self.out, text);
                self.out.push(b',');
            }
            self.out.pop();
            self.out.extend_from_slice(b"],");
        }
        if str::from_utf8(self.line).is_err() {
            self.out.extend_from_slice(br#""message_base64":"#);
            base64(self.out, self.line);
            self.out.push(b',');
        }
    }
}
