//! The guest: its podman, wrapped in a script that records each call, and build contexts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use adapter_podman::{ImageRecords, Podman, PodmanImages};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, ImageState};
use companion_core::ports::{ImageProvider as _, PortResult};
use tempfile::TempDir;

/// One test at a time: another test's changes to the store would be visible.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Guest {
    _turn: MutexGuard<'static, ()>,
    directory: TempDir,
    pub(crate) podman: Podman,
    pub(crate) images: PodmanImages,
}

impl Guest {
    pub(crate) fn new() -> Self {
        let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
        assert_eq!(host.trim(), "companion-machine", "this is not the throwaway machine");
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = TempDir::new().unwrap();
        let calls = directory.path().join("calls");
        let script = format!("#!/bin/sh\necho \"$@\" >>{}\nexec podman \"$@\"\n", calls.display());
        let path = directory.path().join("recorded");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Copied by another process: no fork of another test can hold it open for writing.
        let program = directory.path().join("podman");
        assert!(Command::new("cp").arg(&path).arg(&program).status().unwrap().success());
        let podman = Podman::from_environment().with_program(&program);
        let images = images(&directory, podman.clone());
        Self { _turn: turn, directory, podman, images }
    }

    /// The images of another instance of the guest's podman.
    pub(crate) fn images_of(&self, podman: Podman) -> PodmanImages {
        images(&self.directory, podman)
    }

    /// Returns the calls since the last check, one per line.
    pub(crate) fn calls(&self) -> String {
        let file = self.directory.path().join("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, "").unwrap();
        calls
    }

    /// Creates a context with a page, and a source that builds `localhost/<name>:latest` from it.
    pub(crate) fn source(&self, name: &str) -> ImageSource {
        self.source_of(
            name,
            "FROM localhost/companion-base:latest\nCOPY page /page\nRUN cat /page\n",
        )
    }

    pub(crate) fn source_of(&self, name: &str, dockerfile: &str) -> ImageSource {
        let context = self.context(name);
        if !Path::new(&context).exists() {
            // Remove images of an earlier run, which could affect this one.
            podman(&format!("image rm --force --ignore localhost/{name}:latest"));
            podman(&format!(
                "image prune --force --filter label=companion.source=localhost/{name}:latest"
            ));
        }
        fs::create_dir_all(&context).unwrap();
        fs::write(Path::new(&context).join("Dockerfile"), dockerfile).unwrap();
        self.write_page(name, "one");
        let build = BuildSource {
            reference: ImageRef::new(format!("localhost/{name}:latest")).unwrap(),
            contexts: vec![AbsolutePath::new(context).unwrap()],
            arguments: BTreeMap::new(),
        };
        ImageSource { build: Some(build), pull: None }
    }

    pub(crate) fn write_page(&self, name: &str, text: &str) {
        fs::write(Path::new(&self.context(name)).join("page"), text).unwrap();
    }

    fn context(&self, name: &str) -> String {
        let path = self.directory.path().join("contexts").join(name);
        path.to_str().unwrap().to_owned()
    }

    pub(crate) async fn observe(&self, source: &ImageSource) -> PortResult<ImageState> {
        let name = CompanionName::new("archy-x").unwrap();
        let sources = BTreeMap::from([(name.clone(), source.clone())]);
        self.images.observe(&sources).await.remove(&name).unwrap()
    }
}

fn images(directory: &TempDir, podman: Podman) -> PodmanImages {
    PodmanImages::new(podman, ImageRecords::new(directory.path().join("records"), || 0))
}

/// Runs the guest's own podman without the adapter, and returns its output.
pub(crate) fn podman(args: &str) -> String {
    let output = Command::new("podman").args(args.split(' ')).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "podman {args}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
