//! The properties that may name a local file: the list of `aws cloudformation package`, with the types that `sam package`
//! adds.
//! <https://docs.aws.amazon.com/cli/latest/reference/cloudformation/package.html>,
//! <https://github.com/aws/aws-cli/blob/develop/awscli/customizations/cloudformation/artifact_exporter.py>

/// Form of the address that replaces a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A mapping with the bucket and the key under these names.
    Keys(&'static str, &'static str),
    /// `s3://<bucket>/<key>`.
    S3Url,
    /// `https://<bucket>.s3.<region>…/<key>`.
    HttpsUrl,
    /// The text of the file itself, under another name: the serverless transform takes no function here.
    Inline(&'static str),
}

/// Kind of the content behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// A function's code: a zip, also of a single file.
    Function,
    /// A layer: a zip, also of a single file.
    Layer,
    /// Other content that is a zip, also of a single file.
    Zip,
    /// A file as it is, or a folder as a zip.
    AsIs,
    /// A template of a nested stack.
    Template,
}

/// A property of a resource type. The path is below the resource; `*` stands for each key.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalProperty {
    pub(super) kind: &'static str,
    pub(super) path: &'static [&'static str],
    pub(super) form: Form,
    pub(super) content: Content,
}

const fn row(
    kind: &'static str,
    path: &'static [&'static str],
    form: Form,
    content: Content,
) -> LocalProperty {
    LocalProperty { kind, path, form, content }
}

const LAMBDA: Form = Form::Keys("S3Bucket", "S3Key");
const PLAIN: Form = Form::Keys("Bucket", "Key");

/// Every property. The readme and the licence of an `AWS::ServerlessRepo::Application` are left out: no stack reads them.
pub(super) const PROPERTIES: [LocalProperty; 28] = [
    row("AWS::Lambda::Function", &["Properties", "Code"], LAMBDA, Content::Function),
    row("AWS::Lambda::LayerVersion", &["Properties", "Content"], LAMBDA, Content::Layer),
    row("AWS::Serverless::Function", &["Properties", "CodeUri"], PLAIN, Content::Function),
    row("AWS::Serverless::LayerVersion", &["Properties", "ContentUri"], PLAIN, Content::Layer),
    row("AWS::Serverless::Api", &["Properties", "DefinitionUri"], PLAIN, Content::AsIs),
    row("AWS::Serverless::HttpApi", &["Properties", "DefinitionUri"], PLAIN, Content::AsIs),
    row("AWS::Serverless::StateMachine", &["Properties", "DefinitionUri"], PLAIN, Content::AsIs),
    row(
        "AWS::Serverless::GraphQLApi",
        &["Properties", "SchemaUri"],
        Form::Inline("SchemaInline"),
        Content::AsIs,
    ),
    row(
        "AWS::Serverless::GraphQLApi",
        &["Properties", "Functions", "*", "CodeUri"],
        Form::Inline("InlineCode"),
        Content::AsIs,
    ),
    row(
        "AWS::Serverless::GraphQLApi",
        &["Properties", "Resolvers", "*", "*", "CodeUri"],
        Form::Inline("InlineCode"),
        Content::AsIs,
    ),
    row("AWS::Serverless::Application", &["Properties", "Location"], Form::HttpsUrl, Content::Template),
    row("AWS::CloudFormation::Stack", &["Properties", "TemplateURL"], Form::HttpsUrl, Content::Template),
    // A stack set makes its stacks in other accounts, by roles that this account's rules do not bind.
    row("AWS::CloudFormation::StackSet", &["Properties", "TemplateURL"], Form::HttpsUrl, Content::AsIs),
    row("AWS::CloudFormation::ModuleVersion", &["Properties", "ModulePackage"], Form::S3Url, Content::AsIs),
    row(
        "AWS::CloudFormation::ResourceVersion",
        &["Properties", "SchemaHandlerPackage"],
        Form::S3Url,
        Content::AsIs,
    ),
    row("AWS::ApiGateway::RestApi", &["Properties", "BodyS3Location"], PLAIN, Content::AsIs),
    row("AWS::ApiGatewayV2::Api", &["Properties", "BodyS3Location"], PLAIN, Content::AsIs),
    row("AWS::StepFunctions::StateMachine", &["Properties", "DefinitionS3Location"], PLAIN, Content::AsIs),
    row("AWS::AppSync::GraphQLSchema", &["Properties", "DefinitionS3Location"], Form::S3Url, Content::AsIs),
    row(
        "AWS::AppSync::Resolver",
        &["Properties", "RequestMappingTemplateS3Location"],
        Form::S3Url,
        Content::AsIs,
    ),
    row(
        "AWS::AppSync::Resolver",
        &["Properties", "ResponseMappingTemplateS3Location"],
        Form::S3Url,
        Content::AsIs,
    ),
    row("AWS::AppSync::Resolver", &["Properties", "CodeS3Location"], Form::S3Url, Content::AsIs),
    row(
        "AWS::AppSync::FunctionConfiguration",
        &["Properties", "RequestMappingTemplateS3Location"],
        Form::S3Url,
        Content::AsIs,
    ),
    row(
        "AWS::AppSync::FunctionConfiguration",
        &["Properties", "ResponseMappingTemplateS3Location"],
        Form::S3Url,
        Content::AsIs,
    ),
    row("AWS::AppSync::FunctionConfiguration", &["Properties", "CodeS3Location"], Form::S3Url, Content::AsIs),
    row("AWS::ElasticBeanstalk::ApplicationVersion", &["Properties", "SourceBundle"], LAMBDA, Content::AsIs),
    row("AWS::Glue::Job", &["Properties", "Command", "ScriptLocation"], Form::S3Url, Content::AsIs),
    row("AWS::CodeCommit::Repository", &["Properties", "Code", "S3"], PLAIN, Content::Zip),
];

/// The properties that the serverless transform takes from `Globals`, for each resource of a type. The path is below
/// `Globals`.
pub(super) const GLOBALS: [LocalProperty; 5] = [
    row("AWS::Serverless::Function", &["Function", "CodeUri"], PLAIN, Content::Zip),
    row("AWS::Serverless::LayerVersion", &["LayerVersion", "ContentUri"], PLAIN, Content::Zip),
    row("AWS::Serverless::Api", &["Api", "DefinitionUri"], PLAIN, Content::AsIs),
    row("AWS::Serverless::HttpApi", &["HttpApi", "DefinitionUri"], PLAIN, Content::AsIs),
    row("AWS::Serverless::StateMachine", &["StateMachine", "DefinitionUri"], PLAIN, Content::AsIs),
];
