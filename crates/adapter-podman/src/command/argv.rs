//! The arguments of each call, as pure functions.
//!
//! A value is part of its option's argument (`--tag=…`) or follows `--`, so it cannot become an option. No argument
//! contains a secret, because every user of the host can read arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, PullSource};
use image_source::text::shown;
use image_source::{Build, Context};

use super::abandoned::{ARGUMENT, BuildId};
use crate::error::PodmanError;
use crate::image_provider::listing::Format;

/// The creation time of the images that are built, in seconds since 1970.
pub(crate) const BUILD_TIMESTAMP: i64 = 0;

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

pub(crate) fn version() -> Vec<String> {
    words(["--version"])
}

pub(crate) fn info() -> Vec<String> {
    words(["info", "--format=json"])
}

/// Lists all images with a name, and dangling ones, but no intermediate layers.
pub(crate) fn images() -> Vec<String> {
    words(["images", "--no-trunc", "--format=json"])
}

pub(crate) fn inspect_images<'a>(ids: impl IntoIterator<Item = &'a ImageId>) -> Vec<String> {
    let mut args = words(["image", "inspect", "--"]);
    args.extend(ids.into_iter().map(ToString::to_string));
    args
}

/// Builds reproducibly: the same context gives the same image, because the creation time is fixed.
///
/// `--pull=missing` is Podman's default: the base image is pulled if it is missing, and no registry is contacted
/// otherwise. Certificates are always verified. `--layers=false` and `--force-rm` leave nothing but the image: with
/// layers, Podman's default, the images of all stages stay as a cache. Podman can label the images of stages from 4.7 on;
/// what an older one leaves of them when it is killed stays.
///
/// # Errors
/// [`PodmanError::Argument`] for an invalid build argument.
pub(crate) fn build(
    build: &Build<'_>,
    id: BuildId,
    labels_stages: bool,
) -> Result<Vec<String>, PodmanError> {
    let Build { source, context: Context { directory, file, .. }, labels, stage_labels } = build;
    let directory = directory.display();
    let mut args = words(["build", "--pull=missing", "--layers=false", "--force-rm"]);
    args.push(format!("--timestamp={BUILD_TIMESTAMP}"));
    args.extend(labels.iter().map(|(label, value)| format!("--label={label}={value}")));
    if labels_stages {
        let labels = stage_labels.iter();
        args.extend(labels.map(|(label, value)| format!("--layer-label={label}={value}")));
    }
    args.push(format!("--tag={}", source.reference));
    args.extend(build_arguments(&source.arguments)?);
    args.push(format!("--build-arg={ARGUMENT}={id}"));
    args.push(format!("--file={directory}/{file}"));
    args.push("--".to_owned());
    args.push(directory.to_string());
    Ok(args)
}

fn build_arguments(arguments: &BTreeMap<String, String>) -> Result<Vec<String>, PodmanError> {
    let refuse = |name: &str, rule| {
        let name = shown(name);
        Err(PodmanError::Argument { name, rule })
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
pub(crate) fn pull(source: &PullSource) -> Vec<String> {
    let mut args = words(["pull", "--quiet"]);
    if !source.verify_tls {
        args.push("--tls-verify=false".to_owned());
    }
    args.push("--".to_owned());
    args.push(source.reference.to_string());
    args
}

/// Writes an archive. By ID, so that the archive contains no name, and in the format of the image's manifest, because a
/// conversion changes the ID.
pub(crate) fn save(id: &ImageId, path: &Path, format: Format) -> Vec<String> {
    let format = match format {
        Format::Oci => "oci-archive",
        Format::Docker => "docker-archive",
    };
    let mut args = words(["save", "--quiet"]);
    args.push(format!("--format={format}"));
    args.push(format!("--output={}", path.display()));
    args.push("--".to_owned());
    args.push(id.to_string());
    args
}

pub(crate) fn load(path: &Path) -> Vec<String> {
    let mut args = words(["load", "--quiet"]);
    args.push(format!("--input={}", path.display()));
    args
}

pub(crate) fn tag(id: &ImageId, name: &ImageRef) -> Vec<String> {
    let mut args = words(["tag", "--"]);
    args.extend([id.to_string(), name.to_string()]);
    args
}

/// Without force: an image that is in use or has a name again stays.
pub(crate) fn remove_image(id: &ImageId) -> Vec<String> {
    let mut args = words(["image", "rm", "--"]);
    args.push(id.to_string());
    args
}

/// With force, because a damaged image cannot always be removed without.
pub(crate) fn discard_image(id: &ImageId) -> Vec<String> {
    let mut args = words(["image", "rm", "--force", "--"]);
    args.push(id.to_string());
    args
}

/// Lists the containers that use the image `id`.
pub(crate) fn containers_of(id: &ImageId) -> Vec<String> {
    let mut args = words(["ps", "--all", "--no-trunc", "--format=json"]);
    args.push(format!("--filter=ancestor={id}"));
    args
}

/// Lists the containers at `names`; filters with the same key are alternatives, and each is a regular expression.
pub(crate) fn containers(names: &BTreeSet<CompanionName>) -> Vec<String> {
    let mut args = words(["ps", "--all", "--no-trunc", "--format=json"]);
    args.extend(names.iter().map(|name| format!("--filter=name=^{name}$")));
    args
}

/// With force and with anonymous volumes; a missing container is a success.
pub(crate) fn remove_container(id: &str) -> Vec<String> {
    let mut args = words(["rm", "--force", "--time=10", "--ignore", "--volumes", "--"]);
    args.push(id.to_owned());
    args
}

/// Runs `true` of an image that is present, without a network, a log and a name, and removes the container.
pub(crate) fn try_start(image: &ImageRef) -> Vec<String> {
    let mut args = words(["run", "--rm", "--pull=never", "--network=none", "--log-driver=none"]);
    args.extend(words(["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]));
    args.extend(words(["--entrypoint=true", "--"]));
    args.push(image.to_string());
    args
}

#[cfg(test)]
mod tests;
