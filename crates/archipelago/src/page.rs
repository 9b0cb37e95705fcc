//! The built-in pages, and the hooks that render their configuration.
//!
//! bitcoin-ui needs the node's credentials. The images of the others are configured for a default node, without
//! credentials: only a node with other settings has their configuration rendered, with lnd's macaroon if the node names
//! one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use adapter_hooks::template::{self, Value, Values};
use adapter_hooks::{HookError, read_secret_bytes};
use companion_core::model::container::{AbsolutePath, HOST_LOOPBACK, HostName};
use companion_core::model::hook::Rendered;
use companion_core::ports::PortErrorKind;

use crate::catalog::BITCOIN_UI_HOOK;
use crate::node::Node;

mod bitcoin;

/// The most bytes of a macaroon; lnd's own have fewer than 400.
const MACAROON_LIMIT: usize = 1024;
/// What the page says when companion may not read the macaroon.
const NO_PERMISSION: &str = "companion has no permission to read the macaroon_file of \
    catalog.toml; name a copy that its user can read";
/// What the page says when the file has other contents or is of another kind.
const NO_MACAROON: &str = "the macaroon_file of catalog.toml is not a macaroon: it is \
    empty, has more than 1024 bytes, or is not a regular file";

/// A built-in page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// bitcoin-ui.
    Bitcoin,
    /// lnd-ui.
    Lnd,
    /// electrs-ui.
    Electrs,
    /// fedimint-ui.
    Fedimint,
}

impl Page {
    pub(crate) const ALL: [Self; 4] = [Self::Bitcoin, Self::Lnd, Self::Electrs, Self::Fedimint];

    /// The name of its image, which is also that of its hook.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::Bitcoin => BITCOIN_UI_HOOK,
            Self::Lnd => "lnd-ui",
            Self::Electrs => "electrs-ui",
            Self::Fedimint => "fedimint-ui",
        }
    }

    /// The port of the host on which it answers.
    pub(crate) fn host_port(self, node: &Node) -> NonZeroU16 {
        let ports = &node.page_ports;
        match self {
            Self::Bitcoin => ports.bitcoin,
            Self::Lnd => ports.lnd,
            Self::Electrs => ports.electrs,
            Self::Fedimint => ports.fedimint,
        }
    }

    /// Returns whether `node` has settings that the image does not know.
    pub(crate) fn is_rendered_on(self, node: &Node) -> bool {
        let default = Node::default();
        node.host_names != default.host_names
            || node.page_ports != default.page_ports
            || node.frame_ancestors != default.frame_ancestors
            || match self {
                Self::Bitcoin => true,
                Self::Lnd => node.lnd != default.lnd,
                Self::Electrs => node.electrs != default.electrs,
                Self::Fedimint => {
                    node.fedimint != default.fedimint
                        || node.bitcoin.address != default.bitcoin.address
                }
            }
    }

    /// Returns whether its container shares the network of the host, because it cannot reach the backend from a
    /// separate network, or must not reach anything else.
    pub(crate) fn is_on_host_network(self, node: &Node) -> bool {
        match self {
            Self::Lnd => node.lnd.is_on_host_network(),
            Self::Bitcoin | Self::Electrs | Self::Fedimint => true,
        }
    }

    /// The files that its configuration is rendered from on `node`.
    pub(crate) fn inputs(self, node: &Node) -> Vec<PathBuf> {
        let files = match self {
            Self::Bitcoin => vec![&node.bitcoin.password_file, &node.bitcoin.cookie_file],
            Self::Lnd => node.lnd.macaroon_file.iter().collect(),
            Self::Electrs | Self::Fedimint => Vec::new(),
        };
        files.into_iter().map(|file| file.as_path().to_owned()).collect()
    }

    /// Renders its configuration for `node`; the parameters are those of [`values`].
    ///
    /// bitcoin-ui waits for credentials: the node would refuse a configuration without them.
    ///
    /// A macaroon that is missing or unusable is left out, because the page is useful without it: the page says why. Only
    /// a read that may succeed later, such as after an I/O error, fails the rendering.
    pub(crate) fn render(
        self,
        node: &Node,
        machine: Option<HostName>,
        has_ipv6: bool,
    ) -> Result<Rendered, HookError> {
        let on_host = self.is_on_host_network(node);
        let port = if on_host { self.host_port(node).get() } else { 80 };
        let mut values = values(node, machine, port, on_host && has_ipv6);
        let mut set = |name: &str, text: String| values.insert(name.to_owned(), Value::Text(text));
        match self {
            Self::Bitcoin => {
                set("rpc_address", node.bitcoin.address.to_string());
                set("authorization", bitcoin::authorization(&node.bitcoin)?);
            }
            Self::Lnd => {
                let loopback = if on_host { Ipv4Addr::LOCALHOST } else { HOST_LOOPBACK };
                let (macaroon, problem) = macaroon(node.lnd.macaroon_file.as_ref())?;
                set("host_loopback", loopback.to_string());
                set("lnd_address", node.lnd.rest_address().to_string());
                set("macaroon", macaroon);
                set("macaroon_problem", problem.to_owned());
            }
            Self::Electrs => {
                let electrs = &node.electrs;
                set("metrics_address", electrs.metrics_address.to_string());
                set("electrum_address", electrs.electrum_address.to_string());
                set("electrum_port", electrs.electrum_address.port().to_string());
                set("onion_address", electrs.onion_address.clone().unwrap_or_default());
            }
            Self::Fedimint => {
                let guardian = node.fedimint.guardian_address;
                set("rpc_address", node.bitcoin.address.to_string());
                set("guardian_address", guardian.to_string());
                set("guardian_port", guardian.port().to_string());
            }
        }
        let text = template::render(self.template(), &values).map_err(|error| {
            let message = format!("failed to render the {} configuration: {error}", self.base());
            HookError::failed(PortErrorKind::Invalid, message)
        })?;
        Ok(Rendered::new(text.as_bytes().to_vec()))
    }

    fn template(self) -> &'static str {
        match self {
            Self::Bitcoin => include_str!("../companions/bitcoin-ui/nginx.conf.j2"),
            Self::Lnd => include_str!("../companions/lnd-ui/nginx.conf.j2"),
            Self::Electrs => include_str!("../companions/electrs-ui/nginx.conf.j2"),
            Self::Fedimint => include_str!("../companions/fedimint-ui/nginx.conf.j2"),
        }
    }
}

/// The macaroon in `file` as hexadecimal digits, as lnd expects it in a header, and why there is none; neither while the
/// file is missing, since lnd makes it with its wallet.
fn macaroon(file: Option<&AbsolutePath>) -> Result<(String, &'static str), HookError> {
    let none = |problem| Ok((String::new(), problem));
    let Some(file) = file else { return none("") };
    let bytes = match read_secret_bytes(file.as_path()) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return none(""),
        Err(error) => return problem(error).and_then(none),
    };
    if bytes.is_empty() || bytes.len() > MACAROON_LIMIT {
        return none(NO_MACAROON);
    }
    // Reserved, so that no part of the secret stays behind in memory that was let go.
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes.iter() {
        // Writing to a `String` cannot fail.
        let _written = write!(digits, "{byte:02x}");
    }
    Ok((digits, ""))
}

/// What the page says of a macaroon that cannot be read.
///
/// # Errors
/// `error` itself if the next read may succeed.
fn problem(error: HookError) -> Result<&'static str, HookError> {
    match error.kind() {
        PortErrorKind::Denied => Ok(NO_PERMISSION),
        PortErrorKind::Invalid => Ok(NO_MACAROON),
        _ => Err(error),
    }
}

/// The values of every page's template on `node`, whose machine is called `machine`.
///
/// The names under which people open the page are the node's, or the machine's own.
fn values(node: &Node, machine: Option<HostName>, listen_port: u16, listen_ipv6: bool) -> Values {
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
    let port = |name: &str, port: u16| (name.to_owned(), Value::Number(port.into()));
    Values::from([
        port("listen_port", listen_port),
        port("bitcoin_port", node.page_ports.bitcoin.get()),
        port("electrs_port", node.page_ports.electrs.get()),
        port("lnd_port", node.page_ports.lnd.get()),
        port("fedimint_port", node.page_ports.fedimint.get()),
        ("listen_ipv6".to_owned(), Value::Flag(listen_ipv6)),
        ("host_names".to_owned(), Value::Texts(host_names)),
        ("frame_ancestors".to_owned(), Value::Texts(node.frame_ancestors.clone())),
    ])
}

#[cfg(test)]
mod tests;
