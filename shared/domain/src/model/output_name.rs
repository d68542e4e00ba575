//! The name of an output of a component.

use crate::model::ids::{ComponentName, InvalidId, LogicalId};
use crate::model::text::stored_as_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An output of another component in the same stage. Its stored form is `<component>.<Output>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutputName {
    /// The component that has the output.
    pub component: ComponentName,
    /// The output's name in the component's stack.
    pub output: LogicalId,
}

impl OutputName {
    /// Returns the reference to the output, as parameter files write it.
    pub fn reference(&self) -> String {
        format!("${{outputs.{self}}}")
    }
}

impl fmt::Display for OutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.component, self.output)
    }
}

impl FromStr for OutputName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (component, output) =
            text.split_once('.').ok_or_else(|| InvalidId::new(text, "an output (<component>.<Output>)"))?;
        Ok(Self { component: component.parse()?, output: output.parse()? })
    }
}

stored_as_text!(OutputName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_stored_under_its_component() {
        let name: OutputName = "orders-queue.Visible".parse().unwrap();
        assert_eq!(name.reference(), "${outputs.orders-queue.Visible}");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"orders-queue.Visible\"");
        for bad in ["orders-queue", "Orders.Visible", "orders-queue.", "a.b.c"] {
            assert!(bad.parse::<OutputName>().is_err(), "{bad}");
        }
    }
}
