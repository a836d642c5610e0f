//! What the HTML pages have in common: one file each, nothing loaded from elsewhere, light or dark as the reader's system is.

use std::fmt::Write;

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Date and time, UTC, of seconds since 1970. Days to a date by the proleptic Gregorian calendar, counted from March.
pub(crate) fn date(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

pub(crate) fn tile(page: &mut String, value: &str, what: &str) {
    let _ = writeln!(page, "<div class=\"tile\"><b>{}</b><span>{}</span></div>", escape(value), escape(what));
}

/// A small table of findings.
pub(crate) fn pairs(page: &mut String, rows: impl Iterator<Item = (String, String)>) {
    page.push_str("<div class=\"wide\"><table>\n");
    for (what, finding) in rows {
        let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", escape(&what), escape(&finding));
    }
    page.push_str("</table></div>\n");
}

/// The page down to its heading.
pub(crate) fn begin(title: &str) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let (style, title) = (include_str!("page.css"), escape(title));
    let _ =
        write!(page, "<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n");
    page
}

/// What closes it.
pub(crate) const END: &str = "</main>\n</body>\n</html>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
