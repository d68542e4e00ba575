# The build of the image valkey. ../common/image.pkr.hcl holds its instance and the variables of every image.

variable "valkey_package" {
  type = string
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts         = ["${path.root}/common/base.sh"]
  }

  provisioner "file" {
    source      = "${path.root}/valkey.logrotate"
    destination = "/tmp/logrotate"
  }

  provisioner "file" {
    source      = "${path.root}/health"
    destination = "/tmp/health"
  }

  provisioner "shell" {
    execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    environment_vars = ["VALKEY_PACKAGE=${var.valkey_package}", "HEALTH_SERVICE=valkey"]
    scripts = [
      "${path.root}/install.sh",
      "${path.root}/common/health.sh",
      "${path.root}/common/clean.sh",
    ]
  }

  post-processor "manifest" {
    output     = "manifest.json"
    strip_path = true
  }
}
