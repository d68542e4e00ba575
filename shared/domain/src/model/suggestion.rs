//! Suggestions for misspelt words, by the number of letters that differ.

/// Returns `; did you mean …?` if a known word is near, else the list of known words.
pub fn suggestion<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k (impl AsRef<str> + ?Sized + 'k)>,
) -> String {
    let known: Vec<&str> = known.into_iter().map(AsRef::as_ref).collect();
    match nearest(word, &known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known: {}", known.iter().take(20).copied().collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the known word with the fewest edits from `word`, if they are at most a third of its letters.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the number of letters to insert, remove, change or swap with a neighbour to turn `a` into `b`.
/// Ignores case (the optimal string alignment distance).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    // Names are short. A longer word is no typing error, and its comparison costs quadratic time.
    let letters = |s: &str| s.chars().take(100).map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(swap)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognised_and_another_word_is_not() {
        let known = ["template", "team", "name"];
        assert_eq!(suggestion("tempalte", &known), "; did you mean `template`?");
        assert_eq!(suggestion("nmae", &known), "; did you mean `name`?");
        assert_eq!(suggestion("Team", &known), "; did you mean `team`?");
        assert_eq!(suggestion("colour", &known), "; known: template, team, name");
        assert_eq!(suggestion("colour", &[] as &[&str]), "");
    }
}
