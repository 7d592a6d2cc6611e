//! Files for other programs and from them: export, import, embed.

mod embed;
mod encoders;
mod export;
mod import;
mod resnets;
mod support;
