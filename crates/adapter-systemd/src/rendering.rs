//! The text of a unit and its digest, which the unit names as the rendering of its revision. Pure.
//!
//! The digest is over the whole text without the revision, so that it can stand in the revision itself. It tells that nobody
//! edited a file since it was written, whichever release or Podman it was written for. It protects from nothing: whoever can edit the
//! file can compute it.

use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use quadlet::RenderError;

use crate::host_facts::HostFacts;
use crate::scope::Scope;
use crate::selinux;
use crate::unit_text::container_unit;

/// What is written for a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedUnit {
    /// The revision of the unit, with the rendering of the text.
    pub revision: Revision,
    /// The text, which carries that revision.
    pub text: String,
}

/// Renders `unit` for `scope` on a host of `facts`, whichever rendering its revision names.
///
/// # Errors
/// [`RenderError`] names the setting that this Podman cannot be told.
pub fn render_unit(
    unit: &UnitSpec,
    scope: Scope,
    facts: HostFacts,
) -> Result<RenderedUnit, RenderError> {
    let mut made = container_unit(unit, scope);
    if facts.enforces_selinux {
        selinux::relabel(&mut made.container.volumes, unit);
    }
    let text = made.render(facts.podman)?;
    let revision = unit.revision.with_rendering(Some(digest(&text, &unit.revision)));
    let text = text.replace(&unit.revision.to_string(), &revision.to_string());
    Ok(RenderedUnit { revision, text })
}

/// Whether the file that names `revision` and holds `bytes` is not known to have been edited since it was written.
///
/// A release that recorded no rendering wrote files of which nothing is known.
pub(crate) fn is_as_written(bytes: &[u8], revision: &Revision) -> bool {
    let Some(rendering) = revision.rendering else { return true };
    std::str::from_utf8(bytes).is_ok_and(|text| digest(text, revision) == rendering)
}

fn digest(text: &str, revision: &Revision) -> Fingerprint {
    Fingerprint::of(text.replace(&revision.to_string(), "").as_bytes())
}

#[cfg(test)]
mod tests;
