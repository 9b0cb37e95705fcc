//! The reconciler on the fake host: scenarios, each a sentence.

mod causes;
mod daemon;
mod faults;
mod install;
mod removal;
mod repair;
