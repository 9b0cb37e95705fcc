//! How podman is found, isolated, bounded and terminated.

use std::fs;

use adapter_podman::Podman;
use companion_core::model::image::ImageRef;
use companion_core::ports::PortErrorKind;

use crate::podman_stub::{PodmanStub, exists, removed};

#[tokio::test]
async fn the_version_is_the_last_word_podman_says_about_it() {
    let stub = PodmanStub::new();
    let podman = stub.podman();
    stub.answer("--version", "exit 125");
    podman.version().await.unwrap_err();
    stub.answer("--version", "echo something else");
    assert_eq!(podman.version().await.unwrap_err().kind(), PortErrorKind::Unavailable);
    stub.answer("--version", "echo podman version 5.4.2");
    assert_eq!(podman.version().await.unwrap(), "5.4.2", "it is asked again after a failure");
}

#[tokio::test]
async fn a_podman_that_is_installed_later_is_found() {
    let stub = PodmanStub::new();
    stub.answer("--version", "echo podman version 5.4.2");
    fs::remove_file(stub.file("podman")).unwrap();
    let path = format!("relative:{}", stub.path().display());
    let podman = Podman::with_environment([("PATH".into(), path.into())]);
    let error = podman.version().await.unwrap_err();
    assert!(error.to_string().contains("install the package `podman`"), "{error}");
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    stub.install();
    assert_eq!(podman.version().await.unwrap(), "5.4.2");
}

#[tokio::test]
async fn a_child_inherits_only_listed_variables() {
    let stub = PodmanStub::new();
    stub.answer("--version", "echo podman version 5.4.2");
    let poison = [
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "NOTIFY_SOCKET",
        "CONTAINERS_CONF",
        "CONTAINERS_STORAGE_CONF",
        "CONTAINER_HOST",
        "DOCKER_HOST",
        "STORAGE_DRIVER",
        "BUILDAH_FORMAT",
        "LC_ALL",
        "RPC_PASSWORD",
    ];
    let poisoned = poison.map(|name| (name.into(), "/poison".into()));
    let wanted = ["XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "TMPDIR"];
    let wanted_values = wanted.map(|name| (name.into(), "/wanted".into()));
    let all = stub.environment().into_iter().chain(poisoned).chain(wanted_values);
    Podman::with_environment(all).version().await.unwrap();
    let environment = fs::read_to_string(stub.file("environment")).unwrap();
    assert!(!environment.contains("/poison"), "{environment}");
    assert_eq!(environment.matches("/wanted").count(), wanted.len(), "{environment}");
    assert!(environment.lines().any(|line| line == "LANG=C"), "{environment}");
}

#[tokio::test]
async fn a_call_that_hangs_is_ended_within_its_limit_and_leaves_nothing() {
    let stub = PodmanStub::new();
    let snippet = "trap '' TERM; setsid sh -c 'echo $$ >$0/orphan; exec sleep 1000' $dir &
        echo $$ >$dir/pid; echo waiting for the lock >&2; while :; do sleep 1000; done";
    stub.answer("--version", snippet);
    let error = stub.hasty_podman().version().await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    let text = error.to_string();
    assert!(text.contains("did not exit within 2 s: waiting for the lock"), "{text}");
    assert!(!exists(&fs::read_to_string(stub.file("pid")).unwrap()));
    let orphan = fs::read_to_string(stub.file("orphan")).unwrap();
    // It is not our child; the process that adopted it reaps it at any time.
    removed(&orphan).await;
}

#[tokio::test]
async fn a_dropped_call_is_ended_softly_and_leaves_neither_process_nor_zombie() {
    let stub = PodmanStub::new();
    let ready = stub.signal("ready");
    let snippet = "trap 'echo asked >$dir/asked; exit 1' TERM
        echo $$ >$dir/ready; while :; do :; done";
    stub.answer("--version", snippet);
    let podman = stub.podman();
    let pid = tokio::select! {
        version = podman.version() => panic!("it ended with {version:?}"),
        pid = ready => pid,
    };
    podman.settled().await;
    assert!(!exists(&pid));
    assert!(stub.file("asked").exists());
}

#[tokio::test]
async fn the_innermost_process_is_terminated_first() {
    let stub = PodmanStub::new();
    let ready = stub.signal("ready");
    // Like podman during a RUN: the outer process dies of a signal, without cleanup.
    let snippet = "sleep 1000 & echo >$dir/ready; wait; echo >$dir/cleaned-up; exit 1";
    stub.answer("--version", snippet);
    let podman = stub.podman();
    tokio::select! {
        version = podman.version() => panic!("it ended with {version:?}"),
        _ = ready => {}
    }
    podman.settled().await;
    assert!(stub.file("cleaned-up").exists());
}

#[tokio::test]
async fn an_orphaned_process_with_the_pipe_does_not_block_the_call() {
    let stub = PodmanStub::new();
    stub.answer("--version", "sleep 1000 & echo $! >$dir/pid; echo podman version 5.4.2");
    assert_eq!(stub.podman().version().await.unwrap(), "5.4.2");
    let pid = fs::read_to_string(stub.file("pid")).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_flood_on_stdout_is_an_error_and_one_on_stderr_is_cut_to_its_end() {
    let stub = PodmanStub::new();
    stub.answer("--version", "head -c 20000000 /dev/zero");
    let error = stub.podman().version().await.unwrap_err();
    assert!(error.to_string().contains("printed more than"), "{error}");
    let flood =
        "head -c 5000000 /dev/zero >&2; printf '\\nError: the \\033[31mend\\n' >&2; exit 125";
    stub.answer("--version", flood);
    let text = stub.podman().version().await.unwrap_err().to_string();
    assert!(
        text.contains("exit status 125") && text.contains(r"Error: the \u{1b}[31mend"),
        "{text}"
    );
    assert!(text.len() < 8192, "{} bytes", text.len());
}

#[test]
fn a_runtime_that_is_shut_down_asks_its_children_to_end() {
    let stub = PodmanStub::new();
    let snippet = "trap 'echo asked >$dir/asked; exit 1' TERM
        echo $$ >$dir/ready; while :; do :; done";
    stub.answer("--version", snippet);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pid = runtime().block_on(async {
        let ready = stub.signal("ready");
        let podman = stub.podman();
        tokio::select! {
            version = podman.version() => panic!("it ended with {version:?}"),
            pid = ready => pid,
        }
    });
    runtime().block_on(removed(&pid));
    assert!(stub.file("asked").exists());
}

#[tokio::test]
async fn orphaned_builds_of_ours_are_stopped_and_unmanaged_ones_are_not() {
    let stub = PodmanStub::new();
    stub.answer("build", "trap 'exit 1' TERM; echo $$ >$dir/$2; while :; do sleep 0.1; done");
    let of_ended = "TMPDIR=/nowhere/companion-podman-1-1-0";
    for (mark, name) in [(of_ended, "ours"), ("TMPDIR=/nowhere", "theirs")] {
        let ready = stub.signal(name);
        // Its parent exits immediately, like a killed one.
        let begin = format!("setsid env {mark} {}/podman build {name} &", stub.path().display());
        let status = std::process::Command::new("/bin/sh").args(["-c", &begin]).status();
        assert!(status.unwrap().success());
        let pid = ready.await;
        fs::remove_file(stub.file(name)).unwrap();
        fs::write(stub.file(name), pid).unwrap();
    }
    let pid = |name| fs::read_to_string(stub.file(name)).unwrap();
    assert_eq!(stub.hasty_podman().end_orphans().await, 1);
    removed(&pid("ours")).await;
    assert!(exists(&pid("theirs")));
    let ended = std::process::Command::new("kill").arg(pid("theirs")).status();
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn trial_start_reports_an_absent_image_and_podmans_own_message() {
    let stub = PodmanStub::new();
    let podman = stub.podman();
    let image = ImageRef::new("localhost/web:latest").unwrap();
    assert!(podman.try_start(&image).await.unwrap());
    let [call] = &stub.calls()[..] else { panic!("one call: {:?}", stub.calls()) };
    for word in ["--rm", "--pull=never", "--network=none", "--cap-drop=all"] {
        assert!(call.iter().any(|own| own == word), "{call:?}");
    }
    assert_eq!(call.last().unwrap(), image.as_str());
    stub.answer("run", "echo 'Error: localhost/web:latest: image not known' >&2; exit 125");
    assert!(!podman.try_start(&image).await.unwrap());
    let missing = "Error: crun: executable file `true` not found: No such file or directory";
    stub.answer("run", &format!("echo '{missing}' >&2; exit 127"));
    assert!(podman.try_start(&image).await.unwrap(), "the container started");
    stub.answer("run", "echo 'crun: create keyring x: Disk quota exceeded' >&2; exit 126");
    let error = podman.try_start(&image).await.unwrap_err().to_string();
    assert!(error.contains("create keyring x: Disk quota exceeded"), "{error}");
}
