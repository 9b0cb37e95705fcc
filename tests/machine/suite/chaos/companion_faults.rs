//! Faults of one companion. Each returns whether it had a target; a fault without one, because of an earlier fault,
//! does not count.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::faults::Aim;
use super::site::{COLOUR, CONTEXT, FOREIGN_FILES, HOOKED_CONFIG, shown};
use crate::guest::{Ran, archy, podman, root, systemctl, until, write};
use crate::node::{
    BITCOIN, CONFIG, Companion, PASSWORD, companion, image_id, is_recorded, rendered_file,
    rendered_files,
};

const SHADOWS: &str = "/run/user/1000/containers/systemd";

fn well(ran: &Ran) -> bool {
    ran.status == Some(0)
}

fn app(one: Companion) -> &'static str {
    match one.name {
        "archy-bitcoin-ui" => "bitcoin-knots",
        "archy-lnd-ui" => "lnd",
        "archy-electrs-ui" => "electrumx",
        other => other,
    }
}

fn is_active(one: Companion) -> bool {
    shown(&one.service(), "ActiveState") == "active"
}

pub(super) fn delete_unit(aim: Aim) -> bool {
    fs::remove_file(aim.one.unit()).is_ok()
}

pub(super) fn edit_unit(aim: Aim) -> bool {
    let edit = format!("s/^RestartSec=.*/RestartSec={}/", 70 + aim.number % 1000);
    well(&archy(&["sed", "-i", &edit, &aim.one.unit()]))
}

pub(super) fn edit_and_load_unit(aim: Aim) -> bool {
    edit_unit(aim) && well(&systemctl(&["daemon-reload"]))
}

pub(super) fn empty_unit(aim: Aim) -> bool {
    well(&archy(&["truncate", "--no-create", "--size=0", &aim.one.unit()]))
}

pub(super) fn open_unit(aim: Aim) -> bool {
    well(&archy(&["chmod", "0666", &aim.one.unit()]))
}

pub(super) fn age_unit(aim: Aim) -> bool {
    well(&archy(&["touch", "--no-create", "--date=2038-01-01", &aim.one.unit()]))
        && aim.one.unit_text().contains("[X-Companion]")
}

pub(super) fn replace_unit(aim: Aim) -> bool {
    let name = aim.one.name;
    let text = format!("[Container]\nImage=localhost/unmanaged:latest\nContainerName={name}\n");
    write(&aim.one.unit(), &text);
    true
}

pub(super) fn take_unmanaged_unit(aim: Aim) {
    if !aim.one.unit_text().contains("[X-Companion]") {
        let _gone = fs::remove_file(aim.one.unit());
    }
}

/// The runtime directory takes precedence over the user's directory (podman-systemd.unit(5)).
pub(super) fn shadow_unit(aim: Aim) -> bool {
    let text = "[Container]\nImage=localhost/unmanaged:latest\n";
    write(&format!("{SHADOWS}/{}.container", aim.one.name), text);
    well(&systemctl(&["daemon-reload"]))
}

pub(super) fn unshadow_unit(aim: Aim) {
    let _gone = fs::remove_file(format!("{SHADOWS}/{}.container", aim.one.name));
}

pub(super) fn stop(aim: Aim) -> bool {
    well(&systemctl(&["stop", &aim.one.service()]))
}

pub(super) fn kill_service(aim: Aim) -> bool {
    well(&systemctl(&["kill", "--signal=KILL", &aim.one.service()]))
}

pub(super) fn restart(aim: Aim) -> bool {
    well(&systemctl(&["restart", &aim.one.service()]))
}

/// A paused container is killed by its stop, which fails the service.
pub(super) fn fail(aim: Aim) -> bool {
    pause_container(aim) && systemctl(&["stop", &aim.one.service()]).status.is_some()
}

pub(super) fn mask(aim: Aim) -> bool {
    well(&systemctl(&["mask", "--now", &aim.one.service()]))
}

pub(super) fn unmask(aim: Aim) {
    let _either_way = systemctl(&["unmask", &aim.one.service()]);
}

pub(super) fn kill_container(aim: Aim) -> bool {
    well(&podman(&["kill", "--signal=KILL", aim.one.name]))
}

pub(super) fn remove_container(aim: Aim) -> bool {
    is_active(aim.one) && well(&podman(&["rm", "--force", aim.one.name]))
}

pub(super) fn pause_container(aim: Aim) -> bool {
    well(&podman(&["pause", aim.one.name]))
}

pub(super) fn stop_container(aim: Aim) -> bool {
    is_active(aim.one) && well(&podman(&["stop", aim.one.name]))
}

pub(super) fn kill_conmon(aim: Aim) -> bool {
    let pid = shown(&aim.one.service(), "MainPID");
    !matches!(pid.as_str(), "" | "0") && well(&root(&["kill", "-KILL", &pid]))
}

/// The occupied ports, by companion.
static HELD: Mutex<BTreeMap<u16, TcpListener>> = Mutex::new(BTreeMap::new());

pub(super) fn take_port(aim: Aim) -> bool {
    if !stop(aim) {
        return false;
    }
    // If the companion recovers before, the port is not free.
    if let Ok(listener) = TcpListener::bind(("0.0.0.0", aim.one.port)) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(aim.one.port, listener);
    }
    true
}

pub(super) fn free_port(aim: Aim) {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&aim.one.port);
}

pub(super) fn reinstall(aim: Aim) -> bool {
    let removed = well(&companion(&["remove", app(aim.one)]));
    // The recorded removal would persist: the reinstall is retried until it is accepted. The daemon completes what
    // the command does not.
    until("it is recorded as installed", 60, || {
        let _either_way = companion(&["install", app(aim.one)]);
        is_recorded(app(aim.one)).then_some(())
    });
    removed
}

pub(super) fn install_again(aim: Aim) -> bool {
    well(&companion(&["install", app(aim.one)]))
}

/// With its container, which cannot exist without it.
pub(super) fn remove_image(aim: Aim) -> bool {
    is_active(aim.one) && well(&podman(&["image", "rm", "--force", &aim.one.tag()]))
}

pub(super) fn untag_image(aim: Aim) -> bool {
    well(&podman(&["untag", &aim.one.tag(), &aim.one.tag()]))
}

/// As a pull or an external build would move it.
pub(super) fn move_tag(aim: Aim) -> bool {
    well(&podman(&["tag", "localhost/unmanaged:latest", &aim.one.tag()]))
}

pub(super) fn move_tag_and_kill_container(aim: Aim) -> bool {
    is_active(aim.one) && move_tag(aim) && kill_container(aim)
}

/// Whether the tag points to the image of the unit, and the container was started from that.
pub(super) fn has_its_image(one: Companion) -> bool {
    let image = one.unit_image();
    image_id(&one.tag()).as_ref() == Some(&image)
        && podman(&["container", "inspect", "--format", "{{.Image}}", one.name]).stdout.trim()
            == image
}

pub(super) fn change_context(aim: Aim) -> bool {
    write(&format!("{CONTEXT}/page"), &format!("page-{}\n", aim.number));
    true
}

pub(super) fn break_build(aim: Aim) -> bool {
    well(&archy(&[
        "sed",
        "-i",
        "s/^COPY page /COPY no-such-page /",
        &format!("{CONTEXT}/Dockerfile"),
    ])) && well(&podman(&["image", "rm", "--force", &aim.one.tag()]))
}

pub(super) fn fix_build(_aim: Aim) {
    let file = format!("{CONTEXT}/Dockerfile");
    archy(&["sed", "-i", "s/^COPY no-such-page /COPY page /", &file]).good();
}

/// The prefix of each password of the run, which no log, unit, command line or environment may contain. Its length is
/// a multiple of three, so that its base64 form is independent of the rest.
const CANARY: &str = "canary-of-the-chaos-run!";

/// The two forms to search for.
pub(super) fn forms_of_the_secret() -> [String; 2] {
    [CANARY.to_owned(), STANDARD.encode(format!("archipelago:{CANARY}"))]
}

pub(super) fn rotate_password(aim: Aim) -> bool {
    rotate_password_to(aim.number);
    true
}

pub(super) fn rotate_password_to(number: u64) {
    crate::node::rotate_password(&format!("{CANARY}-{number}"));
}

pub(super) fn hide_password(_aim: Aim) -> bool {
    fs::rename(PASSWORD, format!("{PASSWORD}.away")).is_ok()
}

pub(super) fn show_password(_aim: Aim) {
    fs::rename(format!("{PASSWORD}.away"), PASSWORD).unwrap();
}

pub(super) fn change_colour(aim: Aim) -> bool {
    write(COLOUR, &format!("colour-{}\n", aim.number));
    true
}

/// The path of the link to its configuration.
fn output(one: Companion) -> &'static str {
    if one == BITCOIN { CONFIG } else { HOOKED_CONFIG }
}

/// Runs a command on its rendered file, if there is one.
fn to_config(aim: Aim, command: &[&str]) -> bool {
    let file = rendered_file(output(aim.one));
    file.is_some_and(|file| well(&archy(&[command, &[&file]].concat())))
}

pub(super) fn lose_config(aim: Aim) -> bool {
    to_config(aim, &["rm"])
}

pub(super) fn edit_config(aim: Aim) -> bool {
    to_config(aim, &["sed", "-i", "1i# edited"])
}

/// A service that starts meanwhile uses the edited file, and reports the current revision.
pub(super) fn edit_config_and_kill_container(aim: Aim) -> bool {
    is_active(aim.one) && edit_config(aim) && kill_container(aim)
}

pub(super) fn open_config(aim: Aim) -> bool {
    to_config(aim, &["chmod", "0644"])
}

pub(super) fn let_others_write_config(aim: Aim) -> bool {
    to_config(aim, &["chmod", "0666"])
}

pub(super) fn lose_link(aim: Aim) -> bool {
    well(&archy(&["rm", output(aim.one)]))
}

/// To a file of another owner, which must not be written through the link.
pub(super) fn redirect_link(aim: Aim) -> bool {
    let [(notes, _), ..] = FOREIGN_FILES;
    well(&archy(&["ln", "-sfn", notes, output(aim.one)]))
}

/// `sed -i` replaces the link by a regular file.
pub(super) fn replace_link(aim: Aim) -> bool {
    well(&archy(&["sed", "-i", "1i# edited", output(aim.one)]))
}

pub(super) fn block_link(aim: Aim) -> bool {
    lose_link(aim) && well(&archy(&["mkdir", output(aim.one)]))
}

pub(super) fn unblock_link(aim: Aim) {
    let _gone = fs::remove_dir(output(aim.one));
}

pub(super) fn block_config(aim: Aim) -> bool {
    let file = rendered_file(output(aim.one));
    let script = "rm \"$1\" && mkdir \"$1\"";
    file.is_some_and(|file| well(&archy(&["sh", "-c", script, "sh", &file])))
}

pub(super) fn unblock_config(aim: Aim) {
    for path in rendered_files(output(aim.one)) {
        let _gone = fs::remove_dir(path);
    }
}
