//! Proxies and certificates: which podman calls get them, and that a password in them is never shown.

use std::ffi::OsString;
use std::fs;
use std::sync::Arc;

use adapter_podman::Podman;
use companion_core::model::image::ImageSource;
use companion_core::ports::ImageProvider as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::image_provider::Host;

const NETWORK: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

const PROXY: &str = "http://user:hunter2%21@proxy.example:3128";

/// A host whose podman has a value for each network variable, and writes its environment to a file per call.
fn host() -> (Host, Podman) {
    let mut host = Host::new();
    let values = NETWORK.map(|name| (OsString::from(name), OsString::from(PROXY)));
    let podman = Podman::with_environment(host.stub.environment().into_iter().chain(values));
    host.images = host.stub.images(podman.clone());
    (host, podman)
}

#[tokio::test]
async fn network_variables_reach_builds_and_pulls_and_no_other_call() {
    let (host, podman) = host();
    let given = |call: &str| {
        let file = host.stub.file(&format!("environment-{call}"));
        let environment = fs::read_to_string(file).unwrap();
        let has = |name: &&&str| environment.lines().any(|line| line == format!("{name}={PROXY}"));
        NETWORK.iter().filter(has).count()
    };
    host.stub.answer("--version", "echo podman version 5.4.2");
    podman.version().await.unwrap();
    host.images.ensure(&host.source()).await.unwrap();
    let pulled = ImageSource { build: None, ..host.source() };
    host.images.ensure(&pulled).await.unwrap();
    for call in ["build", "pull"] {
        assert_eq!(given(call), NETWORK.len(), "{call}");
    }
    for call in ["--version", "info", "images", "image-inspect"] {
        assert_eq!(given(call), 0, "{call}");
    }
}

#[tokio::test]
async fn a_password_in_a_proxys_url_is_neither_logged_nor_reported() {
    let (host, podman) = host();
    let log = fs::File::create(host.stub.file("log")).unwrap();
    let every_event = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let _guard = every_event.with_ansi(false).with_writer(Arc::new(log)).set_default();
    // Like a RUN that prints its environment, and like Go with an invalid URL.
    let snippet = "env >&2; echo \"Error: invalid proxy address \\\"$HTTPS_PROXY\\\", hunter2!\" >&2; exit 125";
    host.stub.answer("build", snippet);
    host.stub.answer("pull", snippet);
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    let logged = fs::read_to_string(host.stub.file("log")).unwrap();
    assert!(logged.contains("HTTPS_PROXY=http://***@proxy.example:3128"), "{logged}");
    let shown = [error.chain(), format!("{error:?}"), format!("{podman:?}"), logged];
    assert!(shown[0].contains("invalid proxy address") && shown[0].contains("***"), "{}", shown[0]);
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let arguments = fs::read_to_string(host.stub.file("calls")).unwrap();
    assert!(!arguments.contains("proxy.example"), "{arguments}");
}
