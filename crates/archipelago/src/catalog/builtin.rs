//! Archipelago's own companions.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{
    AbsolutePath, BindMount, Capability, ContainerSpec, ContainerUser, Memory, Network,
    PortMapping, Protocol, RestartPolicy,
};
use companion_core::model::hook::{HookName, HookProgram, HookSpec};
use companion_core::model::image::{ImageRef, ImageSource};

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::node::Node;
use crate::page::Page;

/// The name of the hook that renders the RPC viewer's nginx.conf.
pub const BITCOIN_UI_HOOK: &str = "bitcoin-ui";

/// The companions with the apps they belong to.
///
/// All of them or none: a catalog without one of its companions would leave it to nobody.
pub(super) fn companions(node: &Node) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, InvalidValue> {
    Page::ALL.into_iter().map(|page| companion(node, page)).collect()
}

/// Whether this program has the hook: each is named after the image that it configures.
pub(super) fn has_hook(name: &HookName) -> bool {
    Page::ALL.into_iter().any(|page| page.base() == name.as_str())
}

fn apps(page: Page) -> &'static [&'static str] {
    match page {
        Page::Bitcoin => &["bitcoin", "bitcoin-core", "bitcoin-knots"],
        Page::Lnd => &["lnd"],
        Page::Electrs => &["electrumx", "electrs", "mempool-electrs"],
        Page::Fedimint => &["fedimint"],
    }
}

impl Catalog {
    /// Returns the host's port on which the page of `name` answers: the first TCP port that it publishes, or that of a
    /// built-in companion in the network of the host; `None` if it is unknown.
    pub fn page_port(&self, name: &CompanionName) -> Option<u16> {
        let container = &self.companion(name)?.container;
        let published = container.ports.iter().find(|port| port.protocol == Protocol::Tcp);
        let is_it = |page: &Page| name.as_str().strip_prefix("archy-") == Some(page.base());
        let builtin = Page::ALL.into_iter().find(is_it);
        let on_host = builtin.filter(|_| container.network == Network::Host);
        let port = published.map(|port| port.host);
        Some(port.or_else(|| Some(on_host?.host_port(self.node())))?.get())
    }
}

fn companion(node: &Node, page: Page) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let base = page.base();
    let mut container = hardened()?;
    if page.is_on_host_network(node) {
        container.network = Network::Host;
    } else {
        container.network = Network::Bridge;
        // lnd is asked through the host's loopback, as the others ask their backends.
        container.host_loopback = true;
        container.ports.extend(tcp(page.host_port(node), 80));
    }
    let hook = page.is_rendered_on(node).then(|| rendered(node, base, &mut container));
    let hook = hook.transpose()?;
    container.validate()?;
    let name = CompanionName::new(format!("archy-{base}"))?;
    let description = format!("Archipelago companion UI: {name}");
    let image = image(node, base)?;
    let apps = apps(page).iter().map(|app| AppId::new(*app)).collect::<Result<_, _>>()?;
    Ok((apps, CompanionSpec { name, description, image, container, hook }))
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

/// The image `base`: built from the first context there is, else pulled from the node's repository, if it has one.
pub(super) fn image(node: &Node, base: &str) -> Result<ImageSource, InvalidValue> {
    let contexts =
        node.context_directories.iter().map(|dir| dir.join(base)).collect::<Result<_, _>>()?;
    let pull = node
        .image_repository
        .as_ref()
        .map(|repository| Ok(node.pull(ImageRef::new(format!("{repository}/{base}:latest"))?)));
    Ok(ImageSource { build: Some(node.build(base, contexts)?), pull: pull.transpose()? })
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
