//! Days as the tables count them: signed days since 1970-01-01, which is what a date column holds.

/// Days since 1970-01-01.
pub(crate) type Day = i32;

/// Mean length of a year, in days.
pub(crate) const YEAR: f64 = 365.25;

/// The day of a civil date (proleptic Gregorian calendar).
pub(crate) fn day(year: i32, month: i32, day_of_month: i32) -> Day {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year and month (1 to 12) of a day.
pub(crate) fn year_month(day: Day) -> (i32, i32) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i32::from(month <= 2), month)
}

/// The first day of the month that lies `months` after the one of `from`.
pub(crate) fn first_of_month_after(from: Day, months: i32) -> Day {
    let (year, month) = year_month(from);
    let index = year * 12 + month - 1 + months;
    day(index.div_euclid(12), index.rem_euclid(12) + 1, 1)
}

/// The same day, or Monday when it falls on a Sunday, when surgeries and most pharmacies are closed.
pub(crate) fn open_day(day: Day) -> Day {
    if (day + 4).rem_euclid(7) == 0 { day + 1 } else { day }
}

#[cfg(test)]
mod tests {
    use super::{day, first_of_month_after, open_day, year_month};

    #[test]
    fn known_dates() {
        assert_eq!(day(1970, 1, 1), 0);
        assert_eq!(day(2000, 3, 1), 11_017);
        assert_eq!(day(2024, 2, 29), 19_782);
        assert_eq!(day(1923, 12, 31), -16_803);
        assert_eq!(open_day(day(2023, 1, 1)), day(2023, 1, 2));
        assert_eq!(first_of_month_after(day(2022, 11, 17), 2), day(2023, 1, 1));
    }

    #[test]
    fn every_day_of_three_centuries_has_its_year_and_month() {
        for year in 1850..2150 {
            for month in 1..=12 {
                let (from, to) = (day(year, month, 1), first_of_month_after(day(year, month, 1), 1));
                assert!((28..=31).contains(&(to - from)));
                assert_eq!((year_month(from), year_month(to - 1)), ((year, month), (year, month)));
            }
        }
    }
}
