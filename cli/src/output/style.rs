//! Colours of a terminal. Every text passes the filter of hidden characters before it gets one.

use lockstep_domain::model::visible;

/// The style of a part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No colour.
    Plain,
    /// What is less important.
    Dim,
    /// What succeeded.
    Good,
    /// What failed.
    Bad,
    /// What wants a person.
    Asking,
    /// What runs.
    Running,
}

impl Style {
    /// Returns the parameter of the control sequence that selects the style (ECMA-48, 8.3.117).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Good => Some("32"),
            Self::Bad => Some("31"),
            Self::Asking => Some("33"),
            Self::Running => Some("36"),
        }
    }
}

/// Returns a text for one line of a terminal, in a style if `colour` is true. Hidden characters of the text are escaped.
pub fn paint(text: &str, style: Style, colour: bool) -> String {
    let shown = visible::line(text);
    match style.code().filter(|_| colour && !shown.is_empty()) {
        Some(code) => format!("\u{1b}[{code}m{shown}\u{1b}[0m"),
        None => shown.into_owned(),
    }
}

/// Returns true if the output is coloured: `NO_COLOR` forbids it (<https://no-color.org>), `CLICOLOR_FORCE` demands it
/// (<https://bixense.com/clicolors>), and otherwise a terminal is coloured.
pub fn is_coloured(variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let is_set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if is_set("NO_COLOR").is_some() {
        return false;
    }
    is_set("CLICOLOR_FORCE").is_some_and(|value| value != "0")
        || (is_terminal && variable("TERM").as_deref() != Some("dumb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_the_terminal_decide_about_colours() {
        let with = |set: &[(&str, &str)], is_terminal| {
            let value =
                |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
            is_coloured(value, is_terminal)
        };
        assert!(with(&[], true) && !with(&[], false));
        assert!(!with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(with(&[("NO_COLOR", "")], true), "an empty NO_COLOR is not set");
        assert!(with(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!with(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!with(&[("TERM", "dumb")], true));
    }

    #[test]
    fn no_text_of_an_author_colours_a_terminal() {
        let hostile = "\u{1b}[31mred";
        assert_eq!(paint(hostile, Style::Plain, true), "\\u{1b}[31mred");
        assert_eq!(paint(hostile, Style::Good, true), "\u{1b}[32m\\u{1b}[31mred\u{1b}[0m");
        assert_eq!(paint("", Style::Good, true), "");
    }
}
