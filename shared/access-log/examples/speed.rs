//! Measures the conversion of log objects to events, against upper bounds and other implementations.
//!
//! ```text
//! cargo run --release -p lockstep-access-log --example speed [lines]
//! cargo run --release -p lockstep-access-log --example speed convert ecs|plain [lines]
//! ```
//!
//! All rows run in one thread, in one run, in turns. The table gives processor time. Its ratios hold on other
//! machines, its seconds do not. The second form only converts text, for a profiler that counts instructions. The
//! example needs Linux, and Python 3 for the last rows: that of the path, with the packages duckdb and chdb (ClickHouse).

use flate2::{Decompress, FlushDecompress, Status, write::GzEncoder};
use lockstep_access_log::synthetic::{Synthetic, gzip};
use lockstep_access_log::{Fields, Format, Labels, Reader, Settings, Source, count_values};
use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Approximate number of bytes in one read from S3.
const CHUNK: usize = 64 << 10;
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("memory") => {
            let megabytes = arguments.next().ok_or("how many megabytes?")?.parse()?;
            println!("{}", memory(megabytes)?);
            Ok(())
        }
        Some("convert") => {
            let fields = arguments.next().ok_or("ecs or plain?")?.parse()?;
            let count = arguments.next().map_or(Ok(20_000), |count| count.parse())?;
            let (text, _) = Synthetic::new(Format::Alb, 1).lines(count);
            let (batches, bytes) = read(&text, fields, false);
            println!("{count} lines, {batches} batches, {bytes} bytes");
            Ok(())
        }
        lines => speeds(lines.map_or(Ok(200_000), str::parse)?),
    }
}

fn speeds(count: u64) -> Result<()> {
    let (text, _) = Synthetic::new(Format::Alb, 1).lines(count);
    let object = gzip(&text);
    println!(
        "{count} ALB lines, {} bytes each on average, {:.1} MB, {:.1} : 1 by gzip; processor time of one core, median of {ROUNDS}\n",
        text.len() as u64 / count,
        text.len() as f64 / 1e6,
        text.len() as f64 / object.len() as f64
    );
    let stages: [(&str, &dyn Fn()); 8] = [
        ("inflate alone (zlib-rs)", &|| inflate(&object)),
        ("tokenize alone, by memchr", &|| tokenize(&text)),
        ("tokenize alone, with the product's code", &|| _ = black_box(count_values(&text, Format::Alb))),
        ("plain text -> NDJSON", &|| _ = read(&text, Fields::Ecs, false)),
        ("gz -> NDJSON", &|| _ = read(&object, Fields::Ecs, false)),
        ("gz -> NDJSON with AWS's names (`plain`)", &|| _ = read(&object, Fields::Plain, false)),
        ("gz -> NDJSON, every line on the plain path", &|| _ = read(&object, Fields::Ecs, true)),
        ("gz -> NDJSON by regex and serde_json", &|| regex(&object)),
    ];
    let mut times = vec![Vec::new(); stages.len()];
    for _ in 0..ROUNDS {
        for ((_, stage), times) in stages.iter().zip(&mut times) {
            let before = processor_seconds()?;
            stage();
            times.push(processor_seconds()? - before);
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let bound = medians[0] + medians[1];
    let strict_bound = medians[0] + medians[1].min(medians[2]);
    let both_alone = medians[0] + medians[3];
    let mut rows: Vec<(&str, f64)> = stages.iter().map(|(name, _)| *name).zip(medians).collect();
    rows.insert(3, ("serial bound: inflate, then memchr's tokenizer", bound));
    rows.insert(4, ("strict bound: inflate and the faster tokenizer", strict_bound));
    rows.insert(6, ("inflate, then plain text -> NDJSON", both_alone));
    rows.extend(in_python(&object)?);
    print_rows(&rows, text.len(), count, [bound, strict_bound]);
    print_events(&object, text.len(), count);
    println!("| MB of text | peak resident memory, MiB |\n|---|---|");
    for megabytes in ["1", "10", "100", "1000"] {
        let run = Command::new(std::env::current_exe()?).args(["memory", megabytes]).output()?;
        println!("| {megabytes} | {} |", String::from_utf8(run.stdout)?.trim());
    }
    Ok(())
}

/// Prints the table of speeds, each beside the serial and the strict bound.
fn print_rows(rows: &[(&str, f64)], text_bytes: usize, count: u64, [bound, strict_bound]: [f64; 2]) {
    println!(
        "| | GB/s of text | million lines/s | of the serial bound | of the strict one |\n|---|---|---|---|---|"
    );
    for (name, seconds) in rows {
        let gigabytes = text_bytes as f64 / seconds / 1e9;
        println!(
            "| {name} | {gigabytes:.3} | {:.3} | {:.3} | {:.3} |",
            count as f64 / seconds / 1e6,
            bound / seconds,
            strict_bound / seconds
        );
    }
}

/// Prints the sizes of the events.
fn print_events(object: &[u8], text_bytes: usize, count: u64) {
    let (batches, events) = read(object, Fields::Ecs, false);
    let (_, plain) = read(object, Fields::Plain, false);
    println!(
        "\n{batches} batches: {:.2} writes per MiB of text, {:.2} per MiB of events",
        batches as f64 / mebibytes(text_bytes),
        batches as f64 / mebibytes(events),
    );
    println!(
        "events are {:.2} times the text, {} bytes each; {:.3} times those with AWS's names, {} bytes each\n",
        events as f64 / text_bytes as f64,
        events as u64 / count,
        events as f64 / plain as f64,
        plain as u64 / count,
    );
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the processor time of this thread so far.
fn processor_seconds() -> Result<f64> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = schedstat.split(' ').next().ok_or("schedstat is empty")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

fn reader(fields: Fields, plainly: bool) -> Reader {
    let source = Source {
        bucket: "acme-load-balancer-logs".into(),
        key: "web/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/11/26/123456789012_elasticloadbalancing_us-east-2_\
              app.my-loadbalancer.50dc6c495c0c9188_20261126T2340Z_172.160.1.192_20sg8hgm.log.gz"
            .into(),
        version: "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY-MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo".into(),
        written: Some("2026-11-26T23:40:07Z".into()),
    };
    let labels = Labels {
        component: Some("web".into()),
        application: Some("shop".into()),
        environment: Some("production".into()),
        event_type: Some("elb".into()),
    };
    Reader::new(&source, &Settings { labels, fields, plainly, ..Settings::default() })
}

/// Does the work of the product without the network. Returns the number of batches and the bytes of their events.
fn read(object: &[u8], fields: Fields, plainly: bool) -> (usize, usize) {
    let mut reader = reader(fields, plainly);
    let (mut batches, mut bytes) = (0, 0);
    let mut add = |events: Vec<u8>| {
        batches += 1;
        bytes += black_box(events).len();
    };
    for mut chunk in object.chunks(CHUNK) {
        while let Some(batch) = reader.read(&mut chunk) {
            add(batch.events);
        }
    }
    while let Some(batch) = reader.finish() {
        add(batch.events);
    }
    (batches, bytes)
}

fn inflate(object: &[u8]) {
    text_of(object, |text| {
        black_box(text);
    });
}

/// Decompresses an object in pieces.
fn text_of(object: &[u8], mut take: impl FnMut(&[u8])) {
    let mut member = Decompress::new_gzip(15);
    let mut text = vec![0; 256 << 10];
    for mut chunk in object.chunks(CHUNK) {
        loop {
            let (in_before, out_before) = (member.total_in(), member.total_out());
            let status = member
                .decompress(chunk, &mut text, FlushDecompress::None)
                .expect("it was compressed just now");
            chunk = &chunk[(member.total_in() - in_before) as usize..];
            let put = (member.total_out() - out_before) as usize;
            take(&text[..put]);
            if status == Status::StreamEnd || (chunk.is_empty() && put < text.len()) {
                break;
            }
        }
    }
}

/// Finds every line and every value, and ignores them.
fn tokenize(text: &[u8]) {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        let line = &text[start..end];
        let mut at = 0;
        while at < line.len() {
            let value_end = if line[at] == b'"' {
                at + 2 + memchr::memchr(b'"', &line[at + 1..]).expect("quotes come in pairs")
            } else {
                memchr::memchr(b' ', &line[at..]).map_or(line.len(), |length| at + length)
            };
            black_box(&line[at..value_end]);
            at = value_end + 1;
        }
        start = end + 1;
    }
}

/// Converts an object with one regular expression a line and one map an event, the usual implementation.
fn regex(object: &[u8]) {
    let value = |column: &str| match column {
        "request"
        | "user_agent"
        | "trace_id"
        | "domain_name"
        | "chosen_cert_arn"
        | "actions_executed"
        | "redirect_url"
        | "error_reason"
        | "target_port_list"
        | "target_status_code_list"
        | "classification"
        | "classification_reason"
        | "transformed_host"
        | "transformed_uri"
        | "request_transform_status" => format!("\"(?<{column}>[^\"]*)\""),
        _ => format!("(?<{column}>[^ ]*)"),
    };
    let columns: Vec<&str> = Format::Alb.columns().iter().map(|column| column.name).take(33).collect();
    let pattern: Vec<String> = columns.iter().map(|column| value(column)).collect();
    let pattern = regex::bytes::Regex::new(&format!("^{}", pattern.join(" "))).expect("a regular expression");
    let mut locations = pattern.capture_locations();
    let mut rest = Vec::new();
    let mut events = Vec::new();
    text_of(object, |text| {
        rest.extend_from_slice(text);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &rest) {
            let line = &rest[start..end];
            start = end + 1;
            pattern.captures_read(&mut locations, line).expect("it was made to match");
            let mut event = serde_json::Map::new();
            for (index, column) in columns.iter().enumerate() {
                let (from, to) = locations.get(index + 1).expect("every group takes part");
                event.insert((*column).to_owned(), String::from_utf8_lossy(&line[from..to]).into());
            }
            event.insert("message".to_owned(), String::from_utf8_lossy(line).into());
            serde_json::to_writer(&mut events, &event).expect("memory takes every byte");
            events.push(b'\n');
            if events.len() > Settings::BATCH_BYTES {
                black_box(&events);
                events.clear();
            }
        }
        rest.drain(..start);
    });
    black_box(&events);
}

/// The usual implementation in Python.
const CSV_AND_JSON: &str = r#"
import csv, gzip, json
size = 0
with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
    for row in csv.reader(lines, delimiter=" "):
        size += len(json.dumps(dict(zip(map(str, range(len(row))), row))))
"#;

/// DuckDB, from the file to JSON, with one thread.
const DUCKDB: &str = r#"
import duckdb
database = duckdb.connect(config={"threads": 1})
rows = f"read_csv('{path}', delim=' ', quote='\"', header=false, all_varchar=true)"
database.execute(f"COPY (SELECT * FROM {rows}) TO '/dev/null' (FORMAT json)")
"#;

/// ClickHouse, from the file to JSON, with one thread.
const CLICKHOUSE: &str = r#"
import chdb, csv, gzip
with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
    columns = len(next(csv.reader(lines, delimiter=" ")))
structure = ", ".join(f"column{number} String" for number in range(columns))
settings = ("max_threads=1, format_csv_delimiter=' ', input_format_csv_allow_whitespace_or_tab_as_delimiter=1, "
    "input_format_csv_trim_whitespaces=0")
chdb.query(f"SELECT * FROM file('{path}', 'CSV', '{structure}') SETTINGS {settings}", "JSONEachRow").bytes()
"#;

/// Returns a row for each implementation in Python that is installed.
fn in_python(object: &[u8]) -> Result<Vec<(&'static str, f64)>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("object.log.gz");
    std::fs::write(&path, object)?;
    let mut rows = Vec::new();
    for (name, program) in [
        ("gz -> NDJSON by Python's gzip, csv, json", CSV_AND_JSON),
        ("gz -> NDJSON by DuckDB", DUCKDB),
        ("gz -> NDJSON by ClickHouse (chdb)", CLICKHOUSE),
    ] {
        match python(program, &path) {
            Ok(seconds) => rows.push((name, seconds)),
            Err(error) => println!("no row {name}: {error}\n"),
        }
    }
    Ok(rows)
}

/// Returns the processor seconds that a program in Python takes for the file at `path`.
fn python(program: &str, path: &Path) -> Result<f64> {
    let program = format!(
        "import sys, time\npath = sys.argv[1]\nstarted = time.process_time()\n{program}\nprint(time.process_time() - started)"
    );
    let run = Command::new("python3").args(["-c", &program]).arg(path).output()?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    Ok(String::from_utf8(run.stdout)?.trim().parse()?)
}

/// Reads a generated object, and returns the peak resident memory of this process, in MiB.
fn memory(megabytes: usize) -> Result<String> {
    let mut reader = reader(Fields::Ecs, false);
    let mut lines = Synthetic::new(Format::Alb, 1);
    let mut object = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let (mut made, mut line, mut lines_read) = (0, Vec::new(), 0);
    while made < megabytes * 1_000_000 {
        line.clear();
        lines.line(&mut line);
        object.write_all(&line)?;
        made += line.len();
        if object.get_ref().len() >= CHUNK {
            let chunk = std::mem::take(object.get_mut());
            let mut chunk = &chunk[..];
            while let Some(batch) = reader.read(&mut chunk) {
                lines_read += black_box(batch).event_count;
            }
        }
    }
    let mut chunk = &object.finish()?[..];
    while let Some(batch) = reader.read(&mut chunk).or_else(|| reader.finish()) {
        lines_read += black_box(batch).event_count;
    }
    assert_eq!(lines_read, reader.lines());
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kibibytes: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{:.1}", kibibytes / 1024.0))
}
