//! `companion catalog`: the known apps and companions.

use std::collections::BTreeMap;

use archipelago_companions::{AppId, Catalog};
use clap::Args;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::Network;
use serde_json::{Value, json};

use super::report::VERSION;
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::output::{Output, Style, Table};

/// Print the known apps and companions; needs no host
///
/// Lists the built-in companions and those of the catalog files, with the ports they publish on the host.
///
/// With --json: {"version": 1, "apps": {APP: [NAME…]}, "companions": [{"name", "description",
/// "apps", "image": {"build": {"reference", "contexts"}, "pull": {"reference", "verify_tls"}},
/// "container", "hook"}]}; "container" and "hook" are as in a catalog file. The values of build
/// arguments are not printed.
///
/// Exit status: 0, or 2 for an invalid catalog file.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion catalog                              the companions, their apps and ports
  companion catalog --catalog new.toml           check a catalog file before it is used
  companion catalog --schema                     the JSON Schema, for an editor")]
pub(crate) struct Arguments {
    /// Print the JSON Schema of a catalog file
    #[arg(long)]
    schema: bool,
}

/// Prints the catalog.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    if arguments.schema {
        output.json(&archipelago_companions::catalog::schema());
        return Ok(Verdict::Done);
    }
    let catalog = config.catalog()?;
    if output.is_json() {
        output.json(&as_json(&catalog));
        return Ok(Verdict::Done);
    }
    let mut table = Table::default();
    let heading = |text| Style::Strong.paint(text);
    table.row([heading("companion"), heading("apps"), heading("port"), heading("image")]);
    let apps = apps_by_companion(&catalog);
    for spec in catalog.companions() {
        let of = apps.get(&spec.name).into_iter().flatten().map(|app| app.as_str());
        let of: Vec<_> = of.collect();
        table.row([spec.name.to_string(), of.join(", "), ports(spec), image(spec)]);
    }
    table.lines().iter().for_each(|line| output.line(line));
    Ok(Verdict::Done)
}

fn apps_by_companion(catalog: &Catalog) -> BTreeMap<&CompanionName, Vec<&AppId>> {
    let mut by: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (app, names) in catalog.apps() {
        names.iter().for_each(|name| by.entry(name).or_default().push(app));
    }
    by
}

/// Returns the published ports, else the network of the container; `none` if it is unreachable.
pub(super) fn ports(spec: &CompanionSpec) -> String {
    let published = spec.container.ports.iter().map(|port| {
        let address = port.address.map(|address| format!("{address}:")).unwrap_or_default();
        format!("{address}{}:{}", port.host, port.container)
    });
    let ports: Vec<_> = published.collect();
    match &spec.container.network {
        _ if !ports.is_empty() => ports.join(", "),
        Network::Host => "host network".to_owned(),
        Network::Bridge => "none".to_owned(),
        Network::Named(name) => format!("network {}", name.as_str()),
    }
}

fn image(spec: &CompanionSpec) -> String {
    let build = spec.image.build.as_ref().map(|build| format!("built as {}", build.reference));
    let pull = spec.image.pull.as_ref().map(|pull| {
        let tls = if pull.verify_tls { "" } else { " (certificate not verified)" };
        format!("pulled from {}{tls}", pull.reference)
    });
    build.into_iter().chain(pull).collect::<Vec<_>>().join(", else ")
}

fn as_json(catalog: &Catalog) -> Value {
    let by = apps_by_companion(catalog);
    let companions = catalog.companions().map(|spec| {
        json!({
            "name": spec.name,
            "description": spec.description,
            "apps": by.get(&spec.name),
            "image": spec.image,
            "container": spec.container,
            "hook": spec.hook,
        })
    });
    let apps: BTreeMap<_, _> = catalog.apps().collect();
    let companions: Vec<_> = companions.collect();
    json!({ "version": VERSION, "apps": apps, "companions": companions })
}
