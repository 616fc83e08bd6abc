//! Which characters of foreign text may be shown. Pure.
//!
//! A log line, a terminal and a page must not be changed by what somebody else wrote: neither by
//! control sequences and line ends nor by marks that turn the direction of reading.

/// Whether a character shows itself and does nothing else.
pub fn is_printable(character: char) -> bool {
    !(character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
        || matches!(
            character,
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        ))
}

/// Text with a replacement character for each that is not printable.
pub fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_or_reader_obeys_is_replaced() {
        let text: String =
            printable("a\u{1b}[2J\n\u{85}\u{9b}\u{2028}\u{202e}\u{2066}\u{feff}é😀").collect();
        assert_eq!(text, "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}é😀");
    }
}
