use std::os::unix::fs::symlink;

use companion_core::model::companion::CompanionName;

use super::*;
use crate::process::tests::write_program;

/// A generator that is a shell script, and its directory.
fn script(body: &str) -> (tempfile::TempDir, Generator) {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("podman-user-generator");
    write_program(&program, body);
    let generator = Generator::at(program, Scope::User).unwrap();
    let generator = generator.with_stage_dir(place.path().join("stage"));
    (place, generator)
}

const ACCEPTS: &str = r#"for f in "$QUADLET_UNIT_DIRS"/*.container; do
    n=${f##*/}; printf -- '---%s.service---\n' "${n%.container}"; cat "$f"; done"#;

fn web(text: &str) -> UnitText {
    (CompanionName::new("web").unwrap(), text.into())
}

#[tokio::test]
async fn a_unit_is_staged_alone_and_nothing_of_it_is_left() {
    let (_place, generator) = script(&format!("{ACCEPTS}; ls -a \"$QUADLET_UNIT_DIRS\" >&2"));
    generator.check(&[web("[Container]\n")]).await.unwrap();
    assert_eq!(fs::read_dir(&generator.stage).unwrap().count(), 0);
    let mode = fs::metadata(&generator.stage).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[tokio::test]
async fn several_units_are_checked_in_one_run_that_accepts_all_or_none() {
    let units = ["a", "b"].map(|name| (CompanionName::new(name).unwrap(), "[Container]\n".into()));
    let (place, generator) = script(&format!("echo run >>\"${{0%/*}}/runs\"; {ACCEPTS}"));
    generator.check(&units).await.unwrap();
    assert_eq!(fs::read_to_string(place.path().join("runs")).unwrap(), "run\n");
    let (_place, generator) = script("echo '---a.service---'");
    let error = generator.check(&units).await.unwrap_err();
    assert!(error.to_string().ends_with("printed no reason"), "{error}");
}

#[tokio::test]
async fn a_cancelled_check_leaves_nothing_behind() {
    let (place, generator) = script("echo started >\"${0%/*}/started\"; sleep 600");
    let started = place.path().join("started");
    let begins = async {
        while !started.exists() {
            tokio::task::yield_now().await;
        }
    };
    let units = [web("[Container]\n")];
    tokio::select! {
        ended = generator.check(&units) => panic!("{ended:?}"),
        () = begins => {}
    }
    let swept = async {
        while fs::read_dir(&generator.stage).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
}

#[tokio::test]
async fn the_generator_is_asked_for_a_dry_run_in_an_environment_of_its_own() {
    let (place, mut generator) =
        script(&format!("echo \"$*\" >\"${{0%/*}}/seen\"; env >>\"${{0%/*}}/seen\"; {ACCEPTS}"));
    generator.scope = Scope::System;
    generator.check(&[web("[Container]\n")]).await.unwrap();
    let seen = fs::read_to_string(place.path().join("seen")).unwrap();
    assert!(seen.starts_with("--dryrun --no-kmsg-log\n"), "{seen}");
    generator.scope = Scope::User;
    generator.check(&[web("[Container]\n")]).await.unwrap();
    let seen = fs::read_to_string(place.path().join("seen")).unwrap();
    assert!(seen.starts_with("--user --dryrun --no-kmsg-log\n"), "{seen}");
    let known = [
        "HOME",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "TMPDIR",
        "PATH",
        "LANG",
        "QUADLET_UNIT_DIRS",
    ];
    // Variables that the shell adds.
    let of_shell = ["PWD", "OLDPWD", "SHLVL", "_"];
    for line in seen.lines().skip(1) {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name) || of_shell.contains(&name), "{line}");
    }
}

#[tokio::test]
async fn a_generator_that_hangs_is_ended_with_all_that_it_started() {
    let (place, mut generator) =
        script("trap '' TERM; sleep 600 & echo $! >\"${0%/*}/child\"; wait; sleep 600");
    generator.limit = Duration::from_secs(2);
    let error = generator.check(&[web("")]).await.unwrap_err();
    assert!(error.to_string().contains("did not exit within 2 s"), "{error}");
    assert_eq!(error.kind(), PortErrorKind::Transient);
    let child = fs::read_to_string(place.path().join("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // Killed processes have ended, or zombies that wait for init.
    let removed = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    let ended = async {
        while !removed() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

#[tokio::test]
async fn unlimited_output_is_truncated_without_waiting() {
    let body = format!("{ACCEPTS}; head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2");
    let (_place, generator) = script(&body);
    generator.check(&[web("[Container]\n")]).await.unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_not_the_units_fault() {
    let (place, generator) = script("exit 0");
    let program = place.path().join("podman-user-generator");
    fs::remove_file(&program).unwrap();
    write_program(&program, "");
    fs::write(&program, "#!/nonexistent/interpreter\n").unwrap();
    let error = generator.check(&[web("")]).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable, "{error}");
}

#[test]
fn the_generator_is_found_where_systemd_looks_first() {
    let root = tempfile::tempdir().unwrap();
    let found = |scope| Generator::find_below(root.path(), scope);
    let missing = found(Scope::User).unwrap_err();
    assert!(missing.to_string().contains("/usr/lib/systemd/user-generators/podman-user-generator"));
    assert_eq!(missing.kind(), PortErrorKind::Unavailable);

    let program = root.path().join("usr/libexec/podman/quadlet");
    let place = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    write_program(&place("usr/libexec/podman/quadlet"), "");
    assert_eq!(found(Scope::User).unwrap().program(), program, "a package without links");

    let link = place("usr/lib/systemd/user-generators/podman-user-generator");
    symlink(&program, &link).unwrap();
    assert_eq!(found(Scope::User).unwrap().program(), link);
    assert_eq!(found(Scope::System).unwrap().program(), program);

    let mask = place("etc/systemd/user-generators/podman-user-generator");
    symlink("/dev/null", &mask).unwrap();
    let masked = format!("is masked by `{}`", mask.display());
    assert!(found(Scope::User).unwrap_err().to_string().ends_with(&masked));
    fs::remove_file(&mask).unwrap();
    fs::write(&mask, "").unwrap();
    assert!(found(Scope::User).unwrap_err().to_string().ends_with(&masked));

    fs::write(&mask, "#!/bin/sh\n").unwrap();
    assert_eq!(
        found(Scope::User).unwrap().program(),
        link,
        "a file without execute permission is skipped"
    );
    fs::remove_file(&mask).unwrap();
    symlink("/nowhere", &mask).unwrap();
    assert_eq!(found(Scope::User).unwrap().program(), link, "and so is a dangling link");
}

#[test]
fn only_staged_units_of_dead_processes_are_swept() {
    let place = tempfile::tempdir().unwrap();
    let stage = place.path().join("stage");
    assert_eq!(sweep_stage(&stage), 0);
    // The highest process ID of the kernel is 4194304.
    let kept =
        [format!("unit-{}-abc", std::process::id()), "unit-x-abc".to_owned(), "other".to_owned()];
    let left = ["unit-4194305-abc".to_owned(), "unit-4194306-def".to_owned()];
    for made in kept.iter().chain(&left) {
        fs::create_dir_all(stage.join(made)).unwrap();
        fs::write(stage.join(made).join("web.container"), "").unwrap();
    }
    assert_eq!(sweep_stage(&stage), 2);
    assert!(kept.iter().all(|kept| stage.join(kept).join("web.container").exists()));
}
