//! The file that a handler names, by runtime.
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html>

use super::CodeFiles;

/// Returns a sentence if the code lacks the file that the runtime starts with. Returns `None` for a runtime that is not
/// known, and for a handler outside of the code.
pub(super) fn missing(runtime: &str, handler: Option<&str>, files: &CodeFiles<'_>) -> Option<String> {
    // A custom runtime starts `bootstrap`, whatever the handler is.
    if runtime.starts_with("provided") {
        return (!files.has("bootstrap")).then(|| {
            format!(
                "the code has no file bootstrap at its top, which {runtime} starts; build the function before the push, and \
                 commit the result"
            )
        });
    }
    let handler = handler?.trim();
    if handler.is_empty() || handler.starts_with("/opt/") || handler.contains("..") {
        return None;
    }
    if runtime.starts_with("python") {
        return python(handler, files);
    }
    if runtime.starts_with("nodejs") {
        return node(handler, files);
    }
    if runtime.starts_with("ruby") {
        return ruby(handler, files);
    }
    if runtime.starts_with("go") {
        return compiled(handler, "go build", files.has(handler));
    }
    if runtime.starts_with("java") {
        return java(handler, files);
    }
    if runtime.starts_with("dotnet") {
        let assembly = format!("{}.dll", handler.split("::").next().unwrap_or_default());
        return compiled(&assembly, "dotnet publish", files.has(&assembly));
    }
    None
}

fn absent(handler: &str, file: &str, files: &CodeFiles<'_>) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    let elsewhere = files.names.iter().find(|path| path.rsplit('/').next() == Some(name));
    let hint = match elsewhere {
        Some(path) => format!("; the code has {path}"),
        None => String::new(),
    };
    format!("the handler {handler} is in {file}, which the code does not hold{hint}")
}

fn compiled(file: &str, tool: &str, is_there: bool) -> Option<String> {
    (!is_there).then(|| {
        format!(
            "the code has no {file}; Lockstep does not compile: build the function before the push (`{tool}`), and commit the \
             result"
        )
    })
}

/// `package.module.function`; a `/` stands for a `.`.
fn python(handler: &str, files: &CodeFiles<'_>) -> Option<String> {
    let handler_path = handler.replace('/', ".");
    let (module, _) = handler_path.rsplit_once('.')?;
    let stem = module.replace('.', "/");
    let exact = [".py", ".pyc", "/__init__.py", "/__init__.pyc"];
    let found = exact.iter().any(|ending| files.has(&format!("{stem}{ending}")))
        || files.names.iter().any(|name| name.starts_with(&format!("{stem}.")) && name.ends_with(".so"));
    (!found).then(|| absent(handler, &format!("{stem}.py"), files))
}

/// `folder/module.function`: the module ends at the first `.` of the last part.
fn node(handler: &str, files: &CodeFiles<'_>) -> Option<String> {
    let (folder, base) = match handler.rsplit_once('/') {
        Some((folder, base)) => (format!("{}/", folder.trim_start_matches("./")), base),
        None => (String::new(), handler),
    };
    let folder = if folder == "./" { String::new() } else { folder };
    let (module, _) = base.split_once('.')?;
    let stem = format!("{folder}{module}");
    let found = ["", ".js", ".mjs", ".cjs"].iter().any(|ending| files.has(&format!("{stem}{ending}")))
        || files.has_below(&format!("node_modules/{stem}"))
        || files.has(&format!("node_modules/{stem}.js"));
    if found {
        return None;
    }
    let source = [".ts", ".mts", ".cts", ".tsx"].iter().find(|ending| files.has(&format!("{stem}{ending}")));
    Some(match source {
        Some(ending) => format!(
            "the handler {handler} is TypeScript ({stem}{ending}), which Lambda does not run; compile it before the push, \
             commit the result, and point at it"
        ),
        None => absent(handler, &format!("{stem}.js"), files),
    })
}

/// `folder/file.method`, or `file.Module::Class.method`.
fn ruby(handler: &str, files: &CodeFiles<'_>) -> Option<String> {
    let (file, _) = handler.split_once('.')?;
    let path = format!("{}.rb", file.trim_start_matches("./"));
    (!files.has(&path)).then(|| absent(handler, &path, files))
}

/// `package.Class::method`, as a class file or in a library.
fn java(handler: &str, files: &CodeFiles<'_>) -> Option<String> {
    let class = handler.split("::").next().unwrap_or_default().replace('.', "/");
    let path = format!("{class}.class");
    let is_there = files.has(&path)
        || files.names.iter().any(|name| name.ends_with(&format!("/{path}")))
        || files.names.iter().any(|name| name.starts_with("lib/") && name.ends_with(".jar"));
    compiled(&path, "mvn package", is_there)
}
