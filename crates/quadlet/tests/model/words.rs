//! Splits words like Quadlet and systemd, which both follow the same C function.

pub(crate) const SEPARATORS: [char; 4] = [' ', '\t', '\n', '\r'];

/// How a splitter treats special characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Quotes removed, backslashes are literal, an open quote is an error.
    Strv,
    /// Quotes removed, C escapes, an open quote ends with the text, an empty word ends the list.
    QuadletArgs,
    /// Quotes removed, C escapes, an open quote is an error, an empty word is a word.
    Systemd,
}

pub(crate) fn split(text: &str, rules: Rules) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| SEPARATORS.contains(c)).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let word = word(&mut rest, rules)?;
        if word.is_empty() && rules != Rules::Systemd {
            return Ok(words);
        }
        words.push(word);
    }
}

fn word(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    rules: Rules,
) -> Result<String, String> {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\0', _) if rules == Rules::Systemd => return Err("NUL".to_owned()),
            ('\0', _) => {
                rest.by_ref().for_each(drop);
                break;
            }
            ('\\', _) if rules != Rules::Strv => word.push(escape(rest)?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if SEPARATORS.contains(&c) => return Ok(word),
            (c, _) => word.push(c),
        }
    }
    if quote.is_some() && rules != Rules::QuadletArgs {
        return Err("unbalanced quotes".to_owned());
    }
    Ok(word)
}

fn escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, String> {
    let unsupported = || "unsupported escape char".to_owned();
    if rest.peek().is_some_and(|c| ('0'..='7').contains(c)) {
        return code(rest, 3, 8).filter(char::is_ascii).ok_or_else(unsupported);
    }
    Ok(match rest.next().ok_or_else(unsupported)? {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        's' => ' ',
        c @ ('\\' | '"' | '\'') => c,
        'x' => code(rest, 2, 16).filter(char::is_ascii).ok_or_else(unsupported)?,
        'u' => code(rest, 4, 16).ok_or_else(unsupported)?,
        'U' => code(rest, 8, 16).ok_or_else(unsupported)?,
        _ => return Err(unsupported()),
    })
}

fn code(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    count: usize,
    radix: u32,
) -> Option<char> {
    let digits: String = rest.by_ref().take(count).collect();
    let complete = digits.chars().count() == count && digits.chars().all(|c| c.is_digit(radix));
    let code = complete.then(|| u32::from_str_radix(&digits, radix).ok()).flatten()?;
    char::from_u32(code).filter(|&c| c != '\0')
}
