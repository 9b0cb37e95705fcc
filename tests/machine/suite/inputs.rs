//! The inputs of a container are addressed by content: the rendered file that its unit mounts, and the id of its
//! image. An input that is edited, lost or moved later changes no start, and is repaired.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::guest::{archy, podman, systemctl, throughout, until};
use crate::http;
use crate::leader::{events_after, last_event};
use crate::node::{
    ALL, BITCOIN, CONFIG, Companion, ELECTRS, LND, Moment, all_up, ask_the_node, companion,
    containers, image_id, installed, rendered_file, rendered_files,
};

const BASE: &str = "localhost/companion-base:latest";

/// A resync, a restart delay, the time until a service counts as running, and the same again.
const TIMEOUT: u64 = 45;

/// A fault of the rendered file, by a program of archy's.
fn fault(script: &str, file: &str) {
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
        until("the next epoch runs, and the earlier file is removed", TIMEOUT, || {
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

const RESTORED: &str = "config-restored";

#[test]
fn tampered_rendered_file_is_replaced_by_the_next_epoch_with_one_restart() {
    for script in [EDIT, "rm \"$1\"", "chmod 0666 \"$1\""] {
        let rendered = Rendered::installed();
        let _daemon = Daemon::resyncing(1);
        let before = last_event();
        fault(script, &rendered.file);
        rendered.is_replaced_by_the_next_epoch(1);
        if script != EDIT {
            continue;
        }
        let events = events_after(before.as_ref());
        let steps =
            [("write-unit", RESTORED), ("restart", RESTORED), ("sweep-configs", "superseded")];
        for (action, reason) in steps {
            let is =
                |it: &Value| (&it["action"], &it["reason"]) == (&action.into(), &reason.into());
            let done = events.iter().any(|it| is(it) && it["companion"] == BITCOIN.name);
            assert!(done, "{action}: {events:?}");
        }
    }
}

/// The container reports the desired revision, and was started from other bytes; or none was started.
#[test]
fn command_alone_replaces_what_started_from_a_tampered_file() {
    let rendered = Rendered::installed();
    let old = BITCOIN.container();
    fault(EDIT, &rendered.file);
    podman(&["kill", "--signal=KILL", BITCOIN.name]).good();
    until("systemd started it from the edited file", TIMEOUT, || {
        (BITCOIN.container() != old && is_owned()).then_some(())
    });
    companion(&["reconcile"]).exits(0);
    rendered.is_replaced_by_the_next_epoch(2);

    let rendered = Rendered::installed();
    systemctl(&["stop", &BITCOIN.service()]).good();
    fault("rm \"$1\"", &rendered.file);
    companion(&["reconcile"]).exits(0);
    rendered.is_replaced_by_the_next_epoch(1);
}

#[test]
fn units_name_images_by_the_id_that_podman_gives() {
    installed();
    // Podman shows the name that the image had when the container was created.
    for one in ALL {
        systemctl(&["restart", &format!("{}.service", one.name)]).good();
    }
    all_up(TIMEOUT);
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
