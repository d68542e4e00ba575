//! The fields of a line's columns. Each format has its own code, in which each column is a step with a
//! constant name and kind. The processor predicts the branches of such a step well.

use super::out::{NAME_BYTES, Name, Out};
use super::scan::Ends;
use super::value;
use crate::format::{Column, Format, Kind, Shape};
use crate::values::is_like_address;

/// Returns the maximum number of bytes of names and punctuation in the fields of a format.
pub(super) fn bytes_max(format: Format) -> usize {
    // An address has two fields.
    2 * (NAME_BYTES + 1) * format.columns().len()
}

/// Column `I` of format `F`, an index into [`Format::ALL`].
struct At<const F: usize, const I: usize>;

impl<const F: usize, const I: usize> At<F, I> {
    /// The column. No format has as many columns as there are steps, and no line has a value for the surplus
    /// steps.
    const COLUMN: Column = match Format::ALL[F].columns() {
        columns if I < columns.len() => columns[I],
        _ => Column { name: "", kind: Kind::Text },
    };
    /// True if lines without this column exist.
    const IS_OPTIONAL: bool = I >= Format::ALL[F].columns_min();
    /// Quotes around its values.
    const SHAPE: Shape = Format::ALL[F].shape(I);
    /// Name of the field; the name of the address if the column has a port.
    const NAME: Name = match Self::COLUMN.kind {
        Kind::Address { ip, .. } => Name::of_text(ip),
        Kind::EventTime | Kind::Time | Kind::Text | Kind::Ip => Name::of_text(Self::COLUMN.name),
        Kind::Number | Kind::Seconds => Name::of_number(Self::COLUMN.name),
    };
    /// Name of the port.
    const PORT: Name = match Self::COLUMN.kind {
        Kind::Address { port, .. } => Name::of_number(port),
        _ => Name::of_number(""),
    };

    /// Adds the field of the value at `start..end`, or none for the value that means absence. `None` if the
    /// value is not of the simplest kind.
    #[inline(always)]
    fn put(out: &mut Out<'_>, line: &[u8], start: u32, end: u32) -> Option<()> {
        let length = end - start;
        let value = &line[start as usize..];
        if length <= 1 && (length == 0 || value[0] == b'-') {
            return Some(());
        }
        match const { Self::COLUMN.kind } {
            Kind::EventTime | Kind::Text => out.put_field(&Self::NAME, line, start, length, true),
            Kind::Time if value::is_time(value, length as usize) => {
                out.put_field(&Self::NAME, line, start, length, true);
            }
            Kind::Ip if value::is_ipv4(value, length as usize) => {
                out.put_field(&Self::NAME, line, start, length, true);
            }
            Kind::Number if value::is_integer(value, length as usize) => {
                out.put_field(&Self::NAME, line, start, length, false);
            }
            Kind::Seconds if value::is_number(value, length as usize) => {
                out.put_field(&Self::NAME, line, start, length, false);
            }
            Kind::Seconds if length == 2 && value.starts_with(b"-1") => {}
            Kind::Time | Kind::Ip | Kind::Number | Kind::Seconds => return None,
            Kind::Address { .. } => {
                let colon = value::colon(value, length as usize)? as u32;
                out.put_field(&Self::NAME, line, start, colon, true);
                out.put_field(&Self::PORT, line, start + colon + 1, length - colon - 1, false);
            }
        }
        Some(())
    }
}

/// Returns the value of column `index`, without the quotes around it. `None` if it lacks the quotes of `shape`, or has
/// some where that allows none.
#[inline(always)]
pub(super) fn locate(line: &[u8], ends: &Ends, index: usize, shape: Shape) -> Option<[u32; 2]> {
    let start = if index == 0 { 0 } else { ends.at[index.saturating_sub(1)] + 1 };
    let end = ends.at[index];
    let is_quoted = line[start as usize] == b'"';
    let fits = match shape {
        Shape::Bare => !is_quoted,
        Shape::Address => !is_quoted && is_like_address(&line[start as usize..end as usize]),
        Shape::Quoted => is_quoted,
        Shape::Either | Shape::List => true,
    };
    let quote = u32::from(is_quoted);
    fits.then_some([start + quote, end - quote])
}

/// Adds the fields of a line of format `F`, with values that end at `ends`. `None` if a value is not of the simplest
/// kind.
#[inline(always)]
pub(super) fn put<'v, const F: usize>(mut out: Out<'v>, line: &[u8], ends: &Ends) -> Option<Out<'v>> {
    macro_rules! steps {
        ($($step:literal)*) => { 'steps: { $(
            if $step < const { Format::ALL[F].columns().len() } {
                if At::<F, $step>::IS_OPTIONAL && $step == ends.count {
                    break 'steps;
                }
                let [start, end] = locate(line, ends, $step, At::<F, $step>::SHAPE)?;
                At::<F, $step>::put(&mut out, line, start, end)?;
            }
        )* } };
    }
    const { assert!(Format::ALL[F].columns().len() < 40, "a step for each column, and one more") };
    steps! {
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
    }
    Some(out)
}
