use super::*;
use crate::command::argv;

fn failed(kind: Kind, said: &str) -> EngineError {
    let mut call = argv::info();
    call.kind = kind;
    Cause::of(said).error(&call, "exit status 125", said)
}

/// Messages of Podman 5.4.2, except for the registries' status codes.
#[test]
fn podmans_messages_determine_the_error_kind() {
    use PortErrorKind::{Denied, Invalid, NotFound, Transient, Unavailable};
    let rows: [(Kind, PortErrorKind, &[&str]); 7] = [
        (
            Kind::Pull,
            Transient,
            &[
                "pinging container registry 127.0.0.1:5999: Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                "Get \"https://127.0.0.1:5000/v2/\": http: server gave HTTP response to HTTPS client",
                "dial tcp 192.0.2.1:5000: connect: network is unreachable",
                "received unexpected HTTP status: 503 Service Unavailable",
                "toomanyrequests: too many requests to registry",
                "writing blob: storing blob to file \"/var/tmp/x\": write /var/tmp/x: no space left on device",
            ],
        ),
        (
            Kind::Pull,
            NotFound,
            &["reading manifest latest in 127.0.0.1:5000/t/nope: manifest unknown"],
        ),
        (
            Kind::Pull,
            Denied,
            &["reading manifest latest in r.example/x: unauthorized: authentication required"],
        ),
        (
            Kind::Query,
            Unavailable,
            &[
                "creating runtime static files directory: layer not known",
                "cannot set up namespace using \"/usr/bin/newuidmap\": exit status 1",
            ],
        ),
        (
            Kind::Query,
            Transient,
            &["database is locked", "inspecting object: 4feb0847d6ec: image not known"],
        ),
        (
            Kind::Build,
            Invalid,
            &[
                "building at STEP \"RUN false\": while running runtime: exit status 1",
                "creating build container: reading manifest latest in r.example/x: manifest unknown",
            ],
        ),
        (
            Kind::Build,
            Transient,
            &[
                "creating build container: dial tcp 127.0.0.1:5999: connect: connection refused",
                "committing container: no space left on device",
            ],
        ),
    ];
    for (call, kind, messages) in rows {
        for said in messages {
            assert_eq!(failed(call, said).kind(), kind, "{call:?}: {said}");
        }
    }
}

#[test]
fn host_errors_include_a_fix() {
    for (said, hint) in [
        ("no space left on device", "the disk is full"),
        ("layer not known", "podman system check --repair"),
        ("no subuid ranges found for user \"x\"", "/etc/subuid"),
    ] {
        assert!(failed(Kind::Query, said).to_string().contains(hint), "{said}");
        // An image that is pulled need not share the damaged layer.
        let of_the_host = matches!(failed(Kind::Query, said), EngineError::Host(_));
        assert_eq!(of_the_host, said != "layer not known");
    }
    assert!(matches!(failed(Kind::Pull, "connection refused"), EngineError::Other(_)));
}

/// Messages of public reports about stores after a power loss.
#[test]
fn damaged_layers_are_distinguished_from_other_missing_files() {
    let is_damage = |said| matches!(failed(Kind::Query, said), EngineError::Damaged(_));
    for said in [
        "Error: readlink /var/lib/containers/storage/overlay: invalid argument",
        "Error: readlink /h/.local/share/containers/storage/overlay/l: invalid argument",
        "Error: readlink /h/storage/overlay/l/ABC: no such file or directory",
        "Error: faccessat /h/storage/overlay/22796afe: no such file or directory",
        "Error: top layer 2ccbedb of image 3a69907 not found in layer tree",
        "Error: locating item named \"manifest\" for image with ID \"2b7c\": file does not exist",
    ] {
        assert!(is_damage(said), "{said}");
    }
    for said in [
        "Error: inspecting object: 4feb0847d6ec: image not known",
        "Error: open /h/context/page: no such file or directory",
        "Error: mounting overlay failed \"/h/overlay/x\": invalid argument",
    ] {
        assert!(!is_damage(said), "{said}");
    }
}
