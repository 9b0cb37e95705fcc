//! The key is created once, is readable only by its owner, and is replaced if damaged.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use durable_dir::Trust;
use sha2::Digest as _;

use super::*;

fn place() -> (tempfile::TempDir, Dir) {
    let held = tempfile::tempdir().unwrap();
    let dir = Dir::open(held.path().canonicalize().unwrap(), Trust::Owned).unwrap();
    (held, dir)
}

#[test]
fn the_key_is_made_once_and_readable_by_its_owner_only() {
    let (held, dir) = place();
    let first = HostKey::load_or_create(&dir).unwrap();
    let file = held.path().join("host-key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read(&file).unwrap().len(), 32);
    let second = HostKey::load_or_create(&dir).unwrap();
    assert_eq!(first.config(b"x"), second.config(b"x"));
}

#[test]
fn concurrent_creators_of_the_first_key_get_the_same_key() {
    let (_held, dir) = place();
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| HostKey::load_or_create(&dir).unwrap().config(b"x")))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}

#[test]
fn a_damaged_or_readable_key_is_replaced() {
    let (held, dir) = place();
    let file = held.path().join("host-key");
    let mut before = HostKey::load_or_create(&dir).unwrap().config(b"x");
    let damages: [&dyn Fn(); 4] = [
        &|| fs::write(&file, b"").unwrap(),
        &|| fs::write(&file, [1; 31]).unwrap(),
        &|| fs::write(&file, [1; 33]).unwrap(),
        &|| fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap(),
    ];
    for damage in damages {
        damage();
        let after = HostKey::load_or_create(&dir).unwrap().config(b"x");
        assert_ne!(before, after);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(HostKey::load_or_create(&dir).unwrap().config(b"x"), after);
        before = after;
    }
}

#[test]
fn digests_depend_on_the_key_the_purpose_and_where_parts_end() {
    let (key, other) = (HostKey::from_bytes([7; 32]), HostKey::from_bytes([8; 32]));
    assert_ne!(key.config(b"x"), other.config(b"x"));
    assert_ne!(key.config(b"x"), <[u8; 32]>::from(Sha256::digest(b"x")));
    let of = |purpose, parts: &[&[u8]]| key.digest(purpose, parts);
    assert_ne!(of("a", &[b"x"]), of("b", &[b"x"]));
    assert_ne!(of("a", &[b"x", b"yz"]), of("a", &[b"xy", b"z"]));
    assert_ne!(of("a", &[b"x"]), of("a", &[b"x", b""]));
}

/// Compared with the definition in RFC 2104.
#[test]
fn the_digest_is_hmac_sha_256() {
    let key = HostKey::from_bytes([0x0b; 32]);
    let mut framed = Vec::new();
    for part in [b"purpose".as_slice(), b"part"] {
        framed.extend((part.len() as u64).to_be_bytes());
        framed.extend(part);
    }
    let pad = |with: u8| -> Vec<u8> {
        (0..64).map(|at| if at < 32 { 0x0b ^ with } else { with }).collect()
    };
    let inner = Sha256::digest([pad(0x36), framed].concat());
    let outer: [u8; 32] = Sha256::digest([pad(0x5c), inner.to_vec()].concat()).into();
    assert_eq!(key.digest("purpose", &[b"part"]), outer);
}
