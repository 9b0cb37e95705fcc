use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn basis() -> Basis {
    Basis::of(Path::new("/bin/sh"), &[("HOME".into(), "/nowhere".into())]).unwrap()
}

fn record() -> Record {
    let asked = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
    Record { version: Some("5.4.2".to_owned()), ..Record::new(basis(), asked) }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_was_written_is_read_by_the_next_and_is_for_its_owner_only() {
    let dir = directory();
    write(dir.path(), &record()).unwrap();
    assert_eq!(read(dir.path()).unwrap(), Some(record()));
    let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_record_is_believed_for_a_day_on_its_own_basis_and_never_from_the_future() {
    let now = SystemTime::now();
    let record = Record::new(basis(), now);
    assert!(record.stands_on(&basis(), now));
    assert!(record.stands_on(&basis(), now + LIFETIME - Duration::from_secs(1)));
    assert!(!record.stands_on(&basis(), now + LIFETIME));
    assert!(!record.stands_on(&basis(), now - Duration::from_secs(1)));
    let other = Basis::of(Path::new("/bin/sh"), &[("HOME".into(), "/elsewhere".into())]);
    assert!(!record.stands_on(&other.unwrap(), now));
}

#[test]
fn what_is_no_record_of_this_form_is_not_read() {
    let dir = directory();
    let path = dir.path().join(FILE);
    let good = serde_json::to_string(&record()).unwrap();
    for damaged in [
        String::new(),
        "{}".to_owned(),
        "\u{0}\u{1}".to_owned(),
        good[..good.len() - 1].to_owned(),
        good.replace(r#""form":1"#, r#""form":2"#),
        good.replace(r#""form":1"#, r#""form":1,"more":0"#),
    ] {
        fs::write(&path, &damaged).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read(dir.path()).is_err(), "{damaged}");
    }
    fs::write(&path, " ".repeat(LIMIT) + &good).unwrap();
    assert!(read(dir.path()).is_err(), "it is too large");
    fs::write(&path, &good).unwrap();
    assert_eq!(read(dir.path()).unwrap(), Some(record()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(read(dir.path()), Err(ForgetReason::Foreign)));
}

#[test]
fn a_listing_that_is_too_large_is_left_out_and_the_rest_is_kept() {
    let dir = directory();
    let store = |image: &str| -> RememberedStore {
        let file = r#"{"device":1,"inode":1,"size":1,"modified":[1,1],"changed":[1,1]}"#;
        let json = format!(
            r#"{{"info": {{"store": {{"graphRoot": "/g", "graphDriverName": "overlay", "runRoot": "/r"}}}},
                "platforms": {{}},
                "listing": {{"state": {{"images": {file}, "containers": [null]}},
                             "images": [{{"Id": "{image}"}}]}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let small = Record { store: Some(store("x")), ..record() };
    write(dir.path(), &small).unwrap();
    assert_eq!(read(dir.path()).unwrap(), Some(small));
    let mut large = Record { store: Some(store(&"x".repeat(LIMIT))), ..record() };
    write(dir.path(), &large).unwrap();
    large.store.as_mut().unwrap().listing = None;
    assert_eq!(read(dir.path()).unwrap(), Some(large));
}

#[test]
fn a_directory_that_is_not_there_holds_nothing_and_is_not_made() {
    let dir = directory();
    let missing = dir.path().join("state");
    assert_eq!(read(&missing).unwrap(), None);
    assert!(write(&missing, &record()).is_err());
    assert!(!missing.exists());
}
