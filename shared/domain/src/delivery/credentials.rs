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

/// Number of lines below its name in which a secret access key is searched (`Name: …` and `Value: …` of a container).
const LINES_BELOW_NAME: usize = 1;

/// Number of bytes behind its name in which a secret access key is searched; it also bounds the work on one long line
/// of names.
const BYTES_BEHIND_NAME: usize = 256;

/// A format of credentials with a recognisable prefix.
struct Format {
    what: &'static str,
    pattern: Regex,
}

/// The formats, from their publishers' pages:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>,
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github>,
/// <https://docs.gitlab.com/security/tokens/>, <https://docs.slack.dev/authentication/tokens/>, RFC 7468 for PEM.
static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let format = |what, pattern| Format { what, pattern: regex(pattern) };
    vec![
        format("an AWS access key id", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        format(
            "a private key",
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]",
        ),
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

/// A run of the characters of secret access keys.
static BASE64_RUN: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9/+]{40,}"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a literal pattern compiles")
}

/// Returns each possible credential in `text` as a problem of `file` at its line, in the order of the lines; at most
/// 100. The text may be binary, or of any encoding that keeps ASCII.
///
/// The search covers AWS access key ids, AWS secret access keys beside their name, private keys, and tokens of GitHub,
/// GitLab and Slack. The result never contains the match.
pub fn find_credentials(file: &str, text: &[u8]) -> Vec<Problem> {
    let formats =
        FORMATS.iter().flat_map(|format| format.pattern.find_iter(text).map(|m| (m.start(), format.what)));
    let secrets = secret_access_keys(text).into_iter().map(|at| (at, "an AWS secret access key"));
    let mut found: Vec<(usize, &str)> = formats.chain(secrets).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(FINDINGS_MAX);
    let mut lines = Lines { text, counted_to: 0, line: 1 };
    found
        .into_iter()
        .map(|(at, what)| Problem::at(file, lines.of(at), advice(what, prefix(text, at))))
        .collect()
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
    for name in SECRET_NAME.find_iter(text) {
        let near = beside(&text[name.end()..]);
        let runs = BASE64_RUN.find_iter(near).filter(|run| looks_random(run.as_bytes()));
        keys.extend(runs.map(|run| name.end() + run.start()));
    }
    keys
}

/// Returns the bytes to search behind a name that ends at the start of `rest`.
fn beside(rest: &[u8]) -> &[u8] {
    let near = &rest[..rest.len().min(BYTES_BEHIND_NAME)];
    let mut line_ends = near.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    &near[..line_ends.nth(LINES_BELOW_NAME).unwrap_or(near.len())]
}

/// Returns true if the run may be the forty characters of a key: a hexadecimal digest lacks one of the two cases.
fn looks_random(run: &[u8]) -> bool {
    run.len() == 40
        && run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(|byte| !byte.is_ascii_alphabetic())
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
        ] {
            let text = format!("{before}{}{after}", example_secret());
            assert!(one(&text).contains("an AWS secret access key"), "{before}");
        }
    }

    #[test]
    fn forty_characters_without_a_name_or_of_one_case_are_no_key() {
        assert!(found(&format!("value: {}", example_secret())).is_empty());
        assert!(found(&format!("aws_secret_access_key: x\n\nother: {}", example_secret())).is_empty());
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
            (format!("-----BEGIN RSA {} KEY-----", "PRIVATE"), "a private key"),
            (format!("-----BEGIN {} KEY-----", "PRIVATE"), "a private key"),
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
            "ghp_short",
            "arn:aws:iam::123456789012:role/AROAEXAMPLE",
            "SecretAccessKey: !Ref Secret",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
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
