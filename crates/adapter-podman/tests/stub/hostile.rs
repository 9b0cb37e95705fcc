//! Texts of a registry, an image or an unmanaged container are shown in one line without control characters.

use std::collections::BTreeSet;
use std::fs;

use adapter_podman::PodmanContainers;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime as _, ImageProvider as _};

use crate::image_provider::Host;
use crate::podman_stub::PodmanStub;

/// A JSON string that clears a terminal's line, forges a line of the journal, and reverses the text direction.
const FORGED: &str =
    r"amd64\n<3>error: \u001b[2K\u001b]0;owned\u0007\r\u0085\u2028\u202eall is well";

fn is_one_line(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c))
}

#[tokio::test]
async fn the_platform_of_an_image_cannot_forge_a_line() {
    let host = Host::new();
    for fields in [
        format!(r#""Os":"linux","Architecture":"{FORGED}""#),
        format!(r#""Os":"{FORGED}","Architecture":"amd64""#),
        format!(r#""Os":"linux","Architecture":"{}""#, "y".repeat(100_000)),
    ] {
        fs::write(host.stub.file("platform"), fields).unwrap();
        host.set_images("[]");
        let images = host.stub.images(host.stub.podman());
        let text = images.ensure(&host.source()).await.unwrap_err().chain();
        assert!(text.contains("the image is for"), "{text:?}");
        assert!(is_one_line(&text) && text.len() < 4096, "{text:?}");
    }
}

#[tokio::test]
async fn the_image_and_the_state_of_a_container_cannot_forge_a_line() {
    let stub = PodmanStub::new();
    let listing = format!(
        r#"cat <<'JSON'
[{{"Id": "a", "Names": ["archy-a"], "Image": "{FORGED}", "State": "x",
   "Labels": {{"PODMAN_SYSTEMD_UNIT": "{FORGED}"}}}},
 {{"Id": "b", "Names": ["archy-b"], "Image": "x", "State": "{FORGED}", "Labels": {{"companion.name": "archy-b"}}}}]
JSON"#
    );
    stub.answer("ps", &listing);
    let names: BTreeSet<_> =
        ["archy-a", "archy-b"].map(|name| CompanionName::new(name).unwrap()).into();
    let states = PodmanContainers::new(stub.podman()).observe(&names).await;
    assert_eq!(states.len(), 2);
    for state in states.into_values().map(Result::unwrap) {
        let (ContainerState::Ours { status: text } | ContainerState::Unmanaged { what: text }) =
            state
        else {
            panic!("{state:?}");
        };
        assert!(is_one_line(&text), "{text:?}");
    }
}
