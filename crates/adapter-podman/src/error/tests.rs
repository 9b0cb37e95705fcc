use super::*;

fn failed(call: Verb, said: &str) -> PodmanError {
    PodmanError::Failed {
        call,
        ending: "exit status 125".to_owned(),
        status: Some(125),
        cause: Cause::of(said),
        said: said.to_owned(),
    }
}

/// Messages of Podman 5.4.2, except for the registries' status codes.
#[test]
fn podmans_messages_determine_the_error_kind() {
    use PortErrorKind::{Denied, Invalid, NotFound, Transient, Unavailable};
    let rows = [
        (
            Verb::Pull,
            Transient,
            "pinging container registry 127.0.0.1:5999: Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
        ),
        (
            Verb::Pull,
            Transient,
            "Get \"https://127.0.0.1:5000/v2/\": http: server gave HTTP response to HTTPS client",
        ),
        (Verb::Pull, Transient, "dial tcp 192.0.2.1:5000: connect: network is unreachable"),
        (Verb::Pull, Transient, "received unexpected HTTP status: 503 Service Unavailable"),
        (Verb::Pull, Transient, "toomanyrequests: too many requests to registry"),
        (
            Verb::Pull,
            NotFound,
            "reading manifest latest in 127.0.0.1:5000/t/nope: manifest unknown",
        ),
        (
            Verb::Pull,
            Denied,
            "reading manifest latest in r.example/x: unauthorized: authentication required",
        ),
        (
            Verb::Pull,
            Transient,
            "writing blob: storing blob to file \"/var/tmp/x\": write /var/tmp/x: no space left on device",
        ),
        (Verb::Images, Unavailable, "creating runtime static files directory: layer not known"),
        (
            Verb::Images,
            Unavailable,
            "cannot set up namespace using \"/usr/bin/newuidmap\": exit status 1",
        ),
        (Verb::Images, Transient, "database is locked"),
        (
            Verb::Build,
            Invalid,
            "building at STEP \"RUN false\": while running runtime: exit status 1",
        ),
        (
            Verb::Build,
            Invalid,
            "creating build container: reading manifest latest in r.example/x: manifest unknown",
        ),
        (
            Verb::Build,
            Invalid,
            "building at STEP \"RUN exit 5\": while running runtime: exit status 5",
        ),
        (Verb::ImageInspect, Transient, "inspecting object: 4feb0847d6ec: image not known"),
        (
            Verb::Build,
            Transient,
            "creating build container: dial tcp 127.0.0.1:5999: connect: connection refused",
        ),
        (Verb::Build, Transient, "committing container: no space left on device"),
    ];
    for (call, kind, said) in rows {
        assert_eq!(failed(call, said).kind(), kind, "{call}: {said}");
    }
}

#[test]
fn host_errors_include_a_fix() {
    for (said, hint) in [
        ("no space left on device", "the disk is full"),
        ("layer not known", "podman system check --repair"),
        ("no subuid ranges found for user \"x\"", "/etc/subuid"),
    ] {
        assert!(failed(Verb::Images, said).to_string().contains(hint), "{said}");
        let is_damage = said == "layer not known";
        assert_eq!(failed(Verb::Images, said).is_damage(), is_damage);
        // An image that is pulled need not share the damaged layer.
        assert_eq!(failed(Verb::Images, said).is_of_the_host(), !is_damage);
    }
    assert!(!failed(Verb::Pull, "connection refused").is_of_the_host());
}

/// Messages of public reports about stores after a power loss.
#[test]
fn damaged_layers_are_told_from_other_missing_files() {
    for said in [
        "Error: readlink /var/lib/containers/storage/overlay: invalid argument",
        "Error: readlink /h/.local/share/containers/storage/overlay/l: invalid argument",
        "Error: readlink /h/storage/overlay/l/ABC: no such file or directory",
        "Error: faccessat /h/storage/overlay/22796afe: no such file or directory",
        "Error: top layer 2ccbedb of image 3a69907 not found in layer tree",
        "Error: locating item named \"manifest\" for image with ID \"2b7c\": file does not exist",
    ] {
        assert!(failed(Verb::ImageInspect, said).is_damage(), "{said}");
    }
    for said in [
        "Error: inspecting object: 4feb0847d6ec: image not known",
        "Error: open /h/context/page: no such file or directory",
        "Error: mounting overlay failed \"/h/overlay/x\": invalid argument",
    ] {
        assert!(!failed(Verb::ImageInspect, said).is_damage(), "{said}");
    }
}
