//! Another user polls while a configuration is rendered, or has created its files before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use adapter_hooks::{FileHooks, HookError, HostKey};
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{HookName, HookProgram, HookSpec, Rendered};
use companion_core::ports::HookRunner as _;
use rustix::fs::Mode;
use rustix::process::umask;

use super::{ARCHY, MALLORY, become_user};
use crate::guest::{archy, log_value, mallory, root};
use crate::node::{ALL, COMPANION, Companion, LND, STATE, companion, containers, installed};

const DIRECTORY: &str = "/var/lib/archipelago/race-ui";
/// Under each umask.
const RENDERS: usize = 500;

/// Renders, and publishes the path of the last rendered file: mallory guesses each name immediately.
fn render_again_and_again(latest: &Mutex<String>) {
    let mut hooks = FileHooks::new(HostKey::from_bytes([7; 32]));
    let name = HookName::new("race").unwrap();
    let count = AtomicUsize::new(0);
    let ready = move || {
        // Three and their epochs, so that a file is created, restored, or found unchanged.
        let bytes = format!("canary {}", count.fetch_add(1, Ordering::SeqCst) / 2 % 3);
        Ok::<_, HookError>(Rendered::new(bytes.into_bytes()))
    };
    hooks.register(name.clone(), Arc::new(ready)).unwrap();
    let output = AbsolutePath::new(format!("{DIRECTORY}/nginx.conf")).unwrap();
    let hook = HookSpec { program: HookProgram::Registered(name), output };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for reconcile in 0..RENDERS {
        runtime.block_on(async {
            let rendered = hooks.render(&hook).await.unwrap();
            let id = hooks.commit(&hook, rendered, &[]).await.unwrap();
            let file = id.path(&hook.output);
            file.as_str().clone_into(&mut latest.lock().unwrap());
            // Most are replaced, some are restored, and some are created with their directory.
            match reconcile % 5 {
                0 => hooks.remove(&hook).await.unwrap(),
                1 | 3 => hooks.sweep(&hook, id).await.unwrap(),
                _ => fs::write(file.as_str(), "edited").unwrap(),
            }
        });
    }
}

/// Mallory's attempts and results.
fn look(over: &AtomicBool, latest: &Mutex<String>) -> BTreeMap<&'static str, usize> {
    let mut seen = BTreeMap::from([("tries", 0), ("opened", 0), ("listed", 0), ("entered", 0)]);
    let mut count = |what, happened: bool| *seen.entry(what).or_default() += usize::from(happened);
    let link = format!("{DIRECTORY}/nginx.conf");
    while !over.load(Ordering::SeqCst) {
        count("tries", true);
        count("listed", fs::read_dir(DIRECTORY).is_ok());
        count("entered", fs::read_link(&link).is_ok());
        for file in [link.clone(), latest.lock().unwrap().clone()] {
            count("opened", fs::File::open(&file).is_ok());
            // Before there is one, it has no name.
            count("entered", !file.is_empty() && fs::symlink_metadata(&file).is_ok());
        }
    }
    seen
}

#[test]
fn configuration_is_never_readable_by_another_user() {
    root(&["rm", "-rf", DIRECTORY]).good();
    for mask in [0o000, 0o077] {
        let before = umask(Mode::from_raw_mode(mask));
        let (over, latest) = (AtomicBool::new(false), Mutex::new(String::new()));
        let seen = thread::scope(|scope| {
            let looking = scope.spawn(|| {
                become_user(MALLORY);
                look(&over, &latest)
            });
            scope
                .spawn(|| {
                    become_user(ARCHY);
                    render_again_and_again(&latest);
                })
                .join()
                .unwrap();
            over.store(true, Ordering::SeqCst);
            looking.join().unwrap()
        });
        umask(before);
        log_value(
            &format!("{RENDERS} renders under umask {mask:03o}, mallory"),
            &format!("{seen:?}"),
        );
        assert!(seen["tries"] > RENDERS, "{seen:?}");
        assert_eq!(
            (seen["opened"], seen["listed"], seen["entered"]),
            (0, 0, 0),
            "umask {mask:03o}"
        );
    }
    root(&["rm", "-rf", DIRECTORY]).good();
}

#[test]
fn lock_file_of_another_user_is_refused_and_blocks_nothing() {
    installed();
    let before = containers();
    let lock = format!("{STATE}/lock");
    root(&[
        "sh",
        "-ec",
        &format!("rm -f {lock}; : >{lock}; chown 1001:1001 {lock}; chmod 666 {lock}"),
    ])
    .good();
    for arguments in [&["reconcile"][..], &["install", "lnd"], &["remove", "lnd"]] {
        let ran = companion(arguments).exits(3);
        assert!(ran.stderr.contains("belongs to user 1001"), "{ran}");
    }
    root(&["rm", "-f", &lock]).good();
    companion(&["reconcile"]).exits(0);
    assert_eq!(containers(), before);
}

#[test]
fn state_directory_of_another_user_is_refused() {
    installed();
    let planted = "/var/tmp/planted";
    root(&["rm", "-rf", planted]).good();
    for script in [
        format!("mkdir -m 0777 {planted}"),
        format!(
            "mkdir -p /home/mallory/state; chmod 777 /home/mallory /home/mallory/state; ln -s /home/mallory/state {planted}"
        ),
    ] {
        mallory(&["sh", "-ec", &script], "").good();
        let ran = archy(&[COMPANION, "--state-dir", planted, "install", "lnd"]).exits(3);
        assert!(ran.stderr.contains("belongs to user 1001"), "{ran}");
        let found = fs::read_dir(Path::new(planted)).unwrap().count();
        assert_eq!(found, 0, "nothing was written there");
        root(&["rm", "-rf", planted, "/home/mallory/state"]).good();
    }
    root(&["chmod", "700", "/home/mallory"]).good();
    assert!(LND.is_up() && ALL.into_iter().all(Companion::is_up));
}
