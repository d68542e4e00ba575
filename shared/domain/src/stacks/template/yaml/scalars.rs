//! Scalars of each style: blocks, quoted text and words without quotes.

use super::Text;
use super::scanner::{END, Scanner, is_blank, is_break};
use crate::stacks::template::node::Fault;

/// Treatment of the line breaks at the end of a block.
#[derive(Clone, Copy, PartialEq)]
enum Chomping {
    /// One is kept.
    Clip,
    Strip,
    Keep,
}

impl Scanner {
    /// Scans a block, literal (`|`) or folded (`>`). A block at the end of a file without a final line break has none.
    pub(super) fn scan_block(&mut self) -> Result<Text, Fault> {
        let is_folded = self.char(0) == '>';
        self.skip(1);
        let (chomping, increment) = self.block_header()?;
        let least = (self.indent + 1).max(1);
        let (mut breaks, indent) = match increment {
            Some(increment) => (String::new(), least + increment - 1),
            None => {
                let (breaks, widest) = self.block_indentation();
                (breaks, least.max(widest))
            }
        };
        breaks.push_str(&self.block_breaks(indent));
        if self.column < indent && self.char(0) == '\t' {
            return self.fault("a tab cannot indent: use spaces");
        }
        let mut block = Text::default();
        let mut last_break = "";
        while self.column == indent && self.char(0) != END {
            block.add(&breaks, self.line);
            let is_text = !matches!(self.char(0), ' ' | '\t');
            let line = self.line;
            let content = self.rest_of_line();
            block.add(&content, line);
            last_break = self.line_break();
            breaks = self.block_breaks(indent);
            if self.column != indent || self.char(0) == END {
                break;
            }
            if is_folded && last_break == "\n" && is_text && !matches!(self.char(0), ' ' | '\t') {
                if breaks.is_empty() {
                    block.text.push(' ');
                }
            } else {
                block.text.push_str(last_break);
            }
        }
        if chomping != Chomping::Strip {
            block.text.push_str(last_break);
        }
        if chomping == Chomping::Keep {
            block.text.push_str(&breaks);
        }
        Ok(block)
    }

    /// Scans what follows `|` or `>` on its line: chomping and indentation, in either order, and a comment.
    fn block_header(&mut self) -> Result<(Chomping, Option<isize>), Fault> {
        let (mut chomping, mut increment) = (Chomping::Clip, None);
        for _ in 0..2 {
            match self.char(0) {
                '+' if chomping == Chomping::Clip => chomping = Chomping::Keep,
                '-' if chomping == Chomping::Clip => chomping = Chomping::Strip,
                digit @ '1'..='9' if increment.is_none() => {
                    increment = digit.to_digit(10).and_then(|digit| isize::try_from(digit).ok());
                }
                _ => break,
            }
            self.skip(1);
        }
        if !is_blank(self.char(0)) {
            return self.fault("a block starts with '|' or '>', a sign and a digit at most");
        }
        while matches!(self.char(0), ' ' | '\t') {
            self.skip(1);
        }
        if self.char(0) == '#' {
            self.rest_of_line();
        }
        if self.char(0) != END && !is_break(self.char(0)) {
            return self.fault("the text of a block starts on the next line");
        }
        self.line_break();
        Ok((chomping, increment))
    }

    fn rest_of_line(&mut self) -> String {
        let mut length = 0;
        while self.char(length) != END && !is_break(self.char(length)) {
            length += 1;
        }
        self.run(length)
    }

    /// Moves to the first line of a block that has text. Returns the line breaks before it and the widest indentation.
    fn block_indentation(&mut self) -> (String, isize) {
        let (mut breaks, mut widest) = (String::new(), 0);
        loop {
            while self.char(0) == ' ' {
                self.skip(1);
                widest = widest.max(self.column);
            }
            match self.line_break() {
                "" => return (breaks, widest),
                text => breaks.push_str(text),
            }
        }
    }

    /// Moves over empty lines and up to the indentation of a block. Returns the line breaks.
    fn block_breaks(&mut self, indent: isize) -> String {
        let mut breaks = String::new();
        loop {
            while self.column < indent && self.char(0) == ' ' {
                self.skip(1);
            }
            match self.line_break() {
                "" => return breaks,
                text => breaks.push_str(text),
            }
        }
    }

    /// Scans a text in single or double quotes, which may continue at any indentation.
    pub(super) fn scan_quoted(&mut self) -> Result<Text, Fault> {
        let quote = self.char(0);
        self.skip(1);
        let mut quoted = Text::default();
        loop {
            self.quoted_words(quote, &mut quoted)?;
            if self.char(0) == quote {
                break;
            }
            self.quoted_spaces(&mut quoted)?;
        }
        self.skip(1);
        Ok(quoted)
    }

    fn quoted_words(&mut self, quote: char, quoted: &mut Text) -> Result<(), Fault> {
        loop {
            match (self.char(0), self.char(1)) {
                ('\'', '\'') if quote == '\'' => {
                    quoted.add("'", self.line);
                    self.skip(2);
                }
                (c, _) if c == quote || is_blank(c) => return Ok(()),
                ('\\', next) if quote == '"' => {
                    let line = self.line;
                    self.skip(1);
                    if is_break(next) {
                        self.line_break();
                        let breaks = self.quoted_breaks()?;
                        quoted.add(&breaks, line);
                    } else {
                        let c = self.escape()?;
                        quoted.add(c.encode_utf8(&mut [0; 4]), line);
                    }
                }
                (c, _) => {
                    quoted.add(c.encode_utf8(&mut [0; 4]), self.line);
                    self.skip(1);
                }
            }
        }
    }

    /// Scans the escape behind a backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let c = self.char(0);
        self.skip(1);
        Ok(match c {
            '0' => '\0',
            'a' => '\x07',
            'b' => '\x08',
            't' | '\t' => '\t',
            'n' => '\n',
            'v' => '\x0b',
            'f' => '\x0c',
            'r' => '\r',
            'e' => '\x1b',
            ' ' | '"' | '\\' | '/' => c,
            'N' => '\u{85}',
            '_' => '\u{a0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            'x' => return self.code(2),
            'u' => return self.code(4),
            'U' => return self.code(8),
            _ => return self.fault("there is no such escape in double quotes: use single quotes"),
        })
    }

    fn code(&mut self, digits: usize) -> Result<char, Fault> {
        let mut code = self.hex(digits)?;
        // CloudFormation's reader holds text as UTF-16, so that two escapes may make one character, as in JSON.
        if digits == 4 && (0xd800..0xdc00).contains(&code) && (self.char(0), self.char(1)) == ('\\', 'u') {
            self.skip(2);
            let low = self.hex(4)?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        match char::from_u32(code) {
            Some(c) => Ok(c),
            None => self.fault("the escape is no character"),
        }
    }

    fn hex(&mut self, digits: usize) -> Result<u32, Fault> {
        let mut code: u32 = 0;
        for place in 0..digits {
            match self.char(place).to_digit(16) {
                Some(digit) => code = code.wrapping_shl(4) | digit,
                None => return self.fault(&format!("the escape needs {digits} hexadecimal digits")),
            }
        }
        self.skip(digits);
        Ok(code)
    }

    fn quoted_spaces(&mut self, quoted: &mut Text) -> Result<(), Fault> {
        let mut length = 0;
        while matches!(self.char(length), ' ' | '\t') {
            length += 1;
        }
        let line = self.line;
        let spaces = self.run(length);
        if self.char(0) == END {
            return self.fault("the closing quote is missing");
        }
        match self.line_break() {
            "" => quoted.add(&spaces, line),
            first => {
                let breaks = self.quoted_breaks()?;
                quoted.text.push_str(&folded(first, &breaks));
            }
        }
        Ok(())
    }

    fn quoted_breaks(&mut self) -> Result<String, Fault> {
        let mut breaks = String::new();
        loop {
            if self.at_document_mark() {
                return self.fault("the closing quote is missing");
            }
            while matches!(self.char(0), ' ' | '\t') {
                self.skip(1);
            }
            match self.line_break() {
                "" => return Ok(breaks),
                text => breaks.push_str(text),
            }
        }
    }

    /// Scans words without quotes, which may continue on deeper lines, within a flow collection on any.
    pub(super) fn scan_plain(&mut self) -> Result<Text, Fault> {
        let mut plain = Text { is_plain: true, ..Text::default() };
        let indent = self.indent + 1;
        let mut spaces = String::new();
        while self.char(0) != '#' && !self.at_document_mark() {
            let length = self.plain_length();
            if length == 0 {
                break;
            }
            self.allows_key = false;
            plain.text.push_str(&spaces);
            let line = self.line;
            let word = self.run(length);
            plain.add(&word, line);
            spaces = self.plain_spaces(indent)?;
            if spaces.is_empty() || self.flow_level == 0 && self.column < indent {
                break;
            }
        }
        Ok(plain)
    }

    fn plain_length(&self) -> usize {
        let is_flow = self.flow_level > 0;
        let ends = |at: usize| match (self.char(at), self.char(at + 1)) {
            (c, _) if is_blank(c) => true,
            (':', next) => is_blank(next) || is_flow && ",[]{}".contains(next),
            (',' | '[' | ']' | '{' | '}', _) => is_flow,
            _ => false,
        };
        (0..).find(|&at| ends(at)).unwrap_or(0)
    }

    fn plain_spaces(&mut self, indent: isize) -> Result<String, Fault> {
        let mut length = 0;
        while matches!(self.char(length), ' ' | '\t') {
            length += 1;
        }
        let spaces = self.run(length);
        let first = self.line_break();
        if first.is_empty() {
            return Ok(spaces);
        }
        self.allows_key = true;
        let mut breaks = String::new();
        while !self.at_document_mark() {
            if self.char(0) == ' ' {
                self.skip(1);
            } else if self.char(0) == '\t' {
                if self.column < indent && self.flow_level == 0 {
                    return self.fault("a tab cannot indent: use spaces");
                }
                self.skip(1);
            } else {
                match self.line_break() {
                    "" => break,
                    text => breaks.push_str(text),
                }
            }
        }
        Ok(folded(first, &breaks))
    }
}

/// Returns the text that a line break and the empty lines behind it stand for: a space, or the empty lines.
fn folded(first: &str, breaks: &str) -> String {
    match (first, breaks) {
        ("\n", "") => " ".to_owned(),
        ("\n", breaks) => breaks.to_owned(),
        (first, breaks) => format!("{first}{breaks}"),
    }
}
