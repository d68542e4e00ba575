//! Table of the names that a recipe may use, each with the reason, and the reasons against well-known other ones.
//!
//! A name that [`ALLOWED`] lacks is refused, so features of later versions of Packer and its plugin are refused until
//! they have been reviewed. The names are those of Packer 1.16 and of the Amazon plugin 1.8:
//! <https://developer.hashicorp.com/packer/docs/templates/hcl_templates> and
//! <https://developer.hashicorp.com/packer/integrations/hashicorp/amazon/latest/components/builder/ebs>.

/// Position in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// Outside of every block.
    Template,
    /// The block `packer`.
    Packer,
    /// A block `variable`.
    Variable,
    /// A block `validation` of a variable.
    Validation,
    /// A block `local`.
    Local,
    /// A source `amazon-ebs`.
    Source,
    /// A block device of the source.
    Device,
    /// The metadata options of the source.
    Metadata,
    /// The polling options of the source.
    Polling,
    /// The block `build`.
    Build,
    /// A block `post-processors`.
    PostProcessors,
    /// The label of a provisioner.
    ProvisionerKind,
    /// Any provisioner.
    Provisioner,
    /// The provisioners that run scripts.
    Script,
    /// The provisioner `shell`.
    Shell,
    /// The provisioner `powershell`.
    PowerShell,
    /// The provisioner `file`.
    File,
    /// The provisioner `windows-restart`.
    WindowsRestart,
    /// The provisioner `sleep`.
    Sleep,
    /// The label of a post-processor.
    PostProcessorKind,
    /// The post-processor `manifest`.
    Manifest,
    /// A function.
    Function,
    /// The constructor of a type, which HCL writes as a function.
    Type,
    /// The first word of a reference.
    Reference,
    /// The first word in `{{ }}`, which a plugin evaluates.
    Action,
}

impl Position {
    /// Returns the phrase for a message: the position that lacks a name.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Template => "a recipe",
            Self::Packer => "packer",
            Self::Variable => "a variable",
            Self::Validation => "a validation",
            Self::Local => "a local",
            Self::Source => "a source",
            Self::Device => "a block device",
            Self::Metadata => "metadata_options",
            Self::Polling => "aws_polling",
            Self::Build => "a build",
            Self::PostProcessors => "post-processors",
            Self::ProvisionerKind | Self::Provisioner | Self::Script => "a provisioner",
            Self::Shell => "a provisioner \"shell\"",
            Self::PowerShell => "a provisioner \"powershell\"",
            Self::File => "a provisioner \"file\"",
            Self::WindowsRestart => "a provisioner \"windows-restart\"",
            Self::Sleep => "a provisioner \"sleep\"",
            Self::PostProcessorKind => "a post-processor",
            Self::Manifest => "a post-processor \"manifest\"",
            Self::Function | Self::Type | Self::Reference => "an expression",
            Self::Action => "{{ }}",
        }
    }
}

/// Names at one place with one reason. The name of a block ends in ` {}`.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Position of the names.
    pub place: Position,
    /// The names.
    pub names: &'static [&'static str],
    /// Reason for which they are harmless.
    pub why: &'static str,
}

const fn row(place: Position, names: &'static [&'static str], why: &'static str) -> Allowed {
    Allowed { place, names, why }
}

use Position::{
    Action, Build, Device, File, Function, Local, Manifest, Metadata, Packer, Polling, PostProcessorKind,
    PostProcessors, PowerShell, Provisioner, ProvisionerKind, Reference, Script, Shell, Sleep, Source,
    Template, Type, Validation, Variable, WindowsRestart,
};

/// Every name that a recipe may use.
#[rustfmt::skip]
pub const ALLOWED: &[Allowed] = &[
    row(Template, &["packer {}"], "names the plugin, which must be the one of the build"),
    row(Template, &["variable {}", "variables {}", "local {}", "locals {}"], "holds values, judged like every expression"),
    row(Template, &["source {}", "build {}"], "judged by its own rows"),

    row(Packer, &["required_version"], "refuses other versions of Packer"),
    row(Packer, &["required_plugins {}"], "must name exactly the plugin of the build"),

    row(Variable, &["type", "default", "description", "sensitive"], "declares a value"),
    row(Variable, &["validation {}"], "refuses values"),
    row(Validation, &["condition", "error_message"], "refuses a value, with a message"),
    row(Local, &["expression", "sensitive"], "declares a value"),

    row(Source, &["region", "ami_name", "source_ami", "tags", "snapshot_tags", "run_tags", "run_volume_tags"],
        "must be the variable that Lockstep gives"),
    row(Source, &["subnet_id", "security_group_id", "iam_instance_profile"],
        "must be the variable that Lockstep gives: a setting of the account"),
    row(Source, &["ami_description", "ami_virtualization_type", "imds_support"], "describes the image"),
    row(Source, &["instance_type", "ebs_optimized", "enable_nitro_enclave", "enable_unlimited_credits", "tenancy"],
        "chooses the machine of the one instance"),
    row(Source, &["availability_zone"], "chooses among the default subnets of the account"),
    row(Source, &["disable_stop_instance", "shutdown_behavior"], "stops the build's own instance, or leaves that to a script"),
    row(Source, &["user_data"], "runs in the instance"),
    row(Source, &["launch_block_device_mappings {}", "ami_block_device_mappings {}", "no_ephemeral"], "new disks of the instance and the image"),
    row(Source, &["metadata_options {}"], "settings of the instance's metadata service"),
    row(Source, &["aws_polling {}", "max_retries"], "pace of Packer's own calls"),
    row(Source, &["pause_before_connecting", "pause_before_ssm", "windows_password_timeout"], "waits"),
    row(Source, &["skip_profile_validation", "skip_region_validation"], "leaves out a check of Packer's"),
    row(Source, &["communicator"], "must be \"ssh\" or \"winrm\", written out: both connect to the instance"),
    row(Source, &["ssh_interface"], "chooses among the addresses of the instance"),
    row(Source, &["ssh_username", "winrm_username", "temporary_key_pair_type", "temporary_key_pair_bits"], "the login at the instance"),
    row(Source, &["ssh_ciphers", "ssh_key_exchange_algorithms", "ssh_file_transfer_method", "ssh_pty", "ssh_clear_authorized_keys",
        "ssh_disable_agent_forwarding"], "settings of the connection to the instance"),
    row(Source, &["ssh_port", "ssh_timeout", "ssh_wait_timeout", "ssh_handshake_attempts", "ssh_keep_alive_interval", "ssh_read_write_timeout"],
        "port and pace of the connection to the instance"),
    row(Source, &["winrm_port", "winrm_timeout", "winrm_use_ssl", "winrm_insecure", "winrm_use_ntlm"],
        "settings of the connection to the instance"),

    row(Device, &["device_name", "delete_on_termination", "no_device", "virtual_name"], "a disk of the instance"),
    row(Device, &["volume_type", "volume_size", "iops", "throughput"], "size and speed of an empty disk"),
    row(Device, &["encrypted", "kms_key_id"], "encrypts the disk with a key whose policy must allow it"),
    row(Metadata, &["http_endpoint", "http_tokens", "http_put_response_hop_limit", "instance_metadata_tags"],
        "settings of the instance's metadata service"),
    row(Polling, &["delay_seconds", "max_attempts"], "pace of Packer's own calls"),

    row(Build, &["name", "description"], "text"),
    row(Build, &["sources"], "must be the one source"),
    row(Build, &["provisioner {}", "post-processor {}", "post-processors {}"], "judged by its own rows"),
    row(PostProcessors, &["post-processor {}"], "judged by its own rows"),

    row(ProvisionerKind, &["shell", "powershell", "windows-shell", "windows-restart"], "runs in the instance"),
    row(ProvisionerKind, &["file"], "sends files of the recipe to the instance"),
    row(ProvisionerKind, &["sleep"], "waits"),
    row(Provisioner, &["name"], "text"),
    row(Provisioner, &["pause_before", "max_retries", "timeout"], "pace of the step"),
    row(Script, &["inline"], "commands that run in the instance"),
    row(Script, &["script", "scripts"], "must be files of the recipe, which run in the instance"),
    row(Script, &["env", "environment_vars", "env_var_format"], "environment of the script in the instance"),
    row(Script, &["execute_command", "remote_path", "binary", "valid_exit_codes", "start_retry_timeout"], "runs the script in the instance"),
    row(Shell, &["inline_shebang", "remote_folder", "remote_file", "use_env_var_file", "skip_clean", "expect_disconnect", "pause_after"],
        "runs the script in the instance"),
    row(PowerShell, &["elevated_user", "elevated_password", "elevated_execute_command", "elevated_env_var_format"],
        "runs the script as a user of the instance"),
    row(PowerShell, &["execution_policy", "use_pwsh", "debug_mode", "remote_env_var_path", "skip_clean", "pause_after"],
        "runs the script in the instance"),
    row(File, &["source", "sources"], "must be files of the recipe"),
    row(File, &["content", "destination"], "a text, and a path in the instance"),
    row(File, &["direction"], "must be \"upload\", written out"),
    row(WindowsRestart, &["restart_command", "restart_check_command", "restart_timeout", "check_registry", "registry_keys"],
        "runs in the instance"),
    row(Sleep, &["duration"], "waits"),

    row(PostProcessorKind, &["manifest"], "writes the file in which the build's last step finds the image"),
    row(Manifest, &["name", "strip_path", "strip_time", "custom_data", "keep_input_artifact"], "contents of that file"),
    row(Manifest, &["output"], "must be that file"),

    row(Function, &["abs", "ceil", "floor", "log", "max", "min", "parseint", "pow", "range", "signum", "sum"], "computes a number"),
    row(Function, &["alltrue", "anytrue", "can", "contains", "endswith", "startswith", "strcontains"], "computes true or false"),
    row(Function, &["length", "md5", "sha1", "sha256", "sha512", "bcrypt", "base64encode", "base64gzip", "textencodebase64", "urlencode"],
        "computes a number, a digest or an encoding"),
    row(Function, &["basename", "chomp", "dirname", "indent", "join", "lower", "regex", "regex_replace", "regexall", "replace", "split",
        "strrev", "substr", "title", "trim", "trimprefix", "trimspace", "trimsuffix", "upper"], "computes text from text"),
    row(Function, &["format", "formatlist"], "computes text from text and numbers, whose format is written out"),
    row(Function, &["jsonencode", "yamlencode"], "writes a whole value as text"),
    row(Function, &["formatdate", "legacy_isotime", "legacy_strftime", "rfc3339_parse", "timeadd", "timestamp", "unix_timestamp_parse",
        "uuidv4", "uuidv5"], "computes a time or a new id"),
    row(Function, &["cidrhost", "cidrnetmask", "cidrsubnet", "cidrsubnets"], "computes an address"),
    row(Function, &["chunklist", "coalesce", "coalescelist", "compact", "concat", "distinct", "element", "flatten", "index", "keys",
        "lookup", "merge", "reverse", "setintersection", "setproduct", "setunion", "slice", "sort", "values", "zipmap", "csvdecode"],
        "rearranges a collection"),
    row(Function, &["convert", "try"], "chooses a value or its type"),
    row(Type, &["list", "map", "object", "optional", "set", "tuple"], "describes a type"),

    row(Reference, &["var", "local"], "a value of the recipe"),
    row(Reference, &["source", "build"], "a name or an id of this build and its instance"),
    row(Reference, &["packer"], "the version of Packer"),
    row(Action, &["build", "build_name", "build_type", "packer_version"], "a name or an id of this build and its instance"),
    row(Action, &["clean_resource_name", "isotime", "timestamp", "uuid"], "computes a name, a time or a new id"),
];

/// Functions whose result never contains a brace, whatever their arguments contain.
pub const WITHOUT_BRACES: [&str; 10] = [
    "length",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "bcrypt",
    "base64encode",
    "base64gzip",
    "textencodebase64",
    "urlencode",
];

/// Functions that write braces themselves, so their result must be a whole value.
pub const WITH_BRACES: [&str; 2] = ["jsonencode", "yamlencode"];

const CREDENTIALS: &str = "credentials are roles: the build has one";
const NETWORK: &str = "the network of builds is a setting of the account: lockstep accounts add --build-subnet --build-security-group";
const PROFILE: &str =
    "the instance profile is a setting of the account: lockstep accounts add --build-instance-profile";
const CONNECTION: &str = "the build connects to its own instance with a key of its own; remove it";
const SHARING: &str = "Lockstep brings the image to other accounts and regions";
const BUILDER: &str = "it runs on the builder, beside its role; write a script that runs in the instance";
const OTHERS: &str = "a build never removes another image";

/// Reasons against names that [`ALLOWED`] lacks, for the message.
#[rustfmt::skip]
pub const REFUSED: &[(Position, &[&str], &str)] = &[
    (Template, &["data {}"], "it reads with the builder's role; pass the value as a variable"),
    (Template, &["communicator {}"], CONNECTION),
    (Template, &["hcp_packer_registry {}"], "it sends to a registry outside of the account; remove it"),
    (Packer, &["hcp {}", "required_plugin {}"], "write required_plugins alone"),
    (Source, &["access_key", "secret_key", "token", "profile", "mfa_code", "shared_credentials_file", "vault_aws_engine {}"], CREDENTIALS),
    (Source, &["assume_role {}", "assume_role"], "the build has the one role that it may have"),
    (Source, &["custom_endpoint_ec2", "insecure_skip_tls_verify", "skip_metadata_api_check", "skip_credential_validation"],
        "the build calls AWS of its region; remove it"),
    (Source, &["decode_authorization_messages"], "the role of the build may not; remove it"),
    (Source, &["ami_users", "ami_org_arns", "ami_ou_arns", "snapshot_users", "ami_regions", "region_kms_key_ids", "snapshot_copy_duration_minutes"], SHARING),
    (Source, &["ami_groups", "snapshot_groups", "ami_product_codes"], "an image of Lockstep is never public"),
    (Source, &["force_deregister", "force_delete_snapshot"], OTHERS),
    (Source, &["skip_create_ami", "skip_save_build_region"], "then there is no image"),
    (Source, &["skip_ami_run_tags"], "the role of the build makes no image without its tags"),
    (Source, &["deprecate_at", "deregistration_protection {}"], "Lockstep retires the image"),
    (Source, &["encrypt_boot", "kms_key_id"], "it copies the image; write `encrypted` and `kms_key_id` in launch_block_device_mappings"),
    (Source, &["ena_support", "sriov_support"], "the role of the build changes no instance; current instance types have it"),
    (Source, &["fast_launch {}"], "it makes snapshots and launch templates that no record names"),
    (Source, &["subnet_filter {}", "vpc_id", "vpc_filter {}", "security_group_ids", "security_group_filter {}", "associate_public_ip_address",
        "temporary_security_group_source_cidrs", "temporary_security_group_source_public_ip"], NETWORK),
    (Source, &["temporary_iam_instance_profile_policy_document {}"], PROFILE),
    (Source, &["placement {}", "license_specifications {}", "capacity_reservation_preference", "capacity_reservation_id",
        "capacity_reservation_group_arn"], "it takes resources of the account that others reserved"),
    (Source, &["spot_price", "spot_price_auto_product", "spot_instance_types", "spot_allocation_strategy", "spot_tags", "spot_tag {}",
        "fleet_tags", "fleet_tag {}", "block_duration_minutes"], "the role of the build launches one instance on demand; write instance_type"),
    (Source, &["tag {}", "snapshot_tag {}", "run_tag {}", "run_volume_tag {}"], "Lockstep gives the tags: write `tags = var.tags`"),
    (Source, &["source_ami_filter {}"], "Lockstep finds the base: write [base] in image.toml and `source_ami = var.source_ami`"),
    (Source, &["user_data_file"], "it reads a file of the builder; write user_data, or a provisioner"),
    (Source, &["ssh_private_key_file", "ssh_certificate_file", "ssh_keypair_name", "temporary_key_pair_name", "ssh_private_key", "ssh_public_key",
        "ssh_password", "winrm_password", "ssh_agent_auth", "ssh_host", "winrm_host", "winrm_no_proxy", "ssh_bastion_host",
        "ssh_bastion_port", "ssh_bastion_agent_auth", "ssh_bastion_username", "ssh_bastion_password", "ssh_bastion_interactive",
        "ssh_bastion_private_key_file", "ssh_bastion_certificate_file", "ssh_proxy_host", "ssh_proxy_port", "ssh_proxy_username",
        "ssh_proxy_password", "ssh_remote_tunnels", "ssh_local_tunnels", "session_manager_port"], CONNECTION),
    (Device, &["snapshot_id"], "the disk would hold what others wrote; disks of a build are new"),
    (Build, &["source {}"], "it changes the source; write its attributes in the source itself"),
    (Build, &["error-cleanup-provisioner {}"], "it runs when nothing is made any more; remove it"),
    (Build, &["hcp_packer_registry {}"], "it sends to a registry outside of the account; remove it"),
    (Provisioner, &["only", "except", "override", "override {}"], "a recipe makes one image from one source; remove it"),
    (Provisioner, &["continue_on_error"], "a step that fails must fail the build"),
    (ProvisionerKind, &["shell-local"], BUILDER),
    (ProvisionerKind, &["hcp-sbom"], "it brings a file to the builder and to a registry; remove it"),
    (ProvisionerKind, &["breakpoint"], "it waits for a person; remove it"),
    (File, &["generated"], "a recipe sends the files that it has"),
    (Manifest, &["only", "except"], "a recipe makes one image from one source; remove it"),
    (PostProcessorKind, &["shell-local"], BUILDER),
    (Function, &["file", "filebase64", "fileexists", "fileset", "templatefile", "abspath", "pathexpand"],
        "it reads the builder's files; send the file to the instance with a provisioner"),
    (Function, &["env"], "it reads the builder's environment; write the value into variables.toml"),
    (Function, &["aws_secretsmanager", "aws_secretsmanager_raw", "vault", "consul_key"],
        "it reads a secret with the builder's role; have a script read it in the instance where it runs"),
    (Function, &["base64decode", "textdecodebase64", "jsondecode", "yamldecode", "rsadecrypt"],
        "it hides text from the checks; write the value out"),
    (Reference, &["path"], "a path of the builder stands only at the start of script, scripts, source and sources: \"${path.root}/<file>\""),
    (Reference, &["data"], "it reads with the builder's role; pass the value as a variable"),
    (Reference, &["env"], "it reads the builder's environment; write the value into variables.toml"),
    (Action, &["env", "user", "vault", "consul_key", "aws_secretsmanager", "template_dir", "pwd", "sed"],
        "it may read what is the builder's; write `${var.<name>}`"),
];

/// Returns true if `name` is allowed at `place`.
pub fn is_allowed(place: Position, name: &str) -> bool {
    ALLOWED.iter().any(|row| row.place == place && row.names.contains(&name))
}

/// Returns every name that is allowed at `place`.
pub fn names(place: Position) -> impl Iterator<Item = &'static str> {
    ALLOWED.iter().filter(move |row| row.place == place).flat_map(|row| row.names.iter().copied())
}

/// Returns the known reason against `name` at `place`.
pub fn known_reason(place: Position, name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|row| row.0 == place && row.1.contains(&name)).map(|row| row.2)
}

/// Returns the refusal of `name` at one of `places`: the known reason, or the names that are allowed there.
pub fn refusal(places: &[Position], name: &str) -> String {
    let (shown, what) =
        (name.trim_end_matches(" {}"), places.last().map_or("a recipe", |last| last.phrase()));
    let known = REFUSED.iter().find(|(place, names, _)| places.contains(place) && names.contains(&name));
    match known {
        Some((_, _, why)) => format!("`{shown}` is not allowed in {what}: {why}"),
        None => {
            let names: Vec<&str> = places
                .iter()
                .flat_map(|place| names(*place))
                .map(|name| name.trim_end_matches(" {}"))
                .collect();
            format!("`{shown}` is not allowed in {what}; Lockstep knows what these do: {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_stands_in_the_table_once_with_a_reason() {
        let mut seen = BTreeSet::new();
        for row in ALLOWED {
            assert!(row.why.len() > 3, "{row:?}");
            for name in row.names {
                assert!(seen.insert((row.place, *name)), "{name} at {:?} stands twice", row.place);
            }
        }
        for (place, names, why) in REFUSED {
            for name in *names {
                assert!(why.len() > 3 && !seen.contains(&(*place, *name)), "{name} at {place:?}");
            }
        }
    }

    #[test]
    fn functions_with_their_own_rule_are_in_the_table() {
        for name in WITHOUT_BRACES.iter().chain(&WITH_BRACES) {
            assert!(is_allowed(Function, name), "{name}");
        }
    }
}
