//! Intrinsic functions: the arguments that each takes, what it returns, and the sections that allow it.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

/// What a function returns, or what an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any value.
    Any,
    /// A text that is written out: no function.
    Literal,
    Text,
    Number,
    /// A number between two bounds, for the index and the sizes that functions take.
    Count,
    /// Text or a number, but neither a list nor a mapping.
    Scalar,
    List,
    /// A list of texts.
    Texts,
    Map,
    /// The result of a condition.
    Truth,
}

/// Arguments of a function.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arguments {
    /// One value that is no list of arguments.
    One(Kind),
    /// A list of at least and at most so many values. The last kind is that of all further ones.
    List(usize, usize, &'static [Kind]),
    /// A text, or a list of a text and a mapping of variables.
    Substitution,
}

/// Sections that allow a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Everywhere,
    /// Resources and outputs.
    Values,
    /// Conditions and rules.
    Conditions,
    Rules,
}

/// An intrinsic function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) allowed: Allowed,
    pub(super) returns: Kind,
    pub(super) arguments: Arguments,
    /// The arguments in words, for messages.
    pub(super) usage: &'static str,
}

const fn function(
    name: &'static str,
    allowed: Allowed,
    returns: Kind,
    arguments: Arguments,
    usage: &'static str,
) -> Function {
    Function { name, allowed, returns, arguments, usage }
}

use Allowed::{Conditions, Everywhere, Rules, Values};
use Arguments::{List, One, Substitution};
use Kind::{Any, Count, Literal, Map, Scalar, Text, Texts, Truth};

#[rustfmt::skip]
const FUNCTIONS: [Function; 27] = [
    function("Condition", Conditions, Truth, One(Literal), "the name of a condition"),
    function("Fn::And", Conditions, Truth, List(2, 10, &[Truth]), "a list of two to ten conditions"),
    function("Fn::Base64", Values, Text, One(Text), "one text"),
    function("Fn::Cidr", Values, Kind::List, List(2, 3, &[Text, Count, Count]), "an address block, a number of blocks and perhaps a number of bits"),
    function("Fn::Contains", Rules, Truth, List(2, 2, &[Kind::List, Scalar]), "a list of texts and a text"),
    function("Fn::EachMemberEquals", Rules, Truth, List(2, 2, &[Kind::List, Scalar]), "a list of texts and a text"),
    function("Fn::EachMemberIn", Rules, Truth, List(2, 2, &[Kind::List, Kind::List]), "two lists of texts"),
    function("Fn::Equals", Conditions, Truth, List(2, 2, &[Scalar]), "a list of two texts"),
    function("Fn::FindInMap", Everywhere, Any, List(3, 4, &[Text, Text, Text, Map]), "a list of a mapping's name, a top-level key and a second-level key"),
    function("Fn::GetAZs", Values, Kind::List, One(Text), "the name of a region, or an empty text"),
    function("Fn::GetAtt", Values, Any, List(2, 2, &[Literal, Text]), "a resource and an attribute"),
    function("Fn::GetStackOutput", Values, Any, One(Map), "a mapping with StackName and OutputName"),
    function("Fn::If", Values, Any, List(3, 3, &[Literal, Any, Any]), "a list of a condition's name, a value if it is true and a value if it is false"),
    function("Fn::ImportValue", Values, Text, One(Text), "the name of an export"),
    function("Fn::Join", Everywhere, Text, List(2, 2, &[Literal, Texts]), "a list of a delimiter and a list of texts"),
    function("Fn::Length", Everywhere, Kind::Number, One(Kind::List), "a list"),
    function("Fn::Not", Conditions, Truth, List(1, 1, &[Truth]), "a list of one condition"),
    function("Fn::Or", Conditions, Truth, List(2, 10, &[Truth]), "a list of two to ten conditions"),
    function("Fn::RefAll", Rules, Kind::List, One(Literal), "a parameter type"),
    function("Fn::Select", Everywhere, Any, List(2, 2, &[Count, Kind::List]), "a list of an index and a list of values"),
    function("Fn::Split", Everywhere, Kind::List, List(2, 2, &[Literal, Text]), "a list of a delimiter and a text"),
    function("Fn::Sub", Everywhere, Text, Substitution, "a text, or a list of a text and a mapping of variables"),
    function("Fn::ToJsonString", Everywhere, Text, One(Any), "a list or a mapping"),
    function("Fn::Transform", Everywhere, Any, One(Map), "a mapping with the Name of a macro"),
    function("Fn::ValueOf", Rules, Any, List(2, 2, &[Literal]), "a list of a parameter and an attribute"),
    function("Fn::ValueOfAll", Rules, Kind::List, List(2, 2, &[Literal]), "a list of a parameter type and an attribute"),
    function("Ref", Everywhere, Any, One(Literal), "one name"),
];

/// Returns the function with the long name `name`, such as `Fn::Join`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

/// Returns true if a tag such as `!Join` stands for a function; `name` is without the `!`.
pub(super) fn has_short_form(name: &str) -> bool {
    let is_same = |function: &Function| function.name.strip_prefix("Fn::").unwrap_or(function.name) == name;
    FUNCTIONS.iter().any(is_same)
}

/// Returns the names of all functions, for a suggestion.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// Returns true for the functions that the transform `AWS::LanguageExtensions` provides.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html>
pub(super) fn is_extension(name: &str) -> bool {
    matches!(name, "Fn::Length" | "Fn::ToJsonString") || name.starts_with("Fn::ForEach::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_binary_search() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(names().all(|name| find(name).is_some()));
    }

    #[test]
    fn each_function_has_its_short_form() {
        for name in ["Ref", "Condition", "GetAZs", "ToJsonString", "ValueOfAll"] {
            assert!(has_short_form(name), "{name}");
        }
        for name in ["Fn::Join", "join", "ForEach", ""] {
            assert!(!has_short_form(name), "{name}");
        }
    }
}
