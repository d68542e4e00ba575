# The build of the image logstash. ../common/image.pkr.hcl holds its instance and the variables of every image.

variable "elastic_version" {
  type = string
}

variable "opensearch_output_version" {
  type = string
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts         = ["${path.root}/common/base.sh"]
  }

  provisioner "file" {
    source      = "${path.root}/logstash.logrotate"
    destination = "/tmp/logrotate"
  }

  provisioner "file" {
    source      = "${path.root}/health"
    destination = "/tmp/health"
  }

  provisioner "shell" {
    execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    environment_vars = [
      "ELASTIC_VERSION=${var.elastic_version}",
      "OPENSEARCH_OUTPUT_VERSION=${var.opensearch_output_version}",
      "HEALTH_SERVICE=logstash",
    ]
    scripts = [
      "${path.root}/common/elastic.sh",
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
