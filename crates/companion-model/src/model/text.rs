//! Types that are texts: validated on construction, and read and written as a string.

/// Declares a text type with the rule that it must follow, or with a function that returns the rule that a text breaks.
macro_rules! validated_text {
    ($(#[$doc:meta])* $name:ident, $field:literal, $rule:literal, $valid:expr) => {
        validated_text! {
            $(#[$doc])* $name, $field, |text| {
                let valid: fn(&str) -> bool = $valid;
                (!valid(text)).then_some($rule)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $field:literal, $broken:expr) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates `text`.
            ///
            /// # Errors
            /// [`InvalidValue`](crate::model::companion::InvalidValue) when the text breaks the type's rule.
            pub fn new(
                text: impl Into<String>,
            ) -> Result<Self, crate::model::companion::InvalidValue> {
                let text = text.into();
                let broken: fn(&str) -> Option<&'static str> = $broken;
                match broken(&text) {
                    None => Ok(Self(text)),
                    Some(rule) => {
                        Err(crate::model::companion::InvalidValue::new($field, &text, rule))
                    }
                }
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::model::companion::InvalidValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        crate::model::text::as_text!($name);
    };
}
pub(crate) use validated_text;

/// Implements the conversions that serde needs of a type with `FromStr` and `Display`.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = crate::model::companion::InvalidValue;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}
pub(crate) use as_text;

/// Returns whether `text` matches `[a-z][a-z0-9_-]*` and ends in a letter or digit.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with(['-', '_'])
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}
