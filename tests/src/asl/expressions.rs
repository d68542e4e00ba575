//! JSONata as state machines use it (<https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>).

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The variables that an expression may name, without their `$`.
pub type Variables = BTreeMap<String, Value>;

thread_local! {
    static PARSED: RefCell<HashMap<String, Rc<AstNode>>> = RefCell::default();
}

/// Returns the expression in a text of a state machine, or `None` if the text is a plain string.
pub fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}

/// Checks that `source` can be parsed.
///
/// # Errors
/// The message of the parser.
pub fn check(source: &str) -> Result<(), String> {
    parse(source).map(drop)
}

fn parse(source: &str) -> Result<Rc<AstNode>, String> {
    if let Some(known) = PARSED.with_borrow(|parsed| parsed.get(source).cloned()) {
        return Ok(known);
    }
    let parsed = Rc::new(parser::parse(source).map_err(|error| error.to_string())?);
    PARSED.with_borrow_mut(|known| known.insert(source.to_owned(), Rc::clone(&parsed)));
    Ok(parsed)
}

/// Evaluates `source` with these variables.
///
/// # Errors
/// The expression fails, or its result is undefined. Step Functions treats both as an error.
pub fn evaluate<K: AsRef<str>>(source: &str, variables: &BTreeMap<K, Value>) -> Result<Value, String> {
    let ast = parse(source)?;
    let mut context = Context::new();
    for (name, value) in variables {
        let value = JValue::from_json_str(&value.to_string()).map_err(|error| error.to_string())?;
        context.bind(name.as_ref().to_owned(), value);
    }
    let result =
        Evaluator::with_context(context).evaluate(&ast, &JValue::Null).map_err(|error| error.to_string())?;
    if result.is_undefined() {
        return Err(format!("{source} gives nothing"));
    }
    serde_json::from_str(&result.to_json_string().map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// Returns `value` with each expression replaced by its result.
///
/// # Errors
/// As [`evaluate`].
pub fn render<K: AsRef<str>>(value: &Value, variables: &BTreeMap<K, Value>) -> Result<Value, String> {
    match value {
        Value::String(text) => match expression(text) {
            Some(source) => evaluate(source, variables),
            None => Ok(value.clone()),
        },
        Value::Array(items) => items.iter().map(|item| render(item, variables)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| Ok((k.clone(), render(v, variables)?))).collect(),
        plain => Ok(plain.clone()),
    }
}
