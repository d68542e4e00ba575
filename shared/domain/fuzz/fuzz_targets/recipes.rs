//! Whatever a recipe's template and values say, it is refused with lines, or accepted. An accepted recipe is refused as
//! soon as one thing is added to it that reaches the builder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::recipe::{RecipeInput, VARIABLES, plan};
use lockstep_domain::model::error::Problem;

const IMAGE: &str =
    "[image]\nname = \"a\"\nversion = \"1.0\"\nteam = \"a\"\nbuilder = \"packer\"\n\n[base]\nssm = \"/aws/service/x\"\n";

/// The frame of a recipe, around what the fuzzer writes into its provisioner.
const FRAME: [&str; 2] = [
    r#"variable "region" {}
variable "ami_name" {}
variable "source_ami" {}
variable "tags" {}
packer {
  required_plugins {
    amazon = { source = "github.com/hashicorp/amazon", version = "= 1.8.4" }
  }
}
source "amazon-ebs" "image" {
  region = var.region
  ami_name = var.ami_name
  source_ami = var.source_ami
  tags = var.tags
  snapshot_tags = var.tags
  run_tags = var.tags
  run_volume_tags = var.tags
  ssh_username = "ec2-user"
  instance_type = "t3.small"
  imds_support = "v2.0"
  metadata_options { http_tokens = "required" }
}
build {
  sources = ["source.amazon-ebs.image"]
  provisioner "shell" {
"#,
    "\n  }\n  post-processor \"manifest\" { output = \"manifest.json\" }\n}\n",
];

/// Additions of which each reaches the builder.
const ADDED: [&str; 5] = [
    "\nlocals {\n  zz = file(\"/proc/self/environ\")\n}\n",
    "\nlocals {\n  zz = env(\"HOME\")\n}\n",
    "\nlocals {\n  zz = \"{{ env `HOME` }}\"\n}\n",
    "\ndata \"amazon-secretsmanager\" \"zz\" {\n}\n",
    "\nsource \"amazon-ebs\" \"zz\" {\n  profile = \"zz\"\n}\n",
];

fn planned(template: &str, values: &str) -> Result<(), Vec<Problem>> {
    let files: Files = [("image.toml", IMAGE), ("image.pkr.hcl", template), (VARIABLES, values)]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into();
    plan("images/a", &files, &RecipeInput::default()).map(drop)
}

fuzz_target!(|given: (bool, &str, &str)| {
    let (framed, written, values) = given;
    let template = if framed { [FRAME[0], written, FRAME[1]].concat() } else { written.to_owned() };
    match planned(&template, values) {
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = template.lines().count().max(values.lines().count()).max(9) as u32 + 1;
            assert!(problems.iter().all(|problem| problem.line.is_none_or(|line| (1..=lines).contains(&line))));
        }
        Ok(()) => {
            for added in ADDED {
                assert!(planned(&format!("{template}{added}"), values).is_err(), "{added}");
            }
        }
    }
});
