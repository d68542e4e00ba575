variable "region" {}
variable "ami_name" {}
variable "source_ami" {}
variable "tags" {}
packer {
  required_plugins {
    amazon = { source = "github.com/hashicorp/amazon", version = "= 1.8.4" }
# in plugins
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
  imds_support = "v2.0"
  metadata_options { http_tokens = "required" }
# in source
}
build {
  sources = ["source.amazon-ebs.image"]
# in build
  post-processor "manifest" { output = "manifest.json" }
}
# at the end
