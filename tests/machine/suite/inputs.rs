//! The inputs of a container are addressed by content: the rendered file that its unit mounts, and the id of its
//! image. An input that is edited, lost or moved later changes no start, and is repaired.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::daemon::Daemon;
use crate::guest::{archy, podman, systemctl, throughout, until, write};
use crate::http;
use crate::leader::{events_after, last_event};
use crate::node::{
    ALL, BITCOIN, CONFIG, Companion, ELECTRS, LND, Moment, ask_the_node, companion, containers,
    image_id, installed, rendered_file, rendered_files,
};

const BASE: &str = "localhost/companion-base:latest";

/// A resync, a restart delay, the time until a service counts as running, and the same again.
const TIMEOUT: u64 = 45;

/// A fault of the rendered file, by a program of archy's.
fn harm(script: &str, file: &str) {
    archy(&["sh", "-ec", script, "sh", file]).good();
}

/// Lets the page answer on another path as well, once nginx reads this file.
const EDIT: &str =
    "sed -i '0,/^server {/s//server {\\n    location = \\/owned { return 200 owned; }/' \"$1\"
     grep -q owned \"$1\"";

/// Whether the container has read an edited file.
fn is_owned() -> bool {
    http::get(BITCOIN.port, "/owned", &[])
        .is_ok_and(|page| page.status == 200 && page.text.ends_with("owned"))
}

/// The same contents in the next epoch.
fn next_epoch(file: &str) -> String {
    let id = file.strip_prefix(&format!("{CONFIG}.")).unwrap();
    let (digest, epoch) = id.split_once('.').unwrap_or((id, "0"));
    format!("{CONFIG}.{digest}.{}", epoch.parse::<u32>().unwrap() + 1)
}

/// A node with three running companions, and the file that one was started from.
struct Rendered {
    file: String,
    bytes: Vec<u8>,
    since: Moment,
    others: [Option<String>; 2],
}

impl Rendered {
    fn installed() -> Self {
        installed();
        assert!(!is_owned());
        let file = rendered_file(CONFIG).unwrap();
        let (bytes, others) = (fs::read(&file).unwrap(), [LND, ELECTRS].map(Companion::container));
        assert!(BITCOIN.unit_text().contains(&format!("Volume={file}:")));
        Self { file, bytes, since: Moment::now(), others }
    }

    /// Waits until only the next epoch exists, and asserts the number of starts.
    fn is_replaced_by_the_next_epoch(&self, starts: usize) {
        let next = next_epoch(&self.file);
        until("the next epoch runs, and the file before is gone", TIMEOUT, || {
            let is_only = rendered_files(CONFIG) == [next.clone()].into();
            (is_only && BITCOIN.status().1 == Some(0)).then_some(())
        });
        assert_eq!(rendered_file(CONFIG).as_ref(), Some(&next));
        assert!(fs::read(&next).unwrap() == self.bytes, "the same contents");
        assert_eq!(fs::metadata(&next).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(BITCOIN.unit_text().contains(&format!("Volume={next}:")), "{next}");
        assert_eq!((ask_the_node(), is_owned()), (Some(200), false));
        let container = BITCOIN.container();
        throughout("it is left alone", 3, || BITCOIN.container() == container);
        assert_eq!(BITCOIN.starts(&self.since), starts);
        assert_eq!([LND, ELECTRS].map(Companion::container), self.others);
    }
}

#[test]
fn edited_rendered_file_is_replaced_with_one_restart_and_removed() {
    let rendered = Rendered::installed();
    let _daemon = Daemon::resyncing(1);
    let before = last_event();
    harm(EDIT, &rendered.file);
    rendered.is_replaced_by_the_next_epoch(1);
    let events = events_after(before.as_ref());
    let is = |action: &str, reason: &str| {
        let done = |event: &serde_json::Value| {
            event["action"] == action
                && event["reason"] == reason
                && event["companion"] == BITCOIN.name
        };
        events.iter().any(done)
    };
    assert!(is("write-unit", "config-restored") && is("restart", "config-restored"), "{events:?}");
    assert!(is("sweep-configs", "superseded"), "{events:?}");
}

#[test]
fn lost_rendered_file_of_a_running_container_gets_the_next_epoch() {
    let rendered = Rendered::installed();
    let _daemon = Daemon::resyncing(1);
    harm("rm \"$1\"", &rendered.file);
    rendered.is_replaced_by_the_next_epoch(1);
}

#[test]
fn rendered_file_writable_by_others_gets_the_next_epoch() {
    let rendered = Rendered::installed();
    let _daemon = Daemon::resyncing(1);
    harm("chmod 0666 \"$1\"", &rendered.file);
    rendered.is_replaced_by_the_next_epoch(1);
}

/// The container reports the desired revision, and was started from other bytes.
#[test]
fn container_that_started_from_an_edited_file_is_replaced() {
    let rendered = Rendered::installed();
    let old = BITCOIN.container();
    harm(EDIT, &rendered.file);
    podman(&["kill", "--signal=KILL", BITCOIN.name]).good();
    until("systemd started it from the edited file", TIMEOUT, || {
        (BITCOIN.container() != old && is_owned()).then_some(())
    });
    companion(&["reconcile"]).exits(0);
    rendered.is_replaced_by_the_next_epoch(2);
}

#[test]
fn lost_file_and_stopped_service_come_back_in_the_next_epoch() {
    let rendered = Rendered::installed();
    systemctl(&["stop", &BITCOIN.service()]).good();
    harm("rm \"$1\"", &rendered.file);
    companion(&["reconcile"]).exits(0);
    rendered.is_replaced_by_the_next_epoch(1);
}

/// Users and other programs read the file through the link; the container does not.
#[test]
fn lost_or_replaced_link_is_restored_without_a_restart() {
    let rendered = Rendered::installed();
    let _daemon = Daemon::resyncing(1);
    let precious = "/home/archy/precious";
    write(precious, "precious");
    let (run, text) = (BITCOIN.property("InvocationID"), BITCOIN.unit_text());
    for script in [
        "rm \"$1\"",
        "ln -sfn /home/archy/precious \"$1\"",
        "ln -sfn nginx.conf.0123456789abcdef \"$1\"",
        "rm \"$1\"; echo '# edited' >\"$1\"",
        "rm \"$1\"; mkdir \"$1\"; sleep 3; rmdir \"$1\"",
    ] {
        harm(script, CONFIG);
        until(&format!("the link is back: {script}"), TIMEOUT, || {
            rendered_file(CONFIG).filter(|file| *file == rendered.file)
        });
        assert_eq!(fs::read_to_string(precious).unwrap(), "precious", "{script}");
        // A change within the five seconds of a repair waits for the rest of them.
        throughout("it runs on", 7, || BITCOIN.property("InvocationID") == run);
    }
    until("it is ready", TIMEOUT, || (BITCOIN.status().1 == Some(0)).then_some(()));
    assert!(fs::read(CONFIG).unwrap() == rendered.bytes);
    assert_eq!((BITCOIN.property("InvocationID"), BITCOIN.unit_text()), (run, text));
    assert_eq!(rendered_files(CONFIG), [rendered.file].into());
    archy(&["rm", precious]).good();
}

#[test]
fn units_name_images_by_the_id_that_podman_gives() {
    installed();
    // Podman shows the name that the image had when the container was created.
    for one in ALL {
        systemctl(&["restart", &format!("{}.service", one.name)]).good();
    }
    until("all are up", TIMEOUT, || ALL.into_iter().all(Companion::is_up).then_some(()));
    let shown = podman(&["ps", "--format", "{{.Names}} {{.Image}}"]).good();
    for one in ALL {
        let id = image_id(&one.tag()).unwrap();
        assert_eq!(id.len(), 64, "{id}");
        assert_eq!((one.unit_image(), one.running_image()), (id.clone(), id), "{}", one.name);
        let line = format!("{} {}", one.name, one.tag());
        assert!(shown.lines().any(|shown| shown == line), "people see the tag: {shown}");
    }
    let doctor = companion(&["doctor"]).exits(0);
    assert!(!doctor.stdout.contains("warning generated units"), "{doctor}");
}

/// Whether its page is its own, not that of the base image.
fn shows_its_own_page(one: Companion) -> bool {
    http::get(one.port, "/", &[]).is_ok_and(|page| page.text.contains("<!doctype html>"))
}

#[test]
fn container_restarts_from_its_own_image_although_the_tag_moved() {
    installed();
    let (image, old, since) = (LND.unit_image(), LND.container(), Moment::now());
    podman(&["tag", BASE, &LND.tag()]).good();
    assert_ne!(image_id(&LND.tag()).as_ref(), Some(&image));
    podman(&["kill", "--signal=KILL", LND.name]).good();
    until("systemd started it again", TIMEOUT, || {
        (LND.container() != old && LND.is_up()).then_some(())
    });
    assert_eq!(LND.running_image(), image);
    assert!(shows_its_own_page(LND));

    let container = LND.container();
    companion(&["reconcile"]).exits(0);
    assert_eq!(image_id(&LND.tag()), Some(image.clone()), "it is built again");
    assert_eq!((LND.unit_image(), LND.container()), (image, container));
    assert_eq!(LND.starts(&since), 1);
}

/// A daemon that finds it stopped builds the image again, and never starts the image behind the tag.
#[test]
fn daemon_never_starts_the_image_behind_a_moved_build_tag() {
    installed();
    let (image, old) = (LND.unit_image(), LND.container());
    let _daemon = Daemon::resyncing(1);
    let script = "podman tag \"$1\" \"$2\" && podman kill --signal=KILL \"$3\"";
    archy(&["sh", "-ec", script, "sh", BASE, &LND.tag(), LND.name]).good();
    until("it is up again", TIMEOUT, || {
        assert_eq!(LND.unit_image(), image);
        (LND.container() != old && LND.is_up() && LND.status().1 == Some(0)).then_some(())
    });
    assert_eq!((LND.running_image(), image_id(&LND.tag())), (image.clone(), Some(image)));
    assert!(shows_its_own_page(LND));
}

#[test]
fn pruning_all_images_keeps_running_images() {
    installed();
    // Other tests need the base image.
    podman(&["create", "--replace", "--name", "unmanaged", BASE]).good();
    let (before, image) = (containers(), LND.unit_image());
    podman(&["untag", &LND.tag()]).good();
    podman(&["image", "prune", "--all", "--force"]).good();
    assert_eq!(containers(), before);
    for one in ALL {
        assert_eq!(one.running_image(), one.unit_image(), "{}", one.name);
        assert!(image_id(&one.unit_image()).is_some(), "{}", one.name);
    }
    podman(&["kill", "--signal=KILL", LND.name]).good();
    until("systemd started it again", TIMEOUT, || {
        LND.container().filter(|id| *id != before[LND.name] && LND.is_up())
    });
    assert_eq!(LND.running_image(), image);

    let now = containers();
    companion(&["reconcile"]).exits(0);
    assert_eq!(image_id(&LND.tag()), Some(image), "the same context gives the same image");
    assert_eq!(containers(), now);
    podman(&["rm", "--force", "unmanaged"]).good();
}

/// An upgrade of companion: the unit starts from a tag, and mounts a regular file at the output.
#[test]
fn unit_with_a_tag_and_a_fixed_mount_is_upgraded_with_one_restart() {
    let rendered = Rendered::installed();
    let script = "rm \"$2\" && mv \"$1\" \"$2\"";
    archy(&["sh", "-ec", script, "sh", &rendered.file, CONFIG]).good();
    // The image's part of the revision was derived from id and name, and the text had another form.
    let hex = "[0-9a-f]{16}";
    let revision = format!(
        "s/({hex})-{hex}-({hex})(\\.[0-9]+)?-{hex}-([0-9]+)/\\1-{0}-\\2-\\4/",
        "0".repeat(16)
    );
    let image = format!("s#^Image=.*#Image={}#", BITCOIN.tag());
    let mount = format!("s#^Volume={CONFIG}\\.[0-9a-f.]+:#Volume={CONFIG}:#");
    let edits = ["-e", &revision, "-e", &image, "-e", &mount];
    archy(&[&["sed", "-E", "-i"], &edits[..], &[&BITCOIN.unit()]].concat()).good();
    let text = BITCOIN.unit_text();
    assert!(text.contains(&format!("Volume={CONFIG}:")), "{text}");
    systemctl(&["daemon-reload"]).good();
    systemctl(&["restart", &BITCOIN.service()]).good();
    until("the earlier unit runs", TIMEOUT, || BITCOIN.is_up().then_some(()));

    let ran = companion(&["reconcile"]).exits(0);
    let words = ran.words();
    assert!(!words.contains("tampered") && !words.contains("outside companion"), "{ran}");
    let file = rendered_file(CONFIG).unwrap();
    assert!(fs::read(&file).unwrap() == rendered.bytes);
    assert_eq!(rendered_files(CONFIG), [file.clone()].into());
    assert!(BITCOIN.unit_text().contains(&format!("Volume={file}:")));
    assert_eq!(Some(BITCOIN.unit_image()), image_id(&BITCOIN.tag()));
    assert_eq!((BITCOIN.status().1, ask_the_node()), (Some(0), Some(200)));
    assert_eq!(BITCOIN.starts(&rendered.since), 2, "once by hand, and once for today's unit");
    assert_eq!([LND, ELECTRS].map(Companion::container), rendered.others);
}
