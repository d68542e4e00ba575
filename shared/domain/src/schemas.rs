//! JSON Schemas of the files that authors and administrators write, for editors.
//!
//! A schema accepts all that the parser of its file accepts. It refuses each fault of a key, a type, a word of an
//! enumeration and a pattern. Rules about several values are the parser's alone. This module embeds the files of
//! `shared/domain/schemas`. A test derives them from the types and compares them, so only tests need a generator.

#[cfg(test)]
mod derived;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod validator;

use crate::delivery::archive::OWN_FOLDER;

/// A schema with the file that it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Name of the schema's file.
    pub name: &'static str,
    /// The schema as JSON.
    pub text: &'static str,
}

/// Every schema.
pub const ALL: [Schema; 5] = [LOCKSTEP, PARAMETERS, STAGES, ORGANISATION_PARAMETERS, IMAGE];

/// Schema of `lockstep.toml`.
pub const LOCKSTEP: Schema = Schema { name: "lockstep.json", text: include_str!("../schemas/lockstep.json") };

/// Schema of the files in a component's folder `parameters`.
pub const PARAMETERS: Schema =
    Schema { name: "parameters.json", text: include_str!("../schemas/parameters.json") };

/// Schema of `stages.toml`.
pub const STAGES: Schema = Schema { name: "stages.json", text: include_str!("../schemas/stages.json") };

/// Schema of the organisation's `parameters.toml`.
pub const ORGANISATION_PARAMETERS: Schema = Schema {
    name: "organisation-parameters.json",
    text: include_str!("../schemas/organisation-parameters.json"),
};

/// Schema of `image.toml`.
pub const IMAGE: Schema = Schema { name: "image.json", text: include_str!("../schemas/image.json") };

/// Folder of the schemas within [`OWN_FOLDER`].
pub const FOLDER: &str = "schemas";

/// Key of a schema that holds the version of the command that wrote it.
const WRITER: &str = "$comment";

/// Returns the text of a schema as the command of `version` writes it.
pub fn written(schema: Schema, version: &str) -> String {
    let head = format!("{{\n  \"{WRITER}\": \"lockstep {version}\",\n");
    schema.text.replacen("{\n", &head, 1)
}

/// Returns true if a command of `version` replaces the `found` text of a schema: another text, of no newer command. A text
/// without a readable version is replaced.
pub fn is_outdated(schema: Schema, found: &str, version: &str) -> bool {
    let Ok(own) = version.parse::<semver::Version>() else { return false };
    let written_by = serde_json::from_str::<serde_json::Value>(found).ok().and_then(|value| {
        value.get(WRITER)?.as_str()?.strip_prefix("lockstep ")?.parse::<semver::Version>().ok()
    });
    found != written(schema, version) && written_by.is_none_or(|by| by <= own)
}

/// Returns the first line of a file whose schema is in the folder `levels` above the file's own.
pub fn reference(schema: Schema, levels: usize) -> String {
    format!("#:schema {}{OWN_FOLDER}/{FOLDER}/{}", "../".repeat(levels), schema.name)
}
