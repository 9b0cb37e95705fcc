//! The text of a unit and its digest, which the unit names as the rendering of its revision. Pure.
//!
//! The digest covers the whole text except the revision, so that the revision can contain it. It detects edits since
//! the file was written, whichever release or Podman it was written for. It is not a protection: anyone who can edit
//! the file can compute it.

use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use quadlet::RenderError;

use crate::host_facts::HostFacts;
use crate::scope::Scope;
use crate::selinux;
use crate::unit_text::container_unit;

/// A rendered unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedUnit {
    /// The revision of the unit, with the rendering of the text.
    pub revision: Revision,
    /// The text, which contains that revision.
    pub text: String,
}

/// Renders `unit` for `scope` on a host with `facts`; ignores the rendering that the unit's revision names.
///
/// # Errors
/// [`RenderError`] names the setting that this Podman does not support.
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

/// Returns whether the file with `revision` and `bytes` is unedited as far as known.
///
/// A release that recorded no rendering wrote files without this information.
pub(crate) fn is_as_written(bytes: &[u8], revision: &Revision) -> bool {
    let Some(rendering) = revision.rendering else { return true };
    std::str::from_utf8(bytes).is_ok_and(|text| digest(text, revision) == rendering)
}

fn digest(text: &str, revision: &Revision) -> Fingerprint {
    Fingerprint::of(text.replace(&revision.to_string(), "").as_bytes())
}

#[cfg(test)]
mod tests;
