//! S19: the text of an author clears an operator's terminal and writes an approval of its own.
//!
//! Fails without the filter of everything that is printed (`domain::model::visible`).

use lockstep_domain::model::visible::{is_hidden, json, line, lines};

#[test]
fn no_text_of_an_author_controls_a_terminal() {
    for evil in [
        "\u{1b}[2J\u{1b}[31mAPPROVED\u{7}",
        "a\u{202e}b",
        "\u{9b}2J",
        "a\u{200b}b",
        "\u{2066}x\u{2069}",
        "a\rb",
    ] {
        for shown in [lines(evil), line(evil), json(evil)] {
            assert!(!shown.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t'), "{shown:?}");
        }
    }
}
