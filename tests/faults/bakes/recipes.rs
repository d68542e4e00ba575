//! The repository of the images: a recipe on an image of AWS, and one on our own image.

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_domain::model::ids::CommitSha;

/// The commit whose recipe starts from an image that AWS publishes.
pub const ON_PUBLISHED: &str = "1111111111111111111111111111111111111111";

/// The commit whose recipe starts from our own image.
pub const ON_OUR_OWN: &str = "2222222222222222222222222222222222222222";

/// Every commit that the git host holds.
pub const COMMITS: [&str; 2] = [ON_PUBLISHED, ON_OUR_OWN];

const TEMPLATE: &str = r#"variable "region" { type = string }
variable "ami_name" { type = string }
variable "source_ami" { type = string }
variable "tags" { type = map(string) }

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

fn manifest(commit: &CommitSha) -> String {
    let base = match commit.as_str() {
        ON_OUR_OWN => "image = \"base@^1.0\"",
        _ => "ssm = \"/aws/service/ami-amazon-linux-latest/al2023\"",
    };
    format!(
        "[image]\nname = \"logstash\"\nversion = \"2.1\"\nteam = \"platform\"\nbuilder = \"packer\"\n\n[base]\n{base}\n"
    )
}

/// Returns the archive of a commit, as the git host sends it.
pub fn tarball(commit: &CommitSha) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let record = format!("52 comment={commit}\n");
    append(&mut archive, tar::EntryType::XGlobalHeader, "pax_global_header", record.as_bytes());
    let files = [
        ("image.toml", manifest(commit)),
        ("image.pkr.hcl", TEMPLATE.to_owned()),
        ("install.sh", "#!/bin/bash\n".to_owned()),
    ];
    for (path, text) in files {
        append(&mut archive, tar::EntryType::Regular, &format!("acme-logs/images/{path}"), text.as_bytes());
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("memory takes it")
}

fn append(archive: &mut tar::Builder<GzEncoder<Vec<u8>>>, kind: tar::EntryType, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).expect("memory takes it");
}
