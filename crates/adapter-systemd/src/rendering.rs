//! The text of a unit for a host, and its revision. Pure.

use companion_core::model::unit::UnitSpec;
pub use host_files::units::RenderedUnit;
use quadlet::RenderError;

use crate::host_facts::HostFacts;
use crate::scope::Scope;
use crate::selinux;
use crate::unit_text::container_unit;

/// Renders `unit` for `scope` on a host with `facts`; ignores the rendering that the unit's revision names.
///
/// # Errors
/// [`RenderError`] names the setting that this Podman does not support.
pub fn render_unit(
    unit: &UnitSpec,
    scope: Scope,
    facts: HostFacts,
) -> Result<RenderedUnit, RenderError> {
    Ok(RenderedUnit::new(&unit_text(unit, scope, facts)?, &unit.revision))
}

/// Returns the text of `unit`, which names the revision of `unit` as it is.
pub(crate) fn unit_text(
    unit: &UnitSpec,
    scope: Scope,
    facts: HostFacts,
) -> Result<String, RenderError> {
    let mut made = container_unit(unit, scope);
    if facts.enforces_selinux {
        selinux::relabel(&mut made.container.volumes, unit);
    }
    made.render(facts.podman)
}

#[cfg(test)]
mod tests;
