//! Reader of YAML 1.1, the version that CloudFormation reads (<https://yaml.org/spec/1.1/>).
//!
//! The two steps are those of libyaml, from which the common readers of YAML 1.1 derive: [`scanner`] makes tokens and
//! finds keys that have no mark of their own, [`parser`] makes events. Only this structure accepts the layouts that
//! templates have: a flow collection that closes at the indentation of its key, a quoted text that continues there.
//! Readers of YAML 1.2 refuse them.

mod parser;
mod scalars;
mod scanner;

pub(super) use parser::read;

/// A token and the line where it starts.
struct Token {
    line: u32,
    data: TokenData,
}

#[derive(Debug, PartialEq)]
enum TokenData {
    StreamEnd,
    /// `%TAG`: handle and prefix. `None` stands for any other directive.
    Directive(Option<(String, String)>),
    DocumentStart,
    DocumentEnd,
    BlockListStart,
    BlockMapStart,
    BlockEnd,
    FlowListStart,
    FlowMapStart,
    FlowListEnd,
    FlowMapEnd,
    /// The hyphen of a block list.
    Item,
    /// The comma of a flow collection.
    Comma,
    Key,
    Value,
    Alias,
    Anchor,
    /// Handle, such as `!` or `!!`, and suffix. A verbatim tag has no handle.
    Tag(Option<String>, String),
    Scalar(Text),
}

/// A scalar as the scanner found it.
#[derive(Debug, Default, PartialEq)]
struct Text {
    text: String,
    is_plain: bool,
    lines: super::event::Lines,
}

impl Text {
    /// Adds `part`, which was read from `line`.
    fn add(&mut self, part: &str, line: u32) {
        self.lines.mark(self.text.len(), line);
        self.text.push_str(part);
    }
}

impl TokenData {
    /// Returns the name of the token for messages.
    fn name(&self) -> &'static str {
        match self {
            Self::StreamEnd => "the end of the file",
            Self::Directive(_) => "a directive",
            Self::DocumentStart => "'---'",
            Self::DocumentEnd => "'...'",
            Self::BlockListStart | Self::BlockMapStart => "a deeper indentation",
            Self::BlockEnd => "the end of a block",
            Self::FlowListStart => "'['",
            Self::FlowMapStart => "'{'",
            Self::FlowListEnd => "']'",
            Self::FlowMapEnd => "'}'",
            Self::Item => "'-'",
            Self::Comma => "','",
            Self::Key => "a key",
            Self::Value => "':'",
            Self::Alias => "an alias",
            Self::Anchor => "an anchor",
            Self::Tag(..) => "a tag",
            Self::Scalar(_) => "a scalar",
        }
    }
}
