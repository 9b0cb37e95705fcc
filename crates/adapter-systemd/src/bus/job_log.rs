//! Job results, kept from the signal until they are requested or the buffer is full.

use std::collections::VecDeque;

use crate::dbus::JobRemoved;

/// How many results are kept. The signal comes for every job of the manager, and milliseconds pass between queueing a
/// job and looking up its result; polling finds results that were dropped.
const CAPACITY: usize = 1024;

/// The most recent job results of one connection, oldest first.
#[derive(Debug, Default)]
pub(crate) struct JobLog {
    ends: VecDeque<JobRemoved>,
}

impl JobLog {
    /// Records a result; drops the oldest if the log is full.
    pub(crate) fn note(&mut self, end: JobRemoved) {
        if self.ends.len() == CAPACITY {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
    }

    /// Returns the result word of the job at `path` if it ended and was for `unit`: a restarted manager reuses paths.
    pub(crate) fn result(&self, path: &str, unit: &str) -> Option<&str> {
        let of_job = |end: &&JobRemoved| end.job.as_str() == path && end.unit == unit;
        self.ends.iter().rev().find(of_job).map(|end| end.result.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(id: u32, unit: &str, result: &str) -> JobRemoved {
        let path = format!("/org/freedesktop/systemd1/job/{id}");
        JobRemoved {
            id,
            job: zbus::ObjectPath::try_from(path).unwrap().into(),
            unit: unit.to_owned(),
            result: result.to_owned(),
        }
    }

    #[test]
    fn an_end_is_found_by_its_job_and_its_unit() {
        let mut log = JobLog::default();
        log.note(end(7, "a.service", "done"));
        assert_eq!(log.result("/org/freedesktop/systemd1/job/7", "a.service"), Some("done"));
        assert_eq!(log.result("/org/freedesktop/systemd1/job/7", "b.service"), None);
        assert_eq!(log.result("/org/freedesktop/systemd1/job/8", "a.service"), None);
    }

    #[test]
    fn a_flood_of_jobs_takes_no_more_room_than_the_last_of_them() {
        let mut log = JobLog::default();
        for id in 0..5000 {
            log.note(end(id, "a.service", "done"));
        }
        assert_eq!(log.ends.len(), CAPACITY);
        assert_eq!(log.result("/org/freedesktop/systemd1/job/0", "a.service"), None);
        assert_eq!(log.result("/org/freedesktop/systemd1/job/4999", "a.service"), Some("done"));
    }
}
