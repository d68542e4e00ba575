//! The fields of a line in the Elastic Common Schema, by the layout of its format. As in `columns.rs`, each step is
//! code of its own.

use super::columns::locate;
use super::head::Padded;
use super::out::{Name, Opened, Out, Suffix};
use super::request;
use super::scan::Ends;
use super::value;
use crate::ecs::parts::{Request, Span, TLS_VERSIONS, scaled, validity};
use crate::ecs::{Field, Part, Step};
use crate::format::{Column, Format, Kind, Shape};

/// Maximum depth of the objects of an event.
const DEPTH_MAX: usize = 6;
/// Maximum number of steps of a layout.
const STEPS_MAX: usize = 80;

/// Returns the maximum number of bytes of names and punctuation in the fields of a format.
pub(super) fn bytes_max(format: Format) -> usize {
    let bytes = |step: &Step| match step {
        Step::Open(name) => name.len() + 4,
        Step::Value(field) if field.part == Part::TlsVersion => 2 * TLS_BYTES_MAX,
        // Punctuation, and the digits of a sum.
        Step::Value(field) => field.name.len() + 30,
        Step::Close | Step::Object | Step::Extra => 2,
    };
    format.layout().iter().map(bytes).sum()
}

/// Maximum number of bytes of the fields of a TLS version.
const TLS_BYTES_MAX: usize = 48;

/// State between the steps of a line.
struct State {
    opened: [Opened; DEPTH_MAX],
    /// The request line: its offset and its parts.
    request: Option<(u32, Request)>,
    /// The port of the last address: its offset and length.
    port: Option<(u32, u32)>,
    /// The validity of a certificate: its offset, and its two times.
    validity: Option<(u32, [Span; 2])>,
}

/// Step `I` of the layout of format `F`, an index into [`Format::ALL`].
struct At<const F: usize, const I: usize>;

impl<const F: usize, const I: usize> At<F, I> {
    const FORMAT: Format = Format::ALL[F];
    /// The step. No layout has as many steps as there are here.
    const STEP: Step = match Self::FORMAT.layout() {
        layout if I < layout.len() => layout[I],
        _ => Step::Extra,
    };
    /// Number of open objects before the step.
    const DEPTH: usize = {
        let (layout, mut depth, mut at) = (Self::FORMAT.layout(), 1, 0);
        while at < I && at < layout.len() {
            match layout[at] {
                Step::Open(_) => depth += 1,
                Step::Object => depth += 2,
                Step::Close => depth -= 1,
                Step::Value(_) | Step::Extra => {}
            }
            at += 1;
        }
        assert!(depth < DEPTH_MAX, "an event is deeper than its state");
        depth
    };
    /// True if the object that the step closes may have no members: it began with [`Step::Open`].
    const MAY_BE_EMPTY: bool = {
        let (layout, mut level, mut at, mut open) = (Self::FORMAT.layout(), 1, 0, false);
        while at < I && at < layout.len() {
            match layout[at] {
                Step::Open(_) => {
                    level += 1;
                    if level == Self::DEPTH {
                        open = true;
                    }
                }
                Step::Object => {
                    level += 2;
                    if level >= Self::DEPTH {
                        open = false;
                    }
                }
                Step::Close => level -= 1,
                Step::Value(_) | Step::Extra => {}
            }
            at += 1;
        }
        open
    };
    const FIELD: Field = match Self::STEP {
        Step::Value(field) => field,
        _ => Field { name: "", column: Self::FORMAT.columns()[0].name, part: Part::Whole },
    };
    /// Index of the column.
    const INDEX: usize = Self::FORMAT.column(Self::FIELD.column);
    const COLUMN: Column = Self::FORMAT.columns()[Self::INDEX];
    /// True if lines without the column exist.
    const IS_OPTIONAL: bool = Self::INDEX >= Self::FORMAT.columns_min();
    const SHAPE: Shape = Self::FORMAT.shape(Self::INDEX);
    /// True for a part of a value that an earlier step read.
    const IS_REMEMBERED: bool = matches!(
        Self::FIELD.part,
        Part::Port
            | Part::NotBefore
            | Part::NotAfter
            | Part::Method
            | Part::HttpVersion
            | Part::Url
            | Part::Scheme
            | Part::Domain
            | Part::UrlPort
            | Part::Path
            | Part::Query
    );
    const IS_NUMBER: bool = matches!(
        (Self::FIELD.part, Self::COLUMN.kind),
        (Part::Whole, Kind::Number | Kind::Seconds)
            | (Part::Port | Part::UrlPort | Part::OfSeconds | Part::OfMilliseconds | Part::OfThree, _)
    );
    const NAME: Name = {
        let name = Name::new("\"").and(Self::FIELD.name);
        match Self::FIELD.part {
            Part::Time => name.and("\":\"").with(Suffix::TIME),
            _ if Self::IS_NUMBER => name.and("\":").with(Suffix::NUMBER),
            _ => name.and("\":\"").with(Suffix::TEXT),
        }
    };
    const OPENING: Name = match Self::STEP {
        Step::Open(name) => Name::new("\"").and(name).and("\":{"),
        _ => Name::new(""),
    };
    /// The members of each TLS version.
    const TLS: [Name; TLS_VERSIONS.len()] = {
        let mut names = [const { Name::new("") }; TLS_VERSIONS.len()];
        if matches!(Self::FIELD.part, Part::TlsVersion) {
            let mut at = 0;
            while at < names.len() {
                let (_, version, protocol) = TLS_VERSIONS[at];
                let name = Name::new("\"").and(Self::FIELD.name).and("\":\"").and(version).and("\",\"");
                names[at] = name.and(Self::FIELD.name).and("_protocol\":\"").and(protocol).and("\",");
                assert!(
                    names[at].length() <= TLS_BYTES_MAX,
                    "the fields of a TLS version are longer than their room"
                );
                at += 1;
            }
        }
        names
    };

    #[inline(always)]
    fn put(
        out: &mut Out<'_>,
        line: &[u8],
        ends: &Ends,
        before_elb: &Padded,
        state: &mut State,
    ) -> Option<()> {
        match const { Self::STEP } {
            Step::Open(_) => state.opened[Self::DEPTH] = out.open(&Self::OPENING),
            Step::Close if Self::MAY_BE_EMPTY => out.close(state.opened[Self::DEPTH - 1]),
            Step::Close => out.end(),
            Step::Object => before_elb.put(out),
            Step::Extra => {}
            Step::Value(_) => return Self::put_value(out, line, ends, state),
        }
        Some(())
    }

    /// Adds a field, or none for the value that means absence. `None` if the value is not of the simplest kind.
    #[inline(always)]
    fn put_value(out: &mut Out<'_>, line: &[u8], ends: &Ends, state: &mut State) -> Option<()> {
        if Self::IS_REMEMBERED {
            Self::put_remembered(out, line, state);
            return Some(());
        }
        if let Part::Ip = Self::FIELD.part {
            state.port = None;
        }
        if Self::IS_OPTIONAL && Self::INDEX >= ends.count {
            return Some(());
        }
        let [start, end] = locate(line, ends, Self::INDEX, Self::SHAPE)?;
        let length = end - start;
        let value = &line[start as usize..];
        if length <= 1 && (length == 0 || value[0] == b'-') {
            return Some(());
        }
        let bytes = length as usize;
        match const { Self::FIELD.part } {
            Part::Whole => return Self::put_whole(out, line, start, length),
            Part::Ip => {
                let colon = value::colon(value, bytes)? as u32;
                out.put_member(&Self::NAME, line, start, colon);
                state.port = Some((start + colon + 1, length - colon - 1));
            }
            Part::Time => {
                if !value::is_time(value, bytes) {
                    return None;
                }
                let digits = length - u32::from(value[bytes - 1] == b'Z');
                out.put_member(&Self::NAME, line, start, digits);
            }
            Part::OfSeconds | Part::OfMilliseconds | Part::OfThree => {
                if let Some(nanoseconds) = Self::duration(line, ends, &value[..bytes], value)? {
                    out.put_number(&Self::NAME, nanoseconds);
                }
            }
            Part::NoRequest => match request::split(value, bytes) {
                Some(request) => state.request = Some((start, request)),
                None => out.put_member(&Self::NAME, line, start, length),
            },
            Part::TlsVersion => match value::tls_version(value, bytes) {
                Some(known) => out.put_name(&const { &Self::TLS }[known]),
                None => out.put_member(&Self::NAME, line, start, length),
            },
            Part::NoValidity => match validity(&value[..bytes]) {
                Some(times) => state.validity = Some((start, times)),
                None => out.put_member(&Self::NAME, line, start, length),
            },
            _ => unreachable!("`put_remembered` adds the parts of values that were read before"),
        }
        Some(())
    }

    /// Adds a part of a value that an earlier step read.
    #[inline(always)]
    fn put_remembered(out: &mut Out<'_>, line: &[u8], state: &State) {
        match const { Self::FIELD.part } {
            Part::Port => {
                if let Some((start, length)) = state.port {
                    out.put_member(&Self::NAME, line, start, length);
                }
            }
            Part::NotBefore | Part::NotAfter => {
                if let Some((start, times)) = state.validity {
                    let span = times[usize::from(matches!(Self::FIELD.part, Part::NotAfter))];
                    out.put_member(&Self::NAME, line, start + span.start, span.length);
                }
            }
            _ => Self::put_of_request(out, line, state),
        }
    }

    /// Returns a duration in nanoseconds; `Some(None)` for the value that means absence, and `None` if it is not of the
    /// simplest kind. `text` is the value, with what is behind it.
    #[inline(always)]
    fn duration(line: &[u8], ends: &Ends, value: &[u8], text: &[u8]) -> Option<Option<u64>> {
        match const { Self::FIELD.part } {
            Part::OfThree => sum::<F>(line, ends, Self::INDEX),
            _ if value == b"-1" => Some(None),
            Part::OfSeconds => value::nanoseconds(text, value.len()).map(Some),
            _ if value::is_number(text, value.len()) => scaled(value, 6).map(Some),
            _ => None,
        }
    }

    /// Adds a value as it is.
    #[inline(always)]
    fn put_whole(out: &mut Out<'_>, line: &[u8], start: u32, length: u32) -> Option<()> {
        let (value, bytes) = (&line[start as usize..], length as usize);
        let fits = match const { Self::COLUMN.kind } {
            Kind::Text => true,
            Kind::Ip => value::is_ipv4(value, bytes),
            Kind::Number => value::is_integer(value, bytes),
            Kind::Seconds if length == 2 && value.starts_with(b"-1") => return Some(()),
            Kind::Seconds => value::is_number(value, bytes),
            Kind::EventTime | Kind::Time | Kind::Address { .. } => {
                unreachable!("a layout writes them in parts")
            }
        };
        if !fits {
            return None;
        }
        out.put_member(&Self::NAME, line, start, length);
        Some(())
    }

    /// Adds a part of the request line.
    #[inline(always)]
    fn put_of_request(out: &mut Out<'_>, line: &[u8], state: &State) {
        let Some((start, request)) = &state.request else { return };
        let span = request.span(const { Self::FIELD.part });
        if span.length > 0 {
            out.put_member(&Self::NAME, line, start + span.start, span.length);
        }
    }
}

/// Returns the sum of three durations from column `index` on, in nanoseconds; `Some(None)` if one has no value, and `None`
/// if one is not of the simplest kind.
#[inline(always)]
fn sum<const F: usize>(line: &[u8], ends: &Ends, index: usize) -> Option<Option<u64>> {
    let mut sum = 0;
    for column in index..index + 3 {
        let [start, end] = locate(line, ends, column, Shape::Bare)?;
        let (value, bytes) = (&line[start as usize..], (end - start) as usize);
        match &value[..bytes] {
            b"" | b"-" | b"-1" => return Some(None),
            _ => sum += value::nanoseconds(value, bytes)?,
        }
    }
    Some(Some(sum))
}

/// Adds the fields of a line of format `F`, with values that end at `ends`. `None` if a value is not of the simplest
/// kind.
#[inline(always)]
pub(super) fn put<'v, const F: usize>(
    mut out: Out<'v>,
    line: &[u8],
    ends: &Ends,
    before_elb: &Padded,
) -> Option<Out<'v>> {
    let mut state =
        State { opened: [Opened::default(); DEPTH_MAX], request: None, port: None, validity: None };
    macro_rules! steps {
        ($($step:literal)*) => { $(
            if $step < const { Format::ALL[F].layout().len() } {
                At::<F, $step>::put(&mut out, line, ends, before_elb, &mut state)?;
            }
        )* };
    }
    const { assert!(Format::ALL[F].layout().len() <= STEPS_MAX, "a step of code for each step of a layout") };
    steps! {
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
        40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76
        77 78 79
    }
    Some(out)
}
