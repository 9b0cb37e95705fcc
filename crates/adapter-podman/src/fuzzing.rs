//! What searches for hostile answers reach of this crate: its parsers, each fed with bytes. No part of its interface.
//!
//! Each function returns the texts that a person would be shown of what was read.

use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageSource;

use crate::command::output::last_words;
use crate::containers::ListedContainer;
use crate::error::Cause;
use crate::image_provider::listing::{InspectedImage, ListedImage, leftovers, present};
use crate::memory::Record;

/// Reads `bytes` as `podman images --format json`.
pub fn images(bytes: &[u8], source: &ImageSource) -> Vec<String> {
    let Ok(mut images) = serde_json::from_slice::<Vec<ListedImage>>(bytes) else {
        return Vec::new();
    };
    let before = (present(source, &images), leftovers(source, &images));
    images.iter_mut().for_each(ListedImage::keep_our_labels);
    let (found, left) = (present(source, &images), leftovers(source, &images));
    assert_eq!((&found, &left), (&before.0, &before.1), "labels that are dropped decide nothing");
    let shown = found.map(|image| format!("{} {}", image.reference, image.id));
    shown.into_iter().chain(left.iter().map(ToString::to_string)).collect()
}

/// Reads `bytes` as `podman image inspect`.
pub fn inspected(bytes: &[u8]) -> Vec<String> {
    let images = serde_json::from_slice::<Vec<InspectedImage>>(bytes).unwrap_or_default();
    images.iter().map(|image| image.platform.to_string()).collect()
}

/// Reads `bytes` as `podman ps --format json`, for the container `name`.
pub fn containers(bytes: &[u8], name: &CompanionName) -> Vec<String> {
    let listed: Option<Vec<ListedContainer>> = serde_json::from_slice(bytes).unwrap_or_default();
    let listed = listed.unwrap_or_default();
    listed.iter().map(|one| format!("{:?}", one.state(name))).collect()
}

/// Reads `bytes` as the file that keeps what podman said.
pub fn memory(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Record>(bytes).is_ok_and(|record| record.to_bytes().is_ok())
}

/// Reads `bytes` as what podman complained about.
pub fn complaint(bytes: &[u8]) -> String {
    let said = last_words(bytes);
    format!("{said} ({:?})", Cause::of(&said))
}
