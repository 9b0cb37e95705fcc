//! The port's contract on a real directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use companion_core::model::hook::{ConfigFile, Link, StaleCause, TemplateValue};
use companion_core::ports::{PortError, PortErrorKind};
use tempfile::TempDir;

use super::*;

mod changes;
mod commands;
mod cut_off;
mod files;
mod links;
mod states;
mod tampering;

/// Must not appear in any error, log or debug output.
const CANARY: &str = "canary-5ecret-p4ssword";

/// A host with a template, a secret, and an output directory.
struct Place {
    _held: TempDir,
    root: PathBuf,
    hooks: FileHooks,
}

impl Place {
    fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let root = held.path().canonicalize().unwrap();
        fs::write(root.join("template"), "auth {{ password | nginx_quote }};\n").unwrap();
        fs::write(root.join("password"), format!("{CANARY}\n")).unwrap();
        Self { _held: held, root, hooks: FileHooks::new(HostKey::from_bytes([7; 32])) }
    }

    fn path(&self, name: &str) -> AbsolutePath {
        AbsolutePath::new(self.root.join(name).to_str().unwrap()).unwrap()
    }

    fn output(&self) -> PathBuf {
        self.root.join("ui/nginx.conf")
    }

    fn hook(&self, program: HookProgram) -> HookSpec {
        HookSpec { program, output: self.path("ui/nginx.conf") }
    }

    fn template(&self) -> HookSpec {
        let password = TemplateValue::File(self.path("password"));
        self.hook(HookProgram::Template {
            template: self.path("template"),
            values: BTreeMap::from([("password".to_owned(), password)]),
        })
    }

    /// A program that prints its input and logs each run.
    fn command(&self) -> HookSpec {
        let script = format!("echo run >> {0}/journal; cat {0}/password", self.root.display());
        self.shell(&script, 20)
    }

    fn shell(&self, script: &str, timeout: u32) -> HookSpec {
        self.hook(HookProgram::Command {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            inputs: vec![self.path("password")],
            timeout,
        })
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.root.join("journal")).map_or(0, |journal| journal.lines().count())
    }

    fn rotate(&self, password: &str) {
        fs::write(self.root.join("password"), password).unwrap();
    }

    async fn observe(&self, hook: &HookSpec) -> HookState {
        self.hooks.observe(hook).await.unwrap()
    }

    async fn apply(&self, hook: &HookSpec) -> ConfigId {
        self.apply_with_claims(hook, &[]).await
    }

    async fn apply_with_claims(&self, hook: &HookSpec, claimed: &[ConfigId]) -> ConfigId {
        let rendered = self.hooks.render(hook).await.unwrap();
        self.hooks.commit(hook, rendered, claimed).await.unwrap()
    }

    /// Returns the path of the rendered file of the default output.
    fn file(&self, id: ConfigId) -> PathBuf {
        id.path(&self.path("ui/nginx.conf")).as_path().to_owned()
    }

    async fn stale(&self, hook: &HookSpec) -> StaleCause {
        self.observe(hook).await.usable(&[]).unwrap_err()
    }

    async fn usable(&self, hook: &HookSpec) -> ConfigId {
        self.observe(hook).await.usable(&[]).unwrap()
    }

    /// Returns the names in the output's directory.
    fn names(&self) -> Vec<String> {
        names(&self.root.join("ui"))
    }

    /// Asserts that nothing displayed contains the secret.
    fn assert_withheld(error: &PortError) {
        let shown = format!("{error} {error:?} {}", error.chain());
        assert!(!shown.contains("canary"), "{shown}");
    }
}

fn next(id: ConfigId) -> ConfigId {
    ConfigId { epoch: id.epoch + 1, ..id }
}

/// Returns the result of `names` for these files, the output, and other entries.
fn expected(files: &[ConfigId], others: &[&str]) -> Vec<String> {
    let mut names = vec!["nginx.conf".to_owned()];
    names.extend(files.iter().map(|id| format!("nginx.conf.{id}")));
    names.extend(others.iter().map(|&other| other.to_owned()));
    names.sort();
    names
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
}
