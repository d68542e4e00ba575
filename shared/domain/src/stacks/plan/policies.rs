//! Resources that the deletion policies of a template retain when the stack is deleted.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html>

use crate::model::policies::Policies;
use crate::stacks::template::Template;

/// Returns the policies of one template that retain resources; `None` if the template cannot be read.
pub fn policies(template: &str) -> Option<Policies> {
    let read = Template::parse("template", template).ok()?;
    let json = read.to_json();
    let kept = read.resources().iter().filter_map(|(id, resource)| {
        let within_a_cluster = json["Resources"][id]["Properties"].get("DBClusterIdentifier").is_some();
        let policy = match (resource.deletion_policy.as_deref(), resource.kind.as_str()) {
            (Some("Delete"), _) => return None,
            (Some(policy), _) => policy,
            (None, "AWS::RDS::DBCluster") => "Snapshot",
            (None, "AWS::RDS::DBInstance") if !within_a_cluster => "Snapshot",
            (None, _) => return None,
        };
        Some((id.clone(), policy.to_owned()))
    });
    Some(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::policies;

    #[test]
    fn template_policies_apply_else_the_defaults_of_aws() {
        let template = "Resources:
  Plain: {Type: AWS::SNS::Topic}
  Gone: {Type: AWS::S3::Bucket, DeletionPolicy: Delete}
  Kept: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
  New: {Type: AWS::S3::Bucket, DeletionPolicy: RetainExceptOnCreate}
  Volume: {Type: AWS::EC2::Volume, DeletionPolicy: Snapshot}
  Cluster: {Type: AWS::RDS::DBCluster}
  Alone: {Type: AWS::RDS::DBInstance}
  Member: {Type: AWS::RDS::DBInstance, Properties: {DBClusterIdentifier: x}}
";
        let found = policies(template).unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(id, policy)| (id.as_str(), policy.as_str())).collect();
        assert_eq!(
            found,
            [
                ("Alone", "Snapshot"),
                ("Cluster", "Snapshot"),
                ("Kept", "Retain"),
                ("New", "RetainExceptOnCreate"),
                ("Volume", "Snapshot"),
            ]
        );
        assert_eq!(policies("- no template"), None);
    }
}
