//! S18 C5: a caller of the development account plants a zip, a template or a recipe under a key that Lockstep will use.
//!
//! Fails without the policy of the artifact bucket. `elsewhere.txt` names the tests of the comparison with the digest.

use crate::{STACKS, in_development};
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::recipe::{artifact_key, is_at_key};
use lockstep_domain::model::ids::Digest;
use lockstep_tests::installed::DEVELOPMENT;
use lockstep_tests::policy::{denied, statements};

#[test]
fn only_its_own_role_writes_each_folder_that_lockstep_reads() {
    for target in STACKS.iter().filter(|stack| stack.name == "lockstep-target") {
        let policies = target.resources("AWS::S3::BucketPolicy");
        let [(_, policy)] = policies.as_slice() else { panic!("{policies:?}") };
        let fence = statements(&policy["PolicyDocument"]);
        let path = if target.account == DEVELOPMENT { "delivery" } else { "promotion" };
        let bucket = format!("arn:aws:s3:::lockstep-artifacts-{}-eu-west-1", target.account);
        let writers = ["deployer", "image-builder", "cloudformation", "image-keeper"]
            .map(|role| format!("arn:aws:iam::{}:role/lockstep-{path}-{role}", target.account));
        for (key, writer) in [
            ("functions/elb-logs/0.zip", &writers[0]),
            ("files/0", &writers[0]),
            ("templates/0", &writers[0]),
            ("recipes/logstash/0.zip", &writers[1]),
        ] {
            let object = format!("{bucket}/{key}");
            let administrator = format!("arn:aws:iam::{}:role/Administrator", target.account);
            for role in writers.iter().chain([&administrator]) {
                for action in ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"] {
                    let context = [("aws:principalarn", role.as_str())].into();
                    assert_eq!(
                        denied(&fence, action, &object, &context),
                        role != writer,
                        "{role}: {action} on {key}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_planted_recipe_is_not_the_one_at_its_key() {
    let files: Files = [("image.toml".to_owned(), b"good".to_vec())].into();
    let good = lockstep_domain::delivery::archive::pack(&files).unwrap();
    let key = artifact_key(&"logstash".parse().unwrap(), &Digest::of(&good));
    assert!(is_at_key(&good, &key));
    assert!(!is_at_key(b"planted", &key));
}

/// The deployer compares a zip that is there already, for which it must read it.
#[test]
fn the_deployer_reads_the_code_that_it_did_not_write() {
    let deployer = in_development("lockstep-delivery-deployer");
    let zip = format!("arn:aws:s3:::lockstep-artifacts-{DEVELOPMENT}-eu-west-1/functions/elb-logs/0.zip");
    assert!(deployer.may("s3:GetObject", &zip, &[("aws:resourceaccount", DEVELOPMENT)].into()));
}
