//! Where people live: the départements of France by population, and communes inside them. How much commoner chronic
//! diseases are in some of them is a rough figure of our own, so that a map of prevalences is not flat.

use crate::random::Random;

/// Code of each département and its population in thousands, about 2020.
pub(crate) static DEPARTMENTS: [(&str, u32); 101] = [
    ("01", 657),
    ("02", 526),
    ("03", 335),
    ("04", 165),
    ("05", 141),
    ("06", 1097),
    ("07", 329),
    ("08", 268),
    ("09", 154),
    ("10", 311),
    ("11", 375),
    ("12", 279),
    ("13", 2048),
    ("14", 694),
    ("15", 144),
    ("16", 351),
    ("17", 656),
    ("18", 300),
    ("19", 240),
    ("2A", 160),
    ("2B", 183),
    ("21", 534),
    ("22", 603),
    ("23", 115),
    ("24", 413),
    ("25", 545),
    ("26", 518),
    ("27", 600),
    ("28", 431),
    ("29", 917),
    ("30", 750),
    ("31", 1416),
    ("32", 192),
    ("33", 1637),
    ("34", 1188),
    ("35", 1088),
    ("36", 218),
    ("37", 612),
    ("38", 1277),
    ("39", 259),
    ("40", 416),
    ("41", 328),
    ("42", 766),
    ("43", 228),
    ("44", 1445),
    ("45", 682),
    ("46", 174),
    ("47", 331),
    ("48", 77),
    ("49", 820),
    ("50", 495),
    ("51", 565),
    ("52", 171),
    ("53", 307),
    ("54", 732),
    ("55", 182),
    ("56", 763),
    ("57", 1046),
    ("58", 203),
    ("59", 2608),
    ("60", 830),
    ("61", 278),
    ("62", 1464),
    ("63", 662),
    ("64", 688),
    ("65", 230),
    ("66", 482),
    ("67", 1148),
    ("68", 767),
    ("69", 1884),
    ("70", 234),
    ("71", 550),
    ("72", 566),
    ("73", 439),
    ("74", 836),
    ("75", 2145),
    ("76", 1255),
    ("77", 1428),
    ("78", 1452),
    ("79", 375),
    ("80", 570),
    ("81", 391),
    ("82", 262),
    ("83", 1085),
    ("84", 562),
    ("85", 688),
    ("86", 439),
    ("87", 373),
    ("88", 362),
    ("89", 334),
    ("90", 140),
    ("91", 1306),
    ("92", 1626),
    ("93", 1655),
    ("94", 1410),
    ("95", 1254),
    ("971", 384),
    ("972", 361),
    ("973", 286),
    ("974", 861),
    ("976", 279),
];

/// The index in [`DEPARTMENTS`] of where a person lives.
pub(crate) fn draw_department(random: &mut Random) -> usize {
    let total: u32 = DEPARTMENTS.iter().map(|(_, population)| population).sum();
    let mut ticket = random.below(u64::from(total)) as u32;
    for (index, (_, population)) in DEPARTMENTS.iter().enumerate() {
        match ticket.checked_sub(*population) {
            Some(rest) => ticket = rest,
            None => return index,
        }
    }
    0
}

/// A five-character commune code shaped like the official ones: the département, then a number; a few communes hold
/// most people.
pub(crate) fn draw_commune(department: &str, random: &mut Random) -> String {
    let skewed = random.unit() * random.unit() * random.unit();
    if department.len() == 3 {
        format!("{department}{:02}", 1 + (skewed * 30.0) as u32)
    } else {
        format!("{department}{:03}", 1 + (skewed * 320.0) as u32)
    }
}

/// How much commoner chronic diseases are than in the country as a whole.
pub(crate) fn morbidity(department: &str) -> f64 {
    match department {
        "974" | "976" => 1.45,
        "971" | "972" | "973" => 1.35,
        "62" | "59" | "02" | "08" | "80" => 1.22,
        "93" | "57" | "52" | "55" | "58" | "60" | "76" => 1.12,
        "75" | "92" | "78" | "69" => 0.86,
        "29" | "35" | "44" | "56" | "49" | "85" | "74" | "31" => 0.88,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPARTMENTS, draw_commune, draw_department};
    use crate::random::Random;

    #[test]
    fn heavier_departements_get_more_people() {
        let mut random = Random::of_patient(3, 3);
        let mut drawn = [0u32; DEPARTMENTS.len()];
        (0..200_000).for_each(|_| drawn[draw_department(&mut random)] += 1);
        let total: u32 = DEPARTMENTS.iter().map(|(_, population)| population).sum();
        for ((code, population), count) in DEPARTMENTS.iter().zip(drawn) {
            let expected = 200_000.0 * f64::from(*population) / f64::from(total);
            assert!(
                (f64::from(count) - expected).abs() < 5.0 * expected.sqrt(),
                "{code}: {count} for {expected}"
            );
        }
    }

    #[test]
    fn communes_have_five_characters() {
        let mut random = Random::of_patient(3, 4);
        for (code, _) in DEPARTMENTS {
            assert!(draw_commune(code, &mut random).starts_with(code));
            assert_eq!(draw_commune(code, &mut random).len(), 5);
        }
    }
}
