//! Text of authors, git hosts and AWS as a terminal may show it.
//!
//! A terminal obeys control characters, reorders text at bidirectional controls, and draws nothing for other format
//! characters. A text with any of them can show a person something else than it says. Each such character is replaced by
//! its escape, so the reader sees that it was there.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The characters that no terminal may get, in order: Unicode's general categories control (`Cc`), format (`Cf`), line
/// and paragraph separator (`Zl`, `Zp`), and the property `Default_Ignorable_Code_Point`.
/// <https://www.unicode.org/reports/tr44/#General_Category_Values>
const HIDDEN: [RangeInclusive<char>; 27] = [
    '\0'..='\u{1f}',
    '\u{7f}'..='\u{9f}',
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Returns true if a terminal would obey `c`, or would show nothing for it.
pub fn is_hidden(c: char) -> bool {
    let found = HIDDEN.binary_search_by(|range| match c {
        c if c < *range.start() => std::cmp::Ordering::Greater,
        c if c > *range.end() => std::cmp::Ordering::Less,
        _ => std::cmp::Ordering::Equal,
    });
    found.is_ok()
}

/// Returns the first line of `text` without hidden characters, cut to `chars`.
pub fn first_line(text: &str, chars: usize) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|c| !is_hidden(*c)).take(chars).collect()
}

/// Returns `text` for a terminal: every hidden character but a newline or a tab as `\u{…}`. The end of a line of another
/// system becomes a newline.
pub fn lines(text: &str) -> Cow<'_, str> {
    let kept = |c: char| matches!(c, '\n' | '\t');
    if !text.chars().any(|c| is_hidden(c) && !kept(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(escaped(&text.replace("\r\n", "\n"), kept))
}

/// Returns `text` for one line of a terminal: every hidden character as `\u{…}`, the newline and the tab included.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hidden) { Cow::Owned(escaped(text, |_| false)) } else { Cow::Borrowed(text) }
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_hidden(c) && !kept(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// Returns a JSON document that means the same, with every hidden character in its strings escaped.
///
/// A writer of JSON escapes the C0 controls only. Outside of strings a document has no hidden character but the newline.
pub fn json(document: &str) -> Cow<'_, str> {
    let kept = |c: char| c == '\n';
    if !document.chars().any(|c| is_hidden(c) && !kept(c)) {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len() + 8);
    for c in document.chars() {
        if !is_hidden(c) || kept(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests;
