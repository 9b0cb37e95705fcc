//! Hooks that compute their file in this process: those written in Rust, and templates.

use std::collections::BTreeMap;
use std::mem;
use std::path::PathBuf;

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{Rendered, TemplateValue};

use crate::error::HookError;
use crate::input;
use crate::template::{self, Value, Values};

/// A hook written in Rust, which a host program registers under a name.
///
/// It is called at each observation on a blocking thread, so it must be cheap and read-only:
/// [`read_secret`](crate::read_secret) and [`template::render`](crate::template::render) are made for it. The same
/// inputs must give the same bytes, otherwise the companion would restart at each observation. Closures with the same
/// signature are hooks too.
pub trait ConfigHook: Send + Sync {
    /// Computes the bytes of the hook's file.
    ///
    /// # Errors
    /// [`HookError::NotReady`] if an input is missing, otherwise [`HookError::failed`]; neither may contain a secret.
    fn render(&self) -> Result<Rendered, HookError>;

    /// Returns the files that [`render`](Self::render) reads. Their changes are noticed immediately, those of other
    /// files at the next resync. Does not block.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl<F> ConfigHook for F
where
    F: Fn() -> Result<Rendered, HookError> + Send + Sync,
{
    fn render(&self) -> Result<Rendered, HookError> {
        self()
    }
}

/// A template file, filled with values.
pub(crate) struct TemplateFile {
    pub(crate) template: AbsolutePath,
    pub(crate) values: BTreeMap<String, TemplateValue>,
}

impl ConfigHook for TemplateFile {
    fn render(&self) -> Result<Rendered, HookError> {
        let source = input::require_template(&self.template)?;
        let mut filled = Values::new();
        for (name, value) in &self.values {
            let value = match value {
                TemplateValue::Text(text) => Value::Text(text.clone()),
                TemplateValue::Number(number) => Value::Number(*number),
                TemplateValue::File(path) => {
                    Value::Text(mem::take(&mut *input::read_secret(path.as_path())?))
                }
            };
            filled.insert(name.clone(), value);
        }
        let mut text = template::render(&source, &filled)?;
        Ok(Rendered::new(mem::take(&mut *text).into_bytes()))
    }

    fn inputs(&self) -> Vec<PathBuf> {
        let files = self.values.values().filter_map(|value| match value {
            TemplateValue::File(file) => Some(file),
            TemplateValue::Text(_) | TemplateValue::Number(_) => None,
        });
        [&self.template].into_iter().chain(files).map(|file| file.as_path().to_owned()).collect()
    }
}
