//! The only code of Lockstep that names the AWS SDK: adapters, the Lambda shell, configuration and the clock.
//!
//! Every adapter uses the domain's types and fails with a [`lockstep_domain::model::error::Failure`]. One cargo feature
//! per AWS service limits each function's binary to the services it calls. Clients are built on first use.

#[cfg(feature = "ssm")]
pub mod accounts;
#[cfg(feature = "s3")]
pub mod artifacts;
#[cfg(feature = "sts")]
mod assume;
pub mod aws;
#[cfg(feature = "s3")]
pub mod buckets;
#[cfg(feature = "by-hand")]
pub mod by_hand;
#[cfg(feature = "ssm")]
pub mod channels;
pub mod clock;
#[cfg(feature = "cloudcontrol")]
pub mod cloud_control;
#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(all(feature = "codebuild", feature = "s3"))]
pub mod codebuild;
pub mod config;
#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "sfn")]
pub mod executions;
pub mod failure;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod function_url;
#[cfg(feature = "lambda")]
pub mod functions;
#[cfg(all(feature = "fetch", feature = "secretsmanager"))]
pub mod git_host;
#[cfg(feature = "secretsmanager")]
pub mod hook_key;
pub mod http;
#[cfg(feature = "kms")]
pub mod kms;
#[cfg(feature = "dynamodb")]
pub mod ledger;
mod logging;
pub mod metrics;
#[cfg(feature = "s3")]
pub mod objects;
#[cfg(feature = "operator")]
pub mod operator;
#[cfg(feature = "probe")]
pub mod probe;
#[cfg(all(feature = "ec2", feature = "ssm"))]
pub mod public_images;
#[cfg(feature = "sqs")]
pub mod queue;
pub mod remembered;
pub mod scope;
#[cfg(feature = "secretsmanager")]
pub mod secrets;
pub mod shell;
#[cfg(feature = "shipper")]
pub mod shipper;
#[cfg(feature = "iam")]
pub mod simulation;
#[cfg(all(feature = "secretsmanager", feature = "ssm"))]
pub mod stored_values;
