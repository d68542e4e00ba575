//! Paths that a template writes, relative to its own folder.

/// Returns true if a value names a local file: not an address, and not a value that CloudFormation resolves.
pub(super) fn is_local(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.contains("://") && !text.contains("{{resolve:")
}

/// Returns the path below the component that `text` in the template `file` names; `""` is the component itself.
///
/// # Errors
/// Returns the reason to refuse it, as a verb phrase with the remedy.
pub(super) fn resolve(file: &str, text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.starts_with(['/', '~']) || text.as_bytes().get(1) == Some(&b':') {
        return Err("is a path of one machine; write a path below this component, relative to the template");
    }
    if text.contains('\\') {
        return Err("has a backslash; write `/` between folders");
    }
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or(
                "leaves the component; move the files below the folder of lockstep.toml, since a release holds no others",
            )?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_template_that_names_it() {
        for (file, text, expected) in [
            ("template.yaml", "src/", "src"),
            ("template.yaml", "./src//api", "src/api"),
            ("stacks/web.yaml", "../src", "src"),
            ("stacks/web.yaml", "web/net.yaml", "stacks/web/net.yaml"),
            ("template.yaml", ".", ""),
        ] {
            assert_eq!(resolve(file, text).as_deref(), Ok(expected), "{file} {text}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_component_is_refused() {
        for (file, text) in
            [("template.yaml", "../src"), ("stacks/web.yaml", "../../src"), ("template.yaml", "a/../../b")]
        {
            assert!(resolve(file, text).unwrap_err().starts_with("leaves the component"), "{text}");
        }
        for text in ["/opt/code", "~/code", "C:/code"] {
            assert!(resolve("template.yaml", text).unwrap_err().contains("one machine"), "{text}");
        }
        assert!(resolve("template.yaml", "src\\app").unwrap_err().contains("backslash"));
    }

    #[test]
    fn addresses_are_no_local_files() {
        for text in
            ["s3://bucket/key", "https://bucket.s3.amazonaws.com/key", "", " ", "{{resolve:ssm:/key}}"]
        {
            assert!(!is_local(text), "{text}");
        }
        assert!(is_local("src/") && is_local("network.yaml"));
    }
}
