//! The credentials of bitcoin-ui.
//!
//! The password file takes precedence over bitcoind's cookie file.

use adapter_hooks::{HookError, read_secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use companion_core::ports::PortErrorKind;
use zeroize::Zeroizing;

use crate::node::BitcoinRpc;

/// `user:password` of the node's RPC, in base64.
pub(super) fn authorization(rpc: &BitcoinRpc) -> Result<String, HookError> {
    let credentials = match read_secret(rpc.password_file.as_path()) {
        Ok(password) => Zeroizing::new([rpc.user.as_str(), password.as_str()].join(":")),
        Err(HookError::NotReady { .. }) => cookie(rpc)?,
        Err(error) => return Err(error),
    };
    Ok(STANDARD.encode(credentials.as_bytes()))
}

fn cookie(rpc: &BitcoinRpc) -> Result<Zeroizing<String>, HookError> {
    let cookie = match read_secret(rpc.cookie_file.as_path()) {
        Err(HookError::NotReady { .. }) => {
            let waiting_for = format!(
                "the node's RPC password in {} or its cookie in {}",
                rpc.password_file, rpc.cookie_file
            );
            return Err(HookError::NotReady { waiting_for });
        }
        read => read?,
    };
    if cookie.contains(':') {
        return Ok(cookie);
    }
    let message = format!("{} does not contain `user:password`", rpc.cookie_file);
    Err(HookError::failed(PortErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use companion_core::model::container::{AbsolutePath, HostName};
    use companion_core::model::hook::Rendered;
    use proptest::prelude::*;

    use super::*;
    use crate::node::Node;
    use crate::page::Page;

    fn render(dir: &Path) -> Result<Rendered, HookError> {
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
        Page::Bitcoin.render(&node, Some(HostName::new("node").unwrap()), false)
    }

    fn rendered(dir: &Path) -> String {
        String::from_utf8(render(dir).unwrap().bytes().to_vec()).unwrap()
    }

    #[test]
    fn password_or_else_the_cookie_becomes_basic_credentials() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), "swordfish\n").unwrap();
        let text = rendered(dir.path());
        assert!(text.contains(&STANDARD.encode("archipelago:swordfish")));
        assert!(!text.contains("swordfish"), "only the encoded form stands in it");
        assert!(text.contains("\"host:node\" 1;") && text.contains("\"host:node.local\" 1;"));
        assert!(text.contains("127.0.0.1:8332"));
        std::fs::remove_file(dir.path().join("password")).unwrap();
        std::fs::write(dir.path().join("cookie"), "__cookie__:0123").unwrap();
        assert!(rendered(dir.path()).contains(&STANDARD.encode("__cookie__:0123")));
    }

    #[test]
    fn hook_without_password_and_cookie_is_not_ready_and_names_both() {
        let dir = tempfile::tempdir().unwrap();
        let Err(HookError::NotReady { waiting_for }) = render(dir.path()) else {
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
        let error = render(dir.path()).unwrap_err().to_string();
        assert!(error.contains("cookie") && !error.contains("hunter2"), "{error}");
    }

    proptest! {
        #[test]
        fn passwords_do_not_change_the_structure_of_the_configuration(password in "[ -~]{1,80}") {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("password"), "harmless").unwrap();
            let harmless = rendered(dir.path());
            std::fs::write(dir.path().join("password"), &password).unwrap();
            let text = rendered(dir.path());
            let encoded = STANDARD.encode(format!("archipelago:{password}"));
            let plain = STANDARD.encode("archipelago:harmless");
            prop_assert_eq!(text.replace(&encoded, &plain), harmless);
        }
    }
}
