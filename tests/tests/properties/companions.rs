//! The companions of a case: names, kinds, versions, hostile texts, and their prerequisites on the host. Plain
//! numbers select them, so that a case shrinks well.

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::{
    AbsolutePath, BindMount, ContainerSpec, EnvName, Network, PortMapping, Protocol, RestartPolicy,
};
use companion_core::model::hook::{HookName, HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};
use companion_tests::node::{REGISTRY, name, path, reference};

/// The names: the shortest possible, one with another as its prefix, one that resembles a part of the host, and the
/// longest possible.
const NAMES: [&str; 4] =
    ["a", "a-b", "dbus-1", "z23456789-123456789-123456789-123456789-123456789-123456789-123"];

/// Texts that the model accepts and that are special to systemd, a shell, Quadlet, a terminal or a template.
const TEXTS: [&str; 14] = [
    "a page",
    "",
    " leading and trailing ",
    "%h %t %n %%",
    "$HOME ${HOME} $(id) `id`",
    "ends in a backslash \\",
    "[Service]",
    "ExecStartPre=/bin/false",
    "# no comment ; none",
    "'single' \"double\"",
    "\u{1b}[31mred\u{7}",
    "\u{2028}line\u{2028}separator",
    "{{ password }} {% raw %}",
    "\u{202e}thgir ot tfel",
];

/// The maximum number of companions of a case.
pub(crate) const MOST: usize = NAMES.len();

/// A companion of a case, with an index from 0 to [`MOST`] - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) kind: Kind,
    /// The index in [`TEXTS`] of the first text of version 0.
    pub(crate) text: u8,
    /// The restart policy and delay.
    pub(crate) restart: u8,
}

/// The kinds of companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only pulled.
    Pulled,
    /// Built, else pulled.
    Built,
    /// Built, with a template.
    Template,
    /// Pulled, with a command as hook.
    Command,
    /// Built, with a hook in Rust.
    Registered,
}

impl Profile {
    pub(crate) fn of(bits: u16) -> Self {
        let [low, high] = bits.to_le_bytes();
        let kinds = [Kind::Pulled, Kind::Built, Kind::Template, Kind::Command, Kind::Registered];
        let kind = kinds[usize::from(low) % kinds.len()];
        Self { kind, text: high % 16, restart: (high / 16) % 4 }
    }

    fn is_built(self) -> bool {
        matches!(self.kind, Kind::Built | Kind::Template | Kind::Registered)
    }
}

/// The name of the companion at `at`.
pub(crate) fn named(at: usize) -> CompanionName {
    name(NAMES[at])
}

/// The build context of the companion at `at`.
pub(crate) fn context(at: usize) -> AbsolutePath {
    path(&format!("/opt/docker/{}", NAMES[at]))
}

/// The rendered file of the companion at `at`; two of them share a directory.
pub(crate) fn output(at: usize) -> AbsolutePath {
    path(&format!("/var/lib/archipelago/{}/{}.conf", at / 2, NAMES[at]))
}

/// The secret file that the hook of the companion at `at` reads.
pub(crate) fn secret(at: usize) -> AbsolutePath {
    path(&format!("/var/lib/archipelago/secrets/{}", NAMES[at]))
}

/// The content of all templates.
pub(crate) fn template() -> AbsolutePath {
    path("/opt/docker/nginx.conf.j2")
}

/// The name of the hook in Rust of the companion at `at`.
pub(crate) fn registered(at: usize) -> HookName {
    HookName::new(format!("hook-{at}")).unwrap()
}

/// The build tag of the companion at `at`.
pub(crate) fn built_as(at: usize) -> ImageRef {
    reference(&format!("localhost/{}:latest", NAMES[at]))
}

/// The image reference from which version `version` of the companion at `at` is pulled.
pub(crate) fn pulled_as(at: usize, version: u8) -> ImageRef {
    reference(&format!("{REGISTRY}/team/{}:v{}", NAMES[at], version % 2))
}

/// The versions of a companion.
pub(crate) const VERSIONS: u8 = 4;

/// Version `version` of the companion at `at`.
pub(crate) fn spec(at: usize, profile: Profile, version: u8) -> CompanionSpec {
    let text = |offset: u8| {
        let position = usize::from(profile.text) + usize::from(offset);
        TEXTS[position % TEXTS.len()].to_owned()
    };
    let build = profile.is_built().then(|| BuildSource {
        reference: built_as(at),
        contexts: vec![path("/nowhere"), context(at)],
        arguments: [].into(),
    });
    let pull = PullSource { reference: pulled_as(at, version), verify_tls: true };
    let hook = hook(at, profile, version, text(version));
    let mount = BindMount {
        source: output(at),
        target: path("/etc/nginx/conf.d/default.conf"),
        read_only: true,
    };
    let number = |number: u16| number.try_into().unwrap();
    let port = PortMapping {
        address: None,
        host: number(18080 + u16::from(version)),
        container: number(80),
        protocol: Protocol::Tcp,
    };
    let container = ContainerSpec {
        network: Network::Bridge,
        ports: vec![port],
        mounts: if hook.is_some() { vec![mount] } else { Vec::new() },
        environment: [(EnvName::new("TEXT").unwrap(), text(version.wrapping_add(7)))].into(),
        restart: [
            RestartPolicy::Always,
            RestartPolicy::Always,
            RestartPolicy::OnFailure,
            RestartPolicy::No,
        ][usize::from(profile.restart)],
        restart_delay: [Some(10), None, Some(1), None][usize::from(profile.restart)],
        ..ContainerSpec::default()
    };
    CompanionSpec {
        name: named(at),
        description: text(version),
        image: ImageSource { build, pull: Some(pull) },
        container,
        hook,
    }
}

fn hook(at: usize, profile: Profile, version: u8, text: String) -> Option<HookSpec> {
    let program = match profile.kind {
        Kind::Pulled | Kind::Built => return None,
        Kind::Template => HookProgram::Template {
            template: template(),
            values: [
                ("password".to_owned(), TemplateValue::File(secret(at))),
                ("text".to_owned(), TemplateValue::Text(text)),
            ]
            .into(),
        },
        Kind::Command => HookProgram::Command {
            argv: vec!["/usr/lib/hook".to_owned(), format!("--version={version}")],
            inputs: vec![secret(at)],
            timeout: 30,
        },
        Kind::Registered => HookProgram::Registered(registered(at)),
    };
    Some(HookSpec { program, output: output(at) })
}
