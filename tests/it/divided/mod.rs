//! Commands that several processes divide among themselves print and write what one process does.

mod embed;
mod pack;
mod ranks;
mod verify;
