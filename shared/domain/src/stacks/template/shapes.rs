//! Checks each use of an intrinsic function: that it exists, that its section allows it, and that its arguments have
//! their shape. CloudFormation refuses each of these mistakes before it looks at a resource.

use super::functions::{self, Allowed, Arguments, Function, Kind};
use super::macros::MacroUse;
use super::node::{Entry, Fault, Node, Value};
use super::sections::loop_body;
use crate::model::toml_file::nearest;

/// Functions that the values of an equation may use.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html>
const IN_EQUATIONS: [&str; 13] = [
    "Condition",
    "Fn::And",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::Join",
    "Fn::Length",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
    "Ref",
];

/// Part of the template that a function stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Conditions,
    Rules,
    Resources,
    Outputs,
}

impl Section {
    fn allows(self, function: &Function) -> bool {
        match (function.allowed, self) {
            (Allowed::Everywhere, _) => true,
            (Allowed::Values, _) => matches!(self, Self::Resources | Self::Outputs),
            (Allowed::Conditions, _) => matches!(self, Self::Conditions | Self::Rules),
            (Allowed::Rules, _) => self == Self::Rules,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Conditions => "Conditions",
            Self::Rules => "Rules",
            Self::Resources => "Resources",
            Self::Outputs => "Outputs",
        }
    }
}

/// Returns every function of `root` that CloudFormation would refuse.
pub(super) fn check(root: &Node) -> Vec<Fault> {
    let mut checker = Checker {
        has_extensions: MacroUse::has_language_extensions(root),
        section: Section::Conditions,
        faults: Vec::new(),
    };
    // A macro may define functions of its own.
    if MacroUse::of(root) == MacroUse::Some {
        return Vec::new();
    }
    for section in root.entries().unwrap_or_default() {
        let entries = section.node.entries().unwrap_or_default();
        match section.key.as_str() {
            "Conditions" => checker.each(Section::Conditions, entries, Checker::condition),
            "Rules" => checker.each(Section::Rules, entries, Checker::rule),
            "Resources" => checker.each(Section::Resources, entries, Checker::resource),
            "Outputs" => checker.each(Section::Outputs, entries, Checker::output),
            _ => {}
        }
    }
    checker.faults
}

struct Checker {
    has_extensions: bool,
    section: Section,
    faults: Vec<Fault>,
}

impl Checker {
    fn fault(&mut self, line: u32, message: impl Into<String>) {
        self.faults.push(Fault::new(line, message));
    }

    fn each(&mut self, section: Section, entries: &[Entry], action: fn(&mut Self, &Entry)) {
        self.section = section;
        for entry in entries {
            if entry.key.starts_with("Fn::ForEach::") {
                self.loop_of(entry);
                self.each(section, loop_body(entry).unwrap_or_default(), action);
            } else if entry.key != "Fn::Transform" {
                action(self, entry);
            }
        }
    }

    /// Checks the form of a loop, and its collection.
    fn loop_of(&mut self, entry: &Entry) {
        if !self.has_extensions {
            self.needs_extensions(entry.line, &entry.key);
        }
        let parts = entry.node.items().unwrap_or_default();
        match parts {
            [variable, collection, body] if variable.as_text().is_some() && body.entries().is_some() => {
                if collection.items().is_none() && function_of(collection).is_none() {
                    self.fault(collection.line, "the collection of a loop is a list");
                }
                self.node(collection);
            }
            _ => {
                let message =
                    format!("{} takes a variable, a collection and a mapping that it repeats", entry.key);
                self.fault(entry.line, message);
            }
        }
    }

    fn needs_extensions(&mut self, line: u32, what: &str) {
        let message = format!("{what} needs `Transform: AWS::LanguageExtensions`, which the template lacks");
        self.fault(line, message);
    }

    fn condition(&mut self, entry: &Entry) {
        self.argument(Kind::Truth, &entry.node, &|| {
            format!(
                "the condition {} must be one of Fn::And, Fn::Equals, Fn::Not, Fn::Or and Condition",
                entry.key
            )
        });
        self.node(&entry.node);
    }

    fn rule(&mut self, entry: &Entry) {
        let condition = entry.node.get("RuleCondition").into_iter();
        let assertions = entry.node.get("Assertions").and_then(Node::items).unwrap_or_default();
        for node in condition.chain(assertions.iter().filter_map(|assertion| assertion.get("Assert"))) {
            self.argument(Kind::Truth, node, &|| format!("the rule {} takes conditions alone", entry.key));
        }
        entry.node.entries().unwrap_or_default().iter().for_each(|entry| self.node(&entry.node));
    }

    fn resource(&mut self, entry: &Entry) {
        for attribute in entry.node.entries().unwrap_or_default() {
            match attribute.key.as_str() {
                "Type" | "Condition" | "DependsOn" => {}
                "DeletionPolicy" | "UpdateReplacePolicy" => {
                    if attribute.node.entries().is_some() && !self.has_extensions {
                        self.needs_extensions(attribute.line, &format!("a function as {}", attribute.key));
                    }
                    self.node(&attribute.node);
                }
                _ => self.node(&attribute.node),
            }
        }
    }

    fn output(&mut self, entry: &Entry) {
        for attribute in entry.node.entries().unwrap_or_default() {
            if attribute.key == "Value" {
                let message = || {
                    format!(
                        "the value of the output {} must be text, or a function that returns text",
                        entry.key
                    )
                };
                self.argument(Kind::Text, &attribute.node, &message);
            }
            self.node(&attribute.node);
        }
    }

    /// Checks the functions in a value.
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.node(item)),
            Value::Map(entries) => match self.function_here(node) {
                Some((entry, function)) => self.function(entry, function),
                None => entries.iter().for_each(|entry| self.entry(entry, entries.len())),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn entry(&mut self, entry: &Entry, siblings: usize) {
        let key = entry.key.as_str();
        if key.starts_with("Fn::ForEach::") {
            self.loop_of(entry);
            let body = loop_body(entry).unwrap_or_default();
            return body.iter().for_each(|inner| self.entry(inner, body.len()));
        }
        match key.strip_prefix("Fn::") {
            Some("Transform") => return,
            Some(_) if functions::find(key).is_none() => {
                let near = nearest(key, &functions::names().collect::<Vec<_>>());
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                self.fault(entry.line, format!("there is no function {key}{near}"));
            }
            Some(_) if siblings > 1 => {
                self.fault(
                    entry.line,
                    format!("{key} stands beside other keys: a function is a mapping of one key"),
                );
            }
            _ => {}
        }
        self.node(&entry.node);
    }

    /// Returns the function that `node` is. `Condition` is a function in conditions alone: elsewhere it is a key of
    /// policies.
    fn function_here<'n>(&self, node: &'n Node) -> Option<(&'n Entry, &'static Function)> {
        let is_conditional = matches!(self.section, Section::Conditions | Section::Rules);
        function_of(node).filter(|(entry, _)| entry.key != "Condition" || is_conditional)
    }

    fn function(&mut self, entry: &Entry, function: &'static Function) {
        let name = function.name;
        if name == "Fn::Transform" {
            // Its parameters are for the macro to judge.
            if entry.node.get("Name").is_none() {
                self.fault(entry.line, format!("{name} takes {}", function.usage));
            }
            return;
        }
        if !self.section.allows(function) {
            let message = format!("{} do not allow {name}", self.section.name());
            return self.fault(entry.line, message);
        }
        if functions::is_extension(name) && !self.has_extensions {
            return self.needs_extensions(entry.line, name);
        }
        let before = self.faults.len();
        self.shape(entry, function);
        if self.faults.len() == before {
            self.beyond_shape(entry, name);
        }
        let items = entry.node.items().filter(|_| !matches!(function.arguments, Arguments::One(_)));
        match items {
            Some(items) => items.iter().for_each(|item| self.node(item)),
            None => self.node(&entry.node),
        }
    }

    fn shape(&mut self, entry: &Entry, function: &'static Function) {
        let message = || format!("{} takes {}", function.name, function.usage);
        let argument = &entry.node;
        // A macro may make the arguments.
        if argument.get("Fn::Transform").is_some() {
            return;
        }
        match function.arguments {
            Arguments::One(kind) => self.argument(kind, argument, &message),
            Arguments::List(least, most, kinds) => match argument.items() {
                Some(items) if (least..=most).contains(&items.len()) => {
                    for (place, item) in items.iter().enumerate() {
                        let kind = kinds.get(place).or(kinds.last()).copied().unwrap_or(Kind::Any);
                        self.argument(kind, item, &message);
                    }
                }
                _ => self.fault(entry.line, message()),
            },
            Arguments::Substitution => match argument.items() {
                None if argument.as_text().is_some() => {}
                Some([text, variables]) if text.as_text().is_some() && variables.entries().is_some() => {
                    for variable in variables.entries().unwrap_or_default() {
                        let message = || format!("the variable {} of Fn::Sub must be text", variable.key);
                        self.argument(Kind::Scalar, &variable.node, &message);
                    }
                }
                _ => self.fault(entry.line, message()),
            },
        }
    }

    /// Checks that `node` is, or returns, the kind of value that is expected.
    fn argument(&mut self, expected: Kind, node: &Node, message: &dyn Fn() -> String) {
        let fits = match self.function_here(node) {
            Some((_, function)) => self.returns(function, expected),
            None => is_literal(node, expected),
        };
        if !fits {
            return self.fault(node.line, message());
        }
        if expected == Kind::Texts {
            for item in node.items().unwrap_or_default() {
                self.argument(Kind::Scalar, item, message);
            }
        }
    }

    /// Returns true if the function may stand where `expected` is.
    fn returns(&self, function: &Function, expected: Kind) -> bool {
        let returned = function.returns;
        match expected {
            Kind::Any => true,
            Kind::Literal => self.has_extensions && !matches!(returned, Kind::List | Kind::Truth),
            Kind::Text | Kind::Number => !matches!(returned, Kind::List | Kind::Truth),
            // An equation compares the results of conditions too.
            Kind::Scalar => returned != Kind::List,
            Kind::Count => !matches!(returned, Kind::List | Kind::Truth),
            Kind::List | Kind::Texts => matches!(returned, Kind::Any | Kind::List),
            Kind::Map => returned == Kind::Any,
            Kind::Truth => returned == Kind::Truth,
        }
    }

    /// Checks the rules of single functions.
    fn beyond_shape(&mut self, entry: &Entry, name: &str) {
        let items = entry.node.items().unwrap_or_default();
        match name {
            "Fn::Equals" => items.iter().for_each(|item| self.equation(item)),
            "Fn::FindInMap" => self.find_in_map(entry, items),
            "Fn::Select" => self.select(items),
            "Fn::ImportValue" => self.import(&entry.node),
            "Fn::GetStackOutput" => {
                for key in ["StackName", "OutputName"] {
                    if entry.node.get(key).is_none() && function_of(&entry.node).is_none() {
                        self.fault(entry.line, format!("{name} has no {key}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn equation(&mut self, side: &Node) {
        if let Some((entry, function)) = self.function_here(side)
            && self.section == Section::Conditions
            && !IN_EQUATIONS.contains(&function.name)
        {
            self.fault(entry.line, format!("an equation in Conditions cannot use {}", function.name));
        }
    }

    fn find_in_map(&mut self, entry: &Entry, items: &[Node]) {
        if let Some(default) = items.get(3)
            && default.get("DefaultValue").is_none()
        {
            self.fault(default.line, "the fourth value of Fn::FindInMap is a mapping with DefaultValue");
        }
        if items.len() > 3 && !self.has_extensions {
            self.needs_extensions(entry.line, "the DefaultValue of Fn::FindInMap");
        }
        for item in items.iter().take(3) {
            if let Some((inner, function)) = self.function_here(item)
                && !self.has_extensions
                && !matches!(function.name, "Ref" | "Fn::FindInMap")
            {
                self.needs_extensions(inner.line, &format!("{} within Fn::FindInMap", function.name));
            }
        }
    }

    fn select(&mut self, items: &[Node]) {
        let [index, list] = items else { return };
        if let Some((inner, function)) = self.function_here(index)
            && !self.has_extensions
            && !matches!(function.name, "Ref" | "Fn::FindInMap")
        {
            let message =
                format!("the index of Fn::Select is a number, Ref or Fn::FindInMap, not {}", function.name);
            self.fault(inner.line, message);
        }
        let index_value = index.scalar().and_then(|text| text.parse::<usize>().ok());
        if let (Some(at), Some(values)) = (index_value, list.items())
            && at >= values.len()
        {
            let message =
                format!("Fn::Select takes the value {at} of a list of {}: the first is 0", values.len());
            self.fault(index.line, message);
        }
    }

    /// Checks that the name of an import depends on no resource, which CloudFormation would have to create first.
    fn import(&mut self, name: &Node) {
        if let Some((inner, function)) = self.function_here(name)
            && matches!(function.name, "Fn::GetAtt" | "Fn::ImportValue" | "Fn::GetAZs" | "Fn::Cidr")
        {
            self.fault(inner.line, format!("the name of an import cannot use {}", function.name));
        }
    }
}

/// Returns the function that a mapping of one key is.
pub(super) fn function_of(node: &Node) -> Option<(&Entry, &'static Function)> {
    let [entry] = node.entries()? else { return None };
    functions::find(&entry.key).map(|function| (entry, function))
}

/// Returns true if a value that is no function may stand where `expected` is.
fn is_literal(node: &Node, expected: Kind) -> bool {
    let unknown = node.entries().is_some_and(|entries| {
        // An unknown function is reported as such, and a loop or macro makes what is not visible here.
        matches!(entries, [entry] if entry.key.starts_with("Fn::"))
    });
    let is_count = || node.scalar().is_some_and(|text| text.parse::<u32>().is_ok());
    // A null is reported as such.
    unknown
        || match (&node.value, expected) {
            (Value::Null, _) | (_, Kind::Any) => true,
            (
                Value::Text(_) | Value::Bool(_) | Value::Number(_),
                Kind::Literal | Kind::Text | Kind::Scalar,
            ) => true,
            (_, Kind::Count) => is_count(),
            (Value::Number(_), Kind::Number) => true,
            (Value::List(_), Kind::List | Kind::Texts) | (Value::Map(_), Kind::Map) => true,
            _ => false,
        }
}
