//! A registry that the test runs on the loopback interface.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use tempfile::TempDir;

use crate::guest::podman;

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
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
