//! What the node sets for every page, and the hooks of lnd-ui and electrs-ui, whose pages need no credentials.
//!
//! The images of those two are configured for a default node. Only a node with other settings has their
//! configuration rendered.

use std::collections::BTreeSet;

use adapter_hooks::template::{self, Value, Values};
use adapter_hooks::{HookError, Readiness};
use companion_core::model::container::{HOST_LOOPBACK, HostName};
use companion_core::model::hook::Rendered;
use companion_core::ports::PortErrorKind;

use crate::node::{ELECTRS_UI_PORT, LND_UI_PORT, Node};

/// A page that is configured by its image unless the node has settings for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusPage {
    /// lnd-ui.
    Lnd,
    /// electrs-ui.
    Electrs,
}

impl StatusPage {
    pub(crate) const ALL: [Self; 2] = [Self::Lnd, Self::Electrs];

    /// The name of its image, which is also that of its hook.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::Lnd => "lnd-ui",
            Self::Electrs => "electrs-ui",
        }
    }

    /// Returns whether `node` has settings that the image does not know.
    pub(crate) fn is_rendered_on(self, node: &Node) -> bool {
        let default = Node::default();
        node.host_names != default.host_names
            || node.frame_ancestors != default.frame_ancestors
            || match self {
                Self::Lnd => node.lnd != default.lnd,
                Self::Electrs => node.electrs != default.electrs,
            }
    }

    /// Returns whether its container shares the network of the host, because it cannot reach the backend from a
    /// network of its own, where only the host's loopback is reachable for certain.
    pub(crate) fn is_on_host_network(self, node: &Node) -> bool {
        match self {
            Self::Lnd => node.lnd.address.ip() != HOST_LOOPBACK,
            Self::Electrs => true,
        }
    }

    /// Renders its configuration for `node`; the parameters are those of [`values`].
    pub(crate) fn render(
        self,
        node: &Node,
        machine: Option<HostName>,
        has_ipv6: bool,
    ) -> Result<Readiness, HookError> {
        let on_host = self.is_on_host_network(node);
        let port = match self {
            Self::Lnd if on_host => LND_UI_PORT,
            Self::Lnd => 80,
            Self::Electrs => ELECTRS_UI_PORT,
        };
        let mut values = values(node, machine, port, on_host && has_ipv6);
        let mut set = |name: &str, address: std::net::SocketAddr| {
            values.insert(name.to_owned(), Value::Text(address.to_string()));
        };
        match self {
            Self::Lnd => set("lnd_address", node.lnd.address),
            Self::Electrs => {
                set("metrics_address", node.electrs.metrics_address);
                set("electrum_address", node.electrs.electrum_address);
            }
        }
        rendered(self.base(), self.template(), &values)
    }

    fn template(self) -> &'static str {
        match self {
            Self::Lnd => include_str!("../companions/lnd-ui/nginx.conf.j2"),
            Self::Electrs => include_str!("../companions/electrs-ui/nginx.conf.j2"),
        }
    }
}

/// The values of every page's template on `node`, whose machine is called `machine`.
///
/// The names under which people open the page are the node's, or the machine's own.
pub(crate) fn values(
    node: &Node,
    machine: Option<HostName>,
    listen_port: u16,
    listen_ipv6: bool,
) -> Values {
    let mut host_names = node.host_names.clone();
    if host_names.is_empty()
        && let Some(machine) = machine
    {
        host_names.extend(HostName::new(format!("{machine}.local")).ok());
        host_names.push(machine);
    }
    // The templates have it already, and nginx refuses a name that is given twice.
    let mut seen = BTreeSet::from(["localhost".to_owned()]);
    host_names.retain(|name| seen.insert(name.as_str().to_ascii_lowercase()));
    let host_names = host_names.iter().map(|name| name.as_str().to_owned()).collect();
    Values::from([
        ("listen_port".to_owned(), Value::Number(listen_port.into())),
        ("listen_ipv6".to_owned(), Value::Flag(listen_ipv6)),
        ("host_names".to_owned(), Value::Texts(host_names)),
        ("frame_ancestors".to_owned(), Value::Texts(node.frame_ancestors.clone())),
    ])
}

/// The configuration of the page `base`.
pub(crate) fn rendered(
    base: &str,
    template: &str,
    values: &Values,
) -> Result<Readiness, HookError> {
    let text = template::render(template, values).map_err(|error| {
        let message = format!("failed to render the {base} configuration: {error}");
        HookError::failed(PortErrorKind::Invalid, message)
    })?;
    Ok(Readiness::Ready(Rendered::new(text.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests;
