//! Raw passthrough: a catalog contains only keys of its schema, and nothing else reaches a unit.

use archipelago_companions::manifest::{BackendManifest, Format};

use crate::companions_of;

/// Keys that would give a container, or the author of the file, more than a companion has: keys of Quadlet and
/// systemd, options of podman, and their spellings elsewhere.
const DANGEROUS: &str = "
    PodmanArgs podman_args GlobalArgs global_args ContainersConfModule ServiceName privileged Privileged
    SecurityLabelDisable security_label_disable SecurityLabelType SeccompProfile seccomp_profile security_opt
    Unmask unmask AddDevice Volume volumes_from Mount mount UserNS userns IPC ipc pid PidMode uts cgroupns
    CgroupsMode Sysctl sysctls Ulimit Secret secrets EnvironmentFile env_file EnvironmentHost HttpProxy
    Rootfs rootfs RunInit ExecStartPre ExecStopPost Service Unit HealthCmd Notify";

/// A companion with an image of these fields.
fn with_image(image: &str) -> String {
    format!("[[companion]]\nname = \"x\"\napps = [\"a\"]\nimage = {{ {image} }}\n")
}

/// What follows the head of a companion to open each of its tables.
const TABLES: [&str; 12] = [
    "",
    "[companion.container]",
    "[[companion.container.ports]]\nhost = 1\ncontainer = 1",
    "[[companion.container.mounts]]\nsource = \"/a\"\ntarget = \"/b\"",
    "[[companion.container.tmpfs]]\ntarget = \"/b\"",
    "[companion.container.user]\nuid = 0\ngid = 0",
    "[[companion.container.devices]]\nsource = \"/dev/null\"",
    "[[companion.container.extra_hosts]]\nname = \"h\"",
    "[companion.hook]\noutput = \"/o/x\"\nprogram = { registered = \"bitcoin-ui\" }",
    "hook.output = \"/o/x\"\n[companion.hook.program.command]\nargv = [\"/bin/true\"]",
    "hook.output = \"/o/x\"\n[companion.hook.program.template]\ntemplate = \"/t\"",
    "[companion.image]\nbase = \"x\"",
];

/// Catalogs with `line` in each table, by what opens the table.
fn tables(line: &str) -> impl Iterator<Item = (&'static str, String)> {
    let head = with_image("base = \"x\"");
    let above =
        ["", "[node]", "[node.bitcoin]"].map(|table| (table, format!("{table}\n{line}\n{head}")));
    let below = TABLES.map(|table| {
        let without_image = head.replace("image = { base = \"x\" }\n", "");
        let head = if table.starts_with("[companion.image]") { &without_image } else { &head };
        (table, format!("{head}{table}\n{line}\n"))
    });
    above.into_iter().chain(below)
}

#[test]
fn every_dangerous_key_is_refused_in_every_table() {
    for (table, text) in tables("") {
        assert!(companions_of(&text).is_ok(), "{table}: {:?}", companions_of(&text));
    }
    for key in DANGEROUS.split_whitespace() {
        for (table, text) in tables(&format!("{key} = [\"--privileged\"]")) {
            let refusal = companions_of(&text).unwrap_err();
            assert!(
                refusal.contains(key)
                    && (refusal.contains("unknown field") || refusal.contains("unexpected keys")),
                "{table} {key}: {refusal}"
            );
        }
        let manifest =
            format!("app: {{ id: x, container: {{ image: a.example/x, {key}: true }} }}\n");
        let refusal = BackendManifest::parse(&manifest, Format::Yaml, "manifest.yml");
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains(key), "{refusal}");
    }
}

#[test]
fn no_schema_value_grants_host_access() {
    let refused = [
        "container.network = \"none\"",
        "container.network = { named = \"container:x\" }",
        "container.capabilities = [\"ALL\"]",
        "container.capabilities = [\"CAP_SYS_ADMIN\"]",
        "container.mounts = [{ source = \"/\", target = \"/host\" }]",
        "container.mounts = [{ source = \"/srv\", target = \"/host\", read_only = false }]",
        "container.mounts = [{ source = \"/run/user/1000/podman/podman.sock\", target = \"/s\" }]",
        "container.mounts = [{ source = \"/srv/../etc\", target = \"/host\" }]",
        "container.devices = [{ source = \"/etc/shadow\" }]",
        "container.devices = [{ source = \"/dev/../etc/shadow\" }]",
        "container.environment = { \"A=B\" = \"\" }",
        "container.memory = \"-1\"",
        "hook = { output = \"relative\", program = { registered = \"bitcoin-ui\" } }",
        "hook = { output = \"/o\", program = { command = { argv = [] } } }",
        "hook = { output = \"/o\", program = { command = { argv = [\"sh\", \"-c\", \"id\"] } } }",
        "hook = { output = \"/o\", program = { command = { argv = [\"/a/../bin/sh\"] } } }",
        "hook = { output = \"/o\", program = { command = { argv = [\"/a\"], timeout = 100000 } } }",
        "hook = { output = \"/o\", program = { shell = \"id\" } }",
    ];
    // Build tags are below localhost.
    let bases = "../x,/x,-x,--privileged,x y,x\\n,x:y,x@y,,.,..,X,docker://x";
    for base in bases.split(',') {
        assert!(companions_of(&with_image(&format!("base = \"{base}\""))).is_err(), "{base:?}");
    }
    // Build contexts are local directories.
    let contexts = "https://example.org/x.git git://x github.com/x/y - x ../x ~/x /x/../y /x//y";
    for place in contexts.split(' ') {
        let context = format!("base = \"x\", context = \"{place}\"");
        assert!(companions_of(&with_image(&context)).is_err(), "{place:?}");
        let node = format!("[node]\ncontext_directories = [\"{place}\"]\n");
        assert!(companions_of(&node).is_err(), "{place:?}");
    }
    for line in refused {
        let text = with_image("base = \"x\"") + line;
        assert!(companions_of(&text).is_err(), "{line}");
    }
}
