# Instance, disk and access of the build of every image. Lockstep supplies region, ami_name, source_ami, tags, and the
# network and instance profile that `lockstep accounts add` set for the account. The variables.toml here and that of a
# recipe hold the other values. A recipe adds its build in build.pkr.hcl, and replaces this file with an image.pkr.hcl of
# its own.

packer {
  required_version = ">= 1.11.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.8.4"
    }
  }
}

variable "region" {
  type = string
}

variable "ami_name" {
  type = string
}

variable "source_ami" {
  type = string
}

variable "tags" {
  type = map(string)
}

variable "subnet_id" {
  type = string
}

variable "security_group_id" {
  type = string
}

variable "iam_instance_profile" {
  type = string
}

variable "instance_type" {
  type = string
}

variable "encrypted" {
  type = bool
}

variable "kms_key_id" {
  type = string
}

variable "volume_gib" {
  type = number
}

source "amazon-ebs" "image" {
  region            = var.region
  ami_name          = var.ami_name
  source_ami        = var.source_ami
  tags              = var.tags
  snapshot_tags     = var.tags
  run_tags          = var.tags
  run_volume_tags   = var.tags
  instance_type     = var.instance_type
  subnet_id         = var.subnet_id
  security_group_id = var.security_group_id

  # No port is open: the connection goes through Systems Manager, with the role of the instance.
  communicator         = "ssh"
  ssh_interface        = "session_manager"
  ssh_username         = "ec2-user"
  iam_instance_profile = var.iam_instance_profile

  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    delete_on_termination = true
    encrypted             = var.encrypted
    kms_key_id            = var.kms_key_id
  }
}
