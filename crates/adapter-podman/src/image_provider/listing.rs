//! Parses podman's image lists. Pure.
//!
//! Each entry of an answer is parsed separately, within a size limit.

use std::collections::BTreeMap;

use companion_core::model::image::{ImageId, ImageRef};
use image_source::{
    EngineResult, ListedImage, Listing, Platform, SOURCE_LABEL, UnreadableImage, full_name,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::command::argv::BUILD_TIMESTAMP;
use crate::error;

/// Maximum size of an entry in bytes.
const ENTRY_LIMIT: usize = 256 * 1024;

/// The used fields of an image in `podman images --format json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: ImageId,
    #[serde(flatten)]
    names: Names,
    labels: Option<BTreeMap<String, String>>,
    containers: Option<i64>,
    dangling: Option<bool>,
    /// Its current and former names.
    history: Option<Vec<String>>,
    /// In seconds since 1970.
    created: Option<i64>,
}

/// The names of an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    names: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// The format of an image's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// That of the OCI.
    Oci,
    /// That of Docker, version 2.
    Docker,
}

/// The used fields of an image in `podman image inspect`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    id: ImageId,
    os: String,
    architecture: String,
    labels: Option<BTreeMap<String, String>>,
    size: Option<u64>,
    manifest_type: Option<String>,
}

/// An inspected image.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    pub(crate) platform: Platform,
    pub(crate) labels: BTreeMap<String, String>,
    /// In bytes, uncompressed.
    pub(crate) size: u64,
    pub(crate) format: Format,
}

impl Names {
    fn all(self) -> Vec<String> {
        self.names.into_iter().chain(self.repo_digests).flatten().collect()
    }
}

impl From<Entry> for ListedImage {
    fn from(entry: Entry) -> Self {
        let is_nameless = entry.names.names.as_ref().is_none_or(Vec::is_empty);
        let is_unused = entry.dangling == Some(true) && entry.containers.unwrap_or(0) <= 0;
        let labels = entry.labels.unwrap_or_default();
        let mut former_names = entry.history.unwrap_or_default();
        if is_nameless && former_names.is_empty() && entry.created == Some(BUILD_TIMESTAMP) {
            former_names.extend(intended_name(&labels));
        }
        let (id, names) = (entry.id, entry.names.all());
        Self { id, names, former_names, labels, is_dangling: is_nameless && is_unused }
    }
}

/// Returns the name that a result of our build was to get. buildah gives it after it has written the image, so a podman
/// that is killed in between leaves an image that never had a name. An image that somebody built on top of ours inherits
/// the labels, but not the timestamp.
fn intended_name(labels: &BTreeMap<String, String>) -> Option<String> {
    ImageRef::new(labels.get(SOURCE_LABEL)?).ok().map(|reference| full_name(&reference))
}

/// Returns the unparsed entries of the JSON array in `answer`; none for `null`, which Podman 4 prints.
fn entries<'a>(call: &str, answer: &'a str) -> EngineResult<Vec<&'a RawValue>> {
    let entries: Option<Vec<&RawValue>> =
        serde_json::from_str(answer).map_err(|why| error::unreadable(call, why))?;
    Ok(entries.unwrap_or_default())
}

fn entry<'a, T: Deserialize<'a>>(call: &str, entry: &'a RawValue) -> EngineResult<T> {
    let length = entry.get().len();
    if length > ENTRY_LIMIT {
        let why = format!("an entry has {length} bytes, more than {ENTRY_LIMIT}");
        return Err(error::unreadable(call, why));
    }
    serde_json::from_str(entry.get()).map_err(|why| error::unreadable(call, why))
}

/// Parses `answer` as `podman image inspect`; skips invalid entries.
///
/// # Errors
/// `Unavailable` if the answer is not an array.
pub(crate) fn inspected(answer: &[u8]) -> EngineResult<BTreeMap<ImageId, Inspected>> {
    let (call, text) = ("podman image inspect", String::from_utf8_lossy(answer));
    let read = |raw: &RawValue| {
        let details: Details = entry(call, raw).ok()?;
        let is_docker = details.manifest_type.is_some_and(|name| name.contains(".docker."));
        let image = Inspected {
            platform: Platform { os: details.os, architecture: details.architecture },
            labels: details.labels.unwrap_or_default(),
            size: details.size.unwrap_or(u64::MAX),
            format: if is_docker { Format::Docker } else { Format::Oci },
        };
        Some((details.id, image))
    };
    Ok(entries(call, &text)?.into_iter().filter_map(read).collect())
}

/// Returns the images in the output of `podman load`: one line for each, with its name or its ID.
pub(crate) fn loaded(answer: &[u8]) -> Vec<ImageId> {
    let text = String::from_utf8_lossy(answer);
    let ids = text.lines().filter_map(|line| ImageId::new(line.rsplit(' ').next()?).ok());
    ids.collect()
}

/// Parses `answer` as `podman images --format json`.
///
/// # Errors
/// `Unavailable` if the answer is not an array.
pub(crate) fn parse(answer: &[u8]) -> EngineResult<Listing> {
    let (call, text) = ("podman images", String::from_utf8_lossy(answer));
    let mut listing = Listing::default();
    for raw in entries(call, &text)? {
        match entry::<Entry>(call, raw) {
            Ok(image) => listing.images.push(image.into()),
            Err(error) => {
                tracing::debug!(reason = %error, "skipping an unreadable image");
                let names = serde_json::from_str(raw.get()).ok().map(Names::all);
                listing.unreadable.push(UnreadableImage { names, error });
            }
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests;
