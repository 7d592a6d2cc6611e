//! Commands that several processes divide among themselves print and write what one process does.

mod doctor;
mod embed;
mod eval;
mod pack;
mod ranks;
mod verify;
