//! Starts a container: most obstacles (a key quota, a full disk, a seccomp filter, a damaged store) show only then.

use std::collections::BTreeSet;

use archipelago_companions::Catalog;
use archipelago_companions::host::SystemdPodman;
use companion_core::error_chain::chain;
use companion_core::model::image::ImageRef;
use companion_core::model::log::LogTail;
use companion_core::ports::PortResult;
use companion_core::root_cause::RootCause;

use super::Finding;
use crate::commands::causes::fix_of_cause;

const CHECK: &str = "container start";

/// The maximum number of images that are looked for.
const IMAGES_LIMIT: usize = 8;

/// Starts a container of the first image of the catalog that is present; `None` if none is.
pub(super) async fn container(host: &SystemdPodman, catalog: &Catalog) -> Option<Finding> {
    for image in references(catalog).into_iter().take(IMAGES_LIMIT) {
        if let Some(finding) = finding(image, host.try_start(image).await) {
            return Some(finding);
        }
    }
    None
}

fn references(catalog: &Catalog) -> BTreeSet<&ImageRef> {
    let mut references = BTreeSet::new();
    for companion in catalog.companions() {
        references.extend(companion.image.build.as_ref().map(|build| &build.reference));
        references.extend(companion.image.pull.as_ref().map(|pull| &pull.reference));
    }
    references
}

fn finding(image: &ImageRef, started: PortResult<bool>) -> Option<Finding> {
    let error = match started {
        Ok(true) => return Some(Finding::ok(CHECK, format!("a container of {image} starts"))),
        Ok(false) => return None,
        Err(error) => chain(&error),
    };
    let cause = RootCause::of(&LogTail::of(error.lines()));
    let fix = cause.map(fix_of_cause).unwrap_or_else(|| {
        let command = format!("podman run --rm --network=none {image} true");
        format!("{command}, as this user, shows the whole message")
    });
    let found = cause.map_or(error.clone(), |cause| format!("{cause}: {error}"));
    Some(Finding::error(CHECK, found, fix))
}

#[cfg(test)]
mod tests {
    use companion_core::ports::{PortError, PortErrorKind};

    use super::*;

    #[test]
    fn trial_names_the_root_cause_and_its_fix() {
        let image = ImageRef::new("localhost/lnd-ui:latest").unwrap();
        let failed = |said: &str| PortError::new(PortErrorKind::Transient, said);
        let quota = "Error: crun: create keyring `ab`: Disk quota exceeded";
        let found = finding(&image, Err(failed(quota))).unwrap();
        assert!(found.is_error());
        assert!(found.found.contains("kernel key quota exceeded"), "{found:?}");
        assert!(found.fix.unwrap().contains("kernel.keys.maxkeys"));
        let found = finding(&image, Err(failed("Error: crun: strange"))).unwrap();
        assert!(found.found.contains("strange"), "{found:?}");
        assert!(found.fix.unwrap().contains(image.as_str()));
        assert!(finding(&image, Ok(false)).is_none());
        assert!(!finding(&image, Ok(true)).unwrap().is_error());
    }

    #[test]
    fn trial_uses_the_images_of_the_catalog() {
        let catalog = Catalog::builtin();
        let images = references(&catalog);
        assert!(images.contains(&ImageRef::new("localhost/lnd-ui:latest").unwrap()), "{images:?}");
    }
}
