//! Types whose stored form is a text.

/// Implements what `#[serde(try_from = "String", into = "String")]` needs, by `FromStr` and `Display` of the type.
macro_rules! stored_as_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = <$name as ::std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )+};
}

/// Defines a type of one text. Its constructor accepts what the last argument returns true for, and refuses any other
/// text with `<Error>::new(<text>, <rule>)`.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $error:ident($rule:literal), $valid:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err($error::new(text, $rule)) }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        $crate::model::text::stored_as_text!($name);
    };
}

pub(crate) use {checked_text, stored_as_text};

/// A refused text, with the rule that it broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidText {
    rule: &'static str,
}

impl InvalidText {
    /// Returns the refusal by `rule`, which is the whole message. The text may be confidential.
    pub(crate) fn new(_: &str, rule: &'static str) -> Self {
        Self { rule }
    }
}
