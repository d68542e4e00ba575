//! Finds credentials in packages and parameter files, so that packaging refuses them.
//!
//! A release is kept for years and has many readers, and a key in it is in every copy. A false alarm is cheap: the
//! author moves the value to Secrets Manager. A miss is not, so the example keys of AWS's documentation count too.
//!
//! A finding never repeats the match. It shows only the public prefix of the format, because problems reach commit
//! statuses and logs.

use crate::model::error::Problem;
use regex::bytes::Regex;
use std::sync::LazyLock;

/// Maximum number of findings reported for one file; more would only repeat the message.
const FINDINGS_MAX: usize = 100;

/// Number of lines above and below its name in which a secret access key is searched: an item of a parameter file has its
/// name, its value and further keys in any order.
const LINES_BESIDE_NAME: usize = 4;

/// Number of bytes on each side of its name in which a secret access key is searched; it also bounds the work on one long
/// line of names.
const BYTES_BESIDE_NAME: usize = 256;

/// Number of bytes behind the header of a private key in which its content begins. The header alone, as a script
/// searches it, is no key.
const BYTES_BEHIND_HEADER: usize = 512;

/// Maximum length of a Base64 text that is decoded: a script for an instance has at most 16 KiB.
const BASE64_BYTES_MAX: usize = 32 << 10;

/// A format of credentials with a recognisable prefix.
struct Format {
    what: &'static str,
    pattern: Regex,
    /// True if the pattern is a header, and the content must follow.
    has_content: bool,
}

/// The formats, from their publishers' pages:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>,
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github>,
/// <https://docs.gitlab.com/security/tokens/>, <https://docs.slack.dev/authentication/tokens/>, RFC 7468 for PEM.
static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let format = |what, pattern| Format { what, pattern: regex(pattern), has_content: false };
    vec![
        format("an AWS access key id", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        Format {
            has_content: true,
            ..format(
                "a private key",
                r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]",
            )
        },
        format("a GitHub token", r"\b(?:gh[oprsu]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})"),
        format(
            "a GitLab token",
            r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[A-Za-z0-9_.-]{20,255}",
        ),
        format("a Slack token", r"\b(?:xox[a-z]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255})"),
        format(
            "a Slack webhook",
            r"hooks\.slack\.com/services/T[A-Za-z0-9_]+/B[A-Za-z0-9_]+/[A-Za-z0-9]{16,}",
        ),
    ]
});

/// The names of a secret access key: `aws_secret_access_key`, `SecretAccessKey`, `AWS_SECRET_KEY`, `secretKey`.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)secret[-_. ]?(?:access[-_. ]?)?key"));

/// Short names, which other values have too: `AWS_SECRET`, `s3.secret`, `aws_sk`, `accessKey`.
static SHORT_NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)secret|\baws[-_. ]?(?:sk|key|pass(?:word)?)\b|access[-_. ]?key"));

/// Base64 of at least eighteen bytes, which may hold a credential.
static BASE64_TEXT: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9/+]{24,}={0,2}"));

/// The content of a private key, at its beginning.
static KEY_CONTENT: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9/+]{32,}"));

/// A run of the characters of secret access keys.
static BASE64_RUN: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9/+]{40,}"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a literal pattern compiles")
}

/// Returns each possible credential in `text` as a problem of `file` at its line, in the order of the lines; at most
/// 100. The text may be binary, of any encoding that keeps ASCII, of UTF-16 or UTF-32, or hold Base64 of a text.
///
/// The search covers AWS access key ids, AWS secret access keys beside their name, private keys, and tokens of GitHub,
/// GitLab and Slack. The result never contains the match.
pub fn find_credentials(file: &str, text: &[u8]) -> Vec<Problem> {
    let mut found = search(text);
    for other in other_forms(text) {
        found.extend(search(&other));
    }
    found.extend(within_base64(text));
    found.sort_unstable();
    found.dedup();
    found.truncate(FINDINGS_MAX);
    found.into_iter().map(|(line, what, prefix)| Problem::at(file, line, advice(what, prefix))).collect()
}

/// A finding: the line, the kind of the credential, and its public prefix.
type Finding = (u32, &'static str, &'static str);

fn search(text: &[u8]) -> Vec<Finding> {
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    for format in FORMATS.iter() {
        let matches = format
            .pattern
            .find_iter(text)
            .filter(|found| !format.has_content || has_content(text, found.end()));
        found.extend(matches.map(|found| (found.start(), format.what)));
    }
    found.extend(secret_access_keys(text).into_iter().map(|at| (at, "an AWS secret access key")));
    found.sort_unstable();
    found.dedup();
    found.truncate(FINDINGS_MAX);
    let mut lines = Lines { text, counted_to: 0, line: 1 };
    found.into_iter().map(|(at, what)| (lines.of(at), what, prefix(text, at))).collect()
}

/// Returns the text in the other forms in which it may hold a credential; each keeps its lines.
fn other_forms(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    // UTF-16 and UTF-32 of ASCII are ASCII with NUL in between.
    if text.contains(&0) {
        forms.push(text.iter().copied().filter(|byte| *byte != 0).collect());
    }
    // A key holds `/` and `+`, which JSON may escape and a URL must.
    static ESCAPED: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?i)(?P<slash>\\/|%2f|\\u002f|&#47;)|%2b|\\u002b|&#43;"));
    if ESCAPED.is_match(text) {
        let plain = ESCAPED.replace_all(text, |found: &regex::bytes::Captures<'_>| {
            if found.name("slash").is_some() { b"/".to_vec() } else { b"+".to_vec() }
        });
        forms.push(plain.into_owned());
    }
    forms
}

/// Returns the credentials in texts that are encoded as Base64, such as the user data of an instance.
fn within_base64(text: &[u8]) -> Vec<Finding> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let mut lines = Lines { text, counted_to: 0, line: 1 };
    let mut found = Vec::new();
    for encoded in BASE64_TEXT.find_iter(text).filter(|encoded| encoded.len() <= BASE64_BYTES_MAX) {
        let unpadded = encoded.as_bytes().trim_ascii_end().strip_suffix(b"==").unwrap_or(encoded.as_bytes());
        let unpadded = unpadded.strip_suffix(b"=").unwrap_or(unpadded);
        let Ok(decoded) = STANDARD_NO_PAD.decode(unpadded) else { continue };
        let is_text = decoded.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
        if !is_text {
            continue;
        }
        let named = [&text[from(text, encoded.start())..encoded.start()], b" ", &decoded].concat();
        let inner = search(&decoded).into_iter().chain(secret_of(&named, &decoded));
        let line = lines.of(encoded.start());
        found.extend(inner.map(|(_, what, prefix)| (line, what, prefix)));
    }
    found
}

/// Returns the finding if `decoded` alone is a secret access key and a name is before it.
fn secret_of(named: &[u8], decoded: &[u8]) -> Option<Finding> {
    let is_key = looks_random(decoded.trim_ascii()) && SECRET_NAME.is_match(named);
    is_key.then_some((1, "an AWS secret access key", ""))
}

/// Returns true if the content of a private key follows its header, which ends at `end`.
fn has_content(text: &[u8], end: usize) -> bool {
    let near = &text[end..text.len().min(end + BYTES_BEHIND_HEADER)];
    // The first line of a key holds longer words than the others.
    KEY_CONTENT
        .find_iter(near)
        .any(|run| is_mixed(run.as_bytes()) && kind_changes(run.as_bytes()) * 2 >= run.len())
}

fn advice(what: &str, prefix: &str) -> String {
    format!(
        "this looks like {what}{prefix}: revoke it, remove it, and refer to a secret in Secrets Manager or SSM instead"
    )
}

/// Returns the public prefix that identifies the format, and no further character.
fn prefix(text: &[u8], at: usize) -> &'static str {
    let known =
        ["AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghr_", "ghs_", "ghu_", "xoxb", "xoxp", "xapp"];
    let shown = [
        " (AKIA…)",
        " (ASIA…)",
        " (ABIA…)",
        " (ACCA…)",
        " (ghp_…)",
        " (gho_…)",
        " (ghr_…)",
        " (ghs_…)",
        " (ghu_…)",
        " (xoxb…)",
        " (xoxp…)",
        " (xapp…)",
    ];
    known.iter().position(|known| text[at..].starts_with(known.as_bytes())).map_or("", |index| shown[index])
}

/// Returns the offsets of secret access keys. They have no format of their own, so a name must be near.
fn secret_access_keys(text: &[u8]) -> Vec<usize> {
    let mut keys = Vec::new();
    for (name, is_key) in [(&SECRET_NAME, looks_random as fn(&[u8]) -> bool), (&SHORT_NAME, is_surely_random)]
    {
        for name in name.find_iter(text) {
            let (from, to) = (from(text, name.start()), to(text, name.end()));
            let runs = BASE64_RUN.find_iter(&text[from..to]).filter(|run| is_key(run.as_bytes()));
            // A run that the range cuts is no key.
            let whole = runs.filter(|run| {
                let cut = |at: usize| text.get(at).is_some_and(|byte| is_of_key(*byte));
                let is_cut_before = run.start() == 0 && from > 0 && cut(from - 1);
                let is_cut_behind = run.end() == to - from && cut(to);
                !is_cut_before && !is_cut_behind
            });
            keys.extend(whole.map(|run| from + run.start()));
        }
    }
    keys
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+')
}

/// Returns the start of the bytes to search before a name that starts at `start`.
fn from(text: &[u8], start: usize) -> usize {
    let first = start.saturating_sub(BYTES_BESIDE_NAME);
    let mut line_ends = (first..start).rev().filter(|at| text[*at] == b'\n');
    line_ends.nth(LINES_BESIDE_NAME).unwrap_or(first)
}

/// Returns the end of the bytes to search behind a name that ends at `end`.
fn to(text: &[u8], end: usize) -> usize {
    let last = text.len().min(end + BYTES_BESIDE_NAME);
    let mut line_ends = (end..last).filter(|at| text[*at] == b'\n');
    line_ends.nth(LINES_BESIDE_NAME).unwrap_or(last)
}

fn is_mixed(run: &[u8]) -> bool {
    run.iter().any(u8::is_ascii_uppercase) && run.iter().any(u8::is_ascii_lowercase)
}

/// Returns true if the run may be the forty characters of a key: a hexadecimal digest lacks one of the two cases.
fn looks_random(run: &[u8]) -> bool {
    run.len() == 40 && is_mixed(run) && run.iter().any(|byte| !byte.is_ascii_alphabetic())
}

/// Returns true if the run is no word either: in a name of many words, or a path, most characters are of the kind of the
/// one before them.
fn is_surely_random(run: &[u8]) -> bool {
    const CHANGES_MIN: usize = 15;
    looks_random(run) && run.iter().any(u8::is_ascii_digit) && kind_changes(run) >= CHANGES_MIN
}

/// Returns the number of characters that are of another kind than the one before them.
fn kind_changes(run: &[u8]) -> usize {
    let kind = |byte: u8| match byte {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    run.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count()
}

/// Counts lines forward only, so that a file is counted once, however many findings it has.
struct Lines<'t> {
    text: &'t [u8],
    counted_to: usize,
    line: u32,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> u32 {
        let newlines = self.text[self.counted_to..at].iter().filter(|byte| **byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted_to = at;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Assembled at run time, so that scanners of this repository find nothing.
    fn example_id() -> String {
        ["AKIA", "IOSFODNN7EXAMPLE"].concat()
    }

    fn example_secret() -> String {
        ["wJalrXUtnFEMI", "/K7MDENG/", "bPxRfiCYEXAMPLEKEY"].concat()
    }

    fn found(text: &str) -> Vec<String> {
        find_credentials("f", text.as_bytes()).iter().map(Problem::to_string).collect()
    }

    fn one(text: &str) -> String {
        let found = found(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn the_example_keys_of_aws_count_too() {
        let message = "this looks like an AWS access key id (AKIA…): revoke it, remove it, and refer to a secret in \
                       Secrets Manager or SSM instead";
        assert_eq!(one(&format!("a: b\nkey: '{}'\n", example_id())), format!("f:2: {message}"));
        assert!(one(&format!("aws_secret_access_key = {}", example_secret())).contains("secret access key:"));
    }

    #[test]
    fn a_secret_access_key_is_found_beside_every_form_of_its_name() {
        for (before, after) in [
            ("aws_secret_access_key=", ""),
            ("AWS_SECRET_ACCESS_KEY: \"", "\""),
            ("\"SecretAccessKey\" : \"", "\","),
            ("secretKey => '", "'"),
            ("export AWS_SECRET_KEY=", "\r\n"),
            ("- Name: AWS_SECRET_ACCESS_KEY\n  Value: ", "\n"),
            ("{\"Name\": \"SecretAccessKey\",\n \"Keep\": false,\n\n \"Value\": \"", "\"}"),
            ("{\"Value\": \"", "\",\n \"Keep\": false,\n \"Name\": \"SecretAccessKey\"}"),
            ("AWS_SECRET=", ""),
            ("s3.secret: ", ""),
            ("aws_sk='", "'"),
        ] {
            let secret = example_secret();
            for key in [&secret, &secret.replace('/', "\\/"), &secret.replace('/', "%2F")] {
                let text = format!("{before}{key}{after}");
                assert!(one(&text).contains("an AWS secret access key"), "{text}");
            }
        }
    }

    #[test]
    fn forty_characters_without_a_name_or_of_one_case_are_no_key() {
        assert!(found(&format!("value: {}", example_secret())).is_empty());
        assert!(found(&format!("aws_secret_access_key: x\n\n\n\n\nother: {}", example_secret())).is_empty());
        for name in ["MySecret", "aws_key"] {
            for value in
                ["DatabaseSecretAttachmentOfTheStoreE5D1B02", "secrets/of/the/platform/Team1/database/a"]
            {
                assert!(found(&format!("{name}: {value}")).is_empty(), "{value}");
            }
        }
        assert!(found("secret_key_sha1: da39a3ee5e6b4b0d3255bfef95601890afd80709").is_empty());
        assert!(found("secret_key: !GetAtt UserAccessKeyResource.SecretAccessKey").is_empty());
        assert!(
            found("AWS_SECRET_ACCESS_KEY: '{{resolve:secretsmanager:logs/broker:SecretString:key}}'")
                .is_empty()
        );
    }

    #[test]
    fn tokens_and_private_keys_are_found() {
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";
        for (token, what) in [
            (format!("ghp_{body}"), "a GitHub token (ghp_…)"),
            (format!("ghs_{body}"), "a GitHub token (ghs_…)"),
            (format!("github_pat_{body}_{body}"), "a GitHub token"),
            (format!("glpat-{body}"), "a GitLab token"),
            (format!("xoxb-123456789012-{body}"), "a Slack token (xoxb…)"),
            (format!("https://hooks.slack.com/services/T0001/B0001/{body}"), "a Slack webhook"),
            (format!("-----BEGIN RSA {} KEY-----\n  {body}", "PRIVATE"), "a private key"),
            (format!("-----BEGIN {} KEY-----\",\n\"{body}", "PRIVATE"), "a private key"),
            (format!("-----BEGIN PGP {} KEY BLOCK-----\nVersion: 1\n\n{body}", "PRIVATE"), "a private key"),
            (format!("-----BEGIN OPENSSH {} KEY-----\\n{body}", "PRIVATE"), "a private key"),
        ] {
            assert!(one(&format!("x: \"{token}\"")).contains(&format!("looks like {what}")), "{what}");
        }
    }

    #[test]
    fn text_that_only_resembles_a_credential_is_accepted() {
        for text in [
            "",
            "AKIA",
            "AKIAIOSFODNN7EXAMPL",
            "XAKIAIOSFODNN7EXAMPLES",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----",
            "grep -q '-----BEGIN RSA PRIVATE KEY-----' /etc/ssl/private/server/of/the/shop/number1/Key.pem",
            "if first == \"-----BEGIN PRIVATE KEY-----\" { return decodeThePrivateKeyOfTheServerFromText(rest) }",
            "ghp_short",
            "arn:aws:iam::123456789012:role/AROAEXAMPLE",
            "SecretAccessKey: !Ref Secret",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn each_encoding_of_a_text_is_searched() {
        use base64::Engine;
        let text = format!("\u{e9}\nset {}\naws_secret = {}\n", example_id(), example_secret());
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let bytes = |of: fn(u16) -> [u8; 2]| utf16.iter().flat_map(|unit| of(*unit)).collect::<Vec<u8>>();
        let (little, big) = (bytes(u16::to_le_bytes), bytes(u16::to_be_bytes));
        let marked = [&b"\xff\xfe"[..], &little].concat();
        let utf32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for encoded in [text.clone().into_bytes(), little, big, marked, utf32] {
            let lines: Vec<_> = find_credentials("f", &encoded).iter().map(|problem| problem.line).collect();
            assert_eq!(lines, [Some(2), Some(3)], "{encoded:?}");
        }
        let engine = base64::engine::general_purpose::STANDARD;
        let user_data = format!("a: b\nUserData: {}\n", engine.encode(&text[3..]));
        assert_eq!(found(&user_data).len(), 2);
        assert!(found(&user_data).iter().all(|line| line.starts_with("f:2: ")));
        let secret = format!("kind: Secret\nAWS_SECRET_ACCESS_KEY: {}", engine.encode(example_secret()));
        assert!(one(&secret).starts_with("f:2: this looks like an AWS secret access key"));
    }

    #[test]
    fn binary_files_are_searched_as_well() {
        let text = [b"\xff\xfe\x00\n\n".as_slice(), example_id().as_bytes(), b"\x00\xff"].concat();
        let problems = find_credentials("blob", &text);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, Some(3));
    }

    #[test]
    fn a_file_full_of_keys_gives_a_bounded_result() {
        let text = format!("{}\n", example_id()).repeat(1000);
        let problems = find_credentials("f", text.as_bytes());
        assert_eq!(problems.len(), FINDINGS_MAX);
        assert_eq!(problems.last().and_then(|p| p.line), Some(100));
    }

    #[test]
    fn a_key_is_searched_within_256_bytes_of_its_name() {
        let apart =
            |bytes: usize| found(&format!("secret_key{}{}", " ".repeat(bytes), example_secret())).len();
        assert_eq!((apart(216), apart(217)), (1, 0));
    }

    proptest! {
        #[test]
        fn a_finding_never_repeats_the_match(
            (lead, value) in prop_oneof![
                "[A-Z0-9]{16}".prop_map(|v| ("AKIA", v)),
                "[A-Z0-9]{16}".prop_map(|v| ("ASIA", v)),
                "[A-Za-z0-9]{36}".prop_map(|v| ("ghp_", v)),
                "[A-Za-z0-9_]{60}".prop_map(|v| ("github_pat_", v)),
                "[A-Za-z0-9_-]{20}".prop_map(|v| ("glpat-", v)),
                "[A-Za-z0-9-]{24}".prop_map(|v| ("xoxp-", v)),
                "[a-z]{10}[A-Z]{10}[0-9/+]{20}".prop_map(|v| ("aws_secret_access_key = ", v)),
                "[A-Za-z0-9]{24}".prop_map(|v| ("hooks.slack.com/services/T1/B1/", v)),
            ],
            before in "[ -~]{0,20}[ \n'\"]",
        ) {
            let problems = find_credentials("f", format!("{before}{lead}{value}\n").as_bytes());
            prop_assert!(!problems.is_empty());
            for problem in problems {
                let shown = format!("{problem} {problem:?}");
                let leaked = value.as_bytes().windows(6).find(|part| {
                    shown.contains(std::str::from_utf8(part).unwrap_or_default())
                });
                prop_assert_eq!(leaked, None);
            }
        }

        #[test]
        fn no_bytes_break_the_search(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let problems = find_credentials("f", &text);
            prop_assert!(problems.len() <= FINDINGS_MAX);
        }
    }
}
