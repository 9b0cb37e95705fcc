//! systemd's interpretation of a service: its lines, the words of `ExecStart=`, specifiers and variables. Everything
//! that systemd would only warn about is an error here.

use super::words::{Rules, split};

const LINE_LIMIT: usize = 1024 * 1024;

/// Returns the assignments of a key in a section, in order.
pub(crate) fn values(service: &str, section: &str, key: &str) -> Result<Vec<String>, String> {
    let mut inside = false;
    let mut values = Vec::new();
    for line in lines(service)? {
        let line = line.trim_matches([' ', '\t']);
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or_else(|| format!("bad section {line:?}"))?;
            inside = name == section;
        } else if inside {
            let (name, value) =
                line.split_once('=').ok_or_else(|| format!("missing `=` in {line:?}"))?;
            if name.trim_end_matches([' ', '\t']) == key {
                values.push(value.trim_start_matches([' ', '\t']).to_owned());
            }
        }
    }
    Ok(values)
}

/// Returns the service's command: the words of its only `ExecStart=`, expanded.
pub(crate) fn command(service: &str) -> Result<Vec<String>, String> {
    let mut commands = values(service, "Service", "ExecStart")?;
    let [line] = commands.as_mut_slice() else {
        return Err(format!("{} commands", commands.len()));
    };
    if has_lone_semicolon(line) {
        return Err("a lone semicolon".to_owned());
    }
    split(line, Rules::Systemd)?.iter().map(|word| variables(&specifiers(word)?)).collect()
}

/// Returns whether a word starts with an unquoted `;` or `\;`, which separates two commands (`config_parse_exec`).
fn has_lone_semicolon(line: &str) -> bool {
    let (mut quote, mut between) = (None, true);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        let after = rest.as_str();
        let ends = |text: &str| text.is_empty() || text.starts_with([' ', '\t']);
        let escaped = c == '\\' && after.strip_prefix(';').is_some_and(ends);
        if between && quote.is_none() && (escaped || c == ';' && ends(after)) {
            return true;
        }
        between = false;
        match (quote, c) {
            (_, '\\') => drop(rest.next()),
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ' | '\t') => between = true,
            _ => {}
        }
    }
    false
}

/// Returns the variables of `[Service] Environment=` as `NAME=value`, sorted by name; the last assignment counts.
pub(crate) fn environment(service: &str) -> Result<Vec<String>, String> {
    let mut found = std::collections::BTreeMap::new();
    for line in values(service, "Service", "Environment")? {
        for word in split(&line, Rules::Systemd)? {
            let word = if word == "PODMAN_SYSTEMD_UNIT=%n" { word } else { specifiers(&word)? };
            if word.chars().any(|c| c.is_ascii_control() && c != '\t' && c != '\n') {
                return Err("control character in a variable".to_owned());
            }
            let (name, value) = word.split_once('=').ok_or("no assignment")?;
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(found.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// Expands `%%` and keeps Quadlet's own specifiers; any other is an error.
pub(crate) fn specifiers(word: &str) -> Result<String, String> {
    if ["--cidfile=%t/%N.cid", "systemd-%N"].contains(&word) {
        return Ok(word.to_owned());
    }
    halved(word, '%')
}

/// Expands `$$`; any variable is an error, because the renderer writes none.
fn variables(word: &str) -> Result<String, String> {
    halved(word, '$')
}

fn halved(word: &str, sign: char) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if c == sign && rest.next() != Some(sign) {
            return Err(format!("{word:?} expands `{sign}`"));
        }
        out.push(c);
    }
    Ok(out)
}

/// Lines with continuations joined by a blank; an escaped backslash does not continue a line.
fn lines(service: &str) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let mut pending: Option<String> = None;
    for line in service.split(['\n', '\r', '\0']) {
        let bare = line.trim_start_matches([' ', '\t']);
        if bare.starts_with(['#', ';']) || (bare.is_empty() && pending.is_none()) {
            continue;
        }
        if line.len() > LINE_LIMIT {
            return Err("line too long".to_owned());
        }
        let mut whole = pending.take().unwrap_or_default() + line;
        let backslashes = whole.chars().rev().take_while(|&c| c == '\\').count();
        if backslashes % 2 == 1 {
            whole.pop();
            whole.push(' ');
            pending = Some(whole);
        } else {
            lines.push(whole);
        }
    }
    lines.extend(pending);
    Ok(lines)
}
