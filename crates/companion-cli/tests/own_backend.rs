//! A program with its own host: `--host` selects it, and the commands work on it.

#![expect(clippy::unwrap_used, reason = "a failed setup fails its test")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use adapter_fake::FakeHost;
use archipelago_companions::host::{Backend, HostError, Wiring};
use archipelago_companions::{Catalog, RecordStore};
use async_trait::async_trait;
use companion_cli::{CommandBackend, CommandError, Finding, run};
use companion_core::model::image::ImageSource;
use companion_core::ports::{Host, PortError, PortErrorKind, PortResult};

/// The fake host, by the name `own`.
#[derive(Clone)]
struct Own {
    host: FakeHost,
    state: PathBuf,
    /// The error of each removal of images.
    fails_to_remove_images: Option<PortErrorKind>,
}

#[async_trait]
impl Backend for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn state_dir(&self) -> Option<PathBuf> {
        Some(self.state.clone())
    }

    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf> {
        Ok(state_dir.join("leader"))
    }

    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        let Wiring { store, leadership, .. } = wiring;
        Ok(Host { desired: store, leadership, ..self.host.ports() })
    }

    async fn remove_images(&self, sources: &[ImageSource]) -> PortResult<usize> {
        match self.fails_to_remove_images {
            None => Ok(sources.len()),
            Some(kind) => Err(PortError::new(kind, "no engine")),
        }
    }

    async fn sweep(&self, _store: &RecordStore) -> PortResult<usize> {
        Ok(0)
    }
}

#[async_trait]
impl CommandBackend for Own {
    fn description(&self) -> &'static str {
        "A host of this program"
    }

    fn default_catalog(&self) -> Option<PathBuf> {
        None
    }

    async fn has_units(&self) -> Result<bool, CommandError> {
        Ok(false)
    }

    async fn doctor(&self, _catalog: &Catalog) -> Vec<Finding> {
        vec![Finding::error("engine", "it is too old", "update it")]
    }
}

/// Runs `arguments` in a program whose only host is `own`.
fn program(own: &Own, arguments: &[&str]) -> ExitCode {
    let line = [&["companion"], arguments].concat().into_iter().map(OsString::from);
    run(line, vec![Arc::new(own.clone())])
}

/// A host with its state in `place`.
fn own(place: &tempfile::TempDir) -> Own {
    let (host, state) = (FakeHost::default(), place.path().join("state"));
    Own { host, state, fails_to_remove_images: None }
}

/// A host with the context of lnd's page, and the directory of its state.
fn with_a_context() -> (Own, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let own = own(&place);
    // The commands run in real time.
    own.host.change(|world, _now| world.delays.build = Duration::ZERO);
    let context = "/opt/archipelago/docker/lnd-ui".to_owned().try_into().unwrap();
    own.host.put_context(&context, "a Dockerfile");
    (own, place)
}

#[test]
fn a_program_with_its_own_backend_installs_and_removes_a_companion() {
    let (own, _place) = with_a_context();
    assert_eq!(program(&own, &["--host", "own", "status"]), ExitCode::SUCCESS);
    assert!(!own.state.exists(), "a reading command on an untouched host records nothing");
    assert_eq!(program(&own, &["install", "lnd"]), ExitCode::SUCCESS, "it is selected by `auto`");
    assert_eq!(own.host.counts().starts, 1);
    assert_eq!(program(&own, &["status"]), ExitCode::SUCCESS);
    assert_eq!(program(&own, &["remove", "lnd"]), ExitCode::SUCCESS);
    assert_eq!(own.host.counts().stops, 1);
    assert_eq!(program(&own, &["install", "lnd"]), ExitCode::SUCCESS);
    std::fs::remove_file(own.state.join("desired.json")).unwrap();
    assert_eq!(program(&own, &["remove", "--all", "--images"]), ExitCode::SUCCESS);
    assert_eq!(own.host.counts().stops, 2, "also a companion whose record was lost is removed");
}

#[test]
fn uninstall_removes_companions_and_state_and_can_be_repeated() {
    let (own, _place) = with_a_context();
    assert_eq!(program(&own, &["install", "lnd"]), ExitCode::SUCCESS);
    assert_eq!(program(&own, &["uninstall"]), ExitCode::from(2), "it needs --yes");
    assert_eq!(own.host.counts().stops, 0);
    for _ in 0..2 {
        assert_eq!(program(&own, &["uninstall", "--yes"]), ExitCode::SUCCESS);
        assert_eq!(own.host.counts().stops, 1);
        let left: Vec<_> = std::fs::read_dir(&own.state).into_iter().flatten().collect();
        assert!(left.len() <= 1, "only the directory of the leader's lock: {left:?}");
    }
}

#[test]
fn missing_engine_at_the_removal_of_images_is_a_missing_prerequisite() {
    let (mut own, _place) = with_a_context();
    assert_eq!(program(&own, &["install", "lnd"]), ExitCode::SUCCESS);
    own.fails_to_remove_images = Some(PortErrorKind::Unavailable);
    assert_eq!(program(&own, &["remove", "lnd", "--images"]), ExitCode::from(3));
    assert_eq!(program(&own, &["uninstall", "--yes"]), ExitCode::from(3));
    own.fails_to_remove_images = None;
    assert_eq!(program(&own, &["uninstall", "--yes"]), ExitCode::SUCCESS);
}

#[test]
fn what_an_own_backend_has_not_is_refused_and_doctor_shows_its_findings() {
    let place = tempfile::tempdir().unwrap();
    let own = own(&place);
    assert_eq!(program(&own, &["doctor"]), ExitCode::from(3));
    assert_eq!(program(&own, &["setup"]), ExitCode::from(2));
    assert_eq!(program(&own, &["logs", "archy-lnd-ui"]), ExitCode::from(3));
    assert_eq!(program(&own, &["render", "archy-lnd-ui"]), ExitCode::from(2));
}
