//! The manifests of `tests/manifests`, and their units.

#![expect(clippy::expect_used, clippy::panic, reason = "a helper of tests fails by panicking")]

use std::path::{Path, PathBuf};

use adapter_systemd::{Scope, container_unit};
use archipelago_companions::Node;
use archipelago_companions::manifest::BackendManifest;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::image::{ImageId, ImageRef, PresentImage, Provenance};
use quadlet::{PodmanVersion, RenderError};

/// The folder of the manifests.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

/// The specifications of all manifests, with the stems of their files, in order.
pub(crate) fn all() -> Vec<(String, CompanionSpec)> {
    let mut node = Node::default();
    node.facts.insert("HOST_IP".to_owned(), "192.0.2.10".to_owned());
    node.facts.insert("HOST_MDNS".to_owned(), "node.local".to_owned());
    let entries = std::fs::read_dir(folder()).expect("the manifests");
    let paths = entries.map(|entry| entry.expect("a manifest").path());
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "yml" || extension == "toml")
    };
    let mut all: Vec<_> = paths
        .filter(is_manifest)
        .map(|path| {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let manifest = BackendManifest::read(&path).unwrap_or_else(|error| panic!("{error}"));
            (stem, manifest.spec(&node).unwrap_or_else(|error| panic!("{error:?}")))
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

/// The text of the unit with an image whose id is zeros.
pub(crate) fn rendered(
    spec: &CompanionSpec,
    version: PodmanVersion,
) -> Result<String, RenderError> {
    let id = ImageId::new(&"0".repeat(64)).expect("an id");
    let reference = ImageRef::new("localhost/x:latest").expect("a reference");
    let image = PresentImage { reference, id, provenance: Provenance::External };
    let desired = DesiredCompanion::new(spec.clone(), Generation::default());
    let unit = desired.unit(&image.id, desired.revision(&image, None));
    container_unit(&unit, Scope::User, version)?.render(version)
}
