//! Code in a bucket, on the emulator.

use crate::cloud::Emulator;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::operator::stacks::{Installer, Wanted};
use lockstep_domain::model::error::FailureKind;
use std::collections::BTreeMap;
use std::time::Duration;

const BUCKET: &str = "conformance-code";

#[tokio::test(flavor = "multi_thread")]
async fn code_that_another_caller_planted_is_compared_and_refused() {
    let emulator = Emulator::start().await;
    let template = format!(
        "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: {BUCKET}\n"
    );
    let store =
        Wanted { name: "code".into(), template: TemplateSource::Body(template), parameters: BTreeMap::new() };
    Installer::new(&emulator.aws).apply(&store, Duration::from_secs(60)).await.expect("a bucket");
    let bucket = Artifacts::new(&emulator.aws, BUCKET);
    let store =
        async |key: &str, bytes: &[u8]| bucket.put_or_compare(key, "application/zip", bytes.to_vec()).await;

    store("functions/good.zip", b"good").await.expect("a new object is stored");
    store("functions/good.zip", b"good").await.expect("an equal object is accepted");
    for planted in [&b"evil"[..], b"longer than the good one", b""] {
        bucket
            .put("functions/planted.zip", "application/zip", planted.to_vec())
            .await
            .expect("it is planted");
        let refused = store("functions/planted.zip", b"good").await.expect_err("it is compared");
        assert_eq!(refused.kind, FailureKind::Rejected);
        assert_eq!(
            bucket.get("functions/planted.zip", 64).await.expect("it is there"),
            planted,
            "nothing is overwritten"
        );
    }
}
