//! Tests that docs/elb-logs.md lists every column of every format, in order, with its fields, and no other.

use lockstep_access_log::Format;
use lockstep_access_log::format::{Column, Kind};

/// Returns the cells of a column's row: its fields, its name in plain events, and its kind.
fn row(format: Format, column: &Column) -> [String; 3] {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (plain, kind) = match column.kind {
        Kind::EventTime => (quoted(&[column.name]), "time of the event"),
        Kind::Time => (quoted(&[column.name]), "time"),
        Kind::Text => (quoted(&[column.name]), "text"),
        Kind::Number => (quoted(&[column.name]), "number"),
        Kind::Seconds => (quoted(&[column.name]), "duration"),
        Kind::Ip => (quoted(&[column.name]), "address"),
        Kind::Address { ip, port } => (quoted(&[ip, port]), "address, number"),
    };
    let fields = format.fields(column.name);
    let names: Vec<&str> = match column.kind {
        Kind::EventTime => vec!["@timestamp"],
        _ => fields.iter().map(|(name, _)| name.as_str()).collect(),
    };
    [quoted(&names), plain, kind.to_owned()]
}

#[test]
fn every_column_is_in_the_table_of_its_format() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/elb-logs.md");
    let document = std::fs::read_to_string(path).unwrap();
    for format in Format::ALL {
        let heading = format!("### `{}`\n", format.name());
        let section = document.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}")).1;
        let section = &section[..section.find("\n#").unwrap_or(section.len())];
        let rows: Vec<[String; 3]> = section
            .lines()
            .filter_map(|row| match row.split('|').map(str::trim).collect::<Vec<_>>()[..] {
                ["", number, _, fields, plain, kind, ""] if number.parse::<usize>().is_ok() => {
                    Some([fields, plain, kind].map(str::to_owned))
                }
                _ => None,
            })
            .collect();
        let wanted: Vec<[String; 3]> = format.columns().iter().map(|column| row(*format, column)).collect();
        for row in &wanted {
            assert!(!row[0].is_empty() && rows.contains(row), "{}: | {} |", format.name(), row.join(" | "));
        }
        assert_eq!(rows, wanted, "{}", format.name());
    }
}
