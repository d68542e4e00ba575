//! Tests that docs/elb-logs.md lists every field of every format, in order, and no other.

use lockstep_access_log::Format;
use lockstep_access_log::format::Kind;

#[test]
fn every_column_is_in_the_table_of_its_format() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/elb-logs.md");
    let document = std::fs::read_to_string(path).unwrap();
    for format in Format::ALL {
        let heading = format!("### `{}`\n", format.name());
        let section = document.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}")).1;
        let section = &section[..section.find("\n#").unwrap_or(section.len())];
        let rows: Vec<[&str; 2]> = section
            .lines()
            .filter_map(|row| match row.split('|').map(str::trim).collect::<Vec<_>>()[..] {
                ["", number, _, field, kind, ""] if number.parse::<usize>().is_ok() => Some([field, kind]),
                _ => None,
            })
            .collect();
        let wanted: Vec<[String; 2]> = format
            .columns()
            .iter()
            .map(|column| match column.kind {
                Kind::EventTime => [format!("`{}`", column.name), "time; also `@timestamp`".into()],
                Kind::Text => [format!("`{}`", column.name), "text".into()],
                Kind::Number => [format!("`{}`", column.name), "number".into()],
                Kind::Seconds => [format!("`{}`", column.name), "duration".into()],
                Kind::Ip => [format!("`{}`", column.name), "address".into()],
                Kind::Address { ip, port } => [format!("`{ip}`, `{port}`"), "address, number".into()],
            })
            .collect();
        assert_eq!(rows, wanted, "{}", format.name());
    }
}
