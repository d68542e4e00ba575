//! Visibility of a template's contents before its macros have run.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html>

use super::node::Node;

/// Macros that add no resources and no syntax of their own.
const HARMLESS: [&str; 2] = ["AWS::LanguageExtensions", "AWS::CodeDeployBlueGreen"];

/// Share of the deployed resources that is visible in the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacroUse {
    /// All resources are visible.
    All,
    /// SAM adds resources that are named after declared ones, and some called `Serverless…`.
    /// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html>
    Sam,
    /// A macro may add resources, sections and attributes of its own.
    Some,
}

impl MacroUse {
    /// Returns the visibility that the macros of the template allow.
    pub(crate) fn of(root: &Node) -> Self {
        let includes = |node: Option<&Node>| node.is_some_and(|node| node.get("Fn::Transform").is_some());
        if includes(Some(root)) || includes(root.get("Resources")) {
            return Self::Some;
        }
        used(root).iter().fold(Self::All, |macro_use, used| match used.as_text() {
            Some(name) if HARMLESS.contains(&name) => macro_use,
            Some("AWS::Serverless-2016-10-31") if macro_use != Self::Some => Self::Sam,
            _ => Self::Some,
        })
    }
    /// Returns true if the transform is used that adds loops and functions to the language.
    pub(crate) fn has_language_extensions(root: &Node) -> bool {
        Self::names(root).contains(&"AWS::LanguageExtensions")
    }

    /// Returns the names of the macros that apply to the whole template.
    pub(super) fn names(root: &Node) -> Vec<&str> {
        used(root).iter().filter_map(Node::as_text).collect()
    }
}

fn used(root: &Node) -> &[Node] {
    let Some(transform) = root.get("Transform") else { return &[] };
    transform.items().unwrap_or(std::slice::from_ref(transform))
}

/// Returns true for the type of a module, whose resources CloudFormation adds.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/modules.html>
pub(crate) fn is_module(kind: &str) -> bool {
    kind.ends_with("::MODULE")
}
