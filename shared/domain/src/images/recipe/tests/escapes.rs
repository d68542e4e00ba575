//! Recipes that would reach the builder, another machine or another image.

use super::*;
use crate::images::recipe::allowed::{self, Position};

#[test]
fn actions_and_reads_on_the_builder_are_refused() {
    let (build, provisioner, source) = ("build {", "provisioner \"shell\" {", "imds_support    = \"v2.0\"");
    let table = [
        (
            build,
            "post-processor \"manifest\" { output = \"../x\" }",
            "writes a file of the builder; write `output",
        ),
        ("packer {", "  hcp {}", "`hcp` is not allowed in packer"),
        (build, "provisioner \"shell-local\" { inline = [\"id\"] }", "runs on the builder"),
        (build, "provisioner \"ansible\" {}", "runs on the builder"),
        (build, "provisioner \"breakpoint\" {}", "`breakpoint` is not allowed: it waits for a person"),
        (build, "provisioner \"shell\" \"local\" {}", "runs on the builder"),
        (build, "post-processor \"shell-local\" { inline = [\"id\"] }", "the only one is manifest"),
        (build, "post-processors {\n post-processor \"amazon-import\" {}\n}", "the only one is manifest"),
        (
            build,
            "post-processors {\n provisioner \"shell\" {}\n}",
            "`provisioner` is not allowed in post-processors",
        ),
        (
            build,
            "error-cleanup-provisioner \"shell-local\" {}",
            "`error-cleanup-provisioner` is not allowed in a build",
        ),
        (
            build,
            "source \"source.amazon-ebs.image\" { profile = \"x\" }",
            "`source` is not allowed in a build",
        ),
        (build, "hcp_packer_registry {}", "`hcp_packer_registry` is not allowed in a build"),
        (
            build,
            "dynamic \"provisioner\" {\n for_each = [1]\n content {}\n}",
            "makes blocks that cannot be judged",
        ),
        (provisioner, "env = { A = file(\"/proc/self/environ\") }", "`file` is not allowed"),
        (
            provisioner,
            "env = { A = \"${aws_secretsmanager(\"x\", null)}\" }",
            "`aws_secretsmanager` is not allowed",
        ),
        (provisioner, "env = { A = templatefile(\"x\", {}) }", "`templatefile` is not allowed"),
        (provisioner, "env = { A = provider::x::y() }", "`y` is not allowed"),
        (provisioner, "env = { A = \"{{ env `HOME` }}\" }", "`{{ env }}` is not allowed"),
        (provisioner, "env = { A = \"{{- consul_key `x` }}\" }", "`{{ consul_key }}` is not allowed"),
        (provisioner, "script = \"/etc/passwd\"", "must be the path of a file of the recipe"),
        (provisioner, "script = \"${path.root}/../other\"", "must be the path of a file of the recipe"),
        (provisioner, "script = \"${var.size}\"", "must be the path of a file of the recipe"),
        (
            provisioner,
            "script = join(\"\", [\"/etc\", \"/passwd\"])",
            "must be the path of a file of the recipe",
        ),
        (
            build,
            "provisioner \"file\" {\n source = \"~/.aws/credentials\"\n destination = \"/tmp/x\"\n}",
            "must be the path",
        ),
        (build, "provisioner \"file\" {\n direction = \"download\"\n}", "writes files of the builder"),
        (
            source,
            "custom_endpoint_ec2 = \"https://ec2.example.com\"",
            "`custom_endpoint_ec2` is not allowed in a source",
        ),
        (source, "shared_credentials_file = \"x\"", "`shared_credentials_file` is not allowed in a source"),
        (source, "user_data_file = \"/proc/self/environ\"", "`user_data_file` is not allowed in a source"),
        (
            source,
            "ssh_private_key_file = \"/root/.ssh/id\"",
            "`ssh_private_key_file` is not allowed in a source",
        ),
        (
            build,
            "provisioner \"hcp-sbom\" {\n source = \"/opt/sbom.json\"\n destination = \"sbom.json\"\n}",
            "brings a file to the builder",
        ),
        (source, "vault_aws_engine { name = \"x\" }", "`vault_aws_engine` is not allowed in a source"),
    ];
    for (after, added, expected) in table {
        let problems = problems_with(after, added);
        assert!(problems.iter().any(|line| line.contains(expected)), "{added}: {problems:#?}");
    }
    let data = format!("data \"amazon-secretsmanager\" \"x\" {{}}\n{TEMPLATE}");
    let problems = problems(&files(&[("image.pkr.hcl", &data)]), &RecipeInput::default());
    assert!(problems[0].contains("`data` is no block that a recipe may hold"), "{problems:#?}");
}

#[test]
fn attributes_that_reach_beyond_the_build_are_refused() {
    let (source, device) = ("imds_support    = \"v2.0\"", "launch_block_device_mappings {");
    for (place, names, _) in allowed::REFUSED {
        for name in *names {
            let written = match name.strip_suffix(" {}") {
                Some(block) => format!("{block} {{\n}}"),
                None => format!("{name} = \"x\""),
            };
            let after = match place {
                Position::Source => source,
                Position::Device => device,
                Position::Build => "build {",
                Position::Packer => "packer {",
                Position::Provisioner => "provisioner \"shell\" {",
                Position::Manifest => "post-processor \"manifest\" {",
                _ => continue,
            };
            let problems = problems_with(after, &written);
            let shown = name.trim_end_matches(" {}");
            assert!(
                problems.iter().any(|line| line.contains(&format!("`{shown}` is not allowed"))),
                "{written}: {problems:#?}"
            );
        }
    }
}

#[test]
fn network_and_profile_of_a_build_are_those_of_the_account() {
    let source = "imds_support    = \"v2.0\"";
    for name in ["subnet_id", "security_group_id", "iam_instance_profile"] {
        let literal = problems_with(source, &format!("{name} = \"x\""));
        assert!(literal[0].contains(&format!("must be `{name} = var.{name}`")), "{literal:#?}");
        let declared = format!("variable \"{name}\" {{ type = string }}\n{TEMPLATE}");
        let declared = declared.replace(source, &format!("{source}\n  {name} = var.{name}"));
        let input = RecipeInput { accounts: Some(&both()), ..RecipeInput::default() };
        let own = files(&[("image.pkr.hcl", &declared)]);
        assert!(problems(&own, &input).is_empty(), "{:?}", problems(&own, &input));
        let values = format!("[default]\nsize = 20\n{name} = \"subnet-1\"\n");
        let given = files(&[("image.pkr.hcl", &declared), (VARIABLES, &values)]);
        assert!(problems(&given, &input)[0].contains(&format!("Lockstep gives `{name}` itself")));
    }
}

#[test]
fn actions_that_a_plugin_evaluates_cannot_be_put_together() {
    let provisioner = "provisioner \"shell\" {";
    let put = |value: &str| problems_with(provisioner, &format!("env = {{ A = {value} }}"));
    for value in [
        r#""{{ env `HOME` }}""#,
        r#""\u007b\u007b env `HOME` }}""#,
        r#""{\u007b env `HOME` }}""#,
        r#""{${"{"} env `HOME` }}""#,
        r#""{${""}{ env `HOME` }}""#,
        r#""{ ${~ "" ~} { env `HOME` }}""#,
        r#""%{ for x in [1, 2] }{%{ endfor } env `HOME` }}""#,
        r#""{%{ if true }{ env `HOME` }}%{ endif }""#,
        r#"join("", ["{", "{ env `HOME` }}"])"#,
        r#"join("", ["{", "{ env `HOME` }}"])"#,
        r#"replace("[[ env `HOME` ]]", "[", "{")"#,
        r#"format("%v%s", {}, "x")"#,
        r#"format("%#v", {})"#,
        r#"format(local.f, {})"#,
        r#"base64decode("e3sgZW52IGBIT01FYCB9fQ==")"#,
        r#"jsondecode("\"\\u007b\\u007b env `HOME` }}\"")"#,
        r#"trimsuffix(jsonencode({}), "}")"#,
        r#""${jsonencode({})}""#,
        r#"jsonencode({ a = "{{ env `HOME` }}" })"#,
        r#""{{ .Path | env }}""#,
        r#""{{ timestamp | env }}""#,
        r#""{{ isotime (env `HOME`) }}""#,
        r#""{{ printf `%s` (env `HOME`) }}""#,
        r#""{{ if true }}{{ end }}""#,
        r#""{{ `{{` }}""#,
        r#""{{ user `x` }}""#,
        r#""{{ template_dir }}""#,
        r#""{{""#,
        r#"path.cwd"#,
        r#""${path.root}/x""#,
        r#"data.amazon-ami.x.id"#,
        r#"env.HOME"#,
    ] {
        let problems = put(value);
        assert!(problems.iter().any(|line| line.contains("image.pkr.hcl:32")), "{value}: {problems:#?}");
    }
    let heredoc = problems_with(provisioner, "inline = [<<EOT\n{{ env `HOME` }}\nEOT\n]");
    assert!(heredoc.iter().any(|line| line.contains("`{{ env }}` is not allowed")), "{heredoc:#?}");
}

#[test]
fn values_from_outside_of_a_configuration_contain_no_brace() {
    let input = RecipeInput { accounts: Some(&both()), ..RecipeInput::default() };
    for (from, to) in [
        ("type = number", "default = \"{{ env `HOME` }}\""),
        ("build {", "locals {\n  a = \"{{ env `HOME` }}\"\n}\nbuild {"),
        ("build {", "local \"a\" {\n  expression = \"{\"\n}\nbuild {"),
        ("build {", "variables {\n  a = \"{\"\n}\nbuild {"),
    ] {
        let problems = problems_after(from, to);
        assert!(problems.iter().any(|line| line.contains("contains a `{`")), "{to}: {problems:#?}");
    }
    let values = files(&[(VARIABLES, "[default]\nsize = \"{{ env `HOME` }}\"\n")]);
    assert!(problems(&values, &input)[0].contains("variables.toml:2: `default.size` contains a `{`"));
    let overrides = BTreeMap::from([("size".to_owned(), "{{ env `HOME` }}".to_owned())]);
    let given =
        RecipeInput { accounts: Some(&both()), overrides: Some(&overrides), ..RecipeInput::default() };
    assert!(problems(&files(&[]), &given)[0].contains("the override `size` contains a `{`"));
}

#[test]
fn a_recipe_has_exactly_the_one_plugin_of_the_build() {
    let table = [
        ("source  = \"github.com/hashicorp/amazon\"", "source  = \"github.com/mallory/amazon\""),
        ("version = \"= 1.8.4\"", "version = \">= 1.8.4\""),
        ("version = \"= 1.8.4\"", "version = \"= 1.8.4\"\n      extra = 1"),
        (
            "    amazon = {",
            "    other = { source = \"github.com/x/y\", version = \"= 1.0.0\" }\n    amazon = {",
        ),
        ("    amazon = {", "    amazing = {"),
        ("  required_plugins {", "  required_plugins {\n  }\n  required_plugins {"),
        (
            "packer {",
            "packer {\n  required_plugins {\n    x = { source = \"github.com/x/y\", version = \"= 1.0.0\" }\n  }\n}\npacker {",
        ),
        ("  required_plugins {", "  plugins {"),
    ];
    for (from, to) in table {
        let problems = problems_after(from, to);
        assert!(
            problems.iter().any(|line| line.contains("the build has this plugin and no other")),
            "{to}: {problems:#?}"
        );
    }
}

#[test]
fn a_file_that_packer_loads_or_runs_automatically_is_refused() {
    for path in [
        "second.pkr.json",
        "values.auto.pkrvars.hcl",
        "values.auto.pkrvars.json",
        "packer.d/plugins/x",
        ".packer.d/x",
        "sub/packer.d/x",
        "packer-plugin-amazon_v1.8.4_x5.0_linux_amd64",
        ".packerconfig",
        "PACKER.D/x",
        "sub/second.pkr.hcl",
        "sub/second.PKR.JSON",
        "values.pkrvars.hcl",
        "sub/values.pkrvars.json",
        "bin/packer-post-processor-x",
        "manifest.json",
        "lockstep",
        "common",
    ] {
        let problems = problems(&files(&[(path, "{}")]), &RecipeInput::default());
        assert!(problems.iter().any(|line| line.contains(path)), "{path}: {problems:#?}");
    }
    // Packer ignores a file that a script sends.
    assert!(
        problems(&files(&[("settings.json", "{}"), ("plugins/readme", "")]), &RecipeInput::default())
            .is_empty()
    );
}

#[test]
fn an_unknown_name_in_a_block_that_the_template_lacks_is_refused() {
    for (after, block, place) in [
        ("imds_support    = \"v2.0\"", "aws_polling", "aws_polling"),
        ("imds_support    = \"v2.0\"", "ami_block_device_mappings", "a block device"),
        ("variable \"size\" {", "validation", "a validation"),
    ] {
        let problems = problems_with(after, &format!("{block} {{\n  surprise = \"x\"\n}}"));
        let wanted = format!("`surprise` is not allowed in {place}");
        assert!(problems.iter().any(|line| line.contains(&wanted)), "{block}: {problems:#?}");
    }
}

#[test]
fn a_recipe_beyond_the_cap_is_refused() {
    let large = "x".repeat(crate::images::recipe::MAX_RECIPE_BYTES);
    let problems = problems(&files(&[("large.sh", &large)]), &RecipeInput::default());
    assert!(problems.iter().any(|line| line.contains("the recipe is larger than 5 MiB")), "{problems:#?}");
}

/// Positions of the template, with the places whose names are allowed there.
const POSITIONS: [(&str, &[Position]); 9] = [
    ("packer {", &[Position::Packer]),
    ("variable \"size\" {", &[Position::Variable]),
    ("source \"amazon-ebs\" \"image\" {", &[Position::Source]),
    ("metadata_options {", &[Position::Metadata]),
    ("launch_block_device_mappings {", &[Position::Device]),
    ("build {", &[Position::Build]),
    ("provisioner \"shell\" {", &[Position::Provisioner, Position::Script, Position::Shell]),
    ("post-processor \"manifest\" {", &[Position::Manifest]),
    ("# end", &[Position::Template]),
];

proptest::proptest! {
    #[test]
    fn an_unknown_name_anywhere_is_refused(at in 0..POSITIONS.len(), name in "[a-z][a-z_]{0,20}", block: bool) {
        let (after, places) = POSITIONS[at];
        let known = if block { format!("{name} {{}}") } else { name.clone() };
        let is_known = places.iter().any(|place| allowed::is_allowed(*place, &known));
        proptest::prop_assume!(!is_known && TEMPLATE.matches(&format!(" {name} ")).count() == 0);
        let written = if block { format!("{name} {{\n}}") } else { format!("{name} = \"x\"") };
        let template = format!("{TEMPLATE}# end\n");
        let changed = template.replacen(after, &format!("{after}\n{written}"), 1);
        let problems = problems(&files(&[("image.pkr.hcl", &changed)]), &RecipeInput::default());
        proptest::prop_assert!(problems.iter().any(|line| line.contains(&format!("`{name}`"))), "{}: {:?}", written, problems);
    }

    #[test]
    fn an_unknown_function_or_reference_anywhere_is_refused(
        at in 0..4_usize, name in "[a-z][a-z0-9_]{0,16}", shape in 0..5_usize
    ) {
        proptest::prop_assume!(!allowed::is_allowed(Position::Function, &name) && !allowed::is_allowed(Position::Reference, &name));
        proptest::prop_assume!(!["null", "true", "false", "for", "if", "in", "x"].contains(&name.as_str()));
        let call = format!("{name}(\"a\")");
        let value = match shape {
            0 => call,
            1 => format!("[upper({call})]"),
            2 => format!("\"a-${{{call}}}\""),
            3 => format!("{{ a = [for x in [\"b\"] : {name}.x] }}"),
            _ => format!("true ? \"a\" : {name}.value"),
        };
        let (after, written) = [
            ("build {", format!("locals {{\n  a = {value}\n}}\nbuild {{")),
            ("provisioner \"shell\" {", format!("provisioner \"shell\" {{\n  env = {{ A = {value} }}")),
            ("imds_support    = \"v2.0\"", format!("imds_support    = \"v2.0\"\n  user_data = {value}")),
            ("variable \"size\" {", format!("variable \"size\" {{\n  default = {value}")),
        ][at].clone();
        let problems = problems_after(after, &written);
        proptest::prop_assert!(
            problems.iter().any(|line| line.contains(&format!("`{name}` is not allowed"))), "{}: {:?}", written, problems
        );
    }

    #[test]
    fn provisioners_and_post_processors_cannot_enter_by_another_name(kind in "[a-z][a-z-]{0,14}", chained: bool) {
        let allowed = ["shell", "file", "powershell", "windows-restart"];
        let problems = problems_with("build {", &format!("provisioner \"{kind}\" {{}}"));
        let refused = problems.iter().any(|line| line.contains("runs on the builder"));
        proptest::prop_assert_eq!(refused, !allowed.contains(&kind.as_str()));
        let processor = format!("post-processor \"{kind}\" {{}}");
        let processor = if chained { format!("post-processors {{\n{processor}\n}}") } else { processor };
        let refused = problems_with("build {", &processor).iter().any(|line| line.contains("the only one is manifest"));
        proptest::prop_assert_eq!(refused, kind != "manifest");
    }

    #[test]
    fn no_path_leaves_the_recipe(prefix in "(\\$\\{path\\.root\\}/|\\./)?", path in "[a-z./~$-]{1,20}") {
        let written = format!("{prefix}{path}");
        let problems = problems_with("provisioner \"shell\" {", &format!("script = \"{written}\""));
        let leaves = written.starts_with('~') || written.starts_with('/') || path.split('/').any(|part| part == "..")
            || path.contains('$') || (prefix.is_empty() && path.starts_with('/'));
        let refused = problems.iter().any(|line| line.contains("must be the path") || line.contains("is no HCL"));
        proptest::prop_assert!(!leaves || refused, "{}: {:?}", written, problems);
    }
}
