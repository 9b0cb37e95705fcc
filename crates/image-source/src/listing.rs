//! [`Listing`]: what an engine has, and what of it belongs to a source. Pure.

use std::collections::BTreeMap;
use std::fmt;

use companion_core::model::image::{
    BuildSource, ImageId, ImageRef, ImageSource, PresentImage, Provenance,
};
use companion_core::model::revision::Fingerprint;

use crate::engine::{CONTEXT_LABEL, EngineError, EngineResult, SOURCE_LABEL, STAGE_PREFIX};
use crate::text::shown;

/// The images of an engine.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The images.
    pub images: Vec<ListedImage>,
    /// The images that the engine could not describe; each affects only the companions whose image it may be.
    pub unreadable: Vec<UnreadableImage>,
}

/// An image of an engine.
#[derive(Debug, Clone)]
pub struct ListedImage {
    /// Its ID.
    pub id: ImageId,
    /// Its names in full, each with registry, path, and tag or digest.
    pub names: Vec<String>,
    /// The full names that it had, or was to get when its build was interrupted. They distinguish an image of ours from one that was built on top of it, which inherits its
    /// labels. An image without them is never removed.
    pub former_names: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has no tag, and neither a container nor another image uses it.
    pub is_dangling: bool,
}

/// An image that the engine could not describe.
#[derive(Debug, Clone)]
pub struct UnreadableImage {
    /// Its names, if at least those are known.
    pub names: Option<Vec<String>>,
    /// Why it could not be described.
    pub error: EngineError,
}

/// The platform of an image, in terms of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture, such as `amd64`.
    pub architecture: String,
}

impl Platform {
    /// Returns this program's platform.
    pub fn host() -> Self {
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
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))
    }
}

impl Listing {
    /// Returns the reference that the image `id` was built for, if it is dangling: nameless and unused.
    pub(crate) fn dangling_of(&self, id: &ImageId) -> Option<ImageRef> {
        self.images.iter().find(|image| image.id == *id)?.dangling_of()
    }

    /// Returns the image that a companion of `source` would start from: the built one if present, otherwise the pulled
    /// one, otherwise an unmanaged one with the name of the build. An image was built here if it has both of our labels
    /// for this source, and `is_built` of its ID.
    ///
    /// # Errors
    /// An unreadable image may be this image.
    pub fn present(
        &self,
        source: &ImageSource,
        is_built: impl Fn(&ImageId) -> bool,
    ) -> EngineResult<Option<PresentImage>> {
        let mut unmanaged = None;
        let built = source.build.as_ref().map(|build| &build.reference);
        let pulled = source.pull.as_ref().map(|pull| &pull.reference);
        for reference in built.into_iter().chain(pulled) {
            let name = full_name(reference);
            if let Some(image) = self.images.iter().find(|image| image.names.contains(&name)) {
                let provenance = match image.built_from(reference) {
                    _ if Some(reference) != built => Provenance::External,
                    Some(context) if is_built(&image.id) => Provenance::Built { context },
                    Some(_) | None => Provenance::Unmanaged,
                };
                let (reference, id) = (reference.clone(), image.id.clone());
                let found = PresentImage { reference, id, provenance };
                if found.provenance != Provenance::Unmanaged {
                    return Ok(Some(found));
                }
                unmanaged = Some(found);
                continue;
            }
            let may_be = |names: &Vec<String>| names.contains(&name);
            let mut unreadable = self.unreadable.iter();
            if let Some(unreadable) = unreadable.find(|one| one.names.as_ref().is_none_or(may_be)) {
                return Err(unreadable.error.clone());
            }
        }
        Ok(unmanaged)
    }

    /// Returns a name of `image` other than the one that it was found by.
    pub(crate) fn other_name(&self, image: &PresentImage) -> Option<&String> {
        let mut listed = self.images.iter().filter(|listed| listed.id == image.id);
        listed.find_map(|listed| listed.other_name(&image.reference))
    }

    /// Returns the image that was built here for `source` according to its labels, if it has no other name.
    pub fn built(&self, source: &ImageSource) -> Option<ImageId> {
        let reference = &source.build.as_ref()?.reference;
        let name = full_name(reference);
        let named = self.images.iter().find(|image| image.names.contains(&name))?;
        let is_only_ours =
            named.built_from(reference).is_some() && named.other_name(reference).is_none();
        is_only_ours.then(|| named.id.clone())
    }

    /// Returns the dangling images of builds for `source`: results that lost their name, and images of stages that an
    /// interrupted build left.
    pub fn dangling(&self, source: &ImageSource) -> Vec<ImageId> {
        let Some(BuildSource { reference, .. }) = &source.build else {
            return Vec::new();
        };
        let images = self.images.iter();
        let dangling = images.filter(|image| image.dangling_of().as_ref() == Some(reference));
        dangling.map(|image| image.id.clone()).collect()
    }
}

impl ListedImage {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// Returns a name other than `reference`. A digest names the content, not an owner.
    fn other_name(&self, reference: &ImageRef) -> Option<&String> {
        let own = full_name(reference);
        self.names.iter().find(|name| **name != own && !name.contains('@'))
    }

    /// Returns the digest of the context that the image was built from for `reference`, according to both of our labels.
    fn built_from(&self, reference: &ImageRef) -> Option<Fingerprint> {
        let ours = self.label(SOURCE_LABEL) == Some(reference.as_str());
        self.label(CONTEXT_LABEL).and_then(|text| text.parse().ok()).filter(|_| ours)
    }

    /// Returns the reference in its source label, if it is the dangling image of a stage, or a result that has lost
    /// this name.
    ///
    /// An image built on top of a result inherits the labels, but not the former name.
    fn dangling_of(&self) -> Option<ImageRef> {
        let source = self.label(SOURCE_LABEL).filter(|_| self.is_dangling)?;
        if let Some(reference) = source.strip_prefix(STAGE_PREFIX) {
            return ImageRef::new(reference).ok();
        }
        let reference =
            ImageRef::new(source).ok().filter(|_| self.label(CONTEXT_LABEL).is_some())?;
        self.former_names.contains(&full_name(&reference)).then_some(reference)
    }
}

/// Returns the reference as engines keep it: with a tag, or with a digest and no tag.
pub fn full_name(reference: &ImageRef) -> String {
    let text = reference.as_str();
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let tag = name.rsplit_once(':').filter(|(_, after)| !after.contains('/'));
    match (digest, tag) {
        (Some(digest), Some((bare, _))) => format!("{bare}@{digest}"),
        (Some(_), None) | (None, Some(_)) => text.to_owned(),
        (None, None) => format!("{text}:latest"),
    }
}

#[cfg(test)]
mod tests;
