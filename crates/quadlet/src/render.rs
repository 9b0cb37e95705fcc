//! Renders a unit: the order of sections and lines. Escaping is separate.

mod container;
mod limits;
mod lines;
mod sections;

use crate::{ContainerUnit, PodmanVersion, Refusal, RenderError, keys, names};
use lines::Lines;

impl ContainerUnit {
    /// Renders the text of the `.container` file for this Podman.
    ///
    /// The same unit and version give the same bytes: sections in the order `[Unit]`, `[Container]`, `[Service]`,
    /// `[Install]`, `[Quadlet]`, `[X-…]`, keys in a fixed order within each, maps by key. Sections without lines are
    /// omitted. Before the first version with a key, an option in `PodmanArgs=` replaces it: `WorkingDir` and
    /// `Pull` before 4.6, `Tmpfs`, `Mount` and `Secret` before 4.5, `Entrypoint` and `StopTimeout` before 5.0,
    /// `AddHost` before 5.3. A start that waits for health needs 5.0.
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the first setting that cannot be expressed for this Podman, or that Podman would interpret
    /// differently. Fails for a Podman before [`PodmanVersion::FLOOR`].
    pub fn render(&self, version: PodmanVersion) -> Result<String, RenderError> {
        if version < PodmanVersion::FLOOR {
            let refusal = Refusal::NeedsPodman { needed: PodmanVersion::FLOOR, given: version };
            return Err(refusal.at("Container", ""));
        }
        let mut lines = Lines::new(version);
        sections::unit(&mut lines, &self.unit)?;
        container::container(&mut lines, &self.container)?;
        limits::in_container(&mut lines, &self.start, self.stop)?;
        sections::service(&mut lines, &self.service)?;
        limits::in_service(&mut lines, &self.start, self.stop)?;
        sections::resources(&mut lines, &self.service)?;
        if let Some(target) = &self.wanted_by {
            lines.checked(&keys::WANTED_BY, target, names::check_unit)?;
        }
        if self.starts_without_network && lines.knows(&keys::DEFAULT_DEPENDENCIES) {
            lines.value(&keys::DEFAULT_DEPENDENCIES, "false")?;
        }
        if let Some(extension) = &self.extension {
            sections::extension(&mut lines, extension)?;
        }
        Ok(lines.into_text())
    }
}

#[cfg(test)]
mod tests;
