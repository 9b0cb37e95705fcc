use super::*;
use crate::leader::Settings;

fn app(id: &str) -> AppId {
    AppId::new(id).unwrap()
}

fn names<'n>(names: impl IntoIterator<Item = &'n CompanionName>) -> Vec<&'n str> {
    names.into_iter().map(CompanionName::as_str).collect()
}

fn present(desired: &DesiredState) -> Vec<&str> {
    names(desired.present().map(|(name, _)| name))
}

fn removed(desired: &DesiredState) -> Vec<&str> {
    names(desired.removed().map(|(name, _)| name))
}

/// A record of `apps` as installed from `catalog`.
fn installed(apps: &[&str], catalog: &Catalog) -> Record {
    let mut record = Record::default();
    for id in apps {
        record.install(&app(id), "a test", catalog);
    }
    record
}

#[test]
fn removal_is_pending_with_a_larger_generation() {
    let catalog = Catalog::builtin();
    let mut record = installed(&["lnd"], &catalog);
    let before = record.desired(&catalog);
    let name = before.present().map(|(name, _)| name).next().unwrap();
    record.remove(&app("lnd"), "a test", &catalog);
    let after = record.desired(&catalog);
    assert_eq!(removed(&after), ["archy-lnd-ui"]);
    assert!(after.generation(name) > before.generation(name));
}

/// The built-in catalog with `name` for `apps`.
fn catalog_of(name: &str, apps: &str, more: &str) -> Catalog {
    let text = format!(
        "[[companion]]\nname = \"{name}\"\napps = [\"{apps}\"]\nimage = {{ base = \"x\" }}\n{more}"
    );
    Catalog::from_texts(&[("test.toml".into(), text)], &Settings::default()).unwrap()
}

#[test]
fn companion_of_two_apps_is_removed_with_the_last_one() {
    let shared = catalog_of("x-ui", "one\", \"two", "");
    for catalog in [&shared, &Catalog::builtin()] {
        let mut record = installed(&["one", "two"], &shared);
        assert!(record.remove(&app("two"), "a test", catalog).is_empty());
        assert!(removed(&record.desired(catalog)).is_empty());
        assert_eq!(names(&record.remove(&app("one"), "a test", catalog)), ["x-ui"]);
        assert_eq!(removed(&record.desired(catalog)), ["x-ui"]);
    }
}

#[test]
fn unread_catalog_file_removes_nothing() {
    let builtin = Catalog::builtin();
    let mut record = installed(&["one", "lnd"], &catalog_of("one-ui", "one", ""));
    let desired = record.desired(&builtin);
    assert_eq!((present(&desired), removed(&desired)), (vec!["archy-lnd-ui"], vec![]));
    record.remove(&app("lnd"), "a test", &builtin);
    assert_eq!(removed(&record.desired(&builtin)), ["archy-lnd-ui"]);
}

#[test]
fn companion_dropped_from_the_catalog_is_unmanaged_until_its_app_goes() {
    let mut record = installed(&["lnd"], &Catalog::builtin());
    let other = catalog_of("archy-lnd-ui", "lightning", "");
    let desired = record.desired(&other);
    assert!(desired.targets.is_empty(), "{desired:?}");
    assert_eq!(names(&record.remove(&app("lnd"), "a test", &other)), ["archy-lnd-ui"]);
    assert_eq!(removed(&record.desired(&other)), ["archy-lnd-ui"]);
}

#[test]
fn repeated_removal_names_the_same_companions() {
    let mut record = installed(&["one"], &catalog_of("one-ui", "one", ""));
    for _ in 0..3 {
        assert_eq!(names(&record.remove(&app("one"), "a test", &Catalog::builtin())), ["one-ui"]);
        assert_eq!(removed(&record.desired(&Catalog::builtin())), ["one-ui"]);
    }
}

fn hook_of(output: &str) -> String {
    format!(
        "hook = {{ output = \"{output}\", program = {{ template = {{ template = \"/t\" }} }} }}\n"
    )
}

fn removed_output(record: &Record, catalog: &Catalog) -> Option<String> {
    let desired = record.desired(catalog);
    let (_, removed) = desired.removed().next().unwrap();
    removed.hook.as_ref().map(|hook| hook.output.to_string())
}

#[test]
fn rendered_file_is_removed_even_if_its_entry_changed_or_is_missing() {
    let output = "/var/lib/archipelago/x-ui/nginx.conf";
    let mut record = installed(&["x"], &catalog_of("x-ui", "x", &hook_of(output)));
    record.remove(&app("x"), "a test", &Catalog::builtin());
    assert_eq!(removed_output(&record, &Catalog::builtin()).as_deref(), Some(output));
    let moved = catalog_of("x-ui", "x", &hook_of("/var/lib/archipelago/x-ui/other.conf"));
    assert_eq!(removed_output(&record, &moved).as_deref(), Some(output));
    let without = catalog_of("x-ui", "x", "");
    record.install(&app("x"), "a test", &catalog_of("x-ui", "x", &hook_of(output)));
    record.sync_catalog(&without);
    record.remove(&app("x"), "a test", &without);
    assert_eq!(removed_output(&record, &without).as_deref(), Some(output));
    let read = Record::from_bytes(&record.to_bytes().unwrap()).unwrap();
    assert_eq!(read, record);
}

#[test]
fn hostile_record_removes_no_unmanaged_file() {
    let hostile = |name: &str, output: &str| {
        let mut record = installed(&["x"], &catalog_of(name, "x", &hook_of(output)));
        record.remove(&app("x"), "a test", &Catalog::builtin());
        removed_output(&record, &Catalog::builtin())
    };
    for output in [
        "/home/x/.ssh/id_ed25519",
        "/var/lib/archipelago/x-ui",
        "/var/lib/archipelago/x-ui/more/file",
        "/var/lib/archipelago/other-ui/nginx.conf",
        "/var/lib/archipelago-backup/x-ui/nginx.conf",
    ] {
        assert_eq!(hostile("x-ui", output), None, "{output}");
    }
    for (name, file) in [
        ("secrets", "bitcoin-rpc-password"),
        ("bitcoin", "wallet.dat"),
        ("lnd", "tls.key"),
        ("btcpay", "settings.config"),
    ] {
        let prefixed = format!("/var/lib/archipelago/{name}/{file}");
        assert_eq!(hostile(&format!("archy-{name}"), &prefixed), None, "{prefixed}");
        assert_eq!(hostile(name, &format!("/var/lib/archipelago/{name}/{file}")), None);
    }
    let output = "/var/lib/archipelago/x-ui/nginx.conf";
    let valid = installed(&["x"], &catalog_of("x-ui", "x", &hook_of(output)));
    let text = String::from_utf8(valid.to_bytes().unwrap()).unwrap();
    assert!(Record::from_bytes(text.replace(output, "/a/../b").as_bytes()).is_err());
}

#[test]
fn removal_survives_a_reinstall_with_a_catalog_without_the_companion() {
    let (builtin, both) = (Catalog::builtin(), catalog_of("second-ui", "lnd", ""));
    let mut record = installed(&["lnd"], &both);
    record.remove(&app("lnd"), "a test", &both);
    record.install(&app("lnd"), "a test", &builtin);
    let desired = record.desired(&builtin);
    assert_eq!((present(&desired), removed(&desired)), (vec!["archy-lnd-ui"], vec!["second-ui"]));
    assert!(record.sync_catalog(&both), "the catalog has it again for an installed app");
    assert!(record.desired(&both).removed().next().is_none());
}

#[test]
fn renewal_raises_each_generation_and_keeps_the_desired_companions() {
    let catalog = Catalog::builtin();
    let mut record = installed(&["lnd", "electrs"], &catalog);
    record.remove(&app("lnd"), "a test", &catalog);
    let before = record.desired(&catalog);
    record.renew();
    let after = record.desired(&catalog);
    assert_eq!(present(&before), ["archy-electrs-ui"]);
    assert_eq!((present(&after), removed(&after)), (present(&before), removed(&before)));
    assert!(after.targets.keys().all(|name| after.generation(name) == Some(after.latest)));
}

#[test]
fn intent_names_who_recorded_it_without_control_characters() {
    let mut record = Record::default();
    record.install(&app("lnd"), "companion \u{1b}[2J(uid 1000)", &Catalog::builtin());
    let intents: Vec<_> = record.intents().into_values().collect();
    assert_eq!(intents, ["install lnd (companion [2J(uid 1000))"]);
}

#[test]
fn companion_without_an_intent_is_neither_desired_nor_removed() {
    assert_eq!(Record::default().desired(&Catalog::builtin()), DesiredState::default());
}

#[test]
fn a_damaged_or_newer_record_is_refused() {
    let mut bytes = Record::default().to_bytes().unwrap();
    bytes.truncate(bytes.len() / 2);
    for bad in [&b""[..], &b"{}"[..], &b"\0\0\0\0"[..], &bytes] {
        assert!(Record::from_bytes(bad).unwrap_err().contains("damaged"), "{bad:?}");
    }
    let newer = br#"{"version":3,"shape":"unknown"}"#;
    let why = Record::from_bytes(newer).unwrap_err();
    assert!(why.contains("version is 3") && why.contains("upgrade companion"), "{why}");
    let why = Record::from_bytes(br#"{"version":1}"#).unwrap_err();
    assert_eq!(why, "its version 1 is no longer supported");
}
