//! A proxy for the guest's registry with selectable faults, on plain loopback sockets.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::guest::{archy_reading, by_root, podman};
use crate::http;

/// Its address, and that of the registry.
const PORT: u16 = 5001;
const REGISTRY: u16 = 5000;

/// The image to pull through it, and another one of the same repository.
pub(super) const IMAGE: &str = "127.0.0.1:5001/fault/page";

/// The fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// None.
    None,
    /// It answers everything with this line and these headers, each with its line break.
    Answer(&'static str),
    /// It sends the first half of each blob, then a byte per second.
    Slow,
    /// It sends the first half of each blob, then closes the connection.
    Cut,
    /// It returns another image than requested by digest.
    Swapped,
}

/// The proxy, until this is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    fault: Arc<Mutex<Fault>>,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts to listen, in front of a registry with [`IMAGE`].
    pub(super) fn start() -> Self {
        publish();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap();
        let fault = Arc::new(Mutex::new(Fault::None));
        let (asked, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (shared, count, end) = (Arc::clone(&fault), Arc::clone(&asked), Arc::clone(&ended));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let (shared, end) = (Arc::clone(&shared), Arc::clone(&end));
                // An early close is podman's decision.
                thread::spawn(move || serve(client, &shared, &end).unwrap_or_default());
            }
        });
        Self { fault, asked, ended }
    }

    /// Switches to another fault from the next request on.
    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The number of connections.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener notices at its next connection.
        let _noticed = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT));
        let _removed = podman(&["image", "rm", "--force", "--ignore", &format!("{IMAGE}:latest")]);
    }
}

/// Pushes two images with unique layers to the registry.
fn publish() {
    by_root("systemctl start docker-registry");
    // The registry returns a manifest only if the client accepts its type.
    let accept = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
    let there = || http::get(REGISTRY, "/v2/fault/page/manifests/other", &accept);
    if there().is_ok_and(|answer| answer.status == 200) {
        return;
    }
    for tag in ["latest", "other"] {
        let name = format!("127.0.0.1:{REGISTRY}/fault/page:{tag}");
        let file = "FROM localhost/companion-base\nRUN head -c 400000 /dev/urandom >/bytes\n";
        archy_reading(&["podman", "build", "--quiet", "--no-cache", "--tag", &name, "-"], file)
            .good();
        podman(&["push", "--tls-verify=false", &name]).good();
        podman(&["image", "rm", "--force", &name]).good();
    }
}

fn serve(mut client: TcpStream, fault: &Mutex<Fault>, ended: &AtomicBool) -> io::Result<()> {
    let head = head(&mut client)?;
    let fault = *fault.lock().unwrap();
    if let Fault::Answer(lines) = fault {
        return client.write_all(
            format!("HTTP/1.1 {lines}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        );
    }
    let mut path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if fault == Fault::Swapped && path.contains("/manifests/sha256:") {
        path = "/v2/fault/page/manifests/other".to_owned();
    }
    let mut registry = TcpStream::connect((Ipv4Addr::LOCALHOST, REGISTRY))?;
    let accepted = head.lines().skip(1).filter(|line| line.to_lowercase().starts_with("accept:"));
    let accepted: String = accepted.map(|line| format!("{line}\r\n")).collect();
    let verb = head.split(' ').next().unwrap_or_default();
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{REGISTRY}\r\n{accepted}Connection: close\r\n\r\n"
    );
    registry.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    registry.read_to_end(&mut answer)?;
    let half = match fault {
        Fault::Slow | Fault::Cut if path.contains("/blobs/") => answer.len() / 2,
        _ => answer.len(),
    };
    client.write_all(answer.get(..half).unwrap_or_default())?;
    if fault == Fault::Cut {
        return Ok(());
    }
    for byte in answer.get(half..).unwrap_or_default() {
        if ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
        client.write_all(&[*byte])?;
    }
    Ok(())
}

/// A request's line and headers.
fn head(client: &mut TcpStream) -> io::Result<String> {
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
