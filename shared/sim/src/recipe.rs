//! Files of the recipe of an image for tests.

/// The recipe of an image of the team `platform`.
#[derive(Clone, Debug)]
pub struct RecipeText {
    image: String,
    base: String,
}

/// Returns the smallest recipe of `image`, for the version 2.1, that starts from an image of AWS.
pub fn recipe_text(image: &str) -> RecipeText {
    let base = "ssm = \"/aws/service/ami-amazon-linux-latest/al2023\"".to_owned();
    RecipeText { image: image.to_owned(), base }
}

impl RecipeText {
    /// Lets the recipe start from an image of Lockstep, such as `base@^1.0`.
    pub fn on_image(self, image: &str) -> Self {
        Self { base: format!("image = \"{image}\""), ..self }
    }

    /// Returns the paths and the texts: the manifest, the template and the script that it runs.
    pub fn files(&self) -> [(&'static str, String); 3] {
        [
            ("image.toml", self.manifest()),
            ("image.pkr.hcl", TEMPLATE.to_owned()),
            ("install.sh", "#!/bin/bash\n".to_owned()),
        ]
    }

    fn manifest(&self) -> String {
        let Self { image, base } = self;
        format!(
            "[image]\nname = \"{image}\"\nversion = \"2.1\"\nteam = \"platform\"\nbuilder = \"packer\"\n\n[base]\n{base}\n"
        )
    }
}

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
  instance_type   = "t3.small"
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
