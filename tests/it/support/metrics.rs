//! Reading what `/metrics` says.

/// The value of a series, named exactly as it stands in the text.
pub fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        (name == series).then(|| value.parse().expect("a value is a number"))
    })
}
