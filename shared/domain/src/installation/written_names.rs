//! Literal names of resources in a template.
//!
//! CloudFormation imports an existing resource only if its template gives it a literal name
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html>). A
//! bucket's name contains its account and its region, and an installer knows both before it sends the
//! template.

/// Account and region that a template is deployed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameContext<'a> {
    /// The partition, such as `aws`.
    pub partition: &'a str,
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
}

/// Returns the template in which each `<Something>Name: !Sub <text>` that depends on the location alone is a
/// literal.
pub fn written_out(template: &str, place: NameContext<'_>) -> String {
    template
        .split_inclusive('\n')
        .map(|line| literal(line, place).unwrap_or_else(|| line.to_owned()))
        .collect()
}

/// Returns the line with its name as a literal. `None` if it has no name, or one that depends on more.
fn literal(line: &str, place: NameContext<'_>) -> Option<String> {
    let (property, value) = line.split_once(": !Sub ")?;
    if !property.ends_with("Name") {
        return None;
    }
    let value = value.trim_end().trim_matches(['"', '\'']);
    let known = [
        ("AWS::Partition", place.partition),
        ("AWS::Region", place.region),
        ("AWS::AccountId", place.account),
    ];
    let name = known
        .iter()
        .fold(value.to_owned(), |name, (pseudo, value)| name.replace(&format!("${{{pseudo}}}"), value));
    let end = if line.ends_with('\n') { "\n" } else { "" };
    (!name.contains("${")).then(|| format!("{property}: \"{name}\"{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: NameContext<'_> =
        NameContext { partition: "aws", region: "eu-west-1", account: "111111111111" };

    #[test]
    fn a_name_that_depends_on_the_location_alone_becomes_a_literal() {
        let template =
            "      BucketName: !Sub \"artifacts-${AWS::AccountId}-${AWS::Region}\"\n      Other: 1";
        let expected = "      BucketName: \"artifacts-111111111111-eu-west-1\"\n      Other: 1";
        assert_eq!(written_out(template, PLACE), expected);
        assert_eq!(
            written_out("RoleName: !Sub builder-${AWS::Region}", PLACE),
            "RoleName: \"builder-eu-west-1\""
        );
    }

    #[test]
    fn other_names_and_other_text_are_unchanged() {
        for line in [
            "      RoleName: !Sub lockstep-${Path}-${AWS::Region}\n",
            "      Resource: !Sub arn:aws:s3:::artifacts-${AWS::AccountId}\n",
            "      BucketName: artifacts\n",
            "      BucketName: !Ref Bucket\n",
        ] {
            assert_eq!(written_out(line, PLACE), line);
        }
    }
}
