//! Scanner from characters to tokens.
//!
//! A key such as `Name:` has no mark in front of it. The scanner therefore remembers where a key may have started, one
//! place for each level of flow collections, and inserts the token of the key when it reaches the colon. YAML limits such
//! a key to one line and 1024 characters, which bounds the work for each token.

use super::{Text, Token, TokenData};
use crate::stacks::template::node::Fault;
use std::collections::{BTreeMap, VecDeque};

/// Maximum number of characters between the start of a key without a mark and its colon.
const KEY_CHARS_MAX: usize = 1024;

/// Character behind the end of the text. The text itself has none, since it is not printable.
pub(super) const END: char = '\0';

/// Returns the first character that YAML 1.1 does not allow, with its line.
fn unprintable(text: &str) -> Option<Fault> {
    let is_printable = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    let (at, c) = text.char_indices().find(|(_, c)| !is_printable(*c))?;
    let line = 1 + text[..at].matches('\n').count();
    let message = format!("this cannot be read: YAML has no character U+{:04X}", u32::from(c));
    Some(Fault::new(u32::try_from(line).unwrap_or(u32::MAX), message))
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns true for a space, a tab, a line break and the end of the text.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | END) || is_break(c)
}

/// Place where a key without a mark may have started.
struct PossibleKey {
    token: usize,
    at: usize,
    line: u32,
    column: isize,
    /// True where the indentation allows nothing but a key.
    is_required: bool,
}

pub(super) struct Scanner {
    chars: Vec<char>,
    pub(super) at: usize,
    pub(super) line: u32,
    pub(super) column: isize,
    pub(super) flow_level: usize,
    tokens: VecDeque<Token>,
    tokens_taken: usize,
    is_done: bool,
    /// Column of the current block; -1 outside of every block.
    pub(super) indent: isize,
    indents: Vec<isize>,
    pub(super) allows_key: bool,
    possible_keys: BTreeMap<usize, PossibleKey>,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Result<Self, Fault> {
        match unprintable(text) {
            Some(fault) => Err(fault),
            None => Ok(Self {
                chars: text.chars().collect(),
                at: 0,
                line: 1,
                column: 0,
                flow_level: 0,
                tokens: VecDeque::new(),
                tokens_taken: 0,
                is_done: false,
                indent: -1,
                indents: Vec::new(),
                allows_key: true,
                possible_keys: BTreeMap::new(),
            }),
        }
    }

    /// Returns the next token without taking it.
    pub(super) fn peek(&mut self) -> Result<&Token, Fault> {
        while self.needs_tokens()? {
            self.fetch()?;
        }
        // The scanner produces the end of the stream once, and the parser does not read beyond it.
        self.tokens.front().ok_or_else(|| Fault::new(self.line, "this cannot be read: the file ended"))
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Result<Token, Fault> {
        self.peek()?;
        self.tokens_taken += 1;
        self.tokens.pop_front().ok_or_else(|| Fault::new(self.line, "this cannot be read: the file ended"))
    }

    /// Returns the character `ahead` places from here.
    pub(super) fn char(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or(END)
    }

    /// Moves over `count` characters that are no line breaks.
    pub(super) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.chars.len());
        self.column += isize::try_from(count).unwrap_or(isize::MAX);
    }

    /// Moves over `count` characters that are no line breaks and returns them.
    pub(super) fn run(&mut self, count: usize) -> String {
        let end = (self.at + count).min(self.chars.len());
        let run = self.chars[self.at..end].iter().collect();
        self.skip(count);
        run
    }

    /// Moves over a line break, if there is one. Returns it as a text holds it.
    pub(super) fn line_break(&mut self) -> &'static str {
        let (length, text) = match (self.char(0), self.char(1)) {
            ('\r', '\n') => (2, "\n"),
            ('\r' | '\n' | '\u{85}', _) => (1, "\n"),
            ('\u{2028}', _) => (1, "\u{2028}"),
            ('\u{2029}', _) => (1, "\u{2029}"),
            _ => return "",
        };
        self.at += length;
        self.line = self.line.saturating_add(1);
        self.column = 0;
        text
    }

    pub(super) fn fault<T>(&self, message: &str) -> Result<T, Fault> {
        Err(Fault::new(self.line, format!("this cannot be read: {message}")))
    }

    /// Returns true at `---` or `...` in the first column, which end a document.
    pub(super) fn at_document_mark(&self) -> bool {
        let mark = [self.char(0), self.char(1), self.char(2)];
        self.column == 0 && (mark == ['-'; 3] || mark == ['.'; 3]) && is_blank(self.char(3))
    }

    fn needs_tokens(&mut self) -> Result<bool, Fault> {
        if self.is_done {
            return Ok(false);
        }
        if self.tokens.is_empty() {
            return Ok(true);
        }
        self.drop_stale_keys()?;
        Ok(self.possible_keys.values().any(|key| key.token == self.tokens_taken))
    }

    fn fetch(&mut self) -> Result<(), Fault> {
        self.skip_to_token();
        self.drop_stale_keys()?;
        self.unwind(self.column);
        let (c, next) = (self.char(0), self.char(1));
        let is_flow = self.flow_level > 0;
        match c {
            END => self.stream_end(),
            '%' if self.column == 0 => self.directive(),
            '-' | '.' if self.at_document_mark() => self.document_mark(c),
            '[' => self.flow_start(TokenData::FlowListStart),
            '{' => self.flow_start(TokenData::FlowMapStart),
            ']' => self.flow_end(TokenData::FlowListEnd),
            '}' => self.flow_end(TokenData::FlowMapEnd),
            ',' if is_flow => self.comma(),
            '-' if is_blank(next) => self.item(),
            '?' if is_flow || is_blank(next) => self.key(),
            ':' if is_flow || is_blank(next) => self.value(),
            '*' => self.anchor(TokenData::Alias),
            '&' => self.anchor(TokenData::Anchor),
            '!' => self.tag(),
            '|' | '>' if !is_flow => self.block_scalar(),
            '\'' | '"' => self.quoted(),
            '-' | '?' | ':' if !is_blank(next) => self.plain(),
            ',' | '#' | '|' | '>' | '%' | '@' | '`' | '-' | '?' | ':' => {
                self.fault(&format!("a value cannot start with '{c}': put it in quotes"))
            }
            '\t' => self.fault("a tab cannot indent: use spaces"),
            _ => self.plain(),
        }
    }

    pub(super) fn push(&mut self, line: u32, data: TokenData) {
        self.tokens.push_back(Token { line, data });
    }

    fn skip_to_token(&mut self) {
        loop {
            while self.char(0) == ' ' || self.char(0) == '\t' && (self.flow_level > 0 || !self.allows_key) {
                self.skip(1);
            }
            if self.char(0) == '#' {
                while self.char(0) != END && !is_break(self.char(0)) {
                    self.skip(1);
                }
            }
            if self.line_break().is_empty() {
                return;
            }
            if self.flow_level == 0 {
                self.allows_key = true;
            }
        }
    }

    fn drop_stale_keys(&mut self) -> Result<(), Fault> {
        let (line, at) = (self.line, self.at);
        let is_stale = |key: &PossibleKey| key.line != line || at - key.at > KEY_CHARS_MAX;
        if let Some(key) = self.possible_keys.values().find(|key| key.is_required && is_stale(key)) {
            return Err(Fault::new(key.line, "this cannot be read: a ':' is missing behind the key"));
        }
        self.possible_keys.retain(|_, key| !is_stale(key));
        Ok(())
    }

    /// Remembers that a key may start here.
    fn save_key(&mut self) -> Result<(), Fault> {
        let is_required = self.flow_level == 0 && self.indent == self.column;
        if self.allows_key {
            self.remove_key()?;
            let token = self.tokens_taken + self.tokens.len();
            let key = PossibleKey { token, at: self.at, line: self.line, column: self.column, is_required };
            self.possible_keys.insert(self.flow_level, key);
        }
        Ok(())
    }

    fn remove_key(&mut self) -> Result<(), Fault> {
        match self.possible_keys.remove(&self.flow_level) {
            Some(key) if key.is_required => {
                Err(Fault::new(key.line, "this cannot be read: a ':' is missing behind the key"))
            }
            _ => Ok(()),
        }
    }

    /// Ends the blocks that are deeper than `column`.
    fn unwind(&mut self, column: isize) {
        while self.flow_level == 0 && self.indent > column {
            self.indent = self.indents.pop().unwrap_or(-1);
            self.push(self.line, TokenData::BlockEnd);
        }
    }

    /// Starts a block at `column` if it is deeper than the current one.
    fn add_indent(&mut self, column: isize) -> bool {
        let is_deeper = self.indent < column;
        if is_deeper {
            self.indents.push(self.indent);
            self.indent = column;
        }
        is_deeper
    }

    fn stream_end(&mut self) -> Result<(), Fault> {
        self.unwind(-1);
        self.remove_key()?;
        self.allows_key = false;
        self.possible_keys.clear();
        self.push(self.line, TokenData::StreamEnd);
        self.is_done = true;
        Ok(())
    }

    fn directive(&mut self) -> Result<(), Fault> {
        self.unwind(-1);
        self.remove_key()?;
        self.allows_key = false;
        let length = (0..).find(|&n| matches!(self.char(n), END) || is_break(self.char(n))).unwrap_or(0);
        let text = self.run(length);
        let mut words = text.split_whitespace().take_while(|word| !word.starts_with('#'));
        let tag = match (words.next(), words.next(), words.next()) {
            (Some("%TAG"), Some(handle), Some(prefix)) => Some((handle.to_owned(), prefix.to_owned())),
            _ => None,
        };
        self.push(self.line, TokenData::Directive(tag));
        Ok(())
    }

    fn document_mark(&mut self, mark: char) -> Result<(), Fault> {
        self.unwind(-1);
        self.remove_key()?;
        self.allows_key = false;
        self.skip(3);
        self.push(self.line, if mark == '-' { TokenData::DocumentStart } else { TokenData::DocumentEnd });
        Ok(())
    }

    fn flow_start(&mut self, token: TokenData) -> Result<(), Fault> {
        self.save_key()?;
        self.flow_level += 1;
        self.allows_key = true;
        self.push(self.line, token);
        self.skip(1);
        Ok(())
    }

    fn flow_end(&mut self, token: TokenData) -> Result<(), Fault> {
        self.remove_key()?;
        self.flow_level = self.flow_level.saturating_sub(1);
        self.allows_key = false;
        self.push(self.line, token);
        self.skip(1);
        Ok(())
    }

    fn comma(&mut self) -> Result<(), Fault> {
        self.remove_key()?;
        self.allows_key = true;
        self.push(self.line, TokenData::Comma);
        self.skip(1);
        Ok(())
    }

    fn item(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.allows_key {
                return self.fault("a list cannot start here");
            }
            if self.add_indent(self.column) {
                self.push(self.line, TokenData::BlockListStart);
            }
        }
        self.remove_key()?;
        self.allows_key = true;
        self.push(self.line, TokenData::Item);
        self.skip(1);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.allows_key {
                return self.fault("a key cannot start here");
            }
            if self.add_indent(self.column) {
                self.push(self.line, TokenData::BlockMapStart);
            }
        }
        self.remove_key()?;
        self.allows_key = self.flow_level == 0;
        self.push(self.line, TokenData::Key);
        self.skip(1);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        if let Some(key) = self.possible_keys.remove(&self.flow_level) {
            let place = key.token - self.tokens_taken;
            self.tokens.insert(place, Token { line: key.line, data: TokenData::Key });
            if self.flow_level == 0 && self.add_indent(key.column) {
                self.tokens.insert(place, Token { line: key.line, data: TokenData::BlockMapStart });
            }
            self.allows_key = false;
        } else {
            if self.flow_level == 0 {
                if !self.allows_key {
                    return self.fault("a ':' cannot stand here: put the text in quotes");
                }
                if self.add_indent(self.column) {
                    self.push(self.line, TokenData::BlockMapStart);
                }
            }
            self.allows_key = self.flow_level == 0;
            self.remove_key()?;
        }
        self.push(self.line, TokenData::Value);
        self.skip(1);
        Ok(())
    }

    fn anchor(&mut self, token: TokenData) -> Result<(), Fault> {
        self.save_key()?;
        self.allows_key = false;
        self.push(self.line, token);
        self.skip(1);
        let mut length = 0;
        while self.char(length).is_ascii_alphanumeric() || matches!(self.char(length), '-' | '_') {
            length += 1;
        }
        self.skip(length);
        let is_end = is_blank(self.char(0)) || "?:,]}%@`".contains(self.char(0));
        if length == 0 || !is_end {
            self.fault("put a text that starts with '*' or '&' in quotes")
        } else {
            Ok(())
        }
    }

    fn tag(&mut self) -> Result<(), Fault> {
        self.save_key()?;
        self.allows_key = false;
        let line = self.line;
        let (handle, suffix) = if self.char(1) == '<' {
            self.skip(2);
            let suffix = self.tag_suffix(true);
            if self.char(0) != '>' {
                return self.fault("a '>' is missing behind the tag");
            }
            self.skip(1);
            (None, suffix)
        } else if is_blank(self.char(1)) {
            self.skip(1);
            (None, "!".to_owned())
        } else {
            let mut length = 1;
            while self.char(length).is_ascii_alphanumeric() || matches!(self.char(length), '-' | '_') {
                length += 1;
            }
            let handle = self.run(if self.char(length) == '!' { length + 1 } else { 1 });
            (Some(handle), self.tag_suffix(false))
        };
        let is_over = is_blank(self.char(0)) || (self.flow_level > 0 && self.char(0) == ',');
        if !is_over {
            return self.fault("a tag ends with a space");
        }
        self.push(line, TokenData::Tag(handle, suffix));
        Ok(())
    }

    /// Takes the characters that a tag may have, its escapes replaced. A verbatim tag may hold what separates items.
    fn tag_suffix(&mut self, is_verbatim: bool) -> String {
        let mut bytes = Vec::new();
        loop {
            let c = self.char(0);
            let escaped = [self.char(1), self.char(2)].map(|digit| digit.to_digit(16));
            if let ('%', [Some(high), Some(low)]) = (c, escaped) {
                bytes.extend(u8::try_from(high * 16 + low));
                self.skip(3);
            } else if c.is_ascii_alphanumeric()
                || "-;/?:@&=+$._!~*'()".contains(c)
                || is_verbatim && ",[]".contains(c)
            {
                bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
                self.skip(1);
            } else {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }

    fn block_scalar(&mut self) -> Result<(), Fault> {
        self.allows_key = true;
        self.remove_key()?;
        let line = self.line;
        let text = self.scan_block()?;
        self.scalar(line, text)
    }

    fn quoted(&mut self) -> Result<(), Fault> {
        self.save_key()?;
        self.allows_key = false;
        let line = self.line;
        let text = self.scan_quoted()?;
        self.scalar(line, text)
    }

    fn plain(&mut self) -> Result<(), Fault> {
        self.save_key()?;
        self.allows_key = false;
        let line = self.line;
        let text = self.scan_plain()?;
        self.scalar(line, text)
    }

    fn scalar(&mut self, line: u32, text: Text) -> Result<(), Fault> {
        self.push(line, TokenData::Scalar(text));
        Ok(())
    }
}
