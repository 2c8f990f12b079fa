//! `vivado_synth.rpt`: Vivado's table of what a design uses.

use crate::convert::documents::Resources;

/// Block RAMs of 18 kbit in one tile; Vivado counts tiles, halves of them included.
const HALVES: f64 = 2.0;

/// Reads the report.
///
/// # Errors
/// Why it is not one.
pub fn read(text: &str) -> Result<Resources, String> {
    let mut found = Resources::default();
    for (section, name, used) in rows(text) {
        // of UltraScale and of 7 series; the asterisk leads to a footnote
        let field = match (section, name) {
            (1, "CLB LUTs" | "Slice LUTs") => &mut found.luts,
            (1, "CLB Registers" | "Slice Registers") => &mut found.ff,
            (_, "Block RAM Tile") => {
                found.bram_18k = found.bram_18k.or(Some((HALVES * used) as u64));
                continue;
            }
            (_, "URAM") => &mut found.uram,
            (_, "DSPs") => &mut found.dsp,
            _ => continue,
        };
        *field = field.or(Some(used as u64));
    }
    match found.luts {
        Some(_) => Ok(found),
        None => Err("no row `CLB LUTs` or `Slice LUTs`: not a utilization report of Vivado".into()),
    }
}

/// Section, name and "Used" of each row of each table.
fn rows(text: &str) -> impl Iterator<Item = (u32, &str, f64)> {
    let mut section = 0;
    text.lines().filter_map(move |line| {
        if let Some((number, _)) = line.split_once('.')
            && let Ok(number) = number.parse()
        {
            section = number;
        }
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('*').trim_end();
        Some((section, name, cells.next()?.parse().ok()?))
    })
}
