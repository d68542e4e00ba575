# The build of the image elasticsearch. ../common/image.pkr.hcl holds its instance and the variables of every image.

variable "elastic_version" {
  type = string
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts         = ["${path.root}/common/base.sh"]
  }

  provisioner "file" {
    source      = "${path.root}/elasticsearch.logrotate"
    destination = "/tmp/logrotate"
  }

  provisioner "file" {
    source      = "${path.root}/health"
    destination = "/tmp/health"
  }

  provisioner "shell" {
    execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    environment_vars = ["ELASTIC_VERSION=${var.elastic_version}", "HEALTH_SERVICE=elasticsearch"]
    scripts = [
      "${path.root}/common/elastic.sh",
      "${path.root}/install.sh",
      "${path.root}/common/health.sh",
    ]
  }

  provisioner "file" {
    source      = "${path.root}/kibana.health"
    destination = "/tmp/health"
  }

  provisioner "shell" {
    execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    environment_vars = ["HEALTH_SERVICE=kibana"]
    scripts = [
      "${path.root}/common/health.sh",
      "${path.root}/common/clean.sh",
    ]
  }

  post-processor "manifest" {
    output     = "manifest.json"
    strip_path = true
  }
}
