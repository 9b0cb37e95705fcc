//! Generated units: plausible ones with hostile texts in their fields.

use ::quadlet::{Class, ContainerUnit, Key, PodmanVersion, key};
use proptest::{collection::vec, prelude::*, sample::select};

use super::quadlet::LINES;
use super::vectors::vectors;

/// The versions that parse differently: the oldest, the last before each change, and the newest generator.
pub(crate) const VERSIONS: [PodmanVersion; 6] = [
    PodmanVersion::new(4, 4, 0),
    PodmanVersion::new(4, 9, 5),
    PodmanVersion::new(5, 0, 0),
    PodmanVersion::new(5, 4, 2),
    PodmanVersion::new(5, 8, 6),
    PodmanVersion::new(6, 1, 1),
];

/// A place for a text in a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Field {
    pub(crate) key: Key,
    /// The words, joined by `|`, with the text as `{}`; of a pair `name={}` or `{}=value`.
    pub(crate) form: &'static str,
}

const fn field(key: Key, form: &'static str) -> Field {
    Field { key, form }
}

impl Field {
    pub(crate) const ALL: [Self; 34] = [
        field(key::DESCRIPTION, "{}"),
        field(key::REQUIRES_MOUNTS_FOR, "{}"),
        field(key::IMAGE, "{}"),
        field(key::CONTAINER_NAME, "{}"),
        field(key::USER, "{}"),
        field(key::NETWORK, "{}"),
        field(key::ADD_HOST, "{}:host-gateway"),
        field(key::VOLUME, "/out{}:/in"),
        field(key::VOLUME, "/out:/in{}:ro"),
        field(key::VOLUME, "{}:/data"),
        field(key::MOUNT, "type=bind,source=/out{},destination=/in"),
        field(key::TMPFS, "{}"),
        field(key::ADD_DEVICE, "/dev{}"),
        field(key::ENVIRONMENT, "{}=value"),
        field(key::ENVIRONMENT, "HOSTILE={}"),
        field(key::SECRET, "{},type=env,target=A"),
        field(key::LABEL, "{}=value"),
        field(key::LABEL, "hostile={}"),
        field(key::DROP_CAPABILITY, "{}"),
        field(key::ADD_CAPABILITY, "CHOWN|{}"),
        field(key::WORKING_DIR, "{}"),
        field(key::ENTRYPOINT, "{}"),
        field(key::ENTRYPOINT, "/bin/sh|-c|{}"),
        field(key::EXEC, "{}"),
        field(key::EXEC, "a|{}|b"),
        field(key::PULL, "{}"),
        field(key::PODMAN_ARGS, "--umask={}"),
        field(key::HEALTH_CMD, "CMD-SHELL|{}"),
        field(key::HEALTH_INTERVAL, "{}"),
        field(key::STOP_TIMEOUT, "{}"),
        field(key::SERVICE_ENVIRONMENT, "HOSTILE={}"),
        field(key::RESTART, "{}"),
        field(key::WANTED_BY, "{}"),
        field(Key::new("X-Hostile", "Value", Class::Verbatim), "{}"),
    ];

    /// Settings with values of few forms.
    const FIXED: [Self; 8] = [
        field(key::START_LIMIT_INTERVAL, "0"),
        field(key::PUBLISH_PORT, "[::1]:53:53/udp"),
        field(key::PUBLISH_PORT, "127.0.0.1:1:2"),
        field(key::PUBLISH_PORT_OF_IPV4, "0.0.0.0:1:2"),
        field(key::NO_NEW_PRIVILEGES, "true"),
        field(key::READ_ONLY, "true"),
        field(key::MEMORY_MAX, "128M"),
        field(key::DEFAULT_DEPENDENCIES, "false"),
    ];

    fn is_pair(self) -> bool {
        [key::ENVIRONMENT, key::LABEL, key::SERVICE_ENVIRONMENT].contains(&self.key)
    }

    /// Sets the field to a text, unless something that Quadlet would read instead of it is set already, or the text is none
    /// that the key is for.
    pub(crate) fn set(self, unit: &mut ContainerUnit, text: &str) {
        // Before 5.3 the generator refuses a second colon. A mount is a line of CSV. A path with a colon becomes a mount, and
        // no source is relative. Quadlet writes capabilities in lower case, by another version of Unicode.
        let is_given = match self.key.name {
            "Tmpfs" => !text.contains(':'),
            "Mount" => !text.contains([',', '"', '\n', '\r']),
            "Volume" => {
                let is_relative = text.is_empty() || text.starts_with('.');
                !text.contains(':') && (self.form.starts_with('/') || !is_relative)
            }
            "AddCapability" | "DropCapability" => {
                text.chars().all(|it| it.is_ascii() || !it.is_uppercase())
            }
            _ => true,
        };
        if !is_given {
            return;
        }
        let lists = [
            "AddCapability",
            "AddDevice",
            "DropCapability",
            "Mount",
            "PodmanArgs",
            "RequiresMountsFor",
            "Secret",
        ];
        let single =
            !LINES.iter().map(|(name, _)| *name).chain(lists).any(|name| name == self.key.name);
        let words: Vec<String> =
            self.form.split('|').map(|word| word.replace("{}", text)).collect();
        let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        let is_set = unit
            .settings()
            .iter()
            .filter(|set| set.key.name == self.key.name)
            .any(|set| single || self.is_pair() && name(&set.words[0]) == name(&words[0]));
        if is_set {
            return;
        }
        match self.form.split_once('=').filter(|_| self.is_pair()) {
            Some((name, value)) => {
                unit.add_pair(self.key, &name.replace("{}", text), &value.replace("{}", text));
            }
            None => unit.add_words(self.key, words),
        }
    }
}

/// A unit with this text in this field, and an image.
pub(crate) fn unit_with(field: Field, text: &str) -> ContainerUnit {
    unit_of(&[(field, text.to_owned())])
}

/// A unit with these texts in these fields, and an image.
pub(crate) fn unit_of(fields: &[(Field, String)]) -> ContainerUnit {
    let mut unit = ContainerUnit::new();
    fields.iter().for_each(|(field, text)| field.set(&mut unit, text));
    field(key::IMAGE, "{}").set(&mut unit, "localhost/bitcoin-ui:latest");
    unit
}

/// A unit, and its hostile texts.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) unit: ContainerUnit,
    pub(crate) hostile: Vec<(Field, String)>,
}

/// A plausible unit with up to two hostile texts.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let plausible =
        "[a-zA-Z0-9_./%$ '-]{0,12}[a-z]".prop_map(|text: String| text.replace('.', "a"));
    let plausible = vec((select(Field::ALL.as_slice()), plausible), 0..16);
    let fixed = vec((select(Field::FIXED.as_slice()), Just(String::new())), 0..6);
    let hostile = vec((select(Field::ALL.as_slice()), text()), 0..=2);
    (hostile, plausible, fixed).prop_map(|(hostile, plausible, fixed)| {
        let all = [hostile.as_slice(), &plausible, &fixed].concat();
        Case { unit: unit_of(&all), hostile }
    })
}

/// A text: a known vector, a mixture of special characters, a path-like or word-like text, or anything else.
fn text() -> impl Strategy<Value = String> {
    let special = select(vec![
        " ", "\t", "\n", "\r", "\"", "'", "\\", "%", "$", ";", ":", "#", "=", "[", "]", "{", "}",
        ",", "-", ".", "/", "a", "b", "n", "x41", "\u{1}", "\u{7f}", "\u{a0}", "\u{3000}", "é",
        "\u{80}",
    ]);
    prop_oneof![
        3 => select(vectors()),
        4 => vec(special.clone(), 0..8).prop_map(|parts| parts.concat()),
        3 => vec(special, 0..5).prop_map(|parts| format!("/{}", parts.concat())),
        3 => "[a-z][a-z0-9_.-]{0,12}",
        2 => "[A-Z_]{1,12}",
        1 => any::<String>(),
    ]
}
