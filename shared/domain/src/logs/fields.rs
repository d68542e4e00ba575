//! The names of the fields of the events that a function of logs sends.

use std::str::FromStr;
use strum::VariantArray;

/// Version of the Elastic Common Schema that events follow.
pub const ECS_VERSION: &str = "9.4.0";

/// Names of the fields of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, VariantArray)]
pub enum Fields {
    /// Those of the Elastic Common Schema.
    #[default]
    Ecs,
    /// Those of Lockstep's own.
    Plain,
}

impl Fields {
    /// Returns the name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Plain => "plain",
        }
    }
}

/// A name of no choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no choice of field names; it is ecs or plain")]
pub struct UnknownFields(String);

impl FromStr for Fields {
    type Err = UnknownFields;

    fn from_str(name: &str) -> Result<Self, UnknownFields> {
        let found = Self::VARIANTS.iter().find(|fields| fields.name() == name);
        found.copied().ok_or_else(|| UnknownFields(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_parses_back_and_another_is_refused_with_the_choices() {
        for fields in Fields::VARIANTS {
            assert_eq!(fields.name().parse(), Ok(*fields));
        }
        let refused = "ECS".parse::<Fields>().unwrap_err().to_string();
        assert!(Fields::VARIANTS.iter().all(|fields| refused.contains(fields.name())), "{refused}");
    }
}
