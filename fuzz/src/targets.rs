//! The fuzz targets and their invariants: no panic, no forged line, and every value read back equals the value
//! written.
//!
//! Shared by the fuzz crate and the workspace's security tests, which run the seeds.

use std::error::Error;

use adapter_hooks::template::{self, Value, Values};
use adapter_systemd::{Scope, container_unit};
use archipelago_companions::catalog::CatalogFile;
use archipelago_companions::manifest::{BackendManifest, Format};
use archipelago_companions::{Catalog, Node};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::model::revision::Revision;
use quadlet::{ContainerUnit, PodmanVersion};

use crate::model::{self, units::Field, units::VERSIONS, units::unit_of};
use crate::nginx_reader::structure;

/// A catalog file or a backend manifest: parses it, renders each companion and reads the unit back.
pub fn catalog(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match CatalogFile::parse(text, "f") {
        Err(error) => one_line(&chain(&error)),
        Ok(file) => {
            let node = file.node.clone().unwrap_or_default();
            match file.companions(&node) {
                Err(error) => one_line(&chain(&error)),
                Ok(companions) => companions.iter().for_each(|(_, spec)| rendered(spec)),
            }
        }
    }
    for format in [Format::Yaml, Format::Toml] {
        let manifest = BackendManifest::parse(text, format, "f")
            .and_then(|manifest| manifest.spec(&Node::default()));
        match manifest {
            Err(error) => one_line(&chain(&error)),
            Ok(spec) => rendered(&spec),
        }
    }
}

fn rendered(spec: &CompanionSpec) {
    let (Ok(image), Some(revision)) = (ImageId::new(&"a".repeat(64)), revision()) else {
        panic!("an invalid id or revision");
    };
    let unit = DesiredCompanion::new(spec.clone(), Generation::default()).unit(&image, revision);
    for scope in [Scope::User, Scope::System] {
        for version in [VERSIONS[0], VERSIONS[3]] {
            let unit = match container_unit(&unit, scope, version) {
                Ok(unit) => unit,
                Err(error) => return one_line(&error.to_string()),
            };
            if let Some(text) = read_back(&unit, version) {
                let named = quadlet::extension_value(&text, "X-Companion", "Companion");
                assert_eq!(named.as_deref(), Some(spec.name.as_str()), "{text}");
            }
        }
    }
}

fn revision() -> Option<Revision> {
    "0123456789abcdef-fedcba9876543210-0123456789abcdef.3-0".parse().ok()
}

/// Renders a unit and parses it with the model; `None` if the renderer refused it.
fn read_back(unit: &ContainerUnit, version: PodmanVersion) -> Option<String> {
    let text = match unit.render(version) {
        Ok(text) => text,
        Err(error) => {
            one_line(&error.to_string());
            return None;
        }
    };
    let read = model::quadlet::generate(&text, version)
        .and_then(|service| model::check_service(unit, &service).map(|()| service));
    if let Err(error) = read {
        panic!("{version}: {error}\n{text}");
    }
    Some(text)
}

/// A unit with some fields set. The first byte selects the version; each piece up to a byte 0xff names a field and
/// its text.
pub fn unit(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let version = VERSIONS[usize::from(*first) % VERSIONS.len()];
    let pieces = rest.split(|byte| *byte == 0xff).take(8).filter_map(<[u8]>::split_first);
    let fields = pieces.map(|(field, text)| {
        let field = Field::ALL[usize::from(*field) % Field::ALL.len()];
        (field, String::from_utf8_lossy(text).into_owned())
    });
    read_back(&unit_of(&fields.collect::<Vec<_>>()), version);
}

/// A template and, after a byte 0, the value that fills it.
pub fn template(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(text), Some(value)) = (parts.next(), parts.next()) else { return };
    let (text, value) = (String::from_utf8_lossy(text), String::from_utf8_lossy(value));
    let hostile = template::render(&text, &values(&value));
    let harmless = template::render(&text, &values("harmless"));
    if let Err(error) = &hostile {
        one_line(&error.to_string());
    }
    // A template statement may branch on a value; only a template without statements has a fixed structure.
    if let (Ok(hostile), Ok(harmless)) = (hostile, harmless)
        && !text.contains("{%")
    {
        assert_eq!(structure(&hostile), structure(&harmless), "{}", *hostile);
    }
    // Without credentials our templates say something else, and a hook never renders empty ones.
    for own in OURS.into_iter().filter(|_| !value.is_empty()) {
        let ours = |value: &str| template::render(own, &values_of_ours(value));
        if let (Ok(hostile), Ok(harmless)) = (ours(&value), ours("harmless")) {
            assert_eq!(structure(&hostile), structure(&harmless), "{}", *hostile);
        }
    }
}

const OURS: [&str; 4] = [
    include_str!("../../crates/archipelago/companions/bitcoin-ui/nginx.conf.j2"),
    include_str!("../../crates/archipelago/companions/electrs-ui/nginx.conf.j2"),
    include_str!("../../crates/archipelago/companions/lnd-ui/nginx.conf.j2"),
    include_str!("../../crates/archipelago/companions/fedimint-ui/nginx.conf.j2"),
];

fn values(value: &str) -> Values {
    Values::from([
        ("v".to_owned(), Value::Text(value.to_owned())),
        ("n".to_owned(), Value::Number(8080)),
        ("f".to_owned(), Value::Flag(true)),
        ("l".to_owned(), Value::Texts(vec![value.to_owned(), "x".to_owned()])),
    ])
}

fn values_of_ours(value: &str) -> Values {
    Values::from([
        ("listen_port".to_owned(), Value::Number(18081)),
        ("bitcoin_port".to_owned(), Value::Number(18081)),
        ("electrs_port".to_owned(), Value::Number(18082)),
        ("lnd_port".to_owned(), Value::Number(18083)),
        ("fedimint_port".to_owned(), Value::Number(18084)),
        ("guardian_address".to_owned(), Value::Text(value.to_owned())),
        ("guardian_port".to_owned(), Value::Number(8177)),
        ("rpc_address".to_owned(), Value::Text(value.to_owned())),
        ("authorization".to_owned(), Value::Text(value.to_owned())),
        ("host_names".to_owned(), Value::Texts(vec![value.to_owned()])),
        ("frame_ancestors".to_owned(), Value::Texts(vec![value.to_owned()])),
        ("lnd_address".to_owned(), Value::Text(value.to_owned())),
        ("metrics_address".to_owned(), Value::Text(value.to_owned())),
        ("electrum_address".to_owned(), Value::Text(value.to_owned())),
        ("electrum_port".to_owned(), Value::Number(50001)),
        ("onion_address".to_owned(), Value::Text(value.to_owned())),
        ("host_loopback".to_owned(), Value::Text("127.0.0.1".to_owned())),
        ("macaroon".to_owned(), Value::Text(value.to_owned())),
        ("macaroon_problem".to_owned(), Value::Text(value.to_owned())),
        ("listen_ipv6".to_owned(), Value::Flag(true)),
    ])
}

/// One of podman's outputs, selected by the first byte.
pub fn podman(bytes: &[u8]) {
    let (Some((which, answer)), Some(name)) = (bytes.split_first(), name("archy-x")) else {
        return;
    };
    let shown = match which % 4 {
        0 => images(answer),
        1 => adapter_podman::fuzzing::inspected(answer),
        2 => adapter_podman::fuzzing::containers(answer, &name),
        _ => vec![adapter_podman::fuzzing::complaint(answer)],
    };
    shown.iter().for_each(|text| one_line(text));
}

fn images(answer: &[u8]) -> Vec<String> {
    let reference = |text| ImageRef::new(text).ok();
    let build = reference("localhost/x:latest").map(|reference| BuildSource {
        reference,
        contexts: Vec::new(),
        arguments: Default::default(),
    });
    let pull = reference("registry.example:5000/x:1")
        .map(|reference| PullSource { reference, verify_tls: true });
    adapter_podman::fuzzing::images(answer, &ImageSource { build, pull })
}

/// A unit file, generator output or `systemctl show` output, selected by the first byte.
pub fn systemd(bytes: &[u8]) {
    let (Some((which, said)), Some(name)) = (bytes.split_first(), name("archy-x")) else { return };
    let shown = match which % 3 {
        0 => {
            let (ours, shown) = adapter_systemd::fuzzing::unit_file(&name, said);
            let text = String::from_utf8_lossy(said);
            let blank = said.iter().all(|byte| *byte == 0);
            // A line may continue on the next, even inside a word.
            let says = |word: &str| text.contains(word) || text.contains('\\');
            let marked = says("archy-x") && (says("X-Companion") || says("Description"));
            assert!(!ours || blank || marked, "treated as managed: {text:?}");
            vec![shown]
        }
        1 => {
            let mut parts = said.splitn(2, |byte| *byte == 0xff);
            let (stdout, stderr) =
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let code = (which / 3 != 7).then_some(i32::from(which / 3));
            adapter_systemd::fuzzing::generator(&name, stdout, stderr, code)
        }
        _ => adapter_systemd::fuzzing::service(said),
    };
    shown.iter().for_each(|text| one_line(text));
}

/// The desired-state record: a pending deletion names a companion and removes only its own file.
pub fn record(bytes: &[u8]) {
    let catalog = Catalog::builtin();
    let desired = match archipelago_companions::fuzzing::record(bytes, &catalog) {
        Ok(desired) => desired,
        Err(why) => return one_line(&why),
    };
    for name in desired.present().map(|(name, _)| name) {
        assert!(catalog.companion(name).is_some(), "{name} is desired but in no catalog");
    }
    for (name, removed) in desired.removed() {
        assert!(CompanionName::new(name.as_str()).is_ok(), "{name:?}");
        let known = catalog.companion(name).and_then(|spec| spec.hook.as_ref());
        let Some(hook) = &removed.hook else { continue };
        let own = name.as_str().trim_start_matches("archy-");
        let below = |dir: &str| {
            let file = hook.output.as_str().strip_prefix(&format!("/var/lib/archipelago/{dir}/"));
            file.is_some_and(|file| !file.contains('/'))
        };
        let is_known = known.is_some_and(|known| known.output == hook.output);
        assert!(
            is_known || below(name.as_str()) || below(own),
            "{name} takes {} along",
            hook.output
        );
        assert!(is_known || !["secrets", "bitcoin"].contains(&own), "{}", hook.output);
    }
}

fn name(text: &str) -> Option<CompanionName> {
    CompanionName::new(text).ok()
}

/// Formats an error with all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Asserts that a text fits on one line of a log or terminal.
fn one_line(text: &str) {
    let unseen = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
    assert!(!text.contains(unseen), "{text:?}");
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
}
