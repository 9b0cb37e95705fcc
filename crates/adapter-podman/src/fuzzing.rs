//! What searches for hostile answers reach of this crate: its parsers, each fed with bytes. No part of its interface.
//!
//! Each function returns the texts that a person would be shown of what was read.

use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageSource;

use crate::command::output::last_words;
use crate::command::secrets::Secrets;
use crate::containers::ListedContainer;
use crate::error::Cause;
use crate::image_provider::listing::{self, Listing};

/// Reads `bytes` as `podman images --format json`.
pub fn images(bytes: &[u8], source: &ImageSource) -> Vec<String> {
    let Ok(listing) = Listing::parse(bytes) else {
        return Vec::new();
    };
    let present = match listing.present(source) {
        Ok(present) => present.map(|image| format!("{} {}", image.reference, image.id)),
        Err(error) => Some(error.to_string()),
    };
    let left = listing.leftovers(source);
    present.into_iter().chain(left.iter().map(ToString::to_string)).collect()
}

/// Reads `bytes` as `podman image inspect`.
pub fn inspected(bytes: &[u8]) -> Vec<String> {
    let images = listing::inspected(bytes).unwrap_or_default();
    images.iter().map(|image| image.platform.to_string()).collect()
}

/// Reads `bytes` as `podman ps --format json`, for the container `name`.
pub fn containers(bytes: &[u8], name: &CompanionName) -> Vec<String> {
    let listed: Option<Vec<ListedContainer>> = serde_json::from_slice(bytes).unwrap_or_default();
    let listed = listed.unwrap_or_default();
    listed.iter().map(|one| format!("{:?}", one.state(name))).collect()
}

/// Reads `bytes` as what podman complained about.
pub fn complaint(bytes: &[u8]) -> String {
    let said = last_words(bytes, false, &Secrets::default());
    format!("{said} ({:?})", Cause::of(&said))
}
