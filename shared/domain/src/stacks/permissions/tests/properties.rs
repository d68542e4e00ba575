use super::*;
use crate::model::permission::Certainty;
use proptest::prelude::*;

/// Returns a template with a function whose properties are set or not.
fn function_with(set: &[bool]) -> String {
    const PROPERTIES: [&str; 4] =
        ["Layers: [a]", "VpcConfig: {SubnetIds: [a]}", "FunctionName: shop", "MemorySize: 128"];
    let mut text =
        "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    Properties:\n      Role: r\n".to_owned();
    for (property, set) in PROPERTIES.iter().zip(set) {
        if *set {
            text.push_str(&format!("      {property}\n"));
        }
    }
    text
}

proptest! {
    #[test]
    fn a_further_property_removes_no_permission(set in prop::collection::vec(any::<bool>(), 4), more in 0..4_usize) {
        let mut wider = set.clone();
        wider[more] = true;
        let (before, after) = (found(&function_with(&set), &TemplateContext::default()), found(&function_with(&wider), &TemplateContext::default()));
        for need in &before.needs {
            let kept = |other: &Need| {
                other.action == need.action && other.level <= need.level && covers(&need.arn, &other.arn)
            };
            prop_assert!(after.needs.iter().any(kept), "{need:?}");
        }
    }

    #[test]
    fn no_permission_belongs_to_a_property_that_is_not_set(set in prop::collection::vec(any::<bool>(), 4)) {
        let needs = found(&function_with(&set), &TemplateContext::default());
        prop_assert_eq!(!arns(&needs, "lambda:GetLayerVersion").is_empty(), set[0]);
        prop_assert_eq!(!arns(&needs, "ec2:DescribeSubnets").is_empty(), set[1]);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_policy_is_too_long_and_no_permission_is_lost(
        wanted in prop::collection::vec(("[a-z]{2,8}:[A-Z][A-Za-z]{3,40}", "[a-z]{1,200}", any::<bool>()), 1..400)
    ) {
        let needs: Vec<Need> = wanted
            .into_iter()
            .map(|(action, name, required)| Need {
                line: 1,
                resource: "R".into(),
                kind: "T".into(),
                action,
                arn: format!("arn:${{AWS::Partition}}:x:${{AWS::Region}}:${{AWS::AccountId}}:{name}"),
                certainty: Certainty::Exact,
                level: if required { Level::Required } else { Level::Conditional },
                because: String::new(),
                condition: None,
            })
            .collect();
        policies::assert_complete(&needs, &split(statements(&needs)));
    }
}
