//! Builds and pulls through a proxy; only the proxy can reach the registry.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use adapter_podman::Podman;
use companion_conformance::worlds::Registry;
use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use companion_core::ports::ImageProvider as _;

use crate::guest::{Guest, podman};

/// A forward proxy that maps every host to one port on the loopback interface and requires a password.
struct Proxy {
    port: u16,
    requests: Arc<AtomicUsize>,
}

/// `user:hunter2` in Base64.
const CREDENTIALS: &str = "Basic dXNlcjpodW50ZXIy";

impl Proxy {
    fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let served = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                thread::spawn(move || serve(client, target, &served));
            }
        });
        Self { port, requests }
    }

    fn podman(&self) -> Podman {
        let proxy = OsString::from(format!("http://user:hunter2@127.0.0.1:{}", self.port));
        let proxies = ["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name.into(), proxy.clone()));
        Podman::with_environment(std::env::vars_os().chain(proxies))
    }
}

fn serve(mut client: TcpStream, target: u16, served: &AtomicUsize) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let text = String::from_utf8(head).ok()?;
    if !text.starts_with("CONNECT ") || !text.contains(CREDENTIALS) {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").ok();
    }
    served.fetch_add(1, Ordering::SeqCst);
    let mut server = TcpStream::connect(("127.0.0.1", target)).ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _copied = std::io::copy(&mut from, &mut to);
        let _ended = to.shutdown(Shutdown::Write);
    });
    let _copied = std::io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both).ok()
}

#[tokio::test]
async fn an_image_is_pulled_through_the_proxy() {
    let guest = Guest::new();
    let registry = Registry::start();
    let target = registry.behind("t/proxied:latest");
    podman(&format!("push --quiet --tls-verify=false localhost/companion-base:latest {target}"));
    // A name that does not resolve (RFC 6761): only the proxy can reach it.
    let reference = ImageRef::new("registry.invalid:5000/t/proxied:latest").unwrap();
    let pull = PullSource { reference: reference.clone(), verify_tls: false };
    let source = ImageSource { build: None, pull: Some(pull) };
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert!(error.chain().contains("registry.invalid"), "{}", error.chain());

    let port = registry.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let proxy = Proxy::before(port);
    let images = guest.images_of(proxy.podman());
    let image = images.ensure(&source).await.unwrap();
    assert_eq!(image.reference, reference);
    assert!(proxy.requests.load(Ordering::SeqCst) > 0);
    podman(&format!("untag {reference} {reference}"));
}

#[tokio::test]
async fn a_proxys_password_reaches_a_run_and_is_in_no_image_error_or_log() {
    let guest = Guest::new();
    let proxy = Proxy::before(1);
    let images = guest.images_of(proxy.podman());
    // The pattern matches the password without containing it, because an image records its RUN commands.
    let dockerfile = "FROM localhost/companion-base:latest
RUN echo \"$HTTPS_PROXY\" | grep -q '^http://user:h.nter2@127.0.0.1:PORT$'
"
    .replace("PORT", &proxy.port.to_string());
    let source = guest.source_of("proxied-build", &dockerfile);
    let image = images.ensure(&source).await.unwrap();
    for call in ["image inspect", "history --no-trunc"] {
        let described = podman(&format!("{call} {}", image.id));
        assert!(described.contains("h.nter2") && !described.contains("hunter2"), "{described}");
    }

    let failing = "FROM localhost/companion-base:latest\nRUN env >&2; exit 3\n";
    let source = guest.source_of("proxied-build", failing);
    let error = images.ensure(&source).await.unwrap_err();
    let shown = format!("{} {error:?}", error.chain());
    assert!(shown.contains("exit status 3") && !shown.contains("hunter2"), "{shown}");
    podman("image rm --force localhost/proxied-build:latest");
}
