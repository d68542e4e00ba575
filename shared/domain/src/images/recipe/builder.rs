//! Permitted actions of a recipe on the machine that builds it: start one instance, send files and scripts to it, and
//! record the result.
//!
//! Packer runs beside the role of the build. Each list is an allowlist, so features of later Packer versions are
//! refused until they have been reviewed. The role itself is restricted too (`infra/target-account/template.yaml`):
//! these lists are not the only protection.

use super::template::{File, MANIFEST};
use crate::delivery::archive::Files;
use crate::model::error::Problem;
use hcl_edit::expr::{Expression, FuncCall};
use hcl_edit::structure::{Attribute, Block};
use hcl_edit::visit::{Visit, visit_attr, visit_block, visit_func_call};

/// The only plugin of a recipe; the build installs it from the account's own copy.
pub const PLUGIN: (&str, &str, &str) = ("amazon", "github.com/hashicorp/amazon", "= 1.8.4");

/// Allowed provisioners, all of which act in the instance.
const PROVISIONERS: [&str; 4] = ["shell", "file", "powershell", "windows-restart"];

/// Allowed post-processors.
const POST_PROCESSORS: [&str; 1] = ["manifest"];

/// Allowed blocks and attributes of a build.
const BUILD: [&str; 6] =
    ["name", "description", "sources", "provisioner", "post-processor", "post-processors"];

/// Attributes and blocks of an `amazon-ebs` source that neither reach another machine or account nor read a file of the
/// builder.
/// <https://developer.hashicorp.com/packer/integrations/hashicorp/amazon/latest/components/builder/ebs>
const SOURCE: [&str; 61] = [
    "ami_block_device_mappings",
    "ami_description",
    "ami_name",
    "ami_virtualization_type",
    "associate_public_ip_address",
    "availability_zone",
    "aws_polling",
    "boot_mode",
    "communicator",
    "deprecate_at",
    "disable_stop_instance",
    "ebs_optimized",
    "ena_support",
    "enable_nitro_enclave",
    "enable_unlimited_credits",
    "encrypt_boot",
    "fast_launch",
    "iam_instance_profile",
    "imds_support",
    "instance_type",
    "kms_key_id",
    "launch_block_device_mappings",
    "metadata_options",
    "pause_before_connecting",
    "pause_before_ssm",
    "placement",
    "region",
    "run_tags",
    "run_volume_tags",
    "security_group_id",
    "security_group_ids",
    "shutdown_behavior",
    "skip_profile_validation",
    "skip_save_build_region",
    "snapshot_description",
    "snapshot_tags",
    "source_ami",
    "sriov_support",
    "ssh_clear_authorized_keys",
    "ssh_disable_agent_forwarding",
    "ssh_handshake_attempts",
    "ssh_interface",
    "ssh_keep_alive_interval",
    "ssh_pty",
    "ssh_read_write_timeout",
    "ssh_timeout",
    "ssh_username",
    "subnet_id",
    "tags",
    "temporary_key_pair_bits",
    "temporary_key_pair_type",
    "tenancy",
    "tpm_support",
    "user_data",
    "vpc_id",
    "winrm_insecure",
    "winrm_port",
    "winrm_timeout",
    "winrm_use_ntlm",
    "winrm_use_ssl",
    "winrm_username",
];

/// Functions that compute from their arguments alone.
/// <https://developer.hashicorp.com/packer/docs/templates/hcl_templates/functions>
const FUNCTIONS: [&str; 87] = [
    "abs",
    "alltrue",
    "anytrue",
    "base64decode",
    "base64encode",
    "base64gzip",
    "basename",
    "bcrypt",
    "can",
    "ceil",
    "chomp",
    "chunklist",
    "cidrhost",
    "cidrnetmask",
    "cidrsubnet",
    "cidrsubnets",
    "coalesce",
    "coalescelist",
    "compact",
    "concat",
    "contains",
    "convert",
    "csvdecode",
    "dirname",
    "distinct",
    "element",
    "endswith",
    "flatten",
    "floor",
    "format",
    "formatdate",
    "formatlist",
    "indent",
    "index",
    "join",
    "jsondecode",
    "jsonencode",
    "keys",
    "legacy_isotime",
    "legacy_strftime",
    "length",
    "log",
    "lookup",
    "lower",
    "max",
    "md5",
    "merge",
    "min",
    "parseint",
    "pow",
    "range",
    "regex",
    "regex_replace",
    "regexall",
    "replace",
    "reverse",
    "setintersection",
    "setproduct",
    "setunion",
    "sha1",
    "sha256",
    "sha512",
    "signum",
    "slice",
    "sort",
    "split",
    "startswith",
    "strcontains",
    "strrev",
    "substr",
    "sum",
    "timeadd",
    "timestamp",
    "title",
    "trim",
    "trimprefix",
    "trimspace",
    "trimsuffix",
    "try",
    "unique",
    "upper",
    "urlencode",
    "uuidv4",
    "uuidv5",
    "values",
    "yamldecode",
    "yamlencode",
];

/// Type constructors, which HCL writes as functions.
const TYPES: [&str; 5] = ["list", "map", "object", "set", "tuple"];

/// Allowed words in `{{ }}`: the values of a provisioner, and words that read nothing.
const ENGINE: [&str; 5] = ["build", "clean_resource_name", "isotime", "timestamp", "uuid"];

/// Attributes whose value is the path of a file on the builder.
const PATHS: [&str; 4] = ["script", "scripts", "source", "sources"];

/// Returns problems with the names of a recipe's files: those that Packer loads or runs automatically.
pub(super) fn judge_files(files: &Files) -> Vec<Problem> {
    let wrong = files.keys().filter_map(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folders = path.split('/').rev().skip(1);
        let message = if name.ends_with(".pkr.json") {
            "is a template in JSON, which is not judged; write it as *.pkr.hcl"
        } else if name.starts_with("packer-plugin-") || name.starts_with("packer-provisioner-") {
            "is a plugin of Packer; a recipe may not contain one"
        } else if folders.into_iter().any(|folder| folder.trim_start_matches('.') == "packer.d")
            || name == ".packerconfig"
        {
            "is configuration of Packer; a recipe may not contain any"
        } else {
            return None;
        };
        Some(Problem::at(path.clone(), None, message))
    });
    wrong.collect()
}

/// Returns the forbidden actions of a template on the builder.
pub(super) fn judge(file: &File<'_>) -> Vec<Problem> {
    let mut outside = Outside { file, problems: Vec::new() };
    outside.visit_body(&file.body);
    let mut problems = outside.problems;
    for source in file.body.get_blocks("source") {
        problems.extend(not_allowed(file, source, &SOURCE, "a source"));
    }
    for packer in file.body.get_blocks("packer") {
        problems.extend(not_allowed(file, packer, &["required_version", "required_plugins"], "packer"));
    }
    for build in file.body.get_blocks("build") {
        problems.extend(judge_build(file, build));
    }
    problems
}

/// Returns problems with the plugins that a recipe requires: it must be [`PLUGIN`], once.
pub(super) fn judge_plugins(parsed: &[File<'_>]) -> Vec<Problem> {
    let (name, source, version) = PLUGIN;
    let wanted = format!(
        "write `packer {{ required_plugins {{ {name} = {{ source = \"{source}\", version = \"{version}\" }} }} }}` once: \
         the build has this plugin and no other"
    );
    let mut blocks = parsed.iter().flat_map(|file| {
        let packer = file.body.get_blocks("packer");
        packer.flat_map(|packer| packer.body.get_blocks("required_plugins")).map(move |block| (file, block))
    });
    let (first, second) = (blocks.next(), blocks.next());
    let Some((file, block)) = first else {
        return vec![Problem::at("", None, format!("has no required_plugins; {wanted}"))];
    };
    if let Some((file, second)) = second {
        return vec![file.problem(second, format!("is a second required_plugins; {wanted}"))];
    }
    let mut attributes = block.body.attributes();
    let right = match (attributes.next(), attributes.next(), block.body.blocks().next()) {
        (Some(attribute), None, None) => attribute.key.as_str() == name && is_plugin(attribute),
        _ => false,
    };
    if right { Vec::new() } else { vec![file.problem(block, wanted)] }
}

fn is_plugin(attribute: &Attribute) -> bool {
    let (_, source, version) = PLUGIN;
    let Some(object) = attribute.value.as_object() else { return false };
    let text = |wanted: &str| {
        let mut found = object.iter().filter(|(key, _)| {
            key.as_ident().is_some_and(|ident| ident.as_str() == wanted)
                || key.as_expr().and_then(Expression::as_str) == Some(wanted)
        });
        let value = found.next().and_then(|(_, value)| value.expr().as_str());
        found.next().is_none().then_some(value).flatten()
    };
    object.len() == 2 && text("source") == Some(source) && text("version") == Some(version)
}

fn judge_build(file: &File<'_>, build: &Block) -> Vec<Problem> {
    let mut problems = not_allowed(file, build, &BUILD, "a build");
    for provisioner in build.body.get_blocks("provisioner") {
        let allowed = PROVISIONERS.iter().any(|kind| provisioner.has_exact_labels(&[*kind]));
        if !allowed {
            let message = format!(
                "runs on the builder, beside its role; use one of these, which act in the image: {}",
                PROVISIONERS.join(", ")
            );
            problems.push(file.problem(provisioner, message));
        }
        if let Some(direction) = provisioner.body.get_attribute("direction") {
            problems
                .push(file.problem(direction, "writes files of the builder; send files to the image only"));
        }
    }
    for chain in build.body.get_blocks("post-processors") {
        problems.extend(not_allowed(file, chain, &["post-processor"], "post-processors"));
    }
    let chained = build.body.get_blocks("post-processors");
    let chained = chained.flat_map(|chain| chain.body.get_blocks("post-processor"));
    for processor in build.body.get_blocks("post-processor").chain(chained) {
        if !POST_PROCESSORS.iter().any(|kind| processor.has_exact_labels(&[*kind])) {
            let message = format!(
                "runs on the builder, beside its role; the only one is {}",
                POST_PROCESSORS.join(", ")
            );
            problems.push(file.problem(processor, message));
        }
        let output = processor.body.get_attribute("output");
        if let Some(output) = output.filter(|output| output.value.as_str() != Some(MANIFEST)) {
            problems.push(
                file.problem(
                    output,
                    format!("writes a file of the builder; write `output = \"{MANIFEST}\"`"),
                ),
            );
        }
    }
    problems
}

/// Returns a problem for each attribute and block of `block` that is not in `allowed`.
fn not_allowed(file: &File<'_>, block: &Block, allowed: &[&str], what: &str) -> Vec<Problem> {
    let refusal = |name: &str| {
        format!("`{name}` is not allowed in {what}; Lockstep knows what these do: {}", allowed.join(", "))
    };
    let attributes = block.body.attributes().filter(|a| !allowed.contains(&a.key.as_str()));
    let blocks = block.body.blocks().filter(|b| !allowed.contains(&b.ident.as_str()));
    let attributes = attributes.map(|found| file.problem(found, refusal(found.key.as_str())));
    attributes.chain(blocks.map(|found| file.problem(found, refusal(found.ident.as_str())))).collect()
}

/// Visitor for expressions that read or run something outside of the recipe.
struct Outside<'a, 'f> {
    file: &'a File<'f>,
    problems: Vec<Problem>,
}

impl Visit for Outside<'_, '_> {
    fn visit_func_call(&mut self, node: &FuncCall) {
        let name = node.name.name.as_str();
        if node.name.is_namespaced() || !(FUNCTIONS.contains(&name) || TYPES.contains(&name)) {
            let message = format!("`{name}` is not allowed: a function may only compute from its arguments");
            self.problems.push(self.file.problem(node, message));
        }
        visit_func_call(self, node);
    }

    fn visit_block(&mut self, node: &Block) {
        if node.ident.as_str() == "dynamic" {
            self.problems.push(self.file.problem(node, "makes blocks that cannot be judged; write each out"));
        }
        visit_block(self, node);
    }

    fn visit_attr(&mut self, node: &Attribute) {
        for word in engine_words(self.file.source(&node.value)) {
            let message = format!("`{{{{ {word} }}}}` is not allowed: it may read what is the builder's");
            self.problems.push(self.file.problem(node, message));
        }
        if PATHS.contains(&node.key.as_str()) {
            self.paths(node);
        }
        visit_attr(self, node);
    }
}

impl Outside<'_, '_> {
    /// Checks the files that an attribute names. A build names its source with the same word, and a plugin its address.
    fn paths(&mut self, node: &Attribute) {
        let many = node.value.as_array().map(|list| list.iter().collect::<Vec<_>>());
        for value in many.unwrap_or_else(|| vec![&node.value]) {
            if !within(self.file.source(value)) {
                let message =
                    "must be the path of a file of the recipe, written out: \"${path.root}/<file>\"";
                self.problems.push(self.file.problem(node, message));
            }
        }
    }
}

/// Returns true if the text of an expression is a path that cannot leave the recipe.
fn within(written: &str) -> bool {
    let Some(text) = written.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return false };
    let path = text.strip_prefix("${path.root}/").unwrap_or(text);
    !path.is_empty()
        && !path.starts_with(['/', '~', '\\'])
        && !path.contains(['$', '%', '{', '\\'])
        && path.split('/').all(|part| part != "..")
}

/// Returns the words in `{{ }}` that are not in [`ENGINE`] and no value of a provisioner.
fn engine_words(text: &str) -> Vec<&str> {
    let inner = text.split("{{").skip(1).map(|rest| rest.trim_start_matches(['-', ' ', '\t']));
    let words = inner.map(|rest| {
        rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).next().unwrap_or("")
    });
    words.filter(|word| !word.starts_with('.') && !ENGINE.contains(word)).collect()
}
