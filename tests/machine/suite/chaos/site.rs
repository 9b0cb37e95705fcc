//! The node of the chaos run: the three companions, two more from a separate catalog, unmanaged objects, and the
//! health check of each companion.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::guest::{archy, podman, root, systemctl, write};
use crate::http;
use crate::node::{
    APPS, BITCOIN, CONFIG, Companion, ELECTRS, LND, ask_the_node, companion, extend_catalog,
    rendered_file, rendered_files, rotate_password,
};

/// One with configuration from a template that inserts the contents of a file.
pub(super) const HOOKED: Companion =
    Companion { name: "chaos-hooked", port: 18091, base: "chaos-hooked" };
/// One with a separate build context.
pub(super) const BUILT: Companion =
    Companion { name: "chaos-built", port: 18092, base: "chaos-built" };
pub(super) const EVERY: [Companion; 5] = [BITCOIN, LND, ELECTRS, HOOKED, BUILT];

/// The directory of this run's sources and rendered configuration.
const PLACE: &str = "/home/archy/chaos";
pub(super) const COLOUR: &str = "/home/archy/chaos/colour";
pub(super) const CONTEXT: &str = "/home/archy/chaos/context";
const HOOKED_CONFIG: &str = "/home/archy/chaos/rendered/web.conf";

/// Unmanaged files, in the unit directory and next to it.
const FOREIGN_FILES: [(&str, &str); 3] = [
    ("/home/archy/.config/containers/systemd/notes.txt", "not a unit\n"),
    (
        "/home/archy/.config/containers/systemd/neighbour.container",
        "[Container]\nImage=localhost/unmanaged:latest\n",
    ),
    (
        "/home/archy/.config/systemd/user/unmanaged.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=default.target\n",
    ),
];
const UNMANAGED: &str = "unmanaged.service";

/// A property of a unit of archy's; empty while the manager does not answer, which is no failure here.
pub(super) fn shown(unit: &str, property: &str) -> String {
    let shown = systemctl(&["show", "--value", "--property", property, unit]);
    shown.stdout.trim_end().to_owned()
}

/// The daemon's process, if it runs and the manager answers.
pub(super) fn daemon() -> Option<u32> {
    let service = "companion.service";
    let up = shown(service, "ActiveState") == "active";
    shown(service, "MainPID").parse().ok().filter(|pid| up && *pid != 0)
}

/// One observation of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) invocation: String,
    properties: BTreeMap<String, String>,
}

impl Seen {
    fn property(&self, name: &str) -> &str {
        self.properties.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.property("MainPID").parse().ok().filter(|pid| *pid != 0)
    }
}

/// The prefix of each password of the run, which no log, unit, command line or environment may contain. Its length is
/// a multiple of three, so that its base64 form is independent of the rest.
const CANARY: &str = "canary-of-the-chaos-run!";

/// The two forms to search for.
pub(super) fn forms_of_the_secret() -> [String; 2] {
    [CANARY.to_owned(), STANDARD.encode(format!("archipelago:{CANARY}"))]
}

pub(super) fn app(one: Companion) -> &'static str {
    [APPS[0], APPS[1], APPS[2], HOOKED.name, BUILT.name]
        [EVERY.iter().position(|it| *it == one).unwrap()]
}

/// The path of the link to its configuration; empty if it has none.
pub(super) fn output(one: Companion) -> &'static str {
    match one {
        BITCOIN => CONFIG,
        HOOKED => HOOKED_CONFIG,
        _ => "",
    }
}

/// The expected text and mode of each unit, without its revision and intended changes.
#[derive(Debug)]
pub(super) struct Reference(BTreeMap<&'static str, (String, u32)>);

/// The revision label in a unit's text.
fn revision(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("Revision="))
}

/// The text without the revision, the name of the rendered file, and the id of an image whose context changes here.
/// Every other image keeps its id: the same context gives the same image.
fn without_inputs(one: Companion, text: &str) -> String {
    let Some(revision) = revision(text) else { return text.to_owned() };
    let mut plain = text.replace(revision, "REVISION");
    if let Some(config) = revision.split('-').nth(2) {
        plain = plain.replace(&format!(".{config}:"), ".CONFIG:");
    }
    if one == BUILT {
        let masked =
            |line: &str| if line.starts_with("Image=") { "Image=IMAGE" } else { line }.to_owned();
        plain = plain.lines().map(masked).collect::<Vec<_>>().join("\n");
    }
    plain
}

fn mode(path: &str) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.mode() & 0o7777)
}

impl Reference {
    pub(super) fn taken_now() -> Self {
        let unit =
            |one: Companion| (without_inputs(one, &one.unit_text()), mode(&one.unit()).unwrap());
        Self(EVERY.into_iter().map(|one| (one.name, unit(one))).collect())
    }
}

/// Observes all services in one call.
pub(super) fn look() -> BTreeMap<&'static str, Seen> {
    let properties =
        "--property=Id,ActiveState,SubState,InvocationID,MainPID,Environment,SourcePath";
    let services = EVERY.map(Companion::service);
    let mut words = vec!["show", properties];
    words.extend(services.iter().map(String::as_str));
    let shown = systemctl(&words);
    let mut seen = BTreeMap::new();
    for block in shown.stdout.split("\n\n") {
        let properties: BTreeMap<_, _> = block
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let one = EVERY.into_iter().find(|one| properties.get("Id") == Some(&one.service()));
        if let Some(one) = one {
            let invocation = properties.get("InvocationID").cloned().unwrap_or_default();
            seen.insert(one.name, Seen { invocation, properties });
        }
    }
    seen
}

/// Why a companion is unhealthy, if it is: each stage has the revision of the file, the page answers, and the page
/// shows its current sources.
pub(super) fn complaint(
    one: Companion,
    seen: Option<&Seen>,
    reference: &Reference,
) -> Option<String> {
    let text = one.unit_text();
    let (wanted, wanted_mode) = reference.0.get(one.name)?;
    if without_inputs(one, &text) != *wanted || mode(&one.unit()) != Some(*wanted_mode) {
        return Some("its unit file".to_owned());
    }
    let Some(revision) = revision(&text) else { return Some("its mark".to_owned()) };
    let Some(seen) = seen else { return Some("its service is not shown".to_owned()) };
    if seen.property("SubState") != "running" {
        return Some(format!("its service is {}", seen.property("SubState")));
    }
    if !seen.property("Environment").contains(revision) || seen.property("SourcePath") != one.unit()
    {
        return Some("its loaded unit".to_owned());
    }
    let environment = seen.pid().and_then(|pid| fs::read(format!("/proc/{pid}/environ")).ok());
    let environment = String::from_utf8_lossy(&environment.unwrap_or_default()).into_owned();
    if !environment.contains(revision) {
        return Some("its process".to_owned());
    }
    match http::get(one.port, "/", &[]) {
        Ok(page) if page.status == 200 => contents_complaint(one, &text, &page.text),
        Ok(page) => Some(format!("its page says {}", page.status)),
        Err(_) => Some("its page does not answer".to_owned()),
    }
}

fn contents_complaint(one: Companion, unit: &str, page: &str) -> Option<String> {
    let shows = |file: &str| {
        let wanted = fs::read_to_string(file).unwrap_or_default();
        !wanted.trim().is_empty() && page.contains(wanted.trim())
    };
    match one {
        BITCOIN => config_complaint(CONFIG, unit)
            .or_else(|| (ask_the_node() != Some(200)).then(|| "its credentials".to_owned())),
        HOOKED => config_complaint(HOOKED_CONFIG, unit)
            .or_else(|| (!shows(COLOUR)).then(|| "its configuration's contents".to_owned())),
        BUILT => (!shows(&format!("{CONTEXT}/page"))).then(|| "its image's contents".to_owned()),
        _ => None,
    }
}

/// The link leads to the valid file that the unit mounts, and no earlier file is left.
fn config_complaint(output: &str, unit: &str) -> Option<String> {
    let Some(file) = rendered_file(output) else {
        return Some("its configuration's link".to_owned());
    };
    let edited = fs::read_to_string(&file).is_ok_and(|text| text.starts_with("# edited"));
    let complaint = if edited || mode(&file) != Some(0o600) {
        "its configuration"
    } else if !unit.contains(&format!("Volume={file}:")) {
        "the configuration that its unit mounts"
    } else if rendered_files(output) != [file].into() {
        "its replaced configuration"
    } else {
        return None;
    };
    Some(complaint.to_owned())
}

/// All unmanaged objects.
#[derive(Debug, Clone)]
pub(super) struct Unmanaged {
    files: Vec<(String, i64, u32)>,
    /// The run of the service, which a restart of the whole manager changes.
    pub(super) run: String,
    /// Empty while podman is unavailable.
    containers: Option<String>,
    images: Option<String>,
}

impl Unmanaged {
    pub(super) fn seen_now() -> Self {
        let file = |(path, _): (&str, &str)| {
            let found = fs::metadata(path).ok();
            let times = found.map_or((0, 0), |found| (found.mtime_nsec(), found.mode()));
            (fs::read_to_string(path).unwrap_or_default(), times.0, times.1)
        };
        let ids = |arguments: &[&str]| {
            let ran = podman(arguments);
            (ran.status == Some(0)).then_some(ran.stdout)
        };
        Self {
            files: FOREIGN_FILES.into_iter().map(file).collect(),
            run: shown(UNMANAGED, "InvocationID"),
            containers: ids(&["ps", "--all", "--quiet", "--filter", "name=^unmanaged$"]),
            images: ids(&["images", "--quiet", "localhost/unmanaged"]),
        }
    }

    /// Whether these are as `before`, according to podman and the manager.
    pub(super) fn are_as(&self, before: &Self) -> bool {
        let same = |now: &Option<String>, then: &Option<String>| now.is_none() || now == then;
        self.files == before.files
            && (self.run.is_empty() || self.run == before.run)
            && same(&self.containers, &before.containers)
            && same(&self.images, &before.images)
    }
}

/// Sets up the node: five companions, their sources, unmanaged objects, and no daemon yet.
pub(super) fn settle() {
    crate::node::installed();
    rotate_password(&format!("{CANARY}-0"));
    root(&["rm", "-rf", PLACE]).good();
    archy(&["mkdir", "-m", "0700", PLACE]).good();
    write(COLOUR, "colour-0\n");
    let template = "server { listen 127.0.0.1:18091; location / { return 200 {{ colour | nginx_quote }}; } }\n";
    write(&format!("{PLACE}/web.conf.j2"), template);
    let server = "server { listen 127.0.0.1:18092; root /page; }\n";
    write(&format!("{CONTEXT}/default.conf"), server);
    write(&format!("{CONTEXT}/page"), "page-0\n");
    let dockerfile = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n\
                      COPY default.conf /etc/nginx/conf.d/default.conf\nCOPY page /page/index.html\n";
    write(&format!("{CONTEXT}/Dockerfile"), dockerfile);
    extend_catalog(CATALOG_TEXT);
    for (path, text) in FOREIGN_FILES {
        write(path, text);
    }
    let made = "podman tag localhost/companion-base:latest localhost/unmanaged:latest &&
        podman rm --force --ignore unmanaged >/dev/null &&
        podman create --name unmanaged localhost/unmanaged:latest sleep 1 >/dev/null &&
        systemctl --user daemon-reload && systemctl --user enable --now --quiet unmanaged.service";
    archy(&["sh", "-ec", made]).good();
    companion(&[&["install"], &APPS[..], &["chaos-hooked", "chaos-built"]].concat()).exits(0);
}

/// Removes the objects of the run, so that later tests find the expected node.
pub(super) fn leave() {
    companion(&["remove", "chaos-hooked", "chaos-built"]).exits(0);
    let words = "systemctl --user disable --now --quiet unmanaged.service companion.service
        podman rm --force --ignore unmanaged >/dev/null
        podman untag localhost/unmanaged:latest localhost/unmanaged:latest || true";
    archy(&["sh", "-c", words]).good();
    for (path, _) in FOREIGN_FILES {
        root(&["rm", "-f", path]).good();
    }
    root(&["rm", "-rf", PLACE]).good();
}

/// The directory of the managed units, and the five units.
pub(super) const CATALOG_TEXT: &str = r#"
[[companion]]
name = "chaos-hooked"
apps = ["chaos-hooked"]
[companion.image]
pull = "localhost/companion-base:latest"
[companion.container]
network = "host"
restart_delay = 10
[[companion.container.mounts]]
source = "/home/archy/chaos/rendered/web.conf"
target = "/etc/nginx/conf.d/default.conf"
read_only = true
[companion.hook]
output = "/home/archy/chaos/rendered/web.conf"
[companion.hook.program.template]
template = "/home/archy/chaos/web.conf.j2"
[companion.hook.program.template.values]
colour = { file = "/home/archy/chaos/colour" }

[[companion]]
name = "chaos-built"
apps = ["chaos-built"]
[companion.image]
base = "chaos-built"
context = "/home/archy/chaos/context"
[companion.container]
network = "host"
restart_delay = 10
"#;
