//! The way back: reads one value of one section from the text of any `.container` file. Decides nothing about the file's worth,
//! and never fails: what is not there, or not readable as a unit file, is `None`.

/// Returns the value of `key` in `[section]` as Quadlet would read it, or `None`.
///
/// The text may be anything: not a unit file at all, half a file, a hostile one. As in Quadlet, sections of one name add up, the last
/// assignment wins, an empty one unsets, `#` and `;` begin comments, and a line that ends with `\` goes on in the next. Nothing is unquoted
/// or expanded. Names are compared with case. The work is linear in the length of the text.
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

/// What Quadlet trims around `=`; the ends of a line it trims by Unicode's blanks.
const BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

/// Trimmed lines without comments, continuations joined with nothing in between.
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
