//! Text of a `lockstep.toml` for tests.

use std::fmt;

/// The manifest of a component of the team `platform`.
#[derive(Clone, Debug)]
pub struct ManifestText {
    name: String,
    version: String,
    sections: Vec<String>,
}

/// Returns the smallest manifest of the component `name`, with the version 1.0.
pub fn manifest_text(name: &str) -> ManifestText {
    ManifestText { name: name.to_owned(), version: "1.0".to_owned(), sections: Vec::new() }
}

impl ManifestText {
    /// Sets the version, such as `2.1`.
    pub fn with_version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// Adds a check of the output `name`, which any text passes.
    pub fn with_output_check(self, name: &str) -> Self {
        self.with(&format!("[[checks]]\nkind = \"output\"\nname = \"{name}\"\nmatches = \".+\"\n"))
    }

    /// Adds sections, as text.
    pub fn with(mut self, sections: &str) -> Self {
        self.sections.push(sections.to_owned());
        self
    }
}

impl fmt::Display for ManifestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, sections } = self;
        writeln!(f, "[component]\nname = \"{name}\"\nversion = \"{version}\"\ntemplate = \"template.yaml\"")?;
        writeln!(f, "team = \"platform\"\nfunction = \"logging\"")?;
        sections.iter().try_for_each(|section| write!(f, "\n{section}"))
    }
}
