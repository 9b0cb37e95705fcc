//! The text of a unit for a host, and its revision. Pure.

use companion_core::model::unit::UnitSpec;
pub use host_files::units::RenderedUnit;
use quadlet::{PodmanVersion, RenderError};

use crate::scope::Scope;
use crate::unit_text::container_unit;

/// Renders `unit` for `scope` and Podman `version`; ignores the rendering that the unit's revision names.
///
/// # Errors
/// [`RenderError`] names the setting that this Podman does not support.
pub fn render_unit(
    unit: &UnitSpec,
    scope: Scope,
    version: PodmanVersion,
) -> Result<RenderedUnit, RenderError> {
    Ok(RenderedUnit::new(&unit_text(unit, scope, version)?, &unit.revision))
}

/// Returns the text of `unit`, which names the revision of `unit` as it is.
pub(crate) fn unit_text(
    unit: &UnitSpec,
    scope: Scope,
    version: PodmanVersion,
) -> Result<String, RenderError> {
    container_unit(unit, scope).render(version)
}

#[cfg(test)]
mod tests;
