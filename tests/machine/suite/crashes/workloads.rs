//! The workloads of the crash tests: setup, command, and completion check.
//!
//! The companions are from a separate catalog and do almost nothing, so that a start is fast.

use std::fs;

use crate::guest::{archy, podman, property, root, systemctl, until, write};
use crate::node::{CATALOG, STATE, UNITS, companion, rendered_file};

/// The companion that no workload changes.
pub(super) const BYSTANDER: &str = "bystander.service";
/// The parent of the configuration directory of each companion.
pub(super) const RENDERED: &str = "/home/archy/rendered";
const TEMPLATE: &str = "/home/archy/sources/web.conf.j2";
const CONTEXT: &str = "/home/archy/sources/built";

/// The companions that the workloads change.
const THREE: [&str; 3] = ["plain", "hooked", "built"];

/// A workload.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// The companions that are absent before it, and those that are installed.
    without: &'static [&'static str],
    with: &'static [&'static str],
    /// What happens to them.
    fault: fn(),
    /// The command of the workload.
    pub(super) command: &'static [&'static str],
    /// Whether it is complete.
    pub(super) is_done: fn() -> bool,
    /// The command that repairs the host after a crash; one converge.
    pub(super) repair: &'static [&'static str],
    /// Whether its plans include crashes while the leader publishes leadership and status.
    pub(super) publishes: bool,
}

impl Workload {
    /// Resets the host to its initial state.
    pub(super) fn prepare(&self) {
        for name in self.without.iter().filter(|name| there(name)) {
            remove(&[name]);
        }
        // So that it is built.
        if self.without.contains(&"built") {
            podman(&["image", "rm", "--force", "--ignore", "localhost/built:latest"]).good();
        }
        for name in self.with.iter().filter(|name| !up(name)) {
            companion(&["install", name]).exits(0);
        }
        (self.fault)();
    }
}

const fn workload(
    name: &'static str,
    without: &'static [&'static str],
    with: &'static [&'static str],
    fault: fn(),
    command: &'static [&'static str],
    is_done: fn() -> bool,
) -> Workload {
    Workload { name, without, with, fault, command, is_done, repair: RECONCILE, publishes: false }
}

const RECONCILE: &[&str] = &["reconcile"];

/// All workloads.
pub(super) fn all() -> Vec<Workload> {
    let both: &[&str] = &["install", "plain", "bystander"];
    let all_up = || plain_is_up() && hooked_is_up() && up("built");
    let (plain, hooked, built): (&[_], &[_], &[_]) = (&["plain"], &["hooked"], &["built"]);
    let install =
        |name, without, command, is_done| workload(name, without, &[], || {}, command, is_done);
    let remove = |name, with, command, is_done| workload(name, &[], with, || {}, command, is_done);
    let repair = |name, with, fault, is_done| workload(name, &[], with, fault, RECONCILE, is_done);
    let first = workload("the very first installation", plain, &[], forget_all, both, plain_is_up);
    vec![
        // Before the first record, a running bystander is not desired, and reported.
        Workload { repair: both, publishes: true, ..first },
        install("install one", plain, &["install", "plain"], plain_is_up),
        install("install with configuration", hooked, &["install", "hooked"], hooked_is_up),
        install("install with a build", built, &["install", "built"], || up("built")),
        install("install three", &THREE, &["install", "plain", "hooked", "built"], all_up),
        remove("remove one", hooked, &["remove", "hooked"], || !there("hooked")),
        remove("remove three", &THREE, &["remove", "plain", "hooked", "built"], || {
            !THREE.into_iter().any(there)
        }),
        workload(
            "remove a container without its unit",
            plain,
            &[],
            lose_unit,
            &["remove", "plain"],
            || !there("plain"),
        ),
        repair("another specification", plain, respecify, is_respecified),
        repair("another configuration", hooked, rotate, is_rotated),
        repair("another context", built, rebuild, is_rebuilt),
        repair("a deleted unit", plain, || fs::remove_file(unit("plain")).unwrap(), plain_is_up),
        repair("an edited unit, loaded", plain, edit_unit, || plain_is_up() && !is_edited()),
        repair("a failed service", plain, fail_service, plain_is_up),
        repair(
            "a lost configuration",
            hooked,
            || fs::remove_file(rendered_file(&output()).unwrap()).unwrap(),
            hooked_is_up,
        ),
        repair("an edited configuration", hooked, edit_configuration, is_rotated),
        repair("a lost link", hooked, || fs::remove_file(output()).unwrap(), hooked_is_up),
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
        || podman(&["container", "exists", name]).status == Some(0)
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

fn remove(names: &[&str]) {
    companion(&[&["remove"], names].concat()).exits(0);
}

/// No record is left; the bystander keeps running, and the workload adopts it.
fn forget_all() {
    root(&["rm", "-rf", STATE]).good();
}

/// A managed container without its unit, as an interrupted external removal leaves.
fn lose_unit() {
    let image = "localhost/companion-base:latest";
    let named = ["--name=plain", "--label=companion.name=plain", "--stop-timeout=0", image];
    podman(&[&["run", "--detach", "--replace"], &named[..], &["sleep", "100000"]].concat()).good();
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
    write(&format!("{CONTEXT}/page"), &format!("{}\n", turn(&page())));
}

fn is_rebuilt() -> bool {
    up("built") && page() == fs::read_to_string(format!("{CONTEXT}/page")).unwrap().trim()
}

fn is_edited() -> bool {
    fs::read_to_string(unit("plain")).unwrap().contains("RestartSec=77")
        || property("plain.service", "RestartUSec") == "1min 17s"
}

fn edit_unit() {
    archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=77/", &unit("plain")]).good();
    systemctl(&["daemon-reload"]).good();
}

fn fail_service() {
    podman(&["pause", "plain"]).good();
    // A paused container is killed by its stop, which fails the service.
    systemctl(&["stop", "plain.service"]).good();
    until("it has failed", 30, || {
        (property("plain.service", "ActiveState") == "failed").then_some(())
    });
}

fn edit_configuration() {
    archy(&["sed", "-i", "1i# edited", &rendered_file(&output()).unwrap()]).good();
}
