//! The command that a unit requests, and the command in an argument vector; equal if podman would do the same.

use std::collections::BTreeMap;

use ::quadlet::{ContainerUnit, Setting};

use super::quadlet::{LINES, SCALARS};

/// A `podman run`: the options as a multiset, because their order differs between runs of one generator, the image, and
/// its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    options: BTreeMap<(String, String), usize>,
    image: String,
    words: Vec<String>,
}

/// Options without a value.
const SWITCHES: [&str; 5] = ["--replace", "--rm", "-d", "--read-only", "--init"];

/// Options that the generator adds itself.
const SKELETON: [&str; 5] = ["--replace", "--rm", "-d", "--cidfile", "--cgroups"];

/// The log driver that the generator of some versions adds, before the options of `PodmanArgs=`.
const ADDED_LOG_DRIVER: (&str, &str) = ("--log-driver", "passthrough");

/// When a start is complete, unless the unit asks for something else.
const STARTED: (&str, &str) = ("--sdnotify", "conmon");

impl Command {
    fn new(
        options: impl IntoIterator<Item = (String, String)>,
        image: &str,
        words: &[String],
    ) -> Self {
        let mut counted = BTreeMap::new();
        for option in options {
            *counted.entry(option).or_default() += 1;
        }
        Self { options: counted, image: image.to_owned(), words: words.to_vec() }
    }

    /// Parses the command that systemd would run.
    pub(crate) fn of_argv(argv: &[String]) -> Result<Self, String> {
        let [podman, run, rest @ ..] = argv else {
            return Err(format!("no command: {argv:?}"));
        };
        if !podman.ends_with("/podman") || run != "run" {
            return Err(format!("not `podman run`: {argv:?}"));
        }
        let mut options = Vec::new();
        let mut index = 0;
        while let Some(word) = rest.get(index).filter(|word| word.starts_with('-')) {
            index += 1;
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, value.to_owned()),
                _ if SWITCHES.contains(&word.as_str()) => (word.as_str(), String::new()),
                _ => {
                    index += 1;
                    (
                        word.as_str(),
                        rest.get(index - 1).ok_or("an option without its value")?.clone(),
                    )
                }
            };
            let added = [ADDED_LOG_DRIVER, STARTED].contains(&(flag, value.as_str()));
            if !SKELETON.contains(&flag) && !added {
                options.push(option(if flag == "-v" { "--volume" } else { flag }, value));
            }
        }
        let image = rest.get(index).ok_or("no image")?;
        Ok(Self::new(options, image, &rest[index + 1..]))
    }

    /// Returns the command that the unit requests.
    pub(crate) fn of_unit(unit: &ContainerUnit) -> Self {
        let (mut options, mut image, mut words) = (Vec::new(), String::new(), Vec::new());
        for Setting { key, words: given, .. } in unit.settings() {
            match (key.section, key.name) {
                ("Container", "Image") => image.clone_from(&given[0]),
                ("Container", "Exec") => words.clone_from(given),
                ("Container", "User") => {
                    let group = unit.settings().iter().find(|set| set.key.name == "Group");
                    let group = group.map_or(String::new(), |set| format!(":{}", set.words[0]));
                    options.push(option("--user", given[0].clone() + &group));
                }
                ("Container", "Group") => {}
                ("Container", "PodmanArgs") => {
                    let split = given.iter().filter_map(|word| word.split_once('='));
                    options.extend(split.map(|(flag, value)| option(flag, value.to_owned())));
                }
                ("Container", "Entrypoint" | "HealthCmd") => {
                    options.push((flag(key.name).to_owned(), given.join("\0")));
                }
                ("Container", "NoNewPrivileges") => {
                    options.push(option("--security-opt", "no-new-privileges".to_owned()));
                }
                ("Container", "ReadOnly") => options.push(option("--read-only", String::new())),
                ("Container", "DropCapability" | "AddCapability") => {
                    options.extend(
                        given.iter().map(|word| option(flag(key.name), word.to_lowercase())),
                    );
                }
                ("Container", name) => {
                    options.extend(given.iter().map(|word| option(flag(name), word.clone())));
                }
                _ => {}
            }
        }
        if !options.iter().any(|(flag, _)| flag == "--name") {
            options.push(option("--name", "systemd-%N".to_owned()));
        }
        Self::new(options, &image, &words)
    }
}

/// Returns the option of a key with text.
fn flag(key: &str) -> &'static str {
    let others = [
        ("ContainerName", "--name"),
        ("Mount", "--mount"),
        ("Secret", "--secret"),
        ("AddDevice", "--device"),
        ("Environment", "--env"),
        ("Label", "--label"),
        ("DropCapability", "--cap-drop"),
        ("AddCapability", "--cap-add"),
        ("Volume", "--volume"),
    ];
    let known = others.into_iter().chain(SCALARS).chain(LINES);
    known.into_iter().find(|(name, _)| *name == key).map_or("no option", |(_, flag)| flag)
}

/// Normalises an option for comparison: splits an entry point and a health check like podman.
fn option(flag: &str, value: String) -> (String, String) {
    if flag != "--entrypoint" && flag != "--health-cmd" {
        return (flag.to_owned(), value);
    }
    let words = serde_json::from_str::<Vec<String>>(&value).unwrap_or_else(|_| vec![value]);
    (flag.to_owned(), words.join("\0"))
}
