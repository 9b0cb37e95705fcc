//! Archipelago's own companions.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{
    AbsolutePath, BindMount, Capability, ContainerSpec, ContainerUser, Memory, Network,
    PortMapping, Protocol, RestartPolicy,
};
use companion_core::model::hook::{HookName, HookProgram, HookSpec};
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::node::Node;
use crate::page::StatusPage;

/// The name of the hook that renders the RPC viewer's nginx.conf.
pub const BITCOIN_UI_HOOK: &str = "bitcoin-ui";

/// The companions with the apps they belong to.
///
/// All of them or none: a catalog without one of its own companions would leave it to nobody.
pub(super) fn companions(node: &Node) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, InvalidValue> {
    Ok(vec![bitcoin_ui(node)?, lnd_ui(node)?, electrs_ui(node)?, fedimint_ui(node)?])
}

/// Whether this program has the hook: each is named after the image that it configures.
pub(super) fn has_hook(name: &HookName) -> bool {
    let of_page = |page: StatusPage| page.base() == name.as_str();
    name.as_str() == BITCOIN_UI_HOOK || StatusPage::ALL.into_iter().any(of_page)
}

impl Catalog {
    /// Returns the host's port on which the page of `name` answers: the first TCP port that it publishes, or that of a
    /// built-in companion in the network of the host; `None` if it is unknown.
    pub fn page_port(&self, name: &CompanionName) -> Option<u16> {
        let container = &self.companion(name)?.container;
        let mut ports = container.ports.iter();
        let published = ports.find(|port| port.protocol == Protocol::Tcp);
        let on_host = || self.host_port(name).filter(|_| container.network == Network::Host);
        published.map(|port| port.host.get()).or_else(on_host)
    }

    /// Returns the port on which the built-in companion `name` listens in the network of the host.
    fn host_port(&self, name: &CompanionName) -> Option<u16> {
        let ports = &self.node().page_ports;
        let port = match name.as_str() {
            "archy-bitcoin-ui" => ports.bitcoin,
            "archy-electrs-ui" => ports.electrs,
            "archy-lnd-ui" => ports.lnd,
            "archy-fedimint-ui" => ports.fedimint,
            _ => return None,
        };
        Some(port.get())
    }
}

fn bitcoin_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let mut container = hardened()?;
    container.network = Network::Host;
    let hook = Some(rendered(node, BITCOIN_UI_HOOK, &mut container)?);
    companion(node, "bitcoin-ui", &["bitcoin", "bitcoin-core", "bitcoin-knots"], container, hook)
}

fn lnd_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    status_page(node, StatusPage::Lnd, &["lnd"])
}

fn electrs_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    status_page(node, StatusPage::Electrs, &["electrumx", "electrs", "mempool-electrs"])
}

fn fedimint_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    status_page(node, StatusPage::Fedimint, &["fedimint"])
}

fn status_page(
    node: &Node,
    page: StatusPage,
    apps: &[&str],
) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let mut container = hardened()?;
    if page.is_on_host_network(node) {
        container.network = Network::Host;
    } else {
        container.network = Network::Bridge;
        // lnd is asked through the host's loopback, as the others ask their backends.
        container.host_loopback = true;
        container.ports.extend(tcp(node.page_ports.lnd, 80));
    }
    let hook = page.is_rendered_on(node).then(|| rendered(node, page.base(), &mut container));
    companion(node, page.base(), apps, container, hook.transpose()?)
}

/// Mounts the configuration that the hook of the image `base` renders.
fn rendered(
    node: &Node,
    base: &str,
    container: &mut ContainerSpec,
) -> Result<HookSpec, InvalidValue> {
    let output = node.data_directory.join(base)?.join("nginx.conf")?;
    container.mounts.push(BindMount {
        source: output.clone(),
        target: AbsolutePath::new("/etc/nginx/conf.d/default.conf")?,
        read_only: true,
    });
    Ok(HookSpec { program: HookProgram::Registered(HookName::new(base)?), output })
}

fn companion(
    node: &Node,
    base: &str,
    apps: &[&str],
    container: ContainerSpec,
    hook: Option<HookSpec>,
) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    container.validate()?;
    let name = CompanionName::new(format!("archy-{base}"))?;
    let description = format!("Archipelago companion UI: {name}");
    let image = image(node, base)?;
    let apps = apps.iter().map(|app| AppId::new(*app)).collect::<Result<_, _>>()?;
    Ok((apps, CompanionSpec { name, description, image, container, hook }))
}

/// The image `base`: built from the first context there is, else pulled from the node's repository, if it has one.
pub(super) fn image(node: &Node, base: &str) -> Result<ImageSource, InvalidValue> {
    let contexts =
        node.context_directories.iter().map(|dir| dir.join(base)).collect::<Result<_, _>>()?;
    let build = BuildSource {
        reference: ImageRef::new(format!("localhost/{base}:latest"))?,
        contexts,
        arguments: node.build_arguments.clone(),
    };
    let pull = node.image_repository.as_ref().map(|repository| {
        let reference = ImageRef::new(format!("{repository}/{base}:latest"))?;
        let verify_tls = !node.is_insecure_registry(reference.registry());
        Ok(PullSource { reference, verify_tls })
    });
    Ok(ImageSource { build: Some(build), pull: pull.transpose()? })
}

/// What all companions have: nginx starts as root inside to give its worker directories away, which
/// takes these five capabilities and no more, and 128 MiB is several times what it uses. The image's own working directory
/// is not believed, because it may be a link. Nothing in it needs a set-uid program.
pub(super) fn hardened() -> Result<ContainerSpec, InvalidValue> {
    let added = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    Ok(ContainerSpec {
        user: Some(ContainerUser { uid: 0, gid: 0 }),
        memory: Some(Memory::from_mebibytes(128)?),
        drop_all_capabilities: true,
        capabilities: added.into_iter().map(Capability::new).collect::<Result<BTreeSet<_>, _>>()?,
        no_new_privileges: true,
        working_dir: Some(AbsolutePath::root()),
        restart: RestartPolicy::Always,
        restart_delay: Some(10),
        ..ContainerSpec::default()
    })
}

fn tcp(host: NonZeroU16, container: u16) -> Option<PortMapping> {
    Some(PortMapping {
        address: None,
        host,
        container: NonZeroU16::new(container)?,
        protocol: Protocol::Tcp,
    })
}

#[cfg(test)]
mod tests;
