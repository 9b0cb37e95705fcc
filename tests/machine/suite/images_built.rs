//! Builds by the daemon: their remains in the store, and a build context on an unresponsive file system.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::guest::{measured, podman, root, systemctl, until};
use crate::node::{
    CONTEXTS, ELECTRS, LND, all_ready, companion, edit_context, image_id, installed,
    logged_by_the_daemon,
};

const DOCKERFILE: &str = "electrs-ui/Dockerfile";

/// All images by id, including intermediate ones.
fn images() -> BTreeSet<String> {
    let ids = podman(&["images", "--all", "--quiet", "--no-trunc"]).good();
    ids.lines().map(str::to_owned).collect()
}

/// All containers by name, including working containers of builds.
fn containers() -> BTreeSet<String> {
    let names = podman(&["ps", "--all", "--external", "--format", "{{.Names}}"]).good();
    names.lines().map(str::to_owned).collect()
}

/// The release Dockerfile with an additional stage that it copies a file from; `work` runs in a stage between.
fn with_stages(work: &str) -> String {
    let delivered = fs::read_to_string(format!("{CONTEXTS}/{DOCKERFILE}")).unwrap();
    let (arguments, rest) = delivered.split_once("FROM ").unwrap();
    format!(
        "{arguments}FROM ${{BASE_IMAGE}} AS first\nRUN echo first >/first\n\
         FROM first AS second\nRUN cp /first /second\n{work}\n\
         FROM {rest}COPY --from=second /second /second\n"
    )
}

#[test]
fn multi_stage_builds_leave_one_image() {
    installed();
    let delivered = fs::read_to_string(format!("{CONTEXTS}/{DOCKERFILE}")).unwrap();
    let (images_before, containers_before) = (images(), containers());
    let daemon = Daemon::resyncing(1);
    let image = || image_id(&ELECTRS.tag());
    let old = image().unwrap();

    let failing = with_stages("RUN exit 3");
    edit_context(DOCKERFILE, &failing);
    logged_by_the_daemon("exit status 3");
    // It is retried, so this is about the time between.
    until("nothing is left of it", 60, || {
        (images() == images_before && containers() == containers_before).then_some(())
    });

    edit_context(DOCKERFILE, &delivered);
    edit_context(DOCKERFILE, &with_stages(""));
    until("another image runs", 90, || {
        let new = image().filter(|new| *new != old)?;
        (ELECTRS.unit_image() == new && ELECTRS.is_up()).then_some(())
    });
    all_ready(60);
    assert_eq!(ELECTRS.running_image(), ELECTRS.unit_image());
    until("the earlier image is removed", 60, || {
        (!images().contains(&format!("sha256:{old}"))).then_some(())
    });
    assert_eq!(images().len(), images_before.len(), "{:?}", images());
    assert_eq!(containers(), containers_before);

    // One that hangs outside of any `RUN` until the app is removed. The daemon would build from each change by itself.
    drop(daemon);
    fs::write(format!("{CONTEXTS}/electrs-ui/large"), vec![7_u8; 60 * 1024 * 1024]).unwrap();
    let copies = (0..20).map(|number| format!("COPY large /large-{number}\n")).collect::<String>();
    edit_context(DOCKERFILE, &delivered);
    edit_context(DOCKERFILE, &with_stages(&copies));
    let daemon = Daemon::resyncing(1);
    until("it copies", 60, || {
        let copies = root(&["pgrep", "-f", "^buildah-copier"]).status == Some(0);
        (copies && containers().len() >= containers_before.len() + 2).then_some(())
    });
    companion(&["remove", "electrumx"]).exits(0);
    until("no build runs", 60, || {
        root(&["pgrep", "-f", "[p]odman build"]).status.filter(|status| *status == 1)
    });
    until("no working container is left", 60, || {
        containers().is_subset(&containers_before).then_some(())
    });
    assert!(images().len() <= images_before.len(), "{:?}", images());

    fs::remove_file(format!("{CONTEXTS}/electrs-ui/large")).unwrap();
    edit_context(DOCKERFILE, &delivered);
    companion(&["install", "electrumx"]).exits(0);
    all_ready(60);
    // A replaced image is removed after the newer one has run for a while.
    until("the earlier image is removed", 60, || {
        (images().len() == images_before.len()).then_some(())
    });
    drop(daemon);
    podman(&["system", "check", "--quick"]).good();
}

#[test]
fn next_daemon_removes_the_containers_of_a_killed_build() {
    installed();
    let delivered = fs::read_to_string(format!("{CONTEXTS}/{DOCKERFILE}")).unwrap();
    let before = containers();
    let daemon = Daemon::resyncing(1);
    edit_context(DOCKERFILE, &with_stages("RUN sleep 4714"));
    until("the build hangs", 60, || {
        root(&["pgrep", "-f", "[s]leep 4714"]).status.filter(|status| *status == 0)
    });
    let daemon_pid = daemon.pid();
    // All at the same time, like a loss of power; the context is repaired before the next observation.
    root(&["sh", "-c", &format!("kill -STOP {daemon_pid}; pkill -KILL -f '[p]odman build'; pkill -KILL -f '[s]leep 4714'")]).good();
    edit_context(DOCKERFILE, &delivered);
    let left = containers();
    assert!(left.len() >= before.len() + 2, "{left:?}");
    root(&["kill", "-KILL", &daemon_pid.to_string()]).good();
    until("another daemon runs", 60, || Daemon::find().filter(|pid| *pid != daemon_pid));
    until("no working container is left", 60, || (containers() == before).then_some(()));
    all_ready(60);
}

/// A mount of an unresponsive file system: no process reads the requests of the kernel.
struct HungMount {
    place: String,
    holder: Child,
}

impl HungMount {
    fn over(place: &str) -> Self {
        let script = format!(
            "exec 5<>/dev/fuse
             mount -i -t fuse -o fd=5,rootmode=40000,user_id=0,group_id=0,allow_other hung {place}
             exec sleep 100000"
        );
        let mut command = std::process::Command::new("bash");
        let holder = command.args(["-ec", &script]).spawn().unwrap();
        let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
        until("it is mounted", 20, || mounts().contains(&format!("hung {place} ")).then_some(()));
        Self { place: place.to_owned(), holder }
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        // The device is closed: waiting processes get an error.
        let _killed = self.holder.kill();
        let _waited = self.holder.wait();
        let _unmounted = root(&["umount", "--lazy", &self.place]);
    }
}

#[test]
fn unresponsive_build_context_blocks_no_other_companion() {
    installed();
    let daemon = Daemon::resyncing(1);
    all_ready(60);
    let threads = || daemon.status("Threads").parse::<usize>().unwrap();
    let (run, usual) = (ELECTRS.property("InvocationID"), threads());
    let hung = HungMount::over(&format!("{CONTEXTS}/electrs-ui"));
    logged_by_the_daemon("does not respond");

    for _ in 0..3 {
        systemctl(&["stop", &LND.service()]).good();
        let started = LND.loses_its_unit();
        LND.comes_up(60);
        measured("another back while a context hangs", started);
    }
    // After about thirty observations only one read waits for it.
    std::thread::sleep(Duration::from_secs(30));
    assert!(threads() <= usual + 4, "{} threads, {usual} before", threads());
    assert_eq!(ELECTRS.property("InvocationID"), run, "it runs on");

    drop(hung);
    all_ready(60);
    assert_eq!(ELECTRS.property("InvocationID"), run);
}
