//! Synthetic logs of load balancers from a seed, for tests, soaks and measurements.
//!
//! The same seed gives the same bytes on every machine and in every version, so tests may name counts.

use crate::format::Format;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Expected result of a line, by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The line becomes an event.
    Event,
    /// The line is quarantined.
    Malformed,
}

/// Generator of lines.
#[derive(Clone, Debug)]
pub struct Synthetic {
    format: Format,
    random: Random,
    /// Number of odd lines per thousand.
    odd_per_thousand: u64,
    /// Microseconds since midnight.
    clock: u64,
}

impl Synthetic {
    /// Returns a generator of lines of `format`, each of which becomes an event.
    pub fn new(format: Format, seed: u64) -> Self {
        Self { format, random: Random(seed), odd_per_thousand: 0, clock: 0 }
    }

    /// Makes that many of a thousand lines odd: not ASCII, not UTF-8, with unknown columns, with quotes
    /// between columns, or malformed in some way.
    #[must_use]
    pub fn odd(mut self, per_thousand: u64) -> Self {
        self.odd_per_thousand = per_thousand;
        self
    }

    /// Adds the next line, with its line feed, and returns the expected result.
    pub fn line(&mut self, out: &mut Vec<u8>) -> Expected {
        // A day has 86,400 seconds, and the clock wraps at its end.
        self.clock = (self.clock + self.random.below(40_000)) % 86_400_000_000;
        let start = out.len();
        let random = &mut self.random;
        match self.format {
            Format::Classic => classic(out, random, self.clock),
            Format::Alb => alb(out, random, self.clock),
            Format::Nlb => nlb(out, random, self.clock),
            Format::AlbConnection => connection(out, random, self.clock),
            Format::AlbHealthCheck => health_check(out, random, self.clock),
        }
        let expected = if self.random.below(1000) < self.odd_per_thousand {
            odd(out, start, &mut self.random)
        } else {
            Expected::Event
        };
        out.push(b'\n');
        expected
    }

    /// Returns that many lines, and the number of malformed ones.
    pub fn lines(&mut self, count: u64) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        let malformed = (0..count).filter(|_| self.line(&mut out) == Expected::Malformed).count();
        (out, malformed as u64)
    }
}

/// Compresses text as load balancers do: gzip, one member.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// Makes the line at `start` odd.
fn odd(out: &mut Vec<u8>, start: usize, random: &mut Random) -> Expected {
    match random.below(8) {
        0 => {
            const MALFORMED: &[&[u8]] =
                &[b"", b"-", b"Enable AccessLog", b"\xff\xfe\x00", b"a b c d e f g h"];
            out.truncate(start);
            out.extend_from_slice(random.pick::<&[u8]>(MALFORMED));
            Expected::Malformed
        }
        1 => {
            let cut = start + (out.len() - start) / 4;
            out.truncate(cut);
            Expected::Malformed
        }
        2 => {
            out.extend_from_slice(b" 192.0.2.1");
            Expected::Event
        }
        3 => {
            out.push(b'\r');
            Expected::Event
        }
        4 => {
            // Insert before the last space, where no reading explains a quote that no space follows.
            let at = start + out[start..].iter().rposition(|&byte| byte == b' ').expect("a line has columns");
            out.splice(at..at, *b" a\"b c\\\"d");
            Expected::Malformed
        }
        kind => {
            let text: &[u8] = match kind {
                5 => "Größe=42€".as_bytes(),
                6 => b"\xe2\x28\xa1\xff",
                _ => b"tab\there\x01\x7f",
            };
            // Insert into a name, so that the other columns do not change.
            let names: [&[u8]; 2] = [b"my-", b"O=E"];
            let name = out[start..].windows(3).position(|part| names.contains(&part));
            let at = start + name.expect("each format has a name") + 3;
            out.splice(at..at, text.iter().copied());
            Expected::Event
        }
    }
}

fn classic(out: &mut Vec<u8>, random: &mut Random, clock: u64) {
    let (request, secure) = request(random);
    text(
        out,
        format_args!(
            "{} my-loadbalancer {} {} {} {} {} {} {} {} {} \"{request}\" \"{}\" {}",
            time(clock),
            client(random),
            target(random),
            seconds(random, 6),
            seconds(random, 6),
            seconds(random, 6),
            status(random),
            status(random),
            random.below(4000),
            random.below(90_000),
            random.pick(USER_AGENTS),
            if secure { "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2" } else { "- -" },
        ),
    );
}

fn alb(out: &mut Vec<u8>, random: &mut Random, clock: u64) {
    let (request, secure) = request(random);
    let (scheme, tls, domain, certificate) = if secure {
        let certificate =
            "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012";
        (random.pick(&["https", "h2"]), "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2", "www.example.com", certificate)
    } else {
        (&"http", "- -", "-", "-")
    };
    let (target, code) = (target(random), status(random));
    let (handled, target_code) = if code == 504 {
        ("-1 -1 -1".into(), "-".into())
    } else {
        (format!("{} {} {}", seconds(random, 3), seconds(random, 3), seconds(random, 3)), code.to_string())
    };
    text(
        out,
        format_args!(
            "{scheme} {} app/my-loadbalancer/50dc6c495c0c9188 {} {target} {handled} {code} {target_code} {} {} \
         \"{request}\" \"{}\" {tls} arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
         \"Root=1-{:08x}-{:016x}{:08x}\" \"{domain}\" \"{certificate}\" {} {} \"{}\" \"-\" \"-\" \"{target}\" \"{target_code}\" \
         \"-\" \"-\" TID_{:016x}{:016x} \"-\" \"-\" \"-\"",
            time(clock),
            client(random),
            random.below(4000),
            random.below(90_000),
            random.pick(USER_AGENTS),
            random.next() as u32,
            random.next(),
            random.next() as u32,
            random.below(20),
            time(clock.saturating_sub(70_000)),
            random.pick(&["forward", "forward", "waf,forward", "authenticate,forward"]),
            random.next(),
            random.next(),
        ),
    );
}

fn nlb(out: &mut Vec<u8>, random: &mut Random, clock: u64) {
    let alpn = random.pick(&["- - -", "h2 h2 \"h2\",\"http/1.1\""]);
    text(
        out,
        format_args!(
            "tls 2.0 {} net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd {} {} {} {} {} {} - \
         arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - \
         ECDHE-RSA-AES128-SHA tlsv12 - my-network-loadbalancer.example.com {alpn} {}",
            &time(clock)[..19],
            client(random),
            target(random),
            random.below(60_000),
            random.below(200),
            random.below(90_000),
            random.below(900_000),
            &time(clock.saturating_sub(9_000_000))[..19],
        ),
    );
}

fn connection(out: &mut Vec<u8>, random: &mut Random, clock: u64) {
    let client = client(random);
    let (ip, port) = client.split_once(':').expect("an address has a port");
    text(
        out,
        format_args!(
            "{} {ip} {port} 443 TLSv1.3 TLS_AES_128_GCM_SHA256 {} \"CN=client{},O=Example,C=DE\" \
         NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z {:016X} {} TID_{:016x}{:016x} X25519",
            time(clock),
            seconds(random, 3),
            random.below(500),
            random.next(),
            random.pick(&["Success", "Success", "Failed:ClientCertUntrusted"]),
            random.next(),
            random.next(),
        ),
    );
}

fn health_check(out: &mut Vec<u8>, random: &mut Random, clock: u64) {
    let outcome = random.pick(&["PASS 200 -", "PASS 200 -", "FAIL 502 TargetError", "FAIL - TimedOut"]);
    text(
        out,
        format_args!("http {} {} {} my-targets {outcome}", time(clock), seconds(random, 9), target(random)),
    );
}

fn text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes every byte");
}

/// Returns a time of a day in 2026.
fn time(clock: u64) -> String {
    let (seconds, micros) = (clock / 1_000_000, clock % 1_000_000);
    format!("2026-11-26T{:02}:{:02}:{:02}.{micros:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn client(random: &mut Random) -> String {
    let host = random.below(3000);
    format!("203.0.{}.{}:{}", host / 250, host % 250, 1024 + random.below(64_000))
}

fn target(random: &mut Random) -> String {
    format!("10.0.{}.{}:8080", random.below(3), 10 + random.below(12))
}

fn seconds(random: &mut Random, digits: usize) -> String {
    // Most durations are short, a few are long.
    let most = if random.below(50) == 0 { 5_000_000 } else { 90_000 };
    format!("{:.digits$}", random.below(most) as f64 / 1e6)
}

fn status(random: &mut Random) -> u64 {
    *random.pick(&[200, 200, 200, 200, 200, 200, 200, 201, 204, 301, 304, 304, 400, 404, 500, 504])
}

/// Returns a request line, and true if it came over TLS.
fn request(random: &mut Random) -> (String, bool) {
    let secure = random.below(4) > 0;
    let scheme = if secure { "https://www.example.com:443" } else { "http://www.example.com:80" };
    let method = random.pick(&["GET", "GET", "GET", "POST", "PUT"]);
    let path = random.pick(PATHS);
    let version = if secure { "HTTP/2.0" } else { "HTTP/1.1" };
    let request = match random.below(3) {
        0 => format!("{method} {scheme}/{path} {version}"),
        1 => format!("{method} {scheme}/{path}/{} {version}", random.below(1_000_000)),
        _ => format!(
            "{method} {scheme}/{path}?page={}&session={:016x}&q=rust+lambda {version}",
            random.below(40),
            random.next()
        ),
    };
    (request, secure)
}

const PATHS: &[&str] = &[
    "",
    "api/v2/orders",
    "api/v2/customers",
    "assets/app.4f1d2c.js",
    "assets/app.9b8e7a.css",
    "health",
    "login",
    "api/v2/invoices/search",
    "images/logo.svg",
    "api/v1/devices/telemetry",
    "checkout/cart",
    "search",
];

const USER_AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "curl/8.15.0",
    "okhttp/5.1.0",
    "-",
];

/// SplitMix64, by Sebastiano Vigna (public domain). Any seed is valid.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}
