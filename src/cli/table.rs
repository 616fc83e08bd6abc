//! Plain tables for people: columns as wide as what they hold, two blanks between.

use std::io::{self, Write};

/// Writes rows under a head. Columns in `right` are numbers and end at the right.
pub(super) fn write<const N: usize>(
    output: &mut impl Write,
    head: [&str; N],
    right: &[usize],
    rows: &[[String; N]],
) -> io::Result<()> {
    let rows: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
    write_rows(output, &head.map(str::to_owned), right, &rows)
}

/// As [`write()`], for a number of columns that is only known now.
pub(super) fn write_rows(
    output: &mut impl Write,
    head: &[String],
    right: &[usize],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let mut widths: Vec<_> = head.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) =
                if right.contains(&column) { (&*padding, "") } else { ("", &*padding) };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
            line.push_str("  ");
        }
        writeln!(output, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["contoso".into(), "7".into()], ["ä".into(), "1200".into()]];
        let mut text = Vec::new();
        write(&mut text, ["tenant", "waiting"], &[1], &rows).unwrap();
        expect![[r"
            tenant   waiting
            contoso        7
            ä           1200
        "]]
        .assert_eq(std::str::from_utf8(&text).unwrap());
    }
}
