//! Pulls from a registry that the test runs on the loopback interface.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use companion_core::model::image::{ImageRef, ImageSource, Provenance, PullSource};
use companion_core::ports::{ImageProvider as _, PortErrorKind};
use tempfile::TempDir;

use crate::guest::{Guest, podman};

/// A registry over plain HTTP; stopped on drop.
pub(crate) struct Registry {
    process: Child,
    pub(crate) port: u16,
    _directory: TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = TempDir::new().unwrap();
        let root = directory.path().display();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}\n\
             http:\n  addr: 127.0.0.1:{port}\n"
        );
        let file = directory.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, port, _directory: directory }
    }

    /// Pushes the local image `from` as `name`, and returns the source that pulls it.
    pub(crate) fn push(&self, from: &str, name: &str) -> ImageSource {
        let reference = format!("127.0.0.1:{}/t/{name}:latest", self.port);
        podman(&format!("push --quiet --tls-verify=false {from} {reference}"));
        let pull = PullSource { reference: ImageRef::new(reference).unwrap(), verify_tls: false };
        ImageSource { build: None, pull: Some(pull) }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_pulled_image_outlives_its_registry_and_its_absence_then_is_transient() {
    let guest = Guest::new();
    let mut registry = Registry::start();
    let source = registry.push("localhost/companion-base:latest", "pulled");
    let reference = source.pull.as_ref().unwrap().reference.clone();
    let image = guest.images.ensure(&source).await.unwrap();
    assert_eq!((&image.reference, &image.provenance), (&reference, &Provenance::External));
    let state = guest.observe(&source).await.unwrap();
    assert!(state.is_current());

    registry.stop();
    guest.calls();
    assert_eq!(guest.images.ensure(&source).await.unwrap(), image);
    assert_eq!(guest.observe(&source).await.unwrap(), state);
    assert_eq!(guest.calls(), "");

    podman(&format!("untag {reference} {reference}"));
    assert!(guest.observe(&source).await.unwrap().present.is_none());
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
}

#[tokio::test]
async fn a_registry_without_tls_is_refused_unless_the_source_permits_it() {
    let guest = Guest::new();
    let registry = Registry::start();
    let mut source = registry.push("localhost/companion-base:latest", "verified");
    source.pull.as_mut().unwrap().verify_tls = true;
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
    assert!(guest.observe(&source).await.unwrap().present.is_none());
}

#[tokio::test]
async fn an_image_that_the_registry_does_not_have_is_not_found() {
    let guest = Guest::new();
    let registry = Registry::start();
    let mut source = registry.push("localhost/companion-base:latest", "some");
    let reference = format!("127.0.0.1:{}/t/none:latest", registry.port);
    source.pull.as_mut().unwrap().reference = ImageRef::new(reference).unwrap();
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::NotFound, "{}", error.chain());
}

#[tokio::test]
async fn a_broken_context_gives_way_to_the_registry_when_nothing_is_there() {
    let guest = Guest::new();
    let registry = Registry::start();
    let mut source =
        guest.source_of("fallback", "FROM localhost/companion-base:latest\nRUN exit 3\n");
    source.pull = registry.push("localhost/companion-base:latest", "fallback").pull;
    let image = guest.images.ensure(&source).await.unwrap();
    assert_eq!(Some(&image.reference), source.pull.as_ref().map(|pull| &pull.reference));
    assert_eq!(guest.observe(&source).await.unwrap().present, Some(image));
}

#[tokio::test]
async fn an_image_pinned_by_its_digest_is_pulled_once() {
    let guest = Guest::new();
    let registry = Registry::start();
    let mut source = registry.push("localhost/companion-base:latest", "pinned");
    let by_tag = source.pull.as_ref().unwrap().reference.clone();
    let image = guest.images.ensure(&source).await.unwrap();
    let digest = podman(&format!("image inspect --format {{{{.Digest}}}} {by_tag}"));
    podman(&format!("untag {by_tag} {by_tag}"));
    let pinned = ImageRef::new(format!("{by_tag}@{digest}")).unwrap();
    source.pull.as_mut().unwrap().reference = pinned.clone();
    let by_digest = guest.images.ensure(&source).await.unwrap();
    assert_eq!((by_digest.id, by_digest.reference), (image.id, pinned));
    guest.observe(&source).await.unwrap();
    guest.calls();
    guest.images.ensure(&source).await.unwrap();
    assert_eq!(guest.calls(), "");
}

#[tokio::test]
async fn an_image_for_another_machine_is_refused() {
    let guest = Guest::new();
    let registry = Registry::start();
    let context = TempDir::new().unwrap();
    let directory = context.path().display();
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    podman(&format!(
        "build --quiet --platform linux/s390x --tag localhost/other-machine {directory}"
    ));
    let source = registry.push("localhost/other-machine", "other-machine");
    podman("rmi localhost/other-machine");
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(error.chain().contains("linux/s390x"), "{}", error.chain());
    assert!(guest.observe(&source).await.unwrap().present.is_none());
}
