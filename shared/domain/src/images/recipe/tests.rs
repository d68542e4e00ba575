use super::*;
use crate::model::base_image::Base;
use serde_json::json;

const IMAGE: &str = r#"[image]
name = "logstash"
version = "2.1"
team = "platform"
builder = "packer"

[base]
ssm = "/aws/service/ami-amazon-linux-latest/al2023"
"#;

const TEMPLATE: &str = r#"variable "region" { type = string }
variable "ami_name" { type = string }
variable "source_ami" { type = string }
variable "tags" { type = map(string) }
variable "size" {
  type = number
}

source "amazon-ebs" "image" {
  region          = var.region
  ami_name        = var.ami_name
  source_ami      = var.source_ami
  tags            = var.tags
  snapshot_tags   = var.tags
  run_tags        = var.tags
  run_volume_tags = var.tags
  imds_support    = "v2.0"
  ssh_username    = "ec2-user"
  metadata_options {
    http_tokens = "required"
  }
  launch_block_device_mappings {
    device_name = "/dev/xvda"
    volume_size = var.size
  }
  instance_type = "t3.small"
}

build {
  sources = ["source.amazon-ebs.image"]
  provisioner "shell" {
    scripts = ["${path.root}/install.sh"]
  }
  post-processor "manifest" {
    output = "manifest.json"
  }
}

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.8.4"
    }
  }
}
"#;

const FOLDER: &str = "images/logstash";

fn account(digits: &str) -> AccountId {
    digits.parse().unwrap()
}

fn files(changes: &[(&str, &str)]) -> Files {
    let mut files: Files = [
        (FILE, IMAGE),
        ("image.pkr.hcl", TEMPLATE),
        ("install.sh", "#!/bin/bash\n"),
        (VARIABLES, "[default]\nsize = 20\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .into();
    for (path, text) in changes {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    files
}

fn both() -> BTreeSet<AccountId> {
    [account("222222222222"), account("333333333333")].into()
}

fn problems(files: &Files, input: &RecipeInput<'_>) -> Vec<String> {
    match plan(FOLDER, files, input) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// Returns the problems after `from` is replaced by `to` in the template.
fn problems_after(from: &str, to: &str) -> Vec<String> {
    assert!(TEMPLATE.contains(from), "{from}");
    let changed = TEMPLATE.replacen(from, to, 1);
    problems(
        &files(&[("image.pkr.hcl", &changed)]),
        &RecipeInput { accounts: Some(&both()), ..RecipeInput::default() },
    )
}

fn packed(package: &Package) -> Files {
    crate::delivery::archive::unpack(&package.artifact, &crate::delivery::archive::Limits::DEFAULT).unwrap()
}

fn values(package: &Package, of: &str) -> serde_json::Value {
    serde_json::from_slice(&packed(package)[&layered_file(&account(of))]).unwrap()
}

#[test]
fn a_recipe_becomes_an_artifact_with_the_values_of_every_account() {
    let package =
        plan(FOLDER, &files(&[]), &RecipeInput { accounts: Some(&both()), ..RecipeInput::default() })
            .unwrap();
    assert_eq!(package.recipe.name.as_str(), "logstash");
    assert_eq!(package.recipe.ttl_days, TTL_DAYS_DEFAULT);
    for account in ["222222222222", "333333333333"] {
        assert_eq!(values(&package, account), json!({"size": 20}));
    }
}

#[test]
fn later_layers_override_earlier_ones() {
    let common: Files =
        [(VARIABLES.to_owned(), b"[default]\nsize = 1\nunused = true\n[222222222222]\nsize = 2\n".to_vec())]
            .into();
    let (accounts, overrides) = (both(), BTreeMap::from([("size".to_owned(), "9".to_owned())]));
    let input = |overrides| RecipeInput { common: Some(&common), accounts: Some(&accounts), overrides };
    let of = |own: &str, overrides, account| {
        let package = plan(FOLDER, &files(&[(VARIABLES, own)]), &input(overrides)).unwrap();
        values(&package, account)["size"].clone()
    };
    assert_eq!(of("", None, "333333333333"), json!(1));
    assert_eq!(of("", None, "222222222222"), json!(2));
    assert_eq!(of("[default]\nsize = 3\n", None, "222222222222"), json!(3));
    assert_eq!(of("[default]\nsize = 3\n[222222222222]\nsize = 4\n", None, "222222222222"), json!(4));
    assert_eq!(of("[222222222222]\nsize = 4\n", Some(&overrides), "222222222222"), json!("9"));
}

#[test]
fn a_variable_without_a_value_in_one_account_is_reported_before_a_build() {
    let own = files(&[(VARIABLES, "[222222222222]\nsize = 20\n")]);
    let input = RecipeInput { accounts: Some(&both()), ..RecipeInput::default() };
    assert_eq!(
        problems(&own, &input),
        [
            "images/logstash/image.pkr.hcl:5: the variable `size` has no value for account 333333333333; give it a \
          default, or a value in variables.toml"
        ]
    );
}

#[test]
fn a_value_that_packer_would_refuse_is_reported() {
    let input = RecipeInput { accounts: Some(&both()), ..RecipeInput::default() };
    let told_for = |variables: &str| problems(&files(&[(VARIABLES, variables)]), &input);
    assert!(told_for("[default]\nsize = \"many\"\n")[0].contains("`size` is a number"));
    assert!(told_for("[default]\nsize = \"20\"\n").is_empty());
    assert_eq!(
        told_for("[default]\nsize = 20\ncolour = \"red\"\n"),
        ["images/logstash/variables.toml:3: no *.pkr.hcl declares a variable `colour`"]
    );
    assert!(told_for("[default]\nsize = 20\nregion = \"x\"\n")[0].contains("Lockstep gives `region` itself"));
    assert!(told_for("[production]\nsize = 20\n")[0].contains("neither `default` nor the twelve digits"));
    assert!(told_for("[default]\nsize = 1.5\n")[0].contains("`default.size` must be text in quotes"));
}

#[test]
fn values_are_judged_without_the_accounts_too() {
    let found = |variables: &str| problems(&files(&[(VARIABLES, variables)]), &RecipeInput::default());
    let start = "images/logstash/image.pkr.hcl:5: the variable `size` ";
    assert_eq!(found(""), [format!("{start}has no value; give it a default, or a value in variables.toml")]);
    assert_eq!(found("[default]\nsize = \"large\"\n"), [format!("{start}is a number, but its value is not")]);
    assert_eq!(
        found("[222222222222]\nsize = [1]\n"),
        [format!("{start}is a number, but its value for account 222222222222 is not")]
    );
    assert!(found("[222222222222]\nsize = 1\n").is_empty());
}

#[test]
fn an_unused_variable_is_a_hint_and_no_refusal() {
    let unused = format!("variables {{\n  unused = 1\n}}\n{TEMPLATE}");
    let package = plan(FOLDER, &files(&[("image.pkr.hcl", &unused)]), &RecipeInput::default()).unwrap();
    let hints: Vec<String> = package.hints.iter().map(ToString::to_string).collect();
    assert_eq!(
        hints,
        [
            "images/logstash/image.pkr.hcl:2: nothing uses the variable `unused`; remove it, or use `var.unused`"
        ]
    );
    assert!(plan(FOLDER, &files(&[]), &RecipeInput::default()).unwrap().hints.is_empty());
}

#[test]
fn overrides_of_unknown_and_of_given_variables_are_reported() {
    for (name, part) in [("sise", "did you mean `size`?"), ("region", "Lockstep gives `region` itself")] {
        let overrides = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        let input =
            RecipeInput { accounts: Some(&both()), overrides: Some(&overrides), ..RecipeInput::default() };
        let problems = problems(&files(&[]), &input);
        assert!(problems.len() == 1 && problems[0].contains(part), "{problems:?}");
    }
}

#[test]
fn each_problem_for_packer_or_lockstep_is_reported_with_its_line() {
    let table = [
        ("build {", "build {{", "image.pkr.hcl:29: is no HCL"),
        (
            "build {",
            "bild {",
            "image.pkr.hcl:29: `bild` is no block that a recipe may hold; did you mean `build`?",
        ),
        (
            "var.size",
            "var.sise",
            "image.pkr.hcl:24: `var.sise` is used, but no variable `sise` is declared; did you mean `size`?",
        ),
        ("var.size", "local.size", "image.pkr.hcl:24: `local.size` is used, but no local `size` is declared"),
        ("  ssh_username    = \"ec2-user\"\n", "", "image.pkr.hcl:9: the source must have `ssh_username`"),
        (
            "  ssh_username ",
            "  communicator = \"winrm\"\n  ssh_username ",
            "the source must have `winrm_username`",
        ),
        ("  instance_type = \"t3.small\"\n", "", "image.pkr.hcl:9: the source must have `instance_type`"),
        (
            "    device_name = \"/dev/xvda\"\n",
            "",
            "image.pkr.hcl:22: the block device must have `device_name`",
        ),
        (
            "  type = number\n",
            "  type = number\n  default = \"large\"\n",
            "image.pkr.hcl:7: the variable is a number, but",
        ),
        (
            "  type = number\n",
            "  type = number\n  default = var.tags\n",
            "cannot use `var.tags`; write a local",
        ),
        (
            "build {",
            "locals {\n  a = local.b\n  b = local.a\n}\nbuild {",
            "image.pkr.hcl:30: the local `a` needs itself",
        ),
        (
            "build {",
            "locals {\n  a = 1\n}\nlocal \"a\" {\n  expression = 2\n}\nbuild {",
            "the local `a` is declared already",
        ),
        (
            "    scripts =",
            "    inline = [\"id\"]\n    scripts =",
            "must have one of `inline`, `script` and `scripts`",
        ),
        (
            "build {",
            "build {\n  provisioner \"shell\" {}",
            "image.pkr.hcl:30: the provisioner \"shell\" must have one of",
        ),
        ("build {", "build {\n  provisioner \"file\" { content = \"a\" }", "must have `destination`"),
        (
            "build {",
            "build {\n  provisioner \"file\" { destination = \"/a\" }",
            "must have `content`, `source` or",
        ),
        (
            "variable \"tags\" { type = map(string) }\n",
            "",
            "`var.tags` is used, but no variable `tags` is declared",
        ),
        (
            "variable \"size\" {",
            "variable \"region\" {}\nvariable \"size\" {",
            "image.pkr.hcl:5: the variable `region` is declared already, in image.pkr.hcl:1",
        ),
        (
            "{ type = string }",
            "{ default = \"eu-west-1\" }",
            "image.pkr.hcl:1: Lockstep gives `region` itself",
        ),
        (
            "  snapshot_tags   = var.tags\n",
            "",
            "image.pkr.hcl:9: the source must have `snapshot_tags = var.tags`",
        ),
        (
            "region          = var.region",
            "region          = \"eu-west-1\"",
            "image.pkr.hcl:10: the source must have `region = var.region`",
        ),
        (
            "imds_support    = \"v2.0\"",
            "profile = \"me\"",
            "image.pkr.hcl:17: `profile` is not allowed in a source: credentials are roles",
        ),
        (
            "imds_support    = \"v2.0\"",
            "ami_users = [\"1\"]",
            "image.pkr.hcl:17: `ami_users` is not allowed in a source: Lockstep brings",
        ),
        ("imds_support    = \"v2.0\"\n", "\n", "imds_support = \"v2.0\""),
        ("\"required\"", "\"optional\"", "IMDSv2 while it is built"),
        (
            "source \"amazon-ebs\"",
            "source \"docker\"",
            "image.pkr.hcl:9: the source must be of the kind \"amazon-ebs\"",
        ),
        (
            "[\"source.amazon-ebs.image\"]",
            "[\"source.amazon-ebs.other\"]",
            "image.pkr.hcl:29: the build must have `sources = [\"source.amazon-ebs.image\"]`",
        ),
        ("/install.sh", "/instal.sh", "image.pkr.hcl:32: the recipe has no file `instal.sh`"),
        (
            "\"manifest.json\"",
            "\"other.json\"",
            "image.pkr.hcl:29: the build must have `post-processor \"manifest\"",
        ),
        (
            "provisioner \"shell\"",
            "provisioner \"shell-local\"",
            "image.pkr.hcl:31: `shell-local` is not allowed: it runs on the builder",
        ),
        ("build {", "x = 1\nbuild {", "image.pkr.hcl:29: `x` stands outside of every block"),
    ];
    for (from, to, expected) in table {
        let problems = problems_after(from, to);
        assert!(problems.iter().any(|line| line.contains(expected)), "{from} -> {to}: {problems:#?}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let image = IMAGE.replace("version = \"2.1\"", "version = \"2\"").replace("packer", "docker");
    let changed = TEMPLATE.replace("var.size", "var.sise");
    let problems = problems(
        &files(&[(FILE, &image), ("image.pkr.hcl", &changed), (VARIABLES, "[x]\n")]),
        &RecipeInput::default(),
    );
    for part in ["image.toml:3", "image.toml:5", "variables.toml:1"] {
        assert!(problems.iter().any(|line| line.contains(part)), "{part}: {problems:#?}");
    }
}

#[test]
fn a_base_is_another_image_a_public_parameter_or_the_newest_of_an_owner() {
    let base = |line: &str| {
        Recipe::parse(FILE, &IMAGE.replace("ssm = \"/aws/service/ami-amazon-linux-latest/al2023\"", line))
    };
    assert_eq!(base("image = \"base@^1.0\"").unwrap().base, Base::Image("base@^1.0".parse().unwrap()));
    for wrong in [
        "",
        "ssm = \"/mine/ami\"",
        "image = \"base\"",
        "ssm = \"/aws/service/x\"\nimage = \"base@^1\"",
        "ami = \"ami-1\"",
        "owner = \"amazon\"",
        "name = \"ubuntu-*\"",
        "owner = \"amazon\"\nname = \"al2023-*\"\nssm = \"/aws/service/x\"",
        "owner = \"canonical\"\nname = \"ubuntu-*\"",
        "owner = \"099720109477\"\nname = \"*\"",
        "owner = \"099720109477\"\nname = \"a\\\"b*c\"",
    ] {
        let problems = base(wrong).unwrap_err();
        // Line 7 is the table itself.
        assert!(
            problems.iter().all(|problem| problem.line.is_some_and(|line| line >= 7)),
            "{wrong}: {problems:?}"
        );
    }
    let found =
        base("owner = \"099720109477\"\nname = \"ubuntu/images/hvm-ssd/ubuntu-noble-*\"").unwrap().base;
    let Base::Search(search) = &found else { panic!("{found:?}") };
    assert_eq!(
        (search.owner.as_str(), search.name.as_str()),
        ("099720109477", "ubuntu/images/hvm-ssd/ubuntu-noble-*")
    );
    let again: Base = serde_json::from_value(serde_json::to_value(&found).unwrap()).unwrap();
    assert_eq!(again, found, "the record of a version keeps it");
}

#[test]
fn common_files_are_included_and_reported_under_their_own_path() {
    let common: Files =
        [("base.sh".to_owned(), Vec::new()), (VARIABLES.to_owned(), b"[x]\n".to_vec())].into();
    let own = files(&[("image.pkr.hcl", &TEMPLATE.replace("/install.sh", "/common/base.sh"))]);
    let input = RecipeInput { common: Some(&common), ..RecipeInput::default() };
    let lines = problems(&own, &input);
    assert!(lines.len() == 1 && lines[0].starts_with("images/common/variables.toml:1:"), "{lines:?}");
    let inside = files(&[("common/base.sh", "")]);
    assert!(problems(&inside, &RecipeInput::default())[0].contains("a folder that Lockstep uses"));
}

#[test]
fn recipe_takes_the_templates_of_the_common_folder_it_does_not_replace() {
    let (shared, own_part) = TEMPLATE.split_once("build {").unwrap();
    let build = format!("build {{{own_part}");
    let common = |text: &str| -> Files { [("image.pkr.hcl".to_owned(), text.as_bytes().to_vec())].into() };
    let mut own = files(&[("build.pkr.hcl", &build), (VARIABLES, "[default]\nsize = 8\n")]);
    own.remove("image.pkr.hcl");
    let of = |own: &Files, common: &Files| {
        plan(FOLDER, own, &RecipeInput { common: Some(common), ..RecipeInput::default() })
    };
    let package = of(&own, &common(shared)).unwrap();
    let packed_files = packed(&package);
    assert_eq!(packed_files["image.pkr.hcl"], shared.as_bytes());
    assert!(!packed_files.contains_key("common/image.pkr.hcl"));

    let wrong = of(&own, &common(&shared.replace("var.size", "var.sise"))).unwrap_err();
    assert!(wrong.iter().all(|problem| problem.file == "images/common/image.pkr.hcl"), "{wrong:?}");
    assert!(!wrong.is_empty());

    own.insert("image.pkr.hcl".to_owned(), shared.as_bytes().to_vec());
    let replaced = of(&own, &common("nonsense")).unwrap();
    assert_eq!(packed(&replaced)["image.pkr.hcl"], shared.as_bytes());
}

#[test]
fn equal_recipes_give_equal_bytes_and_accounts_do_not_change_the_source() {
    let one: BTreeSet<AccountId> = [account("222222222222")].into();
    let of = |accounts: &BTreeSet<AccountId>, files: &Files| {
        plan(FOLDER, files, &RecipeInput { accounts: Some(accounts), ..RecipeInput::default() }).unwrap()
    };
    let (first, again, wider) = (of(&one, &files(&[])), of(&one, &files(&[])), of(&both(), &files(&[])));
    assert_eq!(first.digest, again.digest);
    assert_ne!(first.digest, wider.digest);
    assert_eq!(first.source_digest, wider.source_digest);
    let changed = of(&one, &files(&[("install.sh", "#!/bin/sh\n")]));
    assert_ne!(first.source_digest, changed.source_digest);
}

#[test]
fn a_key_in_a_recipe_is_refused() {
    let problems = problems(
        &files(&[("install.sh", "export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n")]),
        &RecipeInput::default(),
    );
    assert!(problems.iter().any(|line| line.starts_with("images/logstash/install.sh:1:")), "{problems:?}");
}

#[test]
fn recipes_are_found_by_their_file_in_every_folder() {
    let tree: Files = ["images/a/image.toml", "images/common/base.sh", "b/image.toml", "image.toml.bak"]
        .map(|path| (path.to_owned(), Vec::new()))
        .into();
    assert_eq!(find_recipes(&tree), ["b", "images/a"]);
    assert_eq!(common_folder("images/a").as_deref(), Some("images/common"));
    assert_eq!(common_folder("b").as_deref(), Some("common"));
    assert_eq!(common_folder(""), None);
}

/// Returns the problems after the line `added` is inserted after the line `after` of the template.
fn problems_with(after: &str, added: &str) -> Vec<String> {
    problems_after(after, &format!("{after}\n{added}"))
}

mod escapes;
mod harmless;
