//! [`Registry`]: a registry with TLS on the loopback, behind a gate that counts connections and can be closed.
//!
//! It needs the programs `docker-registry` and `openssl`.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// A user with an unknown password (bcrypt, as the registry requires).
const NOBODY: &str = "nobody:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

/// A registry that stops on drop. Whether a client trusts its certificate is up to the world.
pub struct Registry {
    process: Option<Child>,
    /// The address of the registry itself.
    backend: u16,
    /// The address of the gate.
    port: u16,
    contacts: Arc<AtomicU32>,
    open: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    directory: tempfile::TempDir,
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Panics
    /// When a program is missing.
    pub fn start() -> Self {
        let gate = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = gate.local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        certify(directory.path());
        let flag = |set| Arc::new(AtomicBool::new(set));
        let mut registry = Self {
            process: None,
            backend: free_port(),
            port,
            contacts: Arc::default(),
            open: flag(true),
            ended: flag(false),
            directory,
        };
        registry.serve("");
        registry.keep_gate(gate);
        registry
    }

    /// The address of the gate, as it stands in references: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file with the certificate to trust.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// The push reference of the image `name`, which bypasses the gate.
    pub fn behind(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.backend)
    }

    /// The number of connections to the gate.
    pub fn contacts(&self) -> u32 {
        self.contacts.load(Ordering::SeqCst)
    }

    /// Closes or opens the gate; closed, it refuses connections. The readiness check does not count.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
        let before = self.contacts();
        let mut mine = 0;
        until(|| {
            let reached = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            mine += u32::from(reached);
            reached == open
        });
        until(|| !open || self.contacts() >= before + mine);
        self.contacts.store(before, Ordering::SeqCst);
    }

    /// Requires credentials that no client has.
    pub fn lock(&mut self) {
        let users = self.directory.path().join("users");
        fs::write(&users, NOBODY).unwrap();
        self.end();
        self.serve(&format!(
            "auth:\n  htpasswd:\n    realm: registry\n    path: {}\n",
            users.display()
        ));
    }

    fn serve(&mut self, more: &str) {
        let (root, port) = (self.directory.path().display(), self.backend);
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}/images\n\
             http:\n  addr: 127.0.0.1:{port}\n  tls:\n    certificate: {root}/cert.pem\n    key: {root}/key.pem\n{more}"
        );
        let file = self.directory.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Forwards connections on a separate thread until the registry stops.
    fn keep_gate(&self, gate: TcpListener) {
        let (port, backend) = (self.port, self.backend);
        let (contacts, open) = (Arc::clone(&self.contacts), Arc::clone(&self.open));
        let ended = Arc::clone(&self.ended);
        gate.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let mut gate = Some(gate);
            while !ended.load(Ordering::SeqCst) {
                if !open.load(Ordering::SeqCst) {
                    gate = None;
                } else if gate.is_none() {
                    gate = TcpListener::bind(("127.0.0.1", port)).ok();
                    gate.iter().for_each(|gate| gate.set_nonblocking(true).unwrap());
                }
                match gate.as_ref().map(TcpListener::accept) {
                    Some(Ok((visitor, _))) => {
                        contacts.fetch_add(1, Ordering::SeqCst);
                        let _unreachable_is_what_they_see = forward(visitor, backend);
                    }
                    Some(Err(_)) | None => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.end();
    }
}

/// Forwards both directions, on two threads.
fn forward(visitor: TcpStream, backend: u16) -> io::Result<()> {
    visitor.set_nonblocking(false)?;
    let host = TcpStream::connect(("127.0.0.1", backend))?;
    let pairs = [(visitor.try_clone()?, host.try_clone()?), (host, visitor)];
    for (mut from, mut to) in pairs {
        thread::spawn(move || {
            let _hung_up = io::copy(&mut from, &mut to);
            let _removed_already = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

/// Generates a key and a self-signed certificate.
fn certify(directory: &Path) {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
                 -addext subjectAltName=IP:127.0.0.1";
    let mut arguments: Vec<&str> = words.split_whitespace().collect();
    arguments.extend(["-keyout", &key, "-out", &certificate]);
    let made = Command::new("openssl").args(&arguments).output().unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Polls the condition for ten seconds.
fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the registry did not get ready within ten seconds");
}
