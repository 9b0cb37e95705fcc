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
    use crate::ports::{PortError, PortErrorKind};

    #[test]
    fn error_chain_is_one_line_in_the_order_of_causes() {
        let cause = PortError::new(PortErrorKind::Transient, "the bus hung up");
        let error = PortError::new(PortErrorKind::Transient, "failed to reload").with_source(cause);
        assert_eq!(chain(&error), "failed to reload: the bus hung up");
        assert_eq!(error.chain(), chain(&error));
    }
}
