//! The bitcoin-ui hook: renders the RPC viewer's nginx.conf with the node's credentials.
//!
//! The password file takes precedence over bitcoind's cookie file. Without both, the hook is not ready: the
//! node would refuse a configuration without credentials.

use std::path::PathBuf;

use adapter_hooks::template::{Value, Values};
use adapter_hooks::{ConfigHook, HookError, Readiness, read_secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use companion_core::model::container::HostName;
use companion_core::ports::PortErrorKind;
use zeroize::Zeroizing;

use crate::node::{BitcoinRpc, Node};
use crate::page::{rendered, values};

/// The template of the configuration, which says what each of its variables is.
const TEMPLATE: &str = include_str!("../companions/bitcoin-ui/nginx.conf.j2");

/// Renders the RPC viewer's nginx.conf.
#[derive(Debug, Clone)]
pub struct BitcoinUi {
    rpc: BitcoinRpc,
    page: Values,
}

impl BitcoinUi {
    /// The hook for `node`, whose machine is called `machine` and has IPv6 or not.
    ///
    /// The names under which people open the page are the node's, or the machine's own.
    pub fn new(node: &Node, machine: Option<HostName>, listen_ipv6: bool) -> Self {
        let page = values(node, machine, node.page_ports.bitcoin.get(), listen_ipv6);
        Self { rpc: node.bitcoin.clone(), page }
    }

    /// `user:password` of the node's RPC.
    fn credentials(&self) -> Result<Zeroizing<String>, HookError> {
        match read_secret(self.rpc.password_file.as_path()) {
            Ok(password) => {
                Ok(Zeroizing::new([self.rpc.user.as_str(), password.as_str()].join(":")))
            }
            Err(HookError::NotReady { .. }) => self.cookie(),
            Err(error) => Err(error),
        }
    }

    fn cookie(&self) -> Result<Zeroizing<String>, HookError> {
        let cookie = match read_secret(self.rpc.cookie_file.as_path()) {
            Err(HookError::NotReady { .. }) => {
                let waiting_for = format!(
                    "the node's RPC password in {} or its cookie in {}",
                    self.rpc.password_file, self.rpc.cookie_file
                );
                return Err(HookError::NotReady { waiting_for });
            }
            read => read?,
        };
        if cookie.contains(':') {
            return Ok(cookie);
        }
        let message = format!("{} does not contain `user:password`", self.rpc.cookie_file);
        Err(HookError::failed(PortErrorKind::Invalid, message))
    }
}

impl ConfigHook for BitcoinUi {
    fn inputs(&self) -> Vec<PathBuf> {
        let files = [&self.rpc.password_file, &self.rpc.cookie_file];
        files.map(|file| file.as_path().to_owned()).into()
    }

    fn render(&self) -> Result<Readiness, HookError> {
        let credentials = match self.credentials() {
            Err(HookError::NotReady { waiting_for }) => {
                return Ok(Readiness::NotReady { waiting_for });
            }
            read => read?,
        };
        let mut values = self.page.clone();
        values.extend([
            ("rpc_address".to_owned(), Value::Text(self.rpc.address.to_string())),
            ("authorization".to_owned(), Value::Text(STANDARD.encode(credentials.as_bytes()))),
        ]);
        rendered("bitcoin-ui", TEMPLATE, &values)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use companion_core::model::container::AbsolutePath;
    use proptest::prelude::*;

    use super::*;

    fn hook(dir: &Path) -> BitcoinUi {
        let path = |name: &str| AbsolutePath::new(dir.join(name).to_str().unwrap()).unwrap();
        let node = Node {
            bitcoin: BitcoinRpc {
                user: "archipelago".to_owned(),
                password_file: path("password"),
                cookie_file: path("cookie"),
                ..BitcoinRpc::default()
            },
            ..Node::default()
        };
        BitcoinUi::new(&node, Some(HostName::new("node").unwrap()), false)
    }

    fn rendered(hook: &BitcoinUi) -> String {
        match hook.render().unwrap() {
            Readiness::Ready(rendered) => String::from_utf8(rendered.bytes().to_vec()).unwrap(),
            Readiness::NotReady { waiting_for } => panic!("waits for {waiting_for}"),
        }
    }

    #[test]
    fn the_password_becomes_basic_credentials() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), "swordfish\n").unwrap();
        let text = rendered(&hook(dir.path()));
        assert!(text.contains(&STANDARD.encode("archipelago:swordfish")));
        assert!(!text.contains("swordfish"), "only the encoded form stands in it");
        assert!(text.contains("\"host:node\" 1;") && text.contains("\"host:node.local\" 1;"));
        assert!(text.contains("127.0.0.1:8332"));
    }

    #[test]
    fn the_cookie_serves_when_there_is_no_password() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cookie"), "__cookie__:0123").unwrap();
        assert!(rendered(&hook(dir.path())).contains(&STANDARD.encode("__cookie__:0123")));
    }

    #[test]
    fn hook_without_password_and_cookie_is_not_ready_and_names_both() {
        let dir = tempfile::tempdir().unwrap();
        let Readiness::NotReady { waiting_for } = hook(dir.path()).render().unwrap() else {
            panic!("there is nothing to render from");
        };
        assert!(
            waiting_for.contains("password") && waiting_for.contains("cookie"),
            "{waiting_for}"
        );
    }

    #[test]
    fn a_cookie_of_another_form_is_refused_without_being_quoted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cookie"), "hunter2").unwrap();
        let error = hook(dir.path()).render().unwrap_err().to_string();
        assert!(error.contains("cookie") && !error.contains("hunter2"), "{error}");
    }

    proptest! {
        #[test]
        fn passwords_do_not_change_the_structure_of_the_configuration(password in "[ -~]{1,80}") {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("password"), "harmless").unwrap();
            let harmless = rendered(&hook(dir.path()));
            std::fs::write(dir.path().join("password"), &password).unwrap();
            let text = rendered(&hook(dir.path()));
            let encoded = STANDARD.encode(format!("archipelago:{password}"));
            let plain = STANDARD.encode("archipelago:harmless");
            prop_assert_eq!(text.replace(&encoded, &plain), harmless);
        }
    }
}
