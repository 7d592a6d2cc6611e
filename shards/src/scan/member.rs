//! One member of a tar file.

/// One member of a tar file.
#[derive(Debug)]
pub(crate) struct Member {
    /// Byte of its first header, extensions included: reading can begin there.
    pub(crate) head: u64,
    pub(crate) name: Vec<u8>,
    /// Byte at which its data begin.
    pub(crate) data: u64,
    /// Bytes of its data, which may reach beyond the end of the shard.
    pub(crate) size: u64,
    pub(crate) kind: Kind,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// Another name of the file that the archive has under this one.
    HardLink(Vec<u8>),
    /// A path, from the folder of the link on.
    SymbolicLink(Vec<u8>),
    /// A folder, a device and the like.
    Other,
}
