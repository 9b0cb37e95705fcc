//! An independent model of how nginx parses its configuration.

/// The order in which nginx finds words, ends and braces, with unescaped words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Vec<u8>),
    End,
    Open,
    Close,
}

/// Parses like nginx 1.27 (`ngx_conf_read_token`); `None` if nginx rejects the text.
pub(crate) fn tokens(text: &str) -> Option<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b';' => (tokens.push(Token::End), at += 1).1,
            b'{' => (tokens.push(Token::Open), at += 1).1,
            b'}' => (tokens.push(Token::Close), at += 1).1,
            b'#' => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
            }
            quote @ (b'"' | b'\'') => {
                let start = at + 1;
                at = start;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                tokens.push(Token::Word(decoded(&bytes[start..at])));
                at += 1;
                match bytes.get(at) {
                    None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{') => {}
                    Some(b')') => at = plain_word(bytes, at, &mut tokens),
                    Some(_) => return None,
                }
            }
            _ => at = plain_word(bytes, at, &mut tokens),
        }
    }
    Some(tokens)
}

fn plain_word(bytes: &[u8], start: usize, tokens: &mut Vec<Token>) -> usize {
    let mut at = start;
    let mut variable = false;
    while at < bytes.len() {
        match bytes[at] {
            b'{' if variable => {}
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
            b'\\' => (variable = false, at += 1).1,
            byte => variable = byte == b'$',
        }
        at += 1;
    }
    let end = at.min(bytes.len());
    tokens.push(Token::Word(decoded(&bytes[start..end])));
    end
}

fn decoded(word: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = word.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let next = rest.peek().copied();
        decoded.push(match (byte, next) {
            (b'\\', Some(b'"' | b'\'' | b'\\')) => rest.next().unwrap(),
            (b'\\', Some(b't')) => (rest.next(), b'\t').1,
            (b'\\', Some(b'r')) => (rest.next(), b'\r').1,
            (b'\\', Some(b'n')) => (rest.next(), b'\n').1,
            _ => byte,
        });
    }
    decoded
}

/// Returns the tokens without the contents of the words.
pub(crate) fn structure(text: &str) -> Option<Vec<Token>> {
    let same = |token| match token {
        Token::Word(_) => Token::Word(Vec::new()),
        other => other,
    };
    tokens(text).map(|tokens| tokens.into_iter().map(same).collect())
}
