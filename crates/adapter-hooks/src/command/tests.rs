//! Real programs, in real time.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::*;

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn shell(script: &str) -> Vec<String> {
    argv(&["/bin/sh", "-c", script])
}

fn invocation(argv: &[String], seconds: u32) -> Result<Invocation, HookError> {
    Invocation::new(argv.to_vec(), Vec::new(), seconds)
}

async fn run(argv: &[String], seconds: u32) -> PortResult<Zeroizing<Vec<u8>>> {
    invocation(argv, seconds).unwrap().output().await
}

/// Returns why a program is not run.
fn refused(argv: &[String]) -> PortError {
    match invocation(argv, 5).unwrap().check_program() {
        Err(HookError::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_programs_output_is_returned_byte_for_byte() {
    let printed = run(&shell("printf 'a\\000b\\377\\n'"), 20).await.unwrap();
    assert_eq!(printed.as_slice(), b"a\0b\xff\n");
}

#[tokio::test]
async fn arguments_reach_the_program_without_a_shell() {
    let words = argv(&["/bin/echo", "-n", "$HOME;`id`", "*", ""]);
    assert_eq!(run(&words, 20).await.unwrap().as_slice(), b"$HOME;`id` * ");
}

#[tokio::test]
async fn a_large_output_arrives_whole_and_a_larger_one_is_refused() {
    let script = format!("head -c {OUTPUT_LIMIT} /dev/zero");
    assert_eq!(run(&shell(&script), 20).await.unwrap().len(), OUTPUT_LIMIT);
    let error = run(&shell("cat /dev/zero"), 20).await.unwrap_err();
    assert!(error.to_string().starts_with("it printed more than"), "{error}");
    assert_eq!(error.kind(), PortErrorKind::Invalid);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_children_even_against_its_will() {
    for script in
        ["sleep 600 & echo $!; echo $$; wait", "trap '' TERM; echo $$; while :; do sleep 1; done"]
    {
        let held = tempfile::tempdir().unwrap();
        let file = held.path().join("pids");
        let script = format!("exec > {}; {script}", file.display());
        let error = run(&shell(&script), 1).await.unwrap_err();
        assert!(error.to_string().starts_with("it did not exit within 1 s"), "{error}");
        assert_eq!(error.kind(), PortErrorKind::Transient);
        for pid in fs::read_to_string(&file).unwrap().lines() {
            ended(pid).await;
        }
    }
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_open_does_not_block_the_hook() {
    for daemon in ["sleep 600 &", "setsid sleep 600 &"] {
        let held = tempfile::tempdir().unwrap();
        let file = held.path().join("pid");
        let script = format!("{daemon} echo $! > {}; echo done", file.display());
        let started = Instant::now();
        let printed = run(&shell(&script), 300).await.unwrap();
        assert_eq!(printed.as_slice(), b"done\n", "{daemon}");
        assert!(started.elapsed() < Duration::from_secs(300), "{daemon}");
        let pid = fs::read_to_string(&file).unwrap();
        // A process that left the group stays running by design; the test kills it.
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            let _removed_already = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn a_dropped_call_ends_the_program() {
    let held = tempfile::tempdir().unwrap();
    let file = held.path().join("pid");
    let words = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let running = tokio::spawn(async move { run(&words, 300).await.map(drop) });
    let pid = loop {
        if let Some(pid) = fs::read_to_string(&file).ok().filter(|pid| pid.ends_with('\n')) {
            break pid.trim().to_owned();
        }
        tokio::task::yield_now().await;
    };
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    ended(&pid).await;
}

#[tokio::test]
async fn only_listed_variables_reach_the_program() {
    let is_listed = |name: &str| ["PATH", "LANG", "HOME", "XDG_RUNTIME_DIR"].contains(&name);
    let mut own = std::env::vars_os();
    assert!(own.any(|(name, _)| !name.to_str().is_some_and(is_listed)), "there are others");
    let printed = run(&argv(&["/usr/bin/env"]), 20).await.unwrap();
    let text = String::from_utf8(printed.to_vec()).unwrap();
    assert!(text.contains(&format!("PATH={PATH}\n")) && text.contains("LANG=C\n"), "{text}");
    for line in text.lines() {
        assert!(is_listed(line.split_once('=').unwrap().0), "{line}");
    }
}

#[tokio::test]
async fn standard_input_is_empty_and_the_working_directory_fixed() {
    let printed = run(&shell("cat; pwd"), 20).await.unwrap();
    assert_eq!(printed.as_slice(), b"/\n");
}

#[test]
fn a_program_that_others_may_change_is_refused() {
    let held = tempfile::tempdir().unwrap();
    let directory = held.path().canonicalize().unwrap().join("bin");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("hook");
    fs::write(&path, b"#!/bin/sh\necho evil\n").unwrap();
    let words = argv(&[path.to_str().unwrap()]);
    let set_mode = |path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (mode, why) in [(0o777, "not trusted"), (0o757, "not trusted"), (0o644, "not executable")] {
        set_mode(&path, mode);
        let error = refused(&words);
        assert!(error.chain().contains(why), "{}", error.chain());
        assert_eq!(error.kind(), PortErrorKind::Denied);
    }
    for mode in [0o755, 0o700] {
        set_mode(&path, mode);
        invocation(&words, 5).unwrap().check_program().unwrap();
    }
    set_mode(&directory, 0o777);
    assert_eq!(refused(&words).kind(), PortErrorKind::Denied);
    assert_eq!(refused(&argv(&["/no/such/program"])).kind(), PortErrorKind::NotFound);
    assert_eq!(refused(&argv(&["/usr"])).kind(), PortErrorKind::Denied);
}

#[test]
fn fields_that_can_never_work_are_refused() {
    let many = vec!["/x".to_owned(); MAX_ARGUMENTS + 1];
    let long = argv(&["/x", &"y".repeat(MAX_ARGUMENT_BYTES)]);
    for words in [argv(&[]), argv(&["sh"]), argv(&["./x"]), argv(&["/x", "a\0"]), many, long] {
        assert!(invocation(&words, 5).is_err(), "{:?}", words.first());
    }
    let words = argv(&["/x"]);
    for seconds in [0, 301] {
        assert!(invocation(&words, seconds).is_err());
    }
}

/// Waits until a terminating process has ended; the time limit is far above the slowest machine's need.
async fn ended(pid: &str) {
    let waiting = async {
        while !is_absent(pid) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("the process still runs");
}

/// Returns whether a process has ended, including zombies.
fn is_absent(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}
