//! Entry points for the fuzz targets; not part of the public interface.
//!
//! Each function returns the texts that a person would see.

use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageSource;

use crate::command::output::Tail;
use crate::command::secrets::Secrets;
use crate::containers::Listing;
use crate::error::Cause;
use crate::image_provider::listing;

/// Parses `bytes` as `podman images --format json`.
pub fn images(bytes: &[u8], source: &ImageSource) -> Vec<String> {
    let Ok(listing) = listing::parse(bytes) else {
        return Vec::new();
    };
    let present = match listing.present(source, |_| true) {
        Ok(present) => present.map(|image| format!("{} {}", image.reference, image.id)),
        Err(error) => Some(error.to_string()),
    };
    let left = listing.dangling(source);
    present.into_iter().chain(left.iter().map(ToString::to_string)).collect()
}

/// Parses `bytes` as `podman image inspect`.
pub fn inspected(bytes: &[u8]) -> Vec<String> {
    let images = listing::inspected(bytes).unwrap_or_default();
    images.values().map(|image| image.platform.to_string()).collect()
}

/// Parses `bytes` as `podman ps --format json`, for the container `name`.
pub fn containers(bytes: &[u8], name: &CompanionName) -> Vec<String> {
    let state = Listing::of(bytes).and_then(|listing| listing.state(name));
    vec![format!("{state:?}")]
}

/// Parses `bytes` as podman's stderr.
pub fn complaint(bytes: &[u8]) -> String {
    let said = Tail::from(bytes).last_words(&Secrets::default());
    format!("{said} ({:?})", Cause::of(&said))
}
