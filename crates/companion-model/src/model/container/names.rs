//! Names that a container's description uses: of capabilities, variables, networks and hosts.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::text::{is_word, validated_text};

validated_text! {
    /// A Linux capability without its `CAP_`, such as `NET_BIND_SERVICE`.
    Capability, "capability", "must be a capability in capitals without `CAP_`",
    |text| {
        (3..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && !text.starts_with("CAP_")
            && text != "ALL"
    }
}

validated_text! {
    /// The name of an environment variable, `[A-Za-z_][A-Za-z0-9_]*`, at most 128 bytes.
    EnvName, "environment", "must be a name of the form [A-Za-z_][A-Za-z0-9_]*",
    |text| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !text.starts_with(|c: char| c.is_ascii_digit())
    }
}

validated_text! {
    /// The name of a network that the host already has, in the grammar of companion names.
    NetworkName, "network", "must match [a-z][a-z0-9_-]*, end in a letter or digit, have at most 63 bytes, and be no network mode",
    |text| {
        let modes = ["default", "host", "bridge", "none", "private", "container", "ns", "pasta", "slirp4netns"];
        text.len() <= 63 && is_word(text) && !modes.contains(&text)
    }
}

validated_text! {
    /// The name of a secret in the engine's store, `[A-Za-z0-9][A-Za-z0-9_-]*`, at most 128 bytes.
    SecretName, "secret", "must match [A-Za-z0-9][A-Za-z0-9_-]* and be at most 128 bytes long",
    is_resource
}

validated_text! {
    /// The name of a volume that the engine keeps, `[A-Za-z0-9][A-Za-z0-9_-]*`, at most 128 bytes.
    VolumeName, "volume", "must match [A-Za-z0-9][A-Za-z0-9_-]* and be at most 128 bytes long",
    is_resource
}

/// No dot: Quadlet reads `x.volume` as the name of a unit.
fn is_resource(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

validated_text! {
    /// A host name after RFC 1123, lower case, at most 253 bytes.
    HostName, "host name", "must be a lower-case host name",
    |text| {
        text.len() <= 253
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    }
}

/// A name that resolves to a given address inside the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExtraHost {
    /// The name.
    pub name: HostName,
    /// Its address; the host itself (Podman's `host-gateway`) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}
