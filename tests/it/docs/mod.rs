//! The documents are true: links, commands, settings, fields, dependencies.

mod commands;
mod coverage;
mod links;
mod pages;
mod recipes;
mod settings;
mod watching;
