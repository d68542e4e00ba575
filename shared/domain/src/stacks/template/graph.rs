//! Finds resources that wait for each other, and conditions that use each other. CloudFormation refuses both.

use super::functions::Kind;
use super::macros::{MacroUse, is_module};
use super::node::{Entry, Fault, Node, Value};
use super::references::substituted;
use super::shapes::function_of;
use std::collections::{BTreeMap, BTreeSet};

/// Upper bound for the names in one section; CloudFormation accepts fewer.
const NAMES_MAX: usize = 1000;

/// Upper bound for the branches that are followed, and for those of one name.
const BRANCHES_MAX: usize = 200;

/// A branch of `Fn::If`: the condition, and its value there.
type Branch<'n> = (&'n str, bool);

/// Dependencies of one resource or condition: for each name that it uses, the line and the branches that use it.
/// An empty list of branches stands for a use outside of every `Fn::If`.
type Dependencies<'n> = BTreeMap<&'n str, (u32, Vec<Vec<Branch<'n>>>)>;

/// Returns every circle among the resources and among the conditions of `root`.
pub(super) fn check(root: &Node) -> Vec<Fault> {
    let macro_use = MacroUse::of(root);
    if macro_use == MacroUse::Some {
        return Vec::new();
    }
    let section = |name| root.get(name).and_then(Node::entries).unwrap_or_default();
    let mut faults = circles("resources", &resources(section("Resources"), macro_use));
    faults.extend(circles("conditions", &conditions(section("Conditions"))));
    faults
}

/// Returns the dependencies of the resources. Those of a type that a transform or a module replaces are not known.
fn resources(entries: &[Entry], macro_use: MacroUse) -> BTreeMap<&str, Dependencies<'_>> {
    let is_known = |entry: &&Entry| {
        let kind = entry.node.get("Type").and_then(Node::as_text).unwrap_or_default();
        let is_replaced = macro_use == MacroUse::Sam && kind.starts_with("AWS::Serverless::");
        !entry.key.starts_with("Fn::") && !is_replaced && !is_module(kind)
    };
    let uses = |entry| {
        let mut walk = Walk::default();
        walk.depends_on(entry);
        entry.node.get("Properties").into_iter().for_each(|properties| walk.node(properties));
        walk.uses
    };
    entries.iter().filter(is_known).map(|entry| (entry.key.as_str(), uses(entry))).collect()
}

fn conditions(entries: &[Entry]) -> BTreeMap<&str, Dependencies<'_>> {
    let mut graph = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.key.starts_with("Fn::")) {
        named_conditions(&entry.node, graph.entry(entry.key.as_str()).or_default());
    }
    graph
}

fn named_conditions<'n>(node: &'n Node, uses: &mut Dependencies<'n>) {
    match (&node.value, function_of(node)) {
        (_, Some((entry, function))) if function.name == "Condition" => {
            if let Some(name) = entry.node.as_text() {
                uses.entry(name).or_insert_with(|| (entry.node.line, vec![Vec::new()]));
            }
        }
        (Value::List(items), _) => items.iter().for_each(|item| named_conditions(item, uses)),
        (Value::Map(entries), _) => entries.iter().for_each(|entry| named_conditions(&entry.node, uses)),
        _ => {}
    }
}

#[derive(Default)]
struct Walk<'n> {
    branches: Vec<Branch<'n>>,
    uses: Dependencies<'n>,
}

impl<'n> Walk<'n> {
    fn depends_on(&mut self, resource: &'n Entry) {
        let Some(depends) = resource.node.get("DependsOn") else { return };
        for on in depends.items().unwrap_or(std::slice::from_ref(depends)) {
            on.as_text().into_iter().for_each(|name| self.uses(name, on.line));
        }
    }

    fn uses(&mut self, name: &'n str, line: u32) {
        let (_, branches) = self.uses.entry(name).or_insert_with(|| (line, Vec::new()));
        if branches.len() < BRANCHES_MAX && !branches.contains(&self.branches) {
            branches.push(self.branches.clone());
        }
    }

    fn node(&mut self, node: &'n Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.node(item)),
            Value::Map(entries) => match function_of(node) {
                Some((entry, function)) if function.returns != Kind::Truth => self.function(entry),
                _ => entries.iter().for_each(|entry| self.node(&entry.node)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn function(&mut self, entry: &'n Entry) {
        let argument = &entry.node;
        let items = argument.items().unwrap_or_default();
        match (entry.key.as_str(), items) {
            ("Ref", _) => argument.as_text().into_iter().for_each(|name| self.uses(name, argument.line)),
            ("Fn::GetAtt", [resource, ..]) => {
                resource.as_text().into_iter().for_each(|name| self.uses(name, argument.line));
            }
            ("Fn::If", [condition, then, otherwise]) => {
                for (value, is_true) in [(then, true), (otherwise, false)] {
                    self.branches.push((condition.as_text().unwrap_or_default(), is_true));
                    self.node(value);
                    self.branches.pop();
                }
                return;
            }
            ("Fn::Sub", _) => self.substitution(argument),
            _ => {}
        }
        self.node(argument);
    }

    fn substitution(&mut self, argument: &'n Node) {
        let items = argument.items().unwrap_or_default();
        let text = items.first().unwrap_or(argument);
        let own = items.get(1).and_then(Node::entries).unwrap_or_default();
        for (offset, name) in text.as_text().map(substituted).unwrap_or_default() {
            let resource = name.split('.').next().unwrap_or(name);
            if own.iter().all(|variable| variable.key != name) {
                self.uses(resource, text.line_at(offset));
            }
        }
    }
}

/// Returns a fault for each circle that exists in some deployment: without branches, or with one branch of one
/// condition. Circles that need several conditions may never exist, since conditions can exclude each other.
fn circles(what: &str, graph: &BTreeMap<&str, Dependencies<'_>>) -> Vec<Fault> {
    if graph.len() > NAMES_MAX {
        return Vec::new();
    }
    let single = |branches: &Vec<Branch<'_>>| match branches.as_slice() {
        [(condition, is_true)] => Some(((*condition).to_owned(), *is_true)),
        _ => None,
    };
    let branches: BTreeSet<(String, bool)> = graph
        .values()
        .flat_map(BTreeMap::values)
        .flat_map(|(_, all)| all.iter().filter_map(single))
        .collect();
    let mut found: BTreeMap<BTreeSet<&str>, Fault> = BTreeMap::new();
    for branch in std::iter::once(None).chain(branches.iter().take(BRANCHES_MAX).map(Some)) {
        let mut search = Search { graph, branch, done: BTreeSet::new(), path: Vec::new(), found: Vec::new() };
        graph.keys().for_each(|name| search.visit(name));
        for circle in search.found {
            let fault = fault(what, graph, &circle);
            found.entry(circle.into_iter().collect()).or_insert(fault);
        }
    }
    found.into_values().collect()
}

fn fault(what: &str, graph: &BTreeMap<&str, Dependencies<'_>>, circle: &[&str]) -> Fault {
    let first = circle[0];
    let second = circle.get(1).unwrap_or(&first);
    let line = graph.get(first).and_then(|uses| uses.get(second)).map_or(1, |(line, _)| *line);
    let shown: Vec<&str> = circle.iter().take(10).chain([&first]).copied().collect();
    Fault::new(line, format!("{what} depend on each other in a circle: {}", shown.join(" -> ")))
}

struct Search<'g> {
    graph: &'g BTreeMap<&'g str, Dependencies<'g>>,
    branch: Option<&'g (String, bool)>,
    done: BTreeSet<&'g str>,
    path: Vec<&'g str>,
    found: Vec<Vec<&'g str>>,
}

impl<'g> Search<'g> {
    fn visit(&mut self, name: &'g str) {
        if let Some(start) = self.path.iter().position(|other| *other == name) {
            let circle = self.path[start..].to_vec();
            self.found.push(circle);
            return;
        }
        if !self.graph.contains_key(name) || !self.done.insert(name) {
            return;
        }
        self.path.push(name);
        let uses = &self.graph[name];
        for (used, (_, branches)) in uses {
            if self.exists(branches) {
                self.visit(used);
            }
        }
        self.path.pop();
    }

    /// Returns true if a use exists outside of every branch, in the branch of this search, or in both branches of one
    /// condition.
    fn exists(&self, branches: &[Vec<Branch<'g>>]) -> bool {
        let is_single = |wanted: Branch<'_>| branches.iter().any(|path| path.as_slice() == [wanted]);
        let is_both = |path: &Vec<Branch<'g>>| match path.as_slice() {
            [(condition, is_true)] => is_single((condition, !is_true)),
            _ => false,
        };
        branches.iter().any(Vec::is_empty)
            || branches.iter().any(is_both)
            || self.branch.is_some_and(|(condition, is_true)| is_single((condition, *is_true)))
    }
}
