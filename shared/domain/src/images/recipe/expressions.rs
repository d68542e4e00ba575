//! Expressions of a recipe: the functions and references in them, and the `{{ }}` that plugins evaluate later.
//!
//! A plugin evaluates `{{ }}` in each text of its configuration, so a recipe must not put such an action together where
//! this check cannot see it. Texts that are parts of others therefore contain no `{`: arguments of functions, locals,
//! and values of variables. A text of a configuration may contain actions that [`super::allowed`] lists, written out.

use super::allowed::{Position, WITH_BRACES, WITHOUT_BRACES, is_allowed, refusal};
use super::template::File;
use crate::model::error::Problem;
use hcl_edit::Span;
use hcl_edit::expr::{Expression, ForExpr, FuncCall, ObjectKey, Traversal, TraversalOperator};
use hcl_edit::structure::Attribute;
use hcl_edit::template::{Directive, Element, Template};

/// Message for a text with a `{` that is no whole value.
pub(super) const BRACE: &str = "contains a `{` in a text that is a part of others, so `{{ }}` in the result could not be judged; \
     write the whole text into the attribute that uses it, or into a file of the recipe";

/// Returns problems with the value of an attribute. `whole` is true if the value is a configuration itself, and no part
/// of another text.
pub(super) fn judge_value(file: &File<'_>, attribute: &Attribute, whole: bool) -> Vec<Problem> {
    let mut judge = Judge { file, problems: Vec::new(), loops: Vec::new() };
    judge.expression(&attribute.value, if whole { Use::Whole } else { Use::Part });
    judge.problems
}

/// Returns problems with the type of a variable.
pub(super) fn judge_type(file: &File<'_>, of: &Expression) -> Vec<Problem> {
    let mut judge = Judge { file, problems: Vec::new(), loops: Vec::new() };
    judge.of_type(of);
    judge.problems
}

/// Use of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The value is a configuration, or an item of one.
    Whole,
    /// The value is a part of another one.
    Part,
    /// The value is an argument of a function whose result has no braces, whatever the value is.
    Hidden,
}

struct Judge<'a, 'f> {
    file: &'a File<'f>,
    problems: Vec<Problem>,
    /// Names that `for` declares.
    loops: Vec<String>,
}

impl Judge<'_, '_> {
    fn problem(&mut self, node: &impl Span, message: impl Into<String>) {
        self.problems.push(self.file.problem(node, message));
    }

    fn expression(&mut self, node: &Expression, used: Use) {
        match node {
            Expression::Null(_) | Expression::Bool(_) | Expression::Number(_) => {}
            Expression::String(text) => self.text(node, text.as_str(), used),
            Expression::StringTemplate(template) => self.template(node, template, used),
            Expression::HeredocTemplate(heredoc) => self.template(node, &heredoc.template, used),
            Expression::Array(items) => items.iter().for_each(|item| self.expression(item, used)),
            Expression::Object(items) => {
                for (key, value) in items {
                    if let ObjectKey::Expression(key) = key {
                        self.key(key, used);
                    }
                    self.expression(value.expr(), used);
                }
            }
            Expression::Parenthesis(inner) => self.expression(inner.inner(), used),
            Expression::Conditional(node) => {
                self.expression(&node.cond_expr, Use::Part);
                self.expression(&node.true_expr, used);
                self.expression(&node.false_expr, used);
            }
            Expression::UnaryOp(node) => self.expression(&node.expr, Use::Part),
            Expression::BinaryOp(node) => {
                self.expression(&node.lhs_expr, Use::Part);
                self.expression(&node.rhs_expr, Use::Part);
            }
            Expression::FuncCall(call) => self.call(call, used),
            Expression::Variable(name) => self.reference(node, name.as_str()),
            Expression::Traversal(node) => self.traversal(node),
            Expression::ForExpr(node) => self.iteration(node, used),
        }
    }

    /// Judges the key of an object. A bare word is the key itself, not a reference.
    fn key(&mut self, key: &Expression, used: Use) {
        if !matches!(key, Expression::Variable(_)) {
            self.expression(key, used);
        }
    }

    fn text(&mut self, node: &impl Span, text: &str, used: Use) {
        match used {
            Use::Whole => self.actions(node, text),
            Use::Part if text.contains('{') => self.problem(node, BRACE),
            Use::Part | Use::Hidden => {}
        }
    }

    fn template(&mut self, node: &impl Span, template: &Template, used: Use) {
        let has_directive = template.iter().any(|element| matches!(element, Element::Directive(_)));
        let used = if has_directive && used == Use::Whole { Use::Part } else { used };
        let mut open = false;
        for element in template {
            match element {
                Element::Literal(literal) => {
                    self.text(node, literal, used);
                    // `~` removes the spaces around an interpolation, and an interpolation may be empty.
                    let trimmed = literal.trim();
                    if used == Use::Whole && open && trimmed.starts_with('{') {
                        self.problem(node, BRACE);
                    }
                    if !trimmed.is_empty() {
                        open = trimmed.ends_with('{');
                    }
                }
                Element::Interpolation(inner) => self.expression(&inner.expr, part_of(used)),
                Element::Directive(directive) => self.directive(node, directive, used),
            }
        }
    }

    fn directive(&mut self, node: &impl Span, directive: &Directive, used: Use) {
        match directive {
            Directive::If(directive) => {
                self.expression(&directive.if_expr.cond_expr, Use::Part);
                self.template(node, &directive.if_expr.template, used);
                if let Some(otherwise) = &directive.else_expr {
                    self.template(node, &otherwise.template, used);
                }
            }
            Directive::For(directive) => {
                let intro = &directive.for_expr;
                self.expression(&intro.collection_expr, part_of(used));
                let names = intro.key_var.iter().chain([&intro.value_var]);
                let before = self.loops.len();
                self.loops.extend(names.map(|name| name.as_str().to_owned()));
                self.template(node, &intro.template, used);
                self.loops.truncate(before);
            }
        }
    }

    fn iteration(&mut self, node: &ForExpr, used: Use) {
        self.expression(&node.intro.collection_expr, part_of(used));
        let names = node.intro.key_var.iter().chain([&node.intro.value_var]);
        let before = self.loops.len();
        self.loops.extend(names.map(|name| name.as_str().to_owned()));
        for value in node.key_expr.iter().chain([&node.value_expr]) {
            self.expression(value, used);
        }
        if let Some(condition) = &node.cond {
            self.expression(&condition.expr, Use::Part);
        }
        self.loops.truncate(before);
    }

    fn call(&mut self, call: &FuncCall, used: Use) {
        let name = call.name.name.as_str();
        if call.name.is_namespaced() || !is_allowed(Position::Function, name) {
            return self.problem(call, refusal(&[Position::Function], name));
        }
        if WITH_BRACES.contains(&name) && used == Use::Part {
            self.problem(call, format!("`{name}` {BRACE}"));
        }
        let inner = match used {
            _ if WITHOUT_BRACES.contains(&name) => Use::Hidden,
            Use::Hidden => Use::Hidden,
            Use::Whole if WITH_BRACES.contains(&name) => Use::Whole,
            Use::Whole | Use::Part => Use::Part,
        };
        let mut arguments = call.args.iter();
        if matches!(name, "format" | "formatlist") && used != Use::Hidden {
            let first = call.args.iter().next().and_then(Expression::as_str);
            if !first.is_some_and(is_plain_format) {
                let message = format!(
                    "the first argument of `{name}` must be written out, with %s, %q, %t and numbers only"
                );
                self.problem(call, message);
            }
        }
        if name == "convert" {
            if let Some(first) = arguments.next() {
                self.expression(first, inner);
            }
            for of in arguments {
                self.of_type(of);
            }
            return;
        }
        for argument in arguments {
            self.expression(argument, inner);
        }
    }

    fn of_type(&mut self, of: &Expression) {
        match of {
            Expression::Variable(_) => {}
            Expression::Parenthesis(inner) => self.of_type(inner.inner()),
            Expression::Array(items) => items.iter().for_each(|item| self.of_type(item)),
            Expression::Object(items) => items.iter().for_each(|(_, value)| self.of_type(value.expr())),
            Expression::FuncCall(call) => {
                let name = call.name.name.as_str();
                if call.name.is_namespaced() || !is_allowed(Position::Type, name) {
                    return self.problem(&**call, refusal(&[Position::Type], name));
                }
                call.args.iter().for_each(|argument| self.of_type(argument));
            }
            // Packer also takes the name of a type as text.
            Expression::String(_) => {}
            other => self.problem(other, "is no type"),
        }
    }

    fn traversal(&mut self, node: &Traversal) {
        match &node.expr {
            Expression::Variable(name) => self.reference(node, name.as_str()),
            other => self.expression(other, Use::Part),
        }
        for operator in &node.operators {
            if let TraversalOperator::Index(index) = operator.value() {
                self.expression(index, Use::Part);
            }
        }
    }

    fn reference(&mut self, node: &impl Span, name: &str) {
        if !self.loops.iter().any(|declared| declared == name) && !is_allowed(Position::Reference, name) {
            self.problem(node, refusal(&[Position::Reference], name));
        }
    }

    /// Judges the actions in a text that a plugin evaluates.
    fn actions(&mut self, node: &impl Span, text: &str) {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("{{") {
            let (inner, following) = after.split_once("}}").unwrap_or((after, ""));
            if let Some(word) = wrong_action(inner) {
                let message = match is_allowed(Position::Action, word) || word.starts_with('.') {
                    true => format!(
                        "`{{{{{inner}}}}}` is not allowed: an action is one word, with at most one text after it"
                    ),
                    false => refusal(&[Position::Action], word).replacen(
                        &format!("`{word}`"),
                        &format!("`{{{{ {word} }}}}`"),
                        1,
                    ),
                };
                self.problem(node, message);
            }
            rest = following;
        }
    }
}

/// Returns the use of a part of a value.
fn part_of(used: Use) -> Use {
    if used == Use::Hidden { Use::Hidden } else { Use::Part }
}

/// Returns true if a format inserts only text and numbers: other verbs write objects, with braces.
fn is_plain_format(format: &str) -> bool {
    let mut rest = format.chars();
    while rest.any(|c| c == '%') {
        let verb = rest.find(|c| !(c.is_ascii_digit() || "+- .[]*".contains(*c)));
        if !verb.is_some_and(|verb| "sqtdboxXeEfFgG%".contains(verb)) {
            return false;
        }
    }
    true
}

/// Returns the word of an action that is not allowed; `None` for `.Name`, and for an allowed word with at most one text.
fn wrong_action(inner: &str) -> Option<&str> {
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner).trim();
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(inner.len());
    let (word, argument) = inner.split_at(end);
    let argument = argument.trim();
    let is_text = |quote: char| {
        let text = argument.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        text.is_some_and(|text| !text.contains([quote, '\\']))
    };
    let right = match word.strip_prefix('.') {
        Some(name) => !name.is_empty() && argument.is_empty(),
        None => is_allowed(Position::Action, word) && (argument.is_empty() || is_text('"') || is_text('`')),
    };
    (!right).then_some(word)
}
