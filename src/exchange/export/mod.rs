//! Writes an encoder to a file that other programs read.

mod contents;
mod description;
mod part;
mod pth;
mod reference;
mod timm;
mod write;

pub use self::{
    contents::{Contents, Format, Names},
    description::{Description, METADATA},
    timm::timm_config,
    write::{Exported, write},
};
