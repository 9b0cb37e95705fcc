//! Parses podman's image lists and evaluates them for a source. Pure.
//!
//! Each entry of an answer is parsed separately, within a size limit. An invalid entry affects only the companions
//! whose image it may be.

use std::sync::Arc;

use companion_core::model::image::{ImageId, ImageRef, ImageSource, PresentImage, Provenance};
use image_source::text::shown;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{PodmanError, Verb};

/// Maximum size of an entry in bytes.
const ENTRY_LIMIT: usize = 256 * 1024;

/// The used fields of an image in `podman images --format json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedImage {
    id: ImageId,
    #[serde(flatten)]
    names: Names,
    labels: Option<Labels>,
    containers: Option<i64>,
    dangling: Option<bool>,
    /// Its current and former names.
    history: Option<Vec<String>>,
}

/// The names of an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    names: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// The labels that our builds set.
#[derive(Debug, Clone, Deserialize)]
struct Labels {
    #[serde(rename = "companion.context")]
    context: Option<String>,
    #[serde(rename = "companion.source")]
    source: Option<String>,
}

/// An invalid entry.
#[derive(Debug, Clone)]
struct Unreadable {
    /// Its names, if readable.
    names: Option<Names>,
    reason: Arc<PodmanError>,
}

/// The images of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    images: Vec<ListedImage>,
    unreadable: Vec<Unreadable>,
}

/// The used fields of an image in `podman image inspect`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InspectedImage {
    pub(crate) id: ImageId,
    #[serde(flatten)]
    pub(crate) platform: Platform,
}

/// The platform of an image, in terms of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
}

impl Platform {
    /// Returns this program's platform.
    pub(crate) fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            same => same,
        };
        Self { os: std::env::consts::OS.to_owned(), architecture: architecture.to_owned() }
    }
}

/// Escaped and truncated: both values come from the registry's image configuration, which can contain anything.
impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))
    }
}

/// Returns the unparsed entries of the JSON array in `answer`; none for `null`, which Podman 4 prints.
fn entries(call: Verb, answer: &str) -> Result<Vec<&RawValue>, PodmanError> {
    let entries: Option<Vec<&RawValue>> =
        serde_json::from_str(answer).map_err(|source| PodmanError::Unreadable { call, source })?;
    Ok(entries.unwrap_or_default())
}

fn entry<'a, T: Deserialize<'a>>(call: Verb, text: &'a str) -> Result<T, PodmanError> {
    let read = match text.len() {
        ..=ENTRY_LIMIT => serde_json::from_str(text),
        length => {
            let why = format!("an entry has {length} bytes, more than {ENTRY_LIMIT}");
            Err(serde::de::Error::custom(why))
        }
    };
    read.map_err(|source| PodmanError::Unreadable { call, source })
}

/// Parses `answer` as `podman image inspect`; skips invalid entries.
///
/// # Errors
/// [`PodmanError::Unreadable`] if the answer is not an array.
pub(crate) fn inspected(answer: &[u8]) -> Result<Vec<InspectedImage>, PodmanError> {
    let (call, text) = (Verb::ImageInspect, String::from_utf8_lossy(answer));
    let read = |raw: &RawValue| entry(call, raw.get()).ok();
    Ok(entries(call, &text)?.into_iter().filter_map(read).collect())
}

impl Listing {
    /// Parses `answer` as `podman images --format json`.
    ///
    /// # Errors
    /// [`PodmanError::Unreadable`] if the answer is not an array.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, PodmanError> {
        let (call, text) = (Verb::Images, String::from_utf8_lossy(answer));
        let mut listing = Self::default();
        for raw in entries(call, &text)? {
            match entry(call, raw.get()) {
                Ok(image) => listing.images.push(image),
                Err(reason) => {
                    tracing::debug!(%reason, "skipping an unreadable image");
                    let names = serde_json::from_str(raw.get()).ok();
                    listing.unreadable.push(Unreadable { names, reason: Arc::new(reason) });
                }
            }
        }
        Ok(listing)
    }

    /// Returns the IDs of all valid images.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ImageId> {
        self.images.iter().map(|image| &image.id)
    }

    /// Returns whether the image `id` was replaced by a newer build, and is nameless and unused.
    pub(crate) fn is_leftover(&self, id: &ImageId) -> bool {
        self.images.iter().any(|image| image.id == *id && image.is_leftover())
    }

    /// Returns the stage images of any builds: nameless, unused, and never with a name except buildah's temporary ones.
    pub(crate) fn stages(&self) -> impl Iterator<Item = &ImageId> {
        self.images.iter().filter(|image| image.is_stage()).map(|image| &image.id)
    }

    /// Returns the image that a companion of `source` would start from: the built one if present, otherwise the pulled
    /// one.
    ///
    /// # Errors
    /// An entry that may be this image is invalid.
    pub(crate) fn present(
        &self,
        source: &ImageSource,
    ) -> Result<Option<PresentImage>, Arc<PodmanError>> {
        let built = source.build.as_ref().map(|build| &build.reference);
        let pulled = source.pull.as_ref().map(|pull| &pull.reference);
        for reference in built.into_iter().chain(pulled) {
            if let Some(image) = self.images.iter().find(|image| image.names.have(reference)) {
                let provenance = match Some(reference) == built {
                    true => image.provenance(reference),
                    false => Provenance::External,
                };
                let (reference, id) = (reference.clone(), image.id.clone());
                return Ok(Some(PresentImage { reference, id, provenance }));
            }
            let is_it = |one: &&Unreadable| one.names.as_ref().is_none_or(|n| n.have(reference));
            if let Some(unreadable) = self.unreadable.iter().find(is_it) {
                return Err(Arc::clone(&unreadable.reason));
            }
        }
        Ok(None)
    }

    /// Returns the dangling images of builds for `source`.
    pub(crate) fn leftovers(&self, source: &ImageSource) -> Vec<ImageId> {
        let Some(build) = &source.build else {
            return Vec::new();
        };
        self.images
            .iter()
            .filter(|image| image.is_leftover())
            .filter(|image| image.source() == Some(build.reference.as_str()))
            .map(|image| image.id.clone())
            .collect()
    }
}

impl Names {
    fn have(&self, reference: &ImageRef) -> bool {
        let wanted = full_name(reference);
        let named =
            |names: &Option<Vec<String>>| names.iter().flatten().any(|name| *name == wanted);
        named(&self.names) || (wanted.contains('@') && named(&self.repo_digests))
    }
}

impl ListedImage {
    fn source(&self) -> Option<&str> {
        self.labels.as_ref()?.source.as_deref()
    }

    fn context(&self) -> Option<&str> {
        self.labels.as_ref()?.context.as_deref()
    }

    /// Returns the provenance of the image with the name `reference`; ours only with both of our labels.
    fn provenance(&self, reference: &ImageRef) -> Provenance {
        let ours = self.source() == Some(reference.as_str());
        match self.context().and_then(|text| text.parse().ok()) {
            Some(context) if ours => Provenance::Built { context },
            _ => Provenance::External,
        }
    }

    /// Returns whether no name refers to it and no container uses it.
    fn is_unused(&self) -> bool {
        self.names.names.as_ref().is_none_or(Vec::is_empty)
            && self.dangling == Some(true)
            && self.containers.unwrap_or(0) <= 0
    }

    /// Returns whether it was built for the reference in its source label and has lost that name.
    ///
    /// An image built on top of ours inherits the labels, but not the former name.
    fn is_leftover(&self) -> bool {
        let had = |source: &str| self.history.iter().flatten().any(|name| name == source);
        let source = self.source();
        self.is_unused()
            && self.context().is_some()
            && source.is_some_and(|source| {
                ImageRef::new(source).is_ok_and(|reference| had(&full_name(&reference)))
            })
    }

    fn is_stage(&self) -> bool {
        let mut had = self.history.iter().flatten().peekable();
        self.is_unused() && had.peek().is_some() && had.all(|name| is_temporary(name))
    }
}

/// Returns whether this is buildah's temporary name for an incomplete image: `<registry>/…/<64 hexadecimal
/// digits>-tmp:latest`.
fn is_temporary(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    let random = last.strip_suffix("-tmp:latest").unwrap_or_default();
    random.len() == 64 && random.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns the reference in podman's form: with a tag, or with a digest and no tag.
fn full_name(reference: &ImageRef) -> String {
    let text = reference.as_str();
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let path_start = name.find('/').unwrap_or(0);
    let colon = name.get(path_start..).and_then(|path| path.find(':'));
    match (digest, colon) {
        (Some(digest), Some(colon)) => {
            let bare = name.get(..path_start + colon).unwrap_or(name);
            format!("{bare}@{digest}")
        }
        (Some(_), None) | (None, Some(_)) => text.to_owned(),
        (None, None) => format!("{text}:latest"),
    }
}

#[cfg(test)]
mod tests;
