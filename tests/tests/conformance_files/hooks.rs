//! `FileHooks` with a template and a secret in a temporary directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use adapter_hooks::{FileHooks, HostKey};
use async_trait::async_trait;
use companion_conformance::hook_runner::HookWorld;
use companion_conformance::worlds::{absolute, obey_modes, set_mode};
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::HookRunner;

const KEY: [u8; 32] = [7; 32];

pub(crate) struct Hooks {
    hooks: Arc<FileHooks>,
    root: tempfile::TempDir,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        obey_modes();
        let root = tempfile::tempdir().unwrap();
        let world = Self { hooks: Arc::new(FileHooks::new(HostKey::from_bytes(KEY))), root };
        fs::write(world.template(), "auth {{ password | nginx_quote }};\n").unwrap();
        set_mode(&world.template(), 0o644);
        fs::write(world.input(), "horse of the first day\n").unwrap();
        world
    }

    fn template(&self) -> PathBuf {
        self.root.path().join("nginx.conf.j2")
    }

    fn input(&self) -> PathBuf {
        self.root.path().join("password")
    }

    fn output(&self) -> PathBuf {
        self.root.path().join("rendered/nginx.conf")
    }

    /// The rendered file behind the output link.
    fn file(&self) -> PathBuf {
        fs::canonicalize(self.output()).unwrap()
    }
}

impl HostWorld for Hooks {}

#[async_trait]
impl HookWorld for Hooks {
    fn hooks(&self) -> Arc<dyn HookRunner> {
        Arc::clone(&self.hooks) as _
    }
    fn another(&self) -> Arc<dyn HookRunner> {
        Arc::new(FileHooks::new(HostKey::from_bytes(KEY)))
    }
    fn hook(&self) -> HookSpec {
        let password = TemplateValue::File(absolute(&self.input()));
        HookSpec {
            program: HookProgram::Template {
                template: absolute(&self.template()),
                values: [("password".to_owned(), password)].into(),
            },
            output: absolute(&self.output()),
        }
    }
    fn secret(&self) -> String {
        fs::read_to_string(self.input()).unwrap().trim_end().to_owned()
    }
    async fn rotate(&self) {
        let next = format!("{} and one more\n", self.secret());
        fs::write(self.input(), next).unwrap();
    }
    async fn remove_input(&self) {
        fs::remove_file(self.input()).unwrap();
    }
    async fn break_template(&self) {
        fs::write(self.template(), "auth {{ password | no_such_filter }};\n").unwrap();
    }
    async fn delete_file(&self) {
        fs::remove_file(self.file()).unwrap();
    }
    async fn unlink_output(&self) {
        fs::remove_file(self.output()).unwrap();
    }
    async fn edit_file(&self) {
        fs::write(self.file(), "auth nobody;\n").unwrap();
    }
    async fn expose_file(&self) {
        set_mode(&self.file(), 0o644);
    }
    async fn open_file(&self) {
        set_mode(&self.file(), 0o606);
    }
    async fn put_directory(&self) {
        if self.output().is_symlink() {
            fs::remove_file(self.output()).unwrap();
        }
        fs::create_dir_all(self.output()).unwrap();
    }
    async fn put_file(&self) {
        fs::create_dir_all(self.output().parent().unwrap()).unwrap();
        fs::write(self.output(), "auth of an earlier release;\n").unwrap();
        set_mode(&self.output(), 0o600);
    }
    async fn cut_file(&self) {
        let bytes = fs::read(self.file()).unwrap();
        fs::write(self.file(), &bytes[..bytes.len() / 2]).unwrap();
    }
    async fn put_link(&self) -> Arranged {
        fs::create_dir_all(self.output().parent().unwrap()).unwrap();
        symlink(self.input(), self.output()).unwrap();
        Ok(())
    }
    async fn mode(&self) -> Option<u16> {
        let found = fs::metadata(self.output()).ok()?;
        found.is_file().then(|| u16::try_from(found.permissions().mode() & 0o7777).unwrap())
    }
    async fn digest_elsewhere(&self) -> Fingerprint {
        let elsewhere = FileHooks::new(HostKey::from_bytes([8; 32]));
        let output = absolute(&self.root.path().join("elsewhere/nginx.conf"));
        let hook = HookSpec { output, ..self.hook() };
        let rendered = elsewhere.render(&hook).await.unwrap();
        elsewhere.commit(&hook, rendered, &[]).await.unwrap().digest
    }
}
