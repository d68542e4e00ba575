//! CloudFormation resource types that hold data: the one list that the change set review, the linter and the teardown
//! use.
//!
//! A type is listed if deleting or replacing the resource loses what a template cannot rebuild: stored data, copies of
//! it, messages, logs, keys, credentials, identities of users. A type whose content a deployment rebuilds is not
//! listed: an SSM parameter with its value in the template, a Lambda layer, an Amplify application. A component that
//! needs more protection names the resource in `[protect]`.

/// A protected type.
struct Protected {
    kind: &'static str,
    /// True if the type supports `DeletionPolicy: Snapshot`.
    snapshot: bool,
}

const fn retain(kind: &'static str) -> Protected {
    Protected { kind, snapshot: false }
}

const fn snapshot(kind: &'static str) -> Protected {
    Protected { kind, snapshot: true }
}

/// Protected types, sorted by name for the binary search.
///
/// The support for `Snapshot` follows
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html>.
const PROTECTED: &[Protected] = &[
    retain("AWS::ACMPCA::CertificateAuthority"),
    retain("AWS::APS::Workspace"),
    retain("AWS::AmazonMQ::Broker"),
    retain("AWS::AppStream::User"),
    retain("AWS::Backup::BackupVault"),
    retain("AWS::Backup::LogicallyAirGappedBackupVault"),
    retain("AWS::BedrockAgentCore::Memory"),
    retain("AWS::Cases::Domain"),
    retain("AWS::Cassandra::Keyspace"),
    retain("AWS::Cassandra::Table"),
    retain("AWS::Chime::AppInstance"),
    retain("AWS::CloudFront::KeyValueStore"),
    retain("AWS::CloudHSM::Cluster"),
    retain("AWS::CloudTrail::EventDataStore"),
    retain("AWS::CodeArtifact::Domain"),
    retain("AWS::CodeArtifact::Repository"),
    retain("AWS::CodeCommit::Repository"),
    retain("AWS::Cognito::IdentityPool"),
    retain("AWS::Cognito::UserPool"),
    retain("AWS::Cognito::UserPoolUser"),
    retain("AWS::Connect::DataTable"),
    retain("AWS::Connect::Instance"),
    retain("AWS::Connect::User"),
    retain("AWS::CustomerProfiles::Domain"),
    retain("AWS::DSQL::Cluster"),
    retain("AWS::DataZone::Domain"),
    retain("AWS::Detective::Graph"),
    retain("AWS::DirectoryService::MicrosoftAD"),
    retain("AWS::DirectoryService::SimpleAD"),
    snapshot("AWS::DocDB::DBCluster"),
    retain("AWS::DocDB::DBInstance"),
    retain("AWS::DocDB::GlobalCluster"),
    retain("AWS::DocDBElastic::Cluster"),
    retain("AWS::DocDBElastic::ClusterSnapshot"),
    retain("AWS::DynamoDB::Backup"),
    retain("AWS::DynamoDB::GlobalTable"),
    retain("AWS::DynamoDB::Table"),
    retain("AWS::EC2::KeyPair"),
    snapshot("AWS::EC2::Volume"),
    retain("AWS::ECR::PublicRepository"),
    retain("AWS::ECR::Repository"),
    retain("AWS::EFS::FileSystem"),
    retain("AWS::EMR::Cluster"),
    retain("AWS::EMR::WALWorkspace"),
    snapshot("AWS::ElastiCache::CacheCluster"),
    retain("AWS::ElastiCache::GlobalReplicationGroup"),
    snapshot("AWS::ElastiCache::ReplicationGroup"),
    retain("AWS::ElastiCache::ServerlessCache"),
    retain("AWS::ElastiCache::ServerlessCacheSnapshot"),
    retain("AWS::ElastiCache::Snapshot"),
    retain("AWS::Elasticsearch::Domain"),
    retain("AWS::Events::Archive"),
    retain("AWS::FSx::Backup"),
    retain("AWS::FSx::FileCache"),
    retain("AWS::FSx::FileSystem"),
    retain("AWS::FSx::Snapshot"),
    retain("AWS::FSx::StorageVirtualMachine"),
    retain("AWS::FSx::Volume"),
    retain("AWS::FinSpace::Environment"),
    retain("AWS::Forecast::Dataset"),
    retain("AWS::Grafana::Workspace"),
    retain("AWS::HealthImaging::Datastore"),
    retain("AWS::HealthLake::FHIRDatastore"),
    retain("AWS::IdentityStore::User"),
    retain("AWS::IoT::Certificate"),
    retain("AWS::IoTAnalytics::Channel"),
    retain("AWS::IoTAnalytics::Dataset"),
    retain("AWS::IoTAnalytics::Datastore"),
    retain("AWS::IoTSiteWise::Asset"),
    retain("AWS::KMS::Key"),
    retain("AWS::KMS::ReplicaKey"),
    retain("AWS::Kendra::Index"),
    retain("AWS::Kinesis::Stream"),
    retain("AWS::KinesisVideo::Stream"),
    retain("AWS::Lightsail::Bucket"),
    retain("AWS::Lightsail::Database"),
    retain("AWS::Lightsail::DatabaseSnapshot"),
    retain("AWS::Lightsail::Disk"),
    retain("AWS::Lightsail::DiskSnapshot"),
    retain("AWS::Lightsail::InstanceSnapshot"),
    retain("AWS::Location::GeofenceCollection"),
    retain("AWS::Location::Tracker"),
    retain("AWS::Logs::LogGroup"),
    retain("AWS::Logs::LogStream"),
    retain("AWS::MSK::Cluster"),
    retain("AWS::MSK::ServerlessCluster"),
    retain("AWS::MSK::Topic"),
    retain("AWS::ManagedBlockchain::Member"),
    retain("AWS::MediaStore::Container"),
    retain("AWS::MemoryDB::Cluster"),
    retain("AWS::MemoryDB::MultiRegionCluster"),
    retain("AWS::MemoryDB::Snapshot"),
    snapshot("AWS::Neptune::DBCluster"),
    retain("AWS::Neptune::DBInstance"),
    retain("AWS::Neptune::GlobalCluster"),
    retain("AWS::NeptuneGraph::Graph"),
    retain("AWS::NeptuneGraph::GraphSnapshot"),
    retain("AWS::ODB::CloudAutonomousVmCluster"),
    retain("AWS::ODB::CloudVmCluster"),
    retain("AWS::Omics::AnnotationStore"),
    retain("AWS::Omics::ReferenceStore"),
    retain("AWS::Omics::SequenceStore"),
    retain("AWS::Omics::VariantStore"),
    retain("AWS::OpenSearchServerless::Collection"),
    retain("AWS::OpenSearchServerless::CollectionIndex"),
    retain("AWS::OpenSearchServerless::Index"),
    retain("AWS::OpenSearchService::Domain"),
    retain("AWS::Organizations::Account"),
    retain("AWS::PaymentCryptography::Key"),
    retain("AWS::Personalize::Dataset"),
    retain("AWS::Pinpoint::App"),
    retain("AWS::QBusiness::Index"),
    retain("AWS::QLDB::Ledger"),
    retain("AWS::RDS::ClusterSnapshot"),
    snapshot("AWS::RDS::DBCluster"),
    snapshot("AWS::RDS::DBInstance"),
    retain("AWS::RDS::DBShardGroup"),
    retain("AWS::RDS::DBSnapshot"),
    retain("AWS::RDS::GlobalCluster"),
    snapshot("AWS::Redshift::Cluster"),
    retain("AWS::Redshift::Snapshot"),
    retain("AWS::RedshiftServerless::Namespace"),
    retain("AWS::RedshiftServerless::Snapshot"),
    retain("AWS::Rekognition::Collection"),
    retain("AWS::Rekognition::Dataset"),
    retain("AWS::Route53::HostedZone"),
    retain("AWS::S3::Bucket"),
    retain("AWS::S3Express::DirectoryBucket"),
    retain("AWS::S3Files::FileSystem"),
    retain("AWS::S3Outposts::Bucket"),
    retain("AWS::S3Tables::Table"),
    retain("AWS::S3Tables::TableBucket"),
    retain("AWS::S3Vectors::Index"),
    retain("AWS::S3Vectors::VectorBucket"),
    retain("AWS::SCN::Instance"),
    retain("AWS::SDB::Domain"),
    retain("AWS::SES::ContactList"),
    retain("AWS::SES::MailManagerArchive"),
    retain("AWS::SQS::Queue"),
    retain("AWS::SageMaker::Domain"),
    retain("AWS::SageMaker::FeatureGroup"),
    retain("AWS::SageMaker::NotebookInstance"),
    retain("AWS::SecretsManager::Secret"),
    retain("AWS::SecurityLake::DataLake"),
    retain("AWS::Serverless::SimpleTable"),
    retain("AWS::StorageGateway::Volume"),
    retain("AWS::Timestream::Database"),
    retain("AWS::Timestream::InfluxDBBackup"),
    retain("AWS::Timestream::InfluxDBCluster"),
    retain("AWS::Timestream::InfluxDBInstance"),
    retain("AWS::Timestream::Table"),
    retain("AWS::VerifiedPermissions::PolicyStore"),
    retain("AWS::VoiceID::Domain"),
    retain("AWS::Wisdom::KnowledgeBase"),
    retain("AWS::WorkSpaces::Workspace"),
    retain("AWS::WorkspacesInstances::Volume"),
];

fn find(kind: &str) -> Option<&'static Protected> {
    PROTECTED.binary_search_by(|p| p.kind.cmp(kind)).ok().map(|at| &PROTECTED[at])
}

/// Returns true if resources of `kind` (`AWS::S3::Bucket`) hold data that a deletion or replacement would lose.
///
/// Caches count (ElastiCache, MemoryDB): they are often the only store, and an empty cache is an outage.
pub fn is_protected(kind: &str) -> bool {
    find(kind).is_some()
}

/// Returns true if CloudFormation can snapshot resources of `kind` before it deletes them (`Snapshot` as a
/// `DeletionPolicy` or `UpdateReplacePolicy`).
pub fn supports_snapshot(kind: &str) -> bool {
    find(kind).is_some_and(|p| p.snapshot)
}

/// Returns every protected type, sorted, for documentation and for tests that compare other lists with this one.
pub fn protected_types() -> impl Iterator<Item = &'static str> {
    PROTECTED.iter().map(|p| p.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_duplicates() {
        let out_of_order: Vec<_> =
            PROTECTED.windows(2).filter(|w| w[0].kind >= w[1].kind).map(|w| w[1].kind).collect();
        assert!(out_of_order.is_empty(), "{out_of_order:?}");
    }

    #[test]
    fn every_type_is_a_well_formed_aws_type() {
        let form = regex::Regex::new("^AWS::[A-Z][A-Za-z0-9]+::[A-Z][A-Za-z0-9]+$").unwrap();
        let wrong: Vec<_> = protected_types().filter(|kind| !form.is_match(kind)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn every_listed_type_is_found() {
        assert!(protected_types().all(is_protected));
        assert!(protected_types().count() > 50);
    }

    #[test]
    fn the_types_that_the_design_names_are_protected() {
        for kind in [
            "AWS::S3::Bucket",
            "AWS::RDS::DBInstance",
            "AWS::DynamoDB::Table",
            "AWS::EFS::FileSystem",
            "AWS::EC2::Volume",
            "AWS::ElastiCache::ReplicationGroup",
            "AWS::OpenSearchService::Domain",
            "AWS::Elasticsearch::Domain",
            "AWS::Kinesis::Stream",
            "AWS::SQS::Queue",
            "AWS::Logs::LogGroup",
            "AWS::KMS::Key",
            "AWS::SecretsManager::Secret",
            "AWS::Cognito::UserPool",
        ] {
            assert!(is_protected(kind), "{kind}");
        }
    }

    #[test]
    fn snapshots_stores_keys_and_people_are_protected() {
        for kind in [
            "AWS::RDS::DBSnapshot",
            "AWS::DynamoDB::Backup",
            "AWS::MemoryDB::Snapshot",
            "AWS::HealthImaging::Datastore",
            "AWS::Omics::AnnotationStore",
            "AWS::StorageGateway::Volume",
            "AWS::PaymentCryptography::Key",
            "AWS::CloudHSM::Cluster",
            "AWS::Cognito::UserPoolUser",
            "AWS::AppStream::User",
            "AWS::EC2::KeyPair",
            "AWS::IdentityStore::User",
            "AWS::IoT::Certificate",
            "AWS::SageMaker::NotebookInstance",
            "AWS::SES::MailManagerArchive",
            "AWS::CustomerProfiles::Domain",
        ] {
            assert!(is_protected(kind), "{kind}");
        }
    }

    #[test]
    fn types_that_a_deployment_rebuilds_are_not_protected() {
        for kind in [
            "",
            "AWS::S3::BucketPolicy",
            "AWS::EC2::Instance",
            "AWS::SSM::Parameter",
            "AWS::Lambda::Function",
            "AWS::CloudFormation::Stack",
            "aws::s3::bucket",
            "AWS::S3::Bucket ",
        ] {
            assert!(!is_protected(kind), "{kind}");
        }
    }

    #[test]
    fn only_types_with_snapshots_support_them() {
        assert!(supports_snapshot("AWS::RDS::DBCluster"));
        assert!(supports_snapshot("AWS::EC2::Volume"));
        assert!(!supports_snapshot("AWS::S3::Bucket"));
        assert!(!supports_snapshot("AWS::DocDB::DBInstance"));
        assert!(!supports_snapshot("AWS::EC2::Instance"));
    }
}
