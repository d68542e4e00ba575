//! References in values: `${stage}`, `${outputs.<component>.<Output>}` and others.

use crate::model::error::chain;
use crate::model::ids::{FunctionName, StageName};
use crate::model::output_name::OutputName;
use crate::model::toml_file::suggestion;
use std::error::Error;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Stage,
    Account,
    Region,
    Version,
    Commit,
    StageAccount(StageName),
    StageRegion(StageName),
    Output(OutputName),
    Function(FunctionName),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Reference(Reference),
}

/// Splits `text` into plain pieces and references. The error names the unreadable part.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, found) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = &found[2..];
            continue;
        }
        let end = found.find('}').ok_or("a `${` is not closed by `}`; write `$${` for a plain `${`")?;
        pieces.extend([Piece::Text(before), Piece::Reference(reference(&found[2..end])?)]);
        rest = &found[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

fn reference(name: &str) -> Result<Reference, String> {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["stage"] => Ok(Reference::Stage),
        ["account"] => Ok(Reference::Account),
        ["region"] => Ok(Reference::Region),
        ["version"] => Ok(Reference::Version),
        ["commit"] => Ok(Reference::Commit),
        ["stages", stage, "account"] => Ok(Reference::StageAccount(part(name, stage)?)),
        ["stages", stage, "region"] => Ok(Reference::StageRegion(part(name, stage)?)),
        ["outputs", component, output] => Ok(Reference::Output(OutputName {
            component: part(name, component)?,
            output: part(name, output)?,
        })),
        ["functions", function] => Ok(Reference::Function(part(name, function)?)),
        _ => Err(unknown(name)),
    }
}

fn part<T: FromStr<Err: Error + 'static>>(name: &str, part: &str) -> Result<T, String> {
    part.parse().map_err(|error| format!("in ${{{}}}: {}", shown(name), chain(&error)))
}

fn unknown(name: &str) -> String {
    const KNOWN: [&str; 9] = [
        "stage",
        "account",
        "region",
        "version",
        "commit",
        "stages.<name>.account",
        "stages.<name>.region",
        "outputs.<component>.<Output>",
        "functions.<name>",
    ];
    let hint = suggestion(name, &KNOWN);
    format!("${{{}}} is not known{hint} (write `$${{` for a plain `${{`)", shown(name))
}

fn shown(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        pieces(text).unwrap_err()
    }

    #[test]
    fn every_reference_is_recognised() {
        let output =
            OutputName { component: "logs-broker".parse().unwrap(), output: "Host".parse().unwrap() };
        for (text, reference) in [
            ("${stage}", Reference::Stage),
            ("${account}", Reference::Account),
            ("${region}", Reference::Region),
            ("${version}", Reference::Version),
            ("${commit}", Reference::Commit),
            ("${stages.ci.account}", Reference::StageAccount("ci".parse().unwrap())),
            ("${stages.ci.region}", Reference::StageRegion("ci".parse().unwrap())),
            ("${outputs.logs-broker.Host}", Reference::Output(output)),
            ("${functions.elb-logs}", Reference::Function("elb-logs".parse().unwrap())),
        ] {
            assert_eq!(pieces(text), Ok(vec![Piece::Reference(reference)]), "{text}");
        }
    }

    #[test]
    fn text_around_a_reference_is_kept() {
        let expected = [Piece::Text("a-"), Piece::Reference(Reference::Stage), Piece::Text("-b")];
        assert_eq!(pieces("a-${stage}-b"), Ok(expected.to_vec()));
    }

    #[test]
    fn a_doubled_dollar_before_a_bracket_is_a_plain_one() {
        assert_eq!(pieces("$${stage}"), Ok(vec![Piece::Text("${"), Piece::Text("stage}")]));
        assert_eq!(
            pieces("$$${stage}"),
            Ok(vec![Piece::Text("$"), Piece::Text("${"), Piece::Text("stage}")])
        );
    }

    #[test]
    fn a_dollar_alone_and_a_dynamic_reference_are_plain_text() {
        for text in ["$5", "a$", "$$", "{}", "}", "{{resolve:ssm-secure:/a/b:1}}", ""] {
            let expected: Vec<Piece> = if text.is_empty() { vec![] } else { vec![Piece::Text(text)] };
            assert_eq!(pieces(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unreadable_reference_is_explained() {
        assert_eq!(refusal("x${stage"), "a `${` is not closed by `}`; write `$${` for a plain `${`");
        assert!(refusal("${stgae}").starts_with("${stgae} is not known; did you mean `stage`?"));
        assert!(refusal("${}").starts_with("${} is not known; known: stage, account"));
        assert!(refusal("${AWS::Region}").ends_with("(write `$${` for a plain `${`)"));
        assert!(
            refusal("${outputs.Broker.Host}")
                .starts_with("in ${outputs.Broker.Host}: 'Broker' is not a component")
        );
        assert!(refusal("${outputs.broker}").starts_with("${outputs.broker} is not known"));
        assert!(refusal("${stages.ci.role}").starts_with("${stages.ci.role} is not known"));
    }

    proptest! {
        #[test]
        fn text_without_references_is_unchanged(text in "[^{]*") {
            let joined: String = pieces(&text).unwrap().iter().map(|piece| match piece {
                Piece::Text(text) => *text,
                Piece::Reference(_) => "a reference",
            }).collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn escaping_every_bracket_preserves_any_text(text in "[a-z${}]*") {
            // Only `${` needs an escape, and an escaped one may itself follow a dollar.
            prop_assume!(!text.contains("$${"));
            let escaped = text.replace("${", "$${");
            let joined: String = pieces(&escaped).unwrap().iter().map(|piece| match piece {
                Piece::Text(text) => *text,
                Piece::Reference(_) => "a reference",
            }).collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*|[${}a-z.]*") {
            if let Err(why) = pieces(&text) {
                prop_assert!(!why.is_empty());
            }
        }
    }
}
