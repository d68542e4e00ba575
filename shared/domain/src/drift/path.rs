//! Paths of properties, and patterns of paths.

use std::fmt;

/// Path of a value within a resource's properties.
///
/// A path has two forms. The shown form names the member of a list: `Rules[expire].Status`. The form of the schema has `*`
/// for each member: `Rules.*.Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    shown: String,
    schema: String,
}

impl Path {
    /// Returns the path of the member `name` of an object.
    pub fn property(&self, name: &str) -> Self {
        let join = |base: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
        Self { shown: join(&self.shown), schema: join(&self.schema) }
    }

    /// Returns the path of an entry of an object with free keys.
    pub fn entry(&self, name: &str) -> Self {
        Self { shown: self.property(name).shown, schema: self.member("").schema }
    }

    /// Returns the path of a member of a list, named by its position or its key.
    pub fn member(&self, name: impl fmt::Display) -> Self {
        let schema = if self.schema.is_empty() { "*".to_owned() } else { format!("{}.*", self.schema) };
        Self { shown: format!("{}[{name}]", self.shown), schema }
    }

    /// Returns the form of the schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the name of the last property.
    pub fn name(&self) -> &str {
        self.schema.rsplit('.').find(|part| *part != "*").unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Pattern of paths of the schema: `*` stands for one name, `**` for any number of names, `A|B` for either name. A comma
/// separates patterns of which one has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Vec<String>>);

impl Pattern {
    /// Parses a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.split(", ").map(|choice| choice.split('.').map(str::to_owned).collect()).collect())
    }

    /// Returns true if the pattern matches a path of the schema.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('.').collect();
        self.0.iter().any(|choice| matches(choice, &names))
    }

    /// Returns true if the pattern matches a path or one above it.
    pub fn covers(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('.').collect();
        (1..=names.len()).any(|end| self.0.iter().any(|choice| matches(choice, &names[..end])))
    }

    /// Returns true if the pattern can match a path below `path`.
    pub fn is_below(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('.').filter(|name| !name.is_empty()).collect();
        let is_below = |choice: &Vec<String>| (1..choice.len()).any(|end| matches(&choice[..end], &names));
        names.is_empty() || self.0.iter().any(is_below)
    }
}

fn matches(pattern: &[String], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            (0..=names.len()).any(|skipped| matches(rest, &names[skipped..]))
        }
        (Some((first, rest)), Some((name, left))) => {
            (first == "*" || first.split('|').any(|choice| choice == *name)) && matches(rest, left)
        }
        _ => false,
    }
}

/// Returns true if the name of a type matches a pattern of types: `AWS::RDS::*`, `AWS::A::B|AWS::C::D`, `*`.
pub fn matches_type(pattern: &str, resource_type: &str) -> bool {
    pattern.split('|').any(|choice| match choice.strip_suffix('*') {
        Some(prefix) => resource_type.starts_with(prefix),
        None => choice == resource_type,
    })
}
