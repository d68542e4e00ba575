//! The repository of the images: a recipe on an image of AWS, and one on our own image.

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_domain::model::ids::CommitSha;
use lockstep_sim::recipe::{RecipeText, recipe_text};

/// The commit whose recipe starts from an image that AWS publishes.
pub const ON_PUBLISHED: &str = "1111111111111111111111111111111111111111";

/// The commit whose recipe starts from our own image.
pub const ON_OUR_OWN: &str = "2222222222222222222222222222222222222222";

/// Every commit that the git host holds.
pub const COMMITS: [&str; 2] = [ON_PUBLISHED, ON_OUR_OWN];

fn recipe(commit: &CommitSha) -> RecipeText {
    let recipe = recipe_text("logstash");
    match commit.as_str() {
        ON_OUR_OWN => recipe.on_image("base@^1.0"),
        _ => recipe,
    }
}

/// Returns the archive of a commit, as the git host sends it.
pub fn tarball(commit: &CommitSha) -> Vec<u8> {
    let files = recipe(commit).files().into_iter();
    archive(commit, files.map(|(path, text)| (format!("acme-logs/images/{path}"), text)))
}

/// Returns the archive of a commit with these files.
pub fn archive(commit: &CommitSha, files: impl IntoIterator<Item = (String, String)>) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let record = format!("52 comment={commit}\n");
    append(&mut archive, tar::EntryType::XGlobalHeader, "pax_global_header", record.as_bytes());
    for (path, text) in files {
        append(&mut archive, tar::EntryType::Regular, &path, text.as_bytes());
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("memory takes it")
}

fn append(archive: &mut tar::Builder<GzEncoder<Vec<u8>>>, kind: tar::EntryType, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).expect("memory takes it");
}
