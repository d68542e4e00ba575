use super::*;
use proptest::prelude::*;
use regex::Regex;

fn every_character() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// Returns true by Unicode's own tables, which the crate `regex` holds.
fn by_unicode() -> impl Fn(char) -> bool {
    let hidden = Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").unwrap();
    move |c| hidden.is_match(c.encode_utf8(&mut [0; 4]))
}

#[test]
fn every_character_that_unicode_hides_is_hidden() {
    let by_unicode = by_unicode();
    let differing: Vec<char> = every_character().filter(|c| is_hidden(*c) != by_unicode(*c)).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn no_hidden_character_of_unicode_passes_a_filter() {
    for c in every_character() {
        let text = format!("a{c}b");
        let (lines, line, json) = (lines(&text), line(&text), json(&text).into_owned());
        assert!(!line.contains(is_hidden), "{c:?}");
        assert!(!lines.contains(|c| is_hidden(c) && c != '\n' && c != '\t'), "{c:?}");
        assert!(!json.contains(|c| is_hidden(c) && c != '\n'), "{c:?}");
        if !is_hidden(c) {
            assert_eq!([&line, &lines, json.as_str()], [text.as_str(); 3], "{c:?}");
        }
    }
}

#[test]
fn a_hidden_character_is_shown_as_its_escape() {
    assert_eq!(lines("\u{1b}[31mAPPROVED\u{7}\n\ta"), "\\u{1b}[31mAPPROVED\\u{7}\n\ta");
    assert_eq!(lines("a\r\nb\rc"), "a\nb\\u{d}c");
    assert_eq!(line("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
    assert_eq!(json("{\"a\u{9b}\":\n \"\u{e0041}\"}"), "{\"a\\u009b\":\n \"\\udb40\\udc41\"}");
}

proptest! {
    #[test]
    fn an_escaped_document_means_the_same(text in any::<String>()) {
        let document = serde_json::to_string_pretty(&serde_json::json!({ text.clone(): [text.clone()] })).unwrap();
        let shown = json(&document);
        prop_assert!(!shown.contains(|c| is_hidden(c) && c != '\n'));
        prop_assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            serde_json::from_str::<serde_json::Value>(&document).unwrap()
        );
    }

    #[test]
    fn filtering_again_changes_nothing(text in any::<String>()) {
        let (once, single) = (lines(&text).into_owned(), line(&text).into_owned());
        prop_assert_eq!(lines(&once), once.as_str());
        prop_assert_eq!(line(&single), single.as_str());
    }
}
