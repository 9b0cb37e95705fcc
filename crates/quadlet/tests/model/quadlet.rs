//! Quadlet's interpretation of a `.container` file: lines, accessors by key, and the generated command; by version
//! where they differ.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ::quadlet::PodmanVersion;

use super::words::{Rules, split};

/// The blanks trimmed around `=`; at the ends of a line Unicode blanks are trimmed.
const ASCII_BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

type Assignments = Vec<(String, String)>;

/// The sections of a unit file in order, with equal names merged.
struct UnitFile {
    sections: Vec<(String, Assignments)>,
    version: PodmanVersion,
}

/// Returns the service that the generator of this version writes, in one of its possible line orders.
pub(crate) fn generate(text: &str, version: PodmanVersion) -> Result<String, String> {
    let file = UnitFile::parse(text, version)?;
    for (key, value) in file.section("Container") {
        if is_reference(key, value) {
            return Err(format!("{value} is a reference"));
        }
        if KNOWN_KEYS.get(key.as_str()).is_none_or(|since| version < *since) {
            return Err(format!("unsupported key '{key}' in group 'Container'"));
        }
        if key == "Notify" && version < PodmanVersion::new(5, 0, 0) {
            return Err("`Notify=healthy` is read as `no`".to_owned());
        }
    }
    let mut argv = vec!["/usr/bin/podman".to_owned(), "run".to_owned()];
    file.flags(&mut argv)?;
    argv.push(
        file.scalar("Image").filter(|image| !image.is_empty()).ok_or("no Image key specified")?,
    );
    if let Some(line) = file.last("Exec") {
        argv.extend(split(&line, Rules::QuadletArgs)?);
    }
    let mut service = String::new();
    for (name, assignments) in &file.sections {
        let name = if name == "Container" { "X-Container" } else { name };
        service.push_str(&format!("[{name}]\n"));
        for (key, value) in assignments {
            service.push_str(&format!("{key}={value}\n"));
        }
        service.push('\n');
    }
    let words: Vec<_> = argv.iter().map(|word| written(word, version)).collect();
    service.push_str(&format!("[Service]\nExecStart={}\n", words.join(" ")));
    Ok(service)
}

impl UnitFile {
    fn parse(text: &str, version: PodmanVersion) -> Result<Self, String> {
        let mut file = Self { sections: Vec::new(), version };
        let comment = if version < PodmanVersion::new(5, 4, 0) { ':' } else { ';' };
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n').map(str::trim) {
            if line.is_empty() || line.starts_with(['#', comment]) {
                continue;
            }
            // Versions join continued lines differently, so the renderer must not write any.
            if line.ends_with('\\') {
                return Err(format!("continued line {line:?}"));
            }
            let group = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            if let Some((name, "")) = group {
                if !file.sections.iter().any(|(known, _)| known == name) {
                    file.sections.push((name.to_owned(), Vec::new()));
                }
                file.sections.sort_by_key(|(known, _)| known == name);
            } else {
                let (key, value) = line
                    .split_once('=')
                    .ok_or_else(|| format!("neither key nor group: {line:?}"))?;
                let (_, assignments) = file.sections.last_mut().ok_or("no group")?;
                assignments.push((
                    key.trim_end_matches(ASCII_BLANKS).to_owned(),
                    value.trim_start_matches(ASCII_BLANKS).to_owned(),
                ));
            }
        }
        Ok(file)
    }

    fn section(&self, name: &str) -> &[(String, String)] {
        self.sections
            .iter()
            .find(|(known, _)| known == name)
            .map_or(&[], |(_, assignments)| assignments)
    }

    fn last(&self, key: &str) -> Option<String> {
        self.section("Container")
            .iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.clone())
    }

    /// Returns the value of a scalar key; an empty one counts as missing.
    fn scalar(&self, key: &str) -> Option<String> {
        let value = self.last(key)?;
        let pair = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = match self.version {
            v if v < PodmanVersion::new(5, 0, 0) => value,
            v if v < PodmanVersion::new(5, 8, 2) => value.trim_matches('"').to_owned(),
            _ => pair.unwrap_or(&value).to_owned(),
        };
        Some(value).filter(|value| !value.is_empty())
    }

    fn all(&self, key: &str) -> Vec<String> {
        let mut values = Vec::new();
        for (known, value) in self.section("Container") {
            match (known == key, value.is_empty()) {
                (true, true) => values.clear(),
                (true, false) => values.push(value.clone()),
                (false, _) => {}
            }
        }
        values
    }

    /// Returns the words of all lines; a line that cannot be split is dropped, as in the generator.
    fn words(&self, key: &str, rules: Rules) -> Vec<String> {
        self.all(key).iter().flat_map(|line| split(line, rules).unwrap_or_default()).collect()
    }

    /// Returns names and values; a name without a value counts from 5.6 on, and is dropped before.
    fn pairs(&self, key: &str) -> BTreeMap<String, Option<String>> {
        let bare = self.version >= PodmanVersion::new(5, 6, 0);
        let words = self.words(key, Rules::QuadletArgs).into_iter();
        words
            .filter_map(|word| match word.split_once('=') {
                Some((name, value)) => Some((name.to_owned(), Some(value.to_owned()))),
                None => bare.then_some((word, None)),
            })
            .collect()
    }

    fn truth(&self, key: &str) -> bool {
        self.scalar(key).is_some_and(|value| {
            ["1", "yes", "true", "on"].contains(&value.to_lowercase().as_str())
        })
    }

    fn flags(&self, argv: &mut Vec<String>) -> Result<(), String> {
        let mut add = |flag: &str, value: String| argv.extend([flag.to_owned(), value]);
        add("--name", self.scalar("ContainerName").unwrap_or_else(|| "systemd-%N".to_owned()));
        for (key, flag) in SCALARS {
            self.scalar(key).into_iter().for_each(|value| add(flag, value));
        }
        let user = self.scalar("User");
        let group = self.scalar("Group").map(|group| format!(":{group}")).unwrap_or_default();
        user.into_iter().for_each(|user| add("--user", user + &group));
        let old = self.version < PodmanVersion::new(5, 3, 0);
        for (key, flag) in LINES {
            for value in self.all(key) {
                match key {
                    "Tmpfs" if old && value.matches(':').count() > 1 => {
                        return Err("invalid tmpfs format".to_owned());
                    }
                    "PublishPort" if old => add(flag, old_port(&value)?),
                    _ => add(flag, value),
                }
            }
        }
        for (key, flag) in [("DropCapability", "--cap-drop"), ("AddCapability", "--cap-add")] {
            self.words(key, Rules::Strv)
                .into_iter()
                .for_each(|name| add(flag, name.to_lowercase()));
        }
        for device in self.words("AddDevice", Rules::Strv) {
            let path = device.trim_start_matches('-').split(':').next().unwrap_or_default();
            if !device.starts_with('-') || std::path::Path::new(path).exists() {
                add("--device", device.trim_start_matches('-').to_owned());
            }
        }
        self.words("Secret", Rules::QuadletArgs)
            .into_iter()
            .for_each(|secret| add("--secret", secret));
        self.words("Mount", Rules::QuadletArgs).into_iter().for_each(|mount| add("--mount", mount));
        for (key, flag) in [("Environment", "--env"), ("Label", "--label")] {
            for (name, value) in self.pairs(key) {
                add(flag, value.map_or(name.clone(), |value| format!("{name}={value}")));
            }
        }
        // From 5.8.2 on, an empty entry point unsets the image's own.
        let emptied = self.last("Entrypoint").is_some() && self.scalar("Entrypoint").is_none();
        if emptied && self.version >= PodmanVersion::new(5, 8, 2) {
            argv.push("--entrypoint=".to_owned());
        }
        if self.truth("NoNewPrivileges") {
            argv.push("--security-opt=no-new-privileges".to_owned());
        }
        if self.truth("ReadOnly") {
            argv.push("--read-only".to_owned());
        }
        argv.extend(self.words("PodmanArgs", Rules::QuadletArgs));
        Ok(())
    }
}

pub(super) const SCALARS: [(&str, &str); 11] = [
    ("HostName", "--hostname"),
    ("WorkingDir", "--workdir"),
    ("Entrypoint", "--entrypoint"),
    ("Pull", "--pull"),
    ("StopTimeout", "--stop-timeout"),
    ("Notify", "--sdnotify"),
    ("HealthCmd", "--health-cmd"),
    ("HealthInterval", "--health-interval"),
    ("HealthTimeout", "--health-timeout"),
    ("HealthRetries", "--health-retries"),
    ("HealthStartPeriod", "--health-start-period"),
];

pub(super) const LINES: [(&str, &str); 5] = [
    ("Network", "--network"),
    ("PublishPort", "--publish"),
    ("AddHost", "--add-host"),
    ("Volume", "-v"),
    ("Tmpfs", "--tmpfs"),
];

/// The keys of `[Container]`, with the first version that has them.
pub(crate) static KNOWN_KEYS: LazyLock<BTreeMap<&str, PodmanVersion>> = LazyLock::new(|| {
    let lines = include_str!("../../testdata/container-keys.txt").lines();
    let rows = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    rows.filter_map(|(key, version)| Some((key, version.parse().ok()?))).collect()
});

/// Returns whether a value is the name of another unit file, which would have to exist.
fn is_reference(key: &str, value: &str) -> bool {
    let (name, suffixes): (&str, &[&str]) = match key {
        "Image" => (value, &[".build", ".image"]),
        "Network" => (value.split(':').next().unwrap_or_default(), &[".network", ".container"]),
        "Volume" if !value.starts_with('/') => {
            (value.split(':').next().unwrap_or_default(), &[".volume", ".image", ".artifact"])
        }
        _ => return false,
    };
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// A published port as parsed and reassembled before 5.3.
fn old_port(value: &str) -> Result<String, String> {
    let bare = value.strip_prefix("0.0.0.0:").map_or(value, |rest| rest.trim_start_matches(':'));
    let (port, protocol) = bare.rsplit_once('/').unwrap_or((bare, "tcp"));
    let plain =
        port.rsplit(':').next().is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if plain && ["tcp", "udp"].contains(&protocol) {
        Ok(bare.to_owned())
    } else {
        Err("invalid port format".to_owned())
    }
}

/// A word as the generator writes it: quoted only if it contains a blank, a control character, a quote or a backslash.
fn written(word: &str, version: PodmanVersion) -> String {
    let special = |c: char| {
        c == '"'
            || c == '\''
            || c == '\\'
            || (c <= '\u{80}' && (c.is_whitespace() || c.is_control()))
    };
    if !word.contains(special) {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\'' => out.push(c),
            '\n' => out.push_str("\\n"),
            ' ' if version < PodmanVersion::new(5, 8, 0) => out.push(c),
            c if special(c) => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
