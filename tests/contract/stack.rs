//! A template with its parameters, resolved the way CloudFormation resolves it, as far as `infra/` goes.

use lockstep_domain::template::Template;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The region of everything in these tests.
pub const REGION: &str = "eu-west-1";

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A stack as it would be installed.
pub struct Stack {
    /// Its name.
    pub name: String,
    /// The account it is in.
    pub account: String,
    template: Value,
    parameters: BTreeMap<String, Value>,
}

impl Stack {
    /// The stack `name` of `template` (a path below the root of the repository) in `account`. A parameter that is not
    /// given has its default, or its own name in angle brackets.
    pub fn new(name: &str, account: &str, template: &str, parameters: &[(&str, &str)]) -> Self {
        let text = std::fs::read_to_string(repository().join(template)).unwrap();
        let template = Template::parse(template, &text).unwrap().to_json();
        let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
        let given: BTreeMap<&str, &str> = parameters.iter().copied().collect();
        for name in given.keys() {
            assert!(declared.contains_key(*name), "{text}\nlacks the parameter {name}");
        }
        let value = |name: &String, declaration: &Value| match given.get(name.as_str()) {
            Some(text) if declaration["Type"] == "CommaDelimitedList" => {
                json!(text.split(',').collect::<Vec<_>>())
            }
            Some(text) => json!(text),
            None => declaration.get("Default").cloned().unwrap_or_else(|| json!(format!("<{name}>"))),
        };
        let parameters = declared.iter().map(|(name, d)| (name.clone(), value(name, d))).collect();
        Self { name: name.to_owned(), account: account.to_owned(), template, parameters }
    }

    /// Every resource of a type that this stack has, with its properties resolved.
    pub fn resources(&self, kind: &str) -> Vec<(String, Value)> {
        let resources = self.template["Resources"].as_object().unwrap();
        resources
            .iter()
            .filter(|(_, r)| r["Type"] == kind && self.holds(r.get("Condition")))
            .map(|(id, r)| (id.clone(), self.resolve(&r["Properties"])))
            .collect()
    }

    /// Every resource as it is written.
    pub fn written(&self) -> &Map<String, Value> {
        self.template["Resources"].as_object().unwrap()
    }

    fn holds(&self, condition: Option<&Value>) -> bool {
        let Some(name) = condition.and_then(Value::as_str) else { return true };
        let sides = &self.template["Conditions"][name]["Fn::Equals"];
        assert!(sides.is_array(), "{}: the condition {name} is no Fn::Equals", self.name);
        self.resolve(&sides[0]) == self.resolve(&sides[1])
    }

    /// `value` with its functions replaced by what they give.
    fn resolve(&self, value: &Value) -> Value {
        match value {
            // AWS::NoValue leaves its item out.
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
        map.iter().map(|(key, value)| (key.clone(), self.resolve(value))).collect()
    }

    fn call(&self, function: &str, argument: &Value) -> Value {
        match function {
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::GetAtt" => match argument {
                Value::String(path) => self.attribute_at(path),
                path => self.attribute(path[0].as_str().unwrap(), path[1].as_str().unwrap()),
            },
            "Fn::Sub" => json!(self.substitute(argument.as_str().unwrap())),
            "Fn::If" => {
                let branch = if self.holds(Some(&argument[0])) { 1 } else { 2 };
                self.resolve(&argument[branch])
            }
            key => json!({ key: self.resolve(argument) }),
        }
    }

    fn substitute(&self, text: &str) -> String {
        let reference = regex::Regex::new(r"\$\{([A-Za-z0-9:.]+)\}").unwrap();
        let value = |captures: &regex::Captures<'_>| {
            let name = &captures[1];
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
            "AWS::StepFunctions::StateMachine" | "AWS::IAM::ManagedPolicy" => self.attribute(id, "Arn"),
            _ => json!(self.physical_name(id)),
        }
    }

    fn kind(&self, id: &str) -> &str {
        let kind = self.template["Resources"][id]["Type"].as_str();
        kind.unwrap_or_else(|| panic!("{} has no resource {id}", self.name))
    }

    /// The name a resource is given, or its logical id if CloudFormation makes one up.
    fn physical_name(&self, id: &str) -> String {
        const NAMES: [&str; 9] = [
            "FunctionName",
            "RoleName",
            "TableName",
            "StateMachineName",
            "BucketName",
            "LogGroupName",
            "ManagedPolicyName",
            "Name",
            "PolicyName",
        ];
        let properties = &self.template["Resources"][id]["Properties"];
        let written = NAMES.iter().find_map(|name| properties.get(*name));
        written
            .map(|name| self.resolve(name))
            .and_then(|n| n.as_str().map(str::to_owned))
            .unwrap_or(id.to_owned())
    }

    /// An attribute of a resource; ARNs as the service authorization reference writes them.
    fn attribute(&self, id: &str, attribute: &str) -> Value {
        let (name, here) = (self.physical_name(id), format!("{REGION}:{}", self.account));
        let arn = match self.kind(id) {
            "AWS::Lambda::Url" => return json!(format!("https://{id}/")),
            "AWS::Lambda::Function" => format!("arn:aws:lambda:{here}:function:{name}"),
            "AWS::StepFunctions::StateMachine" => format!("arn:aws:states:{here}:stateMachine:{name}"),
            "AWS::DynamoDB::Table" => format!("arn:aws:dynamodb:{here}:table/{name}"),
            "AWS::Events::EventBus" => format!("arn:aws:events:{here}:event-bus/{name}"),
            "AWS::Events::Rule" => self.rule_arn(id, &name, &here),
            "AWS::Logs::LogGroup" => format!("arn:aws:logs:{here}:log-group:{name}:*"),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::IAM::Role" => format!("arn:aws:iam::{}:role/{name}", self.account),
            "AWS::IAM::ManagedPolicy" => format!("arn:aws:iam::{}:policy/{name}", self.account),
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
