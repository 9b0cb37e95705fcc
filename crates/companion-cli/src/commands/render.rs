//! `companion render`: the unit of a companion or of a backend's manifest, rendered without a host.

use std::path::PathBuf;

use adapter_systemd::RenderedUnit;
use archipelago_companions::manifest::BackendManifest;
use clap::Args;
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::hook::ConfigId;
use companion_core::model::image::{ImageId, PresentImage, Provenance};
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use quadlet::PodmanVersion;
use serde_json::json;

use super::report::VERSION;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::names;
use crate::output::Output;

/// Print the unit of a companion; needs no host
///
/// The unit equals the one that companion writes on a host, except for the image id and the digest of
/// the rendered configuration: they are known only on a host, and are zeros here.
///
/// With --manifest: the unit of the backend that a manifest in YAML or TOML describes. Keys that no unit expresses are
/// named on standard error.
///
/// With --json: {"version": 1, "name", "podman_version", "file", "unit"}.
///
/// Exit status: 0, or 2 for an unknown companion or a setting that this Podman version does not support.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion render lnd                           the unit of archy-lnd-ui
  companion render --podman-version 4.4.0 lnd    for an older Podman")]
pub(crate) struct Arguments {
    /// The companion, such as `archy-lnd-ui`, or an app with one companion
    #[arg(value_name = "NAME", required_unless_present = "manifest", add = names::completions())]
    name: Option<String>,
    /// Render the unit of this manifest, `manifest.yml` or `manifest.toml`
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    manifest: Option<PathBuf>,
    /// Render for this version of Podman
    #[arg(long, value_name = "VERSION", default_value = "5.4.2")]
    podman_version: PodmanVersion,
}

/// Prints the unit.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let spec = spec(arguments, config, output)?;
    let unit = unit(&spec)?;
    let RenderedUnit { revision, text } = config.host.render(&unit, arguments.podman_version)?;
    if output.is_json() {
        output.json(&json!({
            "version": VERSION,
            "name": spec.name,
            "podman_version": arguments.podman_version.to_string(),
            "file": format!("{}.container", spec.name),
            "unit": text,
        }));
        return Ok(Verdict::Done);
    }
    output.note(format!(
        "placeholder revision {revision}: the id of the image{} and the digest of the configuration are \
         known only on a host",
        spec.image.reference().map(|image| format!(" `{image}`")).unwrap_or_default(),
    ));
    output.bytes(text.as_bytes());
    Ok(Verdict::Done)
}

/// Returns the specification that the arguments name.
fn spec(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult<CompanionSpec> {
    let catalog = config.catalog()?;
    if let Some(path) = &arguments.manifest {
        let invalid = |error| CommandError::input(chain(&error));
        let manifest = BackendManifest::read(path).map_err(invalid)?;
        let outside = manifest.outside_the_unit();
        if !outside.is_empty() {
            output.note(format!("not expressed by the unit: {}", outside.join(", ")));
        }
        return manifest.spec(catalog.node()).map_err(invalid);
    }
    let name = names::companion(&catalog, arguments.name.as_deref().unwrap_or_default())?;
    let spec = catalog.companion(&name).cloned();
    spec.ok_or_else(|| CommandError::input(format!("unknown companion `{name}`")))
}

/// Returns the unit of `spec` with an unresolved image.
fn unit(spec: &CompanionSpec) -> CommandResult<UnitSpec> {
    let reference = spec
        .image
        .reference()
        .ok_or_else(|| CommandError::input(format!("`{}` has no image", spec.name)))?;
    let id = ImageId::new(&"0".repeat(64)).map_err(|error| CommandError::failure(chain(&error)))?;
    let image = PresentImage { reference: reference.clone(), id, provenance: Provenance::External };
    let unknown = Fingerprint::from_digest(&[0; 32]);
    let desired = DesiredCompanion::new(spec.clone(), Generation::default());
    let config = spec.hook.as_ref().map(|_| ConfigId { digest: unknown, epoch: 0 });
    let revision = Revision { image: unknown, ..desired.revision(&image, config) };
    Ok(desired.unit(&image.id, revision))
}
