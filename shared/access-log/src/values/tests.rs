use super::*;
use crate::synthetic::Synthetic;
use proptest::prelude::*;

const CLASSIC: &str = r#"2026-03-01T10:00:00.5Z shop 192.0.2.7:4000 10.0.0.5:80 0.1 0.2 0.3 200 200 0 612 "{request}" "{agent}" - -"#;
const ALB: &str = r#"http 2026-03-01T10:00:00.5Z app/shop/1 192.0.2.7:4000 10.0.0.5:80 0.1 0.2 0.3 200 200 34 366 "{request}" "{agent}" - - arn:aws:tg "Root=1-5c" "-" "-" 0 2026-03-01T10:00:00.4Z "forward" "-" "-" "10.0.0.5:80" "200" "-" "-""#;

/// Returns the values of the request and the user agent of a line, and the number of values.
fn read(line: &str, format: Format, request: &str, agent: &str) -> Result<(String, String, usize), String> {
    let line = line.replace("{request}", request).replace("{agent}", agent);
    let values = of(line.as_bytes(), format).map_err(|fault| fault.to_string())?;
    let at = if format == Format::Classic { 11 } else { 12 };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    Ok((text(values[at]), text(values[at + 1]), values.len()))
}

#[test]
fn text_with_quotes_ends_where_the_next_columns_fit() {
    for (request, agent) in [
        (r#"GET http://shop:80/?q="two words" HTTP/1.1"#, "a/1"),
        (r#"GET http://shop:80/?q="" HTTP/1.1"#, "a/1"),
        ("GET / HTTP/1.1", r"C:\"),
        ("GET / HTTP/1.1", r#"an \"escaped\" one"#),
        ("GET / HTTP/1.1", r#""all" of it"#),
        ("GET / HTTP/1.1", r#"an "odd" - one"#),
        ("GET / HTTP/1.1", r#""#),
        (r#"""#, r#"""#),
    ] {
        for (line, format, count) in [(CLASSIC, Format::Classic, 15), (ALB, Format::Alb, 29)] {
            let wanted = Ok((request.to_owned(), agent.to_owned(), count));
            assert_eq!(read(line, format, request, agent), wanted, "{format:?}");
        }
    }
    // The user agent reads like the columns behind it and a further one.
    let wanted = Ok(("GET /".to_owned(), r#"" - - ""#.to_owned(), 15));
    assert_eq!(read(CLASSIC, Format::Classic, "GET /", r#"" - - ""#), wanted);
}

#[test]
fn text_that_reads_like_two_quoted_columns_is_malformed() {
    for (request, agent) in [(r#"GET /" "x"#, "a/1"), ("GET /", r#"a" "b"#), (r#"" ""#, "a/1")] {
        for (line, format) in [(CLASSIC, Format::Classic), (ALB, Format::Alb)] {
            let reason = read(line, format, request, agent).unwrap_err();
            let is_ambiguous = reason == "the quotes of the line allow more than one reading";
            assert!(is_ambiguous || reason.contains(" has a quote where no line of format "), "{reason}");
        }
    }
}

#[test]
fn columns_that_run_together_are_malformed() {
    let line = ALB.replace("\"-\" 0 2026", "\"-\"0 2026");
    assert!(read(&line, Format::Alb, "GET /", "a").is_err());
    let glued = CLASSIC.replace("\" \"{agent}", "\"\"{agent}");
    assert!(read(&glued, Format::Classic, "GET /", "a").is_err());
}

#[test]
fn lines_with_columns_of_later_years_are_read() {
    for more in [" TID_1", r#" TID_1 "-" "-" "-""#, r#" TID_1 "-" "-" "-" 192.0.2.1 "-" "-" - new"#] {
        let line = format!("{ALB}{more}");
        let count = 29 + more.matches(' ').count();
        assert_eq!(read(&line, Format::Alb, "GET /", "a").map(|read| read.2), Ok(count));
        let request = r#"GET /?q="two words" HTTP/1.1"#;
        assert_eq!(
            read(&line, Format::Alb, request, "a").map(|read| (read.0, read.2)),
            Ok((request.into(), count))
        );
    }
    let line = format!(r#"{ALB} "one too many""#);
    assert!(read(&line, Format::Alb, "GET /", "a").is_err());
}

#[test]
fn a_line_full_of_quotes_costs_no_search() {
    let quotes = r#"a" "#.repeat(20_000);
    assert!(read(ALB, Format::Alb, &quotes, "a").is_err());
}

/// Returns a line, split at its spaces outside of quotes, and the indices of the known columns in quotes.
fn split(format: Format, line: &str) -> (Vec<String>, Vec<usize>) {
    let values: Vec<String> = of(line.as_bytes(), format)
        .unwrap()
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let text = String::from_utf8(value.to_vec()).unwrap();
            let is_quoted = line.contains(&format!(" \"{text}\"")) && format.shape(index) != Shape::Bare;
            if is_quoted { format!("\"{text}\"") } else { text }
        })
        .collect();
    assert_eq!(values.join(" "), line);
    let quoted =
        (0..values.len().min(format.columns().len())).filter(|&at| values[at].starts_with('"')).collect();
    (values, quoted)
}

fn any_line() -> impl Strategy<Value = (Format, String)> {
    let formats = [Format::Classic, Format::Alb, Format::AlbConnection];
    (prop::sample::select(formats.to_vec()), any::<u64>(), prop::sample::select(vec![33, 30, 29, 36]))
        .prop_map(|(format, seed, columns)| {
            let (text, _) = Synthetic::new(format, seed).lines(1);
            let line = String::from_utf8(text).unwrap().trim_end().to_owned();
            let line = match (format, columns) {
                (Format::Alb, 36) => format!("{line} 192.0.2.1 \"-\" \"-\""),
                (Format::Alb, columns) => split(format, &line).0[..columns].join(" "),
                _ => line,
            };
            (format, line)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_quotes_is_read_right_or_not_at_all(
        (format, line) in any_line(),
        at in any::<prop::sample::Index>(),
        text in prop_oneof!["[\" a-]{0,14}", "[\" \\\\-]{0,9}", "([a-]|\" \"|\" - |\" - \"| - \"){0,4}", "[ -~]{0,60}", "\\PC{0,20}"],
    ) {
        let (mut values, quoted) = split(format, &line);
        let at = quoted[at.index(quoted.len())];
        values[at] = format!("\"{text}\"");
        let line = values.join(" ");
        if let Ok(read) = of(line.as_bytes(), format) {
            let shown: Vec<_> = read.iter().map(|value| String::from_utf8_lossy(value)).collect();
            prop_assert_eq!(read.len(), values.len(), "{}: {:?}", line, shown);
            for (index, (read, value)) in read.iter().zip(&values).enumerate() {
                prop_assert_eq!(*read, unquoted(value.as_bytes(), format.shape(index)), "{}: {:?}", line, shown);
            }
        }
    }
}

/// Texts with quotes that clients send in requests and user agents, and parts of them.
const OF_CLIENTS: [&str; 18] = [
    r#"GET http://shop.example:80/find?q="red shoes" HTTP/1.1"#,
    r#"GET http://shop.example:80/?filter={"a":["b","c d"]} HTTP/1.1"#,
    r#"GET http://shop.example:80/?x="onload="alert(1) HTTP/1.1"#,
    r#"GET http://shop.example:80/?id=1" OR ""=" HTTP/1.1"#,
    r#"POST http://shop.example:80/a\"b\" HTTP/1.1"#,
    r#"Mozilla/5.0 ("X11"; Linux)"#,
    r#""><script>document.title="x"</script>"#,
    r#"\"escaped\""#,
    r#"C:\tools\"#,
    r#"Agent\"#,
    r#"" - - "#,
    r#"" "-" ""#,
    r#"a" "b"#,
    r#""forward" "-""#,
    r#"say "hi""#,
    r#"""#,
    r#"" 200 "x"#,
    r#"192.0.2.1 "a""#,
];

/// Number of lines of each format.
const LINES: u64 = 6_000;

#[test]
fn no_line_with_quotes_within_quotes_is_shifted() {
    for format in [Format::Classic, Format::Alb, Format::AlbConnection] {
        let (mut right, mut quarantined, mut shifted) = (0, 0, Vec::new());
        for seed in 0..LINES {
            let (text, _) = Synthetic::new(format, seed).lines(1);
            let (mut values, quoted) = split(format, String::from_utf8(text).unwrap().trim_end());
            // Every text meets every column, in each order of two texts.
            let [one, other, at] = [seed % 18, seed / 18 % 18, seed / 18 / 18];
            let texts =
                [OF_CLIENTS[one as usize], OF_CLIENTS[other as usize]].map(|text| format!("\"{text}\""));
            let at = at as usize % quoted.len();
            values[quoted[at]] = texts[0].clone();
            if seed % 2 == 1 {
                values[quoted[(at + 1) % quoted.len()]] = texts[1].clone();
            }
            let line = values.join(" ");
            let own =
                |(index, value): (usize, &String)| unquoted(value.as_bytes(), format.shape(index)).to_vec();
            let wanted: Vec<Vec<u8>> = values.iter().enumerate().map(own).collect();
            match of(line.as_bytes(), format) {
                Ok(read) if read == wanted => right += 1,
                Ok(_) => shifted.push(line),
                Err(_) => quarantined += 1,
            }
        }
        println!(
            "{}: {LINES} lines, {right} read right, {quarantined} quarantined, {} shifted",
            format.name(),
            shifted.len()
        );
        assert!(right > 0 && quarantined > 0);
        assert!(shifted.is_empty(), "{}: {:?}", shifted.len(), shifted.first());
    }
}
