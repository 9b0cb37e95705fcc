//! What podman says of its images, and what that means for a source. Pure.

use std::collections::BTreeMap;

use companion_core::model::image::{ImageId, ImageRef, ImageSource, PresentImage, Provenance};
use serde::{Deserialize, Serialize};

use crate::command::argv::{CONTEXT_LABEL, SOURCE_LABEL};
use crate::command::output::shown;

/// One image of `podman images --format json`, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListedImage {
    pub(crate) id: String,
    names: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    containers: Option<i64>,
    dangling: Option<bool>,
    /// The names that it has or had.
    history: Option<Vec<String>>,
}

/// One image of `podman image inspect`, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InspectedImage {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) platform: Platform,
}

/// What an image's programs run on, in the words of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl ListedImage {
    /// Drops the labels that nothing here asks for; images of others carry many.
    pub(crate) fn keep_our_labels(&mut self) {
        if let Some(labels) = &mut self.labels {
            labels.retain(|name, _| name == CONTEXT_LABEL || name == SOURCE_LABEL);
        }
    }

    fn has_name(&self, reference: &ImageRef) -> bool {
        let wanted = full_name(reference);
        let named =
            |names: &Option<Vec<String>>| names.iter().flatten().any(|name| *name == wanted);
        named(&self.names) || (wanted.contains('@') && named(&self.repo_digests))
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// How it came to be what `reference` names; ours only by both of our labels.
    fn provenance(&self, reference: &ImageRef) -> Provenance {
        let ours = self.label(SOURCE_LABEL) == Some(reference.as_str());
        match self.label(CONTEXT_LABEL).and_then(|text| text.parse().ok()) {
            Some(context) if ours => Provenance::Built { context },
            _ => Provenance::Foreign,
        }
    }

    /// Whether this was built for the reference it names as its source, and lost that name since.
    ///
    /// An image that someone builds on top of ours inherits the labels; that it once had the name,
    /// it does not.
    pub(crate) fn is_leftover(&self) -> bool {
        let had = |source: &str| self.history.iter().flatten().any(|name| name == source);
        let source = self.label(SOURCE_LABEL);
        let nameless = self.names.as_ref().is_none_or(Vec::is_empty);
        nameless
            && self.dangling == Some(true)
            && self.containers.unwrap_or(0) <= 0
            && self.label(CONTEXT_LABEL).is_some()
            && source.is_some_and(|source| {
                ImageRef::new(source).is_ok_and(|reference| had(&full_name(&reference)))
            })
    }
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

/// The image that a companion of `source` would be started from: the one built here if it is there,
/// else the one pulled.
pub(crate) fn present(source: &ImageSource, images: &[ListedImage]) -> Option<PresentImage> {
    let built = source.build.as_ref().map(|build| &build.reference);
    let pulled = source.pull.as_ref().map(|pull| &pull.reference);
    let find = |reference: &ImageRef| {
        let image = images.iter().find(|image| image.has_name(reference))?;
        let id = ImageId::new(&image.id).ok()?;
        let provenance = match Some(reference) == built {
            true => image.provenance(reference),
            false => Provenance::Foreign,
        };
        Some(PresentImage { reference: reference.clone(), id, provenance })
    };
    built.and_then(find).or_else(|| pulled.and_then(find))
}

/// The images that builds for `source` left behind.
pub(crate) fn leftovers(source: &ImageSource, images: &[ListedImage]) -> Vec<ImageId> {
    let Some(build) = &source.build else {
        return Vec::new();
    };
    images
        .iter()
        .filter(|image| image.is_leftover())
        .filter(|image| image.label(SOURCE_LABEL) == Some(build.reference.as_str()))
        .filter_map(|image| ImageId::new(&image.id).ok())
        .collect()
}

#[cfg(test)]
mod tests;
