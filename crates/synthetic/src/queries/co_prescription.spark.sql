-- For Spark, whose difference of two dates is an interval: co_prescription.sql with datediff.
-- Oral anticoagulants and anti-inflammatory drugs together in 2023: users of each anticoagulant who were dispensed an
-- NSAID within the 30 days that a dispensing covers.
WITH anticoagulant AS (
    SELECT ben_idt_ano, exe_soi_dtd, atc
    FROM pharmacie
    WHERE (atc LIKE 'B01AA%' OR atc LIKE 'B01AE%' OR atc LIKE 'B01AF%')
      AND exe_soi_dtd BETWEEN DATE '2023-01-01' AND DATE '2023-12-31'
),
nsaid AS (
    SELECT ben_idt_ano, exe_soi_dtd
    FROM pharmacie
    WHERE atc LIKE 'M01A%'
      AND exe_soi_dtd BETWEEN DATE '2023-01-01' AND DATE '2023-12-31'
),
users AS (
    SELECT ben_idt_ano, atc, count(*) AS dispensings
    FROM anticoagulant
    GROUP BY ben_idt_ano, atc
),
exposed AS (
    SELECT a.ben_idt_ano, a.atc, count(*) AS overlaps, min(datediff(n.exe_soi_dtd, a.exe_soi_dtd)) AS soonest
    FROM anticoagulant AS a
    JOIN nsaid AS n
      ON n.ben_idt_ano = a.ben_idt_ano
     AND n.exe_soi_dtd BETWEEN a.exe_soi_dtd AND a.exe_soi_dtd + 29
    GROUP BY a.ben_idt_ano, a.atc
),
label AS (
    SELECT DISTINCT pha_atc_c07, pha_atc_lib
    FROM ir_pha_r
)
SELECT
    l.pha_atc_lib AS anticoagulant,
    count(*) AS users,
    sum(u.dispensings) AS dispensings,
    count(e.ben_idt_ano) AS exposed,
    round(1e2 * count(e.ben_idt_ano) / count(*), 1) AS percent,
    coalesce(sum(e.overlaps), 0) AS overlaps,
    round(avg(CAST(e.soonest AS DOUBLE)), 1) AS mean_soonest_day
FROM users AS u
JOIN label AS l ON l.pha_atc_c07 = u.atc
LEFT JOIN exposed AS e ON e.ben_idt_ano = u.ben_idt_ano AND e.atc = u.atc
GROUP BY l.pha_atc_lib
ORDER BY users DESC, anticoagulant
