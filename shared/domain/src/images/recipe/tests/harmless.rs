//! Recipes as people write them, which only use their instance.

use super::*;

fn accepted(from: &str, to: &str) {
    let problems = problems_after(from, to);
    assert!(problems.is_empty(), "{to}: {problems:#?}");
}

#[test]
fn common_expressions_of_public_recipes_are_accepted() {
    let provisioner = "provisioner \"shell\" {";
    for added in [
        "execute_command = \"chmod +x {{ .Path }}; sudo {{ .Vars }} {{ .Path }}\"",
        "execute_command = \"sudo -S env {{ .Vars }} bash -eux '{{ .Path }}'\"",
        "inline = [\"if true; then { echo $${HOME}; }; fi\", \"echo '{\\\"a\\\": {\\\"b\\\": 1}}' > /tmp/x\"]",
        "inline = [<<EOT\nset -e\nawk '{ print $1 }' /etc/hosts\nEOT\n]",
        "environment_vars = [\"A=${var.size}\", \"B=$${var}${var.size}\"]",
        "inline = [for name in [\"jq\", \"git\"] : \"dnf -y install ${name}\"]",
        "env = { A = join(\",\", formatlist(\"%s-%03d\", [\"a\"], [1])), B = upper(trimspace(\" b \")) }",
        "env = { A = base64encode(\"{{ x }}\"), B = jsonencode({ a = [1, { b = 2 }] }) }",
        "inline_shebang = \"/bin/bash -e\"\n pause_before = \"10s\"\n max_retries = 3\n timeout = \"1h\"",
        "env = { A = build.ID, B = source.name, C = packer.version }",
        "env = { A = \"{{ isotime `2006-01-02` }}\", B = \"{{ isotime \\\"2006\\\" }}\", C = \"{{timestamp}}\" }",
    ] {
        if added.starts_with("inline =") {
            accepted("scripts = [\"${path.root}/install.sh\"]", added);
        } else {
            accepted(provisioner, &format!("{provisioner}\n{added}"));
        }
    }
}

#[test]
fn common_blocks_of_public_recipes_are_accepted() {
    let (build, source) = ("build {", "imds_support    = \"v2.0\"");
    for added in [
        "provisioner \"file\" {\n content = \"{ \\\"a\\\": { } }\"\n destination = \"/tmp/a.json\"\n}",
        "provisioner \"file\" {\n sources = [\"install.sh\", \"${path.root}/install.sh\"]\n destination = \"/tmp/\"\n direction = \"upload\"\n}",
        "provisioner \"powershell\" {\n inline = [\"Write-Host a\"]\n elevated_user = \"SYSTEM\"\n elevated_password = \"\"\n}",
        "provisioner \"windows-restart\" { restart_timeout = \"15m\" }",
        "provisioner \"windows-shell\" { inline = [\"dir\"] }",
        "provisioner \"sleep\" { duration = \"5s\" }",
        "post-processors {\n post-processor \"manifest\" {\n output = \"manifest.json\"\n custom_data = { a = \"b\" }\n }\n}",
    ] {
        accepted(build, &format!("{build}\n{added}"));
    }
    for added in [
        "  user_data = <<EOT\n#!/bin/bash\nfoo() { echo a; }\nEOT",
        "  aws_polling {\n    delay_seconds = 30\n    max_attempts = 120\n  }",
        "  communicator = \"winrm\"\n  winrm_username = \"Administrator\"\n  winrm_insecure = true\n  winrm_use_ssl = true",
        "  ssh_interface = \"session_manager\"\n  ssh_timeout = \"20m\"\n  ebs_optimized = true",
    ] {
        accepted(source, &format!("{source}\n{added}"));
    }
    for declared in [
        "variables {\n  unused = \"x\"\n}",
        "variable \"unused\" {\n  type = list(object({ a = string }))\n  default = []\n  validation {\n    condition = length(var.unused) < 3\n    error_message = \"Too many.\"\n  }\n}",
        "locals {\n  stamp = regex_replace(timestamp(), \"[- TZ:]\", \"\")\n  name = \"a-${local.stamp}\"\n}",
        "local \"secret\" {\n  expression = formatdate(\"YYYYMMDD\", timestamp())\n  sensitive = true\n}",
    ] {
        accepted(build, &format!("{declared}\n{build}"));
    }
    accepted("[\"source.amazon-ebs.image\"]", "[\"amazon-ebs.image\"]");
}

#[test]
fn items_of_a_list_have_the_type_of_the_variable() {
    let with = |values: &str| {
        let template =
            TEMPLATE.replace("type = number", "type = list(number)").replace("var.size", "var.size[0]");
        let own = files(&[("image.pkr.hcl", &template), (VARIABLES, values)]);
        problems(&own, &RecipeInput { accounts: Some(&both()), ..RecipeInput::default() })
    };
    assert!(with("[default]\nsize = [1, \"2\"]\n").is_empty());
    assert!(with("[default]\nsize = [\"many\"]\n")[0].contains("`size` is a list(number)"));
}
