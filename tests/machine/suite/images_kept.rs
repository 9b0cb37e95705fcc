//! Images are known by the record of what was built here, and come back from their archives.

use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{Undo, archy, by_root, measured, podman, systemctl, throughout, undo, until};
use crate::images::asked_the_registry;
use crate::node::{
    ALL, APPS, CONTEXTS, Companion, ELECTRS, LND, STATE, all_ready, companion, image_id,
    install_all, installed,
};

const BASE: &str = "localhost/companion-base:latest";
const BASE_ARCHIVE: &str = "/home/archy/base.tar";

/// The records and archives whose name begins with `start`.
fn kept(start: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("{STATE}/images")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    names
}

fn archive_of(one: Companion) -> String {
    let name = kept(one.base).into_iter().find(|name| name.ends_with(".tar"));
    format!("{STATE}/images/{}", name.unwrap_or_else(|| panic!("no archive of {}", one.base)))
}

/// A node with all three companions, each with its record and archive.
fn archived() {
    installed();
    if kept("").len() != 2 * ALL.len() {
        companion(&[&["remove"], &APPS[..]].concat()).exits(0);
        install_all().exits(0);
    }
}

/// Takes the base image away, which no registry has; the guard brings it back.
fn without_base() -> Undo {
    archy(&["rm", "-f", BASE_ARCHIVE]).good();
    podman(&["save", "--quiet", "--output", BASE_ARCHIVE, BASE]).good();
    let back = undo(format!(
        "archy podman load --quiet --input {BASE_ARCHIVE}
         rm -f {BASE_ARCHIVE}"
    ));
    podman(&["image", "rm", "--force", BASE]).good();
    back
}

/// Gives the name of `one`'s build to an image with its labels and another page.
fn sideload(one: Companion) -> String {
    let (ours, archive) = (one.unit_image(), "/home/archy/sideloaded.tar");
    by_root(&format!(
        "archy podman tag {ours} localhost/sideloaded-from
         printf 'FROM localhost/sideloaded-from\\nRUN echo other >/usr/share/nginx/html/index.html\\n' |
            archy podman build --quiet --tag {tag} -
         rm -f {archive}
         archy podman save --quiet --output {archive} {tag}
         other=$(archy podman image inspect --format '{{{{.Id}}}}' {tag})
         archy podman tag {ours} {tag}
         archy podman untag localhost/sideloaded-from localhost/sideloaded-from
         archy podman image rm --force $other
         archy podman load --quiet --input {archive}
         rm {archive}",
        tag = one.tag(),
    ));
    let other = image_id(&one.tag()).unwrap();
    assert_ne!(other, ours);
    let format = "{{index .Labels \"companion.source\"}}";
    let label = podman(&["image", "inspect", "--format", format, &one.tag()]).good();
    assert_eq!(label, one.tag(), "the label is copied");
    other
}

#[test]
fn pruned_images_return_without_base_image_and_registry() {
    archived();
    let images = ALL.map(Companion::unit_image);
    assert_eq!(kept("").len(), 2 * ALL.len(), "{:?}", kept(""));
    let _base = without_base();
    let _daemon = Daemon::resyncing(2);
    let asked = asked_the_registry(|| {
        let started = Instant::now();
        for one in ALL {
            podman(&["kill", one.name]);
        }
        // All together: systemd starts them again in 10 s.
        until("the images are removed", 20, || {
            podman(&["system", "prune", "--all", "--force"]).good();
            ALL.into_iter().all(|one| image_id(&one.tag()).is_none()).then_some(())
        });
        all_ready(90);
        measured("all back from archives after a prune", started);
    });
    assert!(!asked);
    assert_eq!(ALL.map(Companion::unit_image), images);
    assert_eq!(ALL.map(Companion::running_image), images);
    assert_eq!(image_id(BASE), None);
}

/// The daemon is not there when the image is lost, and the context has changed meanwhile.
#[test]
fn lost_image_of_an_older_context_returns_while_it_cannot_be_built() {
    archived();
    let image = LND.unit_image();
    let _base = without_base();
    let page = format!("{CONTEXTS}/{}/index.html", LND.base);
    by_root(&format!("echo '<!-- changed -->' >>{page}"));
    systemctl(&["stop", &LND.service()]).good();
    podman(&["image", "rm", "--force", &image]).good();
    let _daemon = Daemon::resyncing(2);
    LND.comes_up(60);
    assert_eq!(LND.running_image(), image);
    let (status, exit) = LND.status();
    assert_eq!(exit, Some(1), "its build fails: {status}");
}

#[test]
fn image_with_copied_labels_is_not_rolled_out() {
    archived();
    let (image, container) = (LND.unit_image(), LND.container());
    let other = sideload(LND);
    let removed = undo(format!("archy podman image rm --force {other}"));
    let daemon = Daemon::resyncing(1);
    until("the name is that of our image again", 60, || {
        (image_id(&LND.tag()).as_ref() == Some(&image)).then_some(())
    });
    all_ready(90);
    throughout("it is left alone", 5, || LND.container() == container && LND.unit_image() == image);
    drop(daemon);
    drop(removed);

    // Before a first installation, when there is no record.
    companion(&["remove", "lnd"]).exits(0);
    podman(&["tag", &image, &LND.tag()]).good();
    let other = {
        fs::write("/tmp/Sideloaded", format!("FROM {}\nRUN touch /other\n", LND.tag())).unwrap();
        let build = ["build", "--quiet", "--file", "/tmp/Sideloaded", "--tag"];
        podman(&[&build[..], &[&LND.tag(), "/tmp"]].concat()).good()
    };
    companion(&["install", "lnd"]).exits(0);
    assert!(LND.is_up());
    assert_eq!((LND.running_image(), LND.unit_image()), (image.clone(), image));
    podman(&["image", "rm", "--force", &other]).good();
}

#[test]
fn archives_go_with_their_companion_whose_image_stays_known() {
    archived();
    assert_eq!(kept("lnd-ui").len(), 2, "{:?}", kept(""));
    let modes = archy(&["sh", "-c", &format!("stat -c %a {STATE}/images {STATE}/images/*")]).good();
    assert!(modes.lines().all(|mode| mode == "600" || mode == "700"), "{modes}");
    let image = LND.unit_image();
    companion(&["remove", "lnd"]).exits(0);
    assert_eq!((kept("lnd-ui").len(), kept("electrs-ui").len()), (1, 2));
    let daemon = Daemon::resyncing(1);
    companion(&["remove", "electrumx"]).exits(0);
    until("its archive is removed", 20, || (kept("electrs-ui").len() == 1).then_some(()));
    // Nothing could be built: the images in the store are known.
    let base = without_base();
    companion(&["install", "lnd", "electrumx"]).exits(0);
    assert_eq!(LND.running_image(), image);
    until("both have their archives", 20, || (kept("").len() == 2 * ALL.len()).then_some(()));
    drop(base);
    drop(daemon);
}

#[test]
fn replaced_archive_is_not_loaded() {
    archived();
    let (image, archive) = (ELECTRS.unit_image(), archive_of(ELECTRS));
    let base = without_base();
    // One that would give the base image back.
    archy(&["cp", BASE_ARCHIVE, &archive]).good();
    systemctl(&["stop", &ELECTRS.service()]).good();
    podman(&["image", "rm", "--force", &image]).good();
    let daemon = Daemon::resyncing(2);
    until("its build fails", 60, || {
        let (status, _) = ELECTRS.status();
        status["conditions"].to_string().contains("companion-base").then_some(())
    });
    assert_eq!((image_id(BASE), ELECTRS.is_up()), (None, false));
    drop(base);
    drop(daemon);
    companion(&["install", "electrumx"]).exits(0);
    assert_eq!(ELECTRS.running_image(), image, "it was built again");
    assert!(kept("electrs-ui").len() == 2 && archive_of(ELECTRS) == archive);
}

/// Damage that only a rebuild could repair, if there were a base image.
#[test]
fn damaged_image_returns_without_its_base_image() {
    archived();
    let image = LND.unit_image();
    // Tests that push it leave that name, and a damaged image with another name is not removed.
    podman(&["untag", &image, &format!("127.0.0.1:5000/lfg2025/{}:latest", LND.base)]);
    let _base = without_base();
    systemctl(&["stop", &LND.service()]).good();
    let format = "--format={{.GraphDriver.Data.UpperDir}}";
    let layer = podman(&["image", "inspect", format, &image]).good();
    let directory = layer.trim().rsplit_once('/').unwrap().0.to_owned();
    podman(&["unshare", "rm", "-r", &directory]).good();
    let _daemon = Daemon::resyncing(2);
    LND.comes_up(90);
    assert_eq!(LND.running_image(), image);
}
