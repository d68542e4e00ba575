//! Pattern of the branches whose pushes are released.

use crate::model::text::{InvalidText, checked_text};

checked_text! {
    /// A name of branches in which each `*` stands for any text, slashes included: `feature/*`.
    ///
    /// No branch's name holds a star, so a pattern without one is the name of a branch.
    BranchPattern,
    InvalidText("not a pattern of branches (a name in which * stands for any text, such as feature/*)"),
    is_pattern
}

fn is_pattern(pattern: &str) -> bool {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?[\\".contains(c);
    (1..=244).contains(&pattern.len())
        && !pattern.contains(forbidden)
        && !pattern.contains("..")
        && !pattern.starts_with(['-', '/'])
        && !pattern.starts_with("refs/")
        && !pattern.ends_with('/')
}

impl BranchPattern {
    /// Returns true if the pattern names `branch`.
    pub fn matches(&self, branch: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| branch.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // Each part at its first place leaves the most for those after it.
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> BranchPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (text, yes, no) in [
            (
                "feature/*",
                &["feature/x", "feature/x/y", "feature/"][..],
                &["feature", "features/x", "my/feature/x"][..],
            ),
            ("*", &["main", "a/b"], &[]),
            ("fix", &["fix"], &["fix2", "a/fix", "Fix", ""]),
            ("*-rc", &["1-rc", "-rc"], &["1-rc1", "rc"]),
            ("a*b*c", &["abc", "axbxc", "abbcc", "abcbc"], &["ab", "acb", "abcd"]),
            ("ab*ba", &["abba", "abxba"], &["aba"]),
            ("*a*a*", &["aa", "xaxax"], &["a", "x"]),
        ] {
            for branch in yes {
                assert!(pattern(text).matches(branch), "{text} {branch}");
            }
            for branch in no {
                assert!(!pattern(text).matches(branch), "{text} {branch}");
            }
        }
    }

    #[test]
    fn a_text_that_names_no_branch_is_refused() {
        for bad in ["", "-x", "/x", "x/", "a b", "a..b", "a?b", "[ab]", "refs/heads/*", "a\u{7}", "a\\b"] {
            assert!(bad.parse::<BranchPattern>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_as_its_regular_expression(text in "[ab*/]{1,8}", branch in "[ab/]{0,10}") {
            if let Ok(pattern) = text.parse::<BranchPattern>() {
                let same = text.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
                let same = regex::Regex::new(&format!("^{same}$")).unwrap();
                prop_assert_eq!(pattern.matches(&branch), same.is_match(&branch));
            }
        }
    }
}
