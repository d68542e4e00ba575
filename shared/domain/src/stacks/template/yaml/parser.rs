//! Parser from tokens to events.

use super::scanner::Scanner;
use super::{Text, TokenData};
use crate::stacks::template::event::{Event, EventData, Scalar, Sink, Style};
use crate::stacks::template::node::Fault;
use std::collections::BTreeMap;

/// Reads `text` and passes its events to `sink`, which bounds the depth.
pub(in crate::stacks::template) fn read(text: &str, sink: &mut impl Sink) -> Result<(), Fault> {
    let mut parser = Parser { scanner: Scanner::new(text)?, prefixes: BTreeMap::new(), sink };
    parser.stream()
}

struct Parser<'s, S> {
    scanner: Scanner,
    /// Prefixes of tags by handle.
    prefixes: BTreeMap<String, String>,
    sink: &'s mut S,
}

impl<S: Sink> Parser<'_, S> {
    fn stream(&mut self) -> Result<(), Fault> {
        let mut is_first = true;
        loop {
            while self.is(|next| *next == TokenData::DocumentEnd)? {
                self.scanner.take()?;
            }
            if self.is(|next| *next == TokenData::StreamEnd)? {
                return Ok(());
            }
            let has_directives = self.directives()?;
            let line = self.line()?;
            if self.is(|next| *next == TokenData::DocumentStart)? {
                self.scanner.take()?;
            } else if has_directives || !is_first {
                return self.unexpected("'---'");
            }
            is_first = false;
            self.emit(line, EventData::Document)?;
            let is_end = |next: &TokenData| {
                use TokenData::{Directive, DocumentEnd, DocumentStart, StreamEnd};
                matches!(next, Directive(_) | DocumentEnd | DocumentStart | StreamEnd)
            };
            self.value_unless(is_end, Self::block_node)?;
        }
    }

    fn directives(&mut self) -> Result<bool, Fault> {
        let core = ("!!".to_owned(), "tag:yaml.org,2002:".to_owned());
        self.prefixes = [core, ("!".to_owned(), "!".to_owned())].into();
        let mut is_any = false;
        while self.is(|next| matches!(next, TokenData::Directive(_)))? {
            if let TokenData::Directive(Some((handle, prefix))) = self.scanner.take()?.data {
                self.prefixes.insert(handle, prefix);
            }
            is_any = true;
        }
        Ok(is_any)
    }

    fn block_node(&mut self) -> Result<(), Fault> {
        self.node(true, false)
    }

    /// Parses the value of a block mapping, where a list need not be deeper than its key.
    fn block_value(&mut self) -> Result<(), Fault> {
        self.node(true, true)
    }

    fn flow_node(&mut self) -> Result<(), Fault> {
        self.node(false, false)
    }

    fn node(&mut self, is_block: bool, is_indentless: bool) -> Result<(), Fault> {
        let line = self.line()?;
        let (tag, has_properties) = self.properties()?;
        let start = self.line()?;
        let take = match &self.scanner.peek()?.data {
            TokenData::Item if is_indentless => {
                self.emit(start, EventData::ListStart(tag))?;
                return self.indentless_list();
            }
            TokenData::Alias | TokenData::Scalar(_) | TokenData::FlowListStart | TokenData::FlowMapStart => {
                true
            }
            TokenData::BlockListStart | TokenData::BlockMapStart => is_block,
            _ => false,
        };
        if !take {
            return if has_properties { self.empty(line, tag) } else { self.unexpected("a value") };
        }
        let token = self.scanner.take()?;
        match token.data {
            TokenData::Alias => self.emit(start, EventData::Alias),
            TokenData::Scalar(text) => self.scalar(start, tag, text),
            TokenData::FlowListStart => {
                self.emit(start, EventData::ListStart(tag))?;
                self.flow_list()
            }
            TokenData::FlowMapStart => {
                self.emit(start, EventData::MapStart(tag))?;
                self.flow_map()
            }
            TokenData::BlockListStart => {
                self.emit(start, EventData::ListStart(tag))?;
                self.block_list()
            }
            _ => {
                self.emit(start, EventData::MapStart(tag))?;
                self.block_map()
            }
        }
    }

    /// Takes the tag and the anchor of a node. Returns the tag, and true if there was either.
    fn properties(&mut self) -> Result<(Option<String>, bool), Fault> {
        let (mut tag, mut has_any) = (None, false);
        while self.is(|next| matches!(next, TokenData::Anchor | TokenData::Tag(..)))? {
            let token = self.scanner.take()?;
            has_any = true;
            if let TokenData::Tag(handle, suffix) = token.data {
                if tag.is_some() {
                    let message = "this cannot be read: a value has one tag; write the outer function as a key, \
                                   such as `Fn::Base64:`";
                    return Err(Fault::new(token.line, message));
                }
                let Some(handle) = handle else {
                    tag = Some(suffix);
                    continue;
                };
                let Some(prefix) = self.prefixes.get(&handle) else {
                    let message =
                        format!("this cannot be read: no directive defines the tag handle {handle}");
                    return Err(Fault::new(token.line, message));
                };
                tag = Some(format!("{prefix}{suffix}"));
            }
        }
        Ok((tag, has_any))
    }

    fn scalar(&mut self, line: u32, tag: Option<String>, text: Text) -> Result<(), Fault> {
        let style = if text.is_plain { Style::Plain } else { Style::Quoted };
        let scalar = Scalar { text: text.text, tag, style, lines: text.lines.of_node(line) };
        self.emit(line, EventData::Scalar(scalar))
    }

    fn empty(&mut self, line: u32, tag: Option<String>) -> Result<(), Fault> {
        self.scalar(line, tag, Text { is_plain: true, ..Text::default() })
    }

    fn block_list(&mut self) -> Result<(), Fault> {
        while self.is(|next| *next == TokenData::Item)? {
            self.scanner.take()?;
            let is_empty = |next: &TokenData| matches!(next, TokenData::Item | TokenData::BlockEnd);
            self.value_unless(is_empty, Self::block_node)?;
        }
        self.end_of_block("another '-'")
    }

    fn indentless_list(&mut self) -> Result<(), Fault> {
        while self.is(|next| *next == TokenData::Item)? {
            self.scanner.take()?;
            let is_empty = |next: &TokenData| {
                matches!(next, TokenData::Item | TokenData::Key | TokenData::Value | TokenData::BlockEnd)
            };
            self.value_unless(is_empty, Self::block_node)?;
        }
        let line = self.line()?;
        self.emit(line, EventData::End)
    }

    fn block_map(&mut self) -> Result<(), Fault> {
        let is_empty =
            |next: &TokenData| matches!(next, TokenData::Key | TokenData::Value | TokenData::BlockEnd);
        while self.is(|next| *next == TokenData::Key)? {
            self.scanner.take()?;
            self.value_unless(is_empty, Self::block_value)?;
            self.value_of_key(is_empty, Self::block_value)?;
        }
        self.end_of_block("another key")
    }

    fn end_of_block(&mut self, or: &str) -> Result<(), Fault> {
        if !self.is(|next| *next == TokenData::BlockEnd)? {
            return self.unexpected(&format!("{or} or the end of the block"));
        }
        let token = self.scanner.take()?;
        self.emit(token.line, EventData::End)
    }

    fn flow_list(&mut self) -> Result<(), Fault> {
        let is_empty =
            |next: &TokenData| matches!(next, TokenData::Value | TokenData::Comma | TokenData::FlowListEnd);
        let mut is_first = true;
        while self.another(&TokenData::FlowListEnd, &mut is_first)? {
            if self.is(|next| *next == TokenData::Key)? {
                // `[key: value]` is a list with a mapping of one key.
                let line = self.scanner.take()?.line;
                self.emit(line, EventData::MapStart(None))?;
                self.value_unless(is_empty, Self::flow_node)?;
                self.value_of_key(is_empty, Self::flow_node)?;
                self.emit(line, EventData::End)?;
            } else {
                self.flow_node()?;
            }
        }
        Ok(())
    }

    fn flow_map(&mut self) -> Result<(), Fault> {
        let is_empty =
            |next: &TokenData| matches!(next, TokenData::Value | TokenData::Comma | TokenData::FlowMapEnd);
        let mut is_first = true;
        while self.another(&TokenData::FlowMapEnd, &mut is_first)? {
            if self.is(|next| *next == TokenData::Key)? {
                self.scanner.take()?;
                self.value_unless(is_empty, Self::flow_node)?;
                self.value_of_key(is_empty, Self::flow_node)?;
            } else {
                let line = self.line()?;
                self.flow_node()?;
                self.empty(line, None)?;
            }
        }
        Ok(())
    }

    /// Returns true if a flow collection has another item, and ends the collection if it has none.
    fn another(&mut self, end: &TokenData, is_first: &mut bool) -> Result<bool, Fault> {
        if !*is_first && !self.is(|next| next == end)? {
            if !self.is(|next| *next == TokenData::Comma)? {
                return self.unexpected(&format!("',' or {}", end.name()));
            }
            self.scanner.take()?;
        }
        *is_first = false;
        let is_end = self.is(|next| next == end)?;
        if is_end {
            let token = self.scanner.take()?;
            self.emit(token.line, EventData::End)?;
        }
        Ok(!is_end)
    }

    fn value_of_key(
        &mut self,
        is_empty: fn(&TokenData) -> bool,
        node: fn(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let line = self.line()?;
        if !self.is(|next| *next == TokenData::Value)? {
            return self.empty(line, None);
        }
        self.scanner.take()?;
        if self.is(is_empty)? { self.empty(line, None) } else { node(self) }
    }

    /// Parses a node, or an empty one if the next token ends it.
    fn value_unless(
        &mut self,
        is_empty: fn(&TokenData) -> bool,
        node: fn(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.is(is_empty)? {
            let line = self.line()?;
            return self.empty(line, None);
        }
        node(self)
    }

    fn is(&mut self, test: impl Fn(&TokenData) -> bool) -> Result<bool, Fault> {
        Ok(test(&self.scanner.peek()?.data))
    }

    fn line(&mut self) -> Result<u32, Fault> {
        Ok(self.scanner.peek()?.line)
    }

    fn emit(&mut self, line: u32, data: EventData) -> Result<(), Fault> {
        self.sink.event(Event { line, data })
    }

    fn unexpected<T>(&mut self, expected: &str) -> Result<T, Fault> {
        let found = self.scanner.peek()?;
        let message =
            format!("this cannot be read: {} stands where {expected} is expected", found.data.name());
        Err(Fault::new(found.line, message))
    }
}
