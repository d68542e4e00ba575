//! The JSON of GitHub's push events, from git's data.

use super::repositories::{Repository, RepositoryError};
use serde_json::{Value, json};

/// Commit id of a branch or tag that does not exist.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000";
/// Maximum number of commits that GitHub names in a push.
const MOST_COMMITS: &str = "2048";
// A unit separator ends each field. No name or message contains one.
const COMMIT_FORMAT: &str = "--format=%H%x1f%T%x1f%an%x1f%ae%x1f%cn%x1f%ce%x1f%cI%x1f%P%x1f%B";

/// One updated reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) before: String,
    pub(super) after: String,
    pub(super) reference: String,
}

/// Returns the body of a `push` delivery.
pub(super) async fn push(
    repository: &Repository,
    base_url: &str,
    push: &Push,
) -> Result<Value, RepositoryError> {
    let created = push.before == NOTHING;
    let deleted = push.after == NOTHING;
    let mut commits = Vec::new();
    if !deleted && push.reference.starts_with("refs/heads/") {
        for id in new_commits(repository, push).await? {
            commits.push(commit(repository, base_url, &id).await?);
        }
    }
    let head = if deleted { Value::Null } else { commit(repository, base_url, &push.after).await? };
    let pusher = head.pointer("/committer").cloned().unwrap_or_else(|| json!({"name": repository.owner}));
    let forced = !created && !deleted && !is_ancestor(repository, push).await;
    let html_url = format!("{base_url}/{}", repository.full_name());
    Ok(json!({
        "ref": push.reference,
        "before": push.before,
        "after": push.after,
        "base_ref": null,
        "created": created,
        "deleted": deleted,
        "forced": forced,
        "compare": format!("{html_url}/compare/{}...{}", short(&push.before), short(&push.after)),
        "commits": commits,
        "head_commit": head,
        "repository": described(repository, base_url).await,
        "pusher": {"name": pusher.get("name"), "email": pusher.get("email")},
        "sender": owner(repository, base_url),
    }))
}

/// Returns the body of the `ping` that GitHub sends for a new webhook.
pub(super) async fn ping(repository: &Repository, base_url: &str, hook: &Value) -> Value {
    json!({
        "zen": "Anything added dilutes everything else.",
        "hook_id": hook["id"],
        "hook": hook,
        "repository": described(repository, base_url).await,
        "sender": owner(repository, base_url),
    })
}

/// Returns GitHub's description of the repository.
pub(super) async fn described(repository: &Repository, base_url: &str) -> Value {
    let full_name = repository.full_name();
    let default_branch = repository.default_branch().await;
    json!({
        "id": repository.id(),
        "name": repository.name,
        "full_name": full_name,
        "private": true,
        "owner": owner(repository, base_url),
        "html_url": format!("{base_url}/{full_name}"),
        "description": null,
        "fork": false,
        "url": format!("{base_url}/repos/{full_name}"),
        "archive_url": format!("{base_url}/repos/{full_name}/{{archive_format}}{{/ref}}"),
        "clone_url": format!("file://{}", repository.path.display()),
        "git_url": format!("file://{}", repository.path.display()),
        "default_branch": default_branch,
        "master_branch": default_branch,
        "visibility": "private",
    })
}

fn owner(repository: &Repository, base_url: &str) -> Value {
    json!({
        "name": repository.owner,
        "login": repository.owner,
        "id": 1,
        "url": format!("{base_url}/users/{}", repository.owner),
        "html_url": format!("{base_url}/{}", repository.owner),
        "type": "User",
        "site_admin": false,
    })
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Returns the ids of the commits that a push added, oldest first.
async fn new_commits(repository: &Repository, push: &Push) -> Result<Vec<String>, RepositoryError> {
    let exclude = format!("--exclude={}", push.reference);
    let mut arguments = vec!["rev-list", "--reverse", "--max-count", MOST_COMMITS, push.after.as_str()];
    if push.before == NOTHING {
        // For a new branch, the commits that no other branch had.
        arguments.extend(["--not", &exclude, "--branches"]);
    } else {
        arguments.extend(["--not", &push.before]);
    }
    let listed = repository.git_text(&arguments).await?;
    Ok(listed.lines().map(str::to_owned).collect())
}

async fn is_ancestor(repository: &Repository, push: &Push) -> bool {
    repository.git(&["merge-base", "--is-ancestor", &push.before, &push.after]).await.is_ok()
}

/// Returns a commit in the form of a push, with the files that it added, removed and modified.
async fn commit(repository: &Repository, base_url: &str, id: &str) -> Result<Value, RepositoryError> {
    let shown = repository.git_text(&["log", "-1", COMMIT_FORMAT, id, "--"]).await?;
    let mut fields = shown.splitn(9, '\u{1f}');
    let mut next = || fields.next().unwrap_or_default().to_owned();
    let (id, tree, author, author_email) = (next(), next(), next(), next());
    let (committer, committer_email, time, parents, message) = (next(), next(), next(), next(), next());
    let files = changed_files(repository, &id, parents.split(' ').next().unwrap_or_default()).await?;
    Ok(json!({
        "id": id,
        "tree_id": tree,
        "distinct": true,
        "message": message.trim_end_matches('\n'),
        "timestamp": time,
        "url": format!("{base_url}/{}/commit/{id}", repository.full_name()),
        "author": {"name": author, "email": author_email, "username": author},
        "committer": {"name": committer, "email": committer_email, "username": committer},
        "added": files.added,
        "removed": files.removed,
        "modified": files.modified,
    }))
}

#[derive(Debug, Default, PartialEq)]
struct ChangedFiles {
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

/// Returns the changes of a commit against its first parent.
async fn changed_files(
    repository: &Repository,
    id: &str,
    parent: &str,
) -> Result<ChangedFiles, RepositoryError> {
    let mut arguments = vec!["diff-tree", "-r", "-z", "--no-renames", "--name-status", "--no-commit-id"];
    if parent.is_empty() {
        arguments.extend(["--root", id]);
    } else {
        arguments.extend([parent, id]);
    }
    Ok(parse_changes(&repository.git(&arguments).await?))
}

/// Parses status and path, each ended by a NUL.
fn parse_changes(listed: &[u8]) -> ChangedFiles {
    let mut files = ChangedFiles::default();
    let mut fields = listed.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
    while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
        match status.as_str() {
            "A" => files.added.push(path),
            "D" => files.removed.push(path),
            _ => files.modified.push(path),
        }
    }
    files
}

/// Returns a commit in the form of `GET /repos/{owner}/{repo}/commits/{ref}`.
pub(super) async fn api_commit(
    repository: &Repository,
    base_url: &str,
    id: &str,
) -> Result<Value, RepositoryError> {
    let shown = commit(repository, base_url, id).await?;
    let parents = repository.git_text(&["log", "-1", "--format=%P", id, "--"]).await?;
    let parents: Vec<Value> = parents.split_whitespace().map(|parent| json!({"sha": parent})).collect();
    let person = |role: &str| json!({"name": shown[role]["name"], "email": shown[role]["email"], "date": shown["timestamp"]});
    let file = |status: &'static str, list: &Value| -> Vec<Value> {
        let names = list.as_array().cloned().unwrap_or_default();
        names.into_iter().map(|name| json!({"filename": name, "status": status})).collect()
    };
    let files = [
        file("added", &shown["added"]),
        file("removed", &shown["removed"]),
        file("modified", &shown["modified"]),
    ]
    .concat();
    Ok(json!({
        "sha": shown["id"],
        "url": format!("{base_url}/repos/{}/commits/{id}", repository.full_name()),
        "html_url": shown["url"],
        "commit": {
            "message": shown["message"],
            "tree": {"sha": shown["tree_id"]},
            "author": person("author"),
            "committer": person("committer"),
        },
        "author": {"login": shown["author"]["name"]},
        "committer": {"login": shown["committer"]["name"]},
        "parents": parents,
        "files": files,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_grouped_by_added_removed_and_modified_files() {
        let files = parse_changes(b"A\0new file\0D\0old\0M\0same\0T\0link\0");
        assert_eq!(
            files,
            ChangedFiles {
                added: vec!["new file".into()],
                removed: vec!["old".into()],
                modified: vec!["same".into(), "link".into()],
            }
        );
        assert_eq!(parse_changes(b""), ChangedFiles::default());
    }
}
