//! What a node is like: where its data, credentials and build contexts are. A catalog file may say so
//! in its table `[node]`; what it leaves out stays as Archipelago has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use companion_core::model::companion::InvalidValue;
use companion_core::model::container::{AbsolutePath, HOST_LOOPBACK, HostName};
use companion_core::model::image::{BuildSource, ImageRef, PullSource};
use serde::{Deserialize, Serialize};

/// Archipelago's registry. It is reached by address and has no certificate.
pub const ARCHIPELAGO_REGISTRY: &str = "146.59.87.168:3000";

/// Where build contexts are looked for, in this order: where Archipelago has them, then where a package of
/// companion installs them.
pub const CONTEXT_DIRECTORIES: [&str; 4] = [
    "/opt/archipelago/docker",
    "/home/archipelago/archy/docker",
    "/home/archipelago/Projects/archy/docker",
    "/usr/share/companion/companions",
];

const GUARDIAN: &str = "fedimint.guardian_address";

/// The most origins that may show a page in a frame: nginx reads a word of 4096 bytes.
const FRAME_ANCESTORS_LIMIT: usize = 8;

/// The settings of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Directories that hold one build context for each image, named after it; the first that has a
    /// Dockerfile wins.
    pub context_directories: Vec<AbsolutePath>,
    /// Build arguments for every image, such as `BASE_IMAGE`.
    pub build_arguments: BTreeMap<String, String>,
    /// Where images are pulled from that cannot be built, with the path below the registry; without it, images are only
    /// built.
    pub image_repository: Option<String>,
    /// Registries (`host` or `host:port`) whose certificates are not verified.
    pub insecure_registries: Vec<String>,
    /// How much disk space archives of the images may take, in MiB; each may take a quarter of it. From its archive an
    /// image comes back that was lost or damaged, without its base image and without a registry. 0 keeps none.
    pub image_archive_mib: u32,
    /// The parent directory of rendered configuration.
    pub data_directory: AbsolutePath,
    /// Host names, in addition to IP addresses and `localhost`, under which people open the pages; the
    /// machine's own and that with `.local` when empty.
    pub host_names: Vec<HostName>,
    /// Origins, such as `http://node.local:5678`, whose pages may show the pages in a frame; nobody's
    /// when empty.
    pub frame_ancestors: Vec<String>,
    /// The ports of the pages.
    pub page_ports: PagePorts,
    /// What `{{NAME}}` in the `derived_env` of backends' manifests stands for, such as `HOST_IP` and `HOST_MDNS`. Names
    /// are capitals, digits and `_`, values one line.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// The node's RPC.
    pub bitcoin: BitcoinRpc,
    /// The node's lnd.
    pub lnd: Lnd,
    /// The node's Electrum server.
    pub electrs: Electrs,
    /// The node's Fedimint.
    pub fedimint: Fedimint,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            context_directories: CONTEXT_DIRECTORIES.map(must).to_vec(),
            build_arguments: BTreeMap::new(),
            image_repository: None,
            insecure_registries: Vec::new(),
            image_archive_mib: 1024,
            data_directory: must("/var/lib/archipelago"),
            host_names: Vec::new(),
            frame_ancestors: Vec::new(),
            page_ports: PagePorts::default(),
            facts: BTreeMap::new(),
            bitcoin: BitcoinRpc::default(),
            lnd: Lnd::default(),
            electrs: Electrs::default(),
            fedimint: Fedimint::default(),
        }
    }
}

impl Node {
    /// The default settings with [`ARCHIPELAGO_REGISTRY`], which is trusted without a certificate: whoever controls the
    /// network between it and the node can replace the images.
    pub fn archipelago() -> Self {
        Self {
            image_repository: Some(format!("{ARCHIPELAGO_REGISTRY}/lfg2025")),
            insecure_registries: vec![ARCHIPELAGO_REGISTRY.to_owned()],
            ..Self::default()
        }
    }

    /// The image `reference` as it is pulled here: without verifying the certificate of its registry only when the
    /// allow-list names that, letter by letter.
    pub(crate) fn pull(&self, reference: ImageRef) -> PullSource {
        let registry = reference.registry();
        let verify_tls = !self.insecure_registries.iter().any(|insecure| insecure == registry);
        PullSource { reference, verify_tls }
    }

    /// The image `base` as it is built here, from the first of `contexts` there is.
    pub(crate) fn build(
        &self,
        base: &str,
        contexts: Vec<AbsolutePath>,
    ) -> Result<BuildSource, InvalidValue> {
        let reference = ImageRef::new(format!("localhost/{base}:latest"))?;
        Ok(BuildSource { reference, contexts, arguments: self.build_arguments.clone() })
    }

    /// Checks what the types of the fields do not.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the field.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        self.validate_backends()?;
        let count = self.frame_ancestors.len();
        let rule = "must be at most 8 origins";
        InvalidValue::unless(count <= FRAME_ANCESTORS_LIMIT, "frame_ancestors", count, rule)?;
        for origin in &self.frame_ancestors {
            let rule = "must be an origin in lower case, such as `http://node.local:5678`";
            InvalidValue::unless(is_origin(origin), "frame_ancestors", origin, rule)?;
        }
        if let Some(repository) = &self.image_repository {
            // Any image below it must be one, so the shortest is tried.
            let is_one = ImageRef::new(format!("{repository}/x:latest")).is_ok();
            let rule = "must be a registry with a path, such as `registry.example:5000/team`";
            InvalidValue::unless(is_one, "image_repository", repository, rule)?;
        }
        for registry in &self.insecure_registries {
            let reference = ImageRef::new(format!("{registry}/x"));
            let is_one = reference.is_ok_and(|reference| reference.registry() == registry);
            let rule = "must be `host` or `host:port` in lower case, as in an image's reference";
            InvalidValue::unless(is_one, "insecure_registries", registry, rule)?;
        }
        let one_line = |value: &String| value.len() <= 4096 && !value.chars().any(char::is_control);
        for (name, value) in &self.facts {
            let rule = "must be a name of capitals, digits and `_`, its value one line";
            InvalidValue::unless(is_fact_name(name) && one_line(value), "facts", name, rule)?;
        }
        for (name, value) in &self.build_arguments {
            let is_word =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let rule = "must be a word of letters, digits and `_`, its value one line";
            InvalidValue::unless(is_word && one_line(value), "build_arguments", name, rule)?;
        }
        Ok(())
    }

    fn validate_backends(&self) -> Result<(), InvalidValue> {
        let Self { bitcoin, lnd, electrs, fedimint, page_ports, .. } = self;
        let pages = [page_ports.bitcoin, page_ports.electrs, page_ports.lnd, page_ports.fedimint];
        let rule = "must be four different ports";
        let differ = BTreeSet::from(pages).len() == pages.len();
        InvalidValue::unless(
            differ,
            "page_ports",
            pages.map(|it| it.to_string()).join(", "),
            rule,
        )?;
        // A colon would end the user name in `user:password` (RFC 7617).
        let is_plain = (1..=128).contains(&bitcoin.user.len())
            && !bitcoin.user.chars().any(|c| c.is_control() || c == ':');
        let rule = "must be 1 to 128 characters without `:` and control characters";
        InvalidValue::unless(is_plain, "bitcoin.user", &bitcoin.user, rule)?;
        for (field, address) in [
            ("lnd.address", lnd.address),
            ("electrs.metrics_address", electrs.metrics_address),
            ("electrs.electrum_address", electrs.electrum_address),
            (GUARDIAN, fedimint.guardian_address),
        ] {
            // nginx cannot write a zone.
            let has_zone = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
            let is_usable = !address.ip().is_unspecified() && address.port() != 0 && !has_zone;
            let rule = "must be an address to connect to and its port, without a zone";
            InvalidValue::unless(is_usable, field, address, rule)?;
        }
        let is_private = lnd.macaroon_file.is_none() || lnd.rest_address().ip().is_loopback();
        let rule = "must be a loopback address with `macaroon_file`, such as `127.0.0.1:8080`";
        InvalidValue::unless(is_private, "lnd.address", lnd.address, rule)?;
        if let Some(address) = &electrs.onion_address {
            let rule = "must be `NAME.onion:PORT`, the name with 56 of `a-z2-7`";
            InvalidValue::unless(is_onion(address), "electrs.onion_address", address, rule)?;
        }
        // At the port of a page, the waiting page would redirect browsers to itself or to another page.
        let guardian = fedimint.guardian_address;
        let is_free = pages.iter().all(|page| page.get() != guardian.port());
        InvalidValue::unless(is_free, GUARDIAN, guardian, "must have another port than the pages")
    }
}

/// The node's RPC and its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BitcoinRpc {
    /// Its address and port; a literal address, because nginx would look a name up only once.
    pub address: SocketAddr,
    /// The user name that goes with the password file.
    pub user: String,
    /// The file with the password on one line. It takes precedence over the cookie file.
    pub password_file: AbsolutePath,
    /// bitcoind's cookie file, `user:password`, replaced at each start of bitcoind.
    pub cookie_file: AbsolutePath,
}

impl Default for BitcoinRpc {
    fn default() -> Self {
        Self {
            address: local(8332),
            user: "archipelago".to_owned(),
            password_file: must("/var/lib/archipelago/secrets/bitcoin-rpc-password"),
            cookie_file: must("/var/lib/archipelago/bitcoin/.cookie"),
        }
    }
}

/// The TCP ports of the pages, on all addresses of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagePorts {
    /// The page of the Bitcoin node.
    pub bitcoin: NonZeroU16,
    /// The page of the Electrum server.
    pub electrs: NonZeroU16,
    /// The page of lnd.
    pub lnd: NonZeroU16,
    /// The page that waits for the Guardian of Fedimint.
    pub fedimint: NonZeroU16,
}

impl Default for PagePorts {
    fn default() -> Self {
        let above = |offset: u16| NonZeroU16::MIN.saturating_add(18_080 + offset);
        Self { bitcoin: above(0), electrs: above(1), lnd: above(2), fedimint: above(3) }
    }
}

/// The node's lnd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lnd {
    /// The address and port of its REST API. `169.254.1.2` is the host's loopback in the network of the page's
    /// container; with any other address, or a macaroon, the page shares the network of the host instead.
    pub address: SocketAddr,
    /// A file with a macaroon that can only read, lnd's `readonly.macaroon`. With it the page shows balances and
    /// channels to everybody who can open the page. The page shares the network of the host then and asks lnd on the
    /// host's loopback alone, because it cannot verify lnd's certificate: `169.254.1.2` means `127.0.0.1`, and any
    /// other address must be a loopback address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macaroon_file: Option<AbsolutePath>,
}

impl Default for Lnd {
    fn default() -> Self {
        Self { address: SocketAddr::new(HOST_LOOPBACK.into(), 8080), macaroon_file: None }
    }
}

impl Lnd {
    /// Returns whether its page shares the network of the host.
    ///
    /// In a separate network, `169.254.1.2` is the host's loopback for rootless Podman only; for root it is an
    /// address of the link. The macaroon must not depend on that.
    pub(crate) fn is_on_host_network(&self) -> bool {
        self.macaroon_file.is_some() || self.address.ip() != HOST_LOOPBACK
    }

    /// Returns the address at which its page asks it.
    pub(crate) fn rest_address(&self) -> SocketAddr {
        match self.address.ip() {
            ip if ip == HOST_LOOPBACK && self.is_on_host_network() => local(self.address.port()),
            _ => self.address,
        }
    }
}

/// The node's Electrum server: electrs, ElectrumX, or the electrs of mempool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Electrs {
    /// The address and port of the figures that electrs publishes, its `monitoring_addr`.
    pub metrics_address: SocketAddr,
    /// The address and port for wallets, its `electrum_rpc_addr`.
    pub electrum_address: SocketAddr,
    /// Where wallets reach it over Tor, `NAME.onion:PORT`; the page shows it as text and as a QR code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onion_address: Option<String>,
}

impl Default for Electrs {
    fn default() -> Self {
        Self { metrics_address: local(4224), electrum_address: local(50001), onion_address: None }
    }
}

/// The node's Fedimint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fedimint {
    /// The address and port of the Guardian's page. The waiting page asks it there, and redirects browsers to that port
    /// of the name in their address bar.
    pub guardian_address: SocketAddr,
}

impl Default for Fedimint {
    fn default() -> Self {
        Self { guardian_address: local(8177) }
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether `text` can be the name of a fact.
pub(crate) fn is_fact_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether `text` is the address of a version 3 onion service with its port.
fn is_onion(text: &str) -> bool {
    let Some((name, port)) = text.split_once(".onion:") else { return false };
    let is_base32 = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    name.len() == 56 && is_base32 && is_port(port)
}

/// Whether `text` is a port in its usual notation, without signs and leading zeros.
fn is_port(text: &str) -> bool {
    text.parse::<NonZeroU16>().is_ok_and(|port| port.to_string() == text)
}

/// Whether `text` is an origin (RFC 6454) that a Content-Security-Policy can name.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(host) = host else { return false };
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    HostName::new(name).is_ok() && is_port(port)
}

/// A path written in this file; a test holds that each is one.
#[expect(
    clippy::expect_used,
    reason = "the text is this program's own; another path, such as `/`, would be believed and used"
)]
fn must(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).expect("a built-in path is absolute and in normal form")
}

#[cfg(test)]
mod tests;
