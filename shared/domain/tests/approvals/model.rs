//! The reference model of approvals, written from `docs/security.md`, "People and approvals". It imports nothing of the
//! product: texts and numbers alone. It tries each possible identity of an unknown person instead of counting.

/// Seconds for which an approval counts.
const VALID: i64 = 24 * 60 * 60;

/// An identity: its kind (`user`, `center`, `role`, `github`, `root`) and its key.
pub type Identity = (&'static str, String);

/// The content of a `people.toml`.
pub struct Book {
    /// Each person's name with the kinds (`users`, `sessions`, `github`) and keys of the entry.
    pub entries: Vec<(String, Vec<(&'static str, String)>)>,
    /// True if the role of `role` sessions is registered.
    pub role_is_registered: bool,
}

/// An approval rule.
pub struct Rule {
    /// The list, or `None`.
    pub from: Option<Vec<String>>,
    /// Number of approvals.
    pub count: usize,
    /// True if the starter is excluded.
    pub not_starter: bool,
    /// True if the author is excluded.
    pub not_author: bool,
}

/// An answer: its time in seconds, the caller and the word (`approve`, `refuse`, `withdraw`).
pub type Answer = (i64, Identity, &'static str);

/// Returns the person of an identity, or an empty text for an unknown one.
pub fn person(book: &Book, identity: &Identity) -> String {
    let (kind, key) = identity;
    // Rules 1 to 5 of "Who is a person".
    let (list, key) = match *kind {
        "user" => ("users", key.clone()),
        "center" => ("sessions", key.to_lowercase()),
        "role" if book.role_is_registered => ("sessions", key.to_lowercase()),
        "github" => ("github", key.to_lowercase()),
        _ => return String::new(),
    };
    // Rule 6.
    for (name, identities) in &book.entries {
        for (of, text) in identities {
            let text = if *of == "users" { text.clone() } else { text.to_lowercase() };
            if *of == list && text == key {
                return name.clone();
            }
        }
    }
    match list {
        "users" => format!("user:{key}"),
        "sessions" => format!("session:{key}"),
        // Rule 8: an account that no entry claims is unknown.
        _ => String::new(),
    }
}

/// Returns `passes`, `waits` or `refused`. `starter` and `author` are people; an empty text is an unknown one.
pub fn outcome(
    book: &Book,
    rule: &Rule,
    starter: &str,
    author: &str,
    answers: &[Answer],
    now: i64,
) -> &'static str {
    // Rule 2 of "When a question passes".
    if answers.iter().any(|(_, _, word)| *word == "refuse") {
        return "refused";
    }
    // Rules 3, 4 and 5: walk from the newest answer to the oldest and keep the first of each person.
    let mut seen: Vec<String> = Vec::new();
    let mut approvers: Vec<String> = Vec::new();
    for (at, identity, word) in answers.iter().rev() {
        let who = person(book, identity);
        if who.is_empty() || seen.contains(&who) {
            continue;
        }
        seen.push(who.clone());
        let listed = match &rule.from {
            None => true,
            Some(list) => list.contains(&who),
        };
        if *word == "approve" && listed && now - at < VALID {
            approvers.push(who);
        }
    }
    // Rules 6 and 7: an excluded person who is unknown may be each of the approvers, or another person.
    let candidates = |excluded: bool, who: &str| -> Vec<String> {
        if !excluded {
            return vec![String::new()];
        }
        if !who.is_empty() {
            return vec![who.to_owned()];
        }
        let mut all = approvers.clone();
        all.push("another person".to_owned());
        all
    };
    for possible_starter in candidates(rule.not_starter, starter) {
        for possible_author in candidates(rule.not_author, author) {
            let left =
                approvers.iter().filter(|who| **who != possible_starter && **who != possible_author).count();
            // Rule 8.
            if left < rule.count {
                return "waits";
            }
        }
    }
    "passes"
}
