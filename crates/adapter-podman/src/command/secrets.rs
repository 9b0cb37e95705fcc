//! [`Secrets`]: passwords in proxy URLs, redacted from logs and reports.
//!
//! A `RUN` of a build may print its environment, and some messages of podman quote the URL.

use std::sync::Arc;

/// Replacement of a secret.
const REDACTED: &str = "***";

/// The shortest password that is redacted by itself. A shorter one is redacted only together with its user name,
/// because redacting it everywhere would reveal it.
const SHORTEST: usize = 4;

/// Texts that must not be shown. `Debug` shows only their number.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<[String]>);

impl Secrets {
    /// Collects the user names and passwords in `urls`.
    pub(crate) fn of_urls<T: AsRef<str>>(urls: impl Iterator<Item = T>) -> Self {
        let mut words: Vec<String> = urls.flat_map(|url| words(url.as_ref())).collect();
        // Longest first: a longer one may contain a shorter one.
        words.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        words.dedup();
        Self(words.into())
    }

    /// Returns `text` without the secrets.
    pub(crate) fn redact(&self, text: &str) -> String {
        let redact = |text: String, secret: &String| text.replace(secret.as_str(), REDACTED);
        self.0.iter().fold(text.to_owned(), redact)
    }

    /// Returns the length of the longest secret in bytes: truncated text may start or end with part of a secret.
    pub(crate) fn longest(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Returns the secrets of one URL: `user:password` and the password, as written and decoded (RFC 3986, 3.2.1).
fn words(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A URL with an unencoded delimiter in the password is invalid, and podman may quote it unchanged.
    let userinfo = authority.rsplit_once('@').or_else(|| rest.rsplit_once('@'));
    let Some((userinfo, _)) = userinfo else { return Vec::new() };
    let Some((_, password)) = userinfo.split_once(':').filter(|(_, password)| !password.is_empty())
    else {
        return Vec::new();
    };
    let mut words = vec![userinfo.to_owned(), decoded(userinfo)];
    let passwords = [password.to_owned(), decoded(password)];
    words.extend(passwords.into_iter().filter(|password| password.len() >= SHORTEST));
    words
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, value) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(url: &str) -> Secrets {
        Secrets::of_urls([url].into_iter())
    }

    #[test]
    fn a_password_is_redacted_as_written_and_decoded() {
        let secrets = secrets("http://user:p%40ss%3a1@proxy.example:3128/");
        for text in ["user:p%40ss%3a1@proxy", "user:p@ss:1@proxy", "p%40ss%3a1", "p@ss:1"] {
            let redacted = secrets.redact(&format!("said {text} twice {text}"));
            assert!(redacted.contains(REDACTED) && !redacted.contains("ss"), "{redacted}");
        }
        assert_eq!(secrets.redact("dial tcp proxy.example:3128"), "dial tcp proxy.example:3128");
    }

    #[test]
    fn a_url_that_is_not_valid_is_redacted_too() {
        for url in ["user:p/ss#w?rd@proxy:1", "http://user:p/ss#w?rd@proxy:1", "//user:p@ss@x"] {
            let redacted = secrets(url).redact(&format!("invalid proxy address {url:?}"));
            assert!(!redacted.contains("p/ss") && !redacted.contains("p@ss"), "{redacted}");
        }
    }

    #[test]
    fn a_url_without_a_password_holds_no_secret() {
        for url in ["http://proxy:3128", "http://user@proxy", "http://user:@proxy", "", "://", "%"]
        {
            assert_eq!(secrets(url).longest(), 0, "{url}");
        }
    }

    #[test]
    fn a_short_password_is_redacted_only_with_its_user_name() {
        let secrets = secrets("http://user:a@proxy");
        assert_eq!(secrets.redact("a bad user:a@proxy"), "a bad ***@proxy");
    }
}
