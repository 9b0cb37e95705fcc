//! What podman says of its images, and what that means for a source. Pure.
//!
//! Each entry of an answer is read by itself, within a bound. One that is not understood concerns the
//! companions whose image it may be about, and no others.

use std::sync::Arc;

use companion_core::model::image::{ImageId, ImageRef, ImageSource, PresentImage, Provenance};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::command::output::shown;
use crate::error::{PodmanError, Verb};

/// The longest entry that is read, in bytes.
const ENTRY_LIMIT: usize = 256 * 1024;

/// One image of `podman images --format json`, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedImage {
    id: ImageId,
    #[serde(flatten)]
    names: Names,
    labels: Option<Labels>,
    containers: Option<i64>,
    dangling: Option<bool>,
    /// The names that it has or had.
    history: Option<Vec<String>>,
}

/// What an image is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    names: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// Those labels of an image that builds of ours give it.
#[derive(Debug, Clone, Deserialize)]
struct Labels {
    #[serde(rename = "companion.context")]
    context: Option<String>,
    #[serde(rename = "companion.source")]
    source: Option<String>,
}

/// An entry that is not understood.
#[derive(Debug, Clone)]
struct Unreadable {
    /// What it is about, if that much is understood.
    names: Option<Names>,
    reason: Arc<PodmanError>,
}

/// The images of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    images: Vec<ListedImage>,
    unreadable: Vec<Unreadable>,
}

/// One image of `podman image inspect`, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InspectedImage {
    pub(crate) id: ImageId,
    #[serde(flatten)]
    pub(crate) platform: Platform,
}

/// What an image's programs run on, in the words of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
}

impl Platform {
    /// What this program runs on.
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

/// Escaped and cut: both words are the registry's, which can put anything into an image's configuration.
impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))
    }
}

/// The entries of the JSON array in `answer`, unread; none for `null`, which Podman 4 prints.
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

/// Reads `answer` as `podman image inspect`; an entry that is not understood is left out.
///
/// # Errors
/// [`PodmanError::Unreadable`] for an answer that is no array.
pub(crate) fn inspected(answer: &[u8]) -> Result<Vec<InspectedImage>, PodmanError> {
    let (call, text) = (Verb::ImageInspect, String::from_utf8_lossy(answer));
    let read = |raw: &RawValue| entry(call, raw.get()).ok();
    Ok(entries(call, &text)?.into_iter().filter_map(read).collect())
}

impl Listing {
    /// Reads `answer` as `podman images --format json`.
    ///
    /// # Errors
    /// [`PodmanError::Unreadable`] for an answer that is no array.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, PodmanError> {
        let (call, text) = (Verb::Images, String::from_utf8_lossy(answer));
        let mut listing = Self::default();
        for raw in entries(call, &text)? {
            match entry(call, raw.get()) {
                Ok(image) => listing.images.push(image),
                Err(reason) => {
                    tracing::debug!(%reason, "passing over an image");
                    let names = serde_json::from_str(raw.get()).ok();
                    listing.unreadable.push(Unreadable { names, reason: Arc::new(reason) });
                }
            }
        }
        Ok(listing)
    }

    /// The ids of all images that are understood.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ImageId> {
        self.images.iter().map(|image| &image.id)
    }

    /// Whether the image `id` is one that a newer build replaced, without a name and unused.
    pub(crate) fn is_leftover(&self, id: &ImageId) -> bool {
        self.images.iter().any(|image| image.id == *id && image.is_leftover())
    }

    /// The images of stages, of whosever builds: without a name, unused, and never with any name but
    /// those that buildah gives for a moment.
    pub(crate) fn stages(&self) -> impl Iterator<Item = &ImageId> {
        self.images.iter().filter(|image| image.is_stage()).map(|image| &image.id)
    }

    /// The image that a companion of `source` would be started from: the one built here if it is
    /// there, else the one pulled.
    ///
    /// # Errors
    /// An entry that may be about this image is not understood.
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

    /// The images that builds for `source` left behind.
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

    /// How it came to be what `reference` names; ours only by both of our labels.
    fn provenance(&self, reference: &ImageRef) -> Provenance {
        let ours = self.source() == Some(reference.as_str());
        match self.context().and_then(|text| text.parse().ok()) {
            Some(context) if ours => Provenance::Built { context },
            _ => Provenance::External,
        }
    }

    /// Whether nothing names it and no container uses it.
    fn is_unused(&self) -> bool {
        self.names.names.as_ref().is_none_or(Vec::is_empty)
            && self.dangling == Some(true)
            && self.containers.unwrap_or(0) <= 0
    }

    /// Whether this was built for the reference it names as its source, and lost that name since.
    ///
    /// An image that someone builds on top of ours inherits the labels; that it once had the name,
    /// it does not.
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

/// Whether buildah names an image so until it is whole: `<registry>/…/<64 hexadecimal digits>-tmp:latest`.
fn is_temporary(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    let random = last.strip_suffix("-tmp:latest").unwrap_or_default();
    random.len() == 64 && random.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The reference as podman keeps it: with a tag, or with a digest and no tag.
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
