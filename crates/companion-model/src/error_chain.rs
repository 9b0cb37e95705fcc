//! The text of an error with its sources, for logs, the status and people.

use std::error::Error;

/// Returns the message of `error` and of all its sources in one line, joined by `: `.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn error_chain_is_one_line_in_the_order_of_causes() {
        let cause = Failed("the bus hung up", Some(Box::new(Failed("broken pipe", None))));
        let error = Failed("failed to reload", Some(Box::new(cause)));
        assert_eq!(chain(&error), "failed to reload: the bus hung up: broken pipe");
    }
}
