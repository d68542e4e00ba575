//! A template with its parameters, resolved as CloudFormation resolves it, for the functions that `infra/` uses.

use lockstep_domain::stacks::template::Template;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The region of everything in these tests.
pub const REGION: &str = "eu-west-1";

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A stack as an installation would create it.
pub struct Stack {
    /// The name of the stack.
    pub name: String,
    /// The account that the stack is in.
    pub account: String,
    template: Value,
    parameters: BTreeMap<String, Value>,
}

impl Stack {
    /// Returns the stack `name` of `template` (a path below the root of the repository) in `account`. A missing
    /// parameter has its default, or its own name in angle brackets.
    pub fn new(name: &str, account: &str, template: &str, parameters: &[(&str, &str)]) -> Self {
        let text = std::fs::read_to_string(repository().join(template)).unwrap();
        let template = Template::parse(template, &text).unwrap().to_json();
        let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
        let given: BTreeMap<&str, &str> = parameters.iter().copied().collect();
        for name in given.keys() {
            assert!(declared.contains_key(*name), "{text}\nlacks the parameter {name}");
        }
        let value = |name: &String, declaration: &Value| match given.get(name.as_str()) {
            Some(text) if is_list(&declaration["Type"]) => {
                json!(text.split(',').collect::<Vec<_>>())
            }
            Some(text) => json!(text),
            None => declaration.get("Default").cloned().unwrap_or_else(|| json!(format!("<{name}>"))),
        };
        let parameters = declared.iter().map(|(name, d)| (name.clone(), value(name, d))).collect();
        Self { name: name.to_owned(), account: account.to_owned(), template, parameters }
    }

    /// Returns every resource of a type in this stack, with its properties resolved.
    pub fn resources(&self, kind: &str) -> Vec<(String, Value)> {
        let resources = self.template["Resources"].as_object().unwrap();
        resources
            .iter()
            .filter(|(_, r)| r["Type"] == kind && self.holds(r.get("Condition")))
            .map(|(id, r)| (id.clone(), self.resolve(&r["Properties"])))
            .collect()
    }

    /// Returns the value of a parameter.
    pub fn parameter(&self, name: &str) -> &Value {
        &self.parameters[name]
    }

    /// Returns every resource as written.
    pub fn written(&self) -> &Map<String, Value> {
        self.template["Resources"].as_object().unwrap()
    }

    fn holds(&self, condition: Option<&Value>) -> bool {
        let Some(name) = condition.and_then(Value::as_str) else { return true };
        self.is_true(&self.template["Conditions"][name])
    }

    fn is_true(&self, rule: &Value) -> bool {
        let (function, argument) = rule.as_object().and_then(|map| map.iter().next()).expect("a condition");
        match function.as_str() {
            "Fn::Equals" => self.resolve(&argument[0]) == self.resolve(&argument[1]),
            "Fn::Not" => !self.is_true(&argument[0]),
            "Fn::And" => argument.as_array().is_some_and(|rules| rules.iter().all(|rule| self.is_true(rule))),
            "Fn::Or" => argument.as_array().is_some_and(|rules| rules.iter().any(|rule| self.is_true(rule))),
            "Condition" => self.holds(Some(argument)),
            other => panic!("{}: a condition of {other}", self.name),
        }
    }

    /// Returns the names of the outputs.
    pub fn outputs(&self) -> BTreeSet<String> {
        let outputs = self.template["Outputs"].as_object().into_iter().flatten();
        outputs.filter(|(_, o)| self.holds(o.get("Condition"))).map(|(name, _)| name.clone()).collect()
    }

    /// Returns `value` with its intrinsic functions resolved.
    fn resolve(&self, value: &Value) -> Value {
        match value {
            // AWS::NoValue omits its item.
            Value::Array(items) => {
                items.iter().map(|item| self.resolve(item)).filter(|item| !item.is_null()).collect()
            }
            Value::Object(map) => match map.iter().next() {
                Some((function, argument)) if map.len() == 1 => self.call(function, argument),
                _ => self.each(map),
            },
            plain => plain.clone(),
        }
    }

    fn each(&self, map: &Map<String, Value>) -> Value {
        let resolved = map.iter().map(|(key, value)| (key.clone(), self.resolve(value)));
        // AWS::NoValue omits its property.
        resolved.filter(|(_, value)| !value.is_null()).collect()
    }

    fn call(&self, function: &str, argument: &Value) -> Value {
        match function {
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::GetAtt" => match argument {
                Value::String(path) => self.attribute_at(path),
                path => self.attribute(path[0].as_str().unwrap(), path[1].as_str().unwrap()),
            },
            "Fn::Sub" => match argument {
                Value::Array(parts) => json!(self.substitute(parts[0].as_str().unwrap(), &parts[1])),
                text => json!(self.substitute(text.as_str().unwrap(), &Value::Null)),
            },
            "Fn::Join" => {
                let (between, items) = (argument[0].as_str().unwrap(), self.resolve(&argument[1]));
                let items = items.as_array().unwrap().iter().map(|item| item.as_str().unwrap());
                json!(items.collect::<Vec<_>>().join(between))
            }
            "Fn::Split" => {
                let (between, text) = (argument[0].as_str().unwrap(), self.resolve(&argument[1]));
                json!(text.as_str().unwrap().split(between).collect::<Vec<_>>())
            }
            "Fn::If" => {
                let branch = if self.holds(Some(&argument[0])) { 1 } else { 2 };
                self.resolve(&argument[branch])
            }
            key => json!({ key: self.resolve(argument) }),
        }
    }

    fn substitute(&self, text: &str, own: &Value) -> String {
        let reference = regex::Regex::new(r"\$\{(!?[A-Za-z0-9:._/\[\]@-]+)\}").unwrap();
        let value = |captures: &regex::Captures<'_>| {
            let name = &captures[1];
            if let Some(literal) = name.strip_prefix('!') {
                return format!("${{{literal}}}");
            }
            if let Some(value) = own.get(name) {
                return self.resolve(value).as_str().unwrap().to_owned();
            }
            let value = if name.contains('.') { self.attribute_at(name) } else { self.reference(name) };
            value.as_str().unwrap_or_else(|| panic!("{}: {name} is no text", self.name)).to_owned()
        };
        reference.replace_all(text, value).into_owned()
    }

    fn attribute_at(&self, path: &str) -> Value {
        let (id, attribute) = path.split_once('.').unwrap();
        self.attribute(id, attribute)
    }

    fn reference(&self, name: &str) -> Value {
        match name {
            "AWS::Partition" => json!("aws"),
            "AWS::URLSuffix" => json!("amazonaws.com"),
            "AWS::Region" => json!(REGION),
            "AWS::AccountId" => json!(self.account),
            "AWS::StackName" => json!(self.name),
            "AWS::NoValue" => Value::Null,
            name => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => self.reference_of_resource(name),
            },
        }
    }

    fn reference_of_resource(&self, id: &str) -> Value {
        match self.kind(id) {
            "AWS::StepFunctions::StateMachine" | "AWS::IAM::ManagedPolicy" | "AWS::SNS::Topic" => {
                self.attribute(id, "Arn")
            }
            _ => json!(self.physical_name(id)),
        }
    }

    fn kind(&self, id: &str) -> &str {
        let kind = self.template["Resources"][id]["Type"].as_str();
        kind.unwrap_or_else(|| panic!("{} has no resource {id}", self.name))
    }

    /// Returns the name of a resource, or its logical id if CloudFormation generates the name.
    fn physical_name(&self, id: &str) -> String {
        const NAMES: [&str; 13] = [
            "AlarmName",
            "FunctionName",
            "InstanceProfileName",
            "RoleName",
            "TableName",
            "StateMachineName",
            "BucketName",
            "LogGroupName",
            "ManagedPolicyName",
            "Name",
            "PolicyName",
            "QueueName",
            "TopicName",
        ];
        let properties = &self.template["Resources"][id]["Properties"];
        let written = NAMES.iter().find_map(|name| properties.get(*name));
        written
            .map(|name| self.resolve(name))
            .and_then(|n| n.as_str().map(str::to_owned))
            .unwrap_or(id.to_owned())
    }

    /// Returns an attribute of a resource; ARNs as the service authorization reference writes them.
    fn attribute(&self, id: &str, attribute: &str) -> Value {
        let (name, here) = (self.physical_name(id), format!("{REGION}:{}", self.account));
        let arn = match self.kind(id) {
            "AWS::CloudWatch::Alarm" => format!("arn:aws:cloudwatch:{here}:alarm:{name}"),
            "AWS::Lambda::Url" => return json!(format!("https://{id}/")),
            "AWS::Lambda::Function" => format!("arn:aws:lambda:{here}:function:{name}"),
            "AWS::StepFunctions::StateMachine" => format!("arn:aws:states:{here}:stateMachine:{name}"),
            "AWS::DynamoDB::Table" => format!("arn:aws:dynamodb:{here}:table/{name}"),
            "AWS::Events::EventBus" => format!("arn:aws:events:{here}:event-bus/{name}"),
            "AWS::Events::Rule" => self.rule_arn(id, &name, &here),
            "AWS::Logs::LogGroup" => format!("arn:aws:logs:{here}:log-group:{name}:*"),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::IAM::Role" => format!("arn:aws:iam::{}:role/{name}", self.account),
            "AWS::IAM::InstanceProfile" => format!("arn:aws:iam::{}:instance-profile/{name}", self.account),
            "AWS::CodeBuild::Project" => format!("arn:aws:codebuild:{here}:project/{name}"),
            "AWS::IAM::ManagedPolicy" => format!("arn:aws:iam::{}:policy/{name}", self.account),
            "AWS::SNS::Topic" => format!("arn:aws:sns:{here}:{name}"),
            "AWS::KMS::Key" => format!("arn:aws:kms:{here}:key/{name}"),
            "AWS::SQS::Queue" if attribute == "Arn" => format!("arn:aws:sqs:{here}:{name}"),
            "AWS::SecretsManager::Secret" => {
                return json!(format!("arn:aws:secretsmanager:{here}:secret:{name}"));
            }
            "AWS::ElasticLoadBalancingV2::LoadBalancer" if attribute == "DNSName" => {
                return json!(format!("{}.elb.amazonaws.com", name.to_lowercase()));
            }
            // No policy mentions the identifiers of these resources.
            "AWS::AutoScaling::AutoScalingGroup"
            | "AWS::EC2::LaunchTemplate"
            | "AWS::EC2::SecurityGroup"
            | "AWS::ElastiCache::ReplicationGroup"
            | "AWS::ElasticLoadBalancingV2::LoadBalancer"
            | "AWS::ElasticLoadBalancingV2::TargetGroup"
            | "AWS::OpenSearchService::Domain"
            | "AWS::SQS::Queue" => return json!(format!("{name}-{attribute}")),
            kind => panic!("{}: what is {attribute} of a {kind}?", self.name),
        };
        assert_eq!(attribute, "Arn", "{}: {id} has another attribute than its ARN", self.name);
        json!(arn)
    }

    fn rule_arn(&self, id: &str, name: &str, here: &str) -> String {
        let bus =
            self.template["Resources"][id]["Properties"].get("EventBusName").map(|bus| self.resolve(bus));
        match bus.as_ref().and_then(Value::as_str) {
            Some(bus) => format!("arn:aws:events:{here}:rule/{bus}/{name}"),
            None => format!("arn:aws:events:{here}:rule/{name}"),
        }
    }
}

/// Returns true if a parameter of this type is a list.
fn is_list(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind == "CommaDelimitedList" || kind.starts_with("List<"))
}
