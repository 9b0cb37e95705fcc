//! What a node is like: where its data, credentials and build contexts are. A catalog file may say so
//! in its table `[node]`; what it leaves out stays as Archipelago has it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use companion_core::model::companion::InvalidValue;
use companion_core::model::container::{AbsolutePath, HostName};
use companion_core::model::image::ImageRef;
use serde::{Deserialize, Serialize};

/// The registries whose certificates are not verified, because they have none. Archipelago's own is
/// reached by address; the image's digest, not the transport, is what its users would have to trust.
pub const INSECURE_REGISTRIES: [&str; 1] = ["146.59.87.168:3000"];

/// Where Archipelago looks for build contexts, in this order.
pub const CONTEXT_DIRECTORIES: [&str; 3] = [
    "/opt/archipelago/docker",
    "/home/archipelago/archy/docker",
    "/home/archipelago/Projects/archy/docker",
];

/// The port of the RPC viewer, TCP, on all addresses of the host.
pub const BITCOIN_UI_PORT: u16 = 18081;

/// The settings of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Directories that hold one build context for each image, named after it; the first that has a
    /// Dockerfile wins.
    pub context_directories: Vec<AbsolutePath>,
    /// Build arguments for every image, such as `BASE_IMAGE`.
    pub build_arguments: BTreeMap<String, String>,
    /// Where images are pulled from when they cannot be built, with the path below the registry.
    pub image_repository: String,
    /// Registries (`host` or `host:port`) whose certificates are not verified.
    pub insecure_registries: Vec<String>,
    /// The parent directory of rendered configuration.
    pub data_directory: AbsolutePath,
    /// Host names, besides IP addresses and `localhost`, under which people open the pages; the
    /// machine's own and that with `.local` when empty.
    pub host_names: Vec<HostName>,
    /// The node's RPC.
    pub bitcoin: BitcoinRpc,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            context_directories: CONTEXT_DIRECTORIES.map(must).to_vec(),
            build_arguments: BTreeMap::new(),
            image_repository: "146.59.87.168:3000/lfg2025".to_owned(),
            insecure_registries: INSECURE_REGISTRIES.map(str::to_owned).to_vec(),
            data_directory: must("/var/lib/archipelago"),
            host_names: Vec::new(),
            bitcoin: BitcoinRpc::default(),
        }
    }
}

impl Node {
    /// Whether images of `registry` are fetched without verifying its certificate: only when the
    /// allow-list names it, letter by letter.
    pub fn is_insecure_registry(&self, registry: &str) -> bool {
        self.insecure_registries.iter().any(|insecure| insecure == registry)
    }

    /// Checks what the types of the fields do not.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the field.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        self.bitcoin.validate()?;
        // Any image below it must be one, so the shortest is tried.
        if ImageRef::new(format!("{}/x:latest", self.image_repository)).is_err() {
            let rule = "must be a registry with a path, such as `registry.example:5000/team`";
            return Err(InvalidValue::new("image_repository", &self.image_repository, rule));
        }
        for registry in &self.insecure_registries {
            let reference = ImageRef::new(format!("{registry}/x"));
            if !reference.is_ok_and(|reference| reference.registry() == registry) {
                let rule =
                    "must be `host` or `host:port` in lower case, as in an image's reference";
                return Err(InvalidValue::new("insecure_registries", registry, rule));
            }
        }
        for (name, value) in &self.build_arguments {
            let plain = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !value.chars().any(char::is_control)
                && value.len() <= 4096;
            if !plain {
                let rule = "must be a word of letters, digits and `_`, its value one line";
                return Err(InvalidValue::new("build_arguments", name, rule));
            }
        }
        Ok(())
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
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8332),
            user: "archipelago".to_owned(),
            password_file: must("/var/lib/archipelago/secrets/bitcoin-rpc-password"),
            cookie_file: must("/var/lib/archipelago/bitcoin/.cookie"),
        }
    }
}

impl BitcoinRpc {
    fn validate(&self) -> Result<(), InvalidValue> {
        // A colon would end the user name in `user:password` (RFC 7617).
        let plain = !self.user.is_empty()
            && self.user.len() <= 128
            && !self.user.chars().any(|c| c.is_control() || c == ':');
        if plain {
            return Ok(());
        }
        let rule = "must be 1 to 128 characters without `:` and control characters";
        Err(InvalidValue::new("bitcoin.user", &self.user, rule))
    }
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
mod tests {
    use super::*;

    #[test]
    fn built_in_paths_are_valid() {
        let node = Node::default();
        assert_eq!(node.context_directories.len(), CONTEXT_DIRECTORIES.len());
        assert_eq!(node.data_directory.as_str(), "/var/lib/archipelago");
        let bitcoin = node.bitcoin;
        assert!(bitcoin.password_file.as_str().ends_with("/bitcoin-rpc-password"));
        assert!(bitcoin.cookie_file.as_str().ends_with("/.cookie"));
    }

    #[test]
    fn tls_is_off_for_the_allow_list_only() {
        let node = Node::default();
        assert!(node.is_insecure_registry("146.59.87.168:3000"));
        for other in ["146.59.87.168", "146.59.87.168:3001", "1146.59.87.168:3000", "docker.io", ""]
        {
            assert!(!node.is_insecure_registry(other), "{other}");
        }
    }

    #[test]
    fn invalid_image_repository_is_refused_by_field() {
        let with =
            |repository: &str| Node { image_repository: repository.to_owned(), ..Node::default() };
        for good in ["registry.example", "localhost/team", "registry.example:5000/a/b"] {
            with(good).validate().unwrap();
        }
        for bad in
            ["Registry.example/Team", "", "team", "registry.example/", "a.example/x:1", "a.b /c"]
        {
            assert_eq!(with(bad).validate().unwrap_err().field(), "image_repository", "{bad}");
        }
    }

    #[test]
    fn invalid_insecure_registry_is_refused_by_field() {
        let with = |registry: &str| Node {
            insecure_registries: vec![registry.to_owned()],
            ..Node::default()
        };
        for good in ["registry.example", "localhost", "10.0.0.2:5000", "host:5000"] {
            with(good).validate().unwrap();
        }
        for bad in
            ["", "http://registry.example", "Registry.example", "a.b:0", "a.b/team", "*", "a.b:x"]
        {
            assert_eq!(with(bad).validate().unwrap_err().field(), "insecure_registries", "{bad}");
        }
    }

    #[test]
    fn a_user_name_with_a_colon_is_refused() {
        let mut node = Node::default();
        node.validate().unwrap();
        node.bitcoin.user = "a:b".to_owned();
        assert_eq!(node.validate().unwrap_err().field(), "bitcoin.user");
    }
}
