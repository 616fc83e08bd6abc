//! The numbers by which Entra says what is wrong. Pure.

/// The number after the first `AADSTS` that has one.
pub fn code(text: &str) -> Option<u32> {
    text.split("AADSTS").skip(1).find_map(|after| {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        after.strip_suffix(rest)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_counts() {
        assert_eq!(code("invalid_client: AADSTS7000215: Invalid. AADSTS1"), Some(7_000_215));
        assert_eq!(code("AADSTS: see AADSTS90033."), Some(90_033));
        for text in ["", "AADSTS", "AADST50011", "AADSTS99999999999"] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
