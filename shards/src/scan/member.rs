//! One member of a tar file.

/// A member of a tar file.
#[derive(Debug)]
pub(crate) struct Member {
    /// The byte of its first header, extensions included; a scan can begin there.
    pub(crate) head: u64,
    pub(crate) name: Vec<u8>,
    /// The byte at which its data begin.
    pub(crate) data: u64,
    /// The size of its data in bytes, which may reach past the end of the shard.
    pub(crate) size: u64,
    pub(crate) kind: Kind,
}

/// The kind of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// Another name for the file that the archive has under this name.
    HardLink(Vec<u8>),
    /// A path, relative to the folder of the link.
    SymbolicLink(Vec<u8>),
    /// A folder, a device and the like.
    Other,
}
