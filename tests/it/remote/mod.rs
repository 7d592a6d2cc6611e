//! Runs and commands with shards on servers.

mod commands;
mod outage;
mod same;
mod secrets;
mod served;
