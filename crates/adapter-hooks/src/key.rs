//! `HostKey`: the secret of this host that keys every digest of a rendered file.
//!
//! A digest ends up in a unit file that others may read. Without a key, anyone could guess passwords by comparing
//! digests.

use std::fmt;
use std::io::ErrorKind;

use companion_core::model::revision::Fingerprint;
use durable_dir::{Dir, DirError, DirResult};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::Sha256;
use zeroize::Zeroizing;

const FILE: &str = "host-key";
const LENGTH: usize = 32;
/// The block size of SHA-256 in bytes.
const BLOCK: usize = 64;
/// How often a repeatedly removed key is created again.
const ATTEMPTS: usize = 8;

/// 32 random bytes that never leave this host; wiped on drop, and never printed.
#[derive(Clone)]
pub struct HostKey(Zeroizing<[u8; LENGTH]>);

/// A keyed digest.
pub(crate) type Digest = [u8; 32];

impl HostKey {
    /// Reads the key of `dir`, the file `host-key`; creates it if missing.
    ///
    /// A damaged key, or one readable by others, is replaced by a new one; every companion with a hook then gets a new
    /// revision and restarts once. If several processes create the first key concurrently, all get the same key.
    ///
    /// # Errors
    /// [`DirError`], for instance if the file belongs to another user.
    pub fn load_or_create(dir: &Dir) -> DirResult<Self> {
        for _ in 0..ATTEMPTS {
            let found = match dir.read(FILE, LENGTH) {
                Ok(None) => {
                    match dir.write_new(FILE, random(dir)?.as_slice(), 0o600) {
                        // A concurrent cleanup may remove a half-written key.
                        Err(error) if error.system_kind() == Some(ErrorKind::NotFound) => {}
                        written => drop(written?),
                    }
                    continue;
                }
                Ok(found) => found,
                Err(DirError::TooLarge { .. }) => None,
                Err(other) => return Err(other),
            };
            if let Some(found) = found {
                let bytes = Zeroizing::new(found.bytes);
                let is_private = found.status.is_ours() && found.status.mode & 0o077 == 0;
                if let (true, Ok(key)) = (is_private, bytes.as_slice().try_into()) {
                    return Ok(Self(Zeroizing::new(key)));
                }
            }
            tracing::warn!(
                directory = %dir.path().display(),
                "replacing the host key, which was damaged or readable by others"
            );
            dir.write_unless_unmanaged(FILE, random(dir)?.as_slice(), 0o600)?;
        }
        Err(DirError::Untrusted {
            path: dir.path().join(FILE),
            why: "it was removed or damaged repeatedly".to_owned(),
        })
    }

    /// Creates a key from bytes that the caller stores.
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the keyed digest of `parts` for one `purpose`; parts are delimited unambiguously.
    pub(crate) fn digest(&self, purpose: &str, parts: &[&[u8]]) -> Digest {
        // HMAC pads a short key with zeroes to the block size of its hash (RFC 2104, section 2).
        let mut block = Zeroizing::new([0; BLOCK]);
        block[..LENGTH].copy_from_slice(self.0.as_slice());
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        for part in [purpose.as_bytes()].iter().chain(parts) {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Returns the digest that names a rendered file by its contents.
    pub(crate) fn config(&self, contents: &[u8]) -> Digest {
        self.digest("config", &[contents])
    }

    /// Returns the part of it that is in the name.
    pub(crate) fn fingerprint(&self, contents: &[u8]) -> Fingerprint {
        Fingerprint::from_digest(&self.config(contents))
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey")
    }
}

fn random(dir: &Dir) -> DirResult<Zeroizing<[u8; LENGTH]>> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    // The kernel returns up to 256 bytes in one read (random(7)).
    getrandom(bytes.as_mut_slice(), GetRandomFlags::empty())
        .map_err(|cause| DirError::system("get random bytes for", dir.path().join(FILE), cause))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
