//! The manual page of a command (man-pages(7)): the paragraphs of its help become sections.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The environment variables that every command reads, and what they do.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("COMPANION_LOG", "log levels, such as info,adapter_podman=debug; overrides --verbose"),
    ("NO_COLOR", "if set, --color=auto uses no colours"),
    ("TERM", "if unset or dumb, progress is printed as plain lines without colours"),
    ("XDG_CONFIG_HOME", "the directory of companion/catalog.toml; default ~/.config"),
    ("XDG_STATE_HOME", "the directory of the state directory companion; default ~/.local/state"),
    ("XDG_RUNTIME_DIR", "the directory of the leader's lock and of the user's bus"),
    ("DBUS_SESSION_BUS_ADDRESS", "the bus of the user's systemd"),
];

/// The files of every command, and what they hold.
const FILES: [(&str, &str); 8] = [
    ("~/.config/companion/catalog.toml", "the catalog of a user; see catalog.toml(5)"),
    ("/etc/companion/catalog.toml", "the catalog of the system"),
    (
        "~/.local/state/companion/",
        "the state directory of a user; for the system /var/lib/companion/",
    ),
    ("desired.json", "in the state directory: the installed apps; back up this file"),
    ("host-key", "in the state directory: the key of the digests of rendered configuration"),
    ("events.jsonl", "in the state directory: the events of companion history"),
    (
        "~/.config/containers/systemd/",
        "the units of a user; for the system /etc/containers/systemd/",
    ),
    ("/run/user/UID/companion/", "the leader's lock and socket; for the system /run/companion/"),
];

/// Returns the name of the page of `command`, such as `companion-install`.
pub(super) fn name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// Returns the page of `command`, which is built.
pub(super) fn page(command: &clap::Command, date: &str) -> io::Result<Vec<u8>> {
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let (labelled, plain): (Vec<_>, Vec<_>) =
        long.split("\n\n").partition(|paragraph| section(paragraph).is_some());
    let sections = labelled.into_iter().chain(after.split("\n\n")).filter_map(section);
    let description = plain.join("\n\n");
    let man = Man::new(command.clone().long_about(description))
        .title(name(command).to_owned())
        .date(date)
        .source(format!("companion {}", env!("CARGO_PKG_VERSION")))
        .manual("Companion Manual");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut bytes)?;
    }
    let mut roff = Roff::new();
    for (title, text) in sections {
        roff.control("SH", [title]);
        if matches!(title, "EXAMPLES" | "EXIT STATUS") && text.contains('\n') {
            roff.control("nf", []).text([roman(text)]).control("fi", []);
        } else {
            roff.text([roman(text)]);
        }
    }
    listed(&mut roff, "FILES", &FILES);
    listed(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    let mut pages: Vec<_> =
        command.get_subcommands().map(|subcommand| format!("{}(1)", name(subcommand))).collect();
    if pages.is_empty() {
        pages.push("companion(1)".to_owned());
    }
    pages.extend(["catalog.toml(5)", "podman-systemd.unit(5)", "systemctl(1)"].map(str::to_owned));
    roff.control("SH", ["SEE ALSO"]).text([roman(pages.join(", "))]);
    roff.to_writer(&mut bytes)?;
    Ok(bytes)
}

/// Returns the title and the text of the section that a labelled paragraph of a help text is.
fn section(paragraph: &str) -> Option<(&'static str, &str)> {
    const LABELS: [(&str, &str); 4] = [
        ("Exit status:", "EXIT STATUS"),
        ("Examples:", "EXAMPLES"),
        ("With --json:", "JSON OUTPUT"),
        ("States:", "STATES"),
    ];
    LABELS.iter().find_map(|(label, title)| {
        let text = paragraph.strip_prefix(label)?;
        Some((*title, text.strip_prefix('\n').unwrap_or_else(|| text.trim_start())))
    })
}

/// Adds a section of terms with their meanings.
fn listed(roff: &mut Roff, title: &str, terms: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}
