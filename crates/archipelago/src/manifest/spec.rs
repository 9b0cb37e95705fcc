//! What a manifest means: the specification of its container. Pure.

use std::collections::BTreeMap;

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{
    AbsolutePath, ContainerSpec, EnvName, Network, PortMapping,
};
use companion_core::model::image::{BuildSource, ImageSource};

use super::fields::Volume;
use super::form::{App, Build};
use crate::node::Node;

/// Seconds between an end and the next start, as Archipelago's own companions have it.
const RESTART_DELAY: u32 = 10;

pub(super) fn spec(
    app: &App,
    directory: Option<&AbsolutePath>,
    node: &Node,
) -> Result<CompanionSpec, InvalidValue> {
    let name = match &app.container_name {
        Some(name) => name.clone(),
        None => CompanionName::new(app.id.as_str())?,
    };
    let described = app.description.clone();
    let description = described.unwrap_or_else(|| format!("Archipelago backend: {name}"));
    crate::catalog::one_line("description", &description)?;
    let container = container(app, node)?;
    container.validate()?;
    let mut sources = container.mounts.iter().map(|mount| &mount.source);
    sources.try_for_each(crate::catalog::validate_mount_source)?;
    Ok(CompanionSpec {
        name,
        description,
        image: image(app, directory, node)?,
        container,
        hook: None,
    })
}

fn container(app: &App, node: &Node) -> Result<ContainerSpec, InvalidValue> {
    let network = app.container.network.as_ref().or(app.security.network_policy.as_ref());
    let network = network.map_or(Network::Bridge, |entry| entry.0.clone());
    let (mut mounts, mut volumes, mut tmpfs) = (Vec::new(), Vec::new(), Vec::new());
    for volume in &app.volumes {
        match volume {
            Volume::Bind(mount) => mounts.push(mount.clone()),
            Volume::Named(volume) => volumes.push(volume.clone()),
            Volume::Tmpfs(directory) => tmpfs.push(directory.clone()),
        }
    }
    let secrets = app.container.secret_env.iter();
    let secrets = secrets.map(|secret| Ok((&secret.key, secret.secret_file.clone())));
    Ok(ContainerSpec {
        ports: ports(app, &network)?,
        network,
        host_loopback: false,
        mounts,
        volumes,
        tmpfs,
        environment: environment(app, node)?,
        secret_environment: each_once("secret_env", secrets)?,
        user: app.container.user,
        memory: app.resources.memory_limit,
        cpu_quota: app.resources.cpu_limit.map(|cores| cores.0),
        drop_all_capabilities: true,
        capabilities: app.security.capabilities.iter().cloned().collect(),
        no_new_privileges: app.security.no_new_privileges.unwrap_or(true),
        read_only_root: app.security.readonly_root.unwrap_or(true),
        devices: app.devices.iter().map(|entry| entry.0.clone()).collect(),
        extra_hosts: app.container.extra_hosts.clone(),
        entrypoint: app.container.entrypoint.clone(),
        command: app.container.custom_args.clone(),
        working_dir: app.container.working_dir.clone(),
        restart: app.restart_policy.unwrap_or_default(),
        restart_delay: Some(RESTART_DELAY),
        stop_timeout: app.stop_grace_secs,
        health: app.health_check.as_ref().map(|entry| entry.0.clone()),
    })
}

/// The ports that are published. In the host's network a port of the container is the host's already.
fn ports(app: &App, network: &Network) -> Result<Vec<PortMapping>, InvalidValue> {
    if *network != Network::Host {
        return Ok(app.ports.clone());
    }
    match app.ports.iter().find(|port| port.host != port.container) {
        Some(port) => {
            let shown = format!("{}:{}", port.host, port.container);
            Err(InvalidValue::new("ports", &shown, "must be one port in the host's network"))
        }
        None => Ok(Vec::new()),
    }
}

fn environment(app: &App, node: &Node) -> Result<BTreeMap<EnvName, String>, InvalidValue> {
    let given = app.environment.iter().map(|entry| Ok((&entry.name, entry.value.clone())));
    let derived = app.container.derived_env.iter().map(|derived| {
        let value = derived.template.filled(|name| node.facts.get(name).map(String::as_str))?;
        Ok((&derived.key, value))
    });
    each_once("environment", given.chain(derived))
}

/// Refuses a variable that is given twice.
fn each_once<'n, T>(
    field: &'static str,
    variables: impl Iterator<Item = Result<(&'n EnvName, T), InvalidValue>>,
) -> Result<BTreeMap<EnvName, T>, InvalidValue> {
    let mut all = BTreeMap::new();
    for variable in variables {
        let (name, value) = variable?;
        if all.insert(name.clone(), value).is_some() {
            return Err(InvalidValue::new(field, name.as_str(), "is given twice"));
        }
    }
    Ok(all)
}

fn image(
    app: &App,
    directory: Option<&AbsolutePath>,
    node: &Node,
) -> Result<ImageSource, InvalidValue> {
    let pull = app.container.image.clone().map(|reference| node.pull(reference));
    let build = app.container.build.as_ref();
    let build = build.map(|build| self::build(app, build, directory, node)).transpose()?;
    if pull.is_none() && build.is_none() {
        let rule = "must have an `image` or a `build`";
        return Err(InvalidValue::new("container", app.id.as_str(), rule));
    }
    Ok(ImageSource { build, pull })
}

fn build(
    app: &App,
    build: &Build,
    directory: Option<&AbsolutePath>,
    node: &Node,
) -> Result<BuildSource, InvalidValue> {
    let context = context(&build.context, directory)?;
    let mut source = node.build(app.id.as_str(), vec![context])?;
    if let Some(tag) = &build.tag {
        let rule = "must be below `localhost/`: it names an image that is built here";
        InvalidValue::unless(tag.registry() == "localhost", "tag", tag, rule)?;
        source.reference = tag.clone();
    }
    Ok(source)
}

fn context(text: &str, directory: Option<&AbsolutePath>) -> Result<AbsolutePath, InvalidValue> {
    let relative = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
    match (text.starts_with('/'), directory) {
        (true, _) => AbsolutePath::new(text),
        (false, Some(directory)) if relative == "." || relative.is_empty() => Ok(directory.clone()),
        (false, Some(directory)) => AbsolutePath::new(format!("{directory}/{relative}")),
        (false, None) => {
            let rule = "must be absolute in a manifest that was not read from a file";
            Err(InvalidValue::new("context", text, rule))
        }
    }
}
