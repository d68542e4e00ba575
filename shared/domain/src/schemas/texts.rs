//! Schemas of types whose stored form is one text or one number.
//!
//! Each pattern admits what the constructor of its type admits. A test compares both on a corpus.

use crate::delivery::checks::{Deadline, HttpTarget, Pattern, Statuses, TcpTarget};
use crate::delivery::manifest::{Day, PropertyPath, RelativePath, TagValue};
use crate::model::base_image::{ImageOwner, NamePattern, ParameterName};
use crate::model::ids::{AccountId, ComponentName, ImageName, LogicalId, Region, StageName};
use crate::model::image_constraint::ImageConstraint;
use crate::model::look_interval::LookInterval;
use crate::model::person::PersonId;
use crate::model::version::MajorMinor;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Implements the schema of types that are one text: its pattern, and its maximum length.
macro_rules! texts {
    ($($name:ident: $pattern:expr, $most:literal;)+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "maxLength": $most })
            }
        }
    )+};
}

/// Lower-case letters, digits and single inner hyphens, starting with a letter.
const SLUG: &str = "^[a-z](-?[a-z0-9])*$";

texts! {
    AccountId: "^[0-9]{12}$", 12;
    ComponentName: SLUG, 60;
    Day: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", 10;
    HttpTarget: r"^([Hh][Tt][Tt][Pp][Ss]?:|\$\{outputs\.)\S*$", 4000;
    ImageConstraint: r"^[a-z](-?[a-z0-9])*@\s*(\*|(=|>=?|<=?|~|\^)?\s*[0-9xX*]+(\.[0-9xX*]+){0,2}(\+[0-9A-Za-z.-]+)?)(\s*,\s*(=|>=?|<=?|~|\^)?\s*[0-9xX*]+(\.[0-9xX*]+){0,2}(\+[0-9A-Za-z.-]+)?)*\s*$", 161;
    ImageName: SLUG, 60;
    ImageOwner: "^([0-9]{12}|amazon|aws-marketplace)$", 15;
    LogicalId: "^[A-Za-z0-9]+$", 255;
    LookInterval: r"^rate\((1 (hour|day)|([2-9]|[1-9][0-9]|[1-6][0-9]{2}|7[01][0-9]|720) hours|([2-9]|[12][0-9]|30) days)\)$", 15;
    MajorMinor: r"^(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})$", 21;
    NamePattern: r"^[*?]*([A-Za-z0-9()\[\] ./'@_-][*?]*){3,}$", 128;
    ParameterName: "^/aws/service/[A-Za-z0-9/._-]*$", 500;
    Pattern: "", 1000;
    PersonId: r"^([a-z][a-z0-9._-]{0,63}|user:AIDA[A-Z0-9]+|session:[A-Za-z0-9+=,.@_-]{2,64})$", 133;
    PropertyPath: r"^/[^\x00-\x1f\x7f-\x9f]+$", 300;
    Region: "^[a-z][a-z0-9]*(-[a-z0-9]+)+-[a-z0-9]*[0-9]$", 25;
    RelativePath: r"^(\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3}[A-Za-z0-9._-]*)(/(\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3}[A-Za-z0-9._-]*))*$", 200;
    StageName: SLUG, 20;
    TagValue: "^[A-Za-z0-9_.:/=+@-]([A-Za-z0-9 _.:/=+@-]*[A-Za-z0-9_.:/=+@-])?$", 128;
    TcpTarget: r"^(\$\{outputs\.[A-Za-z0-9]+\}|.+:.*[0-9}])$", 4000;
}

impl JsonSchema for Deadline {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Deadline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (least, most) = (Self::MIN.duration().as_secs(), Self::MAX.duration().as_secs());
        json_schema!({ "type": "integer", "minimum": least, "maximum": most })
    }
}

impl JsonSchema for Statuses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let status = json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 });
        json_schema!({ "anyOf": [status, { "type": "array", "items": status, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemas::validator::admits;
    use std::fmt::Display;
    use std::str::FromStr;

    /// Texts of every kind: names, versions, paths, URLs, and near misses of each.
    const TEXTS: &[&str] = &[
        "",
        " ",
        "a",
        "A",
        "1",
        "a-b",
        "a--b",
        "rate(1 hour)",
        "rate(1 hours)",
        "rate(06 hours)",
        "rate(99 hours)",
        "rate(719 hours)",
        "rate(720 hours)",
        "rate(721 hours)",
        "rate(30 days)",
        "rate(31 days)",
        "rate(6 hour)",
        "rate(6 minutes)",
        "-a",
        "a-",
        "ab1",
        "a_b",
        "a.b",
        "Ab1",
        "é",
        "a b",
        " a",
        "a ",
        "a\nb",
        "a\tb",
        "123456789012",
        "12345678901",
        "1234567890123",
        "12345678901a",
        "amazon",
        "aws-marketplace",
        "eu-west-1",
        "us-gov-west-1",
        "eu-west",
        "eu-west-a",
        "euwest1",
        "eu--1",
        "EU-west-1",
        "1.0",
        "0.1",
        "01.0",
        "1.00",
        "1",
        "1.0.0",
        "1.x",
        "v1.0",
        "4294967295.0",
        "1.0-a",
        "1.0+a",
        "2026-01-01",
        "2026-1-1",
        "2026-01-01T00:00:00Z",
        "20260101",
        "template.yaml",
        "a/b.yaml",
        "../a",
        "a/../b",
        "./a",
        "a/.",
        ".hidden",
        "..a",
        "...",
        "a//b",
        "/a",
        "a/",
        "ü.yaml",
        "/DesiredCapacity",
        "/",
        "/a/b",
        "/a\u{1}",
        "DesiredCapacity",
        "logstash@^2.1",
        "logstash@2.1",
        "logstash@=2.1.37",
        "logstash@~2",
        "logstash@*",
        "logstash@>=1, <3",
        "logstash@2.x",
        "logstash@",
        "logstash",
        "@1",
        "logstash@a",
        "logstash@1@2",
        "Logstash@1",
        "logstash@ ^2 ",
        "logstash@1.2.3-rc.1",
        "logstash@^",
        "https://a.example/health",
        "http://a",
        "HTTPS://A",
        "ftp://a",
        "https://",
        "a.example",
        "${outputs.Url}",
        "${outputs.Url}/x",
        "https://${outputs.Host}/",
        "https://a b",
        "tcp://a:1",
        "a.example:443",
        "a:1",
        "a:0",
        "a:99999",
        "a:",
        ":1",
        "${outputs.Address}",
        "${outputs.Host}:${outputs.Port}",
        "${outputs.Host}:80",
        "/aws/service/ami",
        "/aws/service/",
        "/aws/other",
        "/aws/service/a b",
        "ubuntu/images/*",
        "ab*",
        "*",
        "abc",
        "a*b?c",
        "abcé",
        "ada",
        "user:AIDACKCEVSQ6C2EXAMPLE",
        "user:AIDA",
        "user:x",
        "session:ada@acme.com",
        "session:a",
        "Ada",
        "ada:x",
    ];

    /// Compares a type with its pattern on every text, and on a text that is too long.
    fn compare<T: JsonSchema + FromStr<Err: Display>>(exact: bool) {
        let schema = T::json_schema(&mut SchemaGenerator::default()).to_value();
        let long = "a".repeat(5000);
        let mut accepted = 0;
        for text in TEXTS.iter().copied().chain([long.as_str()]) {
            let (parsed, admitted) = (text.parse::<T>().is_ok(), admits(&schema, &schema, &text.into()));
            assert!(admitted || !parsed, "{}: the schema refuses {text:?}", T::schema_name());
            assert!(parsed || !admitted || !exact, "{}: the schema admits {text:?}", T::schema_name());
            accepted += usize::from(parsed);
        }
        assert!(accepted > 0, "{} accepts no text of the corpus", T::schema_name());
    }

    #[test]
    fn each_pattern_admits_what_the_type_admits() {
        compare::<AccountId>(true);
        compare::<ComponentName>(true);
        compare::<ImageName>(true);
        compare::<ImageOwner>(true);
        compare::<LogicalId>(true);
        compare::<LookInterval>(true);
        compare::<MajorMinor>(true);
        compare::<NamePattern>(true);
        compare::<ParameterName>(true);
        compare::<PersonId>(false);
        compare::<PropertyPath>(true);
        compare::<Region>(true);
        compare::<RelativePath>(true);
        compare::<StageName>(true);
        compare::<TagValue>(true);
        compare::<ImageConstraint>(true);
        // The calendar, URLs and regular expressions are the parser's.
        compare::<Day>(false);
        compare::<HttpTarget>(false);
        compare::<Pattern>(false);
        compare::<TcpTarget>(false);
    }
}
