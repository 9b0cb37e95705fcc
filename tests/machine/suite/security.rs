//! Real attacks: another user's files and connections, a compromised container, a malicious image, and a hostile
//! environment.

mod environment;
mod hostile_image;
mod inside;
mod nginx;
mod ports;
mod programs;
mod races;
mod swaps;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

pub(crate) const ARCHY: u32 = 1000;
pub(crate) const MALLORY: u32 = 1001;

/// Switches the calling thread and its children to a user (credentials(7): the kernel keeps credentials per thread).
fn become_user(id: u32) {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[]).unwrap();
    set_thread_res_gid(group, group, group).unwrap();
    set_thread_res_uid(user, user, user).unwrap();
}
