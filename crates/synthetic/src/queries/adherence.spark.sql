-- For Spark, whose difference of two dates is an interval: adherence.sql with datediff.
-- Adherence to metformin: days covered of the 365 after the first dispensing of 2022 (PDC), by age. What is dispensed
-- before the last supply ends is not carried over.
WITH filled AS (
    SELECT
        ben_idt_ano,
        exe_soi_dtd,
        sum(pha_act_qsn * CASE WHEN large_pack THEN 90 ELSE 30 END) AS supply
    FROM pharmacie
    WHERE atc = 'A10BA02'
      AND exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2023-12-31'
    GROUP BY ben_idt_ano, exe_soi_dtd
),
placed AS (
    SELECT
        ben_idt_ano,
        exe_soi_dtd,
        supply,
        min(exe_soi_dtd) OVER (PARTITION BY ben_idt_ano) AS index_date,
        lead(exe_soi_dtd) OVER (PARTITION BY ben_idt_ano ORDER BY exe_soi_dtd) AS next_date
    FROM filled
),
covered AS (
    SELECT
        ben_idt_ano,
        sum(least(
            supply,
            datediff(coalesce(next_date, index_date + 365), exe_soi_dtd),
            datediff(index_date + 365, exe_soi_dtd)
        )) AS days
    FROM placed
    WHERE index_date <= DATE '2022-12-31'
      AND exe_soi_dtd < index_date + 365
    GROUP BY ben_idt_ano
),
aged AS (
    SELECT
        c.days,
        CASE
            WHEN 2022 - b.ben_nai_ann < 50 THEN '00-49'
            WHEN 2022 - b.ben_nai_ann < 65 THEN '50-64'
            WHEN 2022 - b.ben_nai_ann < 80 THEN '65-79'
            ELSE '80+'
        END AS age_band
    FROM covered AS c
    JOIN beneficiaire AS b ON b.ben_idt_ano = c.ben_idt_ano
)
SELECT
    age_band,
    count(*) AS patients,
    round(avg(CAST(days AS DOUBLE)) / 365e0, 3) AS mean_pdc,
    sum(CASE WHEN days >= 292 THEN 1 ELSE 0 END) AS adherent,
    round(1e2 * sum(CASE WHEN days >= 292 THEN 1 ELSE 0 END) / count(*), 1) AS percent_adherent
FROM aged
GROUP BY age_band
ORDER BY age_band
