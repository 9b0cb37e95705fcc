//! Another user swaps path components, as fast as possible, while files are written, read and removed there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use adapter_hooks::read_secret;
use durable_dir::{Dir, LockFile, Trust, read_file, status_of};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::{ARCHY, MALLORY, become_user};
use crate::guest::{log_value, root};

const PLACE: &str = "/var/tmp/swaps";
const VICTIM: &str = "/home/archy/victim";
const PRECIOUS: &str = "precious";
/// In each of the five places.
const SWAPS: usize = 25_000;
/// The minimum number of operations meanwhile.
const RENDERS: usize = 50;

/// A sticky directory that both may write to, with a directory of mallory's in it, and a victim of archy's.
fn arranged() {
    let script = format!(
        "rm -rf {PLACE} {VICTIM}; mkdir -m 1777 {PLACE}; install -d -o 1001 -g 1001 -m 0777 {PLACE}/hers
         install -d -o 1000 -g 1000 -m 0755 {VICTIM}; printf {PRECIOUS} >{VICTIM}/nginx.conf
         chown 1000:1000 {VICTIM}/nginx.conf; chmod 0600 {VICTIM}/nginx.conf"
    );
    root(&["sh", "-ec", &script]).good();
}

/// The victim's entries: names, inodes, contents.
fn victim() -> (Vec<String>, u64, String) {
    let names = fs::read_dir(VICTIM)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = format!("{VICTIM}/nginx.conf");
    (names.collect(), fs::metadata(&file).unwrap().ino(), fs::read_to_string(file).unwrap())
}

/// Lets archy do `work` repeatedly while mallory does `fault` this many times, and asserts that the victim is
/// unchanged.
fn against(
    what: &str,
    prepare: impl FnOnce() + Send,
    fault: impl Fn(usize) + Send,
    work: impl Fn() -> bool + Send,
) {
    let before = victim();
    let (over, reconciles) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let ready = &AtomicBool::new(false);
    let (swaps, escaped) = thread::scope(|scope| {
        let mallory = scope.spawn(move || {
            let _over = SetAtEnd(over);
            become_user(MALLORY);
            prepare();
            ready.store(true, Ordering::SeqCst);
            let mut swaps = 0;
            while swaps < SWAPS || reconciles.load(Ordering::SeqCst) < RENDERS {
                fault(swaps);
                swaps += 1;
            }
            swaps
        });
        let archy = scope.spawn(move || {
            become_user(ARCHY);
            // A file that archy creates before mallory is ready would block her.
            while !ready.load(Ordering::SeqCst) && !over.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let mut escaped = 0;
            while !over.load(Ordering::SeqCst) {
                escaped += usize::from(work());
                reconciles.fetch_add(1, Ordering::SeqCst);
            }
            escaped
        });
        (mallory.join().unwrap(), archy.join().unwrap())
    });
    let done = reconciles.load(Ordering::SeqCst);
    log_value(&format!("swaps, {what}"), &format!("{swaps} against {done} reconciles of work"));
    assert_eq!(escaped, 0, "{what}");
    assert_eq!(victim(), before, "{what}");
}

/// Set on drop.
struct SetAtEnd<'f>(&'f AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn exchange(one: &str, other: &str) {
    // Archy may have removed an empty directory of hers, which does not matter.
    let _removed = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
}

/// Every operation that could write, lock or remove at `dir`; returns whether any of them reported success.
fn change(dir: &str) -> bool {
    let path = Path::new(dir);
    let write = |opened: Result<Dir, _>| {
        opened.is_ok_and(|dir: Dir| {
            dir.write("nginx.conf", b"rendered", 0o600).is_ok()
                | dir.link("link", "nginx.conf").is_ok()
                | dir.read_link("link").is_ok()
                | LockFile::try_lock(&dir, "lock", 0o600).is_ok()
        })
    };
    let removed = Dir::open(path, Trust::Owned)
        .is_ok_and(|dir: Dir| dir.remove("nginx.conf").is_ok() | dir.remove("link").is_ok());
    write(Dir::create(path, 0o700, Trust::Owned)) | write(Dir::open(path, Trust::Owned)) | removed
}

#[test]
fn directory_swapped_for_a_link_redirects_no_file() {
    arranged();
    for place in [PLACE.to_owned(), format!("{PLACE}/hers")] {
        let (config, other) = (format!("{place}/config"), format!("{place}/other"));
        let prepare = || {
            fs::create_dir(&config).unwrap();
            fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            symlink(VICTIM, &other).unwrap();
        };
        against(&place, prepare, |_| exchange(&config, &other), || change(&config));
    }
}

#[test]
fn directory_created_in_a_race_is_verified_or_refused() {
    arranged();
    let config = format!("{PLACE}/config");
    let fault = |reconcile: usize| {
        let _taken = match reconcile % 3 {
            0 => symlink(VICTIM, &config),
            1 => fs::create_dir(&config),
            _ => mknodat(CWD, config.as_str(), FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
        };
        let _not_hers = fs::remove_file(&config).or_else(|_| fs::remove_dir(&config));
    };
    // Files that archy created are archy's: success is an escape only at the victim.
    let work = || {
        if let Ok(dir) = Dir::create(Path::new(&config), 0o700, Trust::Owned) {
            let _raced = dir.write("nginx.conf", b"rendered", 0o600);
            let _raced = dir.link("link", "nginx.conf");
            let own = dir.own_status().unwrap();
            let _raced = dir.remove("link");
            let _raced = dir.remove("nginx.conf");
            let _raced = fs::remove_dir(&config);
            return own.uid != ARCHY;
        }
        false
    };
    against("a new directory", || {}, fault, work);
}

#[test]
fn input_swapped_for_a_link_or_pipe_discloses_no_secret() {
    arranged();
    let input = format!("{PLACE}/hers/password");
    let (link, pipe) = (format!("{PLACE}/hers/link"), format!("{PLACE}/hers/pipe"));
    let prepare = || {
        fs::write(&input, "hers").unwrap();
        symlink(format!("{VICTIM}/nginx.conf"), &link).unwrap();
        mknodat(CWD, pipe.as_str(), FileType::Fifo, Mode::RWXU | Mode::ROTH, 0).unwrap();
    };
    let fault = |reconcile: usize| {
        exchange(&input, if reconcile.is_multiple_of(2) { &link } else { &pipe })
    };
    let is_precious = |bytes: &[u8]| bytes == PRECIOUS.as_bytes();
    let work = || {
        let secret = read_secret(&input).is_ok_and(|secret| is_precious(secret.as_bytes()));
        let read = |trust| read_file(&input, 1024, trust);
        let any = read(Trust::AnyOwner)
            .is_ok_and(|found| found.is_some_and(|found| is_precious(&found.bytes)));
        let own = read(Trust::Owned).is_ok_and(|found| found.is_some());
        secret || any || own || status_of(&input, Trust::Owned).is_ok_and(|found| found.is_some())
    };
    against("an input", prepare, fault, work);
}

#[test]
fn file_behind_a_linked_parent_directory_is_refused() {
    arranged();
    // The path to archy's own directory leads over a link that mallory created and changes.
    let (way, other) = (format!("{PLACE}/way"), format!("{PLACE}/elsewhere"));
    let prepare = || {
        symlink("/home/archy", &way).unwrap();
        symlink("/home/mallory", &other).unwrap();
    };
    against("the way", prepare, |_| exchange(&way, &other), || change(&format!("{way}/victim")));
    root(&["rm", "-rf", PLACE, VICTIM]).good();
}
