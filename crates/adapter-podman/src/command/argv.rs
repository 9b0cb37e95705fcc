//! [`Call`]: the arguments of each call, as pure functions.
//!
//! A value is part of its option's argument (`--tag=…`) or follows `--`, so it cannot become an option. No argument
//! contains a secret, because every user of the host can read arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, PullSource};
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use image_source::text::shown;
use image_source::{Build, Context};

use super::call_id::CallId;
use crate::image_provider::listing::Format;

/// The build argument that identifies our builds.
pub(super) const ARGUMENT: &str = "COMPANION_BUILD";

/// The creation time of the images that are built, in seconds since 1970.
pub(crate) const BUILD_TIMESTAMP: i64 = 0;

/// What a call does, which decides what it needs in addition to its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads.
    Query,
    /// Changes a name, an image or a container within seconds.
    Change,
    /// Writes an archive.
    Save,
    /// Loads an archive.
    Load,
    /// Builds an image.
    Build,
    /// Pulls an image.
    Pull,
}

impl Kind {
    /// Returns whether it contacts registries.
    pub(crate) fn uses_network(self) -> bool {
        matches!(self, Self::Build | Self::Pull)
    }

    /// Returns whether what it prints is read.
    pub(crate) fn has_answer(self) -> bool {
        !matches!(self, Self::Build | Self::Pull | Self::Save)
    }

    /// Returns whether it copies images, which takes long and needs a temporary directory.
    pub(crate) fn copies_images(self) -> bool {
        !matches!(self, Self::Query | Self::Change)
    }
}

/// A call of podman. Displayed without its options, such as `podman image inspect`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) args: Vec<String>,
    pub(super) id: CallId,
}

impl Call {
    /// Returns a call with these arguments, which are separated by blanks.
    fn new(kind: Kind, args: &str) -> Self {
        Self { kind, args: args.split(' ').map(str::to_owned).collect(), id: CallId::next() }
    }

    fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Adds the arguments after `--`.
    fn operands(self, operands: impl IntoIterator<Item: ToString>) -> Self {
        let operands = operands.into_iter().map(|operand| operand.to_string());
        self.args(["--".to_owned()]).args(operands)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = if self.args.first().is_some_and(|word| word == "image") { 2 } else { 1 };
        write!(f, "podman {}", self.args[..count.min(self.args.len())].join(" "))
    }
}

pub(crate) fn version() -> Call {
    Call::new(Kind::Query, "--version")
}

pub(crate) fn info() -> Call {
    Call::new(Kind::Query, "info --format=json")
}

/// Lists all images with a name, and dangling ones, but no intermediate layers.
pub(crate) fn images() -> Call {
    Call::new(Kind::Query, "images --no-trunc --format=json")
}

pub(crate) fn inspect_images<'a>(ids: impl IntoIterator<Item = &'a ImageId>) -> Call {
    Call::new(Kind::Query, "image inspect").operands(ids)
}

/// Builds reproducibly: the same context gives the same image, because the creation time is fixed.
///
/// `--pull=missing` is Podman's default: the base image is pulled if it is missing, and no registry is contacted
/// otherwise. Certificates are always verified. `--layers=false` and `--force-rm` leave nothing but the image: with
/// layers, Podman's default, the images of all stages stay as a cache. Podman can label the images of stages from 4.7 on;
/// what an older one leaves of them when it is killed stays.
///
/// # Errors
/// `Invalid` for an invalid build argument.
pub(crate) fn build(build: &Build<'_>, labels_stages: bool) -> PortResult<Call> {
    let Build { source, context: Context { directory, file, .. }, labels, stage_labels } = build;
    let directory = directory.display();
    let call = Call::new(Kind::Build, "build --pull=missing --layers=false --force-rm");
    let labeled = |option: &'static str, labels: &BTreeMap<String, String>| {
        let args = labels.iter().map(move |(label, value)| format!("{option}={label}={value}"));
        args.collect::<Vec<_>>()
    };
    let stages = if labels_stages { labeled("--layer-label", stage_labels) } else { Vec::new() };
    let identity = format!("--build-arg={ARGUMENT}={}", call.id);
    let call = call
        .args([format!("--timestamp={BUILD_TIMESTAMP}")])
        .args(labeled("--label", labels))
        .args(stages)
        .args([format!("--tag={}", source.reference)])
        .args(build_arguments(&source.arguments)?)
        .args([identity, format!("--file={directory}/{file}")]);
    Ok(call.operands([directory]))
}

fn build_arguments(arguments: &BTreeMap<String, String>) -> PortResult<Vec<String>> {
    let refuse = |name: &str, rule| {
        let message = format!("build argument `{}` {rule}", shown(name));
        Err(PortError::new(PortErrorKind::Invalid, message))
    };
    let mut args = Vec::new();
    for (name, value) in arguments {
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return refuse(name, "must be of the form [A-Za-z_][A-Za-z0-9_]*");
        }
        if value.contains('\0') {
            return refuse(name, "must not hold a NUL");
        }
        args.push(format!("--build-arg={name}={value}"));
    }
    Ok(args)
}

/// Retries are Podman's default (three within seconds); the option to change them came with Podman 5.
pub(crate) fn pull(source: &PullSource) -> Call {
    let unverified = (!source.verify_tls).then(|| "--tls-verify=false".to_owned());
    Call::new(Kind::Pull, "pull --quiet").args(unverified).operands([&source.reference])
}

/// Writes an archive. By ID, so that the archive contains no name, and in the format of the image's manifest, because a
/// conversion changes the ID.
pub(crate) fn save(id: &ImageId, path: &Path, format: Format) -> Call {
    let format = match format {
        Format::Oci => "oci-archive",
        Format::Docker => "docker-archive",
    };
    let options = [format!("--format={format}"), format!("--output={}", path.display())];
    Call::new(Kind::Save, "save --quiet").args(options).operands([id])
}

pub(crate) fn load(path: &Path) -> Call {
    Call::new(Kind::Load, "load --quiet").args([format!("--input={}", path.display())])
}

pub(crate) fn tag(id: &ImageId, name: &ImageRef) -> Call {
    Call::new(Kind::Change, "tag").operands([id.to_string(), name.to_string()])
}

/// Without force: an image that is in use or has a name again stays.
pub(crate) fn remove_image(id: &ImageId) -> Call {
    Call::new(Kind::Change, "image rm").operands([id])
}

/// With force, because a damaged image cannot always be removed without.
pub(crate) fn discard_image(id: &ImageId) -> Call {
    Call::new(Kind::Change, "image rm --force").operands([id])
}

/// Lists the containers that match one of `filters`.
fn list_containers(filters: impl IntoIterator<Item = String>) -> Call {
    Call::new(Kind::Query, "ps --all --no-trunc --format=json").args(filters)
}

/// Lists the containers that use the image `id`.
pub(crate) fn containers_of(id: &ImageId) -> Call {
    list_containers([format!("--filter=ancestor={id}")])
}

/// Lists the containers at `names`; each filter is a regular expression.
pub(crate) fn containers(names: &BTreeSet<CompanionName>) -> Call {
    list_containers(names.iter().map(|name| format!("--filter=name=^{name}$")))
}

/// With force and with anonymous volumes; a missing container is a success.
pub(crate) fn remove_container(id: &str) -> Call {
    Call::new(Kind::Change, "rm --force --time=10 --ignore --volumes").operands([id])
}

/// Runs `true` of an image that is present, without a network, a log and a name, and removes the container.
pub(crate) fn try_start(image: &ImageRef) -> Call {
    let options = "run --rm --pull=never --network=none --log-driver=none --read-only \
                   --cap-drop=all --security-opt=no-new-privileges --entrypoint=true";
    Call::new(Kind::Change, options).operands([image])
}

#[cfg(test)]
mod tests;
