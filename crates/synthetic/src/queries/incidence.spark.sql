-- For Spark, whose difference of two dates is an interval: incidence.sql with datediff.
-- First hospital stay for heart failure in 2022 and 2023, per 1,000 person-years, by age and sex. Persons without such
-- a stay in 2021 enter on 1 January 2022 and leave at the stay, at death or at the end of 2023.
WITH first_stay AS (
    SELECT ben_idt_ano, min(exe_soi_dtd) AS event_date
    FROM sejour_mco
    WHERE dgn_pal LIKE 'I50%'
    GROUP BY ben_idt_ano
),
followed AS (
    SELECT
        b.ben_sex_cod,
        2022 - b.ben_nai_ann AS age,
        datediff(
            least(
                coalesce(f.event_date, DATE '2023-12-31'),
                coalesce(b.ben_dcd_dte, DATE '2023-12-31'),
                DATE '2023-12-31'
            ),
            DATE '2022-01-01'
        ) + 1 AS days,
        CASE WHEN f.event_date <= DATE '2023-12-31' THEN 1 ELSE 0 END AS event
    FROM beneficiaire AS b
    LEFT JOIN first_stay AS f ON f.ben_idt_ano = b.ben_idt_ano
    WHERE b.ben_nai_ann < 2022
      AND (b.ben_dcd_dte IS NULL OR b.ben_dcd_dte >= DATE '2022-01-01')
      AND (f.event_date IS NULL OR f.event_date >= DATE '2022-01-01')
),
banded AS (
    SELECT
        ben_sex_cod,
        CASE
            WHEN age < 45 THEN '00-44'
            WHEN age < 65 THEN '45-64'
            WHEN age < 75 THEN '65-74'
            WHEN age < 85 THEN '75-84'
            ELSE '85+'
        END AS age_band,
        count(*) AS persons,
        sum(days) / 365.25e0 AS person_years,
        sum(event) AS events
    FROM followed
    GROUP BY
        ben_sex_cod,
        CASE
            WHEN age < 45 THEN '00-44'
            WHEN age < 65 THEN '45-64'
            WHEN age < 75 THEN '65-74'
            WHEN age < 85 THEN '75-84'
            ELSE '85+'
        END
)
SELECT
    age_band,
    CASE ben_sex_cod WHEN 1 THEN 'men' ELSE 'women' END AS sex,
    persons,
    round(person_years, 1) AS person_years,
    events,
    round(1e3 * events / person_years, 2) AS per_1000,
    round(1e3 * events / person_years * exp(-1.96e0 / sqrt(nullif(1e0 * events, 0e0))), 2) AS per_1000_low,
    round(1e3 * events / person_years * exp(1.96e0 / sqrt(nullif(1e0 * events, 0e0))), 2) AS per_1000_high
FROM banded
ORDER BY age_band, sex
