//! A store that moves while a provider is in use.

use std::fs;
use std::path::{Path, PathBuf};

use companion_core::ports::ImageProvider as _;
use tempfile::TempDir;

use crate::guest::Guest;

/// The user's storage settings, removed on drop.
struct Settings(PathBuf);

impl Settings {
    fn write(graph_root: &Path, run_root: &Path) -> Self {
        let home = std::env::var_os("HOME").unwrap();
        let file = Path::new(&home).join(".config/containers/storage.conf");
        assert!(!file.exists(), "{} already exists", file.display());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = {graph_root:?}\nrunroot = {run_root:?}\n"
        );
        fs::write(&file, text).unwrap();
        Self(file)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_store_that_moves_is_noticed_at_the_next_look() {
    let guest = Guest::new();
    let source = guest.source("moving");
    let image = guest.images.ensure(&source).await.unwrap();
    guest.observe(&source).await.unwrap();
    let elsewhere = TempDir::new_in("/var/tmp").unwrap();
    let settings = Settings::write(&elsewhere.path().join("graph"), &elsewhere.path().join("run"));
    assert_eq!(guest.observe(&source).await.unwrap().present, None);
    drop(settings);
    assert_eq!(guest.observe(&source).await.unwrap().present, Some(image));
    guest.calls();
    guest.observe(&source).await.unwrap();
    guest.podman.version().await.unwrap();
    guest.calls();
    guest.podman.version().await.unwrap();
    guest.observe(&source).await.unwrap();
    assert_eq!(guest.calls(), "");
    // The files belong to subordinate IDs, which only the user's own namespace may remove.
    let removed = std::process::Command::new("podman")
        .args(["unshare", "rm", "-rf"])
        .arg(elsewhere.path().join("graph"))
        .status();
    assert!(removed.unwrap().success());
}
