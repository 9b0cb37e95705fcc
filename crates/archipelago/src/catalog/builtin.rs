//! Archipelago's own three companions.

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
use crate::node::Node;

/// The name of the hook that renders the RPC viewer's nginx.conf.
pub const BITCOIN_UI_HOOK: &str = "bitcoin-ui";

/// The companions with the apps they belong to.
///
/// All of them or none: a catalog without one of its own companions would leave it to nobody.
pub(super) fn companions(node: &Node) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, InvalidValue> {
    Ok(vec![bitcoin_ui(node)?, lnd_ui(node)?, electrs_ui(node)?])
}

fn bitcoin_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let output = node.data_directory.join("bitcoin-ui")?.join("nginx.conf")?;
    let mut container = hardened()?;
    container.network = Network::Host;
    container.mounts.push(BindMount {
        source: output.clone(),
        target: AbsolutePath::new("/etc/nginx/conf.d/default.conf")?,
        read_only: true,
    });
    let program = HookProgram::Registered(HookName::new(BITCOIN_UI_HOOK)?);
    let hook = Some(HookSpec { program, output });
    companion(node, "bitcoin-ui", &["bitcoin", "bitcoin-core", "bitcoin-knots"], container, hook)
}

fn lnd_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let mut container = hardened()?;
    container.network = Network::Bridge;
    container.ports.extend(tcp(18083, 80));
    companion(node, "lnd-ui", &["lnd"], container, None)
}

fn electrs_ui(node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
    let mut container = hardened()?;
    container.network = Network::Host;
    companion(node, "electrs-ui", &["electrumx", "electrs", "mempool-electrs"], container, None)
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

/// The image `base`: built from the first context there is, else pulled from the node's repository.
pub(super) fn image(node: &Node, base: &str) -> Result<ImageSource, InvalidValue> {
    let contexts =
        node.context_directories.iter().map(|dir| dir.join(base)).collect::<Result<_, _>>()?;
    let build = BuildSource {
        reference: ImageRef::new(format!("localhost/{base}:latest"))?,
        contexts,
        arguments: node.build_arguments.clone(),
    };
    let reference = ImageRef::new(format!("{}/{base}:latest", node.image_repository))?;
    let verify_tls = !node.is_insecure_registry(reference.registry());
    Ok(ImageSource { build: Some(build), pull: Some(PullSource { reference, verify_tls }) })
}

/// What all companions have: nginx starts as root inside to give its worker directories away, which
/// takes these five capabilities and no more, and 128 MiB is several times what it uses. The image's own working directory
/// is not believed, because it may be a link.
pub(super) fn hardened() -> Result<ContainerSpec, InvalidValue> {
    let added = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    Ok(ContainerSpec {
        user: Some(ContainerUser { uid: 0, gid: 0 }),
        memory: Some(Memory::from_mebibytes(128)?),
        drop_all_capabilities: true,
        capabilities: added.into_iter().map(Capability::new).collect::<Result<BTreeSet<_>, _>>()?,
        working_dir: Some(AbsolutePath::root()),
        restart: RestartPolicy::Always,
        restart_delay: Some(10),
        ..ContainerSpec::default()
    })
}

fn tcp(host: u16, container: u16) -> Option<PortMapping> {
    Some(PortMapping {
        address: None,
        host: NonZeroU16::new(host)?,
        container: NonZeroU16::new(container)?,
        protocol: Protocol::Tcp,
    })
}
