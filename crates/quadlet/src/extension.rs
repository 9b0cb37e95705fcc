//! Reads one value of one section from the text of any `.container` file. Never fails: a missing value or an invalid
//! file gives `None`.

/// Returns the value of `key` in `[section]` as Quadlet would read it, or `None`.
///
/// The text may be anything: not a unit file, a truncated or a hostile one. As in Quadlet, sections with the same name
/// are merged, the last assignment wins, an empty one unsets, `#` and `;` start comments, and a trailing `\` continues
/// the line. Nothing is unquoted or expanded. Names are case-sensitive. The run time is linear in the length of the
/// text.
///
/// ```
/// let text = "[X-Companion]\nRevision=5f1c\nCompanion=archy-lnd-ui\n";
/// assert_eq!(quadlet::extension_value(text, "X-Companion", "Revision").as_deref(), Some("5f1c"));
/// ```
#[must_use]
pub fn extension_value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in logical_lines(text) {
        if let Some(name) = section_name(&line) {
            inside = name == section;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim_end_matches(BLANKS) == key
        {
            found = Some(value.trim_start_matches(BLANKS).to_owned());
        }
    }
    found.filter(|value| !value.is_empty())
}

/// The blanks that Quadlet trims around `=`; at the ends of a line it trims Unicode blanks.
const BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

/// Returns trimmed lines without comments, with continuations joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.split('\n').map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = line.strip_suffix('\\') {
            pending.push_str(head);
        } else {
            pending.push_str(line);
            lines.push(std::mem::take(&mut pending));
        }
    }
    if !pending.is_empty() {
        lines.push(pending);
    }
    lines
}

fn section_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    rest.trim_matches([' ', '\t']).is_empty().then_some(name)
}

#[cfg(test)]
mod tests;
