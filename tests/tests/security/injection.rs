//! Every value of a unit field is parsed as part of that field only.

use adapter_systemd::{Scope, container_unit};
use companion_core::model::companion::CompanionSpec;
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::image::ImageId;
use quadlet::PodmanVersion;

use crate::model::{self, units::Field, units::VERSIONS, units::unit_with};
use crate::{companions_of, hostile_pieces, toml_string};

const PODMAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

/// The section and key of each assignment, by a minimal parser: `\n` ends a line, as for systemd and Podman. Characters
/// that other parsers treat as a line end occur in no key, and `\r` and NUL in no value.
fn keys(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}', '\0'];
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) =
            line.split_once('=').unwrap_or_else(|| panic!("no assignment: {line:?}"));
        // Only characters that no unit parser treats as a line end may occur in a value.
        assert!(!value.contains(['\r', '\0']) && !value.ends_with('\\'), "{line:?}");
        assert!(!key.contains(ends) && !key.contains(char::is_whitespace), "{line:?}");
        keys.push((section.clone(), key.to_owned()));
    }
    keys.sort();
    keys
}

#[test]
fn no_byte_in_any_field_changes_the_keys_of_a_unit() {
    let pieces = hostile_pieces();
    let (mut accepted, mut refused) = (0, 0);
    for field in Field::ALL {
        let expected = keys(&unit_with(field, "plain").render(PODMAN).unwrap());
        for piece in &pieces {
            for text in [format!("plain{piece}x"), format!("plain{piece}")] {
                let unit = unit_with(field, &text);
                let Ok(rendered) = unit.render(PODMAN) else {
                    refused += 1;
                    continue;
                };
                // `unit_with` leaves out a text that the key is not for.
                let is_set = unit.settings().iter().any(|set| set.key == field.key);
                accepted += usize::from(is_set);
                let keys = keys(&rendered);
                assert!(!is_set || keys == expected, "{field:?} {text:?}: {keys:?}");
                let read = model::quadlet::generate(&rendered, PODMAN)
                    .and_then(|service| model::check_service(&unit, &service));
                assert_eq!(read, Ok(()), "{field:?} {text:?}\n{rendered}");
            }
        }
    }
    assert!(accepted > 3_000 && refused > 3_000, "accepted {accepted}, refused {refused}");
}

/// The fields of a companion in a catalog, with `VALUE` for a text.
const CATALOG_FIELDS: [&str; 29] = [
    "name = VALUE",
    "apps = [VALUE]",
    "image = { base = VALUE }",
    "image = { pull = VALUE }",
    "image = { base = \"my-ui\", context = VALUE }",
    "description = VALUE",
    "container.network = { named = VALUE }",
    "container.mounts = [{ source = VALUE, target = \"/in\" }]",
    "container.mounts = [{ source = \"/out\", target = VALUE }]",
    "container.volumes = [{ name = VALUE, target = \"/v\" }]",
    "container.secret_environment = { A = VALUE }",
    "container.tmpfs = [{ target = VALUE }]",
    "container.tmpfs = [{ target = \"/t\", size = VALUE }]",
    "container.environment = { VALUE = \"x\" }",
    "container.environment = { A = VALUE }",
    "container.memory = VALUE",
    "container.capabilities = [VALUE]",
    "container.devices = [{ source = VALUE }]",
    "container.devices = [{ source = \"/dev/null\", target = VALUE }]",
    "container.extra_hosts = [{ name = VALUE }]",
    "container.extra_hosts = [{ name = \"h\", address = VALUE }]",
    "container.ports = [{ host = 1, container = 1, address = VALUE }]",
    "container.entrypoint = [VALUE]",
    "container.entrypoint = [\"/bin/sh\", VALUE]",
    "container.working_dir = VALUE",
    "container.command = [\"a\", VALUE]",
    "hook = { output = VALUE, program = { registered = \"bitcoin-ui\" } }",
    "hook = { output = \"/o/x\", program = { command = { argv = [VALUE] } } }",
    "hook = { output = \"/o/x\", program = { template = { template = VALUE } } }",
];

/// A catalog with one companion, whose `field` is `text`.
fn catalog_with(field: &str, text: &str) -> String {
    let usual = ["name = \"my-ui\"", "apps = [\"a\"]", "image = { base = \"my-ui\" }"];
    let key = |line: &str| line.split(' ').next().map(str::to_owned);
    let own = field.replace("VALUE", &toml_string(text));
    let mut catalog = format!("[[companion]]\n{own}\n");
    for line in usual.into_iter().filter(|line| key(line) != key(field)) {
        catalog += &format!("{line}\n");
    }
    catalog
}

#[test]
fn no_byte_in_any_field_of_a_catalog_adds_a_key_to_a_unit() {
    let mut tried: std::collections::BTreeMap<&str, [usize; 2]> = Default::default();
    // The unit test covers letters and digits.
    let is_letter =
        |piece: &str| piece.chars().count() == 1 && piece.chars().all(char::is_alphanumeric);
    for piece in hostile_pieces().into_iter().filter(|piece| !is_letter(piece)) {
        for base in ["", "/plain"] {
            for field in CATALOG_FIELDS {
                let counts = tried.entry(field).or_default();
                match companions_of(&catalog_with(field, &format!("{base}{piece}x"))) {
                    Err(refusal) => {
                        counts[0] += 1;
                        let unseen =
                            |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
                        assert!(!refusal.contains(unseen), "{field} {piece:?}: {refusal:?}");
                    }
                    Ok(specs) => {
                        let rendered = check_keys(field, &piece, &specs[0]);
                        counts[usize::from(rendered)] += 1;
                    }
                }
            }
        }
    }
    // Grammars refuse all of it, and free-text fields quote it.
    assert!(tried.values().all(|[refused, _]| *refused > 0), "{tried:?}");
    let taken = tried.values().filter(|[_, taken]| *taken > 50).count();
    assert!(taken >= 12, "{tried:?}");
}

/// Checks the unit of `spec`; returns whether the renderer accepted it.
fn check_keys(field: &str, piece: &str, spec: &CompanionSpec) -> bool {
    let image = ImageId::new(&"a".repeat(64)).unwrap();
    let revision = "0123456789abcdef-fedcba9876543210-0123456789abcdef.3-0".parse().unwrap();
    let unit = DesiredCompanion::new(spec.clone(), Generation(1)).unit(&image, revision);
    // The oldest version escapes most; the test above tries every byte with the usual version.
    let version = VERSIONS[0];
    let Ok(unit) = container_unit(&unit, Scope::User, version) else { return false };
    let Ok(text) = unit.render(version) else { return false };
    for (section, key) in keys(&text) {
        let known = match section.as_str() {
            "Unit" => "Description RequiresMountsFor StartLimitIntervalSec",
            "Container" => {
                "AddCapability AddDevice AddHost ContainerName DropCapability Entrypoint Environment Exec Image \
                 Label Mount Network NoNewPrivileges PodmanArgs PublishPort Pull Secret Tmpfs User Group Volume \
                 WorkingDir"
            }
            "Service" => "Environment MemoryMax Restart RestartSec TimeoutStartSec",
            "Quadlet" => "DefaultDependencies",
            "Install" => "WantedBy",
            "X-Companion" => "Companion Revision",
            _ => "",
        };
        let is_known = known.split(' ').any(|known| known == key);
        assert!(is_known, "{field} {piece:?}: [{section}] {key}\n{text}");
    }
    let read = model::quadlet::generate(&text, version)
        .and_then(|service| model::check_service(&unit, &service));
    assert_eq!(read, Ok(()), "{field} {piece:?}\n{text}");
    true
}
