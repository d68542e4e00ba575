mod packaged;
mod stored;

use super::*;
use crate::delivery::archive::{Limits, pack_code, unpack};
use proptest::prelude::*;
use serde_json::{Value, json};

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn reading(list: &[(&str, &str)]) -> Reading {
    read("template.yaml", &files(list)).unwrap()
}

fn problems(list: &[(&str, &str)]) -> Vec<String> {
    read("template.yaml", &files(list)).unwrap_err().iter().map(ToString::to_string).collect()
}

fn deployed(reading: &Reading) -> Value {
    serde_json::from_str(&reading.template.deployed_text()).unwrap()
}

fn object(reading: &Reading, key: &str) -> Vec<u8> {
    let (_, bytes) = reading.local.objects(false).find(|(found, _)| found == key).unwrap();
    bytes.into_owned()
}

const FUNCTION: &str = "Resources:
  Greeter:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      Role: arn:aws:iam::111111111111:role/greeter
      Code: src/
";

const HANDLER: &str = "def handler(event, context):\n    return 'hello'\n";

#[test]
fn a_folder_becomes_a_zip_in_the_bucket_of_the_account() {
    let reading = reading(&[("template.yaml", FUNCTION), ("src/app.py", HANDLER), ("src/lib/a.txt", "a")]);
    let deployed = deployed(&reading);
    assert_eq!(deployed["Parameters"][ARTIFACT_BUCKET]["Type"], "String");
    let code = &deployed["Resources"]["Greeter"]["Properties"]["Code"];
    assert_eq!(code["S3Bucket"], json!({"Ref": ARTIFACT_BUCKET}));
    let key = code["S3Key"].as_str().unwrap();
    let zip = object(&reading, key);
    assert_eq!(key, format!("files/{}", Digest::of(&zip)));
    assert_eq!(unpack(&zip, &Limits::DEFAULT).unwrap(), files(&[("app.py", HANDLER), ("lib/a.txt", "a")]));
    assert_eq!((reading.refusals, reading.hints), (Vec::new(), Vec::new()));
}

#[test]
fn the_test_stack_reads_the_same_code() {
    let reading = reading(&[("template.yaml", FUNCTION), ("src/app.py", HANDLER)]);
    let test: Value =
        serde_json::from_str(&reading.local.test_template(&reading.template, &BTreeSet::new()).0).unwrap();
    assert_eq!(test, deployed(&reading));
    assert!(reading.local.objects(true).eq(reading.local.objects(false)));
}

#[test]
fn a_template_without_local_files_is_deployed_as_written() {
    let text = "# Nothing local.\nResources:\n  Job:\n    Type: AWS::Glue::Job\n    Properties: {Command: {ScriptLocation: s3://b/k}}\n";
    let reading = reading(&[("template.yaml", text)]);
    assert_eq!(reading.template.deployed_text(), text);
    assert_eq!(reading.local.objects(false).count(), 0);
}

/// Each property of the list, and what becomes of it.
#[test]
fn every_property_of_the_list_gets_the_address_it_takes() {
    let keys = |bucket: &str, key: &str| json!({bucket: {"Ref": ARTIFACT_BUCKET}, key: "KEY"});
    let lambda = keys("S3Bucket", "S3Key");
    let plain = keys("Bucket", "Key");
    let url = json!({"Fn::Sub": format!("s3://${{{ARTIFACT_BUCKET}}}/KEY")});
    let https = json!({"Fn::Sub": format!("https://${{{ARTIFACT_BUCKET}}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/KEY")});
    for (kind, property, pointer, expected) in [
        ("AWS::Lambda::LayerVersion", "Content: f.txt", "/Content", &lambda),
        ("AWS::ElasticBeanstalk::ApplicationVersion", "SourceBundle: f.txt", "/SourceBundle", &lambda),
        ("AWS::Serverless::LayerVersion", "ContentUri: f.txt", "/ContentUri", &plain),
        ("AWS::Serverless::Api", "DefinitionUri: f.txt", "/DefinitionUri", &plain),
        ("AWS::Serverless::HttpApi", "DefinitionUri: ./f.txt", "/DefinitionUri", &plain),
        ("AWS::Serverless::StateMachine", "DefinitionUri: f.txt", "/DefinitionUri", &plain),
        ("AWS::ApiGateway::RestApi", "BodyS3Location: f.txt", "/BodyS3Location", &plain),
        ("AWS::StepFunctions::StateMachine", "DefinitionS3Location: f.txt", "/DefinitionS3Location", &plain),
        ("AWS::CodeCommit::Repository", "Code: {S3: f.txt}", "/Code/S3", &plain),
        ("AWS::AppSync::GraphQLSchema", "DefinitionS3Location: f.txt", "/DefinitionS3Location", &url),
        ("AWS::AppSync::Resolver", "CodeS3Location: f.txt", "/CodeS3Location", &url),
        (
            "AWS::AppSync::FunctionConfiguration",
            "RequestMappingTemplateS3Location: f.txt",
            "/RequestMappingTemplateS3Location",
            &url,
        ),
        ("AWS::Glue::Job", "Command: {ScriptLocation: f.txt}", "/Command/ScriptLocation", &url),
        ("AWS::CloudFormation::ModuleVersion", "ModulePackage: f.txt", "/ModulePackage", &url),
        (
            "AWS::CloudFormation::ResourceVersion",
            "SchemaHandlerPackage: f.txt",
            "/SchemaHandlerPackage",
            &url,
        ),
        ("AWS::CloudFormation::StackSet", "TemplateURL: f.txt", "/TemplateURL", &https),
    ] {
        let text = format!(
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  A:\n    Type: {kind}\n    Properties:\n      {property}\n"
        );
        let reading = reading(&[("template.yaml", &text), ("f.txt", "content")]);
        let (key, bytes) = reading.local.objects(false).next().unwrap();
        let is_zipped = kind.contains("Layer") || kind.contains("CodeCommit");
        match is_zipped {
            true => assert_eq!(
                unpack(&bytes, &Limits::DEFAULT).unwrap(),
                files(&[("f.txt", "content")]),
                "{kind}"
            ),
            false => assert_eq!(bytes.as_ref(), b"content", "{kind}"),
        }
        let value = deployed(&reading)["Resources"]["A"]["Properties"].pointer(pointer).unwrap().to_string();
        assert_eq!(value.replace(&key, "KEY"), expected.to_string(), "{kind}");
    }
}

#[test]
fn the_schema_of_a_serverless_graphql_api_is_written_into_the_template() {
    let text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  A:\n    Type: AWS::Serverless::GraphQLApi\n    Properties:\n      \
                SchemaUri: s.graphql\n      Functions: {f: {CodeUri: f.js}}\n      Resolvers: {Query: {q: {CodeUri: f.js}}}\n";
    let reading = reading(&[("template.yaml", text), ("s.graphql", "type Query"), ("f.js", "export {}")]);
    assert_eq!(
        deployed(&reading)["Resources"]["A"]["Properties"],
        json!({
            "SchemaInline": "type Query",
            "Functions": {"f": {"InlineCode": "export {}"}},
            "Resolvers": {"Query": {"q": {"InlineCode": "export {}"}}},
        })
    );
    assert_eq!(reading.local.objects(false).count(), 0);
}

#[test]
fn a_zip_of_the_author_is_taken_as_it_is() {
    let zip = pack_code(&[("app.py", HANDLER.as_bytes())].into()).unwrap();
    let mut list = files(&[("template.yaml", &FUNCTION.replace("src/", "build/code.zip"))]);
    list.insert("build/code.zip".to_owned(), zip.clone());
    let reading = read("template.yaml", &list).unwrap();
    assert_eq!(reading.local.objects(false).next().unwrap().1, zip);
    list.insert("build/code.zip".to_owned(), pack_code(&[("main.py", b"".as_slice())].into()).unwrap());
    let reading = read("template.yaml", &list).unwrap();
    assert!(reading.refusals[0].message.contains("the handler app.handler is in app.py"), "{reading:?}");
}

#[test]
fn a_single_file_of_code_is_zipped() {
    let reading =
        reading(&[("template.yaml", &FUNCTION.replace("src/", "src/app.py")), ("src/app.py", HANDLER)]);
    let zip = reading.local.objects(false).next().unwrap().1.into_owned();
    assert_eq!(unpack(&zip, &Limits::DEFAULT).unwrap(), files(&[("app.py", HANDLER)]));
    assert_eq!(reading.refusals, Vec::new());
}

#[test]
fn a_path_that_cannot_be_packaged_is_refused_with_its_line() {
    for (path, part) in [
        ("../shared", "'../shared' leaves the component"),
        ("/srv/code", "'/srv/code' is a path of one machine"),
        ("srcs/", "there is no file or folder 'srcs' in this component; did you mean `src`?"),
        ("dist", "a release holds what git tracks"),
        ("file.py/", "there is no file or folder 'file.py'"),
    ] {
        let text = FUNCTION.replace("src/", path);
        let [problem] = problems(&[("template.yaml", &text), ("src/app.py", HANDLER)]).try_into().unwrap();
        assert!(problem.starts_with("template.yaml:8: ") && problem.contains(part), "{problem}");
    }
}

#[test]
fn the_code_of_a_function_is_judged_with_its_line() {
    let reading = reading(&[("template.yaml", FUNCTION), ("src/main.py", HANDLER)]);
    let [refusal] = reading.refusals.try_into().unwrap();
    assert_eq!((refusal.file.as_str(), refusal.line), ("template.yaml", Some(8)));
    assert!(refusal.message.starts_with("Greeter: the handler app.handler is in app.py"), "{refusal}");
}

const SERVERLESS: &str = "Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs22.x
    CodeUri: src
Resources:
  Api:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      CodeUri: {Bucket: other, Key: code}
  Inline:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: exports.handler = () => {}
";

#[test]
fn a_serverless_function_takes_code_and_runtime_of_globals() {
    let built = reading(&[("template.yaml", SERVERLESS), ("src/index.js", "")]);
    let json = deployed(&built);
    let global = &json["Globals"]["Function"]["CodeUri"];
    assert_eq!(global["Bucket"], json!({"Ref": ARTIFACT_BUCKET}));
    assert_eq!(json["Resources"]["Api"]["Properties"]["CodeUri"]["Bucket"], json!({"Ref": ARTIFACT_BUCKET}));
    assert_eq!(json["Resources"]["Other"]["Properties"]["CodeUri"]["Bucket"], "other");
    assert_eq!(json["Resources"]["Inline"]["Properties"].get("CodeUri"), None);
    let typescript = reading(&[("template.yaml", SERVERLESS), ("src/index.ts", "")]);
    assert_eq!(typescript.refusals.len(), 1);
    assert!(typescript.refusals[0].message.starts_with("Api: the handler index.handler is TypeScript"));
}

#[test]
fn a_serverless_function_without_code_is_the_folder_of_its_template() {
    let text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Api:\n    Type: AWS::Serverless::Function\n    Properties: {Runtime: \
                python3.12, Handler: app.handler}\n";
    let reading =
        read("stacks/api.yaml", &files(&[("stacks/api.yaml", text), ("stacks/app.py", HANDLER)])).unwrap();
    let zip = reading.local.objects(false).next().unwrap().1.into_owned();
    assert!(unpack(&zip, &Limits::DEFAULT).unwrap().keys().eq(["api.yaml", "app.py"]));
    assert_eq!(reading.refusals, Vec::new());
}

#[test]
fn functions_made_by_a_loop_and_both_sides_of_a_condition_are_packaged() {
    let text = "Transform: AWS::LanguageExtensions\nConditions:\n  Old: !Equals [!Ref AWS::Region, eu-west-1]\nResources:\n  \
                Fn::ForEach::Jobs:\n    - Name\n    - [A, B]\n    - Job${Name}:\n        Type: AWS::Lambda::Function\n        \
                Properties:\n          Code: !If [Old, old, new]\n";
    let reading = reading(&[("template.yaml", text), ("old/a.py", "1"), ("new/a.py", "2")]);
    assert_eq!(reading.local.objects(false).count(), 2);
    let deployed = deployed(&reading);
    let code = &deployed["Resources"]["Fn::ForEach::Jobs"][2]["Job${Name}"]["Properties"]["Code"]["Fn::If"];
    assert_eq!(code[1]["S3Bucket"], json!({"Ref": ARTIFACT_BUCKET}));
    assert_eq!(code[2]["S3Bucket"], json!({"Ref": ARTIFACT_BUCKET}));
}

const PARENT: &str = "Resources:
  Network:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: stacks/network.yaml
      Parameters: {Cidr: 10.0.0.0/16}
";

const NETWORK: &str = "Parameters:
  Cidr: {Type: String}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {}}
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
  Deep:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: ../deep.yaml}
";

const DEEP: &str = "Resources:
  Greeter:
    Type: AWS::Lambda::Function
    Properties: {Runtime: python3.12, Handler: app.handler, Code: src}
";

fn nested() -> Vec<(&'static str, &'static str)> {
    vec![
        ("template.yaml", PARENT),
        ("stacks/network.yaml", NETWORK),
        ("deep.yaml", DEEP),
        ("src/app.py", HANDLER),
    ]
}

/// Returns the template that a nested stack of `parent` runs.
fn child(reading: &Reading, parent: &Value, name: &str, is_test: bool) -> Value {
    let properties = &parent["Resources"][name]["Properties"];
    let url = properties["TemplateURL"]["Fn::Sub"].as_str().unwrap();
    let key = url
        .strip_prefix(&format!("https://${{{ARTIFACT_BUCKET}}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/"))
        .unwrap();
    let (_, text) = reading.local.objects(is_test).find(|(found, _)| found == key).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn nested_templates_are_packaged_at_every_depth() {
    let reading = reading(&nested());
    let root = deployed(&reading);
    let network = child(&reading, &root, "Network", false);
    let deep = child(&reading, &network, "Deep", false);
    let bucket = json!({"Ref": ARTIFACT_BUCKET});
    assert_eq!(root["Resources"]["Network"]["Properties"]["Parameters"][ARTIFACT_BUCKET], bucket);
    assert_eq!(network["Resources"]["Deep"]["Properties"]["Parameters"], json!({ARTIFACT_BUCKET: bucket}));
    assert_eq!(deep["Resources"]["Greeter"]["Properties"]["Code"]["S3Bucket"], bucket);
    let boundary = &network["Resources"]["Role"]["Properties"]["PermissionsBoundary"]["Fn::Sub"];
    assert!(boundary.as_str().unwrap().ends_with("policy/lockstep-boundary"));
}

#[test]
fn nested_stacks_of_a_test_delete_their_data() {
    let reading = reading(&nested());
    let root: Value =
        serde_json::from_str(&reading.local.test_template(&reading.template, &BTreeSet::new()).0).unwrap();
    let network = child(&reading, &root, "Network", true);
    assert_eq!(network["Resources"]["Table"]["DeletionPolicy"], "Delete");
    let deep = child(&reading, &network, "Deep", true);
    assert!(deep["Resources"]["Greeter"]["Properties"]["Code"]["S3Key"].is_string());
    let kept = child(&reading, &deployed(&reading), "Network", false);
    assert_eq!(kept["Resources"]["Table"]["DeletionPolicy"], "Retain");
}

#[test]
fn a_nested_template_has_its_own_problems_with_lines() {
    let mut list = nested();
    list[2].1 = "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Properties: {TopicName: !Ref Missing}\n";
    let found = problems(&list);
    assert!(found[0].starts_with("deep.yaml:4: Ref names 'Missing'"), "{found:?}");
}

#[test]
fn a_nested_stack_gets_the_parameters_of_its_template() {
    for (old, new, part) in [
        ("{Cidr: 10.0.0.0/16}", "{Cidrs: 10.0.0.0/16}", "has no parameter `Cidrs`; did you mean `Cidr`?"),
        ("{Cidr: 10.0.0.0/16}", "{}", "needs a value for its parameter `Cidr`"),
        ("{Cidr: 10.0.0.0/16}", "[]", "Parameters must be a mapping"),
    ] {
        let text = PARENT.replace(old, new);
        let mut list = nested();
        list[0].1 = &text;
        let found = problems(&list);
        assert!(found[0].starts_with("template.yaml:") && found[0].contains(part), "{found:?}");
    }
}

#[test]
fn an_output_that_a_nested_template_lacks_is_refused() {
    for (value, is_known) in [
        ("!GetAtt Deep.Outputs.Name", true),
        ("!GetAtt [Deep, Outputs.Name]", true),
        ("!Sub 'q-${Deep.Outputs.Name}'", true),
        ("!GetAtt Deep.Outputs.Nam", false),
        ("!Sub ['${Deep.Outputs.Nam}', {}]", false),
    ] {
        let parent = format!(
            "Resources:\n  Deep:\n    Type: AWS::CloudFormation::Stack\n    Properties: {{TemplateURL: deep.yaml}}\nOutputs:\n  \
             Name:\n    Value: {value}\n"
        );
        let deep = format!("{DEEP}Outputs:\n  Name: {{Value: !Ref Greeter}}\n");
        let list = [("template.yaml", parent.as_str()), ("deep.yaml", &deep), ("src/app.py", HANDLER)];
        match is_known {
            true => drop(reading(&list)),
            false => assert_eq!(
                problems(&list),
                ["template.yaml:7: the nested template of Deep has no output `Nam`; did you mean `Name`?"]
            ),
        }
    }
}

#[test]
fn templates_that_name_each_other_in_a_circle_are_refused() {
    let mut list = nested();
    list[2].1 = "Resources:\n  A:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: stacks/network.yaml}\n";
    let found = problems(&list);
    let circle = "template.yaml -> stacks/network.yaml -> deep.yaml -> stacks/network.yaml";
    assert!(found.iter().any(|problem| problem.contains(circle)), "{found:?}");
    let own = PARENT.replace("stacks/network.yaml", "template.yaml");
    assert!(problems(&[("template.yaml", &own)])[0].contains("circle"));
}

#[test]
fn a_serverless_application_becomes_the_nested_stack_that_it_stands_for() {
    let text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  App:\n    Type: AWS::Serverless::Application\n    Properties:\n      \
                Location: deep.yaml\n      Tags: {team: web}\n      TimeoutInMinutes: 5\n";
    let reading = reading(&[("template.yaml", text), ("deep.yaml", DEEP), ("src/app.py", HANDLER)]);
    let root = deployed(&reading);
    let app = &root["Resources"]["App"];
    assert_eq!(app["Type"], "AWS::CloudFormation::Stack");
    assert_eq!(app["Properties"]["Tags"], json!([{"Key": "team", "Value": "web"}]));
    assert_eq!(app["Properties"]["TimeoutInMinutes"], 5);
    assert_eq!(app["Properties"].get("Location"), None);
    child(&reading, &root, "App", false);
}

#[test]
fn an_included_file_is_written_into_the_template() {
    let text = "Resources:\n  Fn::Transform: {Name: AWS::Include, Parameters: {Location: more.yaml}}\n  Api:\n    Type: \
                AWS::ApiGateway::RestApi\n    Properties:\n      Body:\n        Fn::Transform:\n          Name: AWS::Include\n          \
                Parameters: {Location: api.json}\n";
    let more = "Role:\n  Type: AWS::IAM::Role\n  Properties: {AssumeRolePolicyDocument: {}}\n";
    let list = [("template.yaml", text), ("more.yaml", more), ("api.json", "{\"openapi\": \"3.0.1\"}")];
    let reading = reading(&list);
    let root = deployed(&reading);
    assert_eq!(root["Resources"]["Api"]["Properties"]["Body"], json!({"openapi": "3.0.1"}));
    assert!(root["Resources"]["Role"]["Properties"]["PermissionsBoundary"].is_object());
    assert_eq!(root["Resources"].get("Fn::Transform"), None);
    let missing = problems(&[("template.yaml", text), ("more.yaml", more)]);
    assert!(missing[0].starts_with("template.yaml:9: there is no file 'api.json'"), "{missing:?}");
    let taken = problems(&[list[0], ("more.yaml", "Api: {Type: AWS::SNS::Topic}"), list[2]]);
    assert!(taken[0].contains("both hold `Api`"), "{taken:?}");
}

#[test]
fn an_included_section_joins_the_template() {
    let text = "Transform:\n  - Name: AWS::Include\n    Parameters: {Location: maps.yaml}\nResources:\n  A:\n    Type: AWS::SNS::Topic\n    \
                Properties: {TopicName: !FindInMap [Names, a, b]}\n";
    let maps = "Mappings:\n  Names: {a: {b: c}}\n";
    let reading = reading(&[("template.yaml", text), ("maps.yaml", maps)]);
    let root = deployed(&reading);
    assert_eq!(root["Mappings"]["Names"]["a"]["b"], "c");
    assert_eq!(root.get("Transform"), None);
    assert_eq!(root.get("Parameters"), None);
}

#[test]
fn files_that_include_each_other_end_in_a_refusal() {
    let include =
        |file: &str| format!("Fn::Transform: {{Name: AWS::Include, Parameters: {{Location: {file}}}}}\n");
    let text =
        format!("Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Metadata:\n      {}", include("a.yaml"));
    let circle =
        problems(&[("template.yaml", &text), ("a.yaml", &include("b.yaml")), ("b.yaml", &include("a.yaml"))]);
    assert!(circle[0].contains("template.yaml -> a.yaml -> b.yaml -> a.yaml"), "{circle:?}");
    // Each file includes the next one twice.
    let twice = |n: usize| format!("- {}- {}", include(&format!("{n}.yaml")), include(&format!("{n}.yaml")));
    let mut list = files(&[("template.yaml", &text.replace("a.yaml", "0.yaml")), ("30.yaml", "{}")]);
    list.extend((0..30).map(|n| (format!("{n}.yaml"), twice(n + 1).into_bytes())));
    let found = read("template.yaml", &list).unwrap_err();
    assert!(found.iter().any(|problem| problem.message.contains("more than 100 inclusions")), "{found:?}");
}

#[test]
fn more_bytes_than_a_component_may_have_are_refused() {
    let text = "Resources:\n  A:\n    Type: AWS::Lambda::Function\n    Properties: {Code: .}\n  B:\n    Type: AWS::Lambda::Function\n    \
                Properties: {Code: data}\n";
    let mut list = files(&[("template.yaml", text)]);
    list.insert("data/big".to_owned(), vec![0; 30 << 20]);
    let found = read("template.yaml", &list).unwrap_err();
    assert!(found[0].message.contains("more than 50 MiB"), "{found:?}");
}

proptest! {
    #[test]
    fn equal_content_gives_equal_keys_and_other_content_others(a in "[a-z]{0,20}", b in "[a-z]{0,20}") {
        let keys = |text: &str| -> Vec<String> {
            let list = [("template.yaml", FUNCTION), ("src/app.py", text)];
            reading(&list).local.objects(false).map(|(key, _)| key).collect()
        };
        prop_assert_eq!(keys(&a) == keys(&b), a == b);
    }

    #[test]
    fn no_path_leaves_the_component(path in "[./a-z\\\\~:]{1,12}") {
        let text = FUNCTION.replace("src/", &format!("'{path}'"));
        let list = files(&[("template.yaml", &text), ("src/app.py", HANDLER), ("a/b.py", HANDLER)]);
        if let Ok(reading) = read("template.yaml", &list) {
            for (_, bytes) in reading.local.objects(false) {
                let names = unpack(&bytes, &Limits::DEFAULT).unwrap();
                prop_assert!(names.keys().all(|name| !name.contains("..")));
            }
        }
    }
}
