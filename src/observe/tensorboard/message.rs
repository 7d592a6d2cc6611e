//! Messages of protocol buffers, with the types of fields that event files have.

/// A message that is put together field by field.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Adds a whole number (int64, int32 or an enumeration).
    pub(super) fn int(self, field: u8, number: i64) -> Self {
        self.key(field, 0).varint(number.cast_unsigned())
    }

    /// Adds a double.
    pub(super) fn double(self, field: u8, number: f64) -> Self {
        self.key(field, 1).raw(&number.to_le_bytes())
    }

    /// Adds a float.
    pub(super) fn float(self, field: u8, number: f32) -> Self {
        self.key(field, 5).raw(&number.to_le_bytes())
    }

    /// Adds bytes or a text.
    pub(super) fn bytes(self, field: u8, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.key(field, 2).varint(bytes.len() as u64).raw(bytes)
    }

    /// Adds a message.
    pub(super) fn message(self, field: u8, message: Self) -> Self {
        self.bytes(field, message.0)
    }

    /// Adds doubles, packed.
    pub(super) fn doubles(self, field: u8, numbers: &[f64]) -> Self {
        let bytes: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.bytes(field, bytes)
    }

    /// Returns the message as bytes.
    pub(super) fn encoded(self) -> Vec<u8> {
        self.0
    }

    /// Adds the key of a field. Event files have field numbers up to 15 only, whose keys are one byte.
    fn key(self, field: u8, kind: u8) -> Self {
        self.raw(&[field << 3 | kind])
    }

    /// Adds a number in groups of seven bits, the lowest first.
    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_protocol_buffers_do() {
        let inner = Message::default().bytes(2, "testing");
        let message = Message::default().int(1, 150).message(3, inner).float(5, 1.0).doubles(6, &[0.5]);
        let expected = [
            &[0x08, 0x96, 0x01][..],
            &[0x1a, 9, 0x12, 7],
            b"testing",
            &[0x2d, 0, 0, 0x80, 0x3f],
            &[0x32, 8, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
        ];
        assert_eq!(message.encoded(), expected.concat());
        assert_eq!(Message::default().int(1, -1).encoded().len(), 11, "a negative number has ten bytes");
    }
}
