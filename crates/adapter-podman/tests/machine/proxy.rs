//! Builds and pulls through a proxy.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use adapter_podman::Podman;
use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use companion_core::ports::ImageProvider as _;

use crate::guest::{Guest, podman};

/// `user:hunter2` in Base64.
const CREDENTIALS: &str = "Basic dXNlcjpodW50ZXIy";

/// A podman with a proxy on this port of the loopback interface, which requires a password.
fn proxied(port: u16) -> Podman {
    let proxy = OsString::from(format!("http://user:hunter2@127.0.0.1:{port}"));
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name.into(), proxy.clone()));
    Podman::with_environment(std::env::vars_os().chain(proxies))
}

#[tokio::test]
async fn an_image_is_requested_from_the_proxy_with_its_password() {
    let guest = Guest::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let images = guest.images_of(proxied(address.port()));
    let request = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap();
        head.join("\n")
    });
    // A name that does not resolve (RFC 6761): only the proxy could reach it.
    let reference = ImageRef::new("registry.invalid:5000/t/proxied:latest").unwrap();
    let pull = PullSource { reference, verify_tls: false };
    let source = ImageSource { build: None, pull: Some(pull) };
    images.ensure(&source).await.unwrap_err();
    // Ends the thread if podman did not connect.
    let _refused = TcpStream::connect(address);
    let request = request.join().unwrap();
    assert!(request.starts_with("CONNECT registry.invalid:5000 "), "{request}");
    assert!(request.contains(CREDENTIALS), "{request}");
}

#[tokio::test]
async fn a_proxys_password_reaches_a_run_and_is_in_no_image_error_or_log() {
    let guest = Guest::new();
    let images = guest.images_of(proxied(1));
    // The pattern matches the password without containing it, because an image records its RUN commands.
    let dockerfile = "FROM localhost/companion-base:latest
RUN echo \"$HTTPS_PROXY\" | grep -q '^http://user:h.nter2@127.0.0.1:1$'
";
    let source = guest.source_of("proxied-build", dockerfile);
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
