//! Logs of programs.

use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::service::End;

use super::World;
use super::processes::{CANNOT_MAKE, KILLED};
use super::units::Load;

impl World {
    /// Returns the log of the last run of `name`, if it ended; otherwise nothing.
    pub fn log_tail(&self, name: &CompanionName) -> LogTail {
        let slot = self.slot(name);
        let Some((slot, end)) = slot.and_then(|slot| Some((slot, slot.service.last_end.as_ref()?)))
        else {
            return LogTail::default();
        };
        let exit = match end {
            End::Exit(code) => *code,
            End::TimedOut => KILLED,
            _ => 0,
        };
        let line = match (&slot.load, exit) {
            (Load::Ours(text), CANNOT_MAKE) if slot.service.image_missing => {
                format!("Error: {}: image not known", text.image)
            }
            _ if !slot.says.is_empty() => slot.says.clone(),
            (_, CANNOT_MAKE) => "Error: cannot create the container".to_owned(),
            (_, exit) => format!("the program ended with exit code {exit}"),
        };
        LogTail::of([line.as_str()])
    }

    /// Makes the program of `name` log `lines` before it exits.
    pub fn say_at_end(&mut self, name: &CompanionName, lines: &str) {
        lines.clone_into(&mut self.slot_mut(name).says);
    }
}
