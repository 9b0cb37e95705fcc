//! Another user swaps what lies on the way, as fast as she can, while files are written, read and removed there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use adapter_hooks::read_secret;
use durable_dir::{Dir, LockFile, Trust, read_file, status_of};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::{ARCHY, MALLORY, become_user};
use crate::guest::{root, tell};

const PLACE: &str = "/var/tmp/swaps";
const VICTIM: &str = "/home/archy/victim";
const PRECIOUS: &str = "precious";
/// In each of the five places.
const SWAPS: usize = 25_000;
/// What is done meanwhile, at least.
const ROUNDS: usize = 50;

/// A place with the sticky bit that both may write to, a directory in it that is mallory's, and a victim of archy's.
fn arranged() {
    let script = format!(
        "rm -rf {PLACE} {VICTIM}; mkdir -m 1777 {PLACE}; install -d -o 1001 -g 1001 -m 0777 {PLACE}/hers
         install -d -o 1000 -g 1000 -m 0755 {VICTIM}; printf {PRECIOUS} >{VICTIM}/nginx.conf
         chown 1000:1000 {VICTIM}/nginx.conf; chmod 0600 {VICTIM}/nginx.conf"
    );
    root(&["sh", "-ec", &script]).good();
}

/// What lies at the victim's: names, inode, contents.
fn victim() -> (Vec<String>, u64, String) {
    let names = fs::read_dir(VICTIM)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = format!("{VICTIM}/nginx.conf");
    (names.collect(), fs::metadata(&file).unwrap().ino(), fs::read_to_string(file).unwrap())
}

/// Has archy do `work` again and again while mallory does `harm` so many times, and holds that the victim stays as it is.
fn against(
    what: &str,
    prepare: impl FnOnce() + Send,
    harm: impl Fn(usize) + Send,
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
            while swaps < SWAPS || reconciles.load(Ordering::SeqCst) < ROUNDS {
                harm(swaps);
                swaps += 1;
            }
            swaps
        });
        let archy = scope.spawn(move || {
            become_user(ARCHY);
            // What he makes before she is ready would be in her way.
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
    tell(&format!("swaps, {what}"), &format!("{swaps} against {done} reconciles of work"));
    assert_eq!(escaped, 0, "{what}");
    assert_eq!(victim(), before, "{what}");
}

/// Set when its holder ends, however it does.
struct SetAtEnd<'f>(&'f AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn exchange(one: &str, other: &str) {
    // Archy may have removed a directory of hers that was empty, which changes nothing for the rest.
    let _gone = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
}

/// Everything that could write, lock or remove at `dir`; says whether any of it reported success.
fn change(dir: &str) -> bool {
    let path = Path::new(dir);
    let write = |opened: Result<Dir, _>| {
        opened.is_ok_and(|dir: Dir| {
            dir.write("nginx.conf", b"rendered", 0o600).is_ok()
                | dir.link("link", "nginx.conf").is_ok()
                | dir.read_link("link").is_ok()
                | LockFile::open(&dir, "lock", 0o600).is_ok()
        })
    };
    let removed = Dir::open(path, Trust::Owned)
        .is_ok_and(|dir: Dir| dir.remove("nginx.conf").is_ok() | dir.remove_link("link").is_ok());
    write(Dir::create(path, 0o700, Trust::Owned)) | write(Dir::open(path, Trust::Owned)) | removed
}

#[test]
fn a_directory_that_turns_into_a_link_takes_no_file_along() {
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
fn a_directory_that_is_made_in_a_race_is_ones_own_or_refused() {
    arranged();
    let config = format!("{PLACE}/config");
    let harm = |reconcile: usize| {
        let _taken = match reconcile % 3 {
            0 => symlink(VICTIM, &config),
            1 => fs::create_dir(&config),
            _ => mknodat(CWD, config.as_str(), FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
        };
        let _not_hers = fs::remove_file(&config).or_else(|_| fs::remove_dir(&config));
    };
    // What archy made himself is his: success is no escape here unless it is at the victim's.
    let work = || {
        if let Ok(dir) = Dir::create(Path::new(&config), 0o700, Trust::Owned) {
            let _raced = dir.write("nginx.conf", b"rendered", 0o600);
            let _raced = dir.link("link", "nginx.conf");
            let own = dir.own_status().unwrap();
            let _raced = dir.remove_link("link");
            let _raced = dir.remove("nginx.conf");
            let _raced = fs::remove_dir(&config);
            return own.uid != ARCHY;
        }
        false
    };
    against("a new directory", || {}, harm, work);
}

#[test]
fn an_input_that_turns_into_a_link_or_a_pipe_is_never_ones_own_secret() {
    arranged();
    let input = format!("{PLACE}/hers/password");
    let (link, pipe) = (format!("{PLACE}/hers/link"), format!("{PLACE}/hers/pipe"));
    let prepare = || {
        fs::write(&input, "hers").unwrap();
        symlink(format!("{VICTIM}/nginx.conf"), &link).unwrap();
        mknodat(CWD, pipe.as_str(), FileType::Fifo, Mode::RWXU | Mode::ROTH, 0).unwrap();
    };
    let harm = |reconcile: usize| {
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
    against("an input", prepare, harm, work);
}

#[test]
fn a_file_of_ones_own_is_not_reached_by_a_link_to_the_way_there() {
    arranged();
    // The way to archy's own directory leads over a link that mallory made and turns.
    let (way, other) = (format!("{PLACE}/way"), format!("{PLACE}/elsewhere"));
    let prepare = || {
        symlink("/home/archy", &way).unwrap();
        symlink("/home/mallory", &other).unwrap();
    };
    against("the way", prepare, |_| exchange(&way, &other), || change(&format!("{way}/victim")));
    root(&["rm", "-rf", PLACE, VICTIM]).good();
}
