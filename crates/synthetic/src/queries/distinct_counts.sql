-- Distinct patients by class of drugs (ATC level 2) and month over the three years: many groups, one distinct count.
SELECT
    substr(atc, 1, 3) AS class,
    CAST(EXTRACT(YEAR FROM exe_soi_dtd) AS INTEGER) AS year,
    CAST(EXTRACT(MONTH FROM exe_soi_dtd) AS INTEGER) AS month,
    count(DISTINCT ben_idt_ano) AS patients,
    count(*) AS dispensings
FROM pharmacie
WHERE atc IS NOT NULL
GROUP BY
    substr(atc, 1, 3),
    CAST(EXTRACT(YEAR FROM exe_soi_dtd) AS INTEGER),
    CAST(EXTRACT(MONTH FROM exe_soi_dtd) AS INTEGER)
ORDER BY class, year, month
