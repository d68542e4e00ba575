//! Notes of a deployment log for a screen: without ARNs and with short ids.

/// Returns a note with short names: the last name of an ARN, and the beginning of tokens, digests and ids. The deployment
/// log has the whole note.
pub fn plain(note: &str) -> String {
    let words: Vec<String> = note.split(' ').map(word).collect();
    words.join(" ").replace(" (attempt 1)", "")
}

/// Returns a word with a short name, and with the punctuation around it.
fn word(word: &str) -> String {
    let is_around = |c: char| matches!(c, ',' | ';' | '.' | ':' | '(' | ')' | '"' | '\'');
    let name = word.trim_matches(is_around);
    let Some(at) = word.find(name).filter(|_| !name.is_empty()) else { return word.to_owned() };
    let (before, after) = (&word[..at], &word[at + name.len()..]);
    format!("{before}{}{after}", short(name))
}

fn short(name: &str) -> String {
    if let Some(resource) = name.strip_prefix("arn:") {
        let resource = resource.rsplit(':').next().unwrap_or_default();
        let mut parts = resource.split('/');
        let last = match (parts.next(), parts.next()) {
            (Some("stack" | "changeSet"), Some(of)) => of,
            _ => resource.rsplit('/').next().unwrap_or_default(),
        };
        return beginning(last);
    }
    beginning(name)
}

/// Returns the beginning of a client token, a digest or an id, and any other name as it is.
fn beginning(name: &str) -> String {
    const SHORT: usize = 8;
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let digits = name.strip_prefix('t').unwrap_or(name);
    let is_long = (digits.len() >= 40 && is_hex(digits)) || is_uuid(name);
    match name.get(..SHORT).filter(|_| is_long) {
        Some(beginning) => beginning.to_owned(),
        None => name.to_owned(),
    }
}

fn is_uuid(name: &str) -> bool {
    name.len() == 36
        && name.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_on_a_screen_has_no_arn_and_no_long_id() {
        let stack = "arn:aws:cloudformation:eu-west-1:222222222222:stack/test-shop/4c0f616a-24fa-42db-8e1f-0123456789ab";
        let digest = "407bc1194036482dd19e092b10619e52aaa439466e998f25a2b55fa7b89e755e";
        for (note, expected) in [
            (format!("deleting the stack {stack}"), "deleting the stack test-shop"),
            (format!("made ({stack}), done."), "made (test-shop), done."),
            (
                "making the change set t0489c20de4961a0683f544268167f0c56c71e799 (attempt 1)".to_owned(),
                "making the change set t0489c20",
            ),
            (
                "making the change set t0489c20de4961a0683f544268167f0c56c71e799 (attempt 2)".to_owned(),
                "making the change set t0489c20 (attempt 2)",
            ),
            (format!("digest {digest}: known"), "digest 407bc119: known"),
            ("arn:aws:iam::111111111111:role/lockstep-deployer".to_owned(), "lockstep-deployer"),
            (
                "passed: output BrokerPort matches ^[0-9]{1,5}$".to_owned(),
                "passed: output BrokerPort matches ^[0-9]{1,5}$",
            ),
            ("a facade of 42 bytes, t-shirts".to_owned(), "a facade of 42 bytes, t-shirts"),
            ("() .".to_owned(), "() ."),
        ] {
            assert_eq!(plain(&note), expected);
        }
    }
}
