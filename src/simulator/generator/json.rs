//! A writer of compact JSON that can spell text in every way Microsoft does.

use super::Shape;

/// JSON under construction.
pub(super) struct Json {
    out: Vec<u8>,
    escape: bool,
}

impl Json {
    pub(super) fn new(shape: Shape) -> Self {
        Self { out: Vec::with_capacity(2048), escape: shape == Shape::Escaped }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(b'{');
        members(self);
        self.out.push(b'}');
    }

    pub(super) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(b'[');
        items(self);
        self.out.push(b']');
    }

    /// The key of a member; its value must follow.
    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self.out.push(b':');
        self
    }

    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        for char in text.chars() {
            self.char(char);
        }
        self.out.push(b'"');
    }

    /// A number, a literal, or a whole value in a spelling of its own.
    pub(super) fn raw(&mut self, value: impl AsRef<[u8]>) {
        self.separate();
        self.out.extend_from_slice(value.as_ref());
    }

    pub(super) fn number(&mut self, number: i64) {
        self.raw(number.to_string());
    }

    /// `[{"Name":…,"Value":…},…]`
    pub(super) fn pairs(&mut self, pairs: &[(&str, &str)]) {
        self.array(|json| {
            for (name, value) in pairs {
                json.object(|json| {
                    json.key("Name").text(name);
                    json.key("Value").text(value);
                });
            }
        });
    }

    /// A comma where a value or key follows another; what stands last tells.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    fn char(&mut self, char: char) {
        let escaped: &[u8] = match char {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\r' => b"\\r",
            '\n' => b"\\n",
            '\t' => b"\\t",
            '/' if self.escape => b"\\/",
            '\'' | '<' | '>' | '&' if self.escape => return self.units(char),
            char if char < ' ' => return self.units(char),
            char if !char.is_ascii() && self.escape => return self.units(char),
            char => {
                let mut encoded = [0; 4];
                let encoded = char.encode_utf8(&mut encoded);
                return self.out.extend_from_slice(encoded.as_bytes());
            }
        };
        self.out.extend_from_slice(escaped);
    }

    fn units(&mut self, char: char) {
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            self.out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    }
}
