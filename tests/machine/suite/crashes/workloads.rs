//! The workloads of the crash tests: setup, command, and completion check.
//!
//! The companions are from a separate catalog and do almost nothing, so that a start is fast.

use std::fs;

use crate::guest::{archy, podman, property, root, systemctl, until, write};
use crate::node::{CATALOG, STATE, UNITS, companion, rendered_file};

use super::container_exists;

/// The companion that no workload changes.
pub(super) const BYSTANDER: &str = "bystander.service";
/// The parent of the configuration directory of each companion.
pub(super) const RENDERED: &str = "/home/archy/rendered";
const TEMPLATE: &str = "/home/archy/sources/web.conf.j2";
const CONTEXT: &str = "/home/archy/sources/built";

/// A workload.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// Resets the host to its initial state.
    pub(super) prepare: fn(),
    /// The command of the workload.
    pub(super) command: &'static [&'static str],
    /// Whether it is complete.
    pub(super) is_done: fn() -> bool,
    /// The command that repairs the host after a crash; one converge.
    pub(super) mend: &'static [&'static str],
    /// Whether its plans include crashes while the leader publishes leadership and status.
    pub(super) publishes: bool,
}

const fn workload(
    name: &'static str,
    prepare: fn(),
    command: &'static [&'static str],
    is_done: fn() -> bool,
) -> Workload {
    Workload { name, prepare, command, is_done, mend: &["reconcile"], publishes: false }
}

/// All workloads.
pub(super) fn all() -> Vec<Workload> {
    let pass: &[&str] = &["reconcile"];
    let both: &[&str] = &["install", "plain", "bystander"];
    let first = workload("the very first installation", forget_all, both, plain_is_up);
    vec![
        // Before the first record, a running bystander is not desired, and reported.
        Workload { mend: both, publishes: true, ..first },
        workload("install one", remove_plain, &["install", "plain"], plain_is_up),
        workload("install with configuration", remove_hooked, &["install", "hooked"], hooked_is_up),
        workload("install with a build", remove_built, &["install", "built"], built_is_up),
        workload(
            "install three",
            remove_three,
            &["install", "plain", "hooked", "built"],
            all_are_up,
        ),
        workload("remove one", install_hooked, &["remove", "hooked"], || !there("hooked")),
        workload(
            "remove three",
            install_three,
            &["remove", "plain", "hooked", "built"],
            none_is_there,
        ),
        workload("remove a container without its unit", lose_unit, &["remove", "plain"], || {
            !there("plain")
        }),
        workload("another specification", respecify, pass, is_respecified),
        workload("another configuration", rotate, pass, is_rotated),
        workload("another context", rebuild, pass, is_rebuilt),
        workload("a deleted unit", delete_unit, pass, plain_is_up),
        workload("an edited unit, loaded", edit_unit, pass, || plain_is_up() && !is_edited()),
        workload("a failed service", fail_service, pass, plain_is_up),
        workload("a lost configuration", lose_configuration, pass, hooked_is_up),
        workload("an edited configuration", edit_configuration, pass, is_rotated),
        workload("a lost link", lose_link, pass, hooked_is_up),
    ]
}

/// A node with the catalog of these companions and only the bystander installed.
pub(super) fn stage() {
    crate::node::clean();
    for name in ["plain", "hooked", "built", "bystander"] {
        let _none = systemctl(&["stop", &service(name)]);
        let _none = fs::remove_file(unit(name));
        podman(&["rm", "--force", "--ignore", name]).good();
    }
    systemctl(&["daemon-reload"]).good();
    root(&["rm", "-rf", RENDERED, "/home/archy/sources"]).good();
    archy(&["mkdir", "-m", "0700", RENDERED]).good();
    write(TEMPLATE, "colour {{ colour }};\n");
    let dockerfile = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY page /page\n";
    write(&format!("{CONTEXT}/Dockerfile"), dockerfile);
    write(&format!("{CONTEXT}/page"), "1\n");
    write(CATALOG, &catalog(1, 1));
    companion(&["install", "bystander"]).exits(0);
}

/// Removes all objects of [`stage`] and the workload.
pub(super) fn leave() {
    remove(&["plain", "hooked", "built", "bystander"]);
    podman(&["image", "rm", "--force", "--ignore", "localhost/built:latest"]).good();
    root(&["rm", "-rf", RENDERED, "/home/archy/sources"]).good();
}

fn service(name: &str) -> String {
    format!("{name}.service")
}

fn unit(name: &str) -> String {
    format!("{UNITS}/{name}.container")
}

/// `specification` is an environment variable of `plain`, `colour` a value in the template of `hooked`.
fn catalog(specification: u32, colour: u32) -> String {
    let mut text = String::from(
        "[node]\nbuild_arguments = { BASE_IMAGE = \"localhost/companion-base:latest\" }\n",
    );
    let container = |environment: u32| {
        format!(
            "[companion.container]\nnetwork = \"host\"\nrestart_delay = 10\n\
             environment = {{ SPECIFICATION = \"{environment}\" }}\n\
             command = [\"sh\", \"-c\", \"trap 'exit 0' TERM QUIT; sleep 100000 & wait\"]\n"
        )
    };
    let present = "pull = \"localhost/companion-base:latest\"";
    let built = format!("base = \"built\"\ncontext = \"{CONTEXT}\"");
    for (name, image, environment) in [
        ("plain", present, specification),
        ("hooked", present, 1),
        ("built", built.as_str(), 1),
        ("bystander", present, 1),
    ] {
        text.push_str(&format!(
            "\n[[companion]]\nname = \"{name}\"\napps = [\"{name}\"]\n[companion.image]\n{image}\n"
        ));
        text.push_str(&container(environment));
        if name == "hooked" {
            text.push_str(&format!(
                "[[companion.container.mounts]]\nsource = \"{RENDERED}/hooked/web.conf\"\n\
                 target = \"/etc/web.conf\"\nread_only = true\n\
                 [companion.hook]\noutput = \"{RENDERED}/hooked/web.conf\"\n\
                 [companion.hook.program.template]\ntemplate = \"{TEMPLATE}\"\n\
                 [companion.hook.program.template.values]\ncolour = {{ text = \"{colour}\" }}\n"
            ));
        }
    }
    text
}

fn there(name: &str) -> bool {
    fs::exists(unit(name)).unwrap()
        || property(&service(name), "LoadState") != "not-found"
        || container_exists(name)
}

fn up(name: &str) -> bool {
    property(&service(name), "SubState") == "running"
}

fn plain_is_up() -> bool {
    fs::exists(unit("plain")).unwrap() && up("plain")
}

/// Together with the file behind the link.
fn hooked_is_up() -> bool {
    let unit = fs::read_to_string(unit("hooked")).unwrap_or_default();
    let mounted = |file: String| unit.contains(&format!("Volume={file}:"));
    rendered_file(&output()).is_some_and(mounted) && up("hooked")
}

/// The output of the hook of `hooked`.
fn output() -> String {
    format!("{RENDERED}/hooked/web.conf")
}

fn built_is_up() -> bool {
    up("built")
}

fn all_are_up() -> bool {
    plain_is_up() && hooked_is_up() && built_is_up()
}

fn none_is_there() -> bool {
    !["plain", "hooked", "built"].into_iter().any(there)
}

fn install(names: &[&str]) {
    companion(&[&["install"], names].concat()).exits(0);
}

fn remove(names: &[&str]) {
    companion(&[&["remove"], names].concat()).exits(0);
}

/// No record exists; the bystander keeps running, and the workload adopts it.
fn forget_all() {
    remove_plain();
    root(&["rm", "-rf", STATE]).good();
}

fn remove_plain() {
    if there("plain") {
        remove(&["plain"]);
    }
}

fn remove_hooked() {
    if there("hooked") {
        remove(&["hooked"]);
    }
}

fn install_hooked() {
    if !there("hooked") {
        install(&["hooked"]);
    }
}

/// The image is removed too, so that it is built.
fn remove_built() {
    if there("built") {
        remove(&["built"]);
    }
    podman(&["image", "rm", "--force", "--ignore", "localhost/built:latest"]).good();
}

fn remove_three() {
    if !none_is_there() {
        remove(&["plain", "hooked", "built"]);
    }
    podman(&["image", "rm", "--force", "--ignore", "localhost/built:latest"]).good();
}

fn install_three() {
    if !all_are_up() {
        install(&["plain", "hooked", "built"]);
    }
}

/// A managed container without its unit, as an interrupted external removal leaves.
fn lose_unit() {
    remove_plain();
    let image = "localhost/companion-base:latest";
    let named = ["--name=plain", "--label=companion.name=plain", "--stop-timeout=0", image];
    podman(&[&["run", "--detach", "--replace"], &named[..], &["sleep", "100000"]].concat()).good();
}

fn install_plain() {
    if !plain_is_up() {
        install(&["plain"]);
    }
}

/// The catalog's other version: inverts `now`.
fn turn(now: &str) -> u32 {
    if now.trim() == "1" { 2 } else { 1 }
}

fn specification() -> String {
    let text = fs::read_to_string(unit("plain")).unwrap_or_default();
    let value = text.split("SPECIFICATION=").nth(1).unwrap_or_default();
    value.chars().take_while(char::is_ascii_digit).collect()
}

fn wanted(key: &str, end: char) -> String {
    let text = fs::read_to_string(CATALOG).unwrap();
    text.split(key).nth(1).unwrap().split(end).next().unwrap().to_owned()
}

fn wanted_specification() -> String {
    wanted("SPECIFICATION = \"", '"')
}

fn wanted_colour() -> String {
    wanted("text = \"", '"')
}

fn respecify() {
    install_plain();
    let colour = wanted_colour().parse().unwrap();
    write(CATALOG, &catalog(turn(&specification()), colour));
}

fn is_respecified() -> bool {
    specification() == wanted_specification() && plain_is_up()
}

fn rendered() -> String {
    fs::read_to_string(output()).unwrap_or_default()
}

/// The configuration that the container was started with.
fn mounted() -> String {
    podman(&["exec", "--user=0", "hooked", "cat", "/etc/web.conf"]).stdout
}

fn rotate() {
    install_hooked();
    let now = rendered().trim_start_matches("colour ").trim_end_matches(";\n").to_owned();
    write(CATALOG, &catalog(wanted_specification().parse().unwrap(), turn(&now)));
}

fn is_rotated() -> bool {
    let wanted = format!("colour {};\n", wanted_colour());
    hooked_is_up() && rendered() == wanted && mounted() == wanted
}

fn page() -> String {
    podman(&["exec", "built", "cat", "/page"]).stdout.trim().to_owned()
}

fn rebuild() {
    if !built_is_up() {
        install(&["built"]);
    }
    write(&format!("{CONTEXT}/page"), &format!("{}\n", turn(&page())));
}

fn is_rebuilt() -> bool {
    built_is_up() && page() == fs::read_to_string(format!("{CONTEXT}/page")).unwrap().trim()
}

fn delete_unit() {
    install_plain();
    fs::remove_file(unit("plain")).unwrap();
}

fn is_edited() -> bool {
    fs::read_to_string(unit("plain")).unwrap().contains("RestartSec=77")
        || property("plain.service", "RestartUSec") == "1min 17s"
}

fn edit_unit() {
    install_plain();
    archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=77/", &unit("plain")]).good();
    systemctl(&["daemon-reload"]).good();
}

fn fail_service() {
    install_plain();
    podman(&["pause", "plain"]).good();
    // A paused container is killed by its stop, which fails the service.
    systemctl(&["stop", "plain.service"]).good();
    until("it has failed", 30, || {
        (property("plain.service", "ActiveState") == "failed").then_some(())
    });
}

fn lose_configuration() {
    install_hooked();
    fs::remove_file(rendered_file(&output()).unwrap()).unwrap();
}

fn edit_configuration() {
    install_hooked();
    archy(&["sed", "-i", "1i# edited", &rendered_file(&output()).unwrap()]).good();
}

fn lose_link() {
    install_hooked();
    fs::remove_file(output()).unwrap();
}
