//! How far a template can be judged before the macros it names have run.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html>

use super::node::Node;

/// Macros that add no resources and no syntax of their own.
const HARMLESS: [&str; 2] = ["AWS::LanguageExtensions", "AWS::CodeDeployBlueGreen"];

/// How much of what will be deployed can be seen in the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacroUse {
    /// All of it.
    All,
    /// SAM adds resources named after those it finds, and some called `Serverless…`.
    /// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html>
    Sam,
    /// A macro may add resources, sections and attributes of its own.
    Some,
}

impl MacroUse {
    /// What the template's own macros leave visible.
    pub(crate) fn of(root: &Node) -> Self {
        let includes = |node: Option<&Node>| node.is_some_and(|node| node.get("Fn::Transform").is_some());
        if includes(Some(root)) || includes(root.get("Resources")) {
            return Self::Some;
        }
        let Some(transform) = root.get("Transform") else { return Self::All };
        let macros = transform.items().unwrap_or(std::slice::from_ref(transform));
        macros.iter().fold(Self::All, |sight, used| match used.as_text() {
            Some(name) if HARMLESS.contains(&name) => sight,
            Some("AWS::Serverless-2016-10-31") if sight != Self::Some => Self::Sam,
            _ => Self::Some,
        })
    }
}
